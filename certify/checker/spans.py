"""Intervals around what any implementation in float32, or in a wider format, computes: assumption E of the docs.

Every interval holds what an implementation computes from any values in the intervals that it computes from. Our own
float64 rounds as well; that is a share of 2^-39 in the intervals, which is far below what float32 does.

E, of docs/certificates.md: products and sums of n terms are off by at most ``SUM`` times n + 2 of the absolute terms,
exp, silu and softplus by ``FUNCTION`` times 1 + |x| of the result, a norm multiplies all of a vector by one number that
is off by both, and underflow makes an error of at most ``TINY``. That underflow does no more, and that nothing
overflows, is looked at: numbers have limits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .parts import Floats, need

SUM = 2.0**-23
FUNCTION = 2.0**-20
STEP, STEP_AT_ONE, STEP_OF_CHUNK = 2.0**-20, 2.0**-16, 2.0**-12
"""The error of a term of the recurrence in each step: this, this for each unit of t = Delta |A|, and in Mamba-2, where
implementations take differences of sums over a chunk, this for each unit of the greatest t of all steps."""
TINY = 2.0**-60
MOST, MOST_OF_WEIGHTS, MOST_IN_ALL, MOST_OF_TERMS = 2.0**12, 2.0**24, 2.0**50, 2.0**100
"""Absolute values: of x, B, C and Delta, of which five may be multiplied in any order; of weights, and of a state; of
what is squared, or multiplied by one of its like; and of all terms of a sum together."""
LEAST_EPSILON = 2.0**-100
OWN = 2.0**-39
"""What our float64 may be off by, relative to the terms: three sums of up to 2^12 terms in a row, exp up to 700."""
FIRST_ORDER = 2.0**-7
"""Relative errors that add up to less than this make at most 1 + 2^-6 times their sum."""
LEAST_SILU = -0.2784645427610739
"""A little below silu's least value, which it has at -1.278..."""


class Span(NamedTuple):
    """Numbers between ``lo`` and ``hi``, arrays of one shape."""

    lo: Floats
    hi: Floats

    @property
    def most(self) -> Floats:
        """The greatest absolute value."""
        return np.asarray(np.maximum(np.abs(self.lo), np.abs(self.hi)))

    def wider(self, by: Any) -> Span:
        """By so much on both sides, and by what underflow makes."""
        return Span(self.lo - by - TINY, self.hi + by + TINY)

    def map(self, change: Callable[[Floats], Floats]) -> Span:
        """The same rearrangement of both arrays."""
        return Span(change(self.lo), change(self.hi))

    def columns(self, first: int, end: int | None) -> Span:
        """Some columns of the last axis."""
        return Span(self.lo[..., first:end], self.hi[..., first:end])


def within(numbers: Floats, most: float, what: str) -> None:
    """Reject what is not surely at most so large in absolute value: it could overflow, or make an underflow large."""
    need((np.abs(numbers) <= most).all(), f"{what} may be past {most:g}")


def known(values: Any) -> Span:
    """Numbers that are known."""
    return Span(values, values)


def product(a: Span, b: Span) -> Span:
    """Of numbers that may be any in their intervals."""
    corners = [p * q for p in a for q in b]
    lo, hi = np.minimum.reduce(corners), np.maximum.reduce(corners)
    return Span(lo, hi).wider((SUM + OWN) * np.maximum(np.abs(lo), np.abs(hi)))


def plus(a: Span, b: Span) -> Span:
    """A sum of two."""
    return Span(a.lo + b.lo, a.hi + b.hi).wider((SUM + OWN) * (a.most + b.most))


def _of_ends(function: Callable[[Floats], Floats], at: Span) -> Span:
    with np.errstate(over="ignore", under="ignore"):
        ends = function(at.lo), function(at.hi)
    found = Span(np.minimum(*ends), np.maximum(*ends))
    return found.wider((FUNCTION * (1 + at.most) + OWN) * found.most)


def softplus(at: Span) -> Span:
    """log(1 + e^x), which is not negative."""
    found = _of_ends(lambda x: np.logaddexp(0.0, x), at)
    return Span(np.maximum(found.lo, 0.0), found.hi)


def silu(at: Span) -> Span:
    """x / (1 + e^-x): it falls down to its least value, then it rises."""
    found = _of_ends(lambda x: x / (1 + np.exp(-x)), at)
    turns = (at.lo <= -1.27) & (at.hi >= -1.28)
    least = LEAST_SILU - FUNCTION * (1 + at.most)
    return Span(np.where(turns, np.minimum(found.lo, least), found.lo), found.hi)


# -- what is linear ------------------------------------------------------------------------------------------------


class Term(NamedTuple):
    """A matrix times numbers that are known as intervals.

    Attributes:
        matrix: shape (outputs, inputs): a product of matrices of the model.
        size: the product of their absolute values.
        scale: shape (rows, 1), positive: what the result is multiplied with; None for 1.
        inner: shape (rows, inputs).
    """

    matrix: Floats
    size: Floats
    scale: Span | None
    inner: Span


class Linear(NamedTuple):
    """A sum of terms.

    Attributes:
        terms: that are added.
        error: what rounding has changed, relative to the absolute values in all terms together, to first order.
        floor: what underflow has changed, shape (outputs,).
    """

    terms: list[Term]
    error: float
    floor: Floats

    def through(self, matrix: Floats) -> Linear:
        """A matrix of the model times it."""
        size = np.abs(matrix)
        terms = [t._replace(matrix=matrix @ t.matrix, size=size @ t.size) for t in self.terms]
        return Linear(terms, self.error + SUM * (matrix.shape[1] + 2), size @ self.floor + TINY)

    def scaled(self, scale: Span) -> Linear:
        """Each row times a positive number."""
        terms = [t._replace(scale=scale if t.scale is None else product(t.scale, scale)) for t in self.terms]
        return Linear(terms, self.error + SUM, self.floor * float(scale.hi.max()) + TINY)

    def plus(self, other: Linear) -> Linear:
        """Both."""
        return Linear(self.terms + other.terms, max(self.error, other.error) + SUM, self.floor + other.floor + TINY)

    def value(self, scale: Span | None = None) -> Span:
        """What it may be, times a positive number for each row."""
        lo: Any = 0.0
        hi: Any = 0.0
        size: Any = 0.0
        for term in self.terms:
            middle, reach = (term.inner.lo + term.inner.hi) / 2, (term.inner.hi - term.inner.lo) / 2
            about, around = middle @ term.matrix.T, reach @ np.abs(term.matrix).T
            most = term.inner.most @ term.size.T
            part = Span(about - around - OWN * most, about + around + OWN * most)
            if term.scale is not None:
                part, most = product(part, term.scale), most * term.scale.hi
            lo, hi, size = lo + part.lo, hi + part.hi, size + most
        need(self.error <= FIRST_ORDER, "rounding: so many terms that first order does not suffice")
        within(size, MOST_OF_TERMS, "a sum")
        found = Span(lo, hi).wider((self.error * (1 + 2 * FIRST_ORDER) + OWN) * size + self.floor)
        return found if scale is None else product(found, scale)

    def least_length(self, values: Span) -> Floats:
        """How long the vector is at least, shape (rows, 1).

        A vector is no shorter than its part in any direction of length 1, here that of the middle of its interval: of
        that direction the matrices are known, so that what it sums up is not enclosed entry by entry.
        """
        middle = (values.lo + values.hi) / 2
        way = middle / np.maximum(np.sqrt((middle * middle).sum(axis=-1, keepdims=True)) * (1 + OWN), TINY)
        found: Any = 0.0
        for term in self.terms:
            weight, most = way @ term.matrix, (np.abs(way) @ term.size) * term.inner.most
            centre, reach = (term.inner.lo + term.inner.hi) / 2, (term.inner.hi - term.inner.lo) / 2
            least = (weight * centre - np.abs(weight) * reach).sum(axis=-1, keepdims=True)
            off = (self.error * (1 + 2 * FIRST_ORDER) + 2 * OWN) * most.sum(axis=-1, keepdims=True)
            if term.scale is not None:
                least, off = product(Span(least, least), term.scale).lo, off * term.scale.hi
            found = found + least - off
        return np.asarray(np.maximum(found - (np.abs(way) * self.floor).sum(axis=-1, keepdims=True), 0.0))


def linear(matrix: Floats, inner: Span, bias: Floats | None = None) -> Linear:
    """A matrix of the model times numbers, plus a bias."""
    terms = [Term(matrix, np.abs(matrix), None, inner)]
    if bias is not None:
        ones = np.ones((*inner.lo.shape[:-1], 1))
        terms.append(Term(bias[:, None], np.abs(bias)[:, None], None, known(ones)))
    return Linear(terms, SUM * (matrix.shape[1] + 3), np.full(len(matrix), TINY))


def norm_scale(vector: Linear | Span, epsilon: float) -> Span:
    """What RMSNorm multiplies a vector with, shape (rows, 1)."""
    values = vector.value() if isinstance(vector, Linear) else vector
    within(values.most, MOST_IN_ALL, "a number that is squared")
    need(epsilon >= LEAST_EPSILON, f"epsilon is {epsilon!r}, where a square may underflow")
    width = values.lo.shape[-1]
    inside = (values.lo <= 0) & (values.hi >= 0)
    least = np.where(inside, 0.0, np.minimum(np.abs(values.lo), np.abs(values.hi)))
    fewest = (least * least).sum(axis=-1, keepdims=True)
    if isinstance(vector, Linear):
        fewest = np.maximum(fewest, vector.least_length(values) ** 2)
    error = FUNCTION + SUM * (width + 4) + OWN
    lo, hi = (
        (1 + sign * error) / np.sqrt(squares / width + epsilon)
        for squares, sign in (((values.most**2).sum(axis=-1, keepdims=True), -1), (fewest, 1))
    )
    return Span(lo, hi)


# -- the recurrence -------------------------------------------------------------------------------------------------


class Drawn(NamedTuple):
    """How a step changes an entry h: to a h + (1 - a) v.

    Attributes:
        gate: a, between 0 and 1.
        target: v.
        lost: what rounding may add to a or take from it.
    """

    gate: Span
    target: Span
    lost: Floats

    def image(self, state: Span) -> Span:
        """What becomes of an entry: it lies between what it was and v."""
        lows, highs = (
            [a * end + (1 - a) * aim for a in self.gate]
            for end, aim in ((state.lo, self.target.lo), (state.hi, self.target.hi))
        )
        return Span(np.minimum(*lows), np.maximum(*highs)).wider(2.0**-48 * np.maximum(state.most, self.target.most))

    def keeps(self, size: Floats, error: Floats) -> Any:
        """Whether the size of an entry's terms, and what rounding did to it, stay within these bounds."""
        grown = np.maximum(*[a * size + (1 - a) * self.target.most for a in self.gate]) + self.lost * size
        off = self.gate.hi * error + self.lost * size
        return ((grown + TINY) * (1 + OWN) <= size) & ((off + TINY) * (1 + OWN) <= error)


def drawn(delta: Span, log_rate: Floats, written: Callable[[Span], Span]) -> Drawn:
    """From Delta, A_log and what makes Delta b x of Delta.

    With t = Delta rate, e^-t h + Delta b x = a h + (1 - a) v for a = e^-t and v = (t / (1 - e^-t)) b x / rate; and
    t / (1 - e^-t) rises from 1 with t.
    """
    rate = np.exp(log_rate)
    slow, fast = rate * (1 - OWN), rate * (1 + OWN)
    low, high = delta.lo * slow, delta.hi * fast
    within(high, MOST_OF_TERMS, "Delta A")
    gate = Span(np.exp(-high) * (1 - OWN), np.minimum(np.exp(-low) * (1 + OWN), 1.0))
    # The same Delta over the least rate, and the other way round.
    pull = Span(_pull(delta.lo * fast) / fast * (1 - OWN), _pull(delta.hi * slow) / slow * (1 + OWN))
    most = np.where((low <= 1) & (high >= 1), np.exp(-1.0), np.maximum(low * np.exp(-low), high * np.exp(-high)))
    return Drawn(gate, written(pull), (STEP * gate.hi + STEP_AT_ONE * most) * (1 + OWN))


def _pull(t: Floats) -> Floats:
    least = 2.0**-60
    return np.where(t > least, t / -np.expm1(-np.maximum(t, least)), 1.0)
