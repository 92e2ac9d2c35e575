"""Permutation groups given by generators: orders, orbits, blocks, and what is solvable in them.

Written for the groups by which words permute sets of states. Everything is exact and deterministic, and watches a
clock, so that a search for groups keeps its budget. sympy.combinatorics 1.14 was measured in its place: it has no
budget, needs 1.6 s to be imported, 12 s to see that S30 is not solvable (here 1 ms) and more than 100 s for S100 (here
20 ms); its stabiliser chains do not grow by a generator at a time, and it has no composition series of groups that are
not solvable. So it serves as an oracle in the tests only.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations, cycle, islice
from math import factorial, lcm

from ..budget import Budget, Meter
from .stabiliser_chain import Perm, StabiliserChain, conjugate, cycles, inverse, is_odd, product

GIANT_DEGREE = 20
"""From this degree on an alternating or symmetric group is recognised without a stabiliser chain."""

GIANT_TRIES = 40
"""How many random elements are looked at for a giant."""


ABELIAN_DEGREE = 64
"""From this degree on it is worth seeing first whether a group is transitive and abelian."""


def _no_limit() -> Meter:
    return Budget(seconds=None).meter("products")


@dataclass(frozen=True)
class PermutationGroup:
    """The group that some permutations of the points 0..degree-1 generate.

    Args:
        degree: the number of points.
        generators: permutations as tuples of images; none for the trivial group.
        clock: whose time limit all computations with the group keep; by default there is none.

    Raises (methods as well, unless they say otherwise):
        ValueError: a generator is no permutation of the points.
        BudgetExceededError: out of time, or the group is too large to be held.

    >>> group = PermutationGroup(5, ((1, 2, 3, 4, 0), (1, 0, 2, 3, 4)))
    >>> group.order, group.is_solvable(), (0, 2, 1, 3, 4) in group
    (120, False, True)
    """

    degree: int
    generators: tuple[Perm, ...]
    clock: Meter = field(default_factory=_no_limit, repr=False, compare=False)

    def __post_init__(self) -> None:
        points = list(range(self.degree))
        for generator in self.generators:
            if sorted(generator) != points:
                raise ValueError(f"{generator} is no permutation of 0..{self.degree - 1}; give each point one image")

    @classmethod
    def with_chain(cls, chain: StabiliserChain, generators: Iterable[Perm], clock: Meter) -> PermutationGroup:
        """The group of a complete stabiliser chain, so that the chain need not be computed again."""
        group = cls(len(chain.identity), tuple(generators), clock)
        group.__dict__["chain"] = chain  # where the cached property keeps it
        return group

    # -- the group as a set ------------------------------------------------------------------------------------------

    @cached_property
    def chain(self) -> StabiliserChain:
        """A stabiliser chain; its cost is said there."""
        return StabiliserChain(self.degree, self.generators, self.clock)

    @cached_property
    def order(self) -> int:
        """The number of elements. Without a stabiliser chain for giants and transitive abelian groups."""
        if self.is_transitive() and self.is_abelian():
            return max(self.degree, 1)  # it is regular: what fixes one point fixes all
        if self.is_giant:
            return factorial(self.degree) // (1 if any(map(is_odd, self.generators)) else 2)
        return self.chain.order

    def __contains__(self, perm: object) -> bool:
        return isinstance(perm, tuple) and len(perm) == self.degree and perm in self.chain

    def is_abelian(self) -> bool:
        """Whether all generators commute. O(generators^2 * degree)."""
        return all(product(a, b) == product(b, a) for a, b in combinations(self.generators, 2))

    def is_cyclic(self) -> bool:
        """Whether one element generates it: it is abelian, and has an element of its order."""
        exponent = lcm(*(len(moved) for g in self.generators for moved in cycles(g)))
        return self.is_abelian() and exponent == self.order

    # -- the group as an action --------------------------------------------------------------------------------------

    @cached_property
    def orbits(self) -> tuple[tuple[int, ...], ...]:
        """The orbits of at least two points, each ascending. O(generators * degree)."""
        found, seen = [], [False] * self.degree
        for start in range(self.degree):
            if seen[start]:
                continue
            seen[start] = True
            orbit = [start]
            for point in orbit:
                for generator in self.generators:
                    image = generator[point]
                    if not seen[image]:
                        seen[image] = True
                        orbit.append(image)
            if len(orbit) > 1:
                found.append(tuple(sorted(orbit)))
        return tuple(found)

    def is_transitive(self) -> bool:
        """Whether every point can be carried to every other."""
        return self.degree <= 1 or self.orbits == (tuple(range(self.degree)),)

    @cached_property
    def is_giant(self) -> bool:
        """Whether the group was found to be the alternating or symmetric one by looking at a few random elements.

        A transitive group of degree n with a cycle of prime length p, n/2 < p < n - 2, contains the alternating group
        (Jordan 1873; Seress, corollary 10.2.2), and about one element in log n of such a group has one. True is a
        proof; False says nothing. The random numbers are seeded, so the answer is always the same.
        """
        if self.degree < GIANT_DEGREE or not self.is_transitive():
            return False
        n, chance = self.degree, random.Random(0)
        lengths = {p for p in range(n // 2 + 1, n - 2) if all(p % r for r in range(2, int(p**0.5) + 1))}
        pool = list(islice(cycle(self.generators), max(10, len(self.generators))))
        mixing = 10 * len(pool)
        for number in range(mixing + GIANT_TRIES):  # product replacement (Celler et al. 1995)
            i, j = chance.sample(range(len(pool)), 2)
            pool[i] = product(pool[i], pool[j]) if chance.random() < 0.5 else product(pool[j], inverse(pool[i]))
            if number >= mixing and lengths & set(map(len, cycles(pool[i]))):
                return True
        return False

    def blocks(self) -> tuple[tuple[int, ...], ...] | None:
        """A system of blocks of a transitive group, neither points nor everything, or None if it is primitive.

        The finest partitions that join point 0 to another point, one after the other (Atkinson 1975).
        O(generators * degree^2), up to the inverse Ackermann function.
        """
        return next((classes for classes in self.partitions() if len(classes) > 1), None)

    def partitions(self) -> Iterator[tuple[tuple[int, ...], ...]]:
        """For each point but 0 the finest partition that joins 0 to it and that the group respects, classes ascending.

        O(generators * degree) each, up to the inverse Ackermann function.
        """
        for other in range(1, self.degree):
            self.clock.check_time()
            yield _finest_partition(self.degree, self.generators, other)

    def restricted(self, points: Sequence[int]) -> PermutationGroup:
        """The action on a set of points that the group maps to itself; ``points[i]`` becomes i."""
        place = {point: i for i, point in enumerate(points)}
        return self._of(len(points), (tuple([place[g[point]] for point in points]) for g in self.generators))

    def on_blocks(self, blocks: Sequence[Sequence[int]]) -> PermutationGroup:
        """The action on blocks, by their numbers."""
        return self._of(len(blocks), (_moved_blocks(g, blocks) for g in self.generators))

    # -- subgroups ---------------------------------------------------------------------------------------------------

    def normal_closure(self, elements: Iterable[Perm]) -> PermutationGroup:
        """The smallest normal subgroup that contains some elements."""
        chain = StabiliserChain(self.degree, (), self.clock)
        queue, kept = list(elements), []
        for element in queue:
            if chain.extend(element):
                kept.append(element)
                queue.extend(conjugate(element, g) for g in self.generators)
        return PermutationGroup.with_chain(chain, kept, self.clock)

    def derived(self) -> PermutationGroup:
        """The derived subgroup: the normal closure of the commutators of generators."""
        pairs = combinations(self.generators, 2)
        return self.normal_closure(product(inverse(product(b, a)), product(a, b)) for a, b in pairs)

    @cached_property
    def solvable_residual(self) -> PermutationGroup:
        """The last term of the derived series: the smallest normal subgroup with a solvable quotient. It is perfect."""
        group, order = self, self.order
        while order > 1:
            smaller = group.derived()
            if smaller.order == order:
                break
            group, order = smaller, smaller.order
        return group

    def is_solvable(self) -> bool:
        """Whether the derived series ends in the trivial group.

        Orders with at most two prime divisors need no look at it (Burnside 1904), nor do abelian groups.
        """
        if self.is_giant:
            return False
        if self.degree <= 4 or self.is_abelian() or len(set(prime_factors(self.order))) <= 2:
            return True
        return self.solvable_residual.order == 1

    def _of(self, degree: int, generators: Iterable[Perm]) -> PermutationGroup:
        """A group of the same clock; repeated generators and the identity are left out."""
        kept = dict.fromkeys(generators)
        kept.pop(tuple(range(degree)), None)
        return PermutationGroup(degree, tuple(kept), self.clock)


def generated_by(degree: int, perms: Sequence[Perm], clock: Meter) -> PermutationGroup:
    """The group that some permutations generate, with few of them as generators, the first ones where possible.

    Kept are those that enlarge the group of what stands before them, so at most log2 of the order. Where the first few,
    up to a power of two, are found to generate a giant, these are kept, and one odd permutation.

    Cost: a stabiliser chain, except for giants of degree 20 or more and for transitive abelian groups.

    Raises:
        BudgetExceededError: the clock has run out, or the group is too large to be held.
    """
    if degree >= ABELIAN_DEGREE:
        kept = _transitive_abelian(degree, perms)
        if kept is not None:
            return PermutationGroup(degree, kept, clock)
    number = 2
    while degree >= GIANT_DEGREE and number <= min(2 * degree, 2 * len(perms)):
        giant = PermutationGroup(degree, tuple(perms[:number]), clock)
        if giant.is_giant:
            odd = next((perm for perm in perms[number:] if is_odd(perm)), None)
            if odd is None or any(map(is_odd, giant.generators)):
                return giant
            return PermutationGroup(degree, (*giant.generators, odd), clock)
        number *= 2
    chain = StabiliserChain(degree, (), clock)
    return PermutationGroup.with_chain(chain, [perm for perm in perms if chain.extend(perm)], clock)


def _transitive_abelian(degree: int, perms: Sequence[Perm]) -> tuple[Perm, ...] | None:
    """Few generators of the group of the permutations if it is transitive and abelian, else None.

    Kept are those that enlarge the orbit of point 0. If they commute and are transitive then they generate a regular
    group, and all that commutes with such a group is in it. O(degree) for each kept one and permutation.
    """
    kept: list[Perm] = []
    orbit, reached = [0], {0}
    for perm in perms:
        if not all(product(perm, other) == product(other, perm) for other in kept):
            return None
        if perm[0] in reached:
            continue
        kept.append(perm)
        for point in orbit:  # which grows; what was in it before has its images under the others already
            for other in kept:
                if other[point] not in reached:
                    reached.add(other[point])
                    orbit.append(other[point])
    return tuple(kept) if len(orbit) == degree else None


def prime_factors(number: int) -> list[int]:
    """The prime factors, ascending and with multiplicity, by trial division: quick if they are small.

    >>> prime_factors(360)
    [2, 2, 2, 3, 3, 5]
    """
    factors, p = [], 2
    while number > 1:
        if p * p > number:
            p = number
        while number % p == 0:
            factors.append(p)
            number //= p
        p += 1
    return factors


def _moved_blocks(perm: Perm, blocks: Sequence[Sequence[int]]) -> Perm:
    """The numbers of the blocks' images."""
    number = {point: i for i, block in enumerate(blocks) for point in block}
    return tuple([number[perm[block[0]]] for block in blocks])


def _finest_partition(degree: int, generators: Sequence[Perm], other: int) -> tuple[tuple[int, ...], ...]:
    """The classes of the finest partition that joins 0 and ``other`` and that every generator respects."""
    parent = list(range(degree))

    def root(point: int) -> int:
        while parent[point] != point:
            parent[point] = parent[parent[point]]
            point = parent[point]
        return point

    queue = [(0, other)]
    for p, q in queue:
        a, b = root(p), root(q)
        if a != b:
            parent[max(a, b)] = min(a, b)
            queue.extend((g[p], g[q]) for g in generators)
    classes: dict[int, list[int]] = {}
    for point in range(degree):
        classes.setdefault(root(point), []).append(point)
    return tuple(map(tuple, classes.values()))
