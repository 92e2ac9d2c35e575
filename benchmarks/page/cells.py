"""Cells and tables of docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from page import references

Json = dict[str, Any]
Targets = list[tuple[str, str, str, str]]
"""(What, target, measured, met)."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], align: str) -> str:
    """A Markdown table; ``align`` has one of l, c, r per column, the last repeated."""
    marks = {"l": ":--", "c": ":-:", "r": "--:"}
    rule = [marks[align[min(i, len(align) - 1)]] for i in range(len(head))]
    lines = [head, rule, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(name: str) -> str:
    """A language's name, safe from Markdown's stars and underscores."""
    return f"`{name}`"


def whole(number: float | None) -> str:
    return "-" if number is None else f"{number:,.0f}"


def short(number: float) -> str:
    """Three significant digits, without an exponent."""
    if number == 0:
        return "0"
    digits = max(0, 2 - _magnitude(number))
    return f"{number:,.{digits}f}"


def _magnitude(number: float) -> int:
    """floor(log10(number)), after rounding to three digits."""
    return int(f"{abs(number):.2e}".partition("e")[2])


def halves(number: float) -> str:
    """A median of integers."""
    return f"{number:,.1f}".removesuffix(".0")


def yes(fact: bool) -> str:
    return "yes" if fact else "**no**"


def earlier(rows: Iterable[references.Earlier]) -> str:
    return table(["what", "by", "†"], ((r.subject, r.system, r.figure) for r in rows), "l")
