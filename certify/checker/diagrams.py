"""Numbers that depend on variables with finitely many values each, as decision diagrams: equal functions are one node.

A node of a diagram asks for the value of one variable and has a child for each; a leaf is a number. Variables are asked
for in one order, no node has only equal children, and no two nodes are alike. So a function is one node (Bryant 1986;
with numbers at the leaves Bahar et al. 1993), and two functions are equal for all values of all variables iff their
nodes are the same: what is claimed for all values is compared at once, never looked at value by value.

Truth values are the numbers 0 and 1. All arithmetic is that of float64; that it is exact there is for those to see to
who use it (``arithmetic``).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from .parts import Floats, need

MOST_STEPS = 1 << 24
"""Different children that are looked at, over all operations, and a share of all of them; what needs more is rejected.

So no check takes more than about a minute, or 2 GB.
"""
LEAF = 1 << 60
"""The level of a leaf: after all variables."""

K = TypeVar("K", bound=Hashable)


class Diagrams:
    """All diagrams over some variables, which are numbered in the order in which they are asked for.

    A function is the number of its node.
    """

    def __init__(self) -> None:
        self.level: list[int] = []
        """Per node the variable that it asks for."""
        self.children: list[tuple[int, ...]] = []
        self.number: list[float] = []
        """Per node the number, of a leaf."""
        self._nodes: dict[tuple[int, tuple[int, ...]], int] = {}
        self._leaves: dict[float, int] = {}
        self._known: dict[tuple[object, int, int], int] = {}
        self._values: dict[int, Floats] = {}
        self._rows: dict[int, Floats | None] = {}
        self._steps = 0  # of MOST_STEPS
        self.zero, self.one = self.leaf(0.0), self.leaf(1.0)

    def leaf(self, number: float) -> int:
        """A number that depends on nothing."""
        number = float(number) + 0.0  # -0.0 and 0.0 are one number
        if number not in self._leaves:
            self._leaves[number] = self._new(LEAF, (), number)
        return self._leaves[number]

    def node(self, level: int, children: Sequence[int]) -> int:
        """The function that is ``children[i]`` where the variable ``level`` has the value i; all ask for later ones."""
        made = tuple(children)
        if made.count(made[0]) == len(made):
            return made[0]
        key = (level, made)
        if key not in self._nodes:
            self._nodes[key] = self._new(level, made, 0.0)
        return self._nodes[key]

    def _new(self, level: int, children: tuple[int, ...], number: float) -> int:
        self._count(len(children) // 16)
        self.level.append(level)
        self.children.append(children)
        self.number.append(number)
        return len(self.level) - 1

    def numbers(self, level: int, values: ArrayLike) -> int:
        """A number for each value of one variable."""
        different, which = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True)
        leaves = np.array([self.leaf(v) for v in different.tolist()])
        return self.node(level, leaves[which.reshape(-1)].tolist())

    # -- what is made of functions ---------------------------------------------------------------------------------

    def plus(self, f: int, g: int) -> int:
        """The sum; of truth values that are never both 1 whether one is."""
        return self._apply(operator.add, *sorted((f, g)))

    def times(self, f: int, g: int) -> int:
        """The product; of truth values whether both are 1."""
        return self._apply(operator.mul, *sorted((f, g)))

    def minus(self, f: int, g: int) -> int:
        """The difference."""
        return self.plus(f, self.times(self.leaf(-1.0), g))

    def negation(self, f: int) -> int:
        """1 where a truth value is 0."""
        return self.minus(self.one, f)

    def either(self, f: int, g: int) -> int:
        """Whether one of two truth values is 1."""
        return self._apply(max, *sorted((f, g)))

    def choose(self, condition: int, f: int, g: int) -> int:
        """``f`` where the truth value is 1, else ``g``."""
        return self.plus(self.times(condition, f), self.times(self.negation(condition), g))

    def differs(self, f: int, g: int) -> int:
        """Where two functions are not equal: a difference of floats is 0 only if they are."""
        return self.map(self.minus(f, g), lambda v: float(v != 0))

    def total(self, weights: Floats, functions: Sequence[int]) -> int:
        """The sum of some functions, each times its weight; what depends on one variable alone is added at once."""
        found, alone = self.zero, dict[int, Floats]()
        for at in np.flatnonzero(weights).tolist():
            f = functions[at]
            if f not in self._rows:
                children = self.children[f]
                flat = all(self.level[child] == LEAF for child in set(children))
                self._rows[f] = np.array([self.number[n] for n in children] or self.number[f]) if flat else None
            values = self._rows[f]
            if values is not None:
                self._count(1)
                alone[self.level[f]] = alone.get(self.level[f], np.zeros(())) + weights[at] * values
            else:
                found = self.plus(found, self.times(self.leaf(weights[at]), f))
        for level, values in sorted(alone.items(), reverse=True):
            mine = self.leaf(values.item()) if level == LEAF else self.numbers(level, values)
            found = self.plus(found, mine)
        return found

    def map(self, f: int, change: Callable[[float], float]) -> int:
        """Each number of a function changed."""
        known: dict[int, int] = {}

        def visit(node: int) -> int:
            if node not in known:
                children = self.children[node]
                changed = self._each(children, visit)
                known[node] = self.node(self.level[node], changed) if children else self.leaf(change(self.number[node]))
            return known[node]

        return visit(f)

    def moved(self, f: int, by: int) -> int:
        """A function of variables that come later by so many; their order stays."""
        known: dict[int, int] = {}

        def visit(node: int) -> int:
            if not self.children[node]:
                return node
            if node not in known:
                known[node] = self.node(self.level[node] + by, self._each(self.children[node], visit))
            return known[node]

        return visit(f)

    def _apply(self, operation: Callable[[float, float], float], f: int, g: int) -> int:
        if operation is operator.add and self.zero in (f, g):
            return f if g == self.zero else g
        if operation is operator.mul and self.zero in (f, g):
            return self.zero
        if operation is operator.mul and self.one in (f, g):
            return f if g == self.one else g
        key = (operation, f, g)
        found = self._known.get(key)
        if found is None:
            a, b = self.level[f], self.level[g]
            if a == b == LEAF:
                found = self.leaf(operation(self.number[f], self.number[g]))
            else:
                first, second = self.children[f], self.children[g]
                if a > b:
                    pairs = [(f, y) for y in second]
                elif a < b:
                    pairs = [(x, g) for x in first]
                else:
                    pairs = list(zip(first, second, strict=True))
                made = self._each(pairs, lambda p: self._apply(operation, min(p), max(p)))  # no *: C's stack is short
                found = self.node(min(a, b), made)
            self._known[key] = found
        return found

    def _each(self, parts: Sequence[K], change: Callable[[K], int]) -> list[int]:
        """Something made of each part; of equal ones once."""
        made = {part: change(part) for part in dict.fromkeys(parts)}
        self._count(len(made) + len(parts) // 64)
        return [made[part] for part in parts]

    def _count(self, children: int) -> None:
        self._steps += children + 1
        need(self._steps <= MOST_STEPS, "the numbers depend on too much at once for this method")

    # -- what is known of a function -------------------------------------------------------------------------------

    def values(self, f: int) -> Floats:
        """All numbers that a function has, ascending."""
        if f not in self._values:
            self._values[f] = np.array(sorted({self.number[n] for n in self.below(f) if not self.children[n]}))
        return self._values[f]

    def levels(self, f: int) -> set[int]:
        """The variables that a function depends on."""
        return {self.level[n] for n in self.below(f)} - {LEAF}

    def below(self, f: int) -> set[int]:
        """All nodes of a function."""
        found, todo = {f}, [f]
        while todo:
            self._count(1)
            for child in self.children[todo.pop()]:
                if child not in found:
                    found.add(child)
                    todo.append(child)
        return found

    def at(self, f: int, value_of: Callable[[int], int]) -> float:
        """The number for given values of all variables."""
        while self.children[f]:
            f = self.children[f][value_of(self.level[f])]
        return self.number[f]
