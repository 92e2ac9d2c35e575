"""Named regular languages: the regular part of the suite of Bhattamishra, Ahuja and Goyal (2020), the flip-flop
language of Liu et al. (2023), bounded Dyck languages of Hewitt et al. (2020), and the semiautomata O_n.

Each is written from its definition, as a machine whose states say what has to be remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from .bounded_dyck import bracket_pairs
from .budget import DEFAULT_BUDGET, Budget
from .dfa import Dfa
from .search import numbered
from .semiautomaton import Semiautomaton

State = TypeVar("State", bound=Hashable)


def explore(
    alphabet: Sequence[str],
    start: State,
    step: Callable[[State, str], State | None],
    accepts: Callable[[State], bool],
    name: Callable[[State], str] = str,
    budget: Budget = DEFAULT_BUDGET,
) -> Dfa:
    """The DFA of a machine given by its step function; ``None`` is the dead state. O(states * letters) steps.

    Args:
        alphabet: the symbols in order.
        start: the initial state.
        step: the state after a state and a symbol.
        accepts: whether a state is accepting.
        name: what a state is called.
        budget: limit on the number of states.

    Raises:
        BudgetExceededError: more reachable states than the budget allows.

    >>> explore("ab", 0, lambda n, s: n + 1 if s == "a" and n < 2 else None, lambda n: n == 2).shortest_word()
    ('a', 'a')
    """

    def successors(state: State | None) -> list[State | None]:
        return [None if state is None else step(state, symbol) for symbol in alphabet]

    first: State | None = start
    states, table = numbered(first, successors, budget.meter("states"))
    goals = [i for i, state in enumerate(states) if state is not None and accepts(state)]
    names = ["dead" if state is None else name(state) for state in states]
    return Dfa.from_table(tuple(alphabet), table, 0, goals, names)


# -- the languages ---------------------------------------------------------------------------------------------------


def parity() -> Dfa:
    """Words over 0, 1 with an even number of 1s."""
    return explore("01", 0, lambda ones, s: (ones + (s == "1")) % 2, lambda ones: ones == 0)


def tomita(number: int) -> Dfa:
    """The languages of Tomita (1982), over 0, 1.

    1: 1*. 2: (10)*. 3: no maximal odd run of 1s directly followed by a maximal odd run of 0s. 4: no factor 000.
    5: an even number of 0s and an even number of 1s. 6: the numbers of 0s and of 1s agree modulo 3. 7: 0*1*0*1*.

    Raises:
        ValueError: ``number`` is not one of 1..7.
    """
    languages: dict[int, Callable[[], Dfa]] = {
        1: lambda: repetition("1", "01"),
        2: lambda: repetition("10", "01"),
        3: _tomita_3,
        4: lambda: explore("01", 0, lambda zeros, s: 0 if s == "1" else (zeros + 1 if zeros < 2 else None), _always),
        5: lambda: explore("01", (0, 0), _count_parities, lambda q: q == (0, 0)),
        6: lambda: explore("01", 0, lambda d, s: (d + (1 if s == "0" else -1)) % 3, lambda d: d == 0),
        7: lambda: explore("01", 0, _next_block, _always),
    }
    if number not in languages:
        raise ValueError(f"there is no Tomita language number {number}; choose one of 1..7")
    return languages[number]()


def _joined(parts: tuple[str, ...]) -> str:
    return "".join(parts) or "-"


def _always(state: object) -> bool:
    return True


def _count_parities(state: tuple[int, int], symbol: str) -> tuple[int, int]:
    zeros, ones = state
    return (1 - zeros, ones) if symbol == "0" else (zeros, 1 - ones)


def _next_block(block: int, symbol: str) -> int | None:
    """0*1*0*1*: block number i consists of the symbol i mod 2; the word moves on when the symbol changes."""
    moved = block + (int(symbol) != block % 2)
    return moved if moved < 4 else None


def _tomita_3() -> Dfa:
    """State: the present run, "1" or "0", its parity, and whether a run of 0s follows an odd run of 1s.

    A run of 0s that follows no odd run of 1s needs no watching: it is like an even run of 1s.
    """

    def step(state: tuple[str, int], symbol: str) -> tuple[str, int] | None:
        run, odd = state
        if symbol == run:
            return run, 1 - odd
        if symbol == "1":
            return None if odd else ("1", 1)
        return ("0", 1) if odd else ("1", 0)

    return explore("01", ("1", 0), step, lambda state: state != ("0", 1), lambda state: f"{state[0]}{state[1]}")


def repetition(word: str, alphabet: Sequence[str] = ()) -> Dfa:
    """The powers of one non-empty word: (word)*.

    Args:
        word: of single-character symbols.
        alphabet: by default the symbols of the word, sorted.
    """
    if not word:
        raise ValueError("the word to repeat is empty; give one with symbols")

    def step(position: int, symbol: str) -> int | None:
        return (position + 1) % len(word) if symbol == word[position] else None

    return explore(alphabet or sorted(set(word)), 0, step, lambda position: position == 0)


def mod_length(modulus: int) -> Dfa:
    """Words over the one letter a whose length is divisible by ``modulus``."""
    return repetition("a" * modulus)


def d_n(depth: int) -> Dfa:
    """D_0 = {empty word}, D_n = (a D_{n-1} b)*: a opens, b closes, balanced, depth at most n. n + 2 states."""
    return explore("ab", 0, partial(_nest, depth), lambda d: d == 0)


def _nest(most: int, depth: int, symbol: str) -> int | None:
    after = depth + (1 if symbol == "a" else -1)
    return after if 0 <= after <= most else None


def ascending_runs(alphabet: str = "abcde") -> Dfa:
    """Each symbol at least once, in order: aa*bb*cc*dd*ee*."""

    def step(seen: int, symbol: str) -> int | None:
        place = alphabet.index(symbol)
        return place + 1 if place in (seen - 1, seen) else None

    return explore(alphabet, 0, step, lambda seen: seen == len(alphabet))


def one_divider() -> Dfa:
    """{a,b}*d{b,c}* over a, b, c, d. State: whether the d has come."""

    def step(divided: bool, symbol: str) -> bool | None:
        if symbol == "d":
            return None if divided else True
        return divided if symbol in ("bc" if divided else "ab") else None

    return explore("abcd", False, step, bool)


def zero_then_twos() -> Dfa:
    """{0,1,2}*02* over 0, 1, 2. State: whether the word so far ends in a 0 and then only 2s."""
    return explore("012", False, lambda good, s: s == "0" or (good and s == "2"), bool)


def flip_flop() -> Dfa:
    """(instruction bit)* over w, r, i, 0, 1 (Liu et al. 2023).

    The first instruction is w (write); the bit after r (read) is the bit after the last w; the bit after i (ignore)
    is free. State: the instruction whose bit is due, or "-", and the bit written last, or "-".
    """

    def step(state: tuple[str, str], symbol: str) -> tuple[str, str] | None:
        due, bit = state
        if due == "-":
            if symbol not in "wri" or (bit == "-" and symbol != "w"):
                return None
            return symbol, "-" if symbol == "w" else bit
        if symbol not in "01" or (due == "r" and symbol != bit):
            return None
        return "-", symbol if due == "w" else bit

    return explore("wri01", ("-", "-"), step, lambda state: state[0] == "-", _joined)


def dyck(kinds: int, depth: int, budget: Budget = DEFAULT_BUDGET) -> Dfa:
    """Dyck_{K,h}: balanced words over K kinds of brackets, nested at most h deep, as an explicit DFA.

    The symbols are ``( ) [ ] { } < >`` for up to four kinds and ``(1 )1 (2 )2`` and so on for more. A state is the
    stack of open brackets, and is named by it; there are (K^(h+1) - 1) / (K - 1) + 1 with the dead one.

    Raises:
        ValueError: no kind, or a negative depth.
        BudgetExceededError: more states than the budget allows.
    """
    if kinds < 1 or depth < 0:
        raise ValueError(f"Dyck_{{{kinds},{depth}}} does not exist; give at least one kind and a depth of 0 or more")
    pairs = bracket_pairs(kinds)
    closer = dict(pairs)
    empty: tuple[str, ...] = ()

    def step(stack: tuple[str, ...], symbol: str) -> tuple[str, ...] | None:
        if symbol in closer:
            return (*stack, symbol) if len(stack) < depth else None
        return stack[:-1] if stack and closer[stack[-1]] == symbol else None

    symbols = [symbol for pair in pairs for symbol in pair]
    return explore(symbols, empty, step, lambda stack: not stack, _joined, budget)


def order_preserving(points: int) -> Semiautomaton:
    """O_n: the semiautomaton on points 1..n (states 0..n-1) that generates the order-preserving maps.

    Letters u_i: i -> i+1 and d_i: i+1 -> i for i = 1..n-1, all other points fixed; first all u, then all d.

    Raises:
        ValueError: no point.
    """
    if points < 1:
        raise ValueError(f"O_{points} does not exist; give at least one point")
    moves = [(i, i + 1) for i in range(points - 1)] + [(i + 1, i) for i in range(points - 1)]
    alphabet = [f"{name}{i}" for name in "ud" for i in range(1, points)]
    table = [[target if q == source else q for source, target in moves] for q in range(points)]
    return Semiautomaton(tuple(alphabet), tuple(map(tuple, table)))


# -- the suite -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NamedLanguage:
    """A language of the suite with what is published about it.

    Args:
        name: as in the literature.
        build: makes the DFA.
        star_free: whether it is star-free.
        states: states of the minimal complete DFA, the dead one included.
        monoid: size of the transition monoid.
        empty_word: whether the empty word is in it.
    """

    name: str
    build: Callable[[], Dfa]
    star_free: bool
    states: int
    monoid: int
    empty_word: bool


SUITE: tuple[NamedLanguage, ...] = (
    NamedLanguage("Parity", parity, False, 2, 2, True),
    NamedLanguage("Tomita-1", partial(tomita, 1), True, 2, 2, True),
    NamedLanguage("Tomita-2", partial(tomita, 2), True, 3, 6, True),
    NamedLanguage("Tomita-3", partial(tomita, 3), False, 5, 26, True),
    NamedLanguage("Tomita-4", partial(tomita, 4), True, 4, 12, True),
    NamedLanguage("Tomita-5", partial(tomita, 5), False, 4, 4, True),
    NamedLanguage("Tomita-6", partial(tomita, 6), False, 3, 3, True),
    NamedLanguage("Tomita-7", partial(tomita, 7), True, 5, 9, True),
    NamedLanguage("(aa)*", partial(mod_length, 2), False, 2, 2, True),
    NamedLanguage("(aaaa)*", partial(mod_length, 4), False, 4, 4, True),
    NamedLanguage("(abab)*", partial(repetition, "abab"), False, 5, 10, True),
    NamedLanguage("D-2", partial(d_n, 2), True, 4, 15, True),
    NamedLanguage("D-3", partial(d_n, 3), True, 5, 31, True),
    NamedLanguage("D-4", partial(d_n, 4), True, 6, 56, True),
    NamedLanguage("D-12", partial(d_n, 12), True, 14, 820, True),
    NamedLanguage("aa*bb*cc*dd*ee*", ascending_runs, True, 7, 17, False),
    NamedLanguage("{a,b}*d{b,c}*", one_divider, True, 3, 5, False),
    NamedLanguage("{0,1,2}*02*", zero_then_twos, True, 2, 3, False),
    NamedLanguage("Flip-flop", flip_flop, True, 9, 81, True),
)
"""The regular languages of the suite."""
