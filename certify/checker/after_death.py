"""What a model does once a word has died, by ranges: method "until death".

Up to its first dead prefix a word is followed exactly (``closure``), with all counters at known values. From there on
counters go wherever they like, past what floats hold exactly; but nothing has to be known of them any more than that no
token is ever allowed again. So each block is stepped in ranges (``arithmetic.Range``) that hold whatever can be in its
convolution's window and its states after death, for each letter at once; they begin as the hull of what is there at the
first dead prefixes and grow until a step does not leave them. Then the scores must be negative.

Sums and products may round here, in any order and in any format from the model's on. What rounding keeps is used:

- *Order.* Each sum, in a given order, grows with each of its terms. So where the lower ends of the terms add up without
  rounding, no sum is below theirs; elsewhere the bound is moved by as much as n terms can round to.
- *Multiples.* A multiple of a power of two stays one.

A state that adds up (a gate of 1 with a write) is taken to hold any multiple of its unit up to the limit that the
certificate names; but where nothing negative is ever added, none below all that it began with: rounded sums grow with
their terms, and without what was added after death they are exact. Likewise above, where nothing positive is added.
All other states are proved to stay in their ranges. Delta's pre-activation is a known bias and a multiple of a unit,
none of which comes near 0: so a gate is 1 with a write of 0, or 0 with a write.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .arithmetic import (
    ACCUMULATOR,
    IDENTITY,
    LARGEST,
    NOTHING,
    ROUNDS_TO_ONE,
    VANISHES,
    Obligations,
    Range,
    beside,
    epsilon_of,
    exactly,
    times,
)
from .closure import agree
from .machine import Machine
from .parts import Bools, Floats, Ints, array, bias_of, first, need

MOST_AFTER_DEATH = 1 << 60
"""The largest limit: far from overflow."""
MOST_ROUNDS = 32
"""Until the ranges of a block must have settled."""


class Own(NamedTuple):
    """What a block may hold: the window of its convolution (channels, taps), and its states (channels, states)."""

    window: Range
    states: Range

    def same(self, other: Own) -> bool:
        """Whether the ranges are equal."""
        pairs = zip((*self.window, *self.states), (*other.window, *other.states), strict=True)
        return all(np.array_equal(a, b) for a, b in pairs)


def check_after_death(
    o: Obligations, machine: Machine, embedded: Floats, died: list[Floats], columns: list[int], limit: int
) -> float:
    """Every score is negative after every dead prefix; how far below 0 they are at least.

    Args:
        o: verifies.
        machine: the model.
        embedded: of each letter, shape (letters, d_model).
        died: per block what it can hold at the first dead prefix of a word, shape (rows, own state).
        columns: the scores that matter.
        limit: of the states that add up.
    """
    stream, last = exactly(embedded), len(machine.blocks) - 1
    need(all(len(rows) for rows in died), "language: no word dies")
    for number, rows in enumerate(died[:-1]):
        stream = Stepped(o, machine, number, limit).settled(stream, _own(machine, rows))
    # Which states of the last block are 0 says how a word has died: each way has ranges of its own.
    ways: dict[bytes, list[int]] = {}
    for row, held in enumerate(died[-1][:, machine.conv :] != 0):
        ways.setdefault(held.tobytes(), []).append(row)
    head, margin = array(machine.model.lm_head.weight), np.inf
    for way in ways.values():
        out = Stepped(o, machine, last, limit).settled(stream, _own(machine, died[-1][way]))
        scores = linear(o, head, norm(o, machine.model.backbone.norm_f, out, "norm_f"), "lm_head")
        highest = scores.hi[:, columns].max(axis=1)
        need((highest < 0).all(), f"read-out: after death, at letter {first(highest >= 0)}, a score is not below 0")
        margin = min(margin, float(-highest.max()))
    return margin


def _own(machine: Machine, rows: Floats) -> Own:
    """The ranges around some states of a block."""
    own = _hull(exactly(rows))
    window = own.map(lambda a: a[: machine.conv].reshape(machine.shape))
    return Own(window, own.map(lambda a: a[machine.conv :].reshape(machine.states)))


# -- ranges that may round -----------------------------------------------------------------------------------------


def _hull(rows: Range) -> Range:
    """One range for each column."""
    return Range(rows.lo.min(axis=0), rows.hi.max(axis=0), rows.unit.min(axis=0))


def _both(a: Range, b: Range) -> Range:
    """What either holds."""
    return Range(np.minimum(a.lo, b.lo), np.maximum(a.hi, b.hi), np.minimum(a.unit, b.unit))


def _cut(ends: Floats, bits: int, up: bool) -> Floats:
    """The nearest numbers of so many bits on one side."""
    _, exponent = np.frexp(ends)
    step = np.ldexp(1.0, exponent - bits)
    return np.asarray((np.ceil if up else np.floor)(ends / step) * step)


def rounded(o: Obligations, numbers: Range, where: str, bits: int = 0) -> Range:
    """Numbers, rounded to the model's format (or to so many bits) or a wider one: the ends move outwards.

    They become multiples of the unit of so few bits. All must be far from overflow and from subnormal numbers.
    """
    bits = bits or o.stored[0]
    unit = _power(numbers.unit)
    lo = np.ceil(_cut(numbers.lo, bits, up=False) / unit) * unit
    hi = np.floor(_cut(numbers.hi, bits, up=True) / unit) * unit
    good = np.maximum(np.abs(lo), np.abs(hi)) <= LARGEST
    o.need("sums", good & (numbers.unit >= o.stored[1]), f"{where}: size after death")
    return Range(lo, hi, numbers.unit)


def _power(exponents: Ints) -> Floats:
    """2^exponent; of what is always 0, a number past all others."""
    return np.ldexp(1.0, np.minimum(exponents, 500))


def total(o: Obligations, terms: Range, starts: Ints, where: str) -> Range:
    """Sums over runs of columns, in any order, in float32 or wider."""
    count = np.diff(np.append(starts, terms.lo.shape[1]))
    unit = np.minimum.reduceat(terms.unit, starts, axis=1)
    exact = _power(unit + ACCUMULATOR[0])
    ends = []
    for end, sign in ((terms.lo, -1.0), (terms.hi, 1.0)):
        size = np.add.reduceat(np.abs(end), starts, axis=1)
        slack = np.where(size <= exact, 0.0, 4.0 * count * 2.0 ** -ACCUMULATOR[0] * size)
        ends.append(np.add.reduceat(end, starts, axis=1) + sign * slack)
        o.need("sums", size <= LARGEST, f"{where}: size after death")
    return rounded(o, Range(ends[0], ends[1], unit), where, ACCUMULATOR[0])


def linear(o: Obligations, weight: Floats, inputs: Range, where: str, bias: Any = None) -> Range:
    """weight @ inputs + bias, stored."""
    if bias is not None:
        weight = np.concatenate([weight, array(bias)[:, None]], axis=1)
        inputs = beside([inputs, exactly(np.ones((len(inputs.lo), 1)))], 1)
    out, columns = np.nonzero(weight)
    shape = (len(inputs.lo), len(weight))
    lo, hi, unit = np.zeros(shape), np.zeros(shape), np.full(shape, NOTHING)
    if len(out):
        starts = np.flatnonzero(np.diff(out, prepend=-1))
        terms = times(inputs.map(lambda a: a[:, columns]), exactly(weight[out, columns][None]))
        found = rounded(o, total(o, terms, starts, where), where)
        lo[:, out[starts]], hi[:, out[starts]], unit[:, out[starts]] = found
    return Range(lo, hi, unit)


def norm(o: Obligations, module: Any, stream: Range, where: str) -> Range:
    """RMSNorm, where it multiplies by a power of two whatever the numbers are that are not known."""
    known = stream._replace(unit=np.where(stream.lo == stream.hi, exactly(stream.lo).unit, stream.unit))
    exponents = o.scale(epsilon_of(module), known, f"{where} after death")
    scaled = rounded(o, times(stream, exactly(np.ldexp(1.0, -exponents)[:, None])), where)
    return rounded(o, times(scaled, exactly(module.weight)), where)


def silu(o: Obligations, x: Range, where: str) -> Range:
    """silu, where it is the identity on all that is positive, and 0 on the rest."""
    good = (_power(x.unit) >= -VANISHES) | (x.hi <= VANISHES) | (x.lo >= IDENTITY)
    o.need("functions", good, f"{where}: silu after death")
    return Range(np.maximum(x.lo, 0.0), np.maximum(x.hi, 0.0), x.unit)


# -- one block -----------------------------------------------------------------------------------------------------


class Delta(NamedTuple):
    """Delta of each channel: 0, or in ``positive``; shape (rows, channels)."""

    zero: Bools
    positive: Range
    some: Bools
    """Whether it can be positive."""


class Stepped:
    """One block, stepped in ranges.

    Args:
        o: verifies.
        machine: the model.
        number: of the block.
        limit: of the states that add up.
    """

    def __init__(self, o: Obligations, machine: Machine, number: int, limit: int) -> None:
        self.o, self.machine, self.number, self.limit = o, machine, number, float(limit)
        self.block, self.where = machine.blocks[number], f"block {number}"
        self.mixer = self.block.mixer
        self.falling, self.rising = np.zeros((2, *machine.states), dtype=bool)
        """To which states something negative is added, and to which something positive."""

    @property
    def adding(self) -> Bools:
        """Which states add up."""
        found: Bools = self.falling | self.rising
        return found

    def need(self, condition: object, reason: str) -> None:
        """Reject unless the condition holds."""
        need(condition, f"{self.where}: after death {reason}")

    def settled(self, stream: Range, own: Own) -> Range:
        """The stream after the block, from ranges that no step leaves."""
        mixer, d = self.mixer, self.mixer.intermediate_size
        normed = norm(self.o, self.block.norm, stream, f"{self.where} norm")
        projected = linear(self.o, array(mixer.in_proj.weight), normed, f"{self.where} in_proj", mixer.in_proj.bias)
        u, z = projected.map(lambda a: a[:, :d]), projected.map(lambda a: a[:, d:])
        gate = silu(self.o, z, f"{self.where} gate branch")
        for _ in range(MOST_ROUNDS):
            own = own._replace(states=self._free(own.states))
            window, states, out = self._step(stream, u, gate, own)
            kept = self.machine.kept[self.number].reshape(self.machine.shape)
            forgotten = Range(np.where(kept, window.lo, 0.0), np.where(kept, window.hi, 0.0), window.unit)
            grown = Own(_both(own.window, _hull(forgotten)), _both(own.states, _hull(states)))
            after = grown._replace(states=self._free(grown.states))
            if after.same(own):
                self._compare(stream, own, window, states, out)
                return out
            own = after
        self.need(False, "the ranges do not settle")
        raise AssertionError

    def _free(self, states: Range) -> Range:
        """States that add up can hold anything up to the limit, in the directions in which something is added."""
        inside = (np.maximum(np.abs(states.lo), np.abs(states.hi)) <= self.limit) | ~self.adding
        self.need(inside.all(), "a state is past its limit at once")
        lo = np.where(self.falling, -self.limit, states.lo)
        hi = np.where(self.rising, self.limit, states.hi)
        return Range(lo, hi, states.unit)

    def _step(self, stream: Range, u: Range, gate: Range, own: Own) -> tuple[Range, Range, Range]:
        """The window, the states and the stream after a step, from any that the ranges hold."""
        o, mixer, where = self.o, self.mixer, self.where
        rows = len(u.lo)
        before = own.window.map(lambda a: np.broadcast_to(a[None, :, 1:], (rows, *a[:, 1:].shape)))
        window = beside([before, u.map(lambda a: a[:, :, None])], 2)
        taps = array(mixer.conv1d.weight)[:, 0, :]
        spread = (np.eye(len(taps))[:, :, None] * taps[None]).reshape(len(taps), -1)
        flat = window.map(lambda a: a.reshape(rows, -1))
        x = silu(o, linear(o, spread, flat, f"{where} conv1d", mixer.conv1d.bias), f"{where} conv1d")
        rank, n = mixer.time_step_rank, mixer.ssm_state_size
        selected = linear(o, array(mixer.x_proj.weight), x, f"{where} x_proj")
        dt, b, c = (
            selected.map(lambda a, at=at: a[:, at]) for at in np.split(np.arange(rank + 2 * n), [rank, rank + n])
        )
        states = self._states(self._delta(dt), b, x, own.states)
        return window, states, self._read(stream, states, c, x, gate)

    def _delta(self, dt: Range) -> Delta:
        """Which Deltas are possible: 0, where the pre-activation is at most -1024, or itself, from 64 on."""
        o, projection = self.o, self.mixer.dt_proj
        weight, bias = array(projection.weight), bias_of(projection, len(projection.weight))[None]
        row = linear(o, weight, dt, f"{self.where} dt_proj")
        lowest, highest, unit = row.lo + bias, row.hi + bias, _power(row.unit)
        # The least value above -1024 of those that are the bias and a multiple of the unit. The sum of two numbers
        # rounds once, which takes none past -1024 or 64; sums of more are bounded as such.
        least = np.maximum(lowest, bias + unit * (np.floor((VANISHES - bias) / unit) + 1))
        several = ((weight != 0) & ((dt.lo != 0) | (dt.hi != 0)).any(axis=0)[None]).sum(axis=1)[None] > 1
        sums = linear(o, weight, dt, f"{self.where} dt_proj", projection.bias)
        lowest, highest = np.where(several, sums.lo, lowest), np.where(several, sums.hi, highest)
        least = np.where(several | (row.lo == row.hi), lowest, least)
        zero = lowest <= VANISHES
        some = (least <= highest) & (least > VANISHES)
        o.need("functions", ~some | (least >= IDENTITY), f"{self.where} dt_proj: softplus after death")
        o.need("functions", ~several | ~(zero & (highest > VANISHES)), f"{self.where} dt_proj: softplus after death")
        positive = Range(
            np.where(some, least, 0.0), np.where(some, highest, 0.0), np.minimum(row.unit, exactly(bias).unit)
        )
        return Delta(zero, rounded(o, positive, f"{self.where} dt_proj"), some)

    def _states(self, delta: Delta, b: Range, x: Range, held: Range) -> Range:
        """The states after a step: held where Delta is 0, else overwritten or, with a gate of 1, added to."""
        o, where = self.o, f"{self.where} write"
        some, d = delta.some[:, :, None], delta.positive.map(lambda a: a[:, :, None])
        b, x = b.map(lambda a: a[:, None, :]), x.map(lambda a: a[:, :, None])
        for product in (times(d, x), times(b, x)):
            rounded(o, product, where, ACCUMULATOR[0])
        write = times(rounded(o, times(d, b), where, ACCUMULATOR[0]), x)
        write = rounded(o, rounded(o, write, where, ACCUMULATOR[0]), where)
        with np.errstate(over="ignore"):
            rate = np.minimum(np.exp(array(self.mixer.A_log)), LARGEST)[None]
        one = some & (d.hi * rate <= ROUNDS_TO_ONE)
        none = some & (d.lo * rate >= -VANISHES) & (d.hi * rate <= LARGEST)
        o.need("functions", ~some | one | none, f"{self.where} gate: exp after death")
        o.need("functions", rate <= 2.0**100, f"{self.where} A_log: exp after death")
        adds = one & ((write.lo != 0) | (write.hi != 0))
        self.falling = self.falling | (adds & (write.lo < 0)).any(axis=0)
        self.rising = self.rising | (adds & (write.hi > 0)).any(axis=0)
        keeps = np.broadcast_to(delta.zero[:, :, None] | (one & ~adds), none.shape)
        old = held.map(lambda a: np.broadcast_to(a[None], none.shape))
        lo, hi, unit = np.full(none.shape, np.inf), np.full(none.shape, -np.inf), np.full(none.shape, NOTHING)
        free = Range(
            np.where(self.falling, -self.limit, old.lo),
            np.where(self.rising, self.limit, old.hi),
            np.minimum(old.unit, write.unit),
        )
        for when, what in ((keeps, old), (none, write), (adds, free)):
            lo = np.where(when, np.minimum(lo, what.lo), lo)
            hi = np.where(when, np.maximum(hi, what.hi), hi)
            unit = np.where(when, np.minimum(unit, what.unit), unit)
        self.need((lo <= hi).all(), "a state can hold nothing")
        return Range(lo, hi, unit)

    def _read(self, stream: Range, states: Range, c: Range, x: Range, gate: Range) -> Range:
        """The stream after the block."""
        o, where = self.o, f"{self.where} read"
        seen = rounded(o, times(states, c.map(lambda a: a[:, None, :])), where, ACCUMULATOR[0])
        skip = rounded(o, times(x, exactly(self.mixer.D)), where)
        terms = beside([seen, skip.map(lambda a: a[:, :, None])], 2)
        rows, d, n = seen.lo.shape
        y = rounded(o, total(o, terms.map(lambda a: a.reshape(rows, -1)), np.arange(d) * (n + 1), where), where)
        gated = rounded(o, times(y, gate), where)
        out = linear(o, array(self.mixer.out_proj.weight), gated, f"{self.where} out_proj", self.mixer.out_proj.bias)
        pair = beside([out.map(lambda a: a[:, :, None]), stream.map(lambda a: a[:, :, None])], 2)
        starts = np.arange(out.lo.shape[1]) * 2
        after = total(o, pair.map(lambda a: a.reshape(rows, -1)), starts, f"{self.where} residual")
        return after if self.block.residual_in_fp32 else rounded(o, after, f"{self.where} residual")

    def _compare(self, stream: Range, own: Own, window: Range, states: Range, out: Range) -> None:
        """The model's own steps from the ends of the ranges stay inside, so no formula here is mistaken there."""
        rows, step = len(stream.lo), self.number
        for pick in (0, 1):
            inputs = stream[pick].astype(np.float32)
            flat = np.concatenate([own.window[pick].reshape(-1), own.states[1 - pick].reshape(-1)])
            before = np.broadcast_to(flat, (rows, len(flat))).astype(np.float32)
            found, after = self.machine.step(step, step + 1, inputs, before)
            ssm = after[:, self.machine.conv :].reshape(states.lo.shape)
            free = self.adding[None]
            good = ((out.lo <= found) & (found <= out.hi)).all()
            good &= (free | ((states.lo <= ssm) & (ssm <= states.hi))).all()
            agree(good, f"{self.where}: after death the model's step leaves the ranges")
