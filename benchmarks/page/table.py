"""Markdown tables from rows of JSON: a column says what it holds, how it is shown, and what is expected of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
NOTHING = "Nothing."
"""A table without rows."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        head: its title.
        of: the key of the rows, or what is computed from a row; the title with underscores for spaces by default.
        show: how a value is written; by default by its type (:func:`cell`).
        target: what every value should be; one that is not is bold.
    """

    head: str
    of: str | Callable[[Json], Any] = ""
    show: Callable[[Any], str] | None = None
    target: Callable[[Any], bool] | None = None

    def value(self, row: Json) -> Any:
        """What stands in this column in a row."""
        return self.of(row) if callable(self.of) else row[self.of or self.head.replace(" ", "_")]

    def written(self, value: Any) -> str:
        """The cell."""
        if value is None:
            return "-"
        text = (self.show or cell)(value)
        return f"**{text}**" if self.target is not None and not self.target(value) else text


def table(rows: Iterable[Json], columns: Iterable[Column | str]) -> str:
    """A table with a line per row; a column given as a string is one by that title.

    Numbers stand on the right, facts in the middle, everything else on the left.
    """
    chosen = [Column(column) if isinstance(column, str) else column for column in columns]
    values = [[column.value(row) for column in chosen] for row in rows]
    if not values:
        return NOTHING
    marks = [_mark([line[i] for line in values]) for i in range(len(chosen))]
    body = [[column.written(v) for column, v in zip(chosen, line, strict=True)] for line in values]
    lines = [[column.head for column in chosen], marks, *([c.replace("|", "\\|") for c in line] for line in body)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _mark(values: list[Any]) -> str:
    known = next((value for value in values if value is not None), "")
    if isinstance(known, bool):
        return ":-:"
    return "--:" if isinstance(known, int | float | dict) else ":--"


# -- cells -----------------------------------------------------------------------------------------------------------


def cell(value: Any) -> str:
    """A value by its type: facts, whole numbers, three digits, the median and greatest of some."""
    if isinstance(value, bool):
        return yes(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return short(value)
    if isinstance(value, dict):
        return spread(value)
    return str(value)


def code(name: str) -> str:
    """A language's name, safe from Markdown's stars and underscores."""
    return f"`{name}`"


def short(number: float) -> str:
    """Three significant digits, without an exponent."""
    if number == 0:
        return "0"
    magnitude = int(f"{abs(number):.2e}".partition("e")[2])  # of the number rounded to three digits
    return f"{number:,.{max(0, 2 - magnitude)}f}"


def whole(number: float) -> str:
    """Rounded to a whole number."""
    return f"{number:,.0f}"


def tenths(number: float) -> str:
    """One digit after the point."""
    return f"{number:,.1f}"


def milli(number: float) -> str:
    """A thousand times as much: seconds as milliseconds."""
    return short(1000 * number)


def percent(value: float) -> str:
    """At most two digits after the point, never rounded up to 100."""
    return "100" if value == 100 else f"{int(value * 100) / 100:.2f}"


def spread(values: Json, show: Callable[[float], str] | None = None) -> str:
    """Median / greatest value; a median of whole numbers may end in a half."""
    if show is None and isinstance(values["most"], int):
        return f"{values['median']:,.1f}".removesuffix(".0") + f" / {values['most']:,}"
    return " / ".join((show or short)(values[key]) for key in ("median", "most"))


def yes(fact: bool) -> str:
    """Yes, or a no that is seen."""
    return "yes" if fact else "**no**"
