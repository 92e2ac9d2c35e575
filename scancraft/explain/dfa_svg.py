"""A DFA as SVG text: it stands in pages, takes their colours (``currentColor``), and can be lit state by state.

The geometry is that of the pictures (``picture_layout``); nothing is drawn here that needs matplotlib.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from math import atan2, cos, hypot, pi, sin
from typing import Final

from ..automata.alphabet import shown_text
from ..automata.dfa import Dfa
from .picture_layout import RADIUS, Arc, Edge, Point, place_states, route
from .picture_names import edge_label, short_names

MOST_STATES: Final = 24
"""Of a DFA that is drawn."""

MOST_LABEL: Final = 14
"""Characters of a label that are shown; all of them are in its title."""

SCALE: Final = 72.0
"""Units of the picture per unit of the layout (an inch)."""

MARGIN: Final = 0.12
HEAD: Final = 0.11
"""Of an arrow: its length."""


def dfa_svg(dfa: Dfa, title: str) -> str:
    """The picture: a group of the class ``state`` for each state, and one of the class ``edge`` for each edge.

    A state has its number in ``data-state``, an edge those of its ends in ``data-from`` and ``data-to``. Accepting
    states have the class ``accepting`` and a second ring, the dead state and what leads there ``dead``. Equal DFAs give
    equal text. Names and symbols are escaped, and control characters shown as escapes.

    Args:
        dfa: with at most :data:`MOST_STATES` states, or nobody could read it.
        title: for those who do not see the picture.

    Cost: O(transitions).
    """
    edges = _letters(dfa)
    names, legend = short_names(dfa)
    places = place_states(edges, dfa.n_states, dfa.dead)
    routes, box = route(places, edges), _Box()
    drawn = []
    taken: list[Point] = []
    for edge, arc in routes.items():
        drawn.append(_edge(dfa, edge, edges[edge], _arc(arc, taken, box), box))
    for q, (x, y) in places.items():
        box.add((x - RADIUS, y - RADIUS), (x + RADIUS, y + RADIUS))
        outwards = atan2(y, x) if dfa.n_states > 1 else pi / 2
        if q == dfa.initial:
            tail = (x - RADIUS - 0.32, y)
            drawn.append(f'<g class="start"><path d="{_path([tail, (x - RADIUS - HEAD, y)])}"/>')
            drawn.append(f"{_head((x - RADIUS - 0.015, y), 0.0)}</g>")
            box.add(tail)
            outwards = min(outwards, pi - 0.9)  # a loop makes way for the arrow
        if (q, q) in edges:
            drawn.append(_edge(dfa, (q, q), edges[q, q], _loop((x, y), outwards), box))
    for q, (x, y) in places.items():
        drawn.append(_state(dfa, q, names[q], (x, y)))
    told = "".join(f"{line}\n" for line in legend) or "the states by their names"
    return (
        f'<svg class="dfa" role="img" viewBox="{box.view()}" width="{box.width:.0f}" font-size="11" fill="none" '
        f'stroke="currentColor" stroke-width="1.1"><title>{_text(title)}</title><desc>{_text(told)}</desc>'
        f"{''.join(drawn)}</svg>"
    )


def _letters(dfa: Dfa) -> dict[Edge, list[str]]:
    """The symbols on each edge."""
    found: dict[Edge, list[str]] = {}
    for p, row in enumerate(dfa.table):
        for symbol, q in zip(dfa.alphabet, row, strict=True):
            found.setdefault((p, q), []).append(symbol)
    return found


class _Box:
    """What is drawn, as far as it reaches; y upwards."""

    def __init__(self) -> None:
        self.low, self.high = [0.0, 0.0], [0.0, 0.0]

    def add(self, *points: Point) -> None:
        for point in points:
            for axis in (0, 1):
                self.low[axis] = min(self.low[axis], point[axis])
                self.high[axis] = max(self.high[axis], point[axis])

    @property
    def width(self) -> float:
        return (self.high[0] - self.low[0] + 2 * MARGIN) * SCALE

    def view(self) -> str:
        height = (self.high[1] - self.low[1] + 2 * MARGIN) * SCALE
        x, y = (self.low[0] - MARGIN) * SCALE, -(self.high[1] + MARGIN) * SCALE
        return f"{x:.1f} {y:.1f} {self.width:.1f} {height:.1f}"


# -- pieces ----------------------------------------------------------------------------------------------------------

Curve = tuple[list[Point], Point, float, Point, str]
"""Control points of a path, the tip of its arrow and the direction there, where its label stands, and how it is set."""


def _arc(arc: Arc, taken: list[Point], box: _Box) -> Curve:
    """The part of an arc between two states, with a place for its label away from the others."""
    steps = [i / 200 for i in range(201)]
    points = [(float(x), float(y)) for x, y in arc.at(steps)]  # type: ignore[arg-type]

    def outside(point: Point, centre: Point, gap: float) -> bool:
        return hypot(point[0] - centre[0], point[1] - centre[1]) >= RADIUS + gap

    first = next((i for i, p in enumerate(points) if outside(p, arc.start, 0.0)), 0)
    tip = next((i for i in range(200, -1, -1) if outside(points[i], arc.end, 0.015)), 200)
    last = next((i for i in range(tip, -1, -1) if outside(points[i], arc.end, 0.015 + HEAD)), tip)
    kept = [*points[first : last + 1 : 8], points[last]]
    spots = [points[round(200 * t)] for t in (0.5, 0.42, 0.58, 0.34, 0.66, 0.28, 0.72)]
    spot = next((s for s in spots if all(hypot(s[0] - o[0], s[1] - o[1]) > 0.25 for o in taken)), spots[0])
    taken.append(spot)
    box.add(*kept, (spot[0] - 0.2, spot[1] - 0.1), (spot[0] + 0.2, spot[1] + 0.1))
    angle = atan2(points[tip][1] - points[last][1], points[tip][0] - points[last][0])
    return kept, points[tip], angle, spot, "middle"


def _loop(centre: Point, angle: float) -> Curve:
    def at(distance: float, turn: float) -> Point:
        return (centre[0] + distance * cos(angle + turn), centre[1] + distance * sin(angle + turn))

    points = [at(RADIUS, -0.5), at(RADIUS + 0.5, -0.6), at(RADIUS + 0.5, 0.6), at(RADIUS + HEAD, 0.52)]
    # A long label grows away from the loop.
    side = "middle" if abs(cos(angle)) < 0.7 else "start" if cos(angle) > 0 else "end"
    return points, at(RADIUS + 0.015, 0.5), angle + 0.5 + pi, at(RADIUS + 0.47, 0.0), side


def _edge(dfa: Dfa, edge: Edge, letters: Sequence[str], curve: Curve, box: _Box) -> str:
    points, tip, angle, spot, side = curve
    label, loop = edge_label(letters, dfa.alphabet), edge[0] == edge[1]
    short = label if len(label) <= MOST_LABEL else f"{label[: MOST_LABEL - 1]}…"
    if loop:
        box.add(*points)
        reach = 0.1 * len(short)
        left, right = {"middle": (reach / 2, reach / 2), "start": (0.0, reach), "end": (reach, 0.0)}[side]
        box.add((spot[0] - left, spot[1] - 0.09), (spot[0] + right, spot[1] + 0.09))
    kind = "edge dead" if edge[1] == dfa.dead else "edge"
    path = _cubic(points) if loop else _path(points)
    return (
        f'<g class="{kind}" data-from="{edge[0]}" data-to="{edge[1]}"><path d="{path}"/>{_head(tip, angle)}'
        f'<text{_at(spot)} text-anchor="{side}" {LETTERED}>{_text(short)}<title>{_text(label)}</title></text></g>'
    )


LETTERED = 'dominant-baseline="central" fill="currentColor" stroke="none"'


def _state(dfa: Dfa, q: int, name: str, place: Point) -> str:
    kind = "state" + " accepting" * (q in dfa.accepting) + " dead" * (q == dfa.dead)
    x, y = place[0] * SCALE, -place[1] * SCALE
    ring = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{(RADIUS - 0.045) * SCALE:.1f}"/>' if q in dfa.accepting else ""
    said = f"state {dfa.names[q]}{', accepting' * (q in dfa.accepting)}{', dead' * (q == dfa.dead)}"
    return (
        f'<g class="{kind}" data-state="{q}"><circle class="body" cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS * SCALE:.1f}"/>'
        f'{ring}<text{_at(place)} text-anchor="middle" {LETTERED}>{_text(shown_text(name))}</text>'
        f"<title>{_text(said)}</title></g>"
    )


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(_pair(point) for point in points)


def _cubic(points: Sequence[Point]) -> str:
    first, *others = map(_pair, points)
    return f"M{first}C{' '.join(others)}"


def _head(tip: Point, angle: float) -> str:
    """An arrow's head."""
    corners = [tip]
    for side in (-1, 1):
        turn = angle + pi - side * 0.38
        corners.append((tip[0] + HEAD * 1.12 * cos(turn), tip[1] + HEAD * 1.12 * sin(turn)))
    return f'<polygon points="{" ".join(map(_pair, corners))}" fill="currentColor" stroke="none"/>'


def _pair(point: Point) -> str:
    return f"{point[0] * SCALE:.1f},{-point[1] * SCALE:.1f}"


def _at(point: Point) -> str:
    return f' x="{point[0] * SCALE:.1f}" y="{-point[1] * SCALE:.1f}"'


def _text(text: str) -> str:
    return html.escape(shown_text(text))
