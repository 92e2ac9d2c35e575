"""Where things go in a picture: pure geometry, in inches, with no drawing.

States stand on a circle, where no straight edge runs through a state. What is made in layers (image sets, blocks)
stands in rows by height; the order inside a row follows the barycentres of the neighbours (Sugiyama, Tagawa and Toda
1981).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import cos, pi, sin
from statistics import fmean

Point = tuple[float, float]
Edge = tuple[int, int]
Places = dict[int, Point]

RADIUS = 0.24
"""Of a state."""

SWEEPS = 9
"""Odd, so that the last goes downwards."""


@dataclass(frozen=True)
class Arc:
    """An edge as a quadratic curve, as matplotlib's "arc3" draws it: it bends right by ``bend`` of its length."""

    start: Point
    end: Point
    bend: float

    def at(self, t: float) -> Point:
        """The point at parameter t, from 0 to 1."""
        (ax, ay), (bx, by), u = self.start, self.end, 1 - t
        control = ((ax + bx) / 2 + self.bend * (by - ay), (ay + by) / 2 + self.bend * (ax - bx))
        x, y = (u * u * a + 2 * u * t * c + t * t * b for a, c, b in zip(self.start, control, self.end, strict=True))
        return (x, y)


# -- states ----------------------------------------------------------------------------------------------------------


def place_states(edges: Iterable[Edge], n_states: int, dead: int | None = None) -> Places:
    """Places on a circle round (0, 0), y upwards: the initial state 0 on the left, the others clockwise.

    They come in depth-first order, so that what leads from one to the next is short; the dead state last. The mapping
    has them in the order of the circle. O(edges).
    """
    below: dict[int, list[int]] = {}
    for p, q in sorted(set(edges), reverse=True):
        below.setdefault(p, []).append(q)
    met: dict[int, None] = {}
    waiting = [*range(n_states - 1, 0, -1), 0]
    while waiting:
        if (q := waiting.pop()) not in met:
            met[q] = None
            waiting += below.get(q, [])
    order = sorted(met, key=lambda q: q == dead)
    radius = max(0.9, 1.15 * n_states / (2 * pi)) if n_states > 1 else 0.0
    angles = [pi - 2 * pi * i / n_states for i in range(n_states)]
    return {q: (radius * cos(a), radius * sin(a)) for q, a in zip(order, angles, strict=True)}


def route(places: Places, edges: Iterable[Edge]) -> dict[Edge, Arc]:
    """A curve for each edge between different states on a circle (``places`` in its order).

    Neighbours are joined by a straight edge, or by two that bend to their own right; others bend inwards, away from
    the states between, and the second of an antiparallel pair bends further.
    """
    wanted, n = {(p, q) for p, q in edges if p != q}, len(places)
    number = {q: i for i, q in enumerate(places)}
    arcs = {}
    for p, q in sorted(wanted):
        ahead, both = (number[q] - number[p]) % n, (q, p) in wanted
        if n < 4 or ahead in (1, n - 1):
            bend = 0.18 if both else 0.0
        elif 2 * ahead == n:
            bend = 0.12
        else:
            bend = (0.3 if both and p > q else 0.12) * (1 if 2 * ahead < n else -1)
        arcs[p, q] = Arc(places[p], places[q], bend)
    return arcs


# -- image sets ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rows:
    """Image sets, or other things in layers, in rows.

    Attributes:
        places: of the sets.
        bends: where the edge from a set to a tile passes the rows between them; edges to one tile run together.
    """

    places: Places
    bends: dict[Edge, tuple[Point, ...]]


def place_sets(heights: Sequence[int], tiles: Sequence[Sequence[int]], pitch: float, drop: float) -> Rows:
    """Rows by height, the greatest on top at y = 0, each centred on x = 0; neighbours near each other.

    Args:
        heights: of each set.
        tiles: of each set.
        pitch: distance of neighbours in a row.
        drop: distance of rows.

    O(sweeps * edges).
    """
    n, top = len(heights), max(heights)
    stops: dict[tuple[int, int], int] = {}  # (tile, height) to a place of its own in a row between
    paths = {
        (s, t): [stops.setdefault((t, h), n + len(stops)) for h in range(heights[s] - 1, heights[t], -1)]
        for s, below in enumerate(tiles)
        for t in below
    }
    level = dict(enumerate(heights)) | {node: h for (_, h), node in stops.items()}
    rows = [[s for s in sorted(level) if level[s] == h] for h in range(top, -1, -1)]
    above: dict[int, list[int]] = {s: [] for s in level}
    below: dict[int, list[int]] = {s: [] for s in level}
    links = {link for (s, t), path in paths.items() for link in pairwise((s, *path, t))}
    for s, t in sorted(links):
        below[s].append(t)
        above[t].append(s)

    def spread(row: Sequence[int]) -> dict[int, float]:
        widths = [pitch if s < n else 0.35 * pitch for s in row]
        ends, half = accumulate(widths), sum(widths) / 2
        return {s: end - half - w / 2 for s, w, end in zip(row, widths, ends, strict=True)}

    x = {s: value for row in rows for s, value in spread(row).items()}
    for sweep in range(SWEEPS):
        neighbours = below if sweep % 2 else above
        for row in reversed(rows) if sweep % 2 else rows:
            centre = {s: fmean([x[t] for t in neighbours[s]] or [x[s]]) for s in row}
            row.sort(key=lambda s: (round(centre[s], 6), x[s]))
            x |= spread(row)
    places = {s: (x[s], drop * (level[s] - top)) for s in level}
    bends = {edge: tuple(places[node] for node in path) for edge, path in paths.items()}
    return Rows({s: places[s] for s in range(n)}, bends)
