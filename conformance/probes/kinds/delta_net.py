"""Probes as weights of Gated DeltaNet layers, under the names of OLMo Hybrid; how other models dress them is theirs.

So that any correct float32 implementation gives the probe's integers at every chunk size (T = 2^10):

- alpha = exp(-softplus(a)) with a = T or more where a head forgets, and -T or less where not: 0 or 1. A_log = 0, so
  that logarithms are multiples of T and their sums exact in any order; -50 in heads that keep.
- beta = limit * sigmoid(b) with b a multiple of T: 0, half of the limit, or the limit.
- Keys have 1, 4 or 16 entries that are T times a power of two, so that their length is a power of two and absorbs the
  epsilon; entries that were normed are 1, 1/2 or 1/4.
- Values are T times integers, the carrier is C = 2^44: the squares of all others sum to less than 2^-24 of its. In a
  head of n 4^j columns n are carriers, all alike, and the norm is an exact division by C / 2^j.
- Every row of o_proj takes back a weight of the norm of its column's own.

The last layer is one of attention, which configurations demand; its weights are zero, and it adds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....models.olmo_hybrid import OlmoHybridShape
from ....models.weights import ModelWeights, Tensor
from ..delta import Column, DeltaBlock, Head
from ..probe import ONE, Form, Line, Program, unbiased
from .kind import KEEPS, Lowered, Residual, T, constants_of, head_rows

CARRIER_SIZE = 2.0**44
SPARE = Column("", "nothing", "an unused column", writes={})
CARRIER = Column("", "carries the norm behind the head", "the norm behind the head", writes={})


def lower(probe: Program, limit: int) -> Lowered:
    """The probe as weights of an OLMo Hybrid whose beta is at most ``limit``. O(number of weights)."""
    blocks = [block for block in probe.blocks if isinstance(block, DeltaBlock)]
    columns = max(len(head.columns) for block in blocks for head in block.heads)
    size = next(size for size in (4, 8, 16, 32) if columns + constants_of(size)[0] <= size)
    coordinates = max(block.coordinates for block in blocks)
    residual = Residual.of(probe)
    shape = OlmoHybridShape(
        d_model=residual.d_model,
        n_layers=len(blocks) + 1,
        vocab_size=probe.vocabulary,
        d_state=next(n for n in (1, 4, 16, 64) if coordinates <= n),
        d_conv=probe.d_conv,
        heads=max(len(block.heads) for block in blocks),
        value_dim=size,
        units=max(1, *(len(block.units) for block in blocks)),
    )
    tensors = {
        shape.embedding: residual.wide(probe, probe.embedding()).astype(np.float32),
        shape.last_norm: residual.norm(2 * len(blocks)),
        "lm_head.weight": head_rows(probe, 2 * len(blocks)),
    }
    for layer, block in enumerate(blocks):
        tensors |= {f"{shape.layers}{layer}.{n}": t for n, t in _layer(block, shape, residual, layer, limit).items()}
    for name, sizes in shape.layer_tensors(len(blocks)).items():
        tensors[f"{shape.layers}{len(blocks)}.{name}"] = np.full(sizes, float("norm" in name), dtype=np.float32)
    return Lowered(ModelWeights(shape, tensors), (*(_channels(block, shape) for block in blocks), ()))


def _channels(block: DeltaBlock, shape: OlmoHybridShape) -> tuple[object, ...]:
    """What head after head puts out, and then the units."""
    carriers = (CARRIER,) * constants_of(shape.value_dim)[0]
    heads = [*block.heads, *[Head(())] * (shape.heads - len(block.heads))]
    found: list[object] = []
    for head in heads:
        found += [*carriers, *head.columns, *[SPARE] * (shape.value_dim - len(carriers) - len(head.columns))]
    return (*found, *block.units, *[SPARE] * (shape.units - len(block.units)))


def rate(head: Head, limit: int) -> Form:
    """b / T: beta is half of the limit where this is 0, none of it below, and all of it above."""
    assert not (head.halves if limit == 2 else head.turns), "no such beta"
    whole, half = (head.turns, head.replaces) if limit == 2 else (head.replaces, head.halves)
    found = {ONE: -1}
    for form, weight in ((whole, 2), (half, 1)):
        for name, value in form.items():
            found[name] = found.get(name, 0) + weight * value
    return found


def _layer(block: DeltaBlock, shape: OlmoHybridShape, residual: Residual, layer: int, limit: int) -> dict[str, Tensor]:
    """The parameters of a layer."""
    w = {name: np.zeros(size, dtype=np.float32) for name, size in shape.block_tensors().items()}
    keys, size, first = shape.d_state, shape.value_dim, 2 * layer
    n, j = constants_of(size)
    own = 2.0 ** (np.arange(size) % 3 - 1.0)
    w["input_layernorm.weight"], w["post_attention_layernorm.weight"] = (residual.norm(first + i) for i in (0, 1))
    w["linear_attn.dt_bias"][:] = -T
    w["linear_attn.o_norm.weight"][:] = own
    taps = w["linear_attn.conv1d.weight"][:, 0]
    for number, head in enumerate(block.heads):
        at, out = number * keys, number * size
        places = range(out, out + n + len(head.columns))
        lines = (head.carries,) * n + tuple(column.value for column in head.columns)
        for name, start, some in (("q", 0, head.query), ("k", shape.heads * keys, head.keys)):
            _line(w[f"linear_attn.{name}_proj.weight"][at:], taps[start + at :], some, residual, first)
        _line(w["linear_attn.v_proj.weight"][out:], taps[2 * shape.heads * keys + out :], lines, residual, first)
        w["linear_attn.v_proj.weight"][out : out + n] *= CARRIER_SIZE / T
        w["linear_attn.b_proj.weight"][number] = T * residual.rows([rate(head, limit)], first)[0]
        forgets, gain = head.forgets, T * (head.hold + 1)
        row = gain * residual.rows([unbiased(forgets)], first)[0]
        for name, threshold in head.above.items():  # what the norm makes of a tiny feature, as a multiple of this
            row[residual.place[name]] = T / threshold * residual.undo(first)[residual.place[name]] / residual.gain()
        w["linear_attn.a_proj.weight"][number] = row
        w["linear_attn.dt_bias"][number] = gain * forgets.get(ONE, 0) - T * head.hold
        w["linear_attn.A_log"][number] = KEEPS if head.keeps else 0.0
        gates = residual.rows([column.gate for column in head.columns], first)
        w["linear_attn.g_proj.weight"][out + n : out + n + len(head.columns)] = T * gates
        for place, column in zip(places[n:], head.columns, strict=True):
            for name, value in column.written.items():
                row = w["linear_attn.o_proj.weight"][residual.place[name]]
                row[place] = value * CARRIER_SIZE / (2.0**j * T * T * own[place - out])
    for u, unit in enumerate(block.units):
        w["mlp.gate_proj.weight"][u] = T * residual.rows([unit.gate], first + 1)[0]
        w["mlp.up_proj.weight"][u] = residual.rows([unit.times], first + 1)[0]
        for name, value in unit.written.items():
            w["mlp.down_proj.weight"][residual.place[name], u] = value / T
    return w


def _line(rows: Tensor, taps: Tensor, lines: Sequence[Line], residual: Residual, norm: int) -> None:
    """Write lines into the first rows of a projection, T times, and into those of its convolution."""
    rows[: len(lines)] = T * residual.rows([line.reads for line in lines], norm)
    for row, line in zip(taps, lines, strict=False):
        for back, tap in enumerate(reversed(line.taps if line.reads else ()), 1):
            row[-back] = tap
