"""Merging reset rules into few cubes, using the don't-cares.

A level sees, at each step, a *triple* (set before, letter, set after). Some triples demand a reset (to one of the
admissible labels), some forbid it (the coordinate is kept), and the rest do not matter. A *cube* is a product
(sets before) x (letters) x (sets after) of triples that all reset to one label. We cover the demanding triples with
disjoint cubes, greedily: it is two-level logic minimisation, with the shapes restricted to those that one or two
convolution channels can recognise (``compiler.thresholds``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

START = -1
"""In place of a set: "before the word began" (the triple of ``<bos>``)."""

Triple = tuple[int, int, int]
"""(set before, letter, set after), by number; the letter after the alphabet's last is ``<bos>``."""


@dataclass(frozen=True)
class Cube:
    """A reset rule: "if the set before is in ``before``, the letter in ``letters``, the set after in ``after``".

    ``None`` for a literal that is always true.
    """

    before: frozenset[int] | None
    letters: frozenset[int]
    after: frozenset[int] | None
    label: int

    def fires(self, triple: Triple) -> bool:
        """Whether the rule resets the level on this triple."""
        before, letter, after = triple
        return (
            letter in self.letters
            and (self.before is None or before in self.before)
            and (self.after is None or after in self.after)
        )


@dataclass(frozen=True)
class Demands:
    """What a level asks of its rules.

    Attributes:
        triples: every triple that can occur at the level.
        resets: the admissible labels of the triples that must reset.
        keeps: the triples on which nothing may fire.
        bos: the number of the letter ``<bos>``.
    """

    triples: tuple[Triple, ...]
    resets: dict[Triple, tuple[int, ...]]
    keeps: frozenset[Triple]
    bos: int


Price = Callable[[Cube], int | None]
"""How many channels recognise a cube; None if it cannot be done."""


class _Table:
    """Triples as positions of big integers, so that a set of triples is one mask."""

    def __init__(self, demands: Demands) -> None:
        self.demands = demands
        triples = demands.triples
        self.full = (1 << len(triples)) - 1
        self.by_before = masks(t[0] for t in triples)
        self.by_letter = masks(t[1] for t in triples)
        self.by_after = masks(t[2] for t in triples)
        self.by_before.pop(START, None)
        self.proper = [entry for entry in self.by_letter.items() if entry[0] != demands.bos]
        self.needed = self.mask(demands.resets)
        self.kept = self.mask(demands.keeps)
        labels = sorted({v for allowed in demands.resets.values() for v in allowed})
        self.allowed = {v: self.mask(t for t, allowed in demands.resets.items() if v in allowed) for v in labels}
        self.grown: dict[tuple[int, int], tuple[tuple[Cube, int], ...]] = {}  # of a triple, with what is covered

    def mask(self, wanted: Iterable[Triple]) -> int:
        chosen = set(wanted)
        return masked([i for i, t in enumerate(self.demands.triples) if t in chosen])


EFFORTS: Sequence[tuple[int, float]] = ((6, 1.0), (12, 1.0), (6, 0.5), (40, 1.0), (12, 0.0), (40, 0.5))
"""(seeds, exponent of the price) of the greedy covers tried on a small level; a large one gets the first only."""

SMALL = 400
"""Triples of a level that count as few."""


def cover(demands: Demands, price: Price) -> tuple[Cube, ...]:
    """Disjoint cubes that cover every demanding triple and no kept one; the cheapest of a few greedy covers.

    O(cubes * seeds * orders * (sets + letters)) operations on masks of one bit per triple.
    """
    table = _Table(demands)
    efforts = EFFORTS if len(demands.triples) <= SMALL else EFFORTS[:1]
    least = len({allowed[0] for allowed in demands.resets.values() if len(allowed) == 1})  # a cube has one label
    best: tuple[int, tuple[Cube, ...]] | None = None
    for seeds, exponent in efforts:
        cubes = _greedy(table, price, seeds, exponent)
        cost = sum(price(cube) or 0 for cube in cubes)
        if best is None or cost < best[0]:
            best = cost, cubes
        if cost <= max(1, least):
            break
    assert best is not None, "there are efforts"
    return best[1]


def _greedy(table: _Table, price: Price, seeds: int, exponent: float) -> tuple[Cube, ...]:
    """Of the cubes grown from up to ``seeds`` uncovered triples, take the one that covers most for its price."""
    covered, chosen = 0, []
    while remaining := table.needed & ~covered:
        best: tuple[float, Cube, int] | None = None
        for seed in _spread(remaining, seeds):
            for cube, mask in _candidates(table, seed, covered):
                gain = (mask & remaining).bit_count()
                if best is not None and gain <= best[0]:
                    continue  # even at one channel it would not be better
                cost = price(cube)
                if cost is not None and (best is None or gain / cost**exponent > best[0]):
                    best = (gain / cost**exponent, cube, mask)
        if best is None:
            raise AssertionError("a single triple is always a recognisable cube")
        chosen.append(best[1])
        covered |= best[2]
    return tuple(chosen)


FEW_BITS = 400
"""A mask of so many bits is read faster than it is made an array."""


def ones(mask: int) -> list[int]:
    """The positions of ones, ascending. O(length)."""
    if mask.bit_length() <= FEW_BITS:
        return [i for i, bit in enumerate(reversed(f"{mask:b}")) if bit == "1"]
    data = np.frombuffer(mask.to_bytes(-(-mask.bit_length() // 8), "little"), dtype=np.uint8)
    return np.flatnonzero(np.unpackbits(data, bitorder="little")).tolist()


def masked(positions: Sequence[int]) -> int:
    """A mask with ones at some positions, ascending: the inverse of :func:`ones`. O(length)."""
    if not positions or positions[-1] < FEW_BITS:
        return sum(1 << i for i in positions)
    return int.from_bytes(np.packbits(among(positions, positions[-1] + 1), bitorder="little").tobytes(), "little")


def masks(keys: Iterable[int]) -> dict[int, int]:
    """For each key, ascending, a mask of the positions where it stands. O(length * keys)."""
    places: dict[int, list[int]] = {}
    for i, key in enumerate(keys):
        places.setdefault(key, []).append(i)
    return {key: masked(places[key]) for key in sorted(places)}


def fired(cubes: Sequence[Cube], triples: Sequence[Triple]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """For each triple how many cubes fire there, and the number of the last, or -1. O(cubes * triples), in arrays."""
    before, letter, after = np.array(triples, dtype=np.intp).reshape(-1, 3).T
    times, last = np.zeros(len(triples), dtype=np.intp), np.full(len(triples), -1, dtype=np.intp)
    for number, cube in enumerate(cubes):
        holds = _holds(cube.letters, letter)
        if cube.before is not None:
            holds &= _holds(cube.before, before)
        if cube.after is not None:
            holds &= _holds(cube.after, after)
        times += holds
        last[holds] = number
    return times, last


def _holds(wanted: frozenset[int], side: NDArray[np.intp]) -> NDArray[np.bool_]:
    return among(wanted, 2 + max(int(side.max(initial=0)), *wanted, 0))[side]  # START is the last place, which is free


def among(numbers: Iterable[int], count: int) -> NDArray[np.bool_]:
    """Which of the numbers below ``count`` are among these."""
    found = np.zeros(count, dtype=np.bool_)
    found[list(numbers)] = True
    return found


def _spread(mask: int, count: int) -> list[int]:
    """Up to ``count`` positions of ones of ``mask``, spread evenly."""
    positions = ones(mask)
    stride = max(1, len(positions) // count)
    return positions[::stride][:count]


_ORDERS: Sequence[tuple[str, ...]] = tuple(permutations(("before", "letters", "after")))


def _candidates(table: _Table, position: int, covered: int) -> Iterable[tuple[Cube, int]]:
    """Maximal cubes around the triple at a position: per label, shape and order of growth."""
    if (known := table.grown.get((position, covered))) is None:
        different = dict.fromkeys(_grown(table, position, covered))
        known = table.grown[position, covered] = tuple((Cube(*sides, label), mask) for sides, mask, label in different)
    return known


def _grown(table: _Table, position: int, covered: int) -> Iterator[tuple[Sides, int, int]]:
    seed = table.demands.triples[position]
    before, _, after = seed
    for label, allowed in table.allowed.items():
        forbidden = table.kept | covered | (table.needed & ~allowed)
        if forbidden >> position & 1:
            continue
        shapes = ["free"]
        if before != START:
            shapes += ["nested"] if before == after else ["disjoint", "nested"]
        for shape in shapes:
            orders = _ORDERS if shape != "free" else (("letters", "after"), ("after", "letters"))
            for order in orders:
                grown = _grow(table, seed, forbidden, shape, order)
                if grown is not None:
                    yield *grown, label


Sides = tuple[frozenset[int] | None, frozenset[int], frozenset[int] | None]


def _grow(table: _Table, seed: Triple, forbidden: int, shape: str, order: Sequence[str]) -> tuple[Sides, int] | None:
    """Grow one cube greedily in one order of its sides.

    Shapes: "free" has no literal on the set before; "disjoint" keeps the two literals on sets disjoint; "nested" keeps
    the sets after inside the sets before. Other shapes are no threshold of one convolution channel.
    """
    before, letter, after = {seed[0]}, {seed[1]}, {seed[2]}
    b, m, a = table.by_before.get(seed[0], 0), table.by_letter[seed[1]], table.by_after[seed[2]]
    if shape == "free":
        b = table.full
    elif shape == "nested" and seed[2] not in before:
        if seed[2] not in table.by_before:
            return None
        before.add(seed[2])
        b |= table.by_before[seed[2]]
    if b & m & a & forbidden:
        return None
    for side in order:
        if side == "letters":
            clashes = b & a & forbidden
            # At <bos> the set before is anything at all.
            for key, mask in table.by_letter.items() if shape == "free" else table.proper:
                if not mask & clashes:
                    letter.add(key)
                    m |= mask
        elif side == "after":
            clashes = b & m & forbidden
            for key, mask in table.by_after.items():
                if mask & clashes or (shape != "free" and (key in before) == (shape == "disjoint")):
                    continue
                after.add(key)
                a |= mask
        else:
            clashes = m & a & forbidden
            for key, mask in table.by_before.items():
                if mask & clashes or (shape == "disjoint" and key in after):
                    continue
                before.add(key)
                b |= mask
    everywhere = len(after) == len(table.by_after)
    sides: Sides = (
        None if shape == "free" else frozenset(before),
        frozenset(letter),
        None if shape == "free" and everywhere else frozenset(after),
    )
    return sides, b & m & a
