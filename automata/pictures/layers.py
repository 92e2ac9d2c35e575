"""What is made in layers as SVG text: boxes in rows, each with edges to boxes further down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import pi
from typing import Final

from .layout import Point, place_sets
from .names import cut
from .svg import HEAD, LETTERED, SCALE, Canvas, at, cubic, head, text

MOST_BOXES: Final = 60
"""Of a picture."""

MOST_IN_A_ROW: Final = 16
LONGEST: Final = 26
"""Characters of a line in a box; all of them are in its title."""

COLOURS: Final = ("#4a90d9", "#e8963c", "#4caf62", "#d9605a", "#9068c0", "#a08050", "#d06aa8", "#3fa8a0")
"""Of classes of boxes; thin enough to be read on light and on dark paper."""

DROP: Final = 0.95
LINE: Final = 0.17
"""Distances of rows, and of the lines in a box."""


@dataclass(frozen=True)
class Box:
    """A box of a picture in layers.

    Attributes:
        height: of its row; the greatest is on top.
        lines: what stands in it.
        said: what it says when pointed at.
        below: for each box that it has an edge to, by number, the edge's label ("" for none); all in lower rows.
        colour: boxes of one number have one colour; None: no colour.
        dashed: whether its frame is dashed.
    """

    height: int
    lines: tuple[str, ...]
    said: str = ""
    below: Mapping[int, str] = field(default_factory=dict)
    colour: int | None = None
    dashed: bool = False


@dataclass(frozen=True)
class Node:
    """A part of something that is computed block by block.

    Attributes:
        lines: what stands in its box.
        said: what it says when pointed at.
        reads: names of what it looks at.
        writes: names of what others see of it.
    """

    lines: tuple[str, ...]
    said: str
    reads: frozenset[str]
    writes: frozenset[str]


def flow_svg(blocks: Sequence[Sequence[Node]], title: str) -> str | None:
    """Nodes block by block, the last row being the read-out, with an arrow where one reads what an earlier one wrote.

    Arguments, result and cost as of :func:`layers_svg`.
    """
    nodes = [(len(blocks) - 1 - depth, node) for depth, block in enumerate(blocks) for node in block]
    boxes = [
        Box(
            height,
            node.lines,
            node.said,
            {t: "" for t, (h, n) in enumerate(nodes) if h < height and node.writes & n.reads},
        )
        for height, node in nodes
    ]
    rows = {len(blocks) - 1 - depth: f"block {depth + 1}" for depth in range(len(blocks) - 1)}
    return layers_svg(boxes, rows, title, arrows=True)


def layers_svg(boxes: Sequence[Box], rows: Mapping[int, str], title: str, *, arrows: bool) -> str | None:
    """The picture, or None if nobody could read it. Equal boxes give equal text, whatever they say is escaped.

    Args:
        boxes: the first on top.
        rows: what stands beside a row, by its height.
        title: for those who do not see the picture.
        arrows: whether edges end in arrows.

    Cost: O(edges).
    """
    heights = [box.height for box in boxes]
    if len(boxes) > MOST_BOXES or max(map(heights.count, heights)) > MOST_IN_A_ROW:
        return None
    shown = [tuple(cut(line, LONGEST) for line in box.lines) for box in boxes]
    width = 0.24 + 0.092 * max(len(line) for lines in shown for line in lines)
    half = [0.08 + LINE * max(1, len(lines)) / 2 for lines in shown]
    drop = DROP + 2 * max(half) - 0.5
    placed = place_sets(heights, [[*box.below] for box in boxes], width + 0.25, drop)
    canvas, places = Canvas(), placed.places
    steps: dict[tuple[Point, Point], bool] = {}  # edges to one box run together, and are drawn once
    for p, box in enumerate(boxes):
        routes = {t: [*placed.bends[p, t], (places[t][0], places[t][1] + half[t])] for t in box.below}
        # Edges leave from the lower side of the box, in the order of where they go, so that they do not cross there.
        order = sorted(routes, key=lambda t: (routes[t][0][0], t))
        gap = min(0.26, 0.9 * width / len(order)) if order else 0.0
        for i, t in enumerate(order):
            port = (places[p][0] + gap * (i - (len(order) - 1) / 2), places[p][1] - half[p])
            steps |= {step: step[1] == routes[t][-1] for step in pairwise([port, *routes[t]])}
            if box.below[t]:
                number = at((port[0] + 0.05, port[1] - 0.1))
                canvas.drawn.append(f'<text{number} font-size="9" {LETTERED}>{text(box.below[t])}</text>')
    for (start, end), last in steps.items():
        _step(canvas, start, end, arrow=arrows and last)
    for p, box in enumerate(boxes):
        _box(canvas, box, shown[p], places[p], (width, 2 * half[p]))
    left = canvas.low[0] - 0.25
    for height, name in rows.items():
        spot = (left, drop * (height - max(heights)))
        canvas.drawn.append(f'<text{at(spot)} text-anchor="end" opacity=".65" {LETTERED}>{text(name)}</text>')
        canvas.reach((left - 0.09 * len(name), spot[1]))
    return canvas.svg("layers", title, "each row is a layer; edges lead to the layers below")


def _step(canvas: Canvas, start: Point, end: Point, *, arrow: bool) -> None:
    """A part of an edge, from row to row."""
    canvas.reach(start, end)
    stop = (end[0], end[1] + HEAD) if arrow else end
    middle = (start[1] + stop[1]) / 2
    curve = cubic([start, (start[0], middle), (stop[0], middle), stop])
    canvas.drawn.append(f'<path class="edge" opacity=".6" stroke-width=".9" d="{curve}"/>')
    if arrow:
        canvas.drawn.append(f'<g opacity=".75">{head(end, -pi / 2)}</g>')


def _box(canvas: Canvas, box: Box, lines: Sequence[str], place: Point, size: tuple[float, float]) -> None:
    x, y = place
    corner = (x - size[0] / 2, y + size[1] / 2)
    canvas.reach(corner, (x + size[0] / 2, y - size[1] / 2))
    fill = "" if box.colour is None else f' fill="{COLOURS[box.colour % len(COLOURS)]}" fill-opacity=".25"'
    dashes = ' stroke-dasharray="4 3"' if box.dashed else ""
    width, height = (f"{SCALE * side:.1f}" for side in size)
    written = "".join(
        f'<text{at((x, y + LINE * ((len(lines) - 1) / 2 - i)))} text-anchor="middle" {LETTERED}>{text(line)}</text>'
        for i, line in enumerate(lines)
    )
    canvas.drawn.append(
        f'<g class="box"><rect{at(corner)} width="{width}" height="{height}" rx="4"{fill}{dashes}/>'
        f"{written}<title>{text(box.said or ' '.join(box.lines))}</title></g>"
    )
