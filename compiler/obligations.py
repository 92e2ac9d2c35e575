"""The obligations that carry a proof from one step function to every implementation.

A certificate speaks of the step function that was run. If, for every input that can occur, the following hold, then
any implementation that computes the same formulas in the same number format gets the same numbers: any length, batch
shape, any bracketing of the scan, any order of summation.

1. *Gates.* Every gate exp(Delta A) is exactly 0 or 1, and a gate of 1 comes with a write of 0. By the scan lemma
   (docs/construction.md) no bracketing of the scan rounds anything.
2. *Sums.* Every sum is exactly representable whatever its order: the positive terms sum to at most 2^p q, and so do the
   negative ones in absolute value (any partial sum lies between), where q is a power of two that divides every term,
   with p = 24 for a float32 accumulator, and the result fits the format it is stored in.
3. *Functions.* silu, softplus and exp are only evaluated where every faithful implementation returns the same number:
   silu at 0, at arguments >= 64 (the identity) and <= -1024 (it underflows to 0); softplus at >= 64 and <= -1024; exp
   where its argument is between -2^-30 and 0 (it rounds to 1) or <= -1024.
4. *RMSNorm.* The mean of squares is a power of four exactly, and the other squares and epsilon vanish in it in any
   order, so that the norm multiplies by a power of two.

Everything is computed here in float64 from the weights and the inputs found by the search. A term is the product of two
24-bit numbers, so float64 holds it exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Format:
    """A floating-point format: significant bits, largest finite and smallest normal number."""

    bits: int
    largest: float
    smallest: float


ACCUMULATOR = Format(24, 2.0**128 - 2.0**104, 2.0**-126)
FORMATS = {
    torch.float32: ACCUMULATOR,
    torch.bfloat16: Format(8, 2.0**128 - 2.0**120, 2.0**-126),
    torch.float16: Format(11, 65504.0, 2.0**-14),
}
IDENTITY_FROM = 64.0
VANISHES_BELOW = -1024.0
ROUNDS_TO_ONE_FROM = -(2.0**-30)
"""From here to 0 exp is within 2^-30 of 1, less than half a unit in the last place of a float32 below 1."""


@dataclass(frozen=True)
class Obligation:
    """One obligation and what became of it.

    Attributes:
        name: which.
        holds: whether it was found to hold everywhere.
        checked: how many instances were looked at.
        detail: the first instance that fails, or the tightest bound.
    """

    name: str
    holds: bool
    checked: int
    detail: str

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return {"name": self.name, "holds": self.holds, "checked": self.checked, "detail": self.detail}


class Ledger:
    """Collects instances of the obligations over blocks."""

    NAMES = ("gates", "sums", "functions", "rmsnorm")

    def __init__(self) -> None:
        self.checked = dict.fromkeys(self.NAMES, 0)
        self.failure: dict[str, str] = {}
        self.tightest = 0.0

    def note(self, name: str, good: NDArray[np.bool_], where: str) -> None:
        """Record instances; keep the first place where one fails."""
        self.checked[name] += int(good.size)
        if not good.all() and name not in self.failure:
            self.failure[name] = f"{where}: {int((~good).sum())} of {good.size} fail"

    def obligations(self) -> tuple[Obligation, ...]:
        """All of them, in a fixed order."""
        details = dict.fromkeys(self.NAMES, "")
        details["sums"] = f"largest sum |t| / (2^{ACCUMULATOR.bits} q) = {self.tightest:.3g}"
        return tuple(
            Obligation(n, n not in self.failure, self.checked[n], self.failure.get(n, details[n])) for n in self.NAMES
        )


def lowest_bit(values: Array) -> Array:
    """The largest power of two that divides each number, 0 for 0 (float64, exact)."""
    mantissa, exponent = np.frexp(values)
    whole = (mantissa * 2.0**53).astype(np.int64)
    result: Array = np.ldexp((whole & -whole).astype(np.float64), exponent - 53)
    return result


def check_sum(ledger: Ledger, weight: Array, inputs: Array, extra: Array | None, stored: Format, where: str) -> Array:
    """The sums inputs @ weight.T (+ extra), with the obligation that no order of summation rounds.

    Args:
        ledger: where to record.
        weight: shape (outputs, n).
        inputs: shape (rows, n).
        extra: one more term per output (a bias), shape (outputs,); None for none.
        stored: the format that the result is stored in.
        where: for the message.
    """
    first, row = distinct_rows(inputs)
    columns = np.ascontiguousarray(inputs[first].T)
    positive = np.zeros((len(weight), len(first)))
    negative = np.zeros_like(positive)
    quantum = np.full_like(positive, np.inf)
    weight_bit, input_bit = lowest_bit(weight), lowest_bit(columns)
    unit_of = np.where(input_bit > 0, input_bit, np.inf)
    # Compiled weights are mostly zero: go through the non-zero ones, not the matrix.
    for o, i in zip(*np.nonzero(weight), strict=True):
        term = weight[o, i] * columns[i]
        positive[o] += np.maximum(term, 0.0)
        negative[o] -= np.minimum(term, 0.0)
        np.minimum(quantum[o], weight_bit[o, i] * unit_of[i], out=quantum[o])
    if extra is not None:
        term = np.broadcast_to(extra[:, None], positive.shape)
        positive, negative = positive + np.maximum(term, 0.0), negative - np.minimum(term, 0.0)
        unit = lowest_bit(term)
        quantum = np.minimum(quantum, np.where(unit > 0, unit, np.inf))
    total = _settle(ledger, positive, negative, quantum, stored, where)
    result: Array = np.ascontiguousarray(total[:, row].T)
    return result


def distinct_rows(rows: Array) -> tuple[list[int], list[int]]:
    """The first position of each distinct row, and for each row which of them it is."""
    number: dict[bytes, int] = {}
    which = [number.setdefault(row.tobytes(), len(number)) for row in rows]
    first = [-1] * len(number)
    for position, n in reversed(list(enumerate(which))):
        first[n] = position
    return first, which


def check_vanishing(ledger: Ledger, terms: Array, stored: Format, where: str) -> Array:
    """Like :func:`check_terms`, but sums of which only a silu is used may round where that vanishes in any case.

    If no term is positive and one is at most -1024, so is every sum of them, however it is rounded.
    """
    vanishes = (terms <= 0).all(axis=-1) & (terms.min(axis=-1) <= VANISHES_BELOW)
    exact = check_terms(ledger, np.where(vanishes[..., None], 0.0, terms), stored, where)
    return np.where(vanishes, VANISHES_BELOW, exact)


def check_terms(ledger: Ledger, terms: Array, stored: Format, where: str) -> Array:
    """The sums of ``terms`` over the last axis, with the obligation that no order of summation rounds."""
    unit = lowest_bit(terms)
    quantum = np.where(unit > 0, unit, np.inf).min(axis=-1)
    positive, negative = np.maximum(terms, 0.0).sum(axis=-1), -np.minimum(terms, 0.0).sum(axis=-1)
    return _settle(ledger, positive, negative, quantum, stored, where)


def _settle(ledger: Ledger, positive: Array, negative: Array, quantum: Array, stored: Format, where: str) -> Array:
    """The sums. Every partial sum is a multiple of the quantum between -``negative`` and ``positive``.

    So there is no overflow, no subnormal and no rounding.
    """
    total, size = np.asarray(positive - negative), np.maximum(positive, negative)
    limit = np.where(np.isfinite(quantum), quantum, 1.0) * 2.0**ACCUMULATOR.bits
    ledger.tightest = max(ledger.tightest, float((size / limit).max(initial=0.0)))
    in_range = (size <= ACCUMULATOR.largest) & (quantum >= ACCUMULATOR.smallest)
    ledger.note("sums", (size <= limit) & in_range & fits(total, stored), where)
    return total


def fits(values: Array, stored: Format) -> NDArray[np.bool_]:
    """Whether a format holds each number exactly, as zero or a normal number."""
    good: NDArray[np.bool_] = np.ones(values.shape, dtype=np.bool_)
    some = values != 0
    chosen = values[some]
    size = np.abs(chosen)
    in_range = (size >= stored.smallest) & (size <= stored.largest)
    good[some] = in_range & (size <= lowest_bit(chosen) * (2.0**stored.bits - 1))
    return good


def silu(ledger: Ledger, values: Array, where: str) -> Array:
    """silu, with the obligation that it is evaluated only where it is exact."""
    identity, vanishes = values >= IDENTITY_FROM, (values == 0) | (values <= VANISHES_BELOW)
    ledger.note("functions", identity | vanishes, f"{where}: silu")
    return np.where(identity, values, 0.0)


def softplus(ledger: Ledger, values: Array, where: str) -> Array:
    """softplus, likewise."""
    identity, vanishes = values >= IDENTITY_FROM, values <= VANISHES_BELOW
    ledger.note("functions", identity | vanishes, f"{where}: softplus")
    return np.where(identity, values, 0.0)


def rms_norm(ledger: Ledger, norm: Any, stream: Array, stored: Format, where: str) -> Array:
    """RMSNorm as multiplication by a power of two, with the obligation that it is one."""
    squares = stream**2
    largest = squares.max(axis=1, keepdims=True)
    big = squares == largest
    count = big.sum(axis=1)
    mean = largest[:, 0] * count / stream.shape[1]
    _, exponent = np.frexp(mean)
    power_of_four = (mean > 0) & (lowest_bit(mean) == mean) & ((exponent - 1) % 2 == 0)
    # In any order a partial sum is either one of small squares or holds a big square, and half a unit in the last place
    # of one big square absorbs all small ones together.
    small = np.where(big, 0.0, squares).sum(axis=1) + float(norm.variance_epsilon) * stream.shape[1]
    absorbed = small <= largest[:, 0] * 2.0**-25
    partial_sums = lowest_bit(count.astype(np.float64)) == count
    width = stream.shape[1]
    in_range = fits(largest[:, 0] * count, ACCUMULATOR) & fits(mean, ACCUMULATOR)
    good = power_of_four & absorbed & partial_sums & in_range & (width & (width - 1) == 0)
    ledger.note("rmsnorm", good, where)
    root = np.ldexp(1.0, (exponent - 1) // 2)
    normed = stream / root[:, None]
    result: Array = normed * as_array(norm.weight)
    ledger.note("sums", fits(normed, stored) & fits(result, stored), f"{where}: rounding")
    return result


def as_array(tensor: Tensor) -> Array:
    """A parameter in float64."""
    array: Array = tensor.detach().double().cpu().numpy()
    return array


@dataclass(frozen=True)
class Inputs:
    """What the inputs of one step of a block decide, before its states are looked at.

    Attributes:
        window: the convolution's inputs, shape (rows, d_inner, taps).
        x: after the convolution, shape (rows, d_inner).
        held: where the gate is 1, shape (rows, d_inner, d_state); elsewhere it is 0.
        write: what is added to the gated state, likewise.
        c_read: C, shape (rows, d_state).
        skip: D x, shape (rows, d_inner).
        gate: silu of the gate branch, likewise.
    """

    window: Array
    x: Array
    held: NDArray[np.bool_]
    write: Array
    c_read: Array
    skip: Array
    gate: Array


def check_inputs(ledger: Ledger, block: Any, stream: Array, past: Array, name: str) -> Inputs:
    """The first half of :func:`check_block`, in exact arithmetic, with its obligations."""
    mixer = block.mixer
    stored = FORMATS[mixer.in_proj.weight.dtype]
    normed = rms_norm(ledger, block.norm, stream, stored, f"{name} norm")
    in_bias = None if mixer.in_proj.bias is None else as_array(mixer.in_proj.bias)
    projected = check_sum(ledger, as_array(mixer.in_proj.weight), normed, in_bias, stored, f"{name} in_proj")
    u, z = np.split(projected, 2, axis=1)
    window = np.concatenate([past[:, :, 1:], u[:, :, None]], axis=2)
    conv_bias = np.zeros(u.shape[1]) if mixer.conv1d.bias is None else as_array(mixer.conv1d.bias)
    bias = np.broadcast_to(conv_bias[:, None], (*u.shape, 1))
    terms = np.concatenate([window * as_array(mixer.conv1d.weight)[None, :, 0, :], bias], axis=2)
    convolved = check_vanishing(ledger, terms, stored, f"{name} conv1d")
    ledger.note("functions", np.array([mixer.activation == "silu"]), f"{name}: activation {mixer.activation}")
    x = silu(ledger, convolved, f"{name} conv1d")
    rank, n = mixer.time_step_rank, mixer.ssm_state_size
    selected = check_sum(ledger, as_array(mixer.x_proj.weight), x, None, stored, f"{name} x_proj")
    dt, b, c_read = selected[:, :rank], selected[:, rank : rank + n], selected[:, rank + n :]
    dt_weight, dt_bias = as_array(mixer.dt_proj.weight), as_array(mixer.dt_proj.bias)
    # The product is stored before the bias is added.
    check_sum(ledger, dt_weight, dt, None, stored, f"{name} dt_proj")
    delta = softplus(
        ledger, check_sum(ledger, dt_weight, dt, dt_bias, stored, f"{name} dt_proj bias"), f"{name} dt_proj"
    )

    with np.errstate(over="ignore"):  # an overflow fails the next line
        rate = np.exp(as_array(mixer.A_log))[None]
    # Well inside the range, since an implementation's exp may be off by a little.
    ledger.note("functions", (rate <= 2.0**100) & (rate >= 0), f"{name} A_log: exp")
    with np.errstate(invalid="ignore"):
        decay = -delta[:, :, None] * rate
    held = decay >= ROUNDS_TO_ONE_FROM
    in_range = held | ((decay <= VANISHES_BELOW) & (decay >= -(2.0**120)))
    ledger.note("functions", in_range, f"{name} gate: exp")
    # Implementations multiply Delta, B and x in any order.
    pairs = (delta[:, :, None] * b[:, None, :], delta[:, :, None] * x[:, :, None], b[:, None, :] * x[:, :, None])
    write = pairs[0] * x[:, :, None]
    for product in (*pairs, write):
        ledger.note("sums", fits(product, ACCUMULATOR), f"{name} write")
    return Inputs(window, x, held, write, c_read, x * as_array(mixer.D)[None], silu(ledger, z, f"{name} gate branch"))


def check_output(ledger: Ledger, block: Any, stream: Array, inputs: Inputs, states: Array, name: str) -> Array:
    """The second half: the residual vectors, from the states after the step, shape (rows, d_inner, d_state)."""
    mixer = block.mixer
    stored = FORMATS[mixer.in_proj.weight.dtype]
    ledger.note("sums", fits(states, stored), f"{name} state")
    terms = states * inputs.c_read[:, None, :]
    read = check_terms(ledger, np.concatenate([terms, inputs.skip[:, :, None]], axis=2), stored, f"{name} read")
    rounded = fits(terms.sum(axis=2), stored) & fits(inputs.skip, stored)
    ledger.note("sums", rounded, f"{name} read: rounding")
    gated = read * inputs.gate
    ledger.note("sums", fits(gated, stored), f"{name} gating")
    out_bias = None if mixer.out_proj.bias is None else as_array(mixer.out_proj.bias)
    out = check_sum(ledger, as_array(mixer.out_proj.weight), gated, out_bias, stored, f"{name} out_proj")
    residual = ACCUMULATOR if block.residual_in_fp32 else stored
    return check_terms(ledger, np.stack([stream, out], axis=2), residual, f"{name} residual")


def check_block(
    ledger: Ledger, block: Any, stream: Array, past: Array, states: Array, name: str
) -> tuple[Array, Array, Array]:
    """One step of one block in exact arithmetic, with all its obligations.

    Args:
        ledger: where to record.
        block: a ``transformers`` ``MambaBlock``.
        stream: residual vectors, shape (rows, d_model).
        past: the convolution's past inputs, shape (rows, d_inner, taps).
        states: SSM states, shape (rows, d_inner, d_state).
        name: for messages.

    Returns:
        The residual vectors, convolution inputs and states afterwards; they are the step function's own wherever
        every obligation holds.
    """
    inputs = check_inputs(ledger, block, stream, past, name)
    ledger.note("gates", ~inputs.held | (inputs.write == 0), f"{name}: a gate of 1 with a write")
    new = np.where(inputs.held, states, 0.0) + inputs.write
    return check_output(ledger, block, stream, inputs, new, name), inputs.window, new


def check_head(ledger: Ledger, model: Any, stream: Array) -> Array:
    """The logits in exact arithmetic, with their obligations."""
    stored = FORMATS[model.lm_head.weight.dtype]
    normed = rms_norm(ledger, model.backbone.norm_f, stream, stored, "norm_f")
    return check_sum(ledger, as_array(model.lm_head.weight), normed, None, stored, "lm_head")
