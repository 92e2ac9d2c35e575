"""Formulas of temporal logic for tests: hypothesis strategies over the letters a, b, c."""

from __future__ import annotations

from itertools import product

from hypothesis import strategies as st

from scancraft.automata.logic.tree import Atom, Constant, Formula, Operation

LETTERS = "abc"
BOOLEAN = ("!", "&", "|", "->", "<->", "^")
PAST = ("Y", "Z", "O", "H", "S", "T")
FUTURE = ("X", "N", "F", "G", "U", "R", "W", "M")
UNARY = frozenset("!YZOHXNFG")
Formulas = st.SearchStrategy[Formula]


def words(longest: int) -> list[tuple[str, ...]]:
    """All words up to a length."""
    return [word for n in range(longest + 1) for word in product(LETTERS, repeat=n)]


def traces(word: tuple[str, ...]) -> list[set[str]]:
    """A word as the ground truth reads it: what is true at each position."""
    return [{letter} for letter in word]


def formulas(operators: tuple[str, ...], leaves: Formulas, size: int = 8) -> Formulas:
    """Formulas of these operators over these leaves."""
    unary = st.sampled_from([operator for operator in operators if operator in UNARY])
    binary = st.sampled_from([operator for operator in operators if operator not in UNARY])

    def applied(inner: Formulas) -> Formulas:
        one = st.builds(lambda operator, part: Operation(operator, (part,)), unary, inner)
        return one | st.builds(lambda operator, *parts: Operation(operator, parts), binary, inner, inner)

    return st.recursive(leaves, applied, max_leaves=size)


atoms: Formulas = st.sampled_from([*map(Atom, LETTERS), Constant("true"), Constant("first")])
past_formulas = formulas(BOOLEAN + PAST, atoms)
future_formulas = formulas(BOOLEAN + FUTURE, atoms | st.just(Constant("last")), 6)
mixed_formulas = formulas(BOOLEAN + FUTURE, formulas(BOOLEAN + PAST, atoms, 3), 5)
"""A past inside a future."""
