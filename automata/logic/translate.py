"""Formulas as past formulas in normal form: past ones operator by operator, future ones where a past one says the same.

A future formula is judged at the first position, a past one at the last. The question "does ``f`` hold at some position
where ``s`` does?", asked at the end of the word, is often a past formula again; write it E(s, f):

    E(s, p)        O (s & p)                                  p a past formula
    E(s, f | g)    E(s, f) | E(s, g)
    E(s, p & f)    E(s & p, f)
    E(s, X f)      E(Y s, f)
    E(s, N f)      E(Y s, f) | s
    E(s, p U f)    E(s | Y (p S (s & p)), f)                  where p has held from some s until just before
    E(s, f R p)    (p S (s & p)) | E(s, p U (f & p))
    E(s, f & g)    by the laws that bring f & g to one operator
    E(s, f)        O s & !E(s, !f)                            where s holds once at most, as ``first`` does

G (p -> F q), say, is ! E(letter, p & G !q) = ! (!q S (p & !q)). The patterns of Dwyer, Avrunin and Corbett (ICSE 1999)
in all their scopes, Boolean combinations of them, and much else can be said so; what cannot is named
(:class:`NotPastError`), and goes by an automaton.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from ..alphabet import BOS
from ..budget import DEFAULT_BUDGET, Budget
from ..errors import ScancraftError
from .boolean import combined
from .nodes import Nodes
from .past import PastLtl
from .tree import BOOLEAN, Atom, Constant, Formula, Operation, looks_ahead
from .truth import accepts


class NotPastError(ScancraftError):
    """No past formula was found that says the same."""


@dataclass(frozen=True)
class _Future:
    """A formula in negation normal form, whose leaves are past formulas.

    Attributes:
        operator: ``&``, ``|``, ``X``, ``N``, ``U`` or ``R``.
        parts: the numbers of past formulas, or futures; at least one is a future, but for the temporal operators.
    """

    operator: str
    parts: tuple[_Part, ...]


_Part = int | _Future


def past_ltl(
    formula: Formula,
    alphabet: Sequence[str],
    letters: Mapping[str, Set[str]],
    at: str,
    budget: Budget = DEFAULT_BUDGET,
) -> PastLtl:
    """The words at whose first or last position a formula holds, as the words at whose last a past one does.

    Args:
        formula: in it no future operator stands inside a past one.
        alphabet: the symbols.
        letters: for each atom the symbols of which it is true.
        at: "first" or "last".
        budget: how many steps.

    Raises:
        NotPastError: none was found.
        BudgetExceededError: it takes more steps than the budget allows.
    """
    translation = _Translation(Nodes(alphabet), letters, budget)
    number = translation.at_last(formula) if at == "last" else translation.at_first(formula)
    return translation.nodes.language(number)


def past_number(formula: Formula, nodes: Nodes, letters: Mapping[str, Set[str]]) -> int:
    """The number of a past formula among nodes; what was not there is added.

    Args:
        formula: without a future.
        nodes: where it goes.
        letters: for each atom the symbols of which it is true.
    """
    return _Translation(nodes, letters, DEFAULT_BUDGET).past(formula)


class _Translation:
    def __init__(self, nodes: Nodes, letters: Mapping[str, Set[str]], budget: Budget) -> None:
        self.nodes, self.letters = nodes, letters
        self.meter = budget.meter("steps of a translation to the past")
        self._past: dict[Formula, int] = {}
        self._last: dict[Formula, int] = {}

    # -- formulas at a position ----------------------------------------------------------------------------------------

    def past(self, formula: Formula) -> int:
        """A past formula."""
        if formula not in self._past:
            self.meter.tick()
            self._past[formula] = self._normal(formula)
        return self._past[formula]

    def _normal(self, formula: Formula) -> int:
        n = self.nodes
        match formula:
            case Atom(name):
                return n.letters(self.letters[name])
            case Constant(name):
                return {"true": n.true, "false": n.false, "first": n.first}[name]
        parts = [self.past(part) for part in formula.parts]
        if formula.operator in BOOLEAN:
            return combined(formula.operator, parts, n)
        left, right = parts[0], parts[-1]
        match formula.operator:
            case "Y":
                return n.yesterday(left)
            case "Z":
                return n.negated(n.yesterday(n.negated(left)))
            case "O":
                return n.once(left)
            case "H":
                return n.negated(n.once(n.negated(left)))
            case "S":
                return n.since(left, right)
            case "T":
                return n.negated(n.since(n.negated(left), n.negated(right)))
        raise AssertionError(f"{formula.operator} is no past operator")

    def at_last(self, formula: Formula) -> int:
        """Any formula at the last position, where there is no future."""
        if formula not in self._last:
            self.meter.tick()
            self._last[formula] = self._at_last(formula)
        return self._last[formula]

    def _at_last(self, formula: Formula) -> int:
        if not looks_ahead(formula):
            return self.past(formula)
        n = self.nodes
        if isinstance(formula, Constant):  # ``last``
            return n.here
        assert isinstance(formula, Operation)
        parts = [self.at_last(part) for part in formula.parts]
        if formula.operator in BOOLEAN:
            return combined(formula.operator, parts, n)
        left, right = parts[0], parts[-1]
        outside = n.letters({BOS})
        match formula.operator:
            case "X":
                return n.false
            case "N":
                return n.true
            case "F":
                return n.all([left, n.here])
            case "G":
                return n.any([left, outside])
            case "U":
                return n.all([right, n.here])
            case "R":
                return n.any([right, outside])
            case "W":
                return n.any([left, right, outside])
            case "M":
                return n.all([left, right, n.here])
        raise AssertionError(f"{formula.operator} is no future operator")

    def at_first(self, formula: Formula) -> int:
        """Any formula at the first position, asked for at the last."""
        self.meter.tick()
        n = self.nodes
        if isinstance(formula, Operation) and formula.operator in BOOLEAN:
            return combined(formula.operator, [self.at_first(part) for part in formula.parts], n)
        # Of the empty word, which has no first position, E says no. Either the formula or its negation may be easier.
        empty = accepts(formula, [], "first")
        try:
            found = self.exists(n.first, self.future(formula, not empty), unique=True)
            return n.negated(found) if empty else found
        except NotPastError:
            found = self.exists(n.first, self.future(formula, empty), unique=True)
            return n.any([found, n.letters({BOS})]) if empty else n.all([n.here, n.negated(found)])

    # -- negation normal form ------------------------------------------------------------------------------------------

    def future(self, formula: Formula, holds: bool) -> _Part:
        """A formula, or its negation, with the negations inside."""
        self.meter.tick()
        if not looks_ahead(formula):
            return self.past(formula) if holds else self.nodes.negated(self.past(formula))
        n = self.nodes
        if isinstance(formula, Constant):  # ``last``
            return _Future("N", (n.false,)) if holds else _Future("X", (n.true,))
        assert isinstance(formula, Operation)

        def inner(part: Formula, same: bool = True) -> _Part:
            return self.future(part, holds is same)

        left, right = formula.parts[0], formula.parts[-1]
        match formula.operator:
            case "!":
                return inner(left, False)
            case "&" | "|":
                return self.joined("&" if (formula.operator == "&") is holds else "|", map(inner, formula.parts))
            case "->":
                return self.joined("|" if holds else "&", [inner(left, False), inner(right)])
            case "<->" | "^":
                same = (formula.operator == "<->") is holds
                return self.joined(
                    "|",
                    [
                        self.joined("&", [self.future(left, True), self.future(right, same)]),
                        self.joined("&", [self.future(left, False), self.future(right, not same)]),
                    ],
                )
            case "X" | "N":
                return _Future("X" if (formula.operator == "X") is holds else "N", (inner(left),))
            case "F" | "U":
                before = inner(left) if formula.operator == "U" else (n.true if holds else n.false)
                return _Future("U" if holds else "R", (before, inner(right)))
            case "G" | "R":
                before = inner(left) if formula.operator == "R" else (n.false if holds else n.true)
                return _Future("R" if holds else "U", (before, inner(right)))
            case "W" if holds and not looks_ahead(left):  # p W f = G p | p U f
                before = inner(left)
                return self.joined("|", [_Future("R", (n.false, before)), _Future("U", (before, inner(right)))])
            case "W":  # a W b = b R (a | b)
                either = self.joined("|" if holds else "&", [inner(left), inner(right)])
                return _Future("R" if holds else "U", (inner(right), either))
            case "M":  # a M b = b U (a & b)
                both = self.joined("&" if holds else "|", [inner(left), inner(right)])
                return _Future("U" if holds else "R", (inner(right), both))
        raise AssertionError(f"{formula.operator} is no operator")

    def joined(self, operator: str, parts: Iterable[_Part]) -> _Part:
        """A conjunction or disjunction: flat, with one past part at most."""
        join = self.nodes.all if operator == "&" else self.nodes.any
        past: list[int] = []
        futures: list[_Future] = []
        for part in parts:
            for item in part.parts if isinstance(part, _Future) and part.operator == operator else (part,):
                if isinstance(item, _Future):
                    futures += [item] * (item not in futures)
                else:
                    past.append(item)
        number = join(past)
        if not futures or number == (self.nodes.false if operator == "&" else self.nodes.true):
            return number
        neutral = self.nodes.true if operator == "&" else self.nodes.false
        items: tuple[_Part, ...] = (*futures,) if number == neutral else (number, *futures)
        return items[0] if len(items) == 1 else _Future(operator, items)

    def negated(self, part: _Part) -> _Part:
        """The negation of a part."""
        if not isinstance(part, _Future):
            return self.nodes.negated(part)
        inner = [self.negated(item) for item in part.parts]
        if part.operator in "&|":
            return self.joined("|" if part.operator == "&" else "&", inner)
        return _Future({"X": "N", "N": "X", "U": "R", "R": "U"}[part.operator], tuple(inner))

    # -- E -------------------------------------------------------------------------------------------------------------

    def exists(self, start: int, part: _Part, *, unique: bool) -> int:
        """Whether a part holds at some position where ``start`` does, which is one at most if ``unique``."""
        self.meter.tick()
        n = self.nodes
        start = n.all([n.here, start])
        if start == n.false:
            return n.false
        if not isinstance(part, _Future):
            return n.once(n.all([start, part]))
        left, right = part.parts[0], part.parts[-1]
        match part.operator:
            case "|":
                return n.any(self.exists(start, item, unique=unique) for item in part.parts)
            case "&":
                return self._both(start, part, unique=unique)
            case "X":
                return self.exists(n.yesterday(start), left, unique=unique)
            case "N":
                return n.any([start, self.exists(n.yesterday(start), left, unique=unique)])
            case "U" if not isinstance(left, _Future):
                return self.exists(self._reached(start, left), right, unique=False)
            case "R" if not isinstance(right, _Future):
                until = _Future("U", (right, self.joined("&", [left, right])))
                return n.any([self._lasting(start, right), self.exists(start, until, unique=unique)])
        if unique and not isinstance(right if part.operator == "U" else left, _Future):
            return n.all([n.once(start), n.negated(self.exists(start, self.negated(part), unique=True))])
        raise NotPastError(f"no past formula is known that says the same; {HINT}")

    def _reached(self, start: int, hold: int) -> int:
        """Where ``hold`` has held from some ``start`` until just before."""
        n = self.nodes
        if start == n.first:
            return n.all([n.here, n.negated(n.yesterday(n.once(n.negated(hold))))])
        if n.any([hold, n.letters({BOS})]) == n.true:
            return n.once(start)
        return n.any([start, n.yesterday(n.since(hold, n.all([start, hold])))])

    def _lasting(self, start: int, hold: int) -> int:
        """Where ``hold`` has held from some ``start`` on."""
        n = self.nodes
        if start == n.first:
            return n.all([n.here, n.negated(n.once(n.negated(hold)))])
        return n.since(hold, n.all([start, hold]))

    def _both(self, start: int, part: _Future, *, unique: bool) -> int:
        """E of a conjunction."""
        n = self.nodes
        start = n.all([start, *(item for item in part.parts if not isinstance(item, _Future))])
        futures = [item for item in part.parts if isinstance(item, _Future)]
        if unique:
            return n.all(self.exists(start, item, unique=True) for item in futures)
        if len(futures) == 1:
            return self.exists(start, futures[0], unique=False)
        pair = self.merged(futures[0], futures[1])
        return self.exists(start, self.joined("&", [pair, *futures[2:]]), unique=False)

    def merged(self, one: _Future, other: _Future) -> _Part:
        """A conjunction of two futures by another operator."""
        self.meter.tick()
        for first, second in ((one, other), (other, one)):
            if first.operator in "&|":
                items = [self.joined("&", [item, second]) for item in first.parts]
                return self.joined("|" if first.operator == "|" else "&", items)
        for first in (one, other):
            if isinstance(first.parts[0], _Future) and first.operator == "U":
                raise NotPastError(f"no past formula is known that says the same; {HINT}")
        return self._merged(one, other)

    def _merged(self, one: _Future, other: _Future) -> _Part:
        n = self.nodes

        def both(*parts: _Part) -> _Part:
            return self.joined("&", parts)

        def either(*parts: _Part) -> _Part:
            return self.joined("|", parts)

        match one, other:
            case (_Future("U", (a, b)), _Future("U", (c, d))):
                return either(
                    _Future("U", (both(a, c), both(b, other))),
                    _Future("U", (both(a, c), both(d, one))),
                )
            case (_Future("R", (l, r)), _Future("R", (m, s))):
                if l == m == n.false:
                    return _Future("R", (n.false, both(r, s)))
                return self.joined("|", [both(x, y) for x in self._released(one) for y in self._released(other)])
            case (_Future("U", (a, b)), _Future("R", (l, r))) | (_Future("R", (l, r)), _Future("U", (a, b))):
                always = _Future("R", (n.false, r))
                until = _Future("U", (a, b))
                if l == n.false:
                    return _Future("U", (both(a, r), both(b, always)))
                return either(*(both(item, until) for item in self._released(_Future("R", (l, r)))))
            case (_Future("X", (a,)), _Future("X", (b,))):
                return _Future("X", (both(a, b),))
            case (_Future("N", (a,)), _Future("N", (b,))):
                return _Future("N", (both(a, b),))
            case (_Future("X", (a,)), _Future("N", (b,))) | (_Future("N", (b,)), _Future("X", (a,))):
                return _Future("X", (both(a, b),))
        step, lasting = (one, other) if one.operator in "XN" else (other, one)
        left, right = lasting.parts
        # a U b = b | a & X (a U b); a R b = b & (a | N (a R b))
        if lasting.operator == "U":
            return either(both(right, step), both(left, step, _Future("X", (lasting,))))
        return either(both(left, right, step), both(right, step, _Future("N", (lasting,))))

    def _released(self, part: _Future) -> tuple[_Part, _Part]:
        """a R b = G b | b U (a & b)."""
        left, right = part.parts
        return _Future("R", (self.nodes.false, right)), _Future("U", (right, self.joined("&", [left, right])))


HINT = 'it is compiled by its automaton (contract "all-words")'
