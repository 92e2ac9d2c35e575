"""Probes as weights of Falcon-Mamba, whose norms of dt, B and C are made divisions by powers of two.

rms(v) = v / sqrt(mean(v^2) + epsilon). A vector gets, beside the probe's entries, n constants of size G, in a width of
n 4^j (n is 1 or 2): the mean of squares is G^2 / 4^j as long as the others' squares and epsilon sum to less than 2^-25
G^2, and each entry comes out divided by G / 2^j, which is put right in what follows or in what came before. The G of
dt, B and C are different, so that a norm of two of them together is noticed, and no larger than they must be, so that
where a norm is missing the residual stream stays in range and the logits still tell which channel is wrong.

- *dt.* The rows are integers times T. dt_proj multiplies by G / 2^j.
- *B, C.* What should come out is written times G / 2^j into x_proj. It must be small beside G: B's unit is 2^-20
  anyhow; C gets the same unit, D too, and out_proj takes it back. Where B has its constants C is 0, so that what they
  write is never read; where C has its constants B is 0, so that nothing is read.

One probe is Falcon-Mamba's own: a token at which dt has no constants and is so small that epsilon decides.
"""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from ....models.mamba import FalconMambaShape, MambaShape
from ....models.weights import ModelWeights, Tensor
from ...case import Case
from ..posed import Posed, random_words
from ..probe import BOS, ONE, Block, Channel, Form, Line, Probe
from . import mamba
from .kind import Kind, Lowered, T, constants_of

G_DT, G_B, G_C = 2.0**26, 2.0**12, 2.0**10
C_UNIT = 2.0**-20
TINY = 2.0**-10
"""dt at the token that is small."""


def width(entries: int, vectors: int) -> int:
    """The narrowest power of two with room for the entries and for the constants of so many vectors."""
    found = 4
    while found < entries + vectors * constants_of(found)[0]:
        found *= 2
    return found


def divisor(total: int, constant: float) -> float:
    """What the norm of a vector of this width divides by, if its constants are of this size."""
    return constant / 2.0 ** constants_of(total)[1]


def lower(probe: Probe) -> Lowered:
    """The probe as weights of a Falcon-Mamba. O(number of weights)."""
    plain = mamba.lower(probe)
    assert isinstance(plain.weights.shape, MambaShape)
    sizes = {field.name: getattr(plain.weights.shape, field.name) for field in fields(plain.weights.shape)}
    rows, entries = sizes["dt_rank"], sizes["d_state"]
    shape = FalconMambaShape(**sizes | {"dt_rank": width(rows, 1), "d_state": width(entries, 2)})
    tensors = plain.writable()
    for layer, channels in enumerate(plain.channels):
        prefix = f"backbone.layers.{layer}.mixer."
        own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        normed = _normed(own, channels, rows, entries, shape)
        tensors |= {prefix + name: tensor for name, tensor in normed.items()}
    return Lowered(ModelWeights(shape, tensors), plain.channels)


def _normed(
    w: dict[str, Tensor], channels: tuple[Channel, ...], rows: int, entries: int, shape: FalconMambaShape
) -> dict[str, Tensor]:
    """The tensors of a Mamba block that norms change. A block without memories has dt, B and C zero."""
    rank, state = shape.dt_rank, shape.d_state
    x_proj = np.zeros((rank + 2 * state, shape.d_inner), dtype=np.float32)
    dt_proj = np.zeros((shape.d_inner, rank), dtype=np.float32)
    a_log = np.full((shape.d_inner, state), mamba.FORGETS, dtype=np.float32)  # what B's constants write must not grow
    a_log[:, :entries] = w["A_log"]
    found = {"x_proj.weight": x_proj, "dt_proj.weight": dt_proj, "A_log": a_log}
    if all(channel.delta is None for channel in channels):
        return found
    one = next(i for i, channel in enumerate(channels) if channel.x == mamba.CONSTANT_LINE)
    b, c, n = rank, rank + state, constants_of(state)[0]
    x_proj[:rows] = w["x_proj.weight"][:rows]
    x_proj[rank - constants_of(rank)[0] : rank, one] = G_DT / T
    x_proj[b : b + entries] = w["x_proj.weight"][rows : rows + entries] * divisor(state, G_B)
    x_proj[b + entries : b + entries + n, one] = G_B / T
    x_proj[c : c + entries] = w["x_proj.weight"][rows + entries :] * (divisor(state, G_C) * C_UNIT)
    x_proj[c + entries + n : c + entries + 2 * n, one] = G_C / T
    dt_proj[:, :rows] = w["dt_proj.weight"] * divisor(rank, G_DT)
    return found | {"D": w["D"] * np.float32(C_UNIT), "out_proj.weight": w["out_proj.weight"] / np.float32(C_UNIT)}


def dt_epsilon() -> Probe:
    """Latches that a token may clear whose dt, alone, has no constants: it is (TINY, 0, 0, 0).

    The norm makes TINY = v = 2^-10 into v / sqrt(v^2 / 4 + eps): 0.878 with the configured 1e-6, 0.305 with 1e-5, 1.96
    with 1e-8. The weights clear one latch from 0.6 on and the other from 1.3 on (:func:`lower_dt_epsilon`).
    """
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}, "set": {"set": 1}, "tiny": {"tiny": 1}}
    exercises, is_set = "epsilon of the norm of dt", Line({"set": 1})
    channels = (
        Channel("cleared", "set, and no tiny token since", exercises, is_set, delta={"set": 2, "tiny": 2, ONE: -1}),
        Channel("not cleared", "set, ever", exercises, is_set, delta={"set": 2, ONE: -1}),
        Channel("not tiny", "any other token", "conv1d.bias", Line({"tiny": 1}, (-1,), 1), skip=1),
    )
    return Probe(tokens, (Block(channels),))


def lower_dt_epsilon(probe: Probe) -> Lowered:
    """:func:`dt_epsilon` as weights: the constant of dt is missing at "tiny", and both latches compare its norm."""
    lowered = lower(probe)
    shape, tensors = lowered.weights.shape, lowered.writable()
    assert isinstance(shape, FalconMambaShape)
    assert shape.dt_rank == 4
    prefix = "backbone.layers.0.mixer."
    x_proj, dt_proj = tensors[prefix + "x_proj.weight"], tensors[prefix + "dt_proj.weight"]
    number = {channel.name: i for i, channel in enumerate(lowered.channels[0])}
    row = int(np.flatnonzero(x_proj[: shape.dt_rank, number["is tiny"]])[0])
    x_proj[shape.dt_rank - 1, number["is constant"]], x_proj[shape.dt_rank - 1, number["not tiny"]] = 0.0, G_DT / T
    x_proj[row, number["is tiny"]] = TINY / T
    for latch, threshold in (("cleared", 0.6), ("not cleared", 1.3)):
        dt_proj[number[latch], row] = T / threshold
    return Lowered(ModelWeights(shape, tensors), lowered.channels)


def cases(quick: bool) -> tuple[Case, ...]:
    """What only Falcon-Mamba is tried on."""
    del quick
    probe = dt_epsilon()
    return (
        Posed("dt-epsilon", "epsilon of the norm of dt", probe, random_words(probe, 3, 16, 4)).case(lower_dt_epsilon),
    )


KIND = Kind(lower, states=((1, 2, 14), (1, 2, 4, 14, 28, 62, 124)), own=cases)
"""Two entries or four of its d_state hold constants."""
