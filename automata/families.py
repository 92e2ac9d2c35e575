"""Named regular languages: the regular part of the suite of Bhattamishra, Ahuja and Goyal (2020), the flip-flop
language of Liu et al. (2023), bounded Dyck languages of Hewitt et al. (2020), and the semiautomata O_n.

Each is written as its definition is: as a regular expression, or as a machine whose states say what is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from .bounded_dyck import bracket_pairs, stack_dfa
from .budget import DEFAULT_BUDGET, Budget
from .dfa import Dfa
from .semiautomaton import Semiautomaton


def _read(expression: str, alphabet: Sequence[str]) -> Dfa:
    from .regex.regex import parse_regex  # which needs lark

    return parse_regex(expression, alphabet)


# -- the languages ---------------------------------------------------------------------------------------------------

PARITY = "0*(10*10*)*"
TOMITA = {
    1: "1*",
    2: "(10)*",
    3: "~((.*0)?1(11)*0(00)*(1.*)?)",
    4: "~(.*000.*)",
    5: f"{PARITY} & 1*(01*01*)*",
    6: "(10|(0|11)(01)*(1|00))*",
    7: "0*1*0*1*",
}


def parity() -> Dfa:
    """Words over 0, 1 with an even number of 1s."""
    return _read(PARITY, "01")


def tomita(number: int) -> Dfa:
    """The languages of Tomita (1982), over 0, 1.

    1: ``1*``. 2: ``(10)*``. 3: no maximal odd run of 1s directly followed by a maximal odd run of 0s. 4: no factor 000.
    5: an even number of 0s and an even number of 1s. 6: the numbers of 0s and of 1s agree modulo 3. 7: ``0*1*0*1*``.

    Raises:
        ValueError: ``number`` is not one of 1..7.
    """
    if number not in TOMITA:
        raise ValueError(f"there is no Tomita language number {number}; choose one of 1..7")
    return _read(TOMITA[number], "01")


def repetition(word: str) -> Dfa:
    """The powers of one non-empty word of single-character symbols, over these symbols, sorted: ``(word)*``."""
    if not word:
        raise ValueError("the word to repeat is empty; give one with symbols")
    return _read(f"({word})*", sorted(set(word)))


def mod_length(modulus: int) -> Dfa:
    """Words over the one letter a whose length is divisible by ``modulus``."""
    return repetition("a" * modulus)


def d_n(depth: int) -> Dfa:
    """D_0 = {empty word}, D_n = ``(a D_{n-1} b)*``: a opens, b closes, balanced, depth at most n. n + 2 states."""
    return _read("(a" * depth + "()" + "b)*" * depth, "ab")


def ascending_runs(alphabet: str = "abcde") -> Dfa:
    """Each symbol at least once, in order: ``aa*bb*cc*dd*ee*``."""
    return _read("".join(f"{symbol}+" for symbol in alphabet), alphabet)


def one_divider() -> Dfa:
    """``{a,b}*d{b,c}*`` over a, b, c, d."""
    return _read("[ab]*d[bc]*", "abcd")


def zero_then_twos() -> Dfa:
    """``{0,1,2}*02*`` over 0, 1, 2."""
    return _read(".*02*", "012")


def flip_flop() -> Dfa:
    """``(instruction bit)*`` over w, r, i, 0, 1 (Liu et al. 2023).

    The first instruction is w (write); the bit after r (read) is the bit after the last w; the bit after i (ignore)
    is free.
    """
    return _read("(w0(r0|i[01])* | w1(r1|i[01])*)*", "wri01")


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
    return stack_dfa(bracket_pairs(kinds), depth, budget)


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
    """A language of the suite.

    Args:
        name: as in the literature.
        build: makes the DFA.
        star_free: whether it is star-free.
    """

    name: str
    build: Callable[[], Dfa]
    star_free: bool = True


SUITE: tuple[NamedLanguage, ...] = (
    NamedLanguage("Parity", parity, False),
    *(NamedLanguage(f"Tomita-{n}", partial(tomita, n), n not in (3, 5, 6)) for n in TOMITA),
    *(NamedLanguage(f"({word})*", partial(repetition, word), False) for word in ("aa", "aaaa", "abab")),
    *(NamedLanguage(f"D-{n}", partial(d_n, n)) for n in (2, 3, 4, 12)),
    NamedLanguage("aa*bb*cc*dd*ee*", ascending_runs),
    NamedLanguage("{a,b}*d{b,c}*", one_divider),
    NamedLanguage("{0,1,2}*02*", zero_then_twos),
    NamedLanguage("Flip-flop", flip_flop),
)
"""The regular languages of the suite."""
