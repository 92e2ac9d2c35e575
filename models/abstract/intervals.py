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

Bound = tuple[End, bool]
"""An end point in the order of what it lets in: of lower ends (value, open), of upper ends (value, closed)."""


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
    def bottom(self) -> Bound:
        """The lower end with its kind."""
        return self.low, self.low_open

    @property
    def top(self) -> Bound:
        """The upper end with its kind."""
        return self.high, not self.high_open

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
        return self.bottom > (0, False)

    @property
    def negative(self) -> bool:
        """Whether every number in it is negative."""
        return self.top < (0, True)

    def __contains__(self, value: Fraction) -> bool:
        return self.bottom <= (value, False) and (value, True) <= self.top

    def __add__(self, other: Interval) -> Interval:
        low, high = _sum(self.low, other.low), _sum(self.high, other.high)
        return Interval(low, high, self.low_open or other.low_open, self.high_open or other.high_open)

    def __mul__(self, other: Interval) -> Interval:
        ends = [
            _product(a, b)
            for a in (self.bottom, (self.high, self.high_open))
            for b in (other.bottom, (other.high, other.high_open))
        ]
        return between(min(ends), max((value, not opened) for value, opened in ends))

    def hull(self, other: Interval) -> Interval:
        """The least interval that holds both."""
        return between(min(self.bottom, other.bottom), max(self.top, other.top))

    def __str__(self) -> str:
        left, right = "(" if self.low_open else "[", ")" if self.high_open else "]"
        return f"{left}{_shown(self.low)}, {_shown(self.high)}{right}"


def _shown(end: End) -> str:
    if len(str(end)) < 12:
        return str(end)
    near_one = isinstance(end, Fraction) and abs(end - 1) < 1e-6
    return f"1{float(end - 1):+.2g}" if near_one else f"{float(end):.6g}"


def between(bottom: Bound, top: Bound) -> Interval:
    """The interval with these ends."""
    return Interval(bottom[0], top[0], bottom[1], not top[1])


def point(value: Fraction | int) -> Interval:
    """The interval of one number."""
    return Interval(Fraction(value), Fraction(value))


REALS = Interval(-math.inf, math.inf)
ZERO = point(0)


# -- operations ------------------------------------------------------------------------------------------------------


def _sum(a: End, b: End) -> End:
    """a + b; of an infinite one and a Fraction the infinite one, which Python would find by way of doubles."""
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a + b
    return a if not isinstance(a, Fraction) else b


def _product(a: tuple[End, bool], b: tuple[End, bool]) -> tuple[End, bool]:
    """An end point (value, open) of a product.

    A closed zero gives zero, which is attained; 0 * infinity is the end 0 as well, since the other end points of the
    two intervals then cover what lies beyond.
    """
    (x, x_open), (y, y_open) = a, b
    if x == 0 or y == 0:
        attained = (x == 0 and not x_open) or (y == 0 and not y_open)
        return Fraction(0), not attained
    if isinstance(x, Fraction) and isinstance(y, Fraction):
        return x * y, x_open or y_open
    return math.inf if (x > 0) == (y > 0) else -math.inf, True


def inverse(interval: Interval) -> Interval:
    """1 / x; all reals if 0 is among them."""
    if not (interval.positive or interval.negative):
        return REALS
    # 1/x falls, so the ends change places; towards an open zero it grows without bound.
    low = _one_over(interval.high, -math.inf)
    return Interval(low, _one_over(interval.low, math.inf), interval.high_open, interval.low_open)


def _one_over(value: End, at_zero: float) -> End:
    return at_zero if value == 0 else 1 / value if isinstance(value, Fraction) else Fraction(0)


def magnitude(interval: Interval) -> Interval:
    """Absolute values."""
    if interval.nonnegative:
        return interval
    negated = point(-1) * interval
    return negated if negated.nonnegative else between((Fraction(0), False), max(interval.top, negated.top))


def larger(a: Interval, b: Interval) -> Interval:
    """The maximum of two numbers, one from each."""
    return between(max(a.bottom, b.bottom), max(a.top, b.top))


def smaller(a: Interval, b: Interval) -> Interval:
    """The minimum of two numbers, one from each."""
    return between(min(a.bottom, b.bottom), min(a.top, b.top))
