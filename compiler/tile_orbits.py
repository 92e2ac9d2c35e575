"""How a 2-group permutes the tiles of an image set: a binary tree of blocks for each orbit.

The loops of an orbit of image sets permute the tiles of each of them: the holonomy group. If it is a 2-group, a
transitive orbit of it has 2^k tiles, and some central element of order two moves all of them, so that its cycles are
blocks of two tiles that the group permutes among themselves. On the blocks acts a smaller 2-group, and so on: a binary
tree. A tile is named by its path from the root, and each letter either keeps or exchanges the two halves of a block: a
**swap**, one bit with the gate -1 (docs/signed.md). If some orbit has no such tree, the group is not a 2-group.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

Permutation = tuple[int, ...]


class NotTwoGroupError(ValueError):
    """A group of tiles is not a 2-group, so no tree of halves exists."""


class Tree(NamedTuple):
    """A block of tiles: one tile (no halves), or two halves of the same size.

    Attributes:
        tiles: the labels in the block.
        halves: the two halves, the one with the smallest label first; empty for a single tile.
    """

    tiles: frozenset[int]
    halves: tuple[Tree, ...]

    @property
    def rank(self) -> int:
        """k for a block of 2^k tiles."""
        return len(self.tiles).bit_length() - 1


class Trees:
    """The trees of all orbits of the group that ``generators`` span on the labels 0 .. n - 1.

    O(n^2 k n) for k generators, n labels.

    Args:
        n: how many tiles.
        generators: permutations of range(n).

    Raises:
        NotTwoGroupError: the group is not a 2-group.
    """

    def __init__(self, n: int, generators: Iterable[Permutation]) -> None:
        gens = sorted({g for g in generators if g != tuple(range(n))})
        self.trees = tuple(_tree(orbit, gens) for orbit in _orbits(n, gens))

    @cached_property
    def blocks(self) -> dict[frozenset[int], Tree]:
        """Every block of every tree, by its labels."""
        found: dict[frozenset[int], Tree] = {}
        stack = list(self.trees)
        while stack:
            tree = stack.pop()
            found[tree.tiles] = tree
            stack.extend(tree.halves)
        return found


def _orbits(n: int, generators: Sequence[Permutation]) -> list[list[int]]:
    """The orbits, each ascending, in the order of their smallest labels."""
    seen: set[int] = set()
    orbits = []
    for start in range(n):
        if start in seen:
            continue
        orbit = [start]
        seen.add(start)
        for point in orbit:
            for g in generators:
                if g[point] not in seen:
                    seen.add(g[point])
                    orbit.append(g[point])
        orbits.append(sorted(orbit))
    return orbits


def _tree(orbit: Sequence[int], generators: Sequence[Permutation]) -> Tree:
    """Pair blocks up, from single tiles to the whole orbit."""
    level = [Tree(frozenset({label}), ()) for label in orbit]
    while len(level) > 1:
        number = {label: i for i, tree in enumerate(level) for label in tree.tiles}
        acting = sorted({tuple(number[g[min(tree.tiles)]] for tree in level) for g in generators})
        level = [Tree(level[i].tiles | level[j].tiles, (level[i], level[j])) for i, j in _pairing(len(level), acting)]
    return level[0]


def _pairing(n: int, generators: Sequence[Permutation]) -> list[tuple[int, int]]:
    """Blocks of two points of a transitive group, ascending.

    Raises:
        NotTwoGroupError: there are none.
    """
    for partner in range(1, n):
        block = _congruence(n, generators, partner)
        groups: dict[int, list[int]] = {}
        for point, root in enumerate(block):
            groups.setdefault(root, []).append(point)
        if all(len(group) == 2 for group in groups.values()):
            return [(i, j) for i, j in groups.values()]
    raise NotTwoGroupError("the tiles of an image set are permuted by a group that is not a 2-group")


def _congruence(n: int, generators: Sequence[Permutation], partner: int) -> list[int]:
    """The finest partition with 0 and ``partner`` in one class that the generators respect: a number per point."""
    root = list(range(n))

    def find(point: int) -> int:
        while root[point] != point:
            root[point] = root[root[point]]
            point = root[point]
        return point

    queue = [(0, partner)]
    for p, q in queue:
        a, b = find(p), find(q)
        if a != b:
            root[max(a, b)] = min(a, b)
            # Images of two points that are now alike must be alike; chains of pairs carry it to whole classes.
            queue.extend((g[p], g[q]) for g in generators)
    return [find(point) for point in range(n)]
