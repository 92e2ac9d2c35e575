"""The named languages, against predicates and closures written from their definitions."""

import itertools
import re
from collections.abc import Callable, Sequence
from functools import partial

import pytest
from examples import example
from monoid import is_aperiodic_by_monoid, transition_monoid

from scancraft import Budget, BudgetExceededError, Dfa
from scancraft.automata.families import (
    SUITE,
    NamedLanguage,
    d_n,
    dyck,
    mod_length,
    order_preserving,
    repetition,
    tomita,
)

Member = Callable[[str], bool]


def no_odd_ones_before_odd_zeros(word: str) -> bool:
    runs = [(symbol, len(list(run))) for symbol, run in itertools.groupby(word)]
    return not any(a == "1" and m % 2 and n % 2 for (a, m), (_, n) in itertools.pairwise(runs))


def balanced(word: str, pairs: Sequence[str], most: int = 10**9) -> bool:
    """Of each pair on its own: balanced, with no prefix deeper than this."""
    for opening, closing in pairs:
        depths = [word[:i].count(opening) - word[:i].count(closing) for i in range(len(word) + 1)]
        if min(depths) < 0 or max(depths) > most or depths[-1]:
            return False
    return True


def flip_flop_by_definition(word: str) -> bool:
    if len(word) % 2:
        return False
    instructions, bits = word[::2], word[1::2]
    if not set(instructions) <= set("wri") or not set(bits) <= set("01"):
        return False
    if instructions and instructions[0] != "w":
        return False
    for i, instruction in enumerate(instructions):
        if instruction == "r" and bits[i] != bits[instructions.rindex("w", 0, i)]:
            return False
    return True


def expression(word: str, arities: dict[str, int]) -> bool:
    """One prefix expression, by how many more are due."""
    due = 1
    for symbol in word:
        if due == 0:
            return False
        due += arities[symbol] - 1
    return due == 0


def blocks(word: str, alphabet: str) -> bool:
    n = len(word) // len(alphabet)
    return n >= 1 and word == "".join(symbol * n for symbol in alphabet)


def matches(pattern: str) -> Member:
    return lambda word: re.fullmatch(pattern, word) is not None


ARITIES = {"0": 0, "1": 0, "~": 1, "+": 2, ">": 3, "*": 4, "^": 5}
REGULAR: dict[str, Member] = {
    "Parity": lambda w: w.count("1") % 2 == 0,
    "Tomita-1": lambda w: "0" not in w,
    "Tomita-2": lambda w: w == "10" * (len(w) // 2),
    "Tomita-3": no_odd_ones_before_odd_zeros,
    "Tomita-4": lambda w: "000" not in w,
    "Tomita-5": lambda w: w.count("0") % 2 == 0 and w.count("1") % 2 == 0,
    "Tomita-6": lambda w: (w.count("0") - w.count("1")) % 3 == 0,
    "Tomita-7": matches("0*1*0*1*"),
    "(aa)*": lambda w: len(w) % 2 == 0,
    "(aaaa)*": lambda w: len(w) % 4 == 0,
    "(abab)*": matches("(abab)*"),
    **{f"D-{n}": partial(balanced, pairs=["ab"], most=n) for n in (2, 3, 4, 12)},
    "aa*bb*cc*dd*ee*": matches("aa*bb*cc*dd*ee*"),
    "{a,b}*d{b,c}*": matches("[ab]*d[bc]*"),
    "{0,1,2}*02*": matches("[012]*02*"),
    "Flip-flop": flip_flop_by_definition,
}
COUNTING: dict[str, Member] = {
    "Dyck-1": partial(balanced, pairs=["()"]),
    "Shuffle-2": partial(balanced, pairs=["()", "[]"]),
    "Shuffle-4": partial(balanced, pairs=["()", "[]", "{}", "<>"]),
    "Boolean-3": partial(expression, arities=ARITIES),
    "Boolean-5": partial(expression, arities=ARITIES),
    **{name: partial(blocks, alphabet=name[::4]) for name in ("a^n b^n", "a^n b^n c^n", "a^n b^n c^n d^n")},
}
SIZES = "2 2, 2 2, 3 6, 5 26, 4 12, 4 4, 3 3, 5 9, 2 2, 4 4, 5 10, 4 15, 5 31, 6 56, 14 820, 7 17, 3 5, 2 3, 9 81"
PUBLISHED = {name: tuple(map(int, two.split())) for name, two in zip(REGULAR, SIZES.split(","), strict=True)}
"""States of the minimal complete DFA, and elements of its transition monoid."""


def test_the_suite_is_the_regular_part_of_the_table() -> None:
    assert len(SUITE) == 19
    assert set(REGULAR) == {language.name for language in SUITE}


@pytest.mark.parametrize("language", SUITE, ids=lambda language: language.name)
def test_published_numbers(language: NamedLanguage) -> None:
    dfa = language.build()
    assert (dfa.n_states, len(transition_monoid(dfa.semiautomaton))) == PUBLISHED[language.name]
    assert is_aperiodic_by_monoid(dfa.semiautomaton) == language.star_free


@pytest.mark.parametrize("name", REGULAR | COUNTING)
def test_membership_on_all_short_words(name: str) -> None:
    language, member = example(name).language, (REGULAR | COUNTING)[name]
    letters, length = len(language.alphabet), 0
    while letters ** (length + 1) <= 7000 and length < 40:
        length += 1
    for n in range(length + 1):
        for word in itertools.product(language.alphabet, repeat=n):
            assert language.accepts(word) == member("".join(word)), word


@pytest.mark.parametrize("depth", range(6))
def test_d_n_follows_its_recursive_definition(depth: int) -> None:
    expected = Dfa.from_words("ab", [""])
    for _ in range(depth):
        expected = (Dfa.from_words("ab", ["a"]) + expected + Dfa.from_words("ab", ["b"])).star()
    assert d_n(depth) == expected
    assert d_n(depth).n_states == depth + 2


def test_deep_nesting_is_watched() -> None:
    assert d_n(12).accepts("a" * 12 + "b" * 12)
    assert not d_n(12).accepts("a" * 13 + "b" * 13)


def erased(word: tuple[str, ...], pairs: dict[str, str]) -> bool:
    """Whether a bracket word is balanced, by erasing adjacent pairs until none is left."""
    for i in range(len(word) - 1):
        if pairs.get(word[i]) == word[i + 1]:
            return erased(word[:i] + word[i + 2 :], pairs)
    return not word


@pytest.mark.parametrize(
    ("kinds", "depth", "length"), [(1, 0, 6), (1, 3, 10), (2, 2, 6), (3, 2, 4), (5, 1, 4), (5, 2, 4)]
)
def test_dyck(kinds: int, depth: int, length: int) -> None:
    dfa = dyck(kinds, depth)
    opening, closing = dfa.alphabet[::2], dfa.alphabet[1::2]
    pairs = dict(zip(opening, closing, strict=True))
    for n in range(length + 1):
        for word in itertools.product(dfa.alphabet, repeat=n):
            deepest = max(sum(1 if s in pairs else -1 for s in word[:i]) for i in range(n + 1))
            assert dfa.accepts(word) == (erased(word, pairs) and deepest <= depth), word
    assert dfa.n_states == sum(kinds**i for i in range(depth + 1)) + 1


def test_dyck_symbols() -> None:
    assert dyck(1, 1).alphabet == ("(", ")")
    assert dyck(4, 1).alphabet == tuple("()[]{}<>")
    assert dyck(5, 1).alphabet[:4] == ("(1", ")1", "(2", ")2")
    assert dyck(8, 3).n_states == (8**4 - 1) // 7 + 1
    assert dyck(2, 2).names[:2] == ("-", "(")


@pytest.mark.parametrize("points", range(1, 7))
def test_order_preserving(points: int) -> None:
    o_n = order_preserving(points)
    assert (o_n.n_states, o_n.n_letters) == (points, 2 * (points - 1))
    for i in range(1, points):
        for q in range(1, points + 1):
            assert o_n.run(q - 1, [f"u{i}"]) + 1 == (i + 1 if q == i else q)
            assert o_n.run(q - 1, [f"d{i}"]) + 1 == (i if q == i + 1 else q)
    # It generates exactly the monotone maps of a chain.
    found = {element.action for element in transition_monoid(o_n)}
    assert found == set(itertools.combinations_with_replacement(range(points), points))


def test_impossible_members_of_a_family_are_refused() -> None:
    for build in (lambda: tomita(8), lambda: repetition(""), lambda: mod_length(0), lambda: dyck(0, 1)):
        with pytest.raises(ValueError, match=r"choose|give"):
            build()
    with pytest.raises(ValueError, match="O_0"):
        order_preserving(0)
    with pytest.raises(BudgetExceededError, match="states"):
        dyck(8, 10, Budget(items=1000))
