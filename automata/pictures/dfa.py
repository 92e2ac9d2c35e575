"""A DFA, or another graph of states, as SVG text: it can be lit state by state."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from math import atan2, cos, hypot, pi, sin
from typing import Final, Protocol

from .layout import RADIUS, Arc, Edge, Point, place_states, route
from .names import cut, edge_label, short_names
from .svg import HEAD, LETTERED, SCALE, Canvas, at, cubic, head, path, text

MOST_STATES: Final = 24
"""Of a DFA that is drawn."""

MOST_LABEL: Final = 14
"""Characters of a label that are shown; all of them are in its title."""


class Drawn(Protocol):
    """What a picture shows of a :class:`~scancraft.automata.dfa.Dfa`; states by number."""

    @property
    def alphabet(self) -> tuple[str, ...]:
        """The symbols."""
        ...

    @property
    def table(self) -> tuple[tuple[int, ...], ...]:
        """For each state where each symbol leads."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Of the states."""
        ...

    @property
    def initial(self) -> int:
        """The initial state."""
        ...

    @property
    def accepting(self) -> frozenset[int]:
        """The accepting states."""
        ...

    @property
    def dead(self) -> int | None:
        """The state from which nothing is accepted."""
        ...


def dfa_svg(dfa: Drawn, title: str) -> str:
    """The picture of a DFA with at most :data:`MOST_STATES` states; see :func:`graph_svg`."""
    labels = {edge: edge_label(letters, dfa.alphabet) for edge, letters in edge_letters(dfa).items()}
    return graph_svg(dfa.names, labels, title, initial=dfa.initial, accepting=dfa.accepting, dead=dfa.dead)


def graph_svg(
    states: Sequence[str],
    labels: Mapping[Edge, str],
    title: str,
    *,
    initial: int,
    accepting: Container[int],
    dead: int | None = None,
    longest: int = MOST_LABEL,
) -> str:
    """The picture: a group of the class ``state`` for each state, and one of the class ``edge`` for each edge.

    A state has its number in ``data-state``, an edge those of its ends in ``data-from`` and ``data-to``. Accepting
    states have the class ``accepting`` and a second ring, the dead state and what leads there ``dead``. Equal automata
    give equal text. Names and symbols are escaped, and control characters shown as escapes.

    Args:
        states: the names; few, or nobody could read it.
        labels: what stands at each edge.
        title: for those who do not see the picture.
        initial: the state with an arrow from nowhere.
        accepting: the states with a second ring.
        dead: the state that is drawn as such.
        longest: characters of a label that are shown; all of them are in its title.

    Cost: O(states + edges).
    """
    names, legend = short_names(states)
    places = place_states(labels, len(states), dead)
    canvas = Canvas()
    taken: list[Point] = []
    for edge, arc in route(places, labels).items():
        _edge(edge, (labels[edge], longest), dead, _arc(arc, taken), canvas)
    for q, (x, y) in places.items():
        canvas.reach((x - RADIUS, y - RADIUS), (x + RADIUS, y + RADIUS))
        outwards = atan2(y, x) if len(states) > 1 else pi / 2
        if q == initial:
            tail = (x - RADIUS - 0.32, y)
            arrow = f'<path d="{path([tail, (x - RADIUS - HEAD, y)])}"/>{head((x - RADIUS - 0.015, y), 0.0)}'
            canvas.drawn.append(f'<g class="start">{arrow}</g>')
            canvas.reach(tail)
            outwards = min(outwards, pi - 0.9)  # a loop makes way for the arrow
        if (q, q) in labels:
            _edge((q, q), (labels[q, q], longest), dead, _loop((x, y), outwards), canvas)
    for q, place in places.items():
        _state(q, (states[q], names[q]), (q in accepting, q == dead), place, canvas)
    return canvas.svg("dfa", title, "".join(f"{line}\n" for line in legend) or "the states by their names")


def edge_letters(dfa: Drawn) -> dict[Edge, list[str]]:
    """The symbols on each edge."""
    found: dict[Edge, list[str]] = {}
    for p, row in enumerate(dfa.table):
        for symbol, q in zip(dfa.alphabet, row, strict=True):
            found.setdefault((p, q), []).append(symbol)
    return found


# -- pieces ----------------------------------------------------------------------------------------------------------

Curve = tuple[list[Point], Point, float, Point, str]
"""Control points of a path, the tip of its arrow and the direction there, where its label stands, and how it is set."""


def _arc(arc: Arc, taken: list[Point]) -> Curve:
    """The part of an arc between two states, with a place for its label away from the others."""
    points = [arc.at(i / 200) for i in range(201)]

    def outside(point: Point, centre: Point, gap: float) -> bool:
        return hypot(point[0] - centre[0], point[1] - centre[1]) >= RADIUS + gap

    first = next((i for i, p in enumerate(points) if outside(p, arc.start, 0.0)), 0)
    tip = next((i for i in range(200, -1, -1) if outside(points[i], arc.end, 0.015)), 200)
    last = next((i for i in range(tip, -1, -1) if outside(points[i], arc.end, 0.015 + HEAD)), tip)
    kept = [*points[first : last + 1 : 8], points[last]]
    # Labels stand beside the arc, on the side that it bends to, or outside the circle.
    beside = []
    for t in (0.5, 0.42, 0.58, 0.34, 0.66, 0.28, 0.72):
        i = round(200 * t)
        (ax, ay), (bx, by) = points[i - 1], points[i + 1]
        nx, ny = (by - ay) / hypot(bx - ax, by - ay), (ax - bx) / hypot(bx - ax, by - ay)
        turn = arc.bend or nx * points[i][0] + ny * points[i][1]
        nx, ny = (nx, ny) if turn >= 0 else (-nx, -ny)
        side = "middle" if abs(nx) < 0.5 else "start" if nx > 0 else "end"
        gap = 0.1 if side == "middle" else 0.06
        beside.append(((points[i][0] + gap * nx, points[i][1] + gap * ny), side))
    spot, side = next((s for s in beside if all(hypot(s[0][0] - x, s[0][1] - y) > 0.25 for x, y in taken)), beside[0])
    taken.append(spot)
    angle = atan2(points[tip][1] - points[last][1], points[tip][0] - points[last][0])
    return kept, points[tip], angle, spot, side


def _loop(centre: Point, angle: float) -> Curve:
    def round_it(distance: float, turn: float) -> Point:
        return (centre[0] + distance * cos(angle + turn), centre[1] + distance * sin(angle + turn))

    points = [round_it(RADIUS, -0.5), round_it(RADIUS + 0.5, -0.6), round_it(RADIUS + 0.5, 0.6)]
    points.append(round_it(RADIUS + HEAD, 0.52))
    # A long label grows away from the loop.
    side = "middle" if abs(cos(angle)) < 0.7 else "start" if cos(angle) > 0 else "end"
    return points, round_it(RADIUS + 0.015, 0.5), angle + 0.5 + pi, round_it(RADIUS + 0.47, 0.0), side


def _edge(edge: Edge, label: tuple[str, int], dead: int | None, curve: Curve, canvas: Canvas) -> None:
    points, tip, angle, spot, side = curve
    said, short = label[0], cut(*label)
    width = 0.1 * len(short)
    left, right = {"middle": (width / 2, width / 2), "start": (0.0, width), "end": (width, 0.0)}[side]
    canvas.reach(*points, (spot[0] - left, spot[1] - 0.09), (spot[0] + right, spot[1] + 0.09))
    kind = "edge dead" if edge[1] == dead else "edge"
    canvas.drawn.append(
        f'<g class="{kind}" data-from="{edge[0]}" data-to="{edge[1]}">'
        f'<path d="{cubic(points) if edge[0] == edge[1] else path(points)}"/>{head(tip, angle)}'
        f'<text{at(spot)} text-anchor="{side}" {LETTERED}>{text(short)}<title>{text(said)}</title></text></g>'
    )


def _state(q: int, names: tuple[str, str], kinds: tuple[bool, bool], place: Point, canvas: Canvas) -> None:
    accepting, dead = kinds
    kind = "state" + " accepting" * accepting + " dead" * dead
    x, y = place[0] * SCALE, -place[1] * SCALE
    ring = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{(RADIUS - 0.045) * SCALE:.1f}"/>' if accepting else ""
    said = f"state {names[0]}{', accepting' * accepting}{', dead' * dead}"
    canvas.drawn.append(
        f'<g class="{kind}" data-state="{q}"><circle class="body" cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS * SCALE:.1f}"/>'
        f'{ring}<text{at(place)} text-anchor="middle" {LETTERED}>{text(names[1])}</text>'
        f"<title>{text(said)}</title></g>"
    )
