"""How a 2-group permutes the tiles of an image set: a binary tree of blocks for each orbit.

The loops of an orbit of image sets permute the tiles of each of them: the holonomy group. If it is a 2-group, a
transitive orbit of it has 2^k tiles, and some central element of order two moves all of them, so that its cycles are
blocks of two tiles that the group permutes among themselves. On the blocks acts a smaller 2-group, and so on: a binary
tree. A tile is named by its path from the root, and each letter either keeps or exchanges the two halves of a block: a
swap, one bit with the gate -1 (docs/signed.md). If some orbit has no such tree, the group is not a 2-group.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

from ...automata.groups.permutation_group import PermutationGroup

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
        group = PermutationGroup(n, tuple(sorted(set(generators))))
        moved = {point for orbit in group.orbits for point in orbit}
        orbits = sorted([*group.orbits, *((point,) for point in range(n) if point not in moved)])
        self.trees = tuple(_tree(orbit, group.restricted(orbit)) for orbit in orbits)

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


def _tree(orbit: Sequence[int], acting: PermutationGroup) -> Tree:
    """Pair blocks up, from single tiles to the whole orbit."""
    level = [Tree(frozenset({label}), ()) for label in orbit]
    while len(level) > 1:
        pairs = next((classes for classes in acting.partitions() if all(len(c) == 2 for c in classes)), None)
        if pairs is None:
            raise NotTwoGroupError("the tiles of an image set are permuted by a group that is not a 2-group")
        level = [Tree(level[i].tiles | level[j].tiles, (level[i], level[j])) for i, j in pairs]
        acting = acting.on_blocks(pairs)
    return level[0]
