"""Targets ("Numbers to reach" of the project's plans), and figures that were measured or published elsewhere.

Everything else in docs/benchmarks.md comes out of a run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from page.table import short, table

NOT_RUN_HERE = "measured earlier by the project, not re-run here"


@dataclass(frozen=True)
class Target:
    """One line of the first table of the page."""

    what: str
    target: str
    measured: str
    met: bool


def below(what: str, number: float, limit: float, unit: str, note: str = "") -> Target:
    """A figure that must stay under a limit."""
    told = f"{short(number)} {unit}" + (f" ({note})" if note else "")
    return Target(what, f"under {short(limit)} {unit}", told, number < limit)


def every(what: str, count: int, of: int, note: str = "") -> Target:
    """All of so many."""
    told = f"{count:,} of {of:,}" + (f" ({note})" if note else "")
    return Target(what, "all", told, count == of)


def none(what: str, count: int, note: str = "") -> Target:
    """None at all."""
    return Target(what, "0", f"{count:,}" + (f" ({note})" if note else ""), count == 0)


def targets_table(targets: Iterable[Target]) -> str:
    """The first table of the page."""
    return table((vars(target) for target in targets), ("what", "target", "measured", "met"))


# -- measured or published elsewhere ---------------------------------------------------------------------------------

EARLIER_SIZES: dict[str, int] = {"D-12": 175_000, "O_5": 65_000, "aa*bb*cc*dd*ee*": 25_500}
"""Parameters of the project's prototype (the "value + slots" column of the theory's table), by language."""

EARLIER_SECONDS: dict[str, float] = {"D-12": 0.07}
"""Seconds that the prototype took to compile."""
