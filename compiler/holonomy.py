"""Holonomy decomposition: the image sets of an aperiodic semiautomaton, their heights and their tiles.

Theory: Zeiger's and Eilenberg's holonomy decomposition, in the form that `docs/construction.md` states. For the
transition monoid S of a semiautomaton on Q, the *image sets* are Q.s for s in S, together with the singletons. P <= R
iff P is inside R.s for some s; the *height* of a singleton is 0 and that of another set one more than the greatest
height strictly below it; the *tiles* of P are the maximal image sets properly inside P.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..automata.budget import DEFAULT_BUDGET, Budget, Meter
from ..automata.images import image_sets, strong_components
from ..automata.images import members as set_members
from ..automata.semiautomaton import Semiautomaton


@dataclass(frozen=True)
class Holonomy:
    """Image sets of a semiautomaton, by number; set 0 is Q.

    Attributes:
        semiautomaton: what was decomposed.
        sets: each image set as a bitmask of states.
        successor: ``successor[P][a]`` is the number of the image P.a.
        height: the holonomy height of each set.
        orbit: the number of each set's equivalence class (mutually reachable sets).
        tiles: for each set its tiles, by label. Sets of one orbit name corresponding tiles by the same label: if
            P.a = P' inside an orbit then tile ``v`` of P goes to tile ``v`` of P'. Singletons have none.
    """

    semiautomaton: Semiautomaton
    sets: tuple[int, ...]
    successor: tuple[tuple[int, ...], ...]
    height: tuple[int, ...]
    orbit: tuple[int, ...]
    tiles: tuple[tuple[int, ...], ...]

    @property
    def top(self) -> int:
        """H, the height of Q: the number of levels of the cascade."""
        return self.height[0]

    def members(self, number: int) -> tuple[int, ...]:
        """The states in an image set."""
        return set_members(self.sets[number])

    def orbits(self, height: int) -> dict[int, list[int]]:
        """The equivalence classes of one height: from class number to its sets."""
        found: dict[int, list[int]] = {}
        for number, h in enumerate(self.height):
            if h == height:
                found.setdefault(self.orbit[number], []).append(number)
        return found

    @property
    def set_names(self) -> tuple[str, ...]:
        """Each image set as its states in braces."""
        return tuple("{" + ",".join(map(str, self.members(p))) + "}" for p in range(len(self.sets)))

    def __str__(self) -> str:
        name = self.set_names
        lines = [f"{len(self.sets)} image sets, height {self.top}"]
        for h in range(self.top, 0, -1):
            for number in (n for group in self.orbits(h).values() for n in group):
                tiles = "  ".join(f"{v}:{name[t]}" for v, t in enumerate(self.tiles[number]))
                lines.append(f"  height {h}  {name[number]}  tiles {tiles}")
        return "\n".join(lines)


def holonomy(semiautomaton: Semiautomaton, budget: Budget = DEFAULT_BUDGET) -> Holonomy:
    """Decompose an **aperiodic** semiautomaton (decide that first: ``automata.aperiodic``).

    O(I^2 n / 64) word operations for I image sets over n states, plus O(I k) graph work. I is exponential in n in
    the worst case; hence the budget.

    Raises:
        BudgetExceededError: more image sets than the budget allows.
        ValueError: the semiautomaton is not aperiodic (a loop permutes the tiles of a set).
    """
    explored = image_sets(semiautomaton, budget)
    sets, successor = tuple(explored.sets), tuple(tuple(row) for row in explored.successor)
    orbit, order = _orbits(successor)
    unlabelled = _maximal_subsets(sets, semiautomaton.n_states, budget.meter("image sets compared"))
    height = _heights(sets, successor, orbit, order, unlabelled)
    tiles = _label_tiles(sets, successor, orbit, unlabelled)
    return Holonomy(semiautomaton, sets, successor, height, orbit, tiles)


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
) -> tuple[tuple[int, ...], ...]:
    """Carry the tile labels of each orbit's first set along the letters. O(I k tiles)."""
    labelled: dict[int, tuple[int, ...]] = {}
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
                    raise ValueError("the semiautomaton is not aperiodic: a loop permutes the tiles of an image set")
    return tuple(labelled[p] for p in range(len(sets)))
