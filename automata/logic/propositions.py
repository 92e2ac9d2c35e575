"""Letters as sets of propositions: all of them, or one for each kind that a formula tells apart.

A letter is what is true at a position, written ``{p,q}``, and ``{}`` where nothing is. There are 2^n of them. With more
than ten propositions the alphabet has one letter for each way in which a formula's propositional parts can be true
together, a set with the fewest propositions, found by going through the propositions with decision diagrams: twenty
that occur as p1 | ... | p20 only are two letters. :meth:`Propositions.letter` says which letter stands for a set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from ..alphabet import check_alphabet
from ..budget import DEFAULT_BUDGET, Budget
from ..diagrams import FALSE, TRUE, Diagrams
from ..errors import AlphabetError, UnknownSymbolError
from .boolean import combined
from .tree import BOOLEAN, Atom, Constant, Formula, Operation, walk
from .truth import holds

MOST_SETS = 10
"""Up to so many propositions all sets of them are letters."""

_NAME = re.compile(r"[^\s{},]+")


@dataclass(frozen=True)
class Propositions:
    """The letters of a formula over propositions.

    Attributes:
        names: the propositions, in order.
        letters: for each letter of the alphabet, in order, the propositions that are true there.
        parts: the propositional formulas that are told apart, if not all sets are.
    """

    names: tuple[str, ...]
    letters: Mapping[str, frozenset[str]]
    parts: tuple[Formula, ...] = ()

    @property
    def alphabet(self) -> tuple[str, ...]:
        """The letters."""
        return tuple(self.letters)

    def check(self, formula: Formula) -> None:
        """Raise :class:`UnknownSymbolError` for a formula that names, or tells apart, more."""
        for part in walk(formula):
            if isinstance(part, Atom) and part.name not in self.names:
                shown = ", ".join(self.names)
                raise UnknownSymbolError(f"the formula names {part.name!r}, which is none of the propositions {shown}")
        if self.parts and not {*_propositional(formula)} <= {*self.parts}:
            raise UnknownSymbolError("these are the letters of another formula, which tells fewer apart")

    def symbols(self, name: str) -> frozenset[str]:
        """The letters at which a proposition is true."""
        return frozenset(letter for letter, true in self.letters.items() if name in true)

    def letter(self, true: Iterable[str]) -> str:
        """The letter that stands for a position at which these propositions are true, and no others.

        Raises:
            UnknownSymbolError: one of them is no proposition.
        """
        asked = frozenset(true)
        if strange := asked - set(self.names):
            raise UnknownSymbolError(f"{min(strange)!r} is no proposition; they are {', '.join(self.names) or 'none'}")
        return self._kinds[_kind(self.parts, asked)] if self.parts else spelt(self.names, asked)

    @cached_property
    def _kinds(self) -> Mapping[tuple[bool, ...], str]:
        return {_kind(self.parts, true): letter for letter, true in self.letters.items()}


def spelt(names: Sequence[str], true: Iterable[str]) -> str:
    """A set of propositions as a letter, in the order of the names."""
    held = set(true)
    return "{" + ",".join(name for name in names if name in held) + "}"


def propositions_of(
    formula: Formula, names: Sequence[str] | None = None, budget: Budget = DEFAULT_BUDGET
) -> Propositions:
    """The letters of a formula whose atoms are propositions.

    Args:
        formula: the formula.
        names: the propositions, in order; without them, those of the formula, sorted.
        budget: how many letters.

    Raises:
        AlphabetError: a proposition has white space, a comma or a brace in its name, or occurs twice.
        UnknownSymbolError: the formula has an atom that is none of them.
        BudgetExceededError: the formula tells more letters apart.
    """
    named = sorted({part.name for part in walk(formula) if isinstance(part, Atom)})
    known = check_alphabet(named if names is None else names)
    for name in known:
        if not _NAME.fullmatch(name):
            raise AlphabetError(f"the proposition {name!r} has white space, a comma or a brace; rename it")
    Propositions(known, {}).check(formula)
    if len(known) <= MOST_SETS:
        sets = [frozenset(true) for n in range(len(known) + 1) for true in combinations(known, n)]
        return Propositions(known, {spelt(known, true): true for true in sets})
    parts = _propositional(formula)
    found = _told_apart(parts, known, budget)
    return Propositions(known, {spelt(known, true): true for true in found}, parts)


def _kind(parts: Sequence[Formula], true: frozenset[str]) -> tuple[bool, ...]:
    return tuple(holds(part, [true], 0) for part in parts)


def _propositional(formula: Formula) -> tuple[Formula, ...]:
    """The largest parts that speak of one letter only."""
    found: dict[Formula, None] = {}
    todo = [formula]
    while todo:
        part = todo.pop()
        if all(_is_plain(inner) for inner in walk(part)):
            found[part] = None
        elif isinstance(part, Operation):
            todo += part.parts
    return tuple(found)


def _is_plain(part: Formula) -> bool:
    if isinstance(part, Constant):
        return part.name in ("true", "false")
    return isinstance(part, Atom) or part.operator in BOOLEAN


def _told_apart(parts: Sequence[Formula], names: Sequence[str], budget: Budget) -> list[frozenset[str]]:
    """A least set of propositions for each way in which the parts can be true together."""
    meter = budget.meter("letters that the formula tells apart")
    diagrams = Diagrams[str](dict.fromkeys(names, (False, True)), budget)
    layer: dict[tuple[int, ...], tuple[str, ...]] = {tuple(_diagram(part, diagrams) for part in parts): ()}
    for name in names:
        below: dict[tuple[int, ...], tuple[str, ...]] = {}
        for functions, true in layer.items():
            for value, more in ((False, true), (True, (*true, name))):
                left = tuple(_given(function, name, value, diagrams) for function in functions)
                if left not in below:
                    meter.tick()
                    below[left] = more
                elif len(more) < len(below[left]):
                    below[left] = more
        layer = below
    return sorted(map(frozenset, layer.values()), key=lambda true: (len(true), [names.index(n) for n in sorted(true)]))


def _given(function: int, name: str, value: bool, diagrams: Diagrams[str]) -> int:
    """A function where a proposition, which no diagram looks at before others that are left, has a value."""
    if function in (FALSE, TRUE) or diagrams.node(function)[0] != name:
        return function
    return next(child for values, child in diagrams.node(function)[1] if value in values)


def _diagram(part: Formula, diagrams: Diagrams[str]) -> int:
    """A propositional formula as a diagram."""
    match part:
        case Atom(name):
            return diagrams.literal(name, [True])
        case Constant(name):
            return TRUE if name == "true" else FALSE
    return combined(part.operator, [_diagram(inner, diagrams) for inner in part.parts], diagrams)
