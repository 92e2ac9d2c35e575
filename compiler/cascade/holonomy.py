"""Holonomy decomposition: the image sets of a semiautomaton, their heights and their tiles.

Theory: Zeiger's and Eilenberg's holonomy decomposition, in the form that `docs/construction.md` states. For the
transition monoid S of a semiautomaton on Q, the *image sets* are Q.s for s in S, together with the singletons. P <= R
iff P is inside R.s for some s; the *height* of a singleton is 0 and that of another set one more than the greatest
height strictly below it; the *tiles* of P are the maximal image sets properly inside P.

In an aperiodic semiautomaton the loops through P leave each tile where it is. Otherwise they permute the tiles, and
the choice of a tile is made in several steps (``compiler.cascade.towers``): first an orbit of tiles, say, then one
half of it, and so on down to single tiles. The nodes of such a tower, *blocks* of tiles, are listed among the sets,
each on a level between P and its tiles. Several may have the same tiles, and differ in what else they remember.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from itertools import count
from operator import or_
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...automata.budget import DEFAULT_BUDGET, Budget, Meter
from ...automata.images import image_sets, strong_components
from ...automata.images import members as set_members
from ...automata.semiautomaton import Semiautomaton
from .reflections import one_memory, pair_of
from .tower_search import TowerSearch
from .towers import Stage, Tower

Permutation = tuple[int, ...]
Turns = Mapping[tuple[int, int], Permutation]
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
        tiles: for each set its tiles (or the blocks that it is split into), by label. Sets of one orbit name
            corresponding tiles by the same label: if P.a = P' inside an orbit then tile ``v`` of P goes to tile ``v``
            of P', unless (P, a) has a turn. Singletons have none.
        turns: for those (P, a) the permutation of labels; none if the semiautomaton is aperiodic.
        blocks: for each block of tiles the image sets in it; image sets themselves are not listed.
        stages: of levels whose sets were split: how labels are permuted, and why the level is there.
    """

    semiautomaton: Semiautomaton
    sets: tuple[int, ...]
    successor: tuple[tuple[int, ...], ...]
    height: tuple[int, ...]
    orbit: tuple[int, ...]
    tiles: tuple[tuple[int, ...], ...]
    turns: Turns = field(default_factory=dict)
    blocks: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    stages: Mapping[int, Stage] = field(default_factory=dict)

    @property
    def top(self) -> int:
        """H, the level of Q: the number of levels of the cascade."""
        return self.height[0]

    @cached_property
    def swap_levels(self) -> frozenset[int]:
        """The levels where some letter makes labels change places."""
        return frozenset(self.height[p] for p, _ in self.turns)

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


Groups = Literal["none", "bits", "any"]
"""What letters may do to the labels of a level: nothing, exchange the two labels of a bit, or anything."""


def holonomy(semiautomaton: Semiautomaton, budget: Budget = DEFAULT_BUDGET, *, groups: Groups = "none") -> Holonomy:
    """Decompose a semiautomaton (decide first what it is: ``automata.classification``).

    O(I^2 n / 64) word operations for I image sets over n states, plus O(I k) graph work. I is exponential in n in
    the worst case; hence the budget. Then the search for towers (``compiler.cascade.tower_search``).

    Args:
        semiautomaton: aperiodic, or with ``groups`` = "bits" one whose groups are 2-groups, or with "any" any.
        budget: how many image sets, and nodes of towers, and how long.
        groups: what loops may do to the tiles of a set.

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
    if groups == "none":
        raise ValueError("the semiautomaton is not aperiodic: a loop permutes the tiles of an image set")
    return split(plain, turns, TowerSearch(budget, bits=groups == "bits"))


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
    turns: dict[tuple[int, int], Permutation] = {}
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


def split(parts: Holonomy, turns: Turns, search: TowerSearch) -> Holonomy:
    """Split the sets whose tiles are permuted as towers say. O(I k nodes), beside the search.

    Args:
        parts: the decomposition, blind to the permutations.
        turns: for (P, a) with P.a in the orbit of P, from each label in P to that of the tile's image in P.a, where
            that is not the identity.
        search: finds a tower for the permutations of an orbit.

    Raises:
        NotTwoGroupError: only bits are allowed, and some set's tiles are not permuted by a 2-group.
        BudgetExceededError: a tower is too large.
    """
    events: dict[int, set[Permutation]] = {}
    for (p, _), turn in turns.items():
        events.setdefault(parts.orbit[p], set()).add(turn)
    sets_of: dict[int, list[int]] = {}
    for p, number in enumerate(parts.orbit):
        sets_of.setdefault(number, []).append(p)
    towers = {o: search.tower(len(parts.tiles[sets_of[o][0]]), sorted(perms)) for o, perms in sorted(events.items())}

    # Every inner node gets a number, but for the root and single tiles, which have theirs already.
    number_of: dict[tuple[int, int], int] = {}
    blocks: dict[int, tuple[int, ...]] = {}
    classes: dict[tuple[int, int], int] = {}
    sets, orbit, tiles = list(parts.sets), list(parts.orbit), [list(row) for row in parts.tiles]
    successor = [list(row) for row in parts.successor]
    places: dict[int, Place] = {p: (h, 0, 0) for p, h in enumerate(parts.height)}
    n_classes = max(parts.orbit) + 1
    rows = _rows([(parts.height[sets_of[o][0]], o, tower) for o, tower in towers.items()])
    row_of = {member: row.place for row in rows for member in row.members}
    for o, tower in towers.items():
        for p in sets_of[o]:
            for node, children in enumerate(tower.children):
                if not children:
                    number_of[p, node] = parts.tiles[p][tower.tile[node]]
                elif node:
                    number_of[p, node] = number = len(sets)
                    search.meter.tick()
                    blocks[number] = tuple(parts.tiles[p][v] for v in tower.leaves(node))
                    sets.append(reduce(or_, (parts.sets[t] for t in blocks[number])))
                    orbit.append(classes.setdefault((o, node), n_classes + len(classes)))
                    successor.append([-1] * len(parts.successor[p]))
                    tiles.append([])
                else:
                    number_of[p, node] = p
                if children:
                    places[number_of[p, node]] = row_of[o, node]

    turned: dict[tuple[int, int], Permutation] = {}
    for (p, node), number in number_of.items():
        tower = towers[parts.orbit[p]]
        if not tower.children[node]:
            continue
        tiles[number] = [number_of[p, child] for child in tower.children[node]]
        for a, target in enumerate(parts.successor[p]):
            if parts.orbit[target] != parts.orbit[p]:
                continue
            image = node
            if (p, a) in turns:
                event = tower.events.index(turns[p, a])
                image, turn = tower.acts[event][node], tower.turn(event, node)
                if turn != tuple(range(len(turn))):
                    turned[number, a] = turn
            successor[number][a] = number_of[target, image]

    level = _levels(places.values())
    return Holonomy(
        parts.semiautomaton,
        tuple(sets),
        tuple(tuple(row) for row in successor),
        tuple(level[places[number]] for number in range(len(sets))),
        tuple(orbit),
        tuple(tuple(row) for row in tiles),
        turned,
        blocks,
        {level[row.place]: row.stage for row in rows},
    )


Place = tuple[int, int, int]
"""Where a set stands: its holonomy height, its rank in a tower (0: above all ranks), and which row of that rank."""


@dataclass
class _Row:
    """Nodes of towers that share a level, and so a memory: (orbit of sets, node)."""

    place: Place
    stage: Stage
    pairs: set[tuple[int, int]] = field(default_factory=set)
    members: list[tuple[int, int]] = field(default_factory=list)


def _rows(towers: Sequence[tuple[int, int, Tower]]) -> list[_Row]:
    """Share the nodes of each rank out to memories: as few as can make all exchanges, and one for each pipeline.

    Args:
        towers: for each orbit of sets its holonomy height, its number and its tower.
    """
    rows: list[_Row] = []
    for height, orbit, tower in towers:
        for nodes in tower.classes:
            rank = tower.rank[nodes[0]]
            stage = tower.stages[rank - 1]
            turns = {tower.turn(event, node) for event in range(len(tower.events)) for node in nodes}
            pairs = {pair for turn in turns if (pair := pair_of(turn)) is not None}
            if nodes == (0,) and stage.kind == "choice":
                rank = 0
            here = [row for row in rows if row.place[:2] == (height, rank)]
            alone = stage.kind == "pipeline"
            row = None if alone else next((r for r in here if _has_room(r, pairs)), None)
            if row is None:
                row = _Row((height, rank, len(here)), stage)
                rows.append(row)
            row.pairs |= pairs
            row.members += [(orbit, node) for node in nodes]
    return rows


def _has_room(row: _Row, pairs: set[tuple[int, int]]) -> bool:
    return row.stage.kind != "pipeline" and one_memory(row.pairs | pairs)


def _levels(places: Iterable[Place]) -> dict[Place, int]:
    """The level of each place: within a height by rank, and above them all sets that are not in a tower."""
    every = set(places)
    highest: dict[int, int] = {}
    for height, rank, _ in every:
        highest[height] = max(highest.get(height, 0), rank)
    order = sorted(every, key=lambda place: (place[0], place[1] or highest[place[0]] + 1, place[2]))
    numbers = count(1)
    return {place: next(numbers) if place[0] else 0 for place in order}
