"""A cascade as a picture: the DFA on the left, image sets and tiles, level by level, on the right."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..automata.dfa import Dfa
from ..compiler.cascade.cascade import Cascade
from .picture_file import PAPER, PictureError, drawing, picture_path, write_picture
from .picture_layout import RADIUS, Arc, Edge, Places, Point, Rows, free_direction, place_sets, place_states, route
from .picture_names import edge_label, set_name, short_names, wrapped

__all__ = ["FAINT", "INK", "PictureError", "draw_cascade"]

MOST_SETS = 3000
"""More image sets are refused: nobody could read them."""

FEW_SETS = 250
"""More image sets are drawn as dots."""

INK, FAINT = "#1b1f24", "#68727d"
"""FAINT has a contrast of 4.9 to 1 on PAPER, so that it can be read in print."""

CLASS_COLOURS = ("#dcebfa", "#fdebd0", "#dff3e0", "#f8dede", "#ece2f5", "#efe6da", "#fbe3f0", "#e0f2f1")
MARGIN, DROP = 0.5, 0.95


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

    Cost: O((transitions + tiles)^2) for the layout of small cascades, linear for large ones.
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
    from matplotlib.figure import Figure

    dfa, parts = cascade.dfa, cascade.parts
    assert isinstance(dfa, Dfa), "only languages are drawn"
    state_names, legend = short_names(dfa)
    dots = len(parts.sets) > FEW_SETS
    set_names = [
        wrapped("|".join(set_name(parts.members(t), state_names) for t in parts.leaves(p)))
        for p in range(len(parts.sets))
    ]
    box_width = 0.18 + 0.072 * max(len(line) for name in set_names for line in name.split("\n"))
    states = place_states(_letters(dfa), dfa.n_states)
    rows = place_sets(parts.height, parts.tiles, 0.16 if dots else box_width + 0.25, DROP)
    legend_height = 0.18 * len(legend)
    loops = [edge_label(symbols, dfa.alphabet) for (p, q), symbols in _letters(dfa).items() if p == q]
    side = 0.95 + 0.075 * max((len(label) - 3 for label in loops if len(label) > 3), default=0)
    left_width = max(x for x, _ in states.values()) + 2 * side + 0.3
    left_height = -min(y for _, y in states.values()) + 2.2 + legend_height
    half_width = max(abs(x) for x, _ in [*rows.places.values(), *(b for bends in rows.bends.values() for b in bends)])
    right_width = max(2 * half_width + box_width, 2.4) + 1.0
    width = left_width + right_width + 2 * MARGIN
    height = max(left_height, DROP * cascade.height + 1.3) + 2 * MARGIN
    figure = Figure(figsize=(width, height))
    page = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    page.set_xlim(0, width)
    page.set_ylim(0, height)
    page.set_axis_off()
    right = MARGIN + left_width
    notes = ["edges: the tiles of a set, by number (the value of the memory)", "one colour: sets that reach each other"]
    notes += ["dashed: a block of tiles, one of the halves that letters swap"] if parts.blocks else []
    notes = ["a dot for each set; edges lead to its tiles"] if dots else notes
    blocks = f", {_count(len(parts.blocks), 'block')} of tiles" if parts.blocks else ""
    for x, title, lines in (
        (MARGIN, f"minimal DFA, {_count(dfa.n_states, 'state')}", []),
        (
            right,
            f"{_count(len(parts.sets) - len(parts.blocks), 'image set')}{blocks}, {_count(cascade.height, 'level')}",
            notes,
        ),
    ):
        page.text(x, height - MARGIN, title, fontsize=10, fontweight="bold", color=INK, va="center")
        for i, line in enumerate(lines):
            page.text(x, height - MARGIN - 0.22 - 0.12 * i, line, fontsize=6, color=FAINT, va="center")
    _draw_dfa(page, dfa, state_names, {q: (x + MARGIN + side, y + height - 1.75) for q, (x, y) in states.items()})
    for i, line in enumerate(legend):
        y = MARGIN + legend_height - 0.18 * (i + 0.5)
        page.text(MARGIN, y, line, fontsize=7, color=INK, va="center", parse_math=False)
    _draw_levels(page, cascade, set_names, rows, (right + right_width / 2 + 0.35, height - 1.4), box_width, dots)
    for level in range(cascade.height + 1):
        y = height - 1.4 - DROP * (cascade.height - level)
        page.text(right, y, f"height {level}", fontsize=8, color=FAINT, va="center")
        if level in parts.swap_levels:
            _text(page, (right, y - 0.18), _swap_label(cascade, level), 6.5, boxed=False, ha="left")
    return figure


def _swap_label(cascade: Cascade, level: int) -> str:
    """Which letters swap the memory of a level, in some set or other."""
    parts, alphabet = cascade.parts, cascade.dfa.alphabet
    letters = sorted({a for p, a in parts.swapped if parts.height[p] == level})
    label = f"swapped by {edge_label([alphabet[a] for a in letters], alphabet)}"
    return label if len(label) <= 18 else f"swapped by {len(letters)}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _letters(dfa: Dfa) -> dict[Edge, list[str]]:
    """The symbols on each edge."""
    found: dict[Edge, list[str]] = {}
    for p, row in enumerate(dfa.semiautomaton.table):
        for symbol, q in zip(dfa.alphabet, row, strict=True):
            found.setdefault((p, q), []).append(symbol)
    return found


# -- drawing ---------------------------------------------------------------------------------------------------------


def _text(
    page: Any, at: Any, text: str, size: float, colour: str = INK, boxed: bool = True, ha: str = "center"
) -> None:
    """Text around a point; ``boxed`` hides what is behind it. Symbols may hold ``$``, which is no mathematics here."""
    box = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.8} if boxed else None
    page.text(
        at[0],
        at[1],
        text,
        fontsize=size,
        color=colour,
        ha=ha,
        va="center",
        bbox=box,
        zorder=4 + boxed,
        parse_math=False,
    )


def _draw_dfa(page: Any, dfa: Dfa, names: Sequence[str], places: Places) -> None:
    from matplotlib.patches import Circle, FancyArrowPatch

    edges = _letters(dfa)
    arcs = route(places, edges)
    arrow: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 9, "linewidth": 0.9}
    taken: list[Any] = []
    for (p, q), arc in arcs.items():
        colour = FAINT if q == dfa.dead else INK
        page.add_patch(
            FancyArrowPatch(
                arc.start,
                arc.end,
                connectionstyle=f"arc3,rad={arc.bend}",
                shrinkA=RADIUS * 72,
                shrinkB=RADIUS * 72 + 1,
                color=colour,
                zorder=2,
                **arrow,
            )
        )
        spots = [arc.at(t) for t in (0.5, 0.42, 0.58, 0.34, 0.66, 0.28, 0.72)]
        spot = next((s for s in spots if all(np.linalg.norm(s - other) > 0.25 for other in taken)), spots[0])
        taken.append(spot)
        _text(page, spot, edge_label(edges[p, q], dfa.alphabet), 8, colour)
    for q, centre in sorted(places.items()):
        colour = FAINT if q == dfa.dead else INK
        page.add_patch(Circle(centre, RADIUS, facecolor=PAPER, edgecolor=colour, linewidth=1.1, zorder=3))
        if q in dfa.accepting:
            page.add_patch(Circle(centre, RADIUS - 0.045, fill=False, edgecolor=colour, linewidth=0.8, zorder=3))
        _text(page, centre, names[q], 9 if len(names[q]) < 3 else 6.5, colour, boxed=False)
        obstacles = _obstacles(places, arcs, q)
        if q == dfa.initial:
            angle = free_direction(centre, obstacles, 0.4)
            tail = (centre[0] + (RADIUS + 0.35) * np.cos(angle), centre[1] + (RADIUS + 0.35) * np.sin(angle))
            page.add_patch(FancyArrowPatch(tail, centre, shrinkA=0, shrinkB=RADIUS * 72 + 1, color=INK, **arrow))
            obstacles = np.concatenate([obstacles, np.linspace(centre, tail, 6)[1:]])
        if (q, q) in edges:
            angle = free_direction(centre, obstacles, 0.45)
            _draw_loop(page, centre, angle, edge_label(edges[q, q], dfa.alphabet), colour, arrow)


def _obstacles(places: Places, arcs: dict[Edge, Arc], state: int) -> Any:
    """Points that a loop at ``state`` should keep away from: the other states and all edges outside it."""
    here = np.array(places[state])
    points = [np.array([point for q, point in places.items() if q != state]).reshape(-1, 2)]
    points += [arc.at(np.linspace(0, 1, 30)) for arc in arcs.values()]
    everything = np.concatenate(points)
    return everything[np.linalg.norm(everything - here, axis=-1) > 0.8 * RADIUS]


def _draw_loop(page: Any, centre: Point, angle: float, label: str, colour: str, arrow: dict[str, Any]) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Curve

    def at(distance: float, turn: float) -> Point:
        return (centre[0] + distance * np.cos(angle + turn), centre[1] + distance * np.sin(angle + turn))

    points = [at(RADIUS, -0.5), at(RADIUS + 0.5, -0.6), at(RADIUS + 0.5, 0.6), at(RADIUS + 0.015, 0.5)]
    curve = Curve(points, [Curve.MOVETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4])
    page.add_patch(FancyArrowPatch(path=curve, color=colour, zorder=2, **arrow))
    # A long label grows away from the loop.
    side = "center" if abs(np.cos(angle)) < 0.7 else "left" if np.cos(angle) > 0 else "right"
    _text(page, at(RADIUS + (0.42 if side != "center" else 0.45), 0.0), label, 8, colour, ha=side)


def _draw_levels(
    page: Any, cascade: Cascade, names: Sequence[str], rows: Rows, origin: Point, box_width: float, dots: bool
) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.patches import FancyBboxPatch

    parts, places = cascade.parts, {p: _moved(point, origin) for p, point in rows.places.items()}
    half = {p: 0.0 if dots else 0.1 + 0.065 * (1 + names[p].count("\n")) for p in places}
    lines, labels = [], []
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
            labels.append(((port[0] + 0.11 * max(-1.0, min(1.0, dx / dy)), port[1] - 0.11), tiles.index(t)))
    page.add_collection(LineCollection(lines, colors=FAINT, linewidths=0.3 if dots else 0.8, zorder=1))
    if dots:
        x, y = np.array([places[p] for p in range(len(names))]).T
        page.scatter(x, y, s=9, color=INK, zorder=3)
        return
    for at, label in labels:
        _text(page, at, str(label), 6.5)
    colours = _class_colours(cascade)
    for p, (x, y) in places.items():
        page.add_patch(
            FancyBboxPatch(
                (x - box_width / 2, y - half[p]),
                box_width,
                2 * half[p],
                boxstyle="round,pad=0,rounding_size=0.06",
                facecolor=colours[p],
                edgecolor=INK,
                linewidth=0.8,
                linestyle="--" if p in parts.blocks else "-",
                zorder=3,
            )
        )
        _text(page, (x, y), names[p], 8, boxed=False)


def _moved(point: Point, origin: Point) -> Point:
    return (point[0] + origin[0], point[1] + origin[1])


def _class_colours(cascade: Cascade) -> list[str]:
    """One colour per class of mutually reachable sets with more than one member, in turn; white for the others."""
    orbit = cascade.parts.orbit
    members: dict[int, int] = {}
    for o in orbit:
        members[o] = members.get(o, 0) + 1
    large = [o for o in dict.fromkeys(orbit) if members[o] > 1]
    colour = {o: CLASS_COLOURS[i % len(CLASS_COLOURS)] for i, o in enumerate(large)}
    return [colour.get(o, PAPER) for o in orbit]
