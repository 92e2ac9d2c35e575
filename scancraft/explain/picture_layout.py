"""Where things go in a picture of a cascade: pure geometry, in inches, with no drawing.

States stand on a circle, where no straight edge runs through a state. Image sets stand in rows by height; the order
inside a row follows the barycentres of the neighbours (Sugiyama, Tagawa and Toda 1981).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import networkx as nx
import numpy as np
from numpy.typing import NDArray

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

    def at(self, t: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """The point(s) at parameter(s) t, from 0 to 1."""
        a, b = np.array(self.start), np.array(self.end)
        control = (a + b) / 2 + self.bend * np.array([b[1] - a[1], a[0] - b[0]])
        u = np.asarray(t)[..., None]
        result: NDArray[np.float64] = (1 - u) ** 2 * a + 2 * u * (1 - u) * control + u**2 * b
        return result


# -- states ----------------------------------------------------------------------------------------------------------


def place_states(edges: Iterable[Edge], n_states: int, dead: int | None = None) -> Places:
    """Places on a circle round (0, 0), y upwards: the initial state 0 on the left, the others clockwise.

    They come in depth-first order, so that what leads from one to the next is short; the dead state last. The mapping
    has them in the order of the circle. O(edges).
    """
    graph = nx.DiGraph(sorted(edges))
    graph.add_nodes_from(range(n_states))
    order = sorted(nx.dfs_preorder_nodes(graph, 0), key=lambda q: q == dead)
    radius = max(0.9, 1.15 * n_states / (2 * np.pi)) if n_states > 1 else 0.0
    angles = np.pi - 2 * np.pi * np.arange(n_states) / n_states
    return {q: (radius * float(np.cos(a)), radius * float(np.sin(a))) for q, a in zip(order, angles, strict=True)}


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
    """Image sets in rows.

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
        ends = np.cumsum(widths) - sum(widths) / 2
        return {s: float(end - w / 2) for s, w, end in zip(row, widths, ends, strict=True)}

    x = {s: value for row in rows for s, value in spread(row).items()}
    for sweep in range(SWEEPS):
        neighbours = below if sweep % 2 else above
        for row in reversed(rows) if sweep % 2 else rows:
            centre = {s: float(np.mean([x[t] for t in neighbours[s]] or [x[s]])) for s in row}
            row.sort(key=lambda s: (round(centre[s], 6), x[s]))
            x |= spread(row)
    places = {s: (x[s], drop * (level[s] - top)) for s in level}
    bends = {edge: tuple(places[node] for node in path) for edge, path in paths.items()}
    return Rows({s: places[s] for s in range(n)}, bends)
