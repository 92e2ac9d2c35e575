"""One block of Mamba-2 over numbers with obligations; it holds in the recurrent form and in the chunked one.

The chunked algorithm (Dao and Gu 2024, arXiv 2405.21060, section 6) takes sums of Delta A over stretches of tokens,
exponentials of differences of such sums, and products of C of one token with B of another. Therefore, beyond Mamba's
obligations:

- *Gates.* A = -1 exactly wherever Delta is not 0, and Delta is 0 or an integer between 1024 and 2^12. So the sums of
  Delta A over a chunk of up to 2^12 tokens, and their differences, are exact in any order: 0 if no state was
  overwritten between two tokens, else at most -1024, and exp makes 1 or 0 of them. Between chunks, sums of chunk totals
  may round, but a sum of zeros is 0, and one of numbers that are not positive, one of them at most -1024, stays so.
- *One product.* B and C are constants, by the weights, and at most one state index has either. So C of one token times
  B of another is one number, and the sum over positions has at most one term that is not 0: the last overwriting.
- *Delta* is not clamped, and ``chunk_size`` is at most 2^12.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .arithmetic import ACCUMULATOR, Obligations, Range, beside, choose, exactly, times
from .blocks import convolve, settle
from .parts import Bools, array

LONGEST_CHUNK = 1 << 12


def step(
    o: Obligations, block: Any, stream: Range, past: Range, ssm: Range, where: str, sums: Bools | None = None
) -> tuple[Range, Range, Range]:
    """One step of one block.

    Args:
        o: verifies.
        block: a ``transformers`` ``Mamba2Block``.
        stream: residual vectors, shape (rows, d_model).
        past: the convolution's window before, shape (rows, conv_dim, taps).
        ssm: the states before, shape (rows, heads, head_dim, states).
        where: for messages.

    Returns:
        The stream, the window and the states afterwards.
    """
    mixer, rows = block.mixer, len(stream.lo)
    d, n, heads = mixer.intermediate_size, mixer.ssm_state_size, mixer.num_heads
    _check_settings(o, mixer, where)
    normed = o.norm(block.norm, stream, f"{where} norm")
    projected = o.linear(mixer.in_proj.weight, normed, f"{where} in_proj", mixer.in_proj.bias)
    z, u, dt = (projected.map(lambda a, s=s: a[:, s]) for s in np.split(np.arange(projected.lo.shape[1]), [d, -heads]))
    window = beside([past.map(lambda a: a[:, :, 1:]), u.map(lambda a: a[:, :, None])], 2)
    convolved = convolve(o, mixer, window, where)
    x = convolved.map(lambda a: a[:, :d].reshape(rows, heads, -1, 1))
    b, c = (convolved.map(lambda a, at=at: a[:, None, None, at : at + n]) for at in (d, d + n))

    dt = beside([dt, exactly(np.zeros((1, heads)))], 0)  # where a mask hides the token: Delta is in the chunk's sums
    delta = o.softplus(o.linear(np.eye(heads), dt, f"{where} dt_bias", mixer.dt_bias), f"{where} dt_bias")
    held = delta.lo == 0
    low, high = (float(bound) for bound in mixer.time_step_limit)
    o.need("functions", (delta.lo >= low) & (delta.lo <= high), f"{where}: Delta is clamped")
    o.need("functions", array(mixer.A_log) <= 64, f"{where} A_log: exp")
    o.need("functions", held | (array(mixer.A_log) == 0), f"{where}: A is not exactly -1 where Delta is not 0")
    o.need("functions", held | (delta.lo >= 1024), f"{where} gate: exp")
    o.need("sums", held | ((delta.unit >= 0) & (delta.lo <= 2.0**24 / LONGEST_CHUNK)), f"{where}: sums over a chunk")

    delta, held = delta.map(lambda a: a[:rows, :, None, None]), held[:rows, :, None, None]
    delta_x, product = times(delta, x), times(c, b)
    write = times(delta_x, b)
    for part in (times(delta, b), delta_x, times(b, x), write):  # in the model's format in the recurrent form
        o.fits(part, f"{where} write")
    for part in (product, times(product, delta_x)):
        o.fits(part, f"{where} products of a chunk", ACCUMULATOR)
    o.need("gates", ~held | (write.lo == 0), f"{where}: a gate of 1 with a write")
    new = choose(held, ssm, write)
    o.fits(new, f"{where} state")

    terms = beside([times(new, c), times(x, exactly(array(mixer.D)[None, :, None, None]))], 3)
    o.fits(terms, f"{where} read: rounding")
    y = o.add(terms.map(lambda a: a.reshape(rows, -1)), np.arange(d) * (n + 1), f"{where} read")
    o.fits(y, f"{where} read: rounding")
    # The gate and the norm after the scan are in float32; its result is stored in the model's format.
    gated = times(y, o.silu(z, f"{where} gate branch"))
    o.fits(gated, f"{where} gating", ACCUMULATOR)
    scaled = o.norm(mixer.norm, gated, f"{where} norm after the scan")
    out = o.linear(mixer.out_proj.weight, scaled, f"{where} out_proj", mixer.out_proj.bias)
    return settle(o, block, out, stream, where), window, new


def _check_settings(o: Obligations, mixer: Any, where: str) -> None:
    """One group; B and C are the biases of the convolution alone, and one state index has them."""
    d, n = mixer.intermediate_size, mixer.ssm_state_size
    o.need("rmsnorm", mixer.n_groups == 1, f"{where}: n_groups {mixer.n_groups}, not 1")
    o.need("sums", 1 <= mixer.chunk_size <= LONGEST_CHUNK, f"{where}: chunk_size {mixer.chunk_size}")
    reads = np.abs(array(mixer.in_proj.weight)[2 * d : 2 * d + 2 * n]).max(axis=1)
    if mixer.in_proj.bias is not None:
        reads = reads + np.abs(array(mixer.in_proj.bias)[2 * d : 2 * d + 2 * n])
    constant = ((reads == 0) | ~array(mixer.conv1d.weight)[d:, 0, :].any(axis=1)).all()
    o.need("gates", constant, f"{where}: B or C depends on the input")
    biases = np.zeros(2 * n) if mixer.conv1d.bias is None else array(mixer.conv1d.bias)[d:]
    used = {place % n for place in np.flatnonzero(biases).tolist()}
    o.need("gates", len(used) <= 1, f"{where}: more than one state index is used")
