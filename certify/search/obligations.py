"""The obligations that carry a proof from one step function to every implementation.

A certificate speaks of the step function that was run. If, for every input that can occur, the following hold, then
any implementation that computes the same formulas in the same number format gets the same numbers: any length, batch
shape, any bracketing of the scan, any order of summation.

1. *Gates.* Every gate exp(Delta A) is exactly 0 or 1, in a signed block also -1 (the sign times that), and a gate of 1
   or -1 comes with a write of 0. By the scan lemma (docs/construction.md) no bracketing of the scan rounds anything.
2. *Sums.* Every sum is exactly representable whatever its order: the positive terms sum to at most 2^p q, and so do the
   negative ones in absolute value (any partial sum lies between), where q is a power of two that divides every term,
   with p = 24 for a float32 accumulator, and the result fits the format it is stored in.
3. *Functions.* silu, softplus, exp and tanh are only evaluated where every faithful implementation returns the same
   number: silu at 0, at arguments >= 64 (the identity) and <= -1024 (it underflows to 0); softplus at >= 64 and <=
   -1024; exp where its argument is between -2^-30 and 0 (it rounds to 1) or <= -1024; tanh at >= 64 and <= -64 (it
   saturates at 1 and -1).
4. *RMSNorm.* Of the residual stream, and in Falcon-Mamba of dt, B and C unless they are all 0: the mean of squares is a
   power of four exactly, and the other squares and epsilon vanish in it in any order, so that the norm multiplies by a
   power of two.

Everything is computed in float64 from the weights and the inputs found by the search; ``compiler._exact_sums`` has the
second obligation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .exact_sums import (
    ACCUMULATOR,
    FORMATS,
    Array,
    Format,
    Ledger,
    Obligation,
    check_sum,
    check_terms,
    fits,
    lowest_bit,
)

__all__ = [
    "ACCUMULATOR",
    "FORMATS",
    "Array",
    "Inputs",
    "Ledger",
    "Obligation",
    "as_array",
    "check_block",
    "check_head",
    "check_inputs",
    "check_output",
    "check_sum",
    "check_terms",
    "fits",
    "is_signed",
    "lowest_bit",
    "rms_norm",
]

IDENTITY_FROM = 64.0
SATURATES_FROM = 64.0
"""From here on 1 - tanh is below e^-127, which vanishes beside 1 in every format up to float64."""
VANISHES_BELOW = -1024.0
ROUNDS_TO_ONE_FROM = -(2.0**-30)
"""From here to 0 exp is within 2^-30 of 1, less than half a unit in the last place of a float32 below 1."""


def check_vanishing(ledger: Ledger, terms: Array, stored: Format, where: str) -> Array:
    """Like :func:`check_terms`, but sums of which only a silu is used may round where that vanishes in any case.

    If no term is positive and one is at most -1024, so is every sum of them, however it is rounded.
    """
    vanishes = (terms <= 0).all(axis=-1) & (terms.min(axis=-1) <= VANISHES_BELOW)
    exact = check_terms(ledger, np.where(vanishes[..., None], 0.0, terms), stored, where)
    return np.where(vanishes, VANISHES_BELOW, exact)


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


def tanh(ledger: Ledger, values: Array, where: str) -> Array:
    """tanh, with the obligation that it is evaluated only where it is 1 or -1."""
    ledger.note("functions", np.abs(values) >= SATURATES_FROM, f"{where}: tanh")
    result: Array = np.sign(values)
    return result


def rms_norm(ledger: Ledger, norm: Any, stream: Array, stored: Format, where: str) -> Array:
    """RMSNorm as multiplication by a power of two, with the obligation that it is one."""
    normed = stream / _root(ledger, float(norm.variance_epsilon), stream, where)[:, None]
    result: Array = normed * as_array(norm.weight)
    ledger.note("sums", fits(normed, stored) & fits(result, stored), f"{where}: rounding")
    return result


def plain_norm(ledger: Ledger, norm: Any, values: Array, stored: Format, where: str) -> Array:
    """The same without weights; rows of zeros stay zeros, since epsilon keeps the root from vanishing."""
    live = (values != 0).any(axis=1)
    normed = values.copy()
    normed[live] /= _root(ledger, float(norm.eps), values[live], where)[:, None]
    ledger.note("sums", fits(normed, stored), f"{where}: rounding")
    return normed


def _root(ledger: Ledger, epsilon: float, stream: Array, where: str) -> Array:
    """What RMSNorm divides each row by, shape (rows,), with the obligation that it is a power of two."""
    squares = stream**2
    largest = squares.max(axis=1, keepdims=True)
    big = squares == largest
    count = big.sum(axis=1)
    mean = largest[:, 0] * count / stream.shape[1]
    _, exponent = np.frexp(mean)
    power_of_four = (mean > 0) & (lowest_bit(mean) == mean) & ((exponent - 1) % 2 == 0)
    # In any order a partial sum is either one of small squares or holds a big square, and half a unit in the last place
    # of one big square absorbs all small ones together.
    small = np.where(big, 0.0, squares).sum(axis=1) + epsilon * stream.shape[1]
    absorbed = small <= largest[:, 0] * 2.0**-25
    partial_sums = lowest_bit(count.astype(np.float64)) == count
    width = stream.shape[1]
    in_range = fits(largest[:, 0] * count, ACCUMULATOR) & fits(mean, ACCUMULATOR)
    good = power_of_four & absorbed & partial_sums & in_range & (width & (width - 1) == 0)
    ledger.note("rmsnorm", good, where)
    root: Array = np.ldexp(1.0, (exponent - 1) // 2)
    return root


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
        held: where the gate is 1 or -1, shape (rows, d_inner, d_state); elsewhere it is 0.
        sign: 1 or -1, what a gate that is not 0 is, shape (rows, d_inner, 1); 1 without signs.
        write: what is added to the gated state, likewise.
        c_read: C, shape (rows, d_state).
        skip: D x, shape (rows, d_inner).
        gate: silu of the gate branch, likewise.
    """

    window: Array
    x: Array
    held: NDArray[np.bool_]
    sign: Array
    write: Array
    c_read: Array
    skip: Array
    gate: Array


def check_inputs(
    ledger: Ledger, block: Any, stream: Array, past: Array, name: str, *, negative: bool = False
) -> Inputs:
    """The first half of :func:`check_block`, in exact arithmetic, with its obligations.

    Args:
        ledger: where to record.
        block: as there.
        stream: as there.
        past: as there.
        name: as there.
        negative: whether a gate may be -1; if not, that is a failure of the obligation on gates.
    """
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
    if hasattr(mixer, "dt_layernorm"):  # Falcon-Mamba
        dt = plain_norm(ledger, mixer.dt_layernorm, dt, stored, f"{name} norm of dt")
        b = plain_norm(ledger, mixer.b_layernorm, b, stored, f"{name} norm of B")
        c_read = plain_norm(ledger, mixer.c_layernorm, c_read, stored, f"{name} norm of C")
    delta = softplus(ledger, _steered(ledger, mixer.dt_proj, dt, stored, f"{name} dt_proj"), f"{name} dt_proj")

    with np.errstate(over="ignore"):  # an overflow fails the next line
        rate = np.exp(as_array(mixer.A_log))[None]
    # Well inside the range, since an implementation's exp may be off by a little.
    ledger.note("functions", (rate <= 2.0**100) & (rate >= 0), f"{name} A_log: exp")
    with np.errstate(invalid="ignore"):
        decay = -delta[:, :, None] * rate
    held = decay >= ROUNDS_TO_ONE_FROM
    in_range = held | ((decay <= VANISHES_BELOW) & (decay >= -(2.0**120)))
    ledger.note("functions", in_range, f"{name} gate: exp")
    sign = np.ones((*delta.shape, 1))
    if is_signed(block):
        steered = _steered(ledger, mixer.sign_proj, dt, stored, f"{name} sign_proj")
        sign = tanh(ledger, steered, f"{name} sign_proj")[:, :, None]
        if not negative:
            ledger.note("gates", ~held | (sign > 0), f"{name}: a gate of -1, which this argument does not cover")
    # Implementations multiply Delta, B and x in any order.
    pairs = (delta[:, :, None] * b[:, None, :], delta[:, :, None] * x[:, :, None], b[:, None, :] * x[:, :, None])
    write = pairs[0] * x[:, :, None]
    for product in (*pairs, write):
        ledger.note("sums", fits(product, ACCUMULATOR), f"{name} write")
    skip, gate = x * as_array(mixer.D)[None], silu(ledger, z, f"{name} gate branch")
    return Inputs(window, x, held, sign, write, c_read, skip, gate)


def is_signed(block: Any) -> bool:
    """Whether a block's gates have signs."""
    return hasattr(block.mixer, "sign_proj")


def _steered(ledger: Ledger, projection: Any, dt: Array, stored: Format, where: str) -> Array:
    """A projection of dt; the product is stored before the bias is added."""
    weight, bias = as_array(projection.weight), as_array(projection.bias)
    check_sum(ledger, weight, dt, None, stored, where)
    return check_sum(ledger, weight, dt, bias, stored, f"{where} bias")


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
        block: a ``transformers`` ``MambaBlock`` or ``FalconMambaBlock``, or a signed one.
        stream: residual vectors, shape (rows, d_model).
        past: the convolution's past inputs, shape (rows, d_inner, taps).
        states: SSM states, shape (rows, d_inner, d_state).
        name: for messages.

    Returns:
        The residual vectors, convolution inputs and states afterwards; they are the step function's own wherever
        every obligation holds.
    """
    inputs = check_inputs(ledger, block, stream, past, name, negative=True)
    ledger.note("gates", ~inputs.held | (inputs.write == 0), f"{name}: a gate of 1 with a write")
    new = np.where(inputs.held, inputs.sign * states, 0.0) + inputs.write
    return check_output(ledger, block, stream, inputs, new, name), inputs.window, new


def check_head(ledger: Ledger, model: Any, stream: Array) -> Array:
    """The logits in exact arithmetic, with their obligations."""
    stored = FORMATS[model.lm_head.weight.dtype]
    normed = rms_norm(ledger, model.backbone.norm_f, stream, stored, "norm_f")
    return check_sum(ledger, as_array(model.lm_head.weight), normed, None, stored, "lm_head")
