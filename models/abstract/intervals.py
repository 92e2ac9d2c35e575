"""Intervals of reals, and their arithmetic.

End points are exact rationals or infinite. Open ends are kept apart from closed ones: 1/(1 + exp(-x)) lies in (0, 1),
whatever x is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

End = Fraction | float
"""An end point: a Fraction, or one of the two infinities."""


@dataclass(frozen=True)
class Interval:
    """The reals between two end points, which belong to it unless open (infinite ones never do)."""

    low: End
    high: End
    low_open: bool = False
    high_open: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "low_open", self.low_open or self.low == -math.inf)
        object.__setattr__(self, "high_open", self.high_open or self.high == math.inf)

    @property
    def is_point(self) -> bool:
        """Whether it holds one number."""
        return self.low == self.high

    @property
    def largest(self) -> End:
        """The least upper bound of the absolute values."""
        return -self.low if -self.low > self.high else self.high

    @property
    def nonnegative(self) -> bool:
        """Whether no number in it is negative."""
        return self.low >= 0

    @property
    def positive(self) -> bool:
        """Whether every number in it is positive."""
        return self.low > 0 or (self.low == 0 and self.low_open)

    @property
    def negative(self) -> bool:
        """Whether every number in it is negative."""
        return self.high < 0 or (self.high == 0 and self.high_open)

    def __contains__(self, value: Fraction) -> bool:
        above = value > self.low or (value == self.low and not self.low_open)
        return above and (value < self.high or (value == self.high and not self.high_open))

    def __add__(self, other: Interval) -> Interval:
        return Interval(
            _sum(self.low, other.low),
            _sum(self.high, other.high),
            self.low_open or other.low_open,
            self.high_open or other.high_open,
        )

    def __mul__(self, other: Interval) -> Interval:
        ends = [_product(a, b) for a in _ends(self) for b in _ends(other)]
        low, high = min(ends), max((value, not opened) for value, opened in ends)
        return Interval(low[0], high[0], low[1], not high[1])

    def hull(self, other: Interval) -> Interval:
        """The least interval that holds both."""
        low, low_open = min((self.low, self.low_open), (other.low, other.low_open))
        high, high_closed = max((self.high, not self.high_open), (other.high, not other.high_open))
        return Interval(low, high, low_open, not high_closed)

    def __str__(self) -> str:
        left, right = "(" if self.low_open else "[", ")" if self.high_open else "]"
        return f"{left}{_shown(self.low)}, {_shown(self.high)}{right}"


def _shown(end: End) -> str:
    if len(str(end)) < 12:
        return str(end)
    near_one = isinstance(end, Fraction) and abs(end - 1) < 1e-6
    return f"1{float(end - 1):+.2g}" if near_one else f"{float(end):.6g}"


REALS = Interval(-math.inf, math.inf)
ZERO = Interval(Fraction(0), Fraction(0))


def point(value: Fraction | int) -> Interval:
    """The interval of one number."""
    return Interval(Fraction(value), Fraction(value))


# -- operations ------------------------------------------------------------------------------------------------------


def _ends(interval: Interval) -> tuple[tuple[End, bool], tuple[End, bool]]:
    return (interval.low, interval.low_open), (interval.high, interval.high_open)


def _sum(a: End, b: End) -> End:
    """a + b; of an infinite one and a Fraction the infinite one, which Python would find by way of doubles."""
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a + b
    return a if not isinstance(a, Fraction) else b


def _product(a: tuple[End, bool], b: tuple[End, bool]) -> tuple[End, bool]:
    """An end point of a product. A closed zero gives zero, which is attained; 0 * infinity is the end 0 as well, since
    the other end points of the two intervals then cover what lies beyond."""
    (x, x_open), (y, y_open) = a, b
    if x == 0 or y == 0:
        attained = (x == 0 and not x_open) or (y == 0 and not y_open)
        return Fraction(0), not attained
    if isinstance(x, Fraction) and isinstance(y, Fraction):
        return x * y, x_open or y_open
    return math.inf if (x > 0) == (y > 0) else -math.inf, True


def inverse(interval: Interval) -> Interval:
    """1 / x; all reals if 0 is among them."""
    if interval.positive or interval.negative:
        # 1/x falls, so the ends change places; towards an open zero it grows without bound.
        low = Fraction(0) if math.isinf(interval.high) else _one_over(interval.high, -1)
        high = Fraction(0) if math.isinf(interval.low) else _one_over(interval.low, 1)
        return Interval(low, high, interval.high_open, interval.low_open)
    return REALS


def _one_over(value: End, side: int) -> End:
    return side * math.inf if value == 0 else 1 / value


def magnitude(interval: Interval) -> Interval:
    """Absolute values."""
    if interval.nonnegative:
        return interval
    if interval.high <= 0:
        return Interval(-interval.high, -interval.low, interval.high_open, interval.low_open)
    high, closed = max((-interval.low, not interval.low_open), (interval.high, not interval.high_open))
    return Interval(Fraction(0), high, False, not closed)


def larger(a: Interval, b: Interval) -> Interval:
    """The maximum of two numbers, one from each."""
    low, low_open = max((a.low, a.low_open), (b.low, b.low_open))
    high, closed = max((a.high, not a.high_open), (b.high, not b.high_open))
    return Interval(low, high, low_open, not closed)


def smaller(a: Interval, b: Interval) -> Interval:
    """The minimum of two numbers, one from each."""
    low, low_open = min((a.low, a.low_open), (b.low, b.low_open))
    high, closed = min((a.high, not a.high_open), (b.high, not b.high_open))
    return Interval(low, high, low_open, not closed)
