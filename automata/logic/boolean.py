"""The Boolean operators of formulas in any Boolean algebra whose elements are numbers: nodes, or decision diagrams."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol


class Algebra(Protocol):
    """What negation, conjunction and disjunction are."""

    def negated(self, of: int) -> int:
        """The negation."""
        ...

    def all(self, parts: Iterable[int]) -> int:
        """The conjunction."""
        ...

    def any(self, parts: Iterable[int]) -> int:
        """The disjunction."""
        ...


def combined(operator: str, parts: Sequence[int], algebra: Algebra) -> int:
    """An operator of ``tree.BOOLEAN`` applied to elements."""
    match operator:
        case "!":
            return algebra.negated(parts[0])
        case "&":
            return algebra.all(parts)
        case "|":
            return algebra.any(parts)
        case "->":
            return algebra.any([algebra.negated(parts[0]), parts[1]])
    same = algebra.any([algebra.all(parts), algebra.all(map(algebra.negated, parts))])
    return same if operator == "<->" else algebra.negated(same)
