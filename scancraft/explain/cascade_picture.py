"""A cascade as a picture: the DFA on the left, image sets and tiles, level by level, on the right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..automata.deterministic import Deterministic
from ..automata.pictures.dfa import edge_letters
from ..automata.pictures.layout import RADIUS, Edge, Places, Point, Rows, place_sets, place_states, route
from ..automata.pictures.names import edge_label, short_names
from ..compiler.cascade.cascade import Cascade
from ..compiler.cascade.picture import classes, lines_of_sets, swap_label
from .picture_file import FAINT, INK, PAPER, PictureError, blank_page, drawing, picture_path, write_picture, write_text

MOST_SETS = 3000
"""More image sets are refused: nobody could read them."""

FEW_SETS = 250
"""More image sets are drawn as dots."""

CLASS_COLOURS = ("#dcebfa", "#fdebd0", "#dff3e0", "#f8dede", "#ece2f5", "#efe6da", "#fbe3f0", "#e0f2f1")
MARGIN, TOP, DROP = 0.5, 1.4, 0.95
ARROW: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 9, "linewidth": 0.9, "zorder": 2}
HIDING: dict[str, Any] = {"bbox": {"facecolor": PAPER, "edgecolor": "none", "pad": 0.8}, "zorder": 5, "ha": "center"}
"""Text that hides what is behind it."""


def draw_cascade(cascade: Cascade, path: str | PathLike[str]) -> Path:
    """Draw a cascade into a file and return its path. Equal cascades give equal files.

    On the left the DFA: accepting states have a double edge, the dead state is grey. On the right every image set in
    the row of its height, with an edge to each of its tiles, labelled by the tile's number (the value of the level's
    memory). Sets of one colour can reach each other; their tiles are numbered alike. Where letters swap the two values
    of a level's memory they stand under its height, and a block of tiles (docs/signed.md) has a dashed edge. More than
    a few hundred sets are drawn as dots.

    Args:
        cascade: what to draw.
        path: a file name ending in .png, .svg or .pdf.

    Raises:
        MissingExtraError: matplotlib is not installed.
        PictureError: another suffix, far too many image sets, or the file cannot be written.

    Cost: O(transitions + tiles).
    """
    target = picture_path(path)
    if len(cascade.parts.sets) > MOST_SETS:
        raise PictureError(
            f"{len(cascade.parts.sets):,} image sets are too many for a picture (at most {MOST_SETS:,}); "
            "print the cascade instead"
        )
    with drawing():
        write_picture(_figure(cascade), target)
    return target


def _figure(cascade: Cascade) -> Any:
    """Everything on one page whose coordinates are inches."""
    dfa, parts = cascade.dfa, cascade.parts
    assert isinstance(dfa, Deterministic), "only languages are drawn"
    state_names, legend = short_names(dfa.labels)
    dots = len(parts.sets) > FEW_SETS
    set_names = lines_of_sets(parts, state_names)
    box_width = 0.18 + 0.072 * max(len(line) for name in set_names for line in name.split("\n"))
    edges = edge_letters(dfa)
    # Round the circle there is room for loops and their labels.
    loops = [edge_label(symbols, dfa.alphabet) for (p, q), symbols in edges.items() if p == q]
    around = RADIUS + 0.6 + 0.075 * max((len(label) for label in loops), default=0)
    states = place_states(edges, dfa.n_states, dfa.dead)
    circle = -states[0][0] + around
    rows = place_sets(parts.height, parts.tiles, 0.16 if dots else box_width + 0.25, DROP)
    half = max(abs(x) for x, _ in [*rows.places.values(), *(b for bends in rows.bends.values() for b in bends)])
    right, right_width = MARGIN + 2 * circle + 0.3, max(2 * half + box_width, 2.4) + 1.0
    width = right + right_width + MARGIN
    height = max(2 * circle + 0.5 + 0.18 * len(legend), DROP * cascade.height + 1.3) + 2 * MARGIN
    figure, page = blank_page(width, height)

    write_text(page, MARGIN, height - MARGIN, f"minimal DFA, {_count(dfa.n_states, 'state')}", 10, fontweight="bold")
    _draw_dfa(page, dfa, edges, state_names, states, (MARGIN + circle, height - MARGIN - 0.5 - circle))
    for i, line in enumerate(reversed(legend)):
        write_text(page, MARGIN, MARGIN + 0.18 * (i + 0.5), line)

    blocks = f", {_count(len(parts.blocks), 'block')} of tiles" if parts.blocks else ""
    title = f"{_count(len(parts.sets) - len(parts.blocks), 'image set')}{blocks}, {_count(cascade.height, 'level')}"
    write_text(page, right, height - MARGIN, title, 10, fontweight="bold")
    notes = ["edges: the tiles of a set, by number (the value of the memory)", "one colour: sets that reach each other"]
    notes += ["dashed: a block of tiles, one of the halves that letters swap"] if parts.blocks else []
    for i, line in enumerate(["a dot for each set; edges lead to its tiles"] if dots else notes):
        write_text(page, right, height - MARGIN - 0.22 - 0.12 * i, line, 6, color=FAINT)
    _draw_levels(page, cascade, set_names, rows, (right + right_width / 2 + 0.35, height - TOP), box_width, dots)
    for level in range(cascade.height + 1):
        y = height - TOP - DROP * (cascade.height - level)
        write_text(page, right, y, f"height {level}", 8, color=FAINT)
        if level in parts.swap_levels:
            write_text(page, right, y - 0.18, swap_label(parts, level, dfa.alphabet), 6.5)
    return figure


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _moved(point: Point, origin: Point) -> Point:
    return (point[0] + origin[0], point[1] + origin[1])


# -- the DFA ---------------------------------------------------------------------------------------------------------


def _draw_dfa(
    page: Any, dfa: Deterministic, edges: Mapping[Edge, list[str]], names: Sequence[str], states: Places, middle: Point
) -> None:
    from matplotlib.patches import Circle, FancyArrowPatch

    places = {q: _moved(point, middle) for q, point in states.items()}
    colours = [FAINT if q == dfa.dead else INK for q in range(dfa.n_states)]
    taken: list[Any] = []
    for (p, q), arc in route(places, edges).items():
        bent, ends = f"arc3,rad={arc.bend}", {"shrinkA": RADIUS * 72, "shrinkB": RADIUS * 72 + 1}
        page.add_patch(
            FancyArrowPatch(arc.start, arc.end, connectionstyle=bent, color=colours[q], **ends, **ARROW)  # type: ignore[arg-type]
        )
        # Labels keep away from those that are already there.
        spots = [np.array(arc.at(t)) for t in (0.5, 0.42, 0.58, 0.34, 0.66, 0.28, 0.72)]
        spot = next((s for s in spots if all(np.linalg.norm(s - other) > 0.25 for other in taken)), spots[0])
        taken.append(spot)
        write_text(page, spot[0], spot[1], edge_label(edges[p, q], dfa.alphabet), 8, color=colours[q], **HIDING)
    for q, (x, y) in places.items():
        page.add_patch(Circle((x, y), RADIUS, facecolor=PAPER, edgecolor=colours[q], linewidth=1.1, zorder=3))
        if q in dfa.ends:
            page.add_patch(Circle((x, y), RADIUS - 0.045, fill=False, edgecolor=colours[q], linewidth=0.8, zorder=3))
        write_text(page, x, y, names[q], 9 if len(names[q]) < 3 else 6.5, color=colours[q], ha="center", zorder=4)
        outwards = np.arctan2(y - middle[1], x - middle[0]) if dfa.n_states > 1 else np.pi / 2
        if q == dfa.initial:
            tail = (x - RADIUS - 0.35, y)
            page.add_patch(FancyArrowPatch(tail, (x, y), shrinkA=0, shrinkB=RADIUS * 72 + 1, color=INK, **ARROW))
            outwards = min(outwards, np.pi - 0.9)  # a loop makes way for the arrow
        if (q, q) in edges:
            _draw_loop(page, (x, y), outwards, edge_label(edges[q, q], dfa.alphabet), colours[q])


def _draw_loop(page: Any, centre: Point, angle: float, label: str, colour: str) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Curve

    def at(distance: float, turn: float) -> Point:
        return (centre[0] + distance * np.cos(angle + turn), centre[1] + distance * np.sin(angle + turn))

    points = [at(RADIUS, -0.5), at(RADIUS + 0.5, -0.6), at(RADIUS + 0.5, 0.6), at(RADIUS + 0.015, 0.5)]
    curve = Curve(points, [Curve.MOVETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4])
    page.add_patch(FancyArrowPatch(path=curve, color=colour, **ARROW))
    # A long label grows away from the loop.
    side = "center" if abs(np.cos(angle)) < 0.7 else "left" if np.cos(angle) > 0 else "right"
    write_text(page, *at(RADIUS + 0.44, 0.0), text=label, size=8, color=colour, **{**HIDING, "ha": side})


# -- the image sets --------------------------------------------------------------------------------------------------


def _draw_levels(
    page: Any, cascade: Cascade, names: Sequence[str], rows: Rows, origin: Point, box_width: float, dots: bool
) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.patches import FancyBboxPatch

    parts, places = cascade.parts, {p: _moved(point, origin) for p, point in rows.places.items()}
    half = {p: 0.0 if dots else 0.1 + 0.065 * (1 + names[p].count("\n")) for p in places}
    lines: list[list[Point]] = []
    labels: list[tuple[Point, str]] = []
    for p, tiles in enumerate(parts.tiles):
        routes = {
            t: [*(_moved(b, origin) for b in rows.bends[p, t]), (places[t][0], places[t][1] + half[t])] for t in tiles
        }
        # Edges leave from the lower side of the box, in the order of where they go, so that they do not cross there.
        order = sorted(tiles, key=lambda t: (routes[t][0][0], t))
        gap = 0.0 if dots else min(0.26, box_width / len(order)) if order else 0.0
        for i, t in enumerate(order):
            port = (places[p][0] + gap * (i - (len(order) - 1) / 2), places[p][1] - half[p])
            lines.append([port, *routes[t]])
            dx, dy = routes[t][0][0] - port[0], port[1] - routes[t][0][1]
            labels.append(((port[0] + 0.11 * max(-1.0, min(1.0, dx / dy)), port[1] - 0.11), str(tiles.index(t))))
    page.add_collection(LineCollection(lines, colors=FAINT, linewidths=0.3 if dots else 0.8, zorder=1))
    if dots:
        page.scatter(*np.array([places[p] for p in range(len(names))]).T, s=9, color=INK, zorder=3)
        return
    for (x, y), label in labels:
        write_text(page, x, y, label, 6.5, **HIDING)
    colours = [PAPER if c is None else CLASS_COLOURS[c % len(CLASS_COLOURS)] for c in classes(parts)]
    box: dict[str, Any] = {
        "boxstyle": "round,pad=0,rounding_size=0.06",
        "edgecolor": INK,
        "linewidth": 0.8,
        "zorder": 3,
    }
    for p, (x, y) in places.items():
        corner, style = (x - box_width / 2, y - half[p]), "--" if p in parts.blocks else "-"
        page.add_patch(FancyBboxPatch(corner, box_width, 2 * half[p], facecolor=colours[p], linestyle=style, **box))
        write_text(page, x, y, names[p], 8, ha="center", zorder=4)
