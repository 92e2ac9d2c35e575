"""Permutations as tuples, and chains of point stabilisers (Sims 1970; Seress, *Permutation Group Algorithms*, ch. 4).

``p[i]`` is the image of point i. Products are read from left to right, as words are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

from ..budget import Meter
from ..errors import BudgetExceededError

Perm = tuple[int, ...]

MAX_ENTRIES = 1 << 25
"""How many points the coset representatives of one chain may have together; each takes 16 bytes."""

SIFTS_PER_LOOK = 64
"""How many products are sifted between two looks at the clock."""


def product(first: Sequence[int], second: Sequence[int]) -> Perm:
    """First ``first``, then ``second``. O(n)."""
    return tuple([second[i] for i in first])


def inverse(perm: Sequence[int]) -> Perm:
    """The permutation that undoes ``perm``. O(n)."""
    back = [0] * len(perm)
    for i, j in enumerate(perm):
        back[j] = i
    return tuple(back)


def conjugate(perm: Sequence[int], by: Sequence[int]) -> Perm:
    """``by^-1 perm by``. O(n)."""
    out = [0] * len(perm)
    for i, j in enumerate(perm):
        out[by[i]] = by[j]
    return tuple(out)


def cycles(perm: Sequence[int]) -> list[list[int]]:
    """The cycles of length >= 2. O(n)."""
    found, seen = [], [False] * len(perm)
    for start, image in enumerate(perm):
        if image == start or seen[start]:
            continue
        cycle, i = [], start
        while not seen[i]:
            seen[i] = True
            cycle.append(i)
            i = perm[i]
        found.append(cycle)
    return found


def is_odd(perm: Sequence[int]) -> bool:
    """Whether a permutation is the product of an odd number of transpositions. O(n)."""
    return sum(len(moved) - 1 for moved in cycles(perm)) % 2 == 1


class StabiliserChain:
    """G = G_0 >= G_1 >= ..., where G_i fixes the first i points of ``base``; grown one generator at a time.

    Level i holds generators of G_i and, for each point of the orbit of ``base[i]`` under G_i, an element of G_i that
    carries ``base[i]`` there. The chain is complete after every call of :meth:`extend`: by Schreier's lemma that
    holds iff, at each level, every product (representative, generator, inverse representative) is in the next group.

    Args:
        degree: the number of points.
        generators: of the group; may be empty.
        clock: its time is watched; nothing is counted.

    Raises:
        BudgetExceededError: out of time, or more than :data:`MAX_ENTRIES` entries.

    Cost: O(b^2 n) sifts of O(b n) each in the worst case, for a base of b <= n points; far fewer as a rule. No random
    choices, so the same generators always give the same chain.
    """

    def __init__(self, degree: int, generators: Iterable[Perm], clock: Meter) -> None:
        self.identity: Perm = tuple(range(degree))
        self.base: list[int] = []
        self.generators: list[list[Perm]] = []
        self.orbits: list[dict[int, Perm]] = []
        self._back: list[dict[int, Perm]] = []  # the inverses of the representatives
        self._checked: list[dict[int, int]] = []  # how many generators have been checked against each representative
        self._clock = clock
        self._until_look = SIFTS_PER_LOOK
        self._entries = 0
        for generator in generators:
            self.extend(generator)

    @property
    def order(self) -> int:
        """The order of the group. O(base)."""
        return prod(map(len, self.orbits))

    def __contains__(self, perm: Perm) -> bool:
        """Whether a permutation of the points is in the group. O(b n)."""
        return self._sift(perm, 0)[0] == self.identity

    def extend(self, perm: Perm) -> bool:
        """Add a generator; False, and nothing done, if it is in the group already."""
        residue, level = self._sift(perm, 0)
        if residue == self.identity:
            return False
        self._add(residue, 0, level)
        while level >= 0:  # the levels below are complete
            failed = self._failing(level)
            if failed is None:
                level -= 1
            else:
                residue, deep = failed
                self._add(residue, level + 1, deep)
                level = deep
        return True

    def _new_level(self, point: int) -> None:
        self.base.append(point)
        self.generators.append([])
        self.orbits.append({point: self.identity})
        self._back.append({point: self.identity})
        self._checked.append({})

    def _sift(self, perm: Perm, level: int) -> tuple[Perm, int]:
        """Divide by representatives from ``level`` on: (what is left, the level where no representative fits)."""
        for i in range(level, len(self.base)):
            back = self._back[i].get(perm[self.base[i]])
            if back is None:
                return perm, i
            perm = product(perm, back)
        return perm, len(self.base)

    def _add(self, perm: Perm, first: int, last: int) -> None:
        """A new generator of the levels ``first`` to ``last``, whose orbits grow."""
        if last == len(self.base):
            self._new_level(next(i for i, image in enumerate(perm) if i != image))
        for level in range(first, last + 1):
            self.generators[level].append(perm)
            orbit, back = self.orbits[level], self._back[level]
            before = len(orbit)
            queue = list(orbit)
            for point in queue:
                for generator in self.generators[level]:
                    image = generator[point]
                    if image not in orbit:
                        orbit[image] = product(orbit[point], generator)
                        back[image] = inverse(orbit[image])
                        queue.append(image)
            self._entries += (len(orbit) - before) * len(self.identity)
            if self._entries > MAX_ENTRIES:
                raise BudgetExceededError("entries of a stabiliser chain", self._entries, MAX_ENTRIES)

    def _failing(self, level: int) -> tuple[Perm, int] | None:
        """What is left of a Schreier generator of the level that the next groups lack, and where; None if all sift."""
        generators, checked = self.generators[level], self._checked[level]
        for point, representative in self.orbits[level].items():
            for number in range(checked.get(point, 0), len(generators)):
                self._until_look -= 1
                if not self._until_look:
                    self._until_look = SIFTS_PER_LOOK
                    self._clock.check_time()
                residue, deep = self._sift(product(representative, generators[number]), level)
                if residue != self.identity:
                    checked[point] = number
                    return residue, deep
            checked[point] = len(generators)
        return None
