"""Few rules for a memory: merging the steps at which it is overwritten into conjunctions, using the don't-cares.

A memory under design says for each *event*, a vector that its block can see, which labels may be written there and
whether the old label may be kept. Events at which it may not be kept have to be covered by conjunctions, disjoint, of
one admissible label each. It is two-level logic minimisation with several values per literal, done greedily.

In the first block a channel recognises a conjunction over two letters by a threshold of one form at two taps
(``compiler.cascade.thresholds``), which it can where the two sets of letters are disjoint or the present one lies
inside the other, and not across ``<bos>``; from the second block on every conjunction is one channel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ....automata.budget import Meter
from ...cascade.cubes import masks, ones
from .knowledge import NOTHING, Sides, Vector

SEEDS = 6
"""Uncovered events that conjunctions are grown from before the best is taken."""

OLDER, BEFORE = 0.15, 0.4
"""What a literal about an older letter, or about a memory before this letter, adds to the price of a conjunction."""


@dataclass(frozen=True)
class Demands:
    """What a memory asks of its rules.

    Attributes:
        vectors: the events.
        window: how many entries of a vector are letters.
        bos: the number of ``<bos>``.
        first: whether this is the first block.
        needed: the events at which a label has to be written, as a mask.
        admissible: for each label the events at which it may be written, as a mask.
    """

    vectors: tuple[Vector, ...]
    window: int
    bos: int
    first: bool
    needed: int
    admissible: tuple[int, ...]


class _Table:
    """The events as positions of masks."""

    def __init__(self, demands: Demands) -> None:
        self.demands = demands
        self.full = (1 << len(demands.vectors)) - 1
        self.width = len(demands.vectors[0])
        self.columns = [masks(values) for values in zip(*demands.vectors, strict=True)]
        self.values = [[entry for entry in column.items() if entry[0] != NOTHING] for column in self.columns]
        self.orders = _orders(self.width, demands.window)
        self.shapes = 2 if demands.first and demands.window > 1 else 0
        """How many of the first places have sides that the first block may not be able to recognise."""

    def price(self, sides: Sides) -> float:
        """What a conjunction costs, in channels."""
        demands = self.demands
        memories = (self.width - demands.window) // 2
        total = 1.0
        for place, side in enumerate(sides):
            if side is None or place == 0:
                continue
            if place < demands.window:
                total += OLDER
            elif place >= demands.window + memories:
                total += BEFORE
        if demands.first and demands.window > 1 and sides[1] is not None and sides[0] is not None:
            nested = sides[0] < sides[1]
            total += 1.0 if nested else 0.0
        return total


def _orders(width: int, window: int) -> tuple[tuple[int, ...], ...]:
    """Orders in which literals are weakened."""
    memories = (width - window) // 2
    old = tuple(reversed(range(1, window)))
    now = tuple(range(window, window + memories))
    before = tuple(range(window + memories, width))
    found = (
        (*before, *old, *now, 0),
        (*old, *before, *now, 0),
        (*now, *old, *before, 0),
        (*now, *before[::-1], 0, *old),
        (0, *before, *now[::-1], *old[::-1]),
    )
    return tuple(dict.fromkeys(found))


def cover(demands: Demands, meter: Meter) -> tuple[tuple[Sides, int], ...]:
    """Disjoint conjunctions, each with a label, that cover what is needed; greedy.

    O(conjunctions * seeds * orders * values of all entries) operations on masks.
    """
    table = _Table(demands)
    covered, chosen = 0, []
    while remaining := demands.needed & ~covered:
        best: tuple[float, Sides, int, int] | None = None
        most = remaining.bit_count()
        for seed in _spread(remaining):
            meter.tick()
            for sides, mask, label in _grown(table, seed, covered):
                gain = (mask & remaining).bit_count() / table.price(sides)
                if best is None or gain > best[0]:
                    best = (gain, sides, mask, label)
                if gain == most:
                    break  # all of them, by one channel
            if best is not None and best[0] == most:
                break
        if best is None:
            raise AssertionError("a single event is always a conjunction")
        _, sides, mask, label = best
        chosen.append((sides, label))
        covered |= mask
    return tuple(chosen)


def _spread(mask: int) -> list[int]:
    """A few positions of ones, spread evenly."""
    positions = ones(mask)
    stride = max(1, len(positions) // SEEDS)
    return positions[::stride][:SEEDS]


def _grown(table: _Table, seed: int, covered: int) -> Iterator[tuple[Sides, int, int]]:
    """Maximal conjunctions around an event, with what they hold on and their label."""
    demands = table.demands
    for label, allowed in enumerate(demands.admissible):
        if not allowed >> seed & 1:
            continue
        forbidden = (table.full & ~allowed) | covered
        for order in table.orders:
            found = _grow(table, demands.vectors[seed], forbidden, order)
            if found is not None:
                yield *found, label


def _grow(table: _Table, seed: Vector, forbidden: int, order: Sequence[int]) -> tuple[Sides, int] | None:
    """Weaken the literals one by one, as long as nothing forbidden is covered."""
    sides: list[frozenset[int] | None] = []
    masks: list[int] = []
    for column, value in zip(table.columns, seed, strict=True):
        # A literal about what is not there cannot be said: it is left out.
        sides.append(None if value == NOTHING else frozenset({value}))
        masks.append(table.full if value == NOTHING else column[value])
    # Literals that are still as the seed has them, the last one to be weakened first: what they hold on together.
    rest = [table.full]
    for place in reversed(order):
        rest.append(rest[-1] & masks[place])
    if rest.pop() & forbidden:
        return None
    weakened = table.full
    for place in order:
        clashes = weakened & rest.pop() & forbidden
        if (side := sides[place]) is not None:
            free = place >= table.shapes
            if not clashes and (free or _shaped(table.demands, sides, place, None)):
                sides[place], masks[place] = None, table.full
            else:
                for value, mask in table.values[place]:
                    if mask & clashes or value in side:
                        continue
                    grown = side | {value}
                    if free or _shaped(table.demands, sides, place, grown):
                        sides[place] = side = grown
                        masks[place] |= mask
        weakened &= masks[place]
    return tuple(sides), weakened


def _shaped(demands: Demands, sides: Sequence[frozenset[int] | None], place: int, side: frozenset[int] | None) -> bool:
    """Whether the first block can recognise the conjunction with this side at this place, one of the first two."""
    now = side if place == 0 else sides[0]
    before = side if place == 1 else sides[1]
    if before is None:
        return True
    return now is not None and demands.bos not in now and (now <= before or not now & before)
