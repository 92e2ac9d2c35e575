"""Where a formula holds in a finite word, straight from the textbook's definitions: the ground truth of this package.

Nothing here is clever, and nothing that turns formulas into automata or models uses it.

A formula is judged at a position. Outside the word nothing holds but what holds for want of positions: atoms,
``first``, ``last``, ``X``, ``Y``, ``F``, ``O``, ``U``, ``S`` and ``M`` are false there, ``N``, ``Z``, ``G``, ``H``,
``R``, ``T`` and ``W`` true. So each formula has a value on the empty word.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from .tree import Atom, Constant, Formula

Trace = Sequence[Set[str]]
"""For each position the atoms that are true there: one letter, or the propositions that the letter has."""


def holds(formula: Formula, trace: Trace, position: int) -> bool:
    """Whether a formula holds at a position (from 0; -1 is before the first). O(size * length^3), mostly less."""
    return _Values(trace).at(formula, position)


def accepts(formula: Formula, trace: Trace, at: str) -> bool:
    """Whether a formula holds at the first position ("first") or at the last one ("last") of a word."""
    return holds(formula, trace, 0 if at == "first" else len(trace) - 1)


class _Values:
    """The truth values of formulas in one word, each worked out once."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.known: dict[tuple[int, int], bool] = {}

    def at(self, formula: Formula, i: int) -> bool:
        """The value at position i."""
        key = id(formula), i
        if key not in self.known:
            self.known[key] = self._at(formula, i)
        return self.known[key]

    def _at(self, formula: Formula, i: int) -> bool:
        n = len(self.trace)
        inside = 0 <= i < n
        if isinstance(formula, Atom):
            return inside and formula.name in self.trace[i]
        if isinstance(formula, Constant):
            ends = {"first": inside and i == 0, "last": inside and i == n - 1}
            return ends.get(formula.name, formula.name == "true")
        parts, (left, right) = formula.parts, (formula.parts[0], formula.parts[-1])
        later, earlier = (range(i, n), range(i + 1)) if inside else (range(0), range(0))

        def lhs(j: int) -> bool:
            return self.at(left, j)

        def rhs(j: int) -> bool:
            return self.at(right, j)

        match formula.operator:
            case "!":
                return not lhs(i)
            case "&":
                return all(self.at(part, i) for part in parts)
            case "|":
                return any(self.at(part, i) for part in parts)
            case "->":
                return not lhs(i) or rhs(i)
            case "<->":
                return lhs(i) == rhs(i)
            case "^":
                return lhs(i) != rhs(i)
            case "X":
                return inside and i + 1 < n and lhs(i + 1)
            case "N":
                return not (inside and i + 1 < n) or lhs(i + 1)
            case "F":
                return any(lhs(k) for k in later)
            case "G":
                return all(lhs(k) for k in later)
            case "U":
                return any(rhs(k) and all(lhs(j) for j in range(i, k)) for k in later)
            case "W":
                return any(rhs(k) and all(lhs(j) for j in range(i, k)) for k in later) or all(lhs(k) for k in later)
            case "R":
                return all(rhs(k) or any(lhs(j) for j in range(i, k)) for k in later)
            case "M":
                return any(lhs(k) and all(rhs(j) for j in range(i, k + 1)) for k in later)
            case "Y":
                return inside and i >= 1 and lhs(i - 1)
            case "Z":
                return not (inside and i >= 1) or lhs(i - 1)
            case "O":
                return any(lhs(k) for k in earlier)
            case "H":
                return all(lhs(k) for k in earlier)
            case "S":
                return any(rhs(k) and all(lhs(j) for j in range(k + 1, i + 1)) for k in earlier)
            case "T":
                return all(rhs(k) or any(lhs(j) for j in range(k + 1, i + 1)) for k in earlier)
        raise AssertionError(f"{formula.operator} is no operator")
