"""Numbers with obligations: what any implementation, in the stated format or a wider one, computes in the same way.

A number is known as a *range*: bounds, and a power of two of which it is a multiple. A number that is known exactly is
a range whose bounds are equal (and then one array). Sums and products of ranges bound those of all their values, so an
obligation that is verified on ranges holds at every value of a counter at once, never only at points.

All of it is computed in float64, exactly: what the obligations let pass is a multiple of some unit and at most 2^24 of
them, so a product of two has at most 48 bits, and a sum of products at most 2^24 units of its own. A sum that is too
large for its obligation is so in float64, too, however it rounds there: at 2^53 units it is far beyond.

The four obligations (docs/certificates.md):

1. *gates*: every gate is exactly 0, 1 or -1, and one of 1 or -1 comes with a write of 0 (but where an entry counts).
2. *sums*: no order of summation rounds, overflows or meets a subnormal number, and the results fit where they are kept.
3. *functions*: silu, softplus, exp and tanh are evaluated only where every faithful implementation returns the same.
4. *rmsnorm*: the mean of squares is a power of four; all else vanishes in it in any order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from .parts import Bools, Floats, Ints, ObligationError, array

Format = tuple[int, int, int]
FORMATS: dict[str, Format] = {"float32": (24, -126, 127), "bfloat16": (8, -126, 127), "float16": (11, -14, 15)}
"""Significant bits, and the least and greatest exponent of a normal number."""
ACCUMULATOR = FORMATS["float32"]
NAMES = ["gates", "sums", "functions", "rmsnorm"]
LARGEST_SUM = float(1 << 24)
NOTHING = 1 << 20
"""Stands for the unit's exponent of a number that is 0."""
IDENTITY, VANISHES = 64.0, -1024.0
"""From the one on silu and softplus are the identity (and tanh is 1) in every format up to float64; up to the other one
they underflow to 0, and so does exp."""
ROUNDS_TO_ONE = 2.0**-56
"""exp(-t) is 1 for t up to this in every format up to float64, where half a unit in the last place below 1 is 2^-54."""
LARGEST = 2.0**120
"""No number may be larger where it may be rounded: neither it nor a sum of a few overflows."""
ROWS = 2048
"""Rows that are computed together."""

LEAST_EXPONENT = -1100
with np.errstate(over="ignore"):
    POWERS: Floats = np.ldexp(1.0, np.arange(LEAST_EXPONENT, -LEAST_EXPONENT))
"""2^LEAST_EXPONENT, which is 0, and so on, to infinity."""


class Range(NamedTuple):
    """Numbers between ``lo`` and ``hi``, all of them multiples of 2^unit (NOTHING: always 0)."""

    lo: Floats
    hi: Floats
    unit: Ints

    @property
    def known(self) -> bool:
        """Whether every number is known exactly."""
        return self.hi is self.lo

    def map(self, change: Any) -> Range:
        """The same rearrangement of all three arrays."""
        lo = change(self.lo)
        return Range(lo, lo if self.known else change(self.hi), change(self.unit))


def exactly(values: Any) -> Range:
    """Numbers that are known: each with the exponent of its lowest bit."""
    values = array(values)
    fraction, exponent = np.frexp(values)
    whole = np.ldexp(fraction, 53).astype(np.int64)
    _, place = np.frexp((whole & -whole).astype(np.float64))
    return Range(values, values, np.where(whole == 0, NOTHING, exponent.astype(np.int64) + place - 54))


ZERO = exactly(np.zeros(()))


def hull(values: Floats) -> Range:
    """One range for each column, which holds its numbers and 0."""
    return Range(
        np.minimum(values.min(axis=0), 0.0), np.maximum(values.max(axis=0), 0.0), exactly(values).unit.min(axis=0)
    )


def times(a: Range, b: Range) -> Range:
    """Products."""
    unit = np.where((a.unit == NOTHING) | (b.unit == NOTHING), NOTHING, a.unit + b.unit)
    lo = hi = a.lo * b.lo
    if not (a.known and b.known):
        for corner in (a.lo * b.hi, a.hi * b.lo, a.hi * b.hi):
            lo, hi = np.minimum(lo, corner), np.maximum(hi, corner)
    return Range(lo, hi, unit)


def beside(parts: list[Range], axis: int) -> Range:
    """Concatenated."""
    lo = np.concatenate([p.lo for p in parts], axis)
    hi = lo if all(p.known for p in parts) else np.concatenate([p.hi for p in parts], axis)
    return Range(lo, hi, np.concatenate([p.unit for p in parts], axis))


def choose(condition: Bools, chosen: Range, other: Range | None = None) -> Range:
    """``chosen`` where the condition holds, else ``other`` or 0."""
    a, b = chosen, other or ZERO
    lo = np.where(condition, a.lo, b.lo)
    hi = lo if a.known and b.known else np.where(condition, a.hi, b.hi)
    return Range(lo, hi, np.where(condition, a.unit, b.unit))


def _most(numbers: Range) -> Floats:
    return np.abs(numbers.lo) if numbers.known else np.maximum(np.abs(numbers.lo), np.abs(numbers.hi))


def _power(exponents: Ints) -> Floats:
    """Powers of two: 0 and infinity past the range of float64."""
    return POWERS.take(exponents - LEAST_EXPONENT, mode="clip")


class Obligations:
    """Verifies obligations, and counts the instances; the first that fails is an :class:`ObligationError`.

    Args:
        dtype: the format that the model's numbers are stored in.
    """

    def __init__(self, dtype: str) -> None:
        self.stored = FORMATS[dtype]
        self.checked = dict.fromkeys(NAMES, 0)
        self.largest = 0.0

    def need(self, name: str, good: Any, where: str) -> None:
        """One obligation, at every instance."""
        instances = np.asarray(good)
        self.checked[name] += instances.size
        if not instances.all():
            raise ObligationError(name, f"{where}: {int((~instances).sum())} of {instances.size} instances fail")

    def entries(self, failure: ObligationError | None = None) -> list[dict[str, object]]:
        """What a certificate says of them."""
        details = dict.fromkeys(NAMES, "") | {"sums": f"largest sum |t| / (2^24 q) = {self.largest:.3g}"}
        if failure is not None:
            details[failure.name] = failure.where
        held = [failure is None or failure.name != name for name in NAMES]
        return [
            {"name": name, "holds": holds, "checked": self.checked[name], "detail": details[name]}
            for name, holds in zip(NAMES, held, strict=True)
        ]

    # -- sums ------------------------------------------------------------------------------------------------------

    def fits(self, numbers: Range, where: str, stored: Format | None = None) -> None:
        """Every number of each range is 0 or a normal number of a format (the model's unless told otherwise)."""
        bits, low, high = stored or self.stored
        most = _most(numbers)
        least = most if numbers.known else _power(numbers.unit)
        few = most <= _power(numbers.unit + bits)
        self.need("sums", (most == 0) | (few & (least >= 2.0**low) & (most < 2.0 ** (high + 1))), where)

    def add(self, terms: Range, starts: Ints, where: str) -> Range:
        """Sums over runs of columns, none of whose partial sums rounds in float32, in any order.

        Every partial sum lies between the sums of the negative terms and of the positive ones.
        """
        size = np.maximum(
            np.add.reduceat(np.maximum(terms.hi, 0.0), starts, axis=1),
            np.add.reduceat(np.maximum(-terms.lo, 0.0), starts, axis=1),
        )
        unit = np.minimum.reduceat(terms.unit, starts, axis=1)
        share = size / _power(unit + 24)
        self.largest = max(self.largest, float(share.max(initial=0.0)))
        self.need("sums", (share <= 1) & (unit >= -126) & (size <= torch.finfo(torch.float32).max), where)
        lo = np.add.reduceat(terms.lo, starts, axis=1)
        return exactly(lo) if terms.known else Range(lo, np.add.reduceat(terms.hi, starts, axis=1), unit)

    def linear(self, weight: Any, inputs: Range, where: str, bias: Any = None, stored: Format | None = None) -> Range:
        """weight @ inputs + bias, stored. Weights that are 0 meet finite numbers only, so they add 0."""
        weight = array(weight)
        if bias is not None:
            weight = np.concatenate([weight, array(bias)[:, None]], axis=1)
            inputs = beside([inputs, exactly(np.ones((len(inputs.lo), 1)))], 1)
        o, i = np.nonzero(weight)
        used = np.unique(i)
        seen: dict[bytes, int] = {}  # rows that agree where the weights look are computed once
        place: list[int] = []
        first: list[int] = []
        parts = inputs[:1] if inputs.known else inputs
        looked = np.ascontiguousarray(np.concatenate([part[:, used].astype(np.float64) for part in parts], axis=1))
        for number, row in enumerate(looked):
            place.append(seen.setdefault(row.tobytes(), len(first)))
            if place[-1] == len(first):
                first.append(number)
        starts = np.flatnonzero(np.diff(o, prepend=-1))
        shape = (len(first), len(weight))
        lo, unit = np.zeros(shape), np.full(shape, NOTHING)
        hi = lo if inputs.known else np.zeros(shape)
        for at in range(0, len(first) if len(o) else 0, ROWS):
            rows = np.array(first[at : at + ROWS])
            terms = times(inputs.map(lambda a, r=rows: a[r[:, None], i]), exactly(weight[o, i][None]))
            part = self.add(terms, starts, where)
            lo[at : at + ROWS, o[starts]], unit[at : at + ROWS, o[starts]] = part.lo, part.unit
            hi[at : at + ROWS, o[starts]] = part.hi
        total = Range(lo, hi, unit)
        self.fits(total, f"{where}: rounding", stored)
        return total.map(lambda a: a[place])

    # -- functions -------------------------------------------------------------------------------------------------

    def silu(self, x: Range, where: str) -> Range:
        """silu, where it is exact: the identity from 64 on, 0 at 0 and up to -1024; a range keeps to one of these."""
        vanishes = (x.hi <= VANISHES) | ((x.lo == 0) & (x.hi == 0))
        self.need("functions", vanishes | (x.lo >= IDENTITY), f"{where}: silu")
        return choose(x.lo >= IDENTITY, x)

    def softplus(self, x: Range, where: str) -> Range:
        """softplus, likewise (at 0 it is ln 2)."""
        self.need("functions", (x.hi <= VANISHES) | (x.lo >= IDENTITY), f"{where}: softplus")
        return choose(x.lo >= IDENTITY, x)

    # -- norms -----------------------------------------------------------------------------------------------------

    def scale(self, epsilon: float, stream: Range, where: str) -> Ints:
        """The exponent of the power of two that RMSNorm divides by, per row.

        2^k equal squares, of numbers that are known, carry the mean, and the rest is below half a unit in the last
        place of one. Epsilon is positive: a negative one could make up for squares that one order of summation absorbs
        and another does not.
        """
        self.need("rmsnorm", 2.0**-126 <= epsilon <= LARGEST, f"{where}: epsilon {epsilon!r}")
        sizes, width = _most(stream), stream.lo.shape[1]
        top = sizes.max(axis=1, keepdims=True)
        big = sizes == top
        count = big.sum(axis=1)
        # One square is 4^exp if it is a power of two at all.
        exp = np.where(big & (stream.unit != NOTHING), stream.unit, -NOTHING).max(axis=1)
        twos = np.frexp(count)[1] - np.frexp(width)[1]
        rest = np.where(big, 0.0, sizes**2).sum(axis=1) + epsilon * width
        good = ~(big & (stream.lo != stream.hi)).any(axis=1) & (top[:, 0] == _power(exp)) & (count & (count - 1) == 0)
        good &= (width & (width - 1) == 0) & (twos % 2 == 0) & (rest <= _power(2 * exp - 25))
        good &= (2 * exp + np.frexp(count)[1] <= 127) & (2 * exp + twos >= -126)
        self.need("rmsnorm", good, where)
        return np.asarray(exp + twos // 2)

    def norm(self, norm: Any, stream: Range, where: str) -> Range:
        """RMSNorm, where it multiplies by a power of two."""
        exp = self.scale(epsilon_of(norm), stream, where)
        normed = times(stream, exactly(np.ldexp(1.0, -exp)[:, None]))
        result = times(normed, exactly(norm.weight))
        # Of any vector the norm is finite, of a token's that a mask hides, too: 0 times an infinity is none.
        most = min(LARGEST, 2.0 ** self.stored[2])
        self.need("rmsnorm", np.abs(array(norm.weight)) * stream.lo.shape[1] <= most, f"{where}: size of a weight")
        for part in (stream, normed, result):
            self.fits(part, f"{where}: rounding")
        return result

    def plain_norm(self, norm: Any, values: Range, where: str) -> Range:
        """RMSNorm without weights, likewise; a row of zeros stays one, whatever positive number it is divided by."""
        live = (values.lo != 0).any(axis=1)
        self.need("rmsnorm", 2.0**-126 <= epsilon_of(norm) <= LARGEST, f"{where}: epsilon {epsilon_of(norm)!r}")
        factor = np.ones(len(live))
        if live.any():
            factor[live] = np.ldexp(1.0, -self.scale(epsilon_of(norm), values.map(lambda a: a[live]), where))
        normed = times(values, exactly(factor[:, None]))
        for part in (values, normed):
            self.fits(part, f"{where}: rounding")
        return normed


def epsilon_of(norm: Any) -> float:
    """What RMSNorm adds to the mean of squares; Falcon-Mamba's norms without weights call it otherwise."""
    return float(norm.variance_epsilon if hasattr(norm, "variance_epsilon") else norm.eps)
