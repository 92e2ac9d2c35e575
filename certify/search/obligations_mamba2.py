"""The obligations of a Mamba-2 block: what carries a proof to every implementation, chunk sizes included.

Sums, functions and both RMSNorms are as in ``compiler.obligations``. The chunked algorithm (Dao and Gu 2024, arXiv
2405.21060, section 6) takes sums of Delta A over stretches of tokens, exponentials of differences of such sums, and
products of C of one token with B of another. Therefore, beyond those:

- *Gates.* Delta A is exactly 0, or at most -1024; A_log is 0 wherever Delta is not, so that A = -1 in every
  implementation, and Delta A is an integer. So the sums over a chunk of up to 2^24 / |Delta A| tokens are exact in any
  order, and so are their differences: 0 if no state was overwritten between two tokens, else at most -1024. exp makes
  1 or 0 of it. Between chunks, sums of chunk totals may round, but a sum of zeros is 0 and a sum of numbers that are
  not positive, one of them at most -1024, stays at most -1024. A gate of 1 comes with Delta = 0, hence a write of 0.
- *One product.* B and C are constants, by the weights, and at most one state index has either. So C of one token times
  B of another is one number, the same for all pairs, and the sum over positions has at most one term that is not zero:
  the last overwriting.

Everything is computed in float64 from the weights and the inputs found by the search.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .exact_sums import ACCUMULATOR, FORMATS, Array, Ledger, check_sum, check_terms, fits
from .obligations import VANISHES_BELOW, as_array, check_vanishing, rms_norm, silu, softplus

LONGEST_CHUNK = 2.0**12
"""Chunk sizes up to this are covered; implementations use 64 to 256."""


def check_mamba2_block(
    ledger: Ledger, block: Any, stream: Array, past: Array, states: Array, name: str
) -> tuple[Array, Array, Array]:
    """One step of one Mamba-2 block in exact arithmetic, with all its obligations. O(rows * weights not zero).

    Args:
        ledger: where to record.
        block: a ``transformers`` ``Mamba2Block``.
        stream: residual vectors, shape (rows, d_model).
        past: the convolution's past inputs, shape (rows, conv_dim, taps).
        states: SSM states, shape (rows, heads, head_dim, d_state).
        name: for messages.

    Returns:
        The residual vectors, convolution inputs and states afterwards; they are the step function's own wherever
        every obligation holds.
    """
    mixer = block.mixer
    stored = FORMATS[mixer.in_proj.weight.dtype]
    d_inner, n, heads = mixer.intermediate_size, mixer.ssm_state_size, mixer.num_heads
    _check_settings(ledger, mixer, len(stream), name)
    normed = rms_norm(ledger, block.norm, stream, stored, f"{name} norm")
    in_bias = None if mixer.in_proj.bias is None else as_array(mixer.in_proj.bias)
    projected = check_sum(ledger, as_array(mixer.in_proj.weight), normed, in_bias, stored, f"{name} in_proj")
    z, u, dt = np.split(projected, [d_inner, d_inner + mixer.conv_dim], axis=1)
    window = np.concatenate([past[:, :, 1:], u[:, :, None]], axis=2)
    conv_bias = np.zeros(u.shape[1]) if mixer.conv1d.bias is None else as_array(mixer.conv1d.bias)
    bias = np.broadcast_to(conv_bias[:, None], (*u.shape, 1))
    terms = np.concatenate([window * as_array(mixer.conv1d.weight)[None, :, 0, :], bias], axis=2)
    convolved = silu(ledger, check_vanishing(ledger, terms, stored, f"{name} conv1d"), f"{name} conv1d")
    x, b, c = np.split(convolved, [d_inner, d_inner + n], axis=1)
    _check_constants(ledger, mixer, conv_bias, len(stream), name)

    offset = np.broadcast_to(as_array(mixer.dt_bias), dt.shape)
    steered = check_terms(ledger, np.stack([dt, offset], axis=2), stored, f"{name} dt_bias")
    delta = softplus(ledger, steered, f"{name} dt_bias")
    held = _check_gates(ledger, delta, as_array(mixer.A_log), mixer.time_step_limit, name)

    x = x.reshape(len(x), heads, -1)
    # Implementations multiply Delta, B, C and x in any order.
    delta_x, unit = delta[:, :, None] * x, (b * c).sum(axis=1)[:, None, None]
    written = delta_x[..., None] * b[:, None, None, :]
    for product in (delta[:, :, None] * b[:, None, :], b[:, None, None, :] * x[..., None], written):
        ledger.note("sums", fits(product, ACCUMULATOR), f"{name} write")
    for product in (delta_x, np.broadcast_to(unit, delta_x.shape), unit * delta_x):
        ledger.note("sums", fits(product, ACCUMULATOR), f"{name} products of a chunk")
    ledger.note("gates", ~held[:, :, None, None] | (written == 0), f"{name}: a gate of 1 with a write")
    new = np.where(held[:, :, None, None], states, 0.0) + written
    ledger.note("sums", fits(new, stored), f"{name} state")

    skip = x * as_array(mixer.D)[None, :, None]
    ledger.note("sums", fits(skip, stored), f"{name} D x")
    read_terms = np.concatenate([new * c[:, None, None, :], skip[..., None]], axis=3)
    ledger.note("sums", fits(read_terms, stored), f"{name} C h")
    read = check_terms(ledger, read_terms, stored, f"{name} read").reshape(len(x), -1)
    gated = read * silu(ledger, z, f"{name} gate branch")
    ledger.note("sums", fits(gated, ACCUMULATOR), f"{name} gating")
    scaled = rms_norm(ledger, mixer.norm, gated, stored, f"{name} norm after the scan")
    out_bias = None if mixer.out_proj.bias is None else as_array(mixer.out_proj.bias)
    out = check_sum(ledger, as_array(mixer.out_proj.weight), scaled, out_bias, stored, f"{name} out_proj")
    residual = ACCUMULATOR if block.residual_in_fp32 else stored
    return check_terms(ledger, np.stack([stream, out], axis=2), residual, f"{name} residual"), window, new


def _check_settings(ledger: Ledger, mixer: Any, rows: int, name: str) -> None:
    """Implementations disagree on the groups of the norm after the scan, unless there is one."""
    ledger.note("functions", np.full(rows, mixer.activation == "silu"), f"{name}: activation {mixer.activation}")
    ledger.note("rmsnorm", np.full(rows, mixer.n_groups == 1), f"{name}: n_groups {mixer.n_groups}, not 1")


def _check_constants(ledger: Ledger, mixer: Any, conv_bias: Array, rows: int, name: str) -> None:
    """B and C do not depend on the input, and at most one state index is used."""
    d_inner, n = mixer.intermediate_size, mixer.ssm_state_size
    silent = (as_array(mixer.in_proj.weight)[2 * d_inner : 2 * d_inner + 2 * n] == 0).all(axis=1)
    if mixer.in_proj.bias is not None:
        silent &= as_array(mixer.in_proj.bias)[2 * d_inner : 2 * d_inner + 2 * n] == 0
    constant = silent | (as_array(mixer.conv1d.weight)[d_inner:, 0, :] == 0).all(axis=1)
    ledger.note(
        "gates",
        np.full(rows, constant.all()),
        f"{name}: B or C depends on the input, which this argument does not cover",
    )
    used = (conv_bias[d_inner:] != 0).reshape(2, n).any(axis=0).sum() <= 1
    ledger.note("gates", np.full(rows, used), f"{name}: more than one state index is used")


def _check_gates(ledger: Ledger, delta: Array, a_log: Array, limit: Any, name: str) -> NDArray[np.bool_]:
    """Where the gate is 1 (elsewhere it is 0), with what chunks of any size up to :data:`LONGEST_CHUNK` need.

    Args:
        ledger: where to record.
        delta: Delta, shape (rows, heads).
        a_log: A_log, shape (heads,).
        limit: the range that Delta is clamped to.
        name: for messages.
    """
    held: NDArray[np.bool_] = delta == 0
    # Well inside the range: where Delta is 0, Delta A is 0 for any finite A.
    ledger.note("functions", np.broadcast_to(a_log <= 64.0, delta.shape), f"{name} A_log: exp")
    ledger.note("functions", held | (a_log == 0)[None], f"{name}: exp(A_log) is not exactly 1 where Delta is not 0")
    ledger.note("functions", held | (-delta <= VANISHES_BELOW), f"{name} gate: exp")
    exact = (delta == np.rint(delta)) & (delta * LONGEST_CHUNK <= 2.0**ACCUMULATOR.bits)
    ledger.note("sums", exact, f"{name}: sums of Delta A over a chunk")
    low, high = (float(bound) for bound in limit)
    ledger.note("functions", (delta >= low) & (delta <= high), f"{name}: Delta is clamped to {limit}")
    return held
