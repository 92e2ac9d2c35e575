"""The core values: canonical minimal automata and their operators."""

from __future__ import annotations

import itertools
import pickle

import pytest
from clocks import Clock
from hypothesis import given, settings
from hypothesis import strategies as st

from scancraft import Budget, BudgetExceededError, Dfa, Semiautomaton
from scancraft.automata.alphabet import check_alphabet, format_word, parse_alphabet, parse_word, shown_word
from scancraft.automata.errors import AlphabetError, EmptyLanguageError, LanguageFormatError, UnknownSymbolError

SHORT = [word for n in range(6) for word in itertools.product("ab", repeat=n)]


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[list[int]], int, set[int]]:
    n = draw(st.integers(1, 6))
    state = st.integers(0, n - 1)
    table = draw(st.lists(st.lists(state, min_size=2, max_size=2), min_size=n, max_size=n))
    return table, draw(state), draw(st.sets(state))


def words_of(table: list[list[int]], initial: int, accepting: set[int]) -> set[tuple[str, ...]]:
    """Acceptance by walking the raw table: the ground truth."""
    found = set()
    for word in SHORT:
        q = initial
        for symbol in word:
            q = table[q]["ab".index(symbol)]
        if q in accepting:
            found.add(word)
    return found


def distinguishable(table: list[list[int]], accepting: set[int]) -> set[tuple[int, int]]:
    """Pairs of inequivalent states by the textbook's table filling."""
    n = len(table)
    marked = {(p, q) for p in range(n) for q in range(n) if (p in accepting) != (q in accepting)}
    while True:
        more = {
            (p, q)
            for p in range(n)
            for q in range(n)
            if (p, q) not in marked and any((table[p][a], table[q][a]) in marked for a in range(2))
        }
        if not more:
            return marked
        marked |= more


@given(tables())
@settings(max_examples=66, deadline=None, derandomize=True)
def test_minimal_and_same_language(raw: tuple[list[list[int]], int, set[int]]) -> None:
    table, initial, accepting = raw
    dfa = Dfa.from_table("ab", table, initial, accepting)
    assert {w for w in SHORT if w in dfa} == words_of(table, initial, accepting)
    marked = distinguishable(table, accepting)
    reachable = {initial}
    for _ in table:
        reachable |= {t for q in reachable for t in table[q]}
    classes = {frozenset(q for q in reachable if (p, q) not in marked) for p in reachable}
    assert dfa.n_states == len(classes)
    assert list(dfa.words(5)) == sorted(words_of(table, initial, accepting), key=lambda w: (len(w), w))


@given(tables(), tables())
@settings(max_examples=26, deadline=None, derandomize=True)
def test_operators_are_set_operations(
    one: tuple[list[list[int]], int, set[int]], two: tuple[list[list[int]], int, set[int]]
) -> None:
    p, q = Dfa.from_table("ab", *one), Dfa.from_table("ab", *two)
    x, y = words_of(*one), words_of(*two)
    for dfa, expected in [(p & q, x & y), (p | q, x | y), (p - q, x - y), (p ^ q, x ^ y), (~p, set(SHORT) - x)]:
        assert {w for w in SHORT if w in dfa} == expected
    joined = {u + v for u in x for v in y if len(u + v) <= 5}
    assert {w for w in SHORT if w in p + q} == joined
    star = {()}
    for _ in range(5):
        star |= {u + v for u in star for v in x if len(u + v) <= 5}
    assert {w for w in SHORT if w in p.star()} == star
    assert (p == q) == (p ^ q).is_empty()
    assert (p <= q) == (p - q).is_empty()
    assert ~~p == p


@given(tables())
@settings(max_examples=26, deadline=None, derandomize=True)
def test_equality_ignores_the_order_of_the_alphabet(raw: tuple[list[list[int]], int, set[int]]) -> None:
    dfa = Dfa.from_table("ab", *raw)
    swapped = Dfa.from_table("ba", [row[::-1] for row in raw[0]], *raw[1:])
    assert dfa == swapped
    assert hash(dfa) == hash(swapped)
    assert dfa != dfa.over(("a", "b", "c"))


@given(tables())
@settings(max_examples=33, deadline=None, derandomize=True)
def test_live_finite_shortest(raw: tuple[list[list[int]], int, set[int]]) -> None:
    dfa = Dfa.from_table("ab", *raw)
    long_words = [w for n in (6, 7, 8, 9, 10, 11, 12) for w in itertools.product("ab", repeat=n) if w in dfa]
    # With at most six states a word of length 6 to 12 exists iff the language is infinite (pumping lemma).
    assert dfa.is_finite() == (not long_words)
    short = sorted((w for w in SHORT if w in dfa), key=lambda w: (len(w), w))
    if dfa.is_empty():
        assert not short
        with pytest.raises(EmptyLanguageError):
            dfa.shortest_word()
    else:
        assert dfa.shortest_word() == short[0]
    for q in range(dfa.n_states):
        reach = {q}
        for _ in range(dfa.n_states):
            reach |= {t for p in reach for t in dfa.semiautomaton.table[p]}
        assert (q in dfa.live) == bool(reach & dfa.accepting)
    assert dfa.dead is None or dfa.dead not in dfa.live


def test_a_long_chain_is_minimised_in_time() -> None:
    n = 30_000
    table = [[min(q + 1, n)] for q in range(n + 1)]
    assert Dfa.from_table("a", table, 0, [n - 1]).n_states == n + 1


def test_names_follow_states() -> None:
    dfa = Dfa.from_table("a", [[1], [2], [1]], 0, [0], ["start", "odd", "even"])
    assert dfa.n_states == 2
    assert dfa.names == ("start", "odd")
    with pytest.raises(LanguageFormatError, match="2 names for 1 states"):
        Dfa.from_table("a", [[0]], 0, [], ["x", "y"])


def test_values_are_immutable_and_picklable() -> None:
    dfa = Dfa.universal("ab")
    with pytest.raises(AttributeError):
        dfa.initial = 3  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        dfa.semiautomaton.array[0, 0] = 1
    assert pickle.loads(pickle.dumps(dfa)) == dfa
    error = pickle.loads(pickle.dumps(BudgetExceededError("things", 3, 2)))
    assert (error.what, error.reached, error.limit) == ("things", 3, 2)


@pytest.mark.parametrize("bad", [[""], ["a", "a"], ["<eos>"], ["x<bos>"], ["\ud800"], [3]])
def test_bad_symbols(bad: list[str]) -> None:
    with pytest.raises(AlphabetError):
        check_alphabet(bad)


@pytest.mark.parametrize(
    ("table", "initial", "accepting"),
    [([[0, 0], [0]], 0, []), ([[2, 0], [0, 0]], 0, []), ([[0, 0]], 1, []), ([[0, 0]], 0, [4]), ([[-1, 0]], 0, [])],
)
def test_bad_tables(table: list[list[int]], initial: int, accepting: list[int]) -> None:
    with pytest.raises(LanguageFormatError):
        Dfa.from_table("ab", table, initial, accepting)
    with pytest.raises(LanguageFormatError, match="at least one state"):
        Semiautomaton(("a",), ())


def test_foreign_symbols_and_alphabets() -> None:
    dfa = Dfa.universal("ab")
    with pytest.raises(UnknownSymbolError, match="'c'"):
        dfa.accepts("abc")
    with pytest.raises(AlphabetError, match="differ"):
        dfa & Dfa.universal("abc")
    with pytest.raises(AlphabetError, match="misses"):
        dfa.over(("a",))
    with pytest.raises(AlphabetError, match="differ"):
        dfa.then(Dfa.universal("abc"))


def test_budgets() -> None:
    ends = Dfa.from_words("ab", ["a" + "".join(w) for w in itertools.product("ab", repeat=8)])
    with pytest.raises(BudgetExceededError, match="subset states") as caught:
        Dfa.universal("ab").then(ends, Budget(items=20))
    assert caught.value.limit == 20
    assert caught.value.reached == 21
    assert caught.value.as_json()["error"] == "budget exceeded"
    with pytest.raises(BudgetExceededError, match="product states"):
        ends.product(ends.star(), lambda p, q: p and q, Budget(items=3))
    with pytest.raises(BudgetExceededError, match="seconds"):
        Dfa.universal("ab").then(ends, Budget(seconds=-1.0))
    running = Budget(seconds=0.0).running()  # for all searches together, from now on
    assert running.running() is running
    halves = [Budget(seconds=limit).half() for limit in (8.0, None)]
    assert [(b.seconds, b.started is None) for b in halves] == [(4.0, False), (None, False)]
    assert running.half().over
    with pytest.raises(BudgetExceededError, match="seconds"):
        Dfa.universal("ab").then(ends, running)


@pytest.mark.parametrize("n", [100, 2_000])  # by Hopcroft's rounds; by rounds for all states, and then by his
def test_minimising_looks_at_the_clock(clock: Clock, n: int) -> None:
    chain = [[min(q + 1, n - 1)] for q in range(n)]
    assert Dfa.from_table("a", chain, 0, [n - 1], clock=Budget(seconds=2 * n).meter("states")).n_states == n
    assert clock.looks > 10
    with pytest.raises(BudgetExceededError, match="seconds"):
        Dfa.from_table("a", chain, 0, [n - 1], clock=Budget(seconds=clock.looks // 2).meter("states"))


def test_words_as_people_type_them() -> None:
    assert parse_word("ab ba\n", ("a", "b")) == ("a", "b", "b", "a")
    assert parse_word("", ("a", "b")) == ()
    assert parse_word("  push  pop ", ("push", "pop")) == ("push", "pop")
    assert format_word(("push", "pop"), ("push", "pop")) == "push pop"
    assert format_word(("a", "b"), ("a", "b")) == "ab"
    assert parse_word("a  b", ("a", "b", " ")) == ("a", " ", " ", "b")  # a blank that is a symbol, and one that is not
    assert parse_word("a\tb c", ("a", "b", "c", "\t")) == ("a", "\t", "b", "c")
    odd = ("New York", " ", "\\", "x\n", "\x80")
    assert format_word(odd, odd) == "New\\x20York \\x20 \\\\ x\\n \x80"
    assert parse_word(format_word(odd, odd), odd) == odd
    assert parse_alphabet(r"a \x20 x\ty \u00e9 \q \ ") == ("a", " ", "x\ty", "é", "\\q", "\\")
    assert shown_word(("\t", "a"), ("\t", "a", "\x80")) == '"\\ta"'
    with pytest.raises(UnknownSymbolError, match="position 1"):
        parse_word("ac", ("a", "b"))
    with pytest.raises(UnknownSymbolError):
        parse_word("pushpop", ("push", "pop"))
