"""Arithmetics for the blocks of ``models.block``: torch's floats, and intervals of float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Numbers = NDArray[np.float64]


class _StepByStep:
    """The recurrence as a loop over time."""

    exp: Callable[[Any], Any]
    steps: Callable[[Any], Sequence[Any]]
    stack: Callable[[Sequence[Any]], Any]

    def remembered(self, delta: Any, rate: Any, written: Any, sign: Any, state: Any, seen: Any) -> Any:
        """All h <- sign e^(-delta rate) h + written(delta); see ``models.block.Arithmetic``."""
        gates, writes, states = self.exp(-1 * (delta * rate)), written(delta), []
        if sign is not None:
            gates = sign * gates
        for gate, write in zip(self.steps(gates), self.steps(writes), strict=True):
            state = seen("state", gate * state + write)
            states.append(state)
        return self.stack(states)


class Floats(_StepByStep):
    """torch's own functions, in whatever dtype the tensors have."""

    def linear(self, weight: Tensor, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """X W^T + b."""
        return functional.linear(x, weight, bias)

    def rms(self, v: Tensor, epsilon: float) -> Tensor:
        """V / sqrt(mean(v^2) + epsilon)."""
        return v * torch.rsqrt(v.pow(2).mean(-1, keepdim=True) + epsilon)

    def silu(self, v: Tensor) -> Tensor:
        """V / (1 + e^-v)."""
        return functional.silu(v)

    def softplus(self, v: Tensor) -> Tensor:
        """log(1 + e^v)."""
        return functional.softplus(v)

    def exp(self, v: Tensor) -> Tensor:
        """e^v."""
        return torch.exp(v)

    def tanh(self, v: Tensor) -> Tensor:
        """The hyperbolic tangent."""
        return torch.tanh(v)

    def sigmoid(self, v: Tensor) -> Tensor:
        """1 / (1 + e^-v)."""
        return torch.sigmoid(v)

    def unit(self, v: Tensor, epsilon: float) -> Tensor:
        """V / sqrt(sum(v^2) + epsilon)."""
        return v * torch.rsqrt((v * v).sum(-1, keepdim=True) + epsilon)

    def dot(self, a: Tensor, b: Tensor) -> Tensor:
        """The sum of the products."""
        return torch.matmul(a, b.transpose(-1, -2))[..., 0]

    def join(self, *parts: Tensor) -> Tensor:
        """One after the other in time."""
        return torch.cat(parts)

    def steps(self, v: Tensor) -> Sequence[Tensor]:
        """What an array is at each time."""
        return v.unbind(0)

    def stack(self, steps: Sequence[Tensor]) -> Tensor:
        """The array that is this at each time."""
        return torch.stack(list(steps))


@dataclass(frozen=True)
class Interval:
    """Real numbers that are known to lie between two arrays of float64, of the same shape. Operations enclose."""

    low: Numbers
    high: Numbers

    @classmethod
    def of(cls, values: Any) -> Interval:
        """Single numbers."""
        exact = np.asarray(values, dtype=np.float64)
        return cls(exact, exact)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the arrays."""
        return self.low.shape

    def __getitem__(self, place: Any) -> Interval:
        return Interval(self.low[place], self.high[place])

    def reshape(self, *shape: Any) -> Interval:
        """The same numbers in another shape."""
        return Interval(self.low.reshape(*shape), self.high.reshape(*shape))

    def __add__(self, other: Interval) -> Interval:
        low, high = self.low + other.low, self.high + other.high
        return _outward(low, high, exact=(low == 0) & (high == 0))  # a sum of floats is 0 only if it is

    def __mul__(self, other: Interval | float) -> Interval:
        factor = other if isinstance(other, Interval) else Interval.of(other)
        ends = [p * q for p in (self.low, self.high) for q in (factor.low, factor.high)]
        nothing = ((self.low == 0) & (self.high == 0)) | ((factor.low == 0) & (factor.high == 0))
        low, high = np.minimum.reduce(ends), np.maximum.reduce(ends)
        return _outward(np.where(nothing, 0.0, low), np.where(nothing, 0.0, high), exact=nothing)

    __rmul__ = __mul__


def _outward(low: Numbers, high: Numbers, steps: int = 1, exact: Any = False) -> Interval:
    """Ends moved outwards by so many floats, which covers rounding and underflow, but where they are exact.

    A NaN (infinity minus infinity) becomes all numbers.
    """
    first, last = np.where(np.isnan(low), -math.inf, low), np.where(np.isnan(high), math.inf, high)
    for _ in range(steps):
        first, last = np.nextafter(first, -math.inf), np.nextafter(last, math.inf)
    return Interval(np.where(exact, low, first), np.where(exact, high, last))


FUNCTION_ERROR = 4
"""Floats by which numpy's exp, log1p and tanh may be off, generously; libm promises one."""


class Intervals(_StepByStep):
    """Enclosures of what the formulas give in real numbers."""

    def linear(self, weight: Interval, x: Interval, bias: Interval | None = None) -> Interval:
        """X W^T + b."""
        products = x[..., None, :] * weight
        total = self._sum(products)
        return total if bias is None else total + bias

    def rms(self, v: Interval, epsilon: float) -> Interval:
        """V / sqrt(mean(v^2) + epsilon)."""
        mean = self._squares(v) * Interval.of(1 / v.shape[-1]) + Interval.of(epsilon)
        mean = _outward(mean.low, mean.high)  # 1 / d_model may have been rounded
        return v * self._root(mean)[..., None]

    def silu(self, v: Interval) -> Interval:
        """Increasing from its least value, -0.2784645427610738 at -1.2784645427610738, on, and decreasing before it."""
        low, high = (end * _logistic(end) for end in (v.low, v.high))
        turn = (v.low <= -1.27) & (v.high >= -1.28)
        low, high = np.minimum(low, high), np.maximum(low, high)
        return _outward(np.where(turn, -0.27846454276107385, low), high, FUNCTION_ERROR)

    def softplus(self, v: Interval) -> Interval:
        """log(1 + e^v)."""
        return self._increasing(v, lambda end: np.logaddexp(0.0, end))

    def exp(self, v: Interval) -> Interval:
        """e^v."""
        found = self._increasing(v, np.exp)
        return Interval(np.maximum(found.low, 0.0), found.high)

    def tanh(self, v: Interval) -> Interval:
        """The hyperbolic tangent."""
        return self._increasing(v, np.tanh)

    def sigmoid(self, v: Interval) -> Interval:
        """1 / (1 + e^-v)."""
        found = self._increasing(v, _logistic)
        return Interval(np.maximum(found.low, 0.0), np.minimum(found.high, 1.0))

    def unit(self, v: Interval, epsilon: float) -> Interval:
        """V / sqrt(sum(v^2) + epsilon)."""
        return v * self._root(self._squares(v) + Interval.of(epsilon))[..., None]

    def dot(self, a: Interval, b: Interval) -> Interval:
        """The sum of the products."""
        return self._sum(a * b)

    def join(self, *parts: Interval) -> Interval:
        """One after the other in time."""
        return Interval(np.concatenate([p.low for p in parts]), np.concatenate([p.high for p in parts]))

    def steps(self, v: Interval) -> Sequence[Interval]:
        """What an array is at each time."""
        return [v[t] for t in range(v.shape[0])]

    def stack(self, steps: Sequence[Interval]) -> Interval:
        """The array that is this at each time."""
        return Interval(np.stack([s.low for s in steps]), np.stack([s.high for s in steps]))

    def _squares(self, v: Interval) -> Interval:
        """The sum of the squares."""
        size = np.maximum(np.abs(v.low), np.abs(v.high))
        least = np.where((v.low <= 0) & (v.high >= 0), 0.0, np.minimum(np.abs(v.low), np.abs(v.high)))
        return self._sum(_outward(least * least, size * size))

    def _root(self, v: Interval) -> Interval:
        """1 / sqrt(v), of what is positive."""
        low = np.maximum(v.low, np.finfo(np.float64).tiny)
        return _outward(1 / np.sqrt(v.high), 1 / np.sqrt(low), FUNCTION_ERROR)

    def _increasing(self, v: Interval, function: Callable[[Numbers], Numbers]) -> Interval:
        with np.errstate(over="ignore", under="ignore"):
            return _outward(function(v.low), function(v.high), FUNCTION_ERROR)

    def _sum(self, v: Interval) -> Interval:
        """Over the last axis, one term after another."""
        total = v[..., 0]
        for k in range(1, v.shape[-1]):
            total = total + v[..., k]
        return total


def _logistic(v: Numbers) -> Numbers:
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-v)))
