"""One block of Mamba, Falcon-Mamba, Longhorn or the signed Mamba, over numbers with obligations: a line per operation.

Everything that the real block computes is computed here, used or not, so that all of it is finite and exact. ``step``
is the whole block; its parts serve the arguments about counters, which know some of the numbers as ranges only.

Every activation is rounded to the model's format where ``transformers`` rounds it, and the results fit both that format
and float32, so that a wider format changes nothing. In float32 are: Delta B x, the gates and the states until they are
stored, and the residual stream (in the model's format if ``residual_in_fp32`` is false).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .arithmetic import (
    ACCUMULATOR,
    IDENTITY,
    LARGEST,
    ROUNDS_TO_ONE,
    VANISHES,
    Obligations,
    Range,
    beside,
    choose,
    exactly,
    times,
)
from .parts import Bools, array


class Selected(NamedTuple):
    """What a block computes from its convolution's window.

    Attributes:
        x: after the convolution, shape (rows, channels).
        delta: shape (rows, channels).
        held: where the gate is 1 or -1, not 0, shape (rows, channels, states).
        turned: where it is -1 if it is not 0, shape (rows, channels, 1).
        b: shape (rows, states).
        c: shape (rows, states).
        write: Delta B x, shape (rows, channels, states).
    """

    x: Range
    delta: Range
    held: Bools
    turned: Bools
    b: Range
    c: Range
    write: Range


def project(o: Obligations, block: Any, stream: Range, where: str) -> tuple[Range, Range]:
    """The inputs of the convolution and of the gate branch, shape (rows, channels) each."""
    d, normed = block.mixer.intermediate_size, o.norm(block.norm, stream, f"{where} norm")
    projected = o.linear(block.mixer.in_proj.weight, normed, f"{where} in_proj", block.mixer.in_proj.bias)
    return projected.map(lambda a: a[:, :d]), projected.map(lambda a: a[:, d:])


def tapped(o: Obligations, mixer: Any, window: Range, where: str) -> Range:
    """The convolution at the end of a window, shape (rows, channels, taps), before silu."""
    taps = array(mixer.conv1d.weight)[:, 0, :]
    spread = (np.eye(len(taps))[:, :, None] * taps[None]).reshape(len(taps), -1)
    flat = window.map(lambda a: a.reshape(len(a), -1))
    return o.linear(spread, flat, f"{where} conv1d", mixer.conv1d.bias)


def convolve(o: Obligations, mixer: Any, window: Range, where: str) -> Range:
    """silu of it."""
    return o.silu(tapped(o, mixer, window, where), f"{where} conv1d")


def select(o: Obligations, block: Any, window: Range, where: str) -> Selected:
    """What the block computes from the convolution's window, shape (rows, channels, taps)."""
    mixer = block.mixer
    rank, n = mixer.time_step_rank, mixer.ssm_state_size
    x = convolve(o, mixer, window, where)
    selected = o.linear(mixer.x_proj.weight, x, f"{where} x_proj")
    parts = np.split(np.arange(rank + 2 * n), [rank, rank + n])
    dt, b, c = (selected.map(lambda a, at=at: a[:, at]) for at in parts)
    children = dict(mixer.named_children())
    if "dt_layernorm" in children:  # Falcon-Mamba
        dt, b, c = (
            o.plain_norm(children[f"{name}_layernorm"], part, f"{where} norm of {name}")
            for name, part in (("dt", dt), ("b", b), ("c", c))
        )
    if not hasattr(mixer, "A_log"):  # Longhorn: k and q stand where B and C do
        delta, held = regressed(o, affine(o, mixer.dt_proj, dt, f"{where} dt_proj"), b, where)
        never = np.zeros((len(x.lo), x.lo.shape[1], 1), dtype=bool)
        return Selected(x, delta, held, never, b, c, written(o, delta, b, x, where))
    delta = o.softplus(affine(o, mixer.dt_proj, dt, f"{where} dt_proj"), f"{where} dt_proj")
    turned = np.zeros((len(x.lo), x.lo.shape[1], 1), dtype=bool)
    if "sign_proj" in children:
        signs = affine(o, mixer.sign_proj, dt, f"{where} sign_proj")
        good = (signs.lo >= 64) | (signs.hi <= -64)  # 1 - tanh(64) < 2^-183
        o.need("functions", good, f"{where} sign_proj: tanh")
        turned = signs.lo[:, :, None] < 0
    held = gates(o, mixer, delta, where)
    return Selected(x, delta, held, turned, b, c, written(o, delta, b, x, where))


def gates(o: Obligations, mixer: Any, delta: Range, where: str) -> Bools:
    """Where exp(Delta A) is 1, not 0, shape (rows, channels, states)."""
    with np.errstate(over="ignore"):
        rate = np.exp(array(mixer.A_log))
    least, most = (bound[:, :, None] * np.minimum(rate, LARGEST)[None] for bound in (delta.lo, delta.hi))
    held = most <= ROUNDS_TO_ONE
    o.need("functions", rate <= 2.0**100, f"{where} A_log: exp")
    o.need("functions", held | ((least >= 1024) & (most <= LARGEST)), f"{where} gate: exp")
    return np.asarray(held)


def regressed(o: Obligations, step: Range, key: Range, where: str) -> tuple[Range, Bools]:
    """Longhorn's Delta, shape (rows, channels), and where 1 - Delta k^2 is 1, not 0, shape (rows, channels, states).

    beta is 0 or 1, and so Delta is 0, or 1 / |k|^2 for a key with one entry, a power of two so large that 1 vanishes
    beside its square in every format up to float64.
    """
    o.need("functions", (step.hi <= VANISHES) | (step.lo >= IDENTITY), f"{where} dt_proj: sigmoid")
    beta = step.lo >= IDENTITY
    square = times(key, key)
    size = square.lo.sum(axis=1)
    o.need("functions", size <= LARGEST, f"{where}: |k|^2 may overflow")  # beta, even 0, is divided by it
    single = (key.lo == key.hi).all(axis=1) & ((key.lo != 0).sum(axis=1) == 1)
    exponent = np.frexp(np.maximum(size, 1.0))[1] - 1
    alone = single & (size == np.ldexp(1.0, exponent)) & (size >= 2.0**54) & (size <= LARGEST)
    o.need("functions", ~beta | alone[:, None], f"{where}: 1 + |k|^2")
    o.fits(square, f"{where} k^2", ACCUMULATOR)
    delta = exactly(np.where(beta, np.ldexp(1.0, -exponent)[:, None], 0.0))
    o.fits(delta, f"{where} Delta", ACCUMULATOR)
    return delta, ~(beta[:, :, None] & (key.lo != 0)[:, None, :])


def affine(o: Obligations, projection: Any, dt: Range, where: str) -> Range:
    """A projection of dt; the product is stored before the bias is added."""
    o.linear(projection.weight, dt, where)
    return o.linear(projection.weight, dt, where, projection.bias)


def written(o: Obligations, delta: Range, b: Range, x: Range, where: str) -> Range:
    """Delta B x, shape (rows, channels, states); implementations multiply in any order, in float32."""
    delta, x = (part.map(lambda a: a[:, :, None]) for part in (delta, x))
    b = b.map(lambda a: a[:, None, :])
    scaled = times(delta, b)
    for product in (scaled, times(delta, x), times(b, x), write := times(scaled, x)):
        o.fits(product, f"{where} write", ACCUMULATOR)
    return write


def read(o: Obligations, mixer: Any, state: Range, c: Range, skip: Range, gate: Range, where: str) -> Range:
    """What the block adds to the stream, from its states (rows, channels, states), C, D x and the gate branch."""
    seen = times(state, c.map(lambda a: a[:, None, :]))
    d, n = seen.lo.shape[1:]
    skip = skip.map(lambda a: np.broadcast_to(a, (len(seen.lo), d)))
    terms = beside([seen, skip.map(lambda a: a[:, :, None])], 2)
    alone = o.add(seen.map(lambda a: a.reshape(len(a), -1)), np.arange(d) * n, f"{where} read")
    y = o.add(terms.map(lambda a: a.reshape(len(a), -1)), np.arange(d) * (n + 1), f"{where} read")
    gated = times(y, gate)
    for part in (alone, skip, y, gated):
        o.fits(part, f"{where} read: rounding")
    return o.linear(mixer.out_proj.weight, gated, f"{where} out_proj", mixer.out_proj.bias)


def settle(o: Obligations, block: Any, out: Range, stream: Range, where: str) -> Range:
    """The residual sum."""
    pair = beside([out.map(lambda a: a[:, :, None]), stream.map(lambda a: a[:, :, None])], 2)
    starts = np.arange(stream.lo.shape[1]) * 2
    total = o.add(pair.map(lambda a: a.reshape(len(a), -1)), starts, f"{where} residual")
    o.fits(total, f"{where} residual: rounding", ACCUMULATOR if block.residual_in_fp32 else None)
    return total


def step(
    o: Obligations, block: Any, stream: Range, past: Range, ssm: Range, where: str, sums: Bools | None = None
) -> tuple[Range, Range, Range]:
    """One step of one block.

    Args:
        o: verifies.
        block: the ``transformers`` block, or a signed one.
        stream: residual vectors, shape (rows, d_model).
        past: the convolution's window before, shape (rows, channels, taps).
        ssm: the states before, shape (rows, channels, states).
        where: for messages.
        sums: which states may add up, shape (channels, states), none by default: those of whose numbers any two have
            an exact difference. A segment of a scan then holds one of them, or a difference of two, in any order.

    Returns:
        The stream, the window and the states afterwards.
    """
    u, z = project(o, block, stream, where)
    window = beside([past.map(lambda a: a[:, :, 1:]), u.map(lambda a: a[:, :, None])], 2)
    s = select(o, block, window, where)
    adds = s.held & (s.write.lo != 0)
    exact = np.zeros(adds.shape[1:], dtype=bool) if sums is None else sums
    o.need("gates", ~adds | (exact & ~s.turned), f"{where}: a gate of 1 with a write")
    turned = exactly(np.where(s.turned, -1.0, 1.0))
    new = choose(s.held, times(ssm, turned), s.write)
    if adds.any():
        new = choose(adds, exactly(ssm.lo + s.write.lo), new)
    o.fits(new, f"{where} state")
    gate, skip = o.silu(z, f"{where} gate branch"), times(s.x, exactly(block.mixer.D))
    out = read(o, block.mixer, new, s.c, skip, gate, where)
    return settle(o, block, out, stream, where), window, new
