"""Another arithmetic for ``models.block``: what an implementation in float32 may compute, in any order of its sums.

Values are intervals of float64 around what float32 computes from values in other intervals, under the assumption E of
docs/certificates.md. Two things keep them narrow. What is linear stays so until something else is made of it: a
:class:`Form` is a sum of matrices times intervals, and matrices that follow each other are multiplied first. And an
entry of the recurrent state is drawn towards a target: e^-t h + D b x is e^-t h + (1 - e^-t) v with v = psi b x and
psi = D / (1 - e^-t), so that h stays between what it was and v, however slow the gate is and however little is known
of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from .arithmetic import Interval, Intervals, Numbers

FUNCTION = 2.0**-20
"""Relative error of exp, silu and softplus at 0; it grows with the argument: (1 + |x|) times this."""
SUM = 2.0**-23
"""Relative error of a sum or a product, for each term."""
STEP, STEP_AT_ONE, STEP_OF_CHUNK = 2.0**-20, 2.0**-16, 2.0**-12
"""Relative error of a term of the recurrence for each step, for each unit of t = Delta |A|, and in Mamba-2 for each
unit of the greatest t of all steps."""
TINY = 2.0**-60
"""Absolute error of anything, which underflow makes."""


@dataclass(frozen=True)
class Part:
    """A matrix times an interval, of a :class:`Form`.

    Attributes:
        matrix: shape (outputs, inputs).
        size: of the matrices that it is the product of, the product of their absolute values.
        factor: a positive number for each row; None for 1.
        inner: shape (..., inputs).
    """

    matrix: Numbers
    size: Numbers
    factor: Interval | None
    inner: Interval


@dataclass(frozen=True)
class Form:
    """A sum of parts, times a positive number for each row; an interval, as soon as it is asked for one.

    Attributes:
        parts: that are added.
        scale: None for 1.
        error: relative to the sum of the sizes of all terms, what rounding makes.
    """

    parts: tuple[Part, ...]
    scale: Interval | None
    error: float

    @classmethod
    def of(cls, values: Interval) -> Form:
        """An interval as a form."""
        one = np.eye(values.shape[-1])
        return cls((Part(one, one, None, values),), None, 0.0)

    @cached_property
    def interval(self) -> Interval:
        """What it may be."""
        total: Interval | None = None
        slack: Any = 0.0
        for part in self.parts:
            middle, spread = (part.inner.low + part.inner.high) / 2, (part.inner.high - part.inner.low) / 2
            most = np.maximum(np.abs(part.inner.low), np.abs(part.inner.high)) @ part.size.T
            about, around = middle @ part.matrix.T, spread @ np.abs(part.matrix).T + most * 2.0**-40
            value = Interval(about - around, about + around)
            if part.factor is not None:
                value, most = value * part.factor, most * part.factor.high
            total, slack = (value if total is None else total + value), slack + most
        assert total is not None
        found = widened(total, slack * self.error * 2)  # with room for a product before, and for our own rounding
        return found if self.scale is None else found * self.scale

    def reach(self) -> Numbers:
        """How long the vector is at least, shape (..., 1): in the direction of the middle of where it may be."""
        value = self.interval
        middle = (value.low + value.high) / 2
        way = middle / np.maximum(np.sqrt((middle * middle).sum(-1, keepdims=True)), TINY)
        found: Any = 0.0
        for part in self.parts:
            weight = way @ part.matrix
            centre, spread = (part.inner.low + part.inner.high) / 2, (part.inner.high - part.inner.low) / 2
            slack = self.error * 2 + 2.0**-40
            least = (weight * centre - np.abs(weight) * spread).sum(-1, keepdims=True)
            slack = slack * ((np.abs(way) @ part.size) * most(part.inner)).sum(-1, keepdims=True)
            if part.factor is not None:
                least = np.minimum(least * part.factor.low, least * part.factor.high)
                slack = slack * part.factor.high
            found = found + least - slack
        return np.asarray(np.maximum(found, 0.0) * (1.0 if self.scale is None else self.scale.low))

    low = property(lambda self: self.interval.low)
    high = property(lambda self: self.interval.high)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the interval."""
        rows = np.broadcast_shapes(*(part.inner.shape[:-1] for part in self.parts))
        return (*rows, len(self.parts[0].matrix))

    def scaled(self, scale: Interval) -> Form:
        """Times a positive number for each row."""
        return replace(self, scale=scale if self.scale is None else self.scale * scale)

    def through(self, weight: Numbers, error: float) -> Form:
        """A matrix times the form."""
        size = np.abs(weight)
        parts = (replace(p, matrix=weight @ p.matrix, size=size @ p.size) for p in self.parts)
        return Form(tuple(parts), self.scale, self.error + error)

    @property
    def spread(self) -> Form:
        """The same with the scale in the parts."""
        if self.scale is None:
            return self
        scale = self.scale
        parts = (replace(p, factor=scale if p.factor is None else p.factor * scale) for p in self.parts)
        return Form(tuple(parts), None, self.error)

    def __getitem__(self, place: Any) -> Any:
        """Some of the outputs remain a form."""
        if isinstance(place, tuple) and len(place) == 2 and place[0] is Ellipsis and isinstance(place[1], slice):
            rows = place[1]
            parts = (replace(p, matrix=p.matrix[rows], size=p.size[rows]) for p in self.parts)
            return replace(self, parts=tuple(parts))
        return self.interval[place]

    def reshape(self, *shape: Any) -> Interval:
        """The interval in another shape."""
        return self.interval.reshape(*shape)

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, Interval) and other.low.ndim == 1 and other.low is other.high:  # weights of a norm
            rows, size = other.low[:, None], np.abs(other.low)[:, None]
            parts = (replace(p, matrix=rows * p.matrix, size=size * p.size) for p in self.parts)
            return replace(self, parts=tuple(parts), error=self.error + SUM)
        return self.interval * plain(other)

    __rmul__ = __mul__

    def __add__(self, other: Any) -> Any:
        if isinstance(other, Form):
            mine, theirs = self.spread, other.spread
            return Form((*mine.parts, *theirs.parts), None, max(mine.error, theirs.error) + SUM)
        return self.interval + plain(other)

    __radd__ = __add__


def plain(value: Any) -> Interval:
    """The interval of anything."""
    return value.interval if isinstance(value, Form) else value if isinstance(value, Interval) else Interval.of(value)


def widened(value: Interval, by: Any) -> Interval:
    """By so much, and by underflow."""
    return Interval(value.low - by - TINY, value.high + by + TINY)


def most(value: Interval) -> Numbers:
    """The greatest absolute value."""
    return np.asarray(np.maximum(np.abs(value.low), np.abs(value.high)))


class Drive(NamedTuple):
    """How one step draws a state: to a h + (1 - a) v.

    Attributes:
        gate: a, between 0 and 1.
        target: v.
        lost: what rounding may add to the gate, in this step, or take from it.
    """

    gate: Interval
    target: Interval
    lost: Numbers

    def drawn(self, state: Interval) -> Interval:
        """Where a state is drawn to: between what it was and the target."""
        low, high = (
            pick(self.gate.low * end + (1 - self.gate.low) * aim, self.gate.high * end + (1 - self.gate.high) * aim)
            for pick, end, aim in (
                (np.minimum, state.low, self.target.low),
                (np.maximum, state.high, self.target.high),
            )
        )
        return widened(Interval(low, high), 2.0**-48 * np.maximum(most(state), most(self.target)))


class Enclosures(Intervals):
    """Enclosures of what float32 computes."""

    def linear(self, weight: Any, x: Any, bias: Any | None = None) -> Any:
        """X W^T + b, not yet added up."""
        matrix = plain(weight).low
        form = (x if isinstance(x, Form) else Form.of(x)).through(matrix, 2 * FUNCTION + SUM * (matrix.shape[1] + 3))
        if bias is None:
            return form
        ones, column = Interval.of(np.ones((*form.shape[:-1], 1))), plain(bias).low[:, None]
        return form + Form((Part(column, np.abs(column), None, ones),), None, 0.0)

    def rms(self, v: Any, epsilon: float) -> Any:
        """V / sqrt(mean(v^2) + epsilon): the form times a number."""
        value, width = plain(v), v.shape[-1]
        form = v if isinstance(v, Form) else Form.of(value)
        top = most(value)
        least = np.where((value.low <= 0) & (value.high >= 0), 0.0, np.minimum(np.abs(value.low), np.abs(value.high)))
        squares = np.maximum((least * least).sum(-1, keepdims=True), form.reach() ** 2)
        error = 2 * FUNCTION + SUM * (width + 4)
        low, high = (
            1 / np.sqrt(total / width + epsilon) * (1 + sign * error)
            for total, sign in (((top * top).sum(-1, keepdims=True), -1), (squares, 1))
        )
        return replace(form.scaled(Interval(low, high)), error=form.error + FUNCTION)

    def silu(self, v: Any) -> Interval:
        """V / (1 + e^-v)."""
        return self._rounded(super().silu(plain(v)), plain(v))

    def softplus(self, v: Any) -> Interval:
        """log(1 + e^v)."""
        found = self._rounded(super().softplus(plain(v)), plain(v))
        return Interval(np.maximum(found.low, 0.0), found.high)

    def exp(self, v: Any) -> Interval:
        """e^v."""
        found = self._rounded(super().exp(plain(v)), plain(v))
        return Interval(np.maximum(found.low, 0.0), found.high)

    def tanh(self, v: Any) -> Interval:
        """Of signed models, which nothing is known of here."""
        raise NotImplementedError

    def _rounded(self, value: Interval, at: Interval) -> Interval:
        return widened(value, most(value) * (1 + most(at)) * FUNCTION)

    def dot(self, a: Any, b: Any) -> Interval:
        """The sum of the products."""
        x, y = plain(a), plain(b)
        products = x * y
        slack = most(products).sum(-1) * (SUM * (products.shape[-1] + 4) + FUNCTION)
        return widened(Interval(products.low.sum(-1), products.high.sum(-1)), slack)

    def join(self, *parts: Any) -> Interval:
        """One after the other in time."""
        return super().join(*map(plain, parts))

    def drive(self, delta: Any, rate: Any, written: Callable[[Any], Any]) -> Drive:
        """What draws each state, at each time."""
        step, speed = plain(delta), plain(rate)
        low, high = step.low * speed.low, step.high * speed.high
        gate = Interval(np.exp(-high) * (1 - 2.0**-48), np.minimum(np.exp(-low) * (1 + 2.0**-48), 1.0))
        ends = [  # t / (1 - e^-t), which grows with t from 1, over the rate
            np.where(t > 2.0**-60, t / -np.expm1(-np.maximum(t, 2.0**-60)), 1.0) / by
            for t, by in ((step.low * speed.high, speed.high), (step.high * speed.low, speed.low))
        ]
        pull = Interval(ends[0] * (1 - 2.0**-45), ends[1] * (1 + 2.0**-45))
        target = plain(written(pull))
        turn = np.where((low <= 1) & (high >= 1), np.exp(-1.0), np.maximum(low * np.exp(-low), high * np.exp(-high)))
        return Drive(gate, widened(target, most(target) * (4 * SUM)), STEP * gate.high + STEP_AT_ONE * turn)

    def remembered(self, delta: Any, rate: Any, written: Any, sign: Any, state: Any, seen: Any) -> Any:
        """All h, each with what rounding may have done to it."""
        assert sign is None
        drive, states = self.drive(delta, rate, written), []
        size, error = np.zeros(()), np.zeros(())
        state = plain(state)
        for t in range(drive.gate.shape[0]):
            now = Drive(drive.gate[t], drive.target[t], drive.lost[t])
            state = now.drawn(state)
            error = now.gate.high * error + now.lost * size + TINY
            ends = (a * size + (1 - a) * most(now.target) for a in (now.gate.low, now.gate.high))
            size = np.maximum(*ends) + now.lost * size + TINY
            states.append(widened(state, error + FUNCTION * size))
        return self.stack(states)
