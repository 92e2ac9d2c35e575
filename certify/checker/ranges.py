"""Single blocks for ``construction_checker``: their own numbers, and the obligations on whole ranges of values.

A number that depends on a counter is known as a range: bounds, and a unit 2^k of which all its values are multiples.
Sums and products of ranges bound every sum and product of values, so the obligations hold at all values at once.
Numbers that do not are floats of 64 bits. All that is computed with them is exact once the obligations are met: each
is a multiple of some unit, at most 2^24 of them, products of two are at most 2^48, and so are partial sums.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from .certificate import (
    ACCUMULATOR,
    NOTHING,
    ROWS,
    Bools,
    Floats,
    Format,
    Ints,
    _array,
    _Done,
    _exact,
    _Machine,
    _need,
    _Obligations,
)

LARGEST_SUM = float(1 << 24)
SAMPLED = 512


class Range(NamedTuple):
    """Numbers between ``lo`` and ``hi``, all of them multiples of 2^unit (NOTHING: always 0)."""

    lo: Floats
    hi: Floats
    unit: Ints

    def map(self, change: Any) -> Range:
        """The same rearrangement of all three arrays."""
        return Range(*(change(part) for part in self))


def exactly(values: Floats) -> Range:
    """Numbers that are known."""
    dyadic = _exact(values)
    return Range(values, values, np.where(dyadic.odd == 0, NOTHING, dyadic.exp))


def hull(values: Floats) -> Range:
    """One range for each column, which holds its numbers and 0."""
    return Range(
        np.minimum(values.min(axis=0), 0.0), np.maximum(values.max(axis=0), 0.0), exactly(values).unit.min(axis=0)
    )


def times(a: Range, b: Range) -> Range:
    """Products."""
    nothing = (a.unit == NOTHING) | (b.unit == NOTHING)
    unit = np.where(nothing, NOTHING, a.unit + b.unit)
    lo = hi = a.lo * b.lo
    for corner in (a.lo * b.hi, a.hi * b.lo, a.hi * b.hi):
        lo, hi = np.minimum(lo, corner), np.maximum(hi, corner)
    return Range(lo, hi, unit)


def sample(rows: int) -> Ints:
    """Some row numbers, evenly spread: at most SAMPLED, and all if there are no more."""
    return np.unique(np.linspace(0, rows - 1, min(rows, SAMPLED)).astype(np.int64))


class Symbols(NamedTuple):
    """Unknown numbers that the residual vectors contain: counters, or entries of the error latch.

    A vector is a base plus the sum over unknowns of value * slope; value is a multiple of 2^unit in lo..hi.
    """

    slope: Floats
    lo: Floats
    hi: Floats
    unit: Ints

    def plus(self, other: Symbols) -> Symbols:
        """Both."""
        return Symbols(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))

    def ranges(self) -> list[Range]:
        """What each unknown adds to a vector."""
        return [
            times(Range(np.array([lo]), np.array([hi]), np.array([unit])), exactly(slope))
            for slope, lo, hi, unit in zip(*self, strict=True)
        ]

    def around(self, base: Floats) -> Range:
        """Vectors with everything that the unknowns may add."""
        lo, hi, unit = exactly(base)
        for part in self.ranges():
            lo, hi, unit = lo + part.lo, hi + part.hi, np.minimum(unit, part.unit)
        return Range(lo, hi, unit)


class View(NamedTuple):
    """What a block computes from its input: x, the gate branch, where gates are 1, writes, and C."""

    x: Floats
    gate: Floats
    held: Bools
    write: Floats
    c: Floats


class Block:
    """One block. What is asked for is computed and its obligations are verified, or it is a rejection."""

    def __init__(self, obligations: _Obligations, machine: _Machine, number: int, done: _Done) -> None:
        self.ob, self.machine, self.number, self.done = obligations, machine, number, done
        self.block, self.where = machine.blocks[number], f"block {number}"
        mixer = self.block.mixer
        self.channels, self.states = mixer.intermediate_size, mixer.ssm_state_size
        self.taps = _array(mixer.conv1d.weight)[:, 0, :]
        self.conv_bias = _bias_of(mixer.conv1d, self.channels)
        self.in_proj, self.in_bias = _array(mixer.in_proj.weight), _bias_of(mixer.in_proj, 2 * self.channels)
        self.x_proj, self.skip = _array(mixer.x_proj.weight), _array(mixer.D)
        self.out_proj = _array(mixer.out_proj.weight)
        self.out_bias = _bias_of(mixer.out_proj, len(self.out_proj))

    def need(self, condition: object, reason: str) -> None:
        """Reject unless the condition holds."""
        _need(condition, f"{self.where}: {reason}")

    # -- what the input alone decides ------------------------------------------------------------------------------

    def look(self, vectors: Floats) -> View:
        """All that the block computes from known vectors; it must see the present only."""
        self.need(not self.taps[:, :-1].any(), "the convolution sees the past")
        parts = []
        for at in range(0, len(vectors), ROWS):
            u, z = self.ob.project(self.block, _exact(vectors[at : at + ROWS]), self.where)
            present = u.map(lambda a: np.pad(a[:, :, None], ((0, 0), (0, 0), (self.taps.shape[1] - 1, 0))))
            gate = self.ob.function("silu", z, f"{self.where} gate branch").floats()
            parts.append(self._view(present, gate))
        return View(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def look_at(self, windows: Floats) -> View:
        """The same from windows of the convolution, without a gate branch."""
        nothing = np.zeros((ROWS, 0))
        parts = [
            self._view(_exact(windows[at : at + ROWS]), nothing[: len(windows) - at])
            for at in range(0, len(windows), ROWS)
        ]
        return View(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _view(self, window: Any, gate: Floats) -> View:
        x, held, write, c = self.ob.select(self.block, window, self.where)
        return View(x.floats(), gate, held, write.floats(), c.floats()[:, 0])

    def project(self, vectors: Floats) -> tuple[Floats, Floats]:
        """The convolution's inputs, and the gate branch."""
        parts = []
        for at in range(0, len(vectors), ROWS):
            u, z = self.ob.project(self.block, _exact(vectors[at : at + ROWS]), self.where)
            parts.append((u.floats(), self.ob.function("silu", z, f"{self.where} gate branch").floats()))
        return np.concatenate([u for u, _ in parts]), np.concatenate([z for _, z in parts])

    def no_gate_of_one_with_a_write(self, view: View) -> None:
        """The first obligation, where nothing counts."""
        self.ob.need("gates", ~view.held | (view.write == 0), f"{self.where}: a gate of 1 with a write")

    # -- what the state adds ---------------------------------------------------------------------------------------

    def keeps(self, state: Range) -> None:
        """States are stored: first in float32, then in the model's dtype."""
        self.ob.need("sums", fits(self.ob, state), f"{self.where} state")

    def reads(self, state: Range, c: Range, skip: Range, gate: Range) -> None:
        """Verify the obligations from the state to out_proj's sums. Arrays (rows, channels, states) or smaller."""
        seen = times(state, c)
        d, n = self.channels, self.states
        skip = skip.map(lambda a: np.broadcast_to(a, seen.lo.shape[:2]))
        terms = _beside(seen, skip.map(lambda a: a[:, :, None]), 2).map(lambda a: a.reshape(len(a), -1))
        alone = add(self.ob, seen.map(lambda a: a.reshape(len(a), -1)), np.arange(d) * n, f"{self.where} read")
        read = add(self.ob, terms, np.arange(d) * (n + 1), f"{self.where} read")
        gated = times(read, gate)
        for part in (alone, skip, read, gated):
            self.ob.need("sums", fits(self.ob, part), f"{self.where} read: rounding")
        linear(self.ob, self.out_proj, gated, f"{self.where} out_proj", self.out_bias)

    def settles(self, out: Range, stream: Range) -> None:
        """Verify the residual sum."""
        stored = ACCUMULATOR if self.block.residual_in_fp32 else None
        rows, width = max(len(out.lo), len(stream.lo)), stream.lo.shape[1]
        self.ob.need("sums", fits(self.ob, out), f"{self.where} out_proj: rounding")
        for at in range(0, rows, ROWS):
            both = [
                part.map(lambda a, at=at: a if len(a) < rows else a[at : at + ROWS]).map(
                    lambda a, at=at: np.broadcast_to(a, (min(ROWS, rows - at), width))[:, :, None]
                )
                for part in (out, stream)
            ]
            terms = _beside(both[0], both[1], 2).map(lambda a: a.reshape(len(a), -1))
            total = add(self.ob, terms, np.arange(width) * 2, f"{self.where} residual")
            self.ob.need("sums", fits(self.ob, total, stored), f"{self.where} residual: rounding")

    def output(self, vectors: Floats, view: View, state: Floats) -> Floats:
        """The vectors that come out, for known states."""
        y = (state * view.c[:, None, :]).sum(axis=2) + view.x * self.skip
        return np.asarray(vectors + (y * view.gate) @ self.out_proj.T + self.out_bias)

    def share(self, view: View, entries: Ints) -> Floats:
        """By how much the vectors grow with the sum of some entries of the state, which hold the same number."""
        channel, state = np.divmod(entries, self.states)
        return np.asarray((view.gate[:, channel] * view.c[:, state]) @ self.out_proj[:, channel].T)

    # -- the model itself ------------------------------------------------------------------------------------------

    def agree(self, vectors: Floats, past: Floats | None, before: Floats, after: Floats, out: Floats) -> None:
        """Compare what was derived with some of the model's own steps, from states with the given SSM part."""
        some = sample(len(vectors))
        vectors, before, after, out = vectors[some], before[some], after[some], out[some]
        rows = len(vectors)
        window = np.zeros((rows, self.channels, self.taps.shape[1]))
        if past is not None:
            window[:, :, -1] = past[some]
        states = np.concatenate([window.reshape(rows, -1), before.reshape(rows, -1)], axis=1).astype(np.float32)
        found, own = self.machine.step(self.number, self.number + 1, vectors.astype(np.float32), states)
        self.done.steps += rows
        good = (found == out).all() and (own[:, window[0].size :] == after.reshape(rows, -1)).all()
        self.need(good, "exact arithmetic gives other numbers than the model's step")


def _bias_of(module: Any, size: int) -> Floats:
    return np.zeros(size) if module.bias is None else _array(module.bias)


def _beside(a: Range, b: Range, axis: int) -> Range:
    return Range(*(np.concatenate(pair, axis=axis) for pair in zip(a, b, strict=True)))


# -- obligations on ranges -----------------------------------------------------------------------------------------


def fits(ob: _Obligations, numbers: Range, stored: Format | None = None) -> Bools:
    """Whether every number of each range is 0 or a normal number of a format (the model's unless told otherwise)."""
    bits, low, high = stored or ob.stored
    most = np.maximum(np.abs(numbers.lo), np.abs(numbers.hi))
    with np.errstate(over="ignore"):
        few = most <= np.ldexp(float(1 << bits), numbers.unit)
    return np.asarray((most == 0) | (few & (numbers.unit >= low) & (most <= 2.0**high)))


def add(ob: _Obligations, terms: Range, starts: Ints, where: str) -> Range:
    """Sums over runs of columns, none of whose partial sums rounds in float32, in any order."""
    lo, hi, unit = terms
    size = np.maximum(
        np.add.reduceat(np.maximum(hi, 0.0), starts, axis=1), np.add.reduceat(np.maximum(-lo, 0.0), starts, axis=1)
    )
    unit = np.minimum.reduceat(unit, starts, axis=1)
    with np.errstate(over="ignore"):
        good = (size <= np.ldexp(LARGEST_SUM, unit)) & (unit >= -126) & (size <= torch.finfo(torch.float32).max)
    ob.need("sums", good, where)
    return Range(np.add.reduceat(lo, starts, axis=1), np.add.reduceat(hi, starts, axis=1), unit)


def linear(ob: _Obligations, weight: Floats, inputs: Range, where: str, bias: Floats | None = None) -> Range:
    """weight @ inputs + bias."""
    if bias is not None and bias.any():
        weight = np.concatenate([weight, bias[:, None]], axis=1)
        one = exactly(np.ones((len(inputs.lo), 1)))
        inputs = _beside(inputs, one, 1)
    o, i = np.nonzero(weight)
    shape = (len(inputs.lo), len(weight))
    total = Range(np.zeros(shape), np.zeros(shape), np.full(shape, NOTHING))
    if len(o):
        starts = np.flatnonzero(np.diff(o, prepend=-1))
        factors = exactly(weight[o, i][None])
        for at in range(0, shape[0], ROWS):
            terms = times(inputs.map(lambda a, at=at: a[at : at + ROWS, i]), factors)
            for whole, part in zip(total, add(ob, terms, starts, where), strict=True):
                whole[at : at + ROWS, o[starts]] = part
    return total


class Normed(NamedTuple):
    """What a norm makes of vectors with unknowns in them."""

    base: Floats
    slope: Floats
    around: Range


def normed(ob: _Obligations, norm: Any, base: Floats, symbols: Symbols, where: str) -> Normed:
    """RMSNorm: the same power of two for all vectors, whatever the unknowns are."""
    parts = symbols.ranges()
    more = sum((np.maximum(np.abs(p.lo), np.abs(p.hi)) for p in parts), np.zeros(base.shape[1]))
    exponents = ob.scale(norm, _exact(base), f"{where} norm", more)
    _need((exponents == exponents[0]).all(), f"{where}: the norm scales some vectors differently")
    factor, weight = float(np.ldexp(1.0, -int(exponents[0]))), _array(norm.weight)
    stream = symbols.around(base)
    scaled = times(stream, exactly(np.array([factor])))
    result = times(scaled, exactly(weight))
    for part in (stream, scaled, result):
        ob.need("sums", fits(ob, part), f"{where} norm: rounding")
    return Normed(base * factor * weight, symbols.slope * factor * weight, result)
