"""Where things go in a picture: pure geometry, in inches, with no drawing.

States are placed by the best of a few candidate layouts, the one with fewest crossings and fewest edges through
other states. Image sets stand in rows by height; the order inside a row follows the barycentres of the neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

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
    places = {}
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
    return crossings([(places[p], places[q]) for p, q in links]) + 2.0 * through + 20 * close + (width * height) ** 0.5


def _at_origin(places: Places) -> Places:
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


def free_direction(centre: Point, directions: Sequence[float]) -> float:
    """The angle at which there is most room among ``directions``; straight up if there are none."""
    if not directions:
        return float(np.pi / 2)
    angles = np.pi / 2 + 2 * np.pi * np.arange(24) / 24
    gap = np.abs((angles[:, None] - np.array(directions)[None] + np.pi) % (2 * np.pi) - np.pi).min(axis=1)
    return float(angles[int(np.argmax(np.round(gap, 6)))])


# -- image sets ------------------------------------------------------------------------------------------------------


def place_sets(heights: Sequence[int], tiles: Sequence[Sequence[int]], pitch: float, drop: float) -> Places:
    """Rows by height, the greatest on top, each centred on x = 0; neighbours near each other.

    Args:
        heights: of each set.
        tiles: of each set.
        pitch: distance of neighbours in a row.
        drop: distance of rows.

    O(sweeps * edges), plus O(edges^2) per sweep where there are few.
    """
    top = max(heights)
    rows = [[s for s, h in enumerate(heights) if h == height] for height in range(top, -1, -1)]
    above: list[list[int]] = [[] for _ in heights]
    for s, below in enumerate(tiles):
        for t in below:
            above[t].append(s)

    def positions(rows: list[list[int]]) -> Places:
        return {
            s: (pitch * (i - (len(row) - 1) / 2), -drop * r) for r, row in enumerate(rows) for i, s in enumerate(row)
        }

    def badness(places: Places) -> float:
        segments = [(places[s], places[t]) for s, below in enumerate(tiles) for t in below]
        length = sum(abs(a[0] - b[0]) for a, b in segments) / pitch
        return length if len(segments) > 1500 else 10 * crossings(segments) + length

    best = places = positions(rows)
    best_badness = badness(best)
    for sweep in range(SWEEPS):
        downwards = sweep % 2 == 0
        for row in rows if downwards else reversed(rows):
            neighbours = above if downwards else tiles
            centre = {s: np.mean([places[t][0] for t in neighbours[s]] or [places[s][0]]) for s in row}
            row.sort(key=lambda s: (round(float(centre[s]), 6), places[s][0]))
            places = positions(rows)
        if (new := badness(places)) < best_badness:
            best, best_badness = places, new
    return best
