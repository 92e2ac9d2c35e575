"""The obligations one by one: numbers that are known or ranges, sums in any order, functions, norms, gates."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scancraft.certify.checker.arithmetic import FORMATS, NOTHING, Obligations, Range, exactly, times
from scancraft.certify.checker.parts import ObligationError

BIG, SMALLEST = torch.finfo(torch.float32).max, 2.0**-126
# Any float64, and floats with few bits, which is where formats differ.
NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.builds(lambda m, e: math.ldexp(m, e), st.integers(-(2**26), 2**26), st.integers(-180, 130)),
)


def failing(check: Callable[[Obligations], Any], dtype: str = "float32") -> str:
    """The obligation that fails first, "" if none does."""
    try:
        check(Obligations(dtype))
    except ObligationError as error:
        return error.name
    return ""


def ranges(numbers: list[float]) -> Range:
    """Ranges that hold just these numbers, but are not known to."""
    known = exactly(np.array([numbers]))
    return Range(known.lo, known.hi.copy(), known.unit)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(NUMBERS)
def test_units_are_the_greatest_powers_of_two_that_divide(x: float) -> None:
    unit = int(exactly(np.array([x])).unit[0])
    if x == 0:
        assert unit == NOTHING
        return
    quotient = Fraction(x) / Fraction(2) ** unit
    assert quotient.denominator == 1
    assert quotient.numerator % 2 == 1


@settings(max_examples=300, derandomize=True, deadline=None)
@given(NUMBERS, st.sampled_from(sorted(FORMATS)))
def test_fits_is_what_rounding_says(x: float, name: str) -> None:
    dtype = getattr(torch, name)
    there = torch.tensor(x, dtype=torch.float64).to(dtype)
    exact = bool(torch.isfinite(there)) and Fraction(float(there)) == Fraction(x)
    normal = x == 0 or abs(x) >= torch.finfo(dtype).smallest_normal
    assert (failing(lambda o: o.fits(exactly(np.array([x])), ""), name) == "") == (exact and normal)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(*[st.integers(-40, 40)] * 4, st.integers(-3, 3), st.integers(-3, 3), st.randoms(use_true_random=False))
def test_products_of_ranges_hold_all_products(a: int, b: int, c: int, d: int, i: int, j: int, random: Any) -> None:
    left, right = (
        Range(np.array([min(p) * 2.0**k]), np.array([max(p) * 2.0**k]), np.array([k]))
        for p, k in (((a, b), i), ((c, d), j))
    )
    product = times(left, right)
    for _ in range(5):
        x, y = random.randint(min(a, b), max(a, b)) * 2.0**i, random.randint(min(c, d), max(c, d)) * 2.0**j
        assert product.lo[0] <= x * y <= product.hi[0]
        assert x * y % 2.0 ** product.unit[0] == 0


def sums_hold(terms: list[float], dtype: str = "float32") -> bool:
    """Whether the obligation holds of a sum: as terms, as an inner product, with a bias, and of mere ranges."""

    def added(o: Obligations) -> None:
        total = o.add(exactly(np.array([terms])), np.array([0]), "")
        assert float(total.lo[0, 0]) == math.fsum(terms)
        o.fits(total, "")

    one = np.ones((1, len(terms)))
    answers = {
        failing(check, dtype)
        for check in (
            added,
            lambda o: o.linear(one, exactly(np.array([terms])), ""),
            lambda o: o.linear(one[:, 1:], exactly(np.array([terms[:-1]])), "", bias=np.array(terms[-1:])),
        )
    }
    assert len(answers) == 1
    assert answers <= {"", "sums"}
    if answers == {"sums"}:  # to know less does not help
        assert failing(lambda o: o.linear(one, ranges(terms), ""), dtype) == "sums"
    return answers == {""}


@pytest.mark.parametrize(
    ("terms", "dtype", "holds"),
    [
        ([1.0, -3.0, 2.5], "float32", True),
        ([0.0, 0.0], "float32", True),
        ([2.0**24 - 2, 1.0, 1.0], "float32", True),  # the size is just in reach
        ([2.0**24, 1.0, -1.0], "float32", False),  # 2^24 + 1 is no float32, though the total is
        ([2.0**24, -(2.0**24)], "float32", True),  # partial sums lie between the parts
        ([1.0, 2.0**-25], "float32", False),  # the quantum is too fine
        ([200.0, 56.0], "bfloat16", True),
        ([200.0, 57.0], "bfloat16", False),  # 257 has nine bits
        ([200.0, 57.0], "float32", True),
        ([2.0**126, 2.0**126], "float32", True),
        ([2.0**127, 2.0**127, -(2.0**127)], "float32", False),  # one order overflows
        ([2.0**127, 2.0**127], "float32", False),
        ([BIG, 0.0], "float32", True),
        ([SMALLEST, SMALLEST], "float32", True),
        ([SMALLEST / 2, SMALLEST / 2], "float32", False),  # subnormal terms, a normal total
        ([SMALLEST * 1.5, -SMALLEST], "float32", False),  # normal terms, a subnormal total
    ],
)
def test_sums(terms: list[float], dtype: str, holds: bool) -> None:
    assert sums_hold(terms, dtype) == holds


TERMS = st.lists(
    st.builds(lambda m, e: math.ldexp(m, e), st.integers(-40, 40), st.integers(-14, 14)), min_size=2, max_size=5
)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(TERMS, st.randoms(use_true_random=False))
def test_where_sums_hold_no_order_rounds(terms: list[float], random: Any) -> None:
    ordered = list(terms)
    random.shuffle(ordered)
    if sums_hold(terms):
        total = np.float32(0)
        for term in ordered:
            total = np.float32(total + np.float32(term))
        assert Fraction(float(total)) == sum(map(Fraction, terms))


@pytest.mark.parametrize(
    ("name", "x", "holds"),
    [
        *(("silu", x, True) for x in (-2048.0, -1024.0, 0.0, 64.0, 1e6)),
        *(("silu", x, False) for x in (-1023.0, -104.0, -1.0, 2.0**-30, 1.0, 63.5)),
        *(("softplus", x, True) for x in (-2048.0, -1024.0, 64.0, 1e6)),
        *(("softplus", x, False) for x in (-1023.0, -104.0, 0.0, 1.0, 63.5)),
    ],
)
def test_functions(name: str, x: float, holds: bool) -> None:
    """Where they are exact they are so in every format."""
    assert (failing(lambda o: getattr(o, name)(exactly(np.array([x])), "")) == "") == holds
    if holds:
        ours = float(getattr(Obligations("float32"), name)(exactly(np.array([x])), "").lo[0])
        for dtype in (torch.float32, torch.float64):
            assert float(getattr(torch.nn.functional, name)(torch.tensor(x, dtype=dtype))) == ours


def norm(stream: list[float], epsilon: float, dtype: str = "float32", weight: float = 1.0) -> str:
    module = SimpleNamespace(variance_epsilon=epsilon, weight=torch.full((len(stream),), weight))
    return failing(lambda o: o.norm(module, exactly(np.array([stream])), ""), dtype)


@pytest.mark.parametrize(
    ("stream", "epsilon", "failure"),
    [
        ([2.0**40, 1.0, 0.0, 1.0], 1e-5, ""),
        ([2.0**40, 0, 0, 0], 1e-5, ""),
        ([2.0**40, -(2.0**40), 0, 0, 0, 0, 0, 0], 1e-5, ""),  # two of eight: the mean is a quarter
        ([2.0**40, 2.0**40, 0.0, 0.0], 1e-5, "rmsnorm"),  # half of F^2: a power of two, not of four
        ([3 * 2.0**40, 0.0, 0.0, 0.0], 1e-5, "rmsnorm"),  # nine quarters
        ([2.0**40, 2.0**29, 0.0, 0.0], 1e-5, "rmsnorm"),  # a small square that is not absorbed
        ([2.0**40, 1.0, 0.0, 0.0], 2.0**54, "rmsnorm"),  # an epsilon that is not absorbed
        ([2.0**40, 2.0**29, 0.0, 0.0], -(2.0**56), "rmsnorm"),  # one that makes up for such a square
        ([2.0**40, 1.0, 0.0, 0.0], 0.0, "rmsnorm"),
        ([2.0**40, 1.0, 0.0, 0.0], math.nan, "rmsnorm"),
        ([2.0**40] * 4 + [0.0, 0.0], 1e-5, "rmsnorm"),  # the width is no power of two
        ([2.0**40, 2.0**40, 2.0**40, 0.0], 1e-5, "rmsnorm"),  # three of four
        ([2.0**64, 0.0, 0.0, 0.0], 1e-5, "rmsnorm"),  # the square overflows
        ([0.0, 0.0, 0.0, 0.0], 1e-5, "rmsnorm"),  # only epsilon
    ],
)
def test_norms(stream: list[float], epsilon: float, failure: str) -> None:
    assert norm(stream, epsilon) == failure
    if not failure:
        module = SimpleNamespace(variance_epsilon=epsilon, weight=torch.full((len(stream),), 2.0**39))
        ours = Obligations("float32").norm(module, exactly(np.array([stream])), "").lo
        x = torch.tensor([stream], dtype=torch.float32)
        assert torch.equal(
            x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon) * 2.0**39, torch.tensor(ours).float()
        )


def test_what_the_norm_returns_must_fit() -> None:
    row = [2.0**40, 257.0, 0.0, 0.0]
    assert norm(row, 1e-5) == ""
    assert norm(row, 1e-5, "bfloat16") == "sums"
    assert norm([2.0**40, 3.0, 0.0, 0.0], 1e-5, weight=1 + 2.0**-23) == "sums"
