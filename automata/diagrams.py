"""Decision diagrams: functions of variables with a few values each that are true or false, equal ones one number.

A diagram looks at variables in one order, each at most once on a way, and only where it matters (Bryant 1986, with more
values than two). Different ways to true exclude each other.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from functools import reduce
from typing import Generic, TypeVar

from .budget import DEFAULT_BUDGET, Budget

V = TypeVar("V", bound=Hashable)

Values = frozenset[Hashable]
Branches = tuple[tuple[Values, int], ...]

FALSE, TRUE = 0, 1


class Diagrams(Generic[V]):
    """Diagrams, each a number; 0 is false everywhere, 1 true.

    Recursion is as deep as the variables are many; the numbers are good for one object. Every operation may raise
    :class:`.BudgetExceededError`: more nodes than the budget allows.

    Args:
        domains: for each variable its values, in the order in which diagrams look at variables.
        budget: how many nodes there may be.

    >>> d = Diagrams({"x": "ab", "y": "ab"})
    >>> x, y = d.literal("x", "a"), d.literal("y", "a")
    >>> d.any([x, y]) == d.negated(d.all([d.literal("y", "b"), d.literal("x", "b")]))
    True
    """

    def __init__(self, domains: Mapping[V, Iterable[Hashable]], budget: Budget = DEFAULT_BUDGET) -> None:
        self._meter = budget.meter("nodes of decision diagrams")
        self.domains: dict[V, Values] = {}
        self._place: dict[V, int] = {}
        self._nodes: list[tuple[V, Branches]] = []
        self._numbers: dict[tuple[V, Branches], int] = {}
        self._both: dict[tuple[int, int], int] = {}
        self._not: dict[int, int] = {FALSE: TRUE, TRUE: FALSE}
        self._ways: dict[int, int] = {FALSE: 0, TRUE: 1}
        for variable, values in domains.items():
            self.add(variable, values)

    def add(self, variable: V, values: Iterable[Hashable]) -> None:
        """One more variable with these values, which is looked at last."""
        self.domains[variable] = frozenset(values)
        self._place[variable] = len(self._place)

    def literal(self, variable: V, values: Iterable[Hashable]) -> int:
        """The variable has one of these values."""
        asked = frozenset(values) & self.domains[variable]
        return self._made(variable, ((asked, TRUE), (self.domains[variable] - asked, FALSE)))

    def negated(self, of: int) -> int:
        """The negation. O(size)."""
        if of not in self._not:
            variable, branches = self.node(of)
            found = self._made(variable, [(values, self.negated(child)) for values, child in branches])
            self._not[of], self._not[found] = found, of
        return self._not[of]

    def both(self, one: int, other: int) -> int:
        """The conjunction of two. O(product of the sizes)."""
        if one == other or FALSE in (one, other):
            return min(one, other)
        if TRUE in (one, other):
            return max(one, other)
        key = (min(one, other), max(one, other))
        if key not in self._both:
            (first, left), (second, right) = self.node(one), self.node(other)
            if self._place[first] > self._place[second]:
                first, left, second, other = second, right, first, one
            if first == second:
                met = [(a & b, self.both(x, y)) for a, x in left for b, y in right if a & b]
            else:
                met = [(values, self.both(child, other)) for values, child in left]
            self._both[key] = self._made(first, met)
        return self._both[key]

    def all(self, parts: Iterable[int]) -> int:
        """The conjunction of many: what is looked at last first, which is cheap for literals."""
        return reduce(self.both, sorted(parts, key=self._rank, reverse=True), TRUE)

    def any(self, parts: Iterable[int]) -> int:
        """The disjunction of many."""
        return self.negated(self.all(map(self.negated, parts)))

    def replaced(self, of: int, by: Mapping[V, int]) -> int:
        """A diagram whose variables, of values False and True, are replaced by diagrams. O(size) operations."""
        known = {FALSE: FALSE, TRUE: TRUE}

        def found(number: int) -> int:
            if number not in known:
                variable, branches = self.node(number)
                child = {value: found(target) for values, target in branches for value in values}
                yes = self.both(by[variable], child[True])
                known[number] = self.any([yes, self.both(self.negated(by[variable]), child[False])])
            return known[number]

        return found(of)

    def variables(self, of: int) -> set[V]:
        """The variables that matter."""
        seen, todo = {of}, [of]
        while todo:
            number = todo.pop()
            if number > TRUE:
                new = {child for _, child in self.node(number)[1]} - seen
                seen |= new
                todo += new
        return {self.node(number)[0] for number in seen if number > TRUE}

    def ways(self, of: int) -> int:
        """How many ways lead to true. O(size)."""
        if of not in self._ways:
            self._ways[of] = sum(self.ways(child) for _, child in self.node(of)[1])
        return self._ways[of]

    def events(self, of: int) -> Iterator[tuple[tuple[V, Values], ...]]:
        """The ways to true: variables, in order, with the values asked for."""
        if of == TRUE:
            yield ()
        elif of != FALSE:
            variable, branches = self.node(of)
            for values, child in branches:
                yield from (((variable, values), *rest) for rest in self.events(child))

    def node(self, of: int) -> tuple[V, Branches]:
        """What a diagram looks at first, and what is left for which values; not of true and false."""
        return self._nodes[of - 2]

    def _rank(self, of: int) -> int:
        return len(self._place) if of in (FALSE, TRUE) else self._place[self.node(of)[0]]

    def _made(self, variable: V, branches: Iterable[tuple[Values, int]]) -> int:
        merged: dict[int, Values] = {}
        for values, child in branches:
            if values:
                merged[child] = merged.get(child, frozenset()) | values
        if len(merged) == 1:
            return next(iter(merged))
        key = variable, tuple((merged[child], child) for child in sorted(merged))
        if key not in self._numbers:
            self._meter.tick()
            self._numbers[key] = 2 + len(self._nodes)
            self._nodes.append(key)
        return self._numbers[key]
