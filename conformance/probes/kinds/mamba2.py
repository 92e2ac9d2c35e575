"""Probes as weights of a Mamba-2.

Delta comes straight from in_proj there, and B and C have lines of the convolution of their own. Delta, A and D belong
to a head: neighbouring channels that agree in them share one. So that any correct float32 implementation gives the
probe's integers at every chunk size:

- Delta A is 0 or a multiple of -2^10 (A_log = 0) in heads that forget: sums over a chunk are exact in any order, and so
  are their differences, of which exp makes 1 or 0. Heads that keep have A_log = -50: exp of any such sum is 1.
- The norm after the scan is carried by F = 2^60 in n channels of d_inner = n 4^j: an exact multiplication by 2^(j-60),
  as long as the squares of all others sum to less than 2^96, half a unit in the last place of F^2. Its weight brings
  every channel back, times a power of two that differs between neighbours and that out_proj undoes.

One probe is Mamba-2's own: gates strictly between 0 and 1, which are compared (:func:`decay`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np

from ....models.mamba2 import Mamba2Shape
from ....models.weights import ModelWeights, Tensor
from ...case import Case
from ..posed import APART, Posed
from ..probe import BOS, EVERY, NEVER, ONE, Block, Channel, Form, Line, Probe, unbiased
from .kind import KEEPS, Kind, Lowered, Residual, T, around_blocks, constants_of, in_blocks

UNIT = 2.0**5
"""Of B, C and the gate branch: silu(32) = 32, and silu(-128) = 0, in float32."""
NORM_EXPONENT = 60
HEADS_MULTIPLE = 8
STATE_MULTIPLE = 4
"""With 8 k heads and 4 k states, in_proj has a multiple of 8 rows, which causal-conv1d asks for."""

FILLER = Channel("", "nothing", "an unused channel", gate={}, writes={})
CARRIER = Channel("", "carries the norm after the scan", "the norm after the scan", gate={}, writes={})


def heads_of(block: Block, head_dim: int) -> tuple[tuple[Channel, ...], ...]:
    """The channels by heads: neighbours with one Delta, A and D."""
    found: list[list[Channel]] = []
    for channel in block.channels:
        assert channel.keeps in (EVERY, frozenset()), "a head keeps all entries of d_state or none"
        assert channel.keeps or not channel.fine, "only heads that keep may have a fine Delta"
        if not (found and len(found[-1]) < head_dim and _head(channel) == _head(found[-1][0])):
            found.append([])
        found[-1].append(channel)
    return tuple(map(tuple, found))


def _head(channel: Channel) -> tuple[object, ...]:
    return channel.delta, channel.above, channel.keeps, channel.fine, channel.skip


def lower(probe: Probe) -> Lowered:
    """The probe as weights. O(number of weights)."""
    residual, head_dim = Residual.of(probe), probe.head_dim
    layers = [heads_of(block, head_dim) for block in probe.blocks]
    heads = max(HEADS_MULTIPLE, residual.d_model // head_dim)
    while heads <= max(map(len, layers)):  # the last head carries the norm
        heads *= 2
    shape = Mamba2Shape(
        d_model=residual.d_model,
        n_layers=len(layers),
        vocab_size=probe.vocabulary,
        expand=heads * head_dim // residual.d_model,
        n_heads=heads,
        d_state=-(-probe.d_state // STATE_MULTIPLE) * STATE_MULTIPLE,
        d_conv=probe.d_conv,
    )
    channels = tuple(_all_channels(layer, shape) for layer in layers)
    blocks = [
        _block_tensors(block, layers[number], channels[number], shape, residual, number)
        for number, block in enumerate(probe.blocks)
    ]
    return Lowered(ModelWeights(shape, around_blocks(probe) | in_blocks(blocks)), channels)


def _all_channels(heads: tuple[tuple[Channel, ...], ...], shape: Mamba2Shape) -> tuple[Channel, ...]:
    full = [(*head, *[FILLER] * (shape.head_dim - len(head))) for head in heads]
    full += [(FILLER,) * shape.head_dim] * (shape.n_heads - 1 - len(heads))
    carriers, _ = constants_of(shape.d_inner)
    full.append((*[CARRIER] * carriers, *[FILLER] * (shape.head_dim - carriers)))
    return tuple(channel for head in full for channel in head)


def _block_tensors(
    block: Block,
    heads: tuple[tuple[Channel, ...], ...],
    channels: tuple[Channel, ...],
    shape: Mamba2Shape,
    residual: Residual,
    layer: int,
) -> dict[str, Tensor]:
    w = {n: np.zeros(size, dtype=np.float32) for n, size in shape.block_tensors().items() if n != "norm.weight"}
    d_inner, n = shape.d_inner, shape.d_state
    entries = [(d_inner, block.b, UNIT), (d_inner + n, block.c, UNIT)] if block.remembers else []
    for first, lines, unit in ((0, tuple(channel.x for channel in channels), T), *entries):
        reads = residual.rows([line.reads for line in lines], layer)
        w["mixer.in_proj.weight"][d_inner + first : d_inner + first + len(lines)] = reads
        for number, line in enumerate(lines, first):
            for back, tap in enumerate(reversed(line.taps if line.reads else ()), 1):
                w["mixer.conv1d.weight"][number, 0, -back] = unit * tap
            w["mixer.conv1d.bias"][number] = unit * line.bias
    w["mixer.A_log"][:] = 0.0
    w["mixer.dt_bias"][:] = -T
    w["mixer.D"][:] = T * UNIT * UNIT
    for k, head in enumerate(heads):
        first_of = head[0]
        scale = 2.0**-first_of.fine
        delta = first_of.delta or NEVER
        w["mixer.A_log"][k] = KEEPS if first_of.keeps else 0.0
        w["mixer.D"][k] = first_of.skip * T * UNIT * UNIT * scale  # Delta, B and C of a write
        w["mixer.dt_bias"][k] = T * delta.get(ONE, 0) * scale
        row = w["mixer.in_proj.weight"][2 * d_inner + 2 * n + k]
        row[:] = T * scale * residual.rows([unbiased(delta)], layer)[0]
        for name, threshold in first_of.above.items():  # what the norm makes of a tiny feature, as a multiple of this
            row[residual.place[name]] = T / threshold * residual.undo(layer)[residual.place[name]] / residual.gain()
    _after_scan(w, channels, shape, residual, layer)
    return w


def _after_scan(
    w: dict[str, Tensor], channels: tuple[Channel, ...], shape: Mamba2Shape, residual: Residual, layer: int
) -> None:
    """Gate, the norm with its carriers, and out_proj."""
    _, j = constants_of(shape.d_inner)
    w["mixer.in_proj.weight"][: shape.d_inner] = UNIT * residual.rows([c.gate for c in channels], layer)
    third = 2.0 ** (NORM_EXPONENT // 3)
    assert third == T * UNIT * UNIT  # x, D (as in all heads without a skip) and the gate branch make F together
    for c, channel in enumerate(channels):
        own = 2.0 ** (c % 3 - 1)
        gain = T * UNIT * T * UNIT * UNIT * 2.0**-channel.fine  # Delta, B, x, C, and the gate branch
        w["mixer.norm.weight"][c] = 2.0 ** (NORM_EXPONENT - j) / gain * own
        for name, value in channel.written.items():
            w["mixer.out_proj.weight"][residual.place[name], c] = value / own
        if channel is CARRIER:
            w["mixer.conv1d.bias"][c] = third
            w["mixer.in_proj.weight"][c] = third * residual.rows([{ONE: 1}], layer)[0]


# -- gates between 0 and 1 ---------------------------------------------------------------------------------------------

DECAYS = ((-1.0, 2), (0.5, -2), (1.5, -1))
"""A_log and the pre-activation of Delta, by head."""
VALUES = "the values of A_log, softplus and exp, by comparison"


def left_of(a_log: float, pre: float) -> float:
    """What a step leaves of a memory: exp(-exp(A_log) softplus(pre))."""
    return math.exp(-math.exp(a_log) * math.log1p(math.exp(pre)))


def decay() -> Probe:
    """Gates strictly between 0 and 1: what a step leaves of a memory is compared with 15/16 and 17/16 of the truth.

    The second block compares, once in a word: a latch of its is cleared, if what is left exceeds its threshold. Such a
    Delta A is no multiple of 2^10, so it may occur once in a word beside one that is: a sum of two numbers is the same
    in any order. In the integers nothing decays, and the thresholds are 0 and 2 of 1; :func:`lower_decay` has the real
    ones.
    """
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}, "set": {"set": 1}, "step": {"step": 1}, "test": {"test": 1}}
    is_set = Line({"set": 1})
    levels = tuple(
        Channel(f"level {k}", "what is left", VALUES, is_set, delta={"set": 2 + k, ONE: -1 - k})  # heads of their own
        for k in range(len(DECAYS))
    )

    def latches() -> Iterator[Channel]:
        for a_log, pre in DECAYS:
            gate = f"exp(-{math.exp(a_log):.3f} softplus({pre}))"
            meaning = "set, and {}: the gate is {}"
            less, more = f"not less than {gate}", f"not more than {gate}"
            yield Channel(
                less, meaning.format("not tested since", less), VALUES, is_set, delta={"set": 2, "test": 2, ONE: -1}
            )
            yield Channel(more, meaning.format("ever", more), VALUES, is_set, delta={"set": 2, ONE: -1})

    in_order = re.compile(r"(<bos> )?(- )*(set (- )*(step (- )*(test (- )*)?)?)?")
    return Probe(
        tokens,
        (Block(levels), Block(tuple(latches()))),
        tiny={f"level {k}": 1.0 for k in range(len(DECAYS))},
        judges=lambda word: bool(in_order.fullmatch("".join(f"{t} " for t in word))),
    )


def lower_decay(probe: Probe) -> Lowered:
    """:func:`decay` as weights. All thresholds are multiples of 2^-8, so that setting a latch is exact."""
    lowered, residual = lower(probe), Residual.of(probe)
    shape, tensors = lowered.weights.shape, lowered.writable()
    assert isinstance(shape, Mamba2Shape)
    dt = [tensors[f"backbone.layers.{layer}.mixer.in_proj.weight"][-shape.n_heads :] for layer in (0, 1)]
    for k, (a_log, pre) in enumerate(DECAYS):
        tensors["backbone.layers.0.mixer.A_log"][k] = a_log
        step = -float(tensors["backbone.layers.0.mixer.dt_bias"][k]) + pre
        dt[0][k, residual.place["step"]] = step * residual.undo(0)[residual.place["step"]]
        for latch, factor in ((2 * k, 15 / 16), (2 * k + 1, 17 / 16)):
            threshold = round(left_of(a_log, pre) * factor * 256) / 256
            tensors["backbone.layers.1.mixer.dt_bias"][latch] = -T * (64 + 16 * threshold)
            for name, value in {f"level {k}": 16.0, "test": 64.0, "set": 49 + 16 * threshold}.items():
                dt[1][latch, residual.place[name]] = T * value * residual.undo(1)[residual.place[name]]
    return Lowered(ModelWeights(shape, tensors), lowered.channels)


def cases(quick: bool) -> tuple[Case, ...]:
    """What only Mamba-2 is tried on."""
    del quick
    probe = decay()
    words = probe.encoded(
        [
            [BOS, *["-"] * i, "set", *["-"] * j, "step", *["-"] * k, "test", *["-"] * (76 - i - j - k)]
            for i, j, k in ((0, 0, 0), (2, 0, 3), (1, 7, 0), (3, 66, 1), (60, 2, 2), (5, 1, 64))
        ]
    )
    posed = Posed("decay", "gates between 0 and 1, by comparison", probe, words, APART, (2, 3, 5, 64, 74))
    return (posed.case(lower_decay),)


KIND = Kind(
    lower,
    states=((4, 16), (4, 8, 16, 64, 128)),
    apart=False,
    grid=64,
    hold=(600, 3_000),  # transformers takes memory quadratic in the number of chunks
    prefill=0,
    own=cases,
)
