"""SVG as text: it stands in pages and cards and takes their colours (``currentColor``); what is written is escaped.

Places are in inches, y upwards, as :mod:`~scancraft.automata.pictures.layout` gives them.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from math import cos, pi, sin
from typing import Final

from ..alphabet import shown_text
from .layout import Point

SCALE: Final = 72.0
"""Units of the picture per unit of the layout (an inch)."""

MARGIN: Final = 0.12
HEAD: Final = 0.11
"""Of an arrow: its length."""

LETTERED: Final = 'dominant-baseline="central" fill="currentColor" stroke="none"'

ALONE: Final = "svg{color:#222;font-family:sans-serif}@media(prefers-color-scheme:dark){svg{color:#ddd}}"


class Canvas:
    """What is drawn, and how far it reaches."""

    def __init__(self) -> None:
        self.drawn: list[str] = []
        self.low, self.high = [0.0, 0.0], [0.0, 0.0]

    def reach(self, *points: Point) -> None:
        """Make room for points."""
        for point in points:
            for axis in (0, 1):
                self.low[axis] = min(self.low[axis], point[axis])
                self.high[axis] = max(self.high[axis], point[axis])

    def svg(self, kind: str, title: str, description: str) -> str:
        """The whole picture, of a class, with a title and a description for those who do not see it."""
        width, height = ((high - low + 2 * MARGIN) * SCALE for low, high in zip(self.low, self.high, strict=True))
        x, y = (self.low[0] - MARGIN) * SCALE, -(self.high[1] + MARGIN) * SCALE
        return (
            f'<svg class="{kind}" role="img" viewBox="{x:.1f} {y:.1f} {width:.1f} {height:.1f}" width="{width:.0f}" '
            f'font-size="11" fill="none" stroke="currentColor" stroke-width="1.1"><title>{text(title)}</title>'
            f"<desc>{text(description)}</desc>{''.join(self.drawn)}</svg>"
        )


class Pictured:
    """A value that has a picture; notebooks show it."""

    def svg(self) -> str | None:
        """The picture as a piece of a page, whose colours and font it takes; None if nobody could read it."""
        raise NotImplementedError

    def _repr_svg_(self) -> str | None:
        """A file of its own: with a name space, a font, and colours for light and for dark paper."""
        if (inline := self.svg()) is None:
            return None
        named = inline.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        return named.replace("<title>", f"<style>{ALONE}</style><title>", 1)


def text(said: str) -> str:
    """Escaped text; control characters are shown."""
    return html.escape(shown_text(said))


def pair(point: Point) -> str:
    """Coordinates, as paths have them."""
    return f"{point[0] * SCALE:.1f},{-point[1] * SCALE:.1f}"


def at(point: Point) -> str:
    """Coordinates, as attributes."""
    return f' x="{point[0] * SCALE:.1f}" y="{-point[1] * SCALE:.1f}"'


def path(points: Iterable[Point]) -> str:
    """Straight from point to point."""
    return "M" + "L".join(map(pair, points))


def cubic(points: Sequence[Point]) -> str:
    """A cubic curve with these control points, or several in a row."""
    first, *others = map(pair, points)
    return f"M{first}C{' '.join(others)}"


def head(tip: Point, angle: float) -> str:
    """An arrow's head."""
    corners = [tip]
    for side in (-1, 1):
        turn = angle + pi - side * 0.38
        corners.append((tip[0] + HEAD * 1.12 * cos(turn), tip[1] + HEAD * 1.12 * sin(turn)))
    return f'<polygon points="{" ".join(map(pair, corners))}" fill="currentColor" stroke="none"/>'
