"""Where things go in a picture: pure geometry, in inches, with no drawing.

States are placed by the best of a few candidate layouts, the one with fewest crossings and fewest edges through
other states. Image sets stand in rows by height; the order inside a row follows the barycentres of the neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import networkx as nx
import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
Edge = tuple[int, int]
Places = dict[int, Point]

RADIUS = 0.24
"""Of a state."""

FEW_STATES = 40
"""Up to so many states several layouts are compared; more are put on a circle."""

BENDS = (0.0, 0.18, -0.18, 0.3, -0.3, 0.45, -0.45, 0.6, -0.6)
SWEEPS = 12


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


def place_states(edges: Iterable[Edge], n_states: int) -> Places:
    """Places of the states 0 (initial) to n - 1, top left corner near (0, 0), y downwards negative.

    O(edges^2) per candidate for few states, O(states) for many.
    """
    links = sorted({(p, q) for p, q in edges if p != q})
    circle = _circle(n_states)
    if n_states > FEW_STATES:
        return _at_origin(circle)
    candidates = [_layers(links, n_states), _layers(links, n_states, float_last=True), circle]
    graph = nx.Graph(links)
    graph.add_nodes_from(range(n_states))
    for seed in range(4) if n_states > 3 else ():
        candidates.append(_spread(nx.spring_layout(graph, seed=seed, iterations=200)))
    return _at_origin(min(candidates, key=lambda places: _badness(places, links)))


def _circle(n: int) -> Places:
    radius = max(0.9, 1.15 * n / (2 * np.pi)) if n > 1 else 0.0
    angles = np.pi / 2 - 2 * np.pi * np.arange(n) / n
    return {q: (radius * float(np.cos(a)), radius * float(np.sin(a))) for q, a in enumerate(angles)}


def _layers(links: Sequence[Edge], n: int, *, float_last: bool = False) -> Places:
    """Rows by distance from the initial state; ``float_last`` puts a sink beside the middle of what leads to it."""
    graph = nx.DiGraph(links)
    graph.add_nodes_from(range(n))
    depth: dict[int, float] = dict(nx.single_source_shortest_path_length(graph, 0))
    sinks = [q for q in range(n) if not any(graph.successors(q))] if float_last else []
    rows: dict[float, list[int]] = {}
    for q in sorted(set(range(n)) - set(sinks)):
        rows.setdefault(depth[q], []).append(q)
    places: Places = {}
    for row, states in sorted(rows.items()):
        x_of = {q: np.mean([places[p][0] for p in graph.predecessors(q) if p in places] or [0.0]) for q in states}
        for i, q in enumerate(sorted(states, key=lambda q: (x_of[q], q))):
            places[q] = (1.5 * (i - (len(states) - 1) / 2), -1.15 * row)
    right = max((x for x, _ in places.values()), default=0.0)
    for i, q in enumerate(sinks):
        heights = [places[p][1] for p in graph.predecessors(q) if p in places]
        places[q] = (right + 1.5 * (i + 1), float(np.mean(heights)) if heights else 0.0)
    return places


def _spread(layout: Mapping[int, NDArray[np.float64]]) -> Places:
    """A layout without scale, scaled so that no two states are closer than is legible."""
    points = np.array([layout[q] for q in range(len(layout))])
    gaps = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(gaps, np.inf)
    scale = min(1.15 / max(float(gaps.min()), 0.05), 12.0)
    return {q: (float(x) * scale, float(y) * scale) for q, (x, y) in enumerate(points)}


def _badness(places: Places, links: Sequence[Edge]) -> float:
    """Crossings, edges through states, and a little for the area."""
    points = np.array([places[q] for q in range(len(places))])
    width, height = np.ptp(points, axis=0)
    through = sum(1 for p, q in links if _clearance(Arc(places[p], places[q], 0.0), places, {p, q}) < RADIUS + 0.05)
    gaps = np.linalg.norm(points[:, None] - points[None], axis=-1) + 9 * np.eye(len(points))
    close = float(np.maximum(0, 0.95 - gaps).sum())
    size = sqrt(width * height)
    return crossings([(places[p], places[q]) for p, q in links]) + 2.0 * through + 20 * close + size


def _at_origin(places: Places) -> Places:
    """Moved to the origin, and turned over so that the initial state is on the left and at the top."""
    points = np.array(list(places.values()))
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    flip_x, flip_y = (-1 if places[0][0] > middle[0] + 0.01 else 1), (-1 if places[0][1] < middle[1] - 0.01 else 1)
    places = {q: (x * flip_x, y * flip_y) for q, (x, y) in places.items()}
    left, top = min(x for x, _ in places.values()), max(y for _, y in places.values())
    return {q: (x - left, y - top) for q, (x, y) in places.items()}


def crossings(segments: Sequence[tuple[Point, Point]]) -> int:
    """How many pairs of straight segments cross inside. O(segments^2)."""
    if len(segments) < 2:
        return 0
    a, b = np.array([s for s, _ in segments]), np.array([e for _, e in segments])

    def side(p: NDArray[np.float64], q: NDArray[np.float64], r: NDArray[np.float64]) -> NDArray[np.float64]:
        result: NDArray[np.float64] = np.sign(
            np.round((q[..., 0] - p[..., 0]) * (r[..., 1] - p[..., 1]), 6)
            - np.round((q[..., 1] - p[..., 1]) * (r[..., 0] - p[..., 0]), 6)
        )
        return result

    a1, b1, a2, b2 = a[:, None], b[:, None], a[None], b[None]
    cross = (side(a1, b1, a2) * side(a1, b1, b2) < 0) & (side(a2, b2, a1) * side(a2, b2, b1) < 0)
    return int(cross.sum()) // 2


def _clearance(arc: Arc, places: Places, ends: set[int]) -> float:
    """The least distance of the curve to a state that is not one of its ends."""
    others = np.array([point for q, point in places.items() if q not in ends])
    if not len(others):
        return np.inf
    curve = arc.at(np.linspace(0, 1, 25))
    return float(np.linalg.norm(curve[:, None] - others[None], axis=-1).min())


def route(places: Places, edges: Iterable[Edge]) -> dict[Edge, Arc]:
    """A curve for each edge between different states: straight if nothing is in the way."""
    wanted = set(edges)
    arcs = {}
    for p, q in sorted(wanted):
        if p == q:
            continue
        # Antiparallel edges both bend to their own right, so they part.
        bends = [b for b in BENDS if b > 0] if (q, p) in wanted else BENDS
        choices = [Arc(places[p], places[q], bend) for bend in bends]
        free = (arc for arc in choices if _clearance(arc, places, {p, q}) > RADIUS + 0.1)
        arcs[p, q] = next(free, None) or max(choices, key=lambda arc: _clearance(arc, places, {p, q}))
    return arcs


def free_direction(centre: Point, obstacles: NDArray[np.float64], reach: float) -> float:
    """The angle at which a stretch of length ``reach`` outside a state keeps furthest from all obstacles."""
    angles = np.pi / 2 + 2 * np.pi * np.arange(24) / 24
    if not len(obstacles):
        return float(angles[0])
    outward = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    probes = np.array(centre) + outward[:, None] * (RADIUS + reach * np.array([0.3, 0.65, 1.0]))[None, :, None]
    gap = np.linalg.norm(probes[:, :, None] - obstacles[None, None], axis=-1).min(axis=(1, 2))
    return float(angles[int(np.argmax(np.round(gap, 6)))])


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
    """Rows by height, the greatest on top, each centred on x = 0; neighbours near each other.

    Args:
        heights: of each set.
        tiles: of each set.
        pitch: distance of neighbours in a row.
        drop: distance of rows.

    O(sweeps * edges), plus O(edges^2) per sweep where there are few.
    """
    n = len(heights)
    stops: dict[tuple[int, int], int] = {}  # (tile, height) to a place of its own in a row between
    paths = {
        (s, t): [stops.setdefault((t, h), n + len(stops)) for h in range(heights[s] - 1, heights[t], -1)]
        for s, below in enumerate(tiles)
        for t in below
    }
    level = dict(enumerate(heights)) | {node: h for (_, h), node in stops.items()}
    rows = [[s for s in sorted(level) if level[s] == h] for h in range(max(heights), -1, -1)]
    links = sorted({link for (s, t), path in paths.items() for link in pairwise((s, *path, t))})
    above: dict[int, list[int]] = {s: [] for s in level}
    below: dict[int, list[int]] = {s: [] for s in level}
    for s, t in links:
        below[s].append(t)
        above[t].append(s)

    def positions() -> Places:
        places: Places = {}
        for row in rows:
            widths = [pitch if s < n else 0.35 * pitch for s in row]
            ends = np.cumsum(widths) - sum(widths) / 2
            places |= {s: (float(end - w / 2), drop * level[s]) for s, w, end in zip(row, widths, ends, strict=True)}
        return places

    def badness(places: Places) -> float:
        segments = [(places[s], places[t]) for s, t in links]
        length = sum(abs(a[0] - b[0]) for a, b in segments) / pitch
        return length if len(segments) > 1500 else 10 * crossings(segments) + length

    best = places = positions()
    best_badness = badness(best)
    for sweep in range(SWEEPS):
        downwards = sweep % 2 == 0
        for row in rows if downwards else reversed(rows):
            neighbours = above if downwards else below
            centre = {s: float(np.mean([places[t][0] for t in neighbours[s]] or [places[s][0]])) for s in row}
            row.sort(key=lambda s: (round(centre[s], 6), places[s][0]))
            places = positions()
        if (new := badness(places)) < best_badness:
            best, best_badness = places, new
    top = drop * max(heights)
    best = {s: (x, y - top) for s, (x, y) in best.items()}
    bends = {edge: tuple(best[node] for node in path) for edge, path in paths.items()}
    return Rows({s: best[s] for s in range(n)}, bends)
