"""Where the values of an expression lie when its symbols lie in intervals.

exp, log, tanh, ... are rounded outwards (by mpmath's interval arithmetic), so an enclosure is a proof.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache, reduce
from typing import Any

import mpmath
import sympy
from sympy import Expr, Symbol

from .functions import as_fraction, sigmoid, softplus
from .intervals import REALS, ZERO, End, Interval, between, inverse, larger, magnitude, point, smaller
from .numbers import Arithmetic, compiled

LARGEST_EXPONENT = 1 << 14
"""Numbers past 2^+-this are taken as infinite or zero, to keep Fractions small."""


def domain_of(symbol: Symbol) -> Interval:
    """What a symbol's assumptions say of it: all reals, or those of one sign."""
    if symbol.is_positive:
        return Interval(Fraction(0), math.inf, low_open=True)
    if symbol.is_nonnegative:
        return Interval(Fraction(0), math.inf)
    if symbol.is_negative:
        return Interval(-math.inf, Fraction(0), high_open=True)
    if symbol.is_nonpositive:
        return Interval(-math.inf, Fraction(0))
    return REALS


def enclosure(expression: Any, box: Mapping[Symbol, Interval], precision: int = 80) -> Interval:
    """An interval that holds every value of a real expression on a box. O(nodes of the expression).

    Parts that are not understood, or not defined everywhere on the box, are taken as any real number. Every occurrence
    of a symbol is taken as independent, so the enclosure may be wider than the range.

    Args:
        expression: without I.
        box: an interval for each symbol; symbols left out get their :func:`domain_of`.
        precision: bits for functions that are not rational.
    """
    domains = {s: box[s] if s in box else domain_of(s) for s in expression.free_symbols}
    return compiled(expression, _arithmetic(precision))(domains)


@lru_cache(maxsize=8)
def _arithmetic(precision: int) -> Arithmetic:
    """Intervals in which functions that are not rational have this many bits."""

    def constant(number: Expr) -> Interval:
        if number.is_Rational:
            return point(as_fraction(number))
        if number in (sympy.pi, sympy.E):
            return _outward(lambda c: +(c.pi if number is sympy.pi else c.e), precision)
        return REALS

    def apply(function: type, parts: list[Interval]) -> Interval:
        if function in (sympy.Max, sympy.Min):
            return reduce(larger if function is sympy.Max else smaller, parts)
        return FUNCTIONS[function](*parts, precision) if function in FUNCTIONS else REALS

    return Arithmetic(
        constant,
        lambda base, exponent: _power(base, exponent, precision),
        apply,
        lambda cases, values: reduce(Interval.hull, [value(values) for value, _ in cases]),
    )


def sign_of(number: Expr) -> int | None:
    """The sign of a real constant, proved: -1, 0 or 1; None if it cannot be told.

    By enclosures of growing precision; zero is recognised where enclosures close in on it and it simplifies to zero.
    """
    found = REALS
    for precision in (80, 400, 2000):
        found = enclosure(number, {}, precision)
        if found.positive:
            return 1
        if found.negative:
            return -1
        if found == ZERO:
            return 0
        if isinstance(found.largest, float):
            return None  # not understood, or not defined; more digits will not help
    near = isinstance(found.largest, Fraction) and found.largest < Fraction(1, 1 << 300)
    return 0 if near and sympy.simplify(number) == 0 else None


# -- functions -------------------------------------------------------------------------------------------------------


def _power(base: Interval, exponent: Interval, precision: int) -> Interval:
    if exponent.is_point and isinstance(exponent.low, Fraction) and exponent.low.denominator == 1:
        n = int(exponent.low)
        if n < 0:
            return _power(inverse(base), point(-n), precision)
        if n == 0:
            return point(1)
        if n % 2 == 0:
            size = magnitude(base)
            return Interval(size.low**n, size.high**n, size.low_open, size.high_open)
        return Interval(base.low**n, base.high**n, base.low_open, base.high_open)
    if base.positive:
        return _exp(exponent * _log(base, precision), precision)
    if base.nonnegative and exponent.positive:
        above = Interval(min(base.high, Fraction(1, 2)), base.high, high_open=base.high_open) if base.high else ZERO
        return ZERO.hull(_exp(exponent * _log(above, precision), precision)) if base.high else ZERO
    return REALS


@lru_cache(maxsize=8)
def _context(precision: int) -> Any:
    context = mpmath.ctx_iv.MPIntervalContext()
    context.prec = precision
    return context


def _outward(function: Callable[[Any], Any], precision: int) -> Interval:
    """The interval that mpmath returns, as one of ours."""
    found = function(_context(precision))
    # (sign, mantissa, exponent, bits) of both end points, exact.
    low, high = found._mpi_
    return Interval(_end(low, -1), _end(high, 1))


def _end(raw: tuple[int, int, int, int], side: int) -> End:
    sign, mantissa, exponent, bits = raw
    if not mantissa:
        return Fraction(0) if exponent == 0 else side * math.inf
    if exponent + bits > LARGEST_EXPONENT:
        # Past the largest number: outwards to infinity, inwards to that number.
        beyond = side * math.inf if (side > 0) != bool(sign) else Fraction(2) ** LARGEST_EXPONENT * (-1 if sign else 1)
        return beyond
    if exponent + bits < -LARGEST_EXPONENT:
        tiny = Fraction(1, 1 << (LARGEST_EXPONENT - 1))
        return (-tiny if side < 0 else Fraction(0)) if sign else (tiny if side > 0 else Fraction(0))
    return (-1 if sign else 1) * mantissa * Fraction(2) ** exponent


def _rational(c: Any, value: Fraction) -> Any:
    return c.mpf(value.numerator) / c.mpf(value.denominator)


def _rising(
    formula: Callable[[Any, Any], Any], below: End, above: End, at: Fraction | int | None = None, there: Any = 0
) -> Callable[[Interval, int], Interval]:
    """Enclosures of a strictly rising function.

    Args:
        formula: its value in mpmath's interval arithmetic, from the context and the argument.
        below: its lower limit, which it never reaches.
        above: its upper limit, likewise.
        at: where its value is known exactly.
        there: that value.
    """
    limits = Interval(below, above, True, True)

    def end(value: End, opened: bool, precision: int) -> tuple[Interval, bool]:
        """What the function may be at an end, and whether that end of the image is open."""
        if not isinstance(value, Fraction):
            return limits, True
        image = point(there) if value == at else _outward(lambda c: formula(c, _rational(c, value)), precision)
        return image, opened and image.is_point

    def rising(x: Interval, precision: int) -> Interval:
        (left, low_open), (right, high_open) = end(x.low, x.low_open, precision), end(x.high, x.high_open, precision)
        image = Interval(left.low, right.high, low_open, high_open)
        return between(max(image.bottom, limits.bottom), min(image.top, limits.top))

    return rising


_exp = _rising(lambda c, v: c.exp(v), Fraction(0), math.inf, 0, 1)
_log_above_zero = _rising(lambda c, v: c.log(v), -math.inf, math.inf, 1, 0)


def _log(x: Interval, precision: int) -> Interval:
    if not x.positive:
        return REALS
    if x.low == 0:
        high = REALS if math.isinf(x.high) else _log_above_zero(Interval(x.high, x.high), precision)
        return Interval(-math.inf, high.high, high_open=x.high_open and high.is_point)
    return _log_above_zero(x, precision)


def _wave(name: str) -> Callable[[Interval, int], Interval]:
    """sin or cos: within [-1, 1], and more closely on bounded intervals."""

    def wave(x: Interval, precision: int) -> Interval:
        low, high = x.low, x.high
        if not (isinstance(low, Fraction) and isinstance(high, Fraction)) or high - low > 8:
            return Interval(Fraction(-1), Fraction(1))
        return _outward(
            lambda c: getattr(c, name)(c.mpf([_rational(c, low).a, _rational(c, high).b])),
            precision,
        )

    return wave


def _steps(round_: Callable[[Fraction], int]) -> Callable[[Interval, int], Interval]:
    def steps(x: Interval, precision: int) -> Interval:
        low = Fraction(round_(x.low)) if isinstance(x.low, Fraction) else x.low
        return Interval(low, Fraction(round_(x.high)) if isinstance(x.high, Fraction) else x.high)

    return steps


def _sign(x: Interval, precision: int) -> Interval:
    low = 1 if x.positive else 0 if x.nonnegative else -1
    return Interval(Fraction(low), Fraction(-1 if x.negative else 0 if x.high <= 0 else 1))


def _remainder(x: Interval, modulus: Interval, precision: int) -> Interval:
    if not modulus.positive:
        return REALS
    return Interval(Fraction(0), modulus.high, high_open=True)


FUNCTIONS: dict[type, Callable[..., Interval]] = {
    sympy.exp: _exp,
    sympy.log: _log,
    sympy.tanh: _rising(lambda c, v: 1 - 2 / (c.exp(2 * v) + 1), Fraction(-1), Fraction(1), 0, 0),
    sigmoid: _rising(lambda c, v: 1 / (1 + c.exp(-v)), Fraction(0), Fraction(1), 0, Fraction(1, 2)),
    softplus: _rising(lambda c, v: c.log(1 + c.exp(v)), Fraction(0), math.inf),
    sympy.sin: _wave("sin"),
    sympy.cos: _wave("cos"),
    sympy.erf: lambda x, precision: Interval(Fraction(-1), Fraction(1), True, True),
    sympy.Abs: lambda x, precision: magnitude(x),
    sympy.floor: _steps(math.floor),
    sympy.ceiling: _steps(math.ceil),
    sympy.sign: _sign,
    sympy.Mod: _remainder,
}
