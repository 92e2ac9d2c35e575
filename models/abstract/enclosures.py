"""Where the values of an expression lie when its symbols lie in intervals.

exp, log, tanh, ... are rounded outwards (by mpmath's interval arithmetic), so an enclosure is a proof.
"""

# sympy and mpmath are annotated in part only.
# mypy: disable-error-code="misc, no-any-return, no-untyped-call"

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
from .intervals import REALS, ZERO, End, Interval, inverse, larger, magnitude, point, smaller

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
    if isinstance(expression, Symbol):
        return box.get(expression, domain_of(expression))
    if expression.is_Rational:
        return point(as_fraction(expression))
    if expression in (sympy.pi, sympy.E):
        return _outward(lambda c: +(c.pi if expression is sympy.pi else c.e), precision)
    if isinstance(expression, sympy.Piecewise):
        return reduce(Interval.hull, [enclosure(value, box, precision) for value, _ in expression.args])
    parts = [enclosure(argument, box, precision) for argument in expression.args]
    if isinstance(expression, sympy.Add):
        return reduce(Interval.__add__, parts)
    if isinstance(expression, sympy.Mul):
        return reduce(Interval.__mul__, parts)
    if isinstance(expression, sympy.Pow):
        return _power(parts[0], parts[1], precision)
    if isinstance(expression, (sympy.Max, sympy.Min)):
        return reduce(larger if isinstance(expression, sympy.Max) else smaller, parts)
    known = FUNCTIONS.get(type(expression))
    return REALS if known is None else known(*parts, precision)


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
            return Interval(_whole(size.low, n), _whole(size.high, n), size.low_open, size.high_open)
        return Interval(_whole(base.low, n), _whole(base.high, n), base.low_open, base.high_open)
    if base.positive:
        return _exp(exponent * _log(base, precision), precision)
    if base.nonnegative and exponent.positive:
        above = Interval(min(base.high, Fraction(1, 2)), base.high, high_open=base.high_open) if base.high else ZERO
        return ZERO.hull(_exp(exponent * _log(above, precision), precision)) if base.high else ZERO
    return REALS


def _whole(value: End, n: int) -> End:
    return value**n  # of an infinity too


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


def _at(name: str, value: Fraction, precision: int) -> Interval:
    """A function of mpmath's interval context at a rational number."""
    return _outward(lambda c: getattr(c, name)(c.mpf(value.numerator) / c.mpf(value.denominator)), precision)


def _rising(at: Callable[[Fraction, int], Interval], below: End, above: End) -> Callable[[Interval, int], Interval]:
    """Enclosures of a strictly rising function with limits ``below`` and ``above``, which it never reaches."""

    def rising(x: Interval, precision: int) -> Interval:
        if isinstance(x.low, Fraction):
            left = at(x.low, precision)
            low, low_open = left.low, x.low_open and left.is_point
            if low <= below:
                low, low_open = below, True
        else:
            low, low_open = below, True
        if isinstance(x.high, Fraction):
            right = at(x.high, precision)
            high, high_open = right.high, x.high_open and right.is_point
            if high >= above:
                high, high_open = above, True
        else:
            high, high_open = above, True
        return Interval(low, high, low_open, high_open)

    return rising


def _exact_at_zero(name: str, at_zero: int) -> Callable[[Fraction, int], Interval]:
    return lambda value, precision: point(at_zero) if value == 0 else _at(name, value, precision)


def _tanh_at(value: Fraction, precision: int) -> Interval:
    if value == 0:
        return ZERO
    # 1 - 2 / (exp(2 v) + 1)
    power = _outward(lambda c: c.exp(2 * c.mpf(value.numerator) / c.mpf(value.denominator)), precision)
    return point(1) + point(-2) * inverse(power + point(1))


def _sigmoid_at(value: Fraction, precision: int) -> Interval:
    if value == 0:
        return point(Fraction(1, 2))
    return inverse(point(1) + _outward(lambda c: c.exp(c.mpf(-value.numerator) / c.mpf(value.denominator)), precision))


def _softplus_at(value: Fraction, precision: int) -> Interval:
    return _outward(lambda c: c.log(1 + c.exp(c.mpf(value.numerator) / c.mpf(value.denominator))), precision)


_exp = _rising(_exact_at_zero("exp", 1), Fraction(0), math.inf)
_log_above_zero = _rising(
    lambda value, precision: ZERO if value == 1 else _at("log", value, precision), -math.inf, math.inf
)


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

        def value(c: Any) -> Any:
            left, right = c.mpf(low.numerator) / c.mpf(low.denominator), c.mpf(high.numerator) / c.mpf(high.denominator)
            return getattr(c, name)(c.mpf([left.a, right.b]))

        return _outward(value, precision)

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
    sympy.tanh: _rising(_tanh_at, Fraction(-1), Fraction(1)),
    sigmoid: _rising(_sigmoid_at, Fraction(0), Fraction(1)),
    softplus: _rising(_softplus_at, Fraction(0), math.inf),
    sympy.sin: _wave("sin"),
    sympy.cos: _wave("cos"),
    sympy.erf: lambda x, precision: Interval(Fraction(-1), Fraction(1), True, True),
    sympy.Abs: lambda x, precision: magnitude(x),
    sympy.floor: _steps(math.floor),
    sympy.ceiling: _steps(math.ceil),
    sympy.sign: _sign,
    sympy.Mod: _remainder,
}
