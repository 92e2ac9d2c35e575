"""Images of sets of states under letters, as bitmasks: the graph that deciding and decomposing both walk.

Bit q of a mask says that state q is in the set. Letters are columns, ``columns[a][q]`` being the target of state q
under letter a, or -1 where the letter is undefined.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import or_

import numpy as np
from numpy.typing import NDArray

from .budget import DEFAULT_BUDGET, Budget, Meter
from .semiautomaton import Semiautomaton

MANY_STATES = 256
"""From so many states on sets are worked on as arrays, whose cost does not grow with their squares."""


def members(mask: int) -> tuple[int, ...]:
    """The states in a mask, ascending. O(n) for n states."""
    if mask.bit_length() > MANY_STATES:
        return tuple(np.flatnonzero(_bits(mask, mask.bit_length())).tolist())
    out = []
    while mask:
        low = mask & -mask
        out.append(low.bit_length() - 1)
        mask ^= low
    return tuple(out)


def _bits(mask: int, n_states: int) -> NDArray[np.uint8]:
    read = np.frombuffer(mask.to_bytes(-(-n_states // 8), "little"), dtype=np.uint8)
    return np.unpackbits(read, count=n_states, bitorder="little")


class SetAction:
    """Letters, possibly partial, acting on masks; an undefined transition contributes nothing to an image.

    A mask is read byte by byte. For each position and value of a byte the images under all letters are kept, from
    their first use on, so an image costs one lookup per non-zero byte and one OR per byte and letter; of many states
    the targets are marked in an array instead.

    Args:
        columns: one sequence of targets per letter, -1 for undefined; all of one length.
    """

    def __init__(self, columns: Sequence[Sequence[int]]) -> None:
        n_states = len(columns[0]) if columns else 0
        self._single = [tuple(1 << c[q] if c[q] >= 0 else 0 for c in columns) for q in range(n_states)]
        self._rows: list[list[tuple[int, ...] | None]] = [[None] * 256 for _ in range(0, n_states, 8)]
        self._nothing = (0,) * len(columns)
        self._columns = np.array(columns, dtype=np.intp) if n_states > MANY_STATES else None

    def images(self, mask: int) -> tuple[int, ...]:
        """The image of ``mask`` under each letter. O(k * n / 8) for n states and k letters."""
        if not self._nothing:
            return ()
        if self._columns is not None:
            k, n = self._columns.shape
            marked = np.zeros((k, n + 1), dtype=bool)  # the last place, -1, is of undefined transitions
            np.put_along_axis(marked, self._columns[:, _bits(mask, n).astype(bool)], True, axis=1)
            packed = np.packbits(marked[:, :n], axis=1, bitorder="little")
            return tuple(int.from_bytes(row.tobytes(), "little") for row in packed)
        images = self._nothing
        for position, byte in enumerate(mask.to_bytes(len(self._rows), "little")):
            if byte:
                row = self._rows[position][byte] or self._row(position, byte)
                images = row if images is self._nothing else tuple(map(or_, images, row))
        return images

    def _row(self, position: int, byte: int) -> tuple[int, ...]:
        """The images of the up to eight states that a non-zero byte stands for."""
        row = self._rows[position][byte]
        if row is None:
            low = byte & -byte
            row = self._single[8 * position + low.bit_length() - 1]
            if byte != low:
                row = tuple(map(or_, row, self._row(position, byte ^ low)))
            self._rows[position][byte] = row
        return row


@dataclass(frozen=True)
class ImageGraph:
    """Sets of states closed under letters, as a graph.

    Args:
        sets: the sets as masks, in order of discovery.
        index: the number of each set.
        successor: ``successor[i][a]`` is the number of the image of set i under letter a, -1 if it was dropped.
    """

    sets: list[int]
    index: dict[int, int]
    successor: list[list[int]]

    def __len__(self) -> int:
        return len(self.sets)


def explore(columns: Sequence[Sequence[int]], starts: Iterable[int], meter: Meter, smallest: int = 1) -> ImageGraph:
    """All sets reachable from ``starts``, breadth first from each start in turn.

    Args:
        columns: the letters, as for :class:`SetAction`.
        starts: masks to start from, each of at least ``smallest`` states.
        meter: counts the sets.
        smallest: images with fewer states than this (>= 1, so always the empty set) are dropped.

    Raises:
        BudgetExceededError: more sets than the meter's budget allows, or too much time.

    Cost: O(k * n / 8) per set for n states and k letters. There can be 2^n sets.
    """
    action = SetAction(columns)
    sets: list[int] = []
    index: dict[int, int] = {}
    successor: list[list[int]] = []
    for start in starts:
        if start in index:
            continue
        meter.tick()
        index[start] = len(sets)
        sets.append(start)
        while len(successor) < len(sets):
            if len(successor) % 64 == 0:  # the meter looks at the clock too, but one set of many states takes long
                meter.check_time()
            row = []
            for image in action.images(sets[len(successor)]):
                number = index.get(image, -1)
                if number < 0 and image.bit_count() >= smallest:
                    meter.tick()
                    number = index[image] = len(sets)
                    sets.append(image)
                row.append(number)
            successor.append(row)
    return ImageGraph(sets, index, successor)


def image_sets(semiautomaton: Semiautomaton, budget: Budget = DEFAULT_BUDGET) -> ImageGraph:
    """The sets of the holonomy decomposition: Q.s for every word s, and the singletons.

    Set 0 is Q; the images of Q follow breadth first, then the singletons that are not among them.
    Every letter is total, so no successor is -1. Cost as for :func:`explore`.

    Raises:
        BudgetExceededError: more image sets than the budget allows, or too much time.
    """
    n = semiautomaton.n_states
    starts = [(1 << n) - 1, *(1 << q for q in range(n))]
    return explore(letter_columns(semiautomaton), starts, budget.meter("image sets"))


def letter_columns(semiautomaton: Semiautomaton) -> tuple[tuple[int, ...], ...]:
    """The table read by letters: ``columns[a][q]``."""
    return tuple(zip(*semiautomaton.table, strict=True))


def strong_components(successor: Sequence[Sequence[int]]) -> list[int]:
    """The number of the strongly connected component of each node; targets of -1 are ignored.

    Components are numbered in reverse topological order: every edge leads to the same or a smaller number.
    Tarjan's algorithm without recursion. O(nodes + edges).
    """
    order = [0] * len(successor)  # discovery numbers from 1; 0 is "not seen"
    low = [0] * len(successor)
    component = [-1] * len(successor)
    open_nodes: list[int] = []
    discovered = n_components = 0
    for root in range(len(successor)):
        if order[root]:
            continue
        discovered += 1
        order[root] = low[root] = discovered
        open_nodes.append(root)
        path = [(root, iter(successor[root]))]
        while path:
            node, targets = path[-1]
            for target in targets:
                if target < 0:
                    continue
                if not order[target]:
                    discovered += 1
                    order[target] = low[target] = discovered
                    open_nodes.append(target)
                    path.append((target, iter(successor[target])))
                    break
                if component[target] < 0 and order[target] < low[node]:
                    low[node] = order[target]
            else:
                path.pop()
                if path and low[node] < low[path[-1][0]]:
                    low[path[-1][0]] = low[node]
                if low[node] == order[node]:
                    while component[node] < 0:
                        component[open_nodes.pop()] = n_components
                    n_components += 1
    return component
