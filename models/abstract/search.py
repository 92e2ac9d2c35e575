"""Proving that an expression is never negative, or finding where it is.

A claim is proved by an enclosure (:mod:`.enclosures`) of the expression in one of several forms, or by sympy's sign
rules. A violation is only reported at a point with exact coordinates, where the sign of the value is proved. What
neither settles is undecided.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import islice

import sympy
from sympy import Expr, Symbol

from .enclosures import End, Interval, domain_of, enclosure, sign_of
from .functions import as_fraction, elementary, sigmoid, softplus

Point = Mapping[Symbol, Expr]
Box = Mapping[Symbol, Interval]

CANDIDATES: tuple[Expr, ...] = (
    *map(sympy.Integer, (0, 1, -1, 2, -2)),
    sympy.pi,
    sympy.Rational(1, 2),
    -sympy.Rational(1, 2),
    *map(sympy.Integer, (3, -3, 5, -5, 10, -10)),
)
"""Values tried for every symbol, simple ones first."""

TRIED = 1_000
"""Points tried on the grid of CANDIDATES."""

POLES = (sympy.nan, sympy.zoo, sympy.oo, -sympy.oo)
"""What an expression is where it has no finite value."""

SMOOTH = (sympy.exp, sympy.log, sympy.tanh, sympy.sin, sympy.cos, sympy.erf, sigmoid, softplus)
"""Functions with a derivative wherever they are defined."""

STEPS = (sympy.Piecewise, sympy.floor, sympy.ceiling, sympy.sign, sympy.Mod)
"""What enclosures say little of, even at a point."""


def box_of(symbols: Sequence[Symbol], domains: Box) -> dict[Symbol, Interval]:
    """The interval of each symbol: the given one, or what its assumptions say."""
    return {s: domains.get(s, domain_of(s)) for s in symbols}


def grid(box: Box) -> Iterator[Point]:
    """Points of a box with simple coordinates, the simplest first: the CANDIDATES and the ends; at most TRIED."""
    axes = [_axis(symbol, interval) for symbol, interval in box.items()]
    longest = [len(axis) - 1 for axis in axes]
    places = (place for total in range(sum(longest) + 1) for place in _compositions(total, longest))
    for place in islice(places, TRIED):
        yield {s: axis[i] for s, axis, i in zip(box, axes, place, strict=True)}


def _axis(symbol: Symbol, interval: Interval) -> list[Expr]:
    ends = [
        sympy.Rational(e.numerator, e.denominator) for e in (interval.low, interval.high) if isinstance(e, Fraction)
    ]
    inside = [c for c in CANDIDATES if interval.low <= _compared(c) <= interval.high]
    return [c for c in dict.fromkeys((*inside, *ends)) if not (c == 0 and symbol.is_zero is False)]


def _compared(candidate: Expr) -> End:
    return as_fraction(candidate) if candidate.is_Rational else float(candidate)


def _compositions(total: int, limits: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """All tuples of integers from 0 to each limit with this sum."""
    if not limits:
        if total == 0:
            yield ()
        return
    for first in range(min(total, limits[0]) + 1):
        for rest in _compositions(total - first, limits[1:]):
            yield (first, *rest)


def value_at(expression: Expr, at: Point) -> Expr:
    """The expression at a point, as an exact constant; NaN where it is undefined."""
    try:
        return expression.xreplace({s: sympy.sympify(v) for s, v in at.items()}).doit()
    except (ValueError, TypeError, ZeroDivisionError):  # Max(1/x, x) at 0, say
        return sympy.nan


def find_sign(expression: Expr, box: Box, signs: Sequence[int], defined: Sequence[Expr] = ()) -> Point | None:
    """A point of the grid where a real expression has one of these signs (-1, 1), proved; None if none was found.

    The expressions ``defined`` have a finite value there as well.
    """
    if expression == 0:
        return None
    for at in grid(box):
        sign = enclosure(expression, {s: _interval(v) for s, v in at.items()}).sign
        if sign is None and (not at or expression.has(*STEPS)):
            sign = sign_of(value_at(expression, at))
        # An enclosure of exp(1/x) is positive at 0 too.
        if sign in signs and not value_at(expression, at).has(*POLES, sympy.I):
            if not any(value_at(e, at).has(*POLES) for e in defined):
                return at
    return None


@lru_cache(maxsize=1024)
def _interval(value: Expr) -> Interval:
    return enclosure(value, {})


def proof_of_sign(expression: Expr, domains: Box) -> str | None:
    """Why a real expression is >= 0 everywhere on its box; None if that was not proved. O(1) enclosures."""
    box = box_of(list(expression.free_symbols), domains)
    bounds = enclosure(expression, box)
    if bounds.nonnegative or (not box and sign_of(expression) in (0, 1)):
        return f"it lies in {bounds}"
    # sympy knows the assumptions of the symbols and nothing of the box, which may not be wider.
    narrow = all(domain_of(s).hull(i) == domain_of(s) for s, i in box.items())
    for form in _forms(expression):
        if enclosure(form, box).nonnegative or (narrow and form.is_nonnegative):
            return "no value is negative (proved by rewriting)"
    return None


def _forms(expression: Expr) -> Iterator[Expr]:
    """The expression written in several ways; enclosures differ."""
    yield expression
    plain = elementary(expression)
    for rewrite in (sympy.together, sympy.factor, sympy.simplify, sympy.horner):
        try:
            yield rewrite(plain)
        except (NotImplementedError, ValueError, TypeError, AttributeError, sympy.PolynomialError):
            continue  # sympy cannot rewrite every expression; the other forms remain


def smooth(expression: Expr) -> bool:
    """Whether derivatives say everything of it: no function in it has corners or jumps."""
    return all(isinstance(f, SMOOTH) for f in expression.atoms(sympy.core.function.Application))
