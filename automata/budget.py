"""Budgets: how far a search may go before it gives up with a clear error.

Deciding aperiodicity is PSPACE-complete (Cho and Huynh 1991) and subset constructions are exponential, so a
budget is part of the interface of every search here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from .errors import BudgetExceededError


@dataclass(frozen=True)
class Budget:
    """Limits of one search.

    Args:
        items: how many things (image sets, subset states, monoid elements) may be created.
        seconds: wall-clock limit, checked about every thousand items; ``None`` for no limit.
        started: when the time began (``time.monotonic``); ``None``: when a search begins.
        parameters: how many a compiled model may have.
    """

    items: int = 200_000
    seconds: float | None = 120.0
    started: float | None = None
    parameters: int = 1 << 28

    def meter(self, what: str) -> Meter:
        """A counter for one search over ``what``."""
        return Meter(self, what) if self.started is None else Meter(self, what, _started=self.started)

    def running(self) -> Budget:
        """The same limits with the time running from now on, for all searches together."""
        return replace(self, started=time.monotonic()) if self.started is None else self

    def half(self) -> Budget:
        """The same limits, but half of the time that is left, running from now on; the rest is for what comes after."""
        now = time.monotonic()
        if self.seconds is None:
            return replace(self, started=now)
        left = self.seconds if self.started is None else max(0.0, self.seconds - (now - self.started))
        return replace(self, seconds=left / 2, started=now)

    @property
    def over(self) -> bool:
        """Whether the time, if it is running, has run out."""
        if self.started is None or self.seconds is None:
            return False
        return time.monotonic() - self.started > self.seconds


@dataclass
class Meter:
    """Counts items against a :class:`Budget`; raises :class:`BudgetExceededError` past it."""

    budget: Budget
    what: str
    count: int = 0
    _started: float = field(default_factory=lambda: time.monotonic())
    _next_look: int = 0

    def tick(self, items: int = 1) -> None:
        """Count ``items`` more."""
        self.count += items
        if self.count > self.budget.items:
            raise BudgetExceededError(self.what, self.count, self.budget.items)
        if self.count >= self._next_look:
            self._next_look = self.count + 1000
            self.check_time()

    def check_time(self) -> None:
        """Raise if the wall-clock limit has passed."""
        limit = self.budget.seconds
        elapsed = time.monotonic() - self._started
        if limit is not None and elapsed > limit:
            raise BudgetExceededError(f"seconds (at {self.count:,} {self.what})", round(elapsed, 1), limit)


DEFAULT_BUDGET = Budget()
