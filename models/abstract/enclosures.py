"""Where the values of an expression lie when its symbols lie in intervals.

mpmath's interval arithmetic rounds outwards, so an enclosure is a proof. Intervals are closed: that sigmoid(x) lies
in [0, 1] is all that the sign of a gate needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, reduce
from typing import Any

import mpmath
import sympy
from sympy import Expr, Symbol

from .functions import as_fraction, sigmoid, softplus
from .numbers import Arithmetic, compiled

End = Fraction | float
"""An end point: a Fraction, or one of the two infinities."""

LARGEST_EXPONENT = 1 << 24
"""Numbers past 2^+-this are taken as infinite or as anything down to zero, to keep Fractions small."""


@dataclass(frozen=True)
class Interval:
    """The reals between two end points; finite ones belong to it."""

    low: End
    high: End

    @property
    def nonnegative(self) -> bool:
        """Whether no number in it is negative."""
        return self.low >= 0

    @property
    def sign(self) -> int | None:
        """The sign that all its numbers have, -1, 0 or 1; None if they differ in it."""
        if self.low == self.high == 0:
            return 0
        return 1 if self.low > 0 else -1 if self.high < 0 else None

    def __contains__(self, value: Fraction) -> bool:
        return self.low <= value <= self.high

    def hull(self, other: Interval) -> Interval:
        """The least interval that holds both."""
        return Interval(min(self.low, other.low), max(self.high, other.high))

    def __str__(self) -> str:
        left, right = "(" if math.isinf(self.low) else "[", ")" if math.isinf(self.high) else "]"
        return f"{left}{_shown(self.low)}, {_shown(self.high)}{right}"


REALS = Interval(-math.inf, math.inf)


def _shown(end: End) -> str:
    if len(str(end)) < 12:
        return str(end)
    near_one = isinstance(end, Fraction) and abs(end - 1) < 1e-6
    return f"1{float(end - 1):+.2g}" if near_one else f"{float(end):.6g}"


def domain_of(symbol: Symbol) -> Interval:
    """What a symbol's assumptions say of it: all reals, or those of one sign and zero."""
    zero = Fraction(0)
    return Interval(zero if symbol.is_nonnegative else -math.inf, zero if symbol.is_nonpositive else math.inf)


def enclosure(expression: Any, box: Mapping[Symbol, Interval], precision: int = 80) -> Interval:
    """An interval that holds every value of a real expression on a box. O(nodes of the expression).

    Parts that are not understood, or not defined everywhere on the box, are taken as any real number. Every occurrence
    of a symbol is taken as independent, so the enclosure may be wider than the range.

    Args:
        expression: without I.
        box: an interval for each symbol; symbols left out get their :func:`domain_of`.
        precision: bits of the end points in between.
    """
    c = _context(precision)
    domains = {s: box[s] if s in box else domain_of(s) for s in expression.free_symbols}
    values = {s: c.mpf([_number(c, i.low).a, _number(c, i.high).b]) for s, i in domains.items()}
    low, high = compiled(expression, _arithmetic(precision))(values)._mpi_
    return Interval(_end(low, -1), _end(high, 1))


def sign_of(number: Expr) -> int | None:
    """The sign of a real constant, proved: -1, 0 or 1; None if it cannot be told.

    By enclosures of growing precision; zero is recognised where enclosures close in on it and it simplifies to zero.
    """
    found = REALS
    for precision in (80, 400, 2000):
        found = enclosure(number, {}, precision)
        if found.sign is not None:
            return found.sign
        if math.isinf(found.low) or math.isinf(found.high):
            return None  # not understood, or not defined; more digits will not help
    near = max(-found.low, found.high) < Fraction(1, 1 << 300)
    return 0 if near and sympy.simplify(number) == 0 else None


# -- by mpmath: c is a context, x an interval of it -----------------------------------------------------------------


@lru_cache(maxsize=8)
def _context(precision: int) -> Any:
    context = mpmath.ctx_iv.MPIntervalContext()
    context.prec = precision
    return context


@lru_cache(maxsize=8)
def _arithmetic(precision: int) -> Arithmetic:
    """Intervals whose end points have this many bits."""
    c = _context(precision)

    def constant(number: Expr) -> Any:
        if number.is_Rational:
            return _number(c, as_fraction(number))
        return +c.pi if number is sympy.pi else +c.e if number is sympy.E else _reals(c)

    return Arithmetic(
        constant,
        lambda base, exponent: _power(c, base, exponent),
        lambda function, parts: FUNCTIONS[function](c, *parts) if function in FUNCTIONS else _reals(c),
        # Conditions are not looked at: any case may apply.
        lambda cases, values: reduce(lambda x, y: _span(c, x, y), [value(values) for value, _ in cases]),
    )


def _reals(c: Any) -> Any:
    return c.mpf([-math.inf, math.inf])


def _number(c: Any, value: End) -> Any:
    """A number, rounded both ways."""
    return c.mpf(value.numerator) / c.mpf(value.denominator) if isinstance(value, Fraction) else c.mpf(value)


def _end(raw: tuple[int, int, int, int], side: int) -> End:
    """An end point from its sign, mantissa, exponent and bits, exact or farther out."""
    sign, mantissa, exponent, bits = raw
    if not mantissa:
        return Fraction(0) if exponent == 0 else side * math.inf
    if abs(exponent + bits) <= LARGEST_EXPONENT:
        return (-1 if sign else 1) * mantissa * Fraction(2) ** exponent
    if (side > 0) == bool(sign):
        return Fraction(0)
    return side * math.inf if exponent > 0 else side * Fraction(1, 1 << LARGEST_EXPONENT)


def _span(c: Any, x: Any, y: Any) -> Any:
    return c.mpf([min(x.a, y.a), max(x.b, y.b)])


def _exp(c: Any, x: Any) -> Any:
    """exp, without exponentials that are too long."""
    limit = c.mpf(LARGEST_EXPONENT)
    low = c.mpf(0) if x.a < -limit else c.exp(min(x.a, limit))
    return _span(c, low, c.mpf(math.inf) if x.b > limit else c.exp(max(x.b, -limit)))


def _log(c: Any, x: Any) -> Any:
    return c.log(x) if x.a > 0 else _reals(c)


def _power(c: Any, base: Any, exponent: Any) -> Any:
    if exponent.a == exponent.b == int(float(exponent.a)):
        n = int(float(exponent.a))
        return base**n if n >= 0 or 0 not in base else _reals(c)
    if base.a > 0:
        return _exp(c, exponent * c.log(base))
    if base.a >= 0 and exponent.a >= 0:
        return _span(
            c, c.mpf(0), _exp(c, exponent * c.log(max(base.b, c.mpf(1))))
        )  # it rises with the base from 0, or is 1
    return _reals(c)


def _wave(c: Any, function: Callable[[Any], Any], x: Any) -> Any:
    """sin or cos: within [-1, 1], and more closely on short intervals."""
    return function(x) if x.delta < 8 else c.mpf([-1, 1])


FUNCTIONS: dict[type, Callable[..., Any]] = {
    sympy.exp: _exp,
    sympy.log: _log,
    sympy.tanh: lambda c, x: 1 - 2 / (_exp(c, 2 * x) + 1),
    sigmoid: lambda c, x: 1 / (1 + _exp(c, -x)),
    softplus: lambda c, x: c.log(1 + _exp(c, x)),
    sympy.sin: lambda c, x: _wave(c, c.sin, x),
    sympy.cos: lambda c, x: _wave(c, c.cos, x),
    sympy.Abs: lambda c, x: abs(x),
    sympy.Max: lambda c, *xs: c.mpf([max(x.a for x in xs), max(x.b for x in xs)]),
    sympy.Min: lambda c, *xs: c.mpf([min(x.a for x in xs), min(x.b for x in xs)]),
    sympy.Mod: lambda c, x, n: c.mpf([0, n.b]) if n.a > 0 else _reals(c),
}
"""Enclosures of functions, from a context of mpmath and the intervals of their arguments."""
