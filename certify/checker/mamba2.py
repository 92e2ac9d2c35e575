"""The checker's Mamba-2 block: one step in integer arithmetic, with its obligations (``certificate_checker``).

It shares no code with ``compiler.obligations_mamba2``, which makes the certificates. What is verified beyond Mamba's
obligations is what the chunked algorithm needs: Delta A is 0 or an integer between -2^12 and -1024, with A exactly -1;
so the sums over a chunk of up to 2^12 tokens, and their differences, are exact, and exp makes 1 or 0 of them. And B
and C are constants with at most one state index, so that a product of C at one token with B at another is one number.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .certificate import ACCUMULATOR, _array, _bias, _Dyadic, _exact, _join, _Obligations

CHUNK_BITS = 12


def mamba2_block(
    obligations: _Obligations, block: Any, stream: _Dyadic, past: _Dyadic, ssm: _Dyadic, where: str
) -> tuple[_Dyadic, _Dyadic, _Dyadic]:
    """The stream, the convolution's inputs and the SSM state after one step.

    Args:
        obligations: verifies, and rejects at the first failure.
        block: a ``transformers`` ``Mamba2Block``.
        stream: shape (rows, d_model).
        past: the convolution's window before, shape (rows, conv_dim, taps).
        ssm: the states before, shape (rows, heads, head_dim, d_state).
        where: for messages.
    """
    o, mixer, rows = obligations, block.mixer, len(stream.odd)
    d, n, heads = mixer.intermediate_size, mixer.ssm_state_size, mixer.num_heads
    one = _exact(np.ones((rows, 1)))
    o.need("rmsnorm", np.full(rows, mixer.n_groups == 1), f"{where}: n_groups {mixer.n_groups}, not 1")
    o.need("functions", np.full(rows, mixer.activation == "silu"), f"{where}: activation {mixer.activation}")
    normed = o.norm(block.norm, stream, f"{where} norm")
    projected = o.linear([(mixer.in_proj.weight, normed), *_bias(mixer.in_proj, one)], f"{where} in_proj")
    z, u, dt = (projected.map(lambda a, s=s: a[:, s]) for s in np.split(np.arange(projected.odd.shape[1]), [d, -heads]))

    window = _join([past.map(lambda a: a[:, :, 1:]), u.map(lambda a: a[:, :, None])], 2)
    taps = _array(mixer.conv1d.weight)[:, 0, :]
    spread = (np.eye(len(taps))[:, :, None] * taps[None]).reshape(len(taps), -1)
    flat = window.map(lambda a: a.reshape(rows, -1))
    convolved = o.linear([(spread, flat), *_bias(mixer.conv1d, one)], f"{where} conv1d")
    x = o.function("silu", convolved, f"{where} conv1d")
    _check_b_and_c(o, mixer, rows, where)
    b, c = (x.map(lambda a, s=s: a[:, None, None, s : s + n]) for s in (d, d + n))
    x = x.map(lambda a: a[:, :d].reshape(rows, heads, -1, 1))

    offset = (_array(mixer.dt_bias)[:, None], one)
    before = o.linear([(np.eye(heads), dt), offset], f"{where} dt_bias")
    delta = o.function("softplus", before, f"{where} dt_bias")
    size, held = delta.floats(), delta.odd == 0
    a_log = _array(mixer.A_log)[None]
    low, high = (float(bound) for bound in mixer.time_step_limit)
    o.need("functions", (size >= low) & (size <= high), f"{where}: Delta is clamped")
    o.need("functions", np.broadcast_to(a_log <= 64, size.shape), f"{where} A_log: exp")
    o.need("functions", held | (a_log == 0), f"{where}: A is not exactly -1 where Delta is not 0")
    o.need("functions", held | (size >= 1024), f"{where} gate: exp")
    o.need("sums", held | ((delta.exp >= 0) & (size <= 2.0 ** (24 - CHUNK_BITS))), f"{where}: sums over a chunk")

    delta, held = delta.map(lambda a: a[:, :, None, None]), held[:, :, None, None]
    delta_x, write = delta * x, delta * b * x
    for product in (delta * b, delta_x, b * x, write):
        o.need("sums", o.fits(product, ACCUMULATOR), f"{where} write")
    for product in (c * b, (c * b) * delta_x):
        o.need("sums", o.fits(product, ACCUMULATOR), f"{where} products of a chunk")
    o.need("gates", ~held | (write.odd == 0), f"{where}: a gate of 1 with a write")
    new = _Dyadic(np.where(held, ssm.odd, write.odd), np.where(held, ssm.exp, write.exp))
    o.need("sums", o.fits(new), f"{where} state")

    seen, skip = new * c, x * _exact(mixer.D).map(lambda a: a[None, :, None, None])
    terms = _join([seen, skip], 3)
    o.need("sums", o.fits(terms), f"{where} read: rounding")
    read, good = o.add(terms.map(lambda a: a.reshape(rows, -1)), np.arange(d) * (n + 1))
    o.need("sums", good, f"{where} read")
    gated = read * o.function("silu", z, f"{where} gate branch")
    o.need("sums", o.fits(gated, ACCUMULATOR), f"{where} gating")
    # The norm reads float32 numbers, and its result is stored in the model's format.
    scaled = o.norm(mixer.norm, gated, f"{where} norm after the scan")
    out = o.linear([(mixer.out_proj.weight, scaled), *_bias(mixer.out_proj, one)], f"{where} out_proj")
    same = np.eye(stream.odd.shape[1])
    residual = ACCUMULATOR if block.residual_in_fp32 else None
    return o.linear([(same, out), (same, stream)], f"{where} residual", residual), window, new


def _check_b_and_c(o: _Obligations, mixer: Any, rows: int, where: str) -> None:
    """B and C are the biases of the convolution alone, and one state index has them."""
    d, n = mixer.intermediate_size, mixer.ssm_state_size
    taps, reading = _array(mixer.conv1d.weight)[d:, 0, :], _array(mixer.in_proj.weight)[2 * d : 2 * d + 2 * n]
    reads = np.abs(reading).max(axis=1)
    if mixer.in_proj.bias is not None:
        reads = reads + np.abs(_array(mixer.in_proj.bias)[2 * d : 2 * d + 2 * n])
    constant = ((reads == 0) | ~taps.any(axis=1)).all()
    o.need("gates", np.full(rows, constant), f"{where}: B or C depends on the input")
    biases = np.zeros(2 * n) if mixer.conv1d.bias is None else _array(mixer.conv1d.bias)[d:]
    used = {place % n for place in np.flatnonzero(biases).tolist()}
    o.need("gates", np.full(rows, len(used) <= 1), f"{where}: more than one state index is used")
