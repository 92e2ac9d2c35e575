"""Proving that an expression is never negative, or finding where it is.

A claim is proved by enclosures (:mod:`.enclosures`) of the expression in several forms, by sympy's sign
rules, or by cutting the box into smaller ones. A violation is only reported at a point with exact coordinates, where
the sign of the value is proved. What neither settles is undecided.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction

import sympy
from sympy import Expr, Symbol

from .enclosures import domain_of, enclosure, sign_of
from .functions import elementary, sigmoid, softplus
from .intervals import Interval

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

TRIED = 4_000
"""Points tried on the grid of CANDIDATES."""

NOISE = 1e-9
"""Values in doubles that are this small are taken as zero while searching."""

CUTS = 300
"""Boxes looked at before a claim stays undecided."""

POLES = (sympy.nan, sympy.zoo, sympy.oo, -sympy.oo)
"""What an expression is where it has no finite value."""

SMOOTH = (sympy.exp, sympy.log, sympy.tanh, sympy.sin, sympy.cos, sympy.erf, sigmoid, softplus)
"""Functions with a derivative wherever they are defined."""


def box_of(symbols: Sequence[Symbol], domains: Box) -> dict[Symbol, Interval]:
    """The interval of each symbol: the given one, or what its assumptions say."""
    return {s: domains.get(s, domain_of(s)) for s in symbols}


def grid(box: Box) -> Iterator[Point]:
    """Points of a box with simple coordinates, the simplest first; at most TRIED."""
    symbols = list(box)
    axes = [[c for c in CANDIDATES if _inside(c, box[s])] for s in symbols]
    for s, axis in zip(symbols, axes, strict=True):
        if not axis:
            axis.append(_rational(_middle(box[s])))
    given = 0
    for total in range(sum(len(axis) - 1 for axis in axes) + 1):
        for indices in _compositions(total, [len(axis) - 1 for axis in axes]):
            yield {s: axis[i] for s, axis, i in zip(symbols, axes, indices, strict=True)}
            given += 1
            if given == TRIED:
                return


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
    rough = _rough_value(expression, list(box))
    for at in grid(box):
        value = rough(at)
        likely = value == -math.inf or any(value * sign > NOISE for sign in signs)
        if (
            likely
            and sign_of(value_at(expression, at)) in signs
            and not any(value_at(e, at).has(*POLES) for e in defined)
        ):
            return at
    return None


def never_negative(expression: Expr, domains: Box, budget: int = CUTS) -> tuple[bool | None, Point | None]:
    """Whether a real expression is >= 0 everywhere on its box.

    O(budget) enclosures of the expression after at most TRIED evaluations.

    Returns:
        (True, None) if proved; (False, a point where it is negative); (None, None) if neither.
    """
    symbols = sorted(expression.free_symbols, key=str)
    box = box_of(symbols, domains)
    if not symbols:
        sign = sign_of(expression)
        return (None if sign is None else sign >= 0), ({} if sign == -1 else None)
    if _by_rules(expression, box):
        return True, None
    found = find_sign(expression, box, (-1,))
    if found is not None:
        return False, found
    return _by_cutting(expression, box, budget)


def _forms(expression: Expr) -> Iterator[Expr]:
    """The expression written in several ways; enclosures differ."""
    yield expression
    plain = elementary(expression)
    for rewrite in (sympy.together, sympy.factor, sympy.simplify, sympy.horner):
        try:
            yield rewrite(plain)
        except (NotImplementedError, ValueError, TypeError, AttributeError, sympy.PolynomialError):
            continue  # sympy cannot rewrite every expression; the other forms remain


def _by_rules(expression: Expr, box: Box) -> bool:
    for form in _forms(expression):
        if enclosure(form, box).nonnegative:
            return True
        # sympy knows the assumptions of the symbols and nothing of the box, which may not be wider.
        if form.is_nonnegative and all(domain_of(s).hull(i) == domain_of(s) for s, i in box.items()):
            return True
    return False


def _by_cutting(expression: Expr, box: Box, budget: int) -> tuple[bool | None, Point | None]:
    """Cut boxes in two, breadth first, until every one is proved or a point is found in one."""
    forms = list(dict.fromkeys(_forms(expression)))
    slopes = _slopes(expression)
    queue, looked = deque([dict(box)]), 0
    while queue:
        part = queue.popleft()
        looked += 1
        if looked > budget:
            return None, None
        if any(enclosure(form, part).nonnegative for form in forms):
            continue
        lowest = _towards_the_least(part, slopes)
        if lowest != part and any(enclosure(form, lowest).nonnegative for form in forms):
            continue
        middle = {s: _rational(_middle(i)) for s, i in part.items()}
        if sign_of(value_at(expression, middle)) == -1:
            return False, middle
        widest = max(part, key=lambda s: _width(part[s]))
        if part[widest].is_point:
            return None, None
        queue.extend({**part, widest: half} for half in _halves(part[widest]))
    return True, None


def smooth(expression: Expr) -> bool:
    """Whether derivatives say everything of it: no function in it has corners or jumps."""
    return all(isinstance(f, SMOOTH) for f in expression.atoms(sympy.core.function.Application))


def _slopes(expression: Expr) -> dict[Symbol, Expr]:
    """Derivatives by every symbol; none of an expression that is not smooth."""
    if not smooth(expression):
        return {}
    plain = elementary(expression)
    return {s: sympy.diff(plain, s) for s in expression.free_symbols}


def _towards_the_least(part: Mapping[Symbol, Interval], slopes: Mapping[Symbol, Expr]) -> dict[Symbol, Interval]:
    """The side of a box where the least value is: where the expression rises in a symbol, that symbol's lower end."""
    side = dict(part)
    for symbol, slope in slopes.items():
        bounds, interval = enclosure(slope, part), part[symbol]
        if bounds.nonnegative and isinstance(interval.low, Fraction):
            side[symbol] = Interval(interval.low, interval.low)
        elif bounds.high <= 0 and isinstance(interval.high, Fraction):
            side[symbol] = Interval(interval.high, interval.high)
    return side


def _halves(interval: Interval) -> tuple[Interval, Interval]:
    cut = _middle(interval)
    return Interval(interval.low, cut, interval.low_open), Interval(cut, interval.high, False, interval.high_open)


def _middle(interval: Interval) -> Fraction:
    low, high = interval.low, interval.high
    if isinstance(low, Fraction) and isinstance(high, Fraction):
        return (low + high) / 2
    if isinstance(low, Fraction):
        return max(2 * low, low + 1)
    return min(2 * high, high - 1) if isinstance(high, Fraction) else Fraction(0)


def _width(interval: Interval) -> float:
    if math.isinf(interval.low) or math.isinf(interval.high):
        # Unbounded ones are cut at 0, 1, 2, 4, ...; they wait their turn behind wide bounded ones.
        inner = 0.0 if math.isinf(interval.low) and math.isinf(interval.high) else float(abs(_middle(interval)))
        return 64.0 / (1.0 + inner)
    return float(interval.high - interval.low)


def _inside(value: Expr, interval: Interval) -> bool:
    if value.is_Rational:
        return Fraction(int(value.p), int(value.q)) in interval
    return float(interval.low) < float(value) < float(interval.high)


def _rational(value: Fraction) -> Expr:
    return sympy.Rational(value.numerator, value.denominator)


def _compositions(total: int, limits: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """All tuples of integers from 0 to each limit with this sum."""
    if not limits:
        if total == 0:
            yield ()
        return
    for first in range(min(total, limits[0]) + 1):
        for rest in _compositions(total - first, limits[1:]):
            yield (first, *rest)


def _rough_value(expression: Expr, symbols: Sequence[Symbol]) -> Callable[[Point], float]:
    """The value in doubles, to leave out most points cheaply; -inf (look closely) where that fails."""
    function = sympy.lambdify(symbols, elementary(expression), "math")

    def rough(at: Point) -> float:
        try:
            return float(function(*(float(at[s]) for s in symbols)))
        except (ArithmeticError, ValueError, TypeError, NameError):
            return -math.inf

    return rough
