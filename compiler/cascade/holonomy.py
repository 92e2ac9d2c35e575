"""Holonomy decomposition: the image sets of a semiautomaton, their heights and their tiles.

Theory: Zeiger's and Eilenberg's holonomy decomposition, in the form that `docs/construction.md` states. For the
transition monoid S of a semiautomaton on Q, the *image sets* are Q.s for s in S, together with the singletons. P <= R
iff P is inside R.s for some s; the *height* of a singleton is 0 and that of another set one more than the greatest
height strictly below it; the *tiles* of P are the maximal image sets properly inside P.

In an aperiodic semiautomaton the loops through P leave each tile where it is. Otherwise they permute the tiles, and if
they do so by a 2-group then P is split by halves (``compiler.tile_orbits``, docs/signed.md): first into orbits of
tiles, then an orbit into two *blocks* of tiles, and so on down to single tiles. Blocks are listed among the sets, each
on a level of its own between P and its tiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from operator import or_

import numpy as np
from numpy.typing import NDArray

from ...automata.budget import DEFAULT_BUDGET, Budget, Meter
from ...automata.images import image_sets, strong_components
from ...automata.images import members as set_members
from ...automata.semiautomaton import Semiautomaton
from .tile_orbits import Permutation, Trees

Turns = dict[tuple[int, int], Permutation]
"""For (set, letter): the permutation of tile labels, where it is not the identity."""


@dataclass(frozen=True)
class Holonomy:
    """Image sets of a semiautomaton (and blocks of their tiles), by number; set 0 is Q.

    Attributes:
        semiautomaton: what was decomposed.
        sets: each image set as a bitmask of states; for a block of tiles, their union.
        successor: ``successor[P][a]`` is the number of the image P.a; for a block -1 where its image is none.
        height: the level of each set: its holonomy height, plus the levels that blocks of lower sets take.
        orbit: the number of each set's equivalence class (mutually reachable sets).
        tiles: for each set its tiles (or the halves that it is split into), by label. Sets of one orbit name
            corresponding tiles by the same label: if P.a = P' inside an orbit then tile ``v`` of P goes to tile ``v``
            of P', or the two tiles are exchanged. Singletons have none.
        swapped: the (P, a) for which they are exchanged; empty if the semiautomaton is aperiodic.
        blocks: for each block of tiles the image sets in it; image sets themselves are not listed.
    """

    semiautomaton: Semiautomaton
    sets: tuple[int, ...]
    successor: tuple[tuple[int, ...], ...]
    height: tuple[int, ...]
    orbit: tuple[int, ...]
    tiles: tuple[tuple[int, ...], ...]
    swapped: frozenset[tuple[int, int]] = frozenset()
    blocks: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    @property
    def top(self) -> int:
        """H, the level of Q: the number of levels of the cascade."""
        return self.height[0]

    @cached_property
    def swap_levels(self) -> frozenset[int]:
        """The levels whose memory some letter swaps."""
        return frozenset(self.height[p] for p, _ in self.swapped)

    def members(self, number: int) -> tuple[int, ...]:
        """The states in an image set."""
        return set_members(self.sets[number])

    def leaves(self, number: int) -> tuple[int, ...]:
        """The image sets that a number stands for: itself, or the tiles of a block."""
        return self.blocks.get(number, (number,))

    def image(self, number: int, letter: int) -> int:
        """The image of a set under a letter, as a bitmask. O(tiles)."""
        return reduce(or_, (self.sets[self.successor[t][letter]] for t in self.leaves(number)))

    def orbits(self, height: int) -> dict[int, list[int]]:
        """The equivalence classes of one height: from class number to its sets."""
        found: dict[int, list[int]] = {}
        for number, h in enumerate(self.height):
            if h == height:
                found.setdefault(self.orbit[number], []).append(number)
        return found

    @property
    def set_names(self) -> tuple[str, ...]:
        """Each image set as its states in braces, a block as its tiles."""
        return tuple(self.name(p, [str(q) for q in range(self.semiautomaton.n_states)]) for p in range(len(self.sets)))

    def name(self, number: int, states: Sequence[str]) -> str:
        """A set as the names of its states in braces, a block as its tiles."""
        return "|".join("{" + ",".join(states[q] for q in self.members(t)) + "}" for t in self.leaves(number))

    def __str__(self) -> str:
        name = self.set_names
        blocks = f" (and {len(self.blocks)} blocks of tiles)" if self.blocks else ""
        lines = [f"{len(self.sets) - len(self.blocks)} image sets{blocks}, height {self.top}"]
        for h in range(self.top, 0, -1):
            for number in (n for group in self.orbits(h).values() for n in group):
                tiles = "  ".join(f"{v}:{name[t]}" for v, t in enumerate(self.tiles[number]))
                lines.append(f"  height {h}  {name[number]}  tiles {tiles}")
        return "\n".join(lines)


def holonomy(semiautomaton: Semiautomaton, budget: Budget = DEFAULT_BUDGET, *, swaps: bool = False) -> Holonomy:
    """Decompose a semiautomaton (decide first what it is: ``automata.classification``).

    O(I^2 n / 64) word operations for I image sets over n states, plus O(I k) graph work. I is exponential in n in
    the worst case; hence the budget.

    Args:
        semiautomaton: aperiodic, or with ``swaps`` one whose groups are 2-groups.
        budget: how many image sets, and how long.
        swaps: whether a loop may permute the tiles of a set.

    Raises:
        BudgetExceededError: more image sets than the budget allows.
        ValueError: a loop permutes the tiles of a set; or not by a 2-group (:class:`NotTwoGroupError`).
    """
    explored = image_sets(semiautomaton, budget)
    sets, successor = tuple(explored.sets), tuple(tuple(row) for row in explored.successor)
    orbit, order = _orbits(successor)
    unlabelled = _maximal_subsets(sets, semiautomaton.n_states, budget.meter("image sets compared"))
    height = _heights(sets, successor, orbit, order, unlabelled)
    tiles, turns = _label_tiles(sets, successor, orbit, unlabelled)
    plain = Holonomy(semiautomaton, sets, successor, height, orbit, tiles)
    if not turns:
        return plain
    if not swaps:
        raise ValueError("the semiautomaton is not aperiodic: a loop permutes the tiles of an image set")
    return split(plain, turns)


def _orbits(successor: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], list[list[int]]]:
    """The strongly connected components of the image graph, numbered so that successors come first."""
    orbit = strong_components(successor)
    order: list[list[int]] = [[] for _ in range(max(orbit) + 1)]
    for p, number in enumerate(orbit):
        order[number].append(p)
    return tuple(orbit), order


def _maximal_subsets(sets: tuple[int, ...], n_states: int, meter: Meter) -> list[list[int]]:
    """For each set, the maximal members of ``sets`` properly inside it, in the order of their smallest states."""
    words = _as_words(sets, n_states)
    size = np.array([mask.bit_count() for mask in sets])
    descending = np.lexsort((np.arange(len(sets)), -size))
    ordered, ordered_size = words[descending], size[descending]
    result: list[list[int]] = []
    for number in range(len(sets)):
        meter.check_time()
        if size[number] == 1:
            result.append([])
            continue
        outside = (ordered & ~words[number]).any(axis=1)
        inside = descending[~outside & (ordered_size < size[number])]
        kept: list[int] = []
        for candidate in inside.tolist():  # largest first, so whatever contains it is already kept
            if any(sets[candidate] & ~sets[t] == 0 for t in kept):
                continue
            kept.append(candidate)
        result.append(sorted(kept, key=lambda t: set_members(sets[t])))
    return result


def _as_words(sets: tuple[int, ...], n_states: int) -> NDArray[np.uint64]:
    """Bitmasks as rows of 64-bit words."""
    n_bytes = -(-n_states // 64) * 8
    raw = b"".join(mask.to_bytes(n_bytes, "little") for mask in sets)
    return np.frombuffer(raw, dtype="<u8").reshape(len(sets), -1)


def _heights(
    sets: tuple[int, ...],
    successor: tuple[tuple[int, ...], ...],
    orbit: tuple[int, ...],
    order: list[list[int]],
    tiles: list[list[int]],
) -> tuple[int, ...]:
    """Heights, smallest sets first and, within a size, successors first. O(I (k + tiles))."""
    height_of: dict[int, int] = {}
    by_size = sorted(range(len(order)), key=lambda number: (sets[order[number][0]].bit_count(), number))
    for number in by_size:
        members = order[number]
        if sets[members[0]].bit_count() == 1:
            height_of[number] = 0
            continue
        below = {orbit[t] for p in members for t in (*successor[p], *tiles[p])} - {number}
        height_of[number] = 1 + max((height_of[b] for b in below), default=0)
    return tuple(height_of[o] for o in orbit)


def _label_tiles(
    sets: tuple[int, ...],
    successor: tuple[tuple[int, ...], ...],
    orbit: tuple[int, ...],
    tiles: list[list[int]],
) -> tuple[tuple[tuple[int, ...], ...], Turns]:
    """Carry the tile labels of each orbit's first set along the letters. O(I k tiles).

    Also returned: where a letter inside an orbit does not take each tile to the one of the same label.
    """
    labelled: dict[int, tuple[int, ...]] = {}
    turns: Turns = {}
    for root in range(len(sets)):
        if root in labelled:
            continue
        labelled[root] = tuple(tiles[root])
        queue = [root]
        for p in queue:
            for a, target in enumerate(successor[p]):
                if orbit[target] != orbit[root]:
                    continue
                image = tuple(successor[t][a] for t in labelled[p])
                if target not in labelled:
                    labelled[target] = image
                    queue.append(target)
                elif labelled[target] != image:
                    number = {t: v for v, t in enumerate(labelled[target])}
                    turns[p, a] = tuple(number[t] for t in image)
    return tuple(labelled[p] for p in range(len(sets))), turns


def split(parts: Holonomy, turns: Turns) -> Holonomy:
    """Split the sets whose tiles are permuted into orbits of tiles and these into halves. O(I k tiles^2).

    Args:
        parts: the decomposition, blind to the permutations.
        turns: for (P, a) with P.a in the orbit of P, from each label in P to that of the tile's image in P.a, where
            that is not the identity.

    Raises:
        NotTwoGroupError: some set's tiles are not permuted by a 2-group.
    """
    generators: dict[int, list[Permutation]] = {}
    for (p, _), turn in turns.items():
        generators.setdefault(parts.orbit[p], []).append(turn)
    sets_of: dict[int, list[int]] = {}
    for p, number in enumerate(parts.orbit):
        sets_of.setdefault(number, []).append(p)
    trees = {o: Trees(len(parts.tiles[sets_of[o][0]]), gens) for o, gens in sorted(generators.items())}

    # Every block gets a number, but single tiles and, where all tiles are one orbit, the root have theirs already.
    number_of: dict[tuple[int, frozenset[int]], int] = {}
    blocks: dict[int, tuple[int, ...]] = {}
    classes: dict[tuple[int, frozenset[int]], int] = {}
    sets, rank, height, class_of = list(parts.sets), [0] * len(parts.sets), list(parts.height), list(parts.orbit)
    successor, tiles = [list(row) for row in parts.successor], [list(row) for row in parts.tiles]
    n_classes = max(parts.orbit) + 1
    for o, forest in trees.items():
        for p in sets_of[o]:
            for labels, tree in forest.blocks.items():
                if len(labels) == len(parts.tiles[p]):
                    number_of[p, labels], rank[p] = p, tree.rank
                elif len(labels) == 1:
                    number_of[p, labels] = parts.tiles[p][min(labels)]
                else:
                    number = number_of[p, labels] = len(sets)
                    blocks[number] = tuple(parts.tiles[p][v] for v in sorted(labels))
                    sets.append(reduce(or_, (parts.sets[t] for t in blocks[number])))
                    rank.append(tree.rank)
                    height.append(parts.height[p])
                    class_of.append(classes.setdefault((o, labels), n_classes + len(classes)))
                    successor.append([-1] * len(parts.successor[p]))
                    tiles.append([])
            if len(forest.trees) > 1:
                tiles[p] = [number_of[p, tree.tiles] for tree in forest.trees]

    swapped = set()
    for (p, labels), number in number_of.items():
        forest = trees[parts.orbit[p]]
        halves = [half.tiles for half in forest.blocks[labels].halves]
        if not halves:
            continue
        tiles[number] = [number_of[p, half] for half in halves]
        for a, target in enumerate(parts.successor[p]):
            if parts.orbit[target] != parts.orbit[p]:
                continue
            turn = turns.get((p, a), tuple(range(len(parts.tiles[p]))))
            image = frozenset(turn[v] for v in labels)
            successor[number][a] = number_of[target, image]
            if frozenset(turn[v] for v in halves[0]) != forest.blocks[image].halves[0].tiles:
                swapped.add((number, a))

    return Holonomy(
        parts.semiautomaton,
        tuple(sets),
        tuple(tuple(row) for row in successor),
        _levels(height, rank),
        tuple(class_of),
        tuple(tuple(row) for row in tiles),
        frozenset(swapped),
        blocks,
    )


def _levels(height: Sequence[int], rank: Sequence[int]) -> tuple[int, ...]:
    """The level of each set: within a height, blocks of 2^r tiles by r, and above them all sets that are not halved."""
    highest: dict[int, int] = {}
    for h, r in zip(height, rank, strict=True):
        highest[h] = max(highest.get(h, 0), r)
    places = [(h, r or highest[h] + 1) for h, r in zip(height, rank, strict=True)]
    level = {place: number for number, place in enumerate(sorted({(h, r) for h, r in places if h > 0}), 1)}
    return tuple(level.get(place, 0) for place in places)
