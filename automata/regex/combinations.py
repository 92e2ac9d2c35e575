"""Expressions with ``&`` and ``~`` on top as combinations of languages, not multiplied out."""

from __future__ import annotations

from collections.abc import Sequence

from ..alphabet import check_alphabet
from ..budget import DEFAULT_BUDGET, Budget
from ..combination import DEEPEST, Combination
from ..dfa import Dfa
from .dialects import parse_in
from .regex import named_alphabet, to_dfa
from .tree import Alternation, Complement, Intersection, Regex


def regex(
    text: str, alphabet: Sequence[str] | None = None, budget: Budget = DEFAULT_BUDGET, dialect: str = "scancraft"
) -> Dfa | Combination:
    """The language of an expression as it is written: a combination if ``&`` or ``~`` stands on top, else a DFA.

    On top means under ``&``, ``|`` and ``~`` only. A ``|`` between expressions without ``&`` and ``~`` on top is none.

    Args:
        text: the expression, in the syntax of :mod:`.regex` or of the dialect.
        alphabet: the symbols, in order; without it, every symbol that the expression names, sorted. ``.``, ``~`` and
            ``[^...]`` mean all of them.
        budget: see :func:`.regex.to_dfa`, which has the errors too.
        dialect: one of :class:`.dialects.Dialect`: scancraft, python, greenery, pyformlang.

    >>> print(regex("(a|b)*a & ~(ab)*"))
    all of (a DFA with 2 states, not (a DFA with 3 states))
    """
    ast = parse_in(dialect, text)
    name = text if dialect == "scancraft" else f"{text} (dialect {dialect})"
    if _height(ast) == 0 or _height(ast) > DEEPEST:
        return to_dfa(ast, alphabet, budget).told("regex", name)
    symbols = named_alphabet(ast, budget) if alphabet is None else check_alphabet(alphabet)
    return _combination(ast, symbols, budget).told("regex", name)


def _combination(node: Regex, alphabet: Sequence[str], budget: Budget) -> Dfa | Combination:
    if _height(node) == 0:
        return to_dfa(node, alphabet, budget)
    parts = tuple(_combination(part, alphabet, budget) for part in node.children)
    match node:
        case Complement():
            return Combination("not", parts)
        case Intersection():
            return Combination("all", parts)
        case _:
            return Combination("any", parts)


def _height(node: Regex) -> int:
    """How many Boolean operators stand inside each other on top; 0 if none but unions do. At most DEEPEST + 1."""
    height, found, level = 0, 0, [node]
    while level and height <= DEEPEST:
        height += 1
        if any(isinstance(n, Complement | Intersection) for n in level):
            found = height
        level = [c for n in level if isinstance(n, Complement | Intersection | Alternation) for c in n.children]
    return found if height <= DEEPEST else height
