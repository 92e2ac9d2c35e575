"""Values as HTML, for notebooks: a card with a title, a few facts, and tables that can be unfolded.

Text only, no script and no style sheet, and colours that are right on light and on dark paper. Whatever is put in is
escaped, unless :class:`Markup` says that it is HTML already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Final, Literal

Verdict = Literal["holds", "fails", "open"]

LONGEST: Final = 200
"""Characters of a fact that are shown."""

MOST_ROWS: Final = 200
"""Rows of a table that are shown."""

COLOURS: Final[Mapping[Verdict, str]] = {"holds": "#2e8b57", "fails": "#c8553d", "open": "#b8860b"}
FRAME: Final = "border:1px solid rgba(128,128,128,.4);border-left:4px solid {};border-radius:4px"
CELL: Final = "padding:.15em .8em .15em 0;text-align:left;vertical-align:top"


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def shown(value: object) -> Markup:
    """A value as escaped text: numbers with separators, long text cut."""
    if isinstance(value, Markup):
        return value
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return Markup(escape(text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"))


def card(title: str, facts: Mapping[str, object], *more: Markup, verdict: Verdict | None = None) -> str:
    """A frame with a title, facts one below the other, and what else there is below them.

    Args:
        title: one line.
        facts: values by their names; those that are None or empty are left out.
        more: tables, pictures.
        verdict: how it went, as a colour at the side; the title says it in words.
    """
    rows = [
        f'<tr><th style="{CELL};font-weight:normal">{shown(name)}</th><td style="{CELL}">{shown(value)}</td></tr>'
        for name, value in facts.items()
        if value is not None and value != ""
    ]
    colour = "rgba(128,128,128,.4)" if verdict is None else COLOURS[verdict]
    frame = f"{FRAME.format(colour)};padding:.5em .8em;display:inline-block;max-width:100%;overflow-x:auto"
    table = f'<table style="border-collapse:collapse;margin:.3em 0">{"".join(rows)}</table>' if rows else ""
    return f'<div class="scancraft" style="{frame}"><strong>{shown(title)}</strong>{table}{"".join(more)}</div>'


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Markup:
    """A table; what stands behind its first rows is counted only."""
    every = [*rows]
    head = "".join(f'<th style="{CELL}">{shown(heading)}</th>' for heading in headings)
    body = "".join(
        "<tr>" + "".join(f'<td style="{CELL}">{shown(cell)}</td>' for cell in row) + "</tr>"
        for row in every[:MOST_ROWS]
    )
    if len(every) > MOST_ROWS:
        body += f'<tr><td colspan="{len(headings)}">and {len(every) - MOST_ROWS:,} more rows</td></tr>'
    return Markup(
        f'<table style="border-collapse:collapse"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    )


def folded(title: str, content: str) -> Markup:
    """What is seen after a click."""
    return Markup(f"<details><summary>{shown(title)}</summary>{content}</details>")


def picture(svg: str | None) -> Markup:
    """SVG text on a line of its own; nothing if there is none."""
    return Markup(f"<div>{svg}</div>" if svg else "")


def channels(rows: Sequence[Sequence[object]]) -> Markup:
    """The channels of a model: block, number in it, role, meaning; seen after a click."""
    return folded(f"{len(rows):,} channels", table(("block", "channel", "role", "meaning"), rows)) if rows else Markup()


def brief(text: str, longest: int = 60) -> str:
    """Text on one line, cut at the end."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
