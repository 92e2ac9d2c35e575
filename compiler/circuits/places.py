"""Places of a walk in Z^d seen in some directions: which of them lie beyond others, between them, or in a run of them.

A *ramp* (w, k) is r(c) = max(0, w . c - k), which is what a channel computes from counters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

from ...automata.alphabet import EOS
from ...automata.decide.walks import Vector, Walk
from ...automata.dfa import Dfa
from .forms import Form

Ramp = tuple[Vector, int]
"""(w, k): the channel max(0, w . count - k)."""

MOST_SUMMED = 4
"""Counters whose sums and differences are looked at."""


@dataclass(frozen=True)
class Map:
    """The places of the live states, and the directions in which they are looked at.

    Attributes:
        at: the place of each live state.
        steps: of each letter; one that no live prefix ends with leaves the box around all places.
        counts: the feature of each counter.
        axes: sums and differences of coordinates, single ones first.
        injective: a direction in which no two places agree.
    """

    at: Mapping[int, Vector]
    steps: tuple[Vector, ...]
    counts: tuple[str, ...]
    axes: tuple[Vector, ...]
    injective: Vector

    @staticmethod
    def of(walk: Walk) -> Map:
        """Of a walk in Z^d, d >= 1."""
        d = walk.dimension
        spans = [(min(x), max(x)) for x in zip(*walk.places.values(), strict=True)]
        sizes = [high - low + 1 for low, high in spans]
        leaving = (sizes[0], *([0] * (d - 1)))
        steps = tuple(leaving if step is None else step for step in walk.steps)
        counts = ("count",) if d == 1 else tuple(f"count {n + 1}" for n in range(d))
        axes = [tuple(sign * int(k == n) for k in range(d)) for n in range(d) for sign in (1, -1)]
        if 1 < d <= MOST_SUMMED:
            axes += [w for w in product((1, -1, 0), repeat=d) if sum(map(abs, w)) > 1]
        radix = [1]
        for size in sizes[:-1]:
            radix.append(radix[-1] * size)
        return Map(walk.places, steps, counts, tuple(axes), tuple(radix))

    @property
    def places(self) -> frozenset[Vector]:
        """All of them."""
        return frozenset(self.at.values())

    def form(self, direction: Vector) -> Form:
        """w . count."""
        return {name: w for name, w in zip(self.counts, direction, strict=True) if w}

    @property
    def directions(self) -> tuple[Vector, ...]:
        """In which tents are put up."""
        return (*self.axes[: 2 * len(self.counts) : 2], *([self.injective] if len(self.counts) > 1 else []))


def along(direction: Vector, place: Vector) -> int:
    """w . c."""
    return sum(w * x for w, x in zip(direction, place, strict=True))


def moved(a: Vector, b: Vector) -> Vector:
    """A place after a step."""
    return tuple(x + y for x, y in zip(a, b, strict=True))


def ruled_out(dfa: Dfa, map_: Map) -> dict[frozenset[Vector], list[str]]:
    """The tokens by the places of live states at which they are ruled out."""
    groups: dict[frozenset[Vector], list[str]] = {}
    for token in (*dfa.alphabet, EOS):
        allowed = dfa.accepting if token == EOS else {q for q in dfa.live if token in dfa.next_symbols(q)}
        groups.setdefault(frozenset(map_.at[q] for q in dfa.live - allowed), []).append(token)
    return groups


def cuts(allowed: frozenset[Vector], forbidden: Iterable[Vector], axes: Sequence[Vector]) -> list[Ramp] | None:
    """Ramps that are 0 at all allowed places, one of which is positive at each forbidden one; None: there are none."""
    ramps = [(w, max((along(w, p) for p in allowed), default=0)) for w in axes]
    left, chosen = set(forbidden), []
    while left:
        beyond = {ramp: {p for p in left if along(ramp[0], p) > ramp[1]} for ramp in ramps}
        best = max(ramps, key=lambda ramp: len(beyond[ramp]))
        if not beyond[best]:
            return None
        chosen.append(best)
        left -= beyond[best]
    return chosen


def tents(allowed: frozenset[Vector], forbidden: frozenset[Vector], map_: Map) -> list[tuple[Ramp, int]]:
    """Ramps with weights whose sum is 0 at all allowed places and positive at the forbidden ones."""
    found = [_tents_along(w, allowed, forbidden) for w in map_.directions]
    return min((f for f in found if f is not None), key=len)


def _tents_along(w: Vector, allowed: frozenset[Vector], forbidden: frozenset[Vector]) -> list[tuple[Ramp, int]] | None:
    """The same in one direction; None if it does not tell the two apart."""
    good, bad = sorted({along(w, p) for p in allowed}), {along(w, p) for p in forbidden}
    if bad & set(good):
        return None
    back = tuple(-x for x in w)
    ramps: list[tuple[Ramp, int]] = []
    if min(bad) < good[0]:
        ramps.append(((back, -good[0]), 1))
    if max(bad) > good[-1]:
        ramps.append(((w, good[-1]), 1))
    for p, n in pairwise(good):
        if any(p < x < n for x in bad):
            ramps += [((w, p), n - p - 1), ((w, p + 1), p - n), ((w, n), 1)]
    return ramps


def runs(good: frozenset[Vector], bad: frozenset[Vector], map_: Map) -> list[tuple[Ramp, int]]:
    """Ramps with weights whose sum is 0 at the good places and 1 at the bad ones: [w . c in a run of bad ones]."""
    best: list[tuple[Ramp, int]] | None = None
    for w in (*map_.axes, *map_.directions):
        goods, bads = {along(w, p) for p in good}, sorted({along(w, p) for p in bad})
        if goods & set(bads):
            continue
        ramps: list[tuple[Ramp, int]] = []
        values = sorted({*goods, *bads})
        for before, value, after in zip([None, *values], values, [*values[1:], None], strict=False):
            if value in goods:
                continue
            if before is None or before in goods:
                ramps += [((w, value - 1), 1), ((w, value), -1)]
            if after in goods:
                ramps += [((w, value), -1), ((w, value + 1), 1)]
        merged: dict[Ramp, int] = {}
        for ramp, weight in ramps:
            merged[ramp] = merged.get(ramp, 0) + weight
        highest = max(along(w, p) for p in map_.places)  # ramps that begin there or beyond are 0 at all places
        found = [(ramp, weight) for ramp, weight in merged.items() if weight and ramp[1] < highest]
        if best is None or len(found) < len(best):
            best = found
    assert best is not None, "the injective direction tells all places apart"
    return best
