"""Enclosures and signs of constants. Ground truth: mpmath in 60 digits."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import mpmath
import pytest
import sympy
from expressions import RATIONALS, formulas, precisely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scancraft.models.abstract.enclosures import Interval, enclosure, sign_of
from scancraft.models.abstract.ssm import (
    sigmoid,
    softplus,
)

d, s, u, x, y = sympy.symbols("d s u x y", real=True)
p = sympy.Symbol("p", positive=True)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[Interval, Fraction]:
    """An interval and a rational in it."""
    inside = draw(RATIONALS)
    low = draw(st.one_of(st.just(-math.inf), st.fractions(-4, inside, max_denominator=8)))
    high = draw(st.one_of(st.just(math.inf), st.fractions(inside, 4, max_denominator=8)))
    return Interval(low, high), inside


@given(formulas([x, y], smooth=True), boxes(), boxes())
@settings(max_examples=100, deadline=None)
def test_enclosures_hold_every_value(expression: Any, one: Any, two: Any) -> None:
    assume(not expression.has(sympy.zoo, sympy.nan, sympy.oo, sympy.I))
    at = {x: one[1], y: two[1]}
    try:
        value = precisely(expression, at)
    except ZeroDivisionError:
        assume(False)
    assume(abs(value) < 1e40)
    bounds = enclosure(expression, {x: one[0], y: two[0]})
    with mpmath.workdps(60):
        slack = mpmath.mpf(10) ** -40 * (1 + abs(value))
        low, high = (v if math.isinf(v) else mpmath.mpf(v.numerator) / v.denominator for v in (bounds.low, bounds.high))
        assert low - slack <= value <= high + slack
    point = expression.xreplace({s: sympy.Rational(v.numerator, v.denominator) for s, v in at.items()})
    if abs(value) > 1e-30:
        assert sign_of(point) in (None, (1 if value > 0 else -1))


@pytest.mark.parametrize(
    ("expression", "low", "high"),
    [
        (sigmoid(x), 0, 1),
        (sympy.tanh(x), -1, 1),
        (sympy.exp(-softplus(x) * sympy.exp(y)), 0, 1),
        (sigmoid(x) ** (8 * sigmoid(y)), 0, 1),
        (x**2, 0, math.inf),
        (1 / (1 + p), 0, 1),
        (sympy.exp(-p), 0, 1),
        (sympy.cos(x), -1, 1),
        (sympy.Max(x, 2), 2, math.inf),
        (sympy.Mod(x, 3), 0, 3),
        (1 / x, -math.inf, math.inf),
        (x**-2, -math.inf, math.inf),  # not defined at 0
        (sympy.log(x), -math.inf, math.inf),
        (sympy.exp(sympy.exp(sympy.exp(x**2 + 9))), 0, math.inf),
    ],
)
def test_enclosures_over_all_reals(expression: Any, low: float, high: float) -> None:
    bounds = enclosure(expression, {})
    assert bounds.nonnegative == (low >= 0)
    assert (bounds.low, bounds.high) == (low, high) or (low == 0 < bounds.low)


@pytest.mark.parametrize(
    ("number", "sign"),
    [
        (sympy.pi - sympy.Rational(355, 113), -1),
        (sympy.exp(sympy.pi) - sympy.pi - 20, -1),
        (sympy.sqrt(2) + sympy.sqrt(3) - sympy.sqrt(5 + 2 * sympy.sqrt(6)), 0),
        (sympy.exp(-(10**6)), 1),
        (-sympy.exp(-sympy.exp(15)), -1),
        (2 * sigmoid(sympy.Integer(-1)) - 1, -1),
        (sympy.log(2) - softplus(sympy.Integer(0)), 0),
        (sympy.log(-2), None),
    ],
)
def test_signs_of_constants(number: Any, sign: int | None) -> None:
    assert sign_of(number) == sign
