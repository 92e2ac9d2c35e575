"""Mamba as a target: one block for each of the circuit, dyadic numbers, every rounding harmless.

Everything is an integer of ``compiler.circuits.circuit``, scaled by powers of two; T = 2^10.

- *Channel.* The convolution gives T (taps . forms + bias); silu of it is T x, exactly: the identity from T on, 0 at 0,
  and -0.0 at -T and below, where the sigmoid underflows.
- *Latch.* Delta's pre-activation is T d. For d < 0 it is at most -T: Delta = softplus(-T) = 0, the gate exp(-0
  exp(A_log)) is 1 and the write 0. For d >= 1 softplus is the identity; the gate exp(-T d e^3) underflows to 0 and the
  write Delta B (T x) = d x with B = 2^-20.
- *Register.* A channel that shows a label is a latch with x = 1 and d = 2 [some label is written] + [this one is] - 1:
  it holds 2 for its own label and 1 for another. With D x = -1 it reads 1 or 0.
- *Counter.* Delta = T at letters, and A_log = -50: exp(-T e^-50) = exp(-2^-62) rounds to 1 even in float64, so nothing
  is forgotten. B = 2^-20 * (what is added), so the write is exactly that. At ``<bos>`` Delta = 2^84 and the gate
  exp(-2^84 e^-50) < exp(-3000) underflows to 0, with B = 2^-94 * (the initial value). Where neither comes (``<pad>``,
  ``<eos>``) B = 0 and nothing changes. In the other counters' entries of d_state A_log = 3, so that the gate is 0 and
  only the present write is there.
- *Reading.* C = 1 and D x = skip * x; the gate branch is silu(T gate) = T max(0, gate); out_proj has writes / T.

So each gate is exactly 0 or 1, every activation is a small multiple of a power of two, and every sum but that of
RMSNorm is exact in whatever order it is taken: the scan lemma (``docs/construction.md``) makes the parallel scan equal
to the step. RMSNorm's sum absorbs the squares of the features, and it is an exact identity, as long as they add up to
less than 2^55 (``compiler.targets.lower``); that holds for a hundred counters up to 2^24 (a certificate checks it).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from operator import itemgetter

import numpy as np

from ...models.classes import model_classes
from ...models.mamba import MAMBA, MambaShape, MambaWeights
from ...models.weights import ModelWeights
from ..circuits.circuit import Channels, Circuit, CircuitBlock, Latch, Shown
from . import float16
from .base import Lowered, Options, Target, within
from .layout import Stream, block_labels, counter_labels, dimensions, narrowest_stream
from .lower import A_LOG, BlockTensors, T, add_forms, assembled
from .tokens import vocabulary_size

A_LOG_COUNT = -50.0
DELTA_RESET = 2.0**84

Row = tuple[tuple[int, int], ...]
"""A linear form over the channels of a block, sorted: what a row of dt computes."""


def lower(circuit: Circuit, options: Options) -> Lowered:
    """Write the circuit as weights. O(number of weights)."""
    stream = narrowest_stream(circuit.features)
    shape = within(mamba_shape(circuit, stream, options), options.parameters)
    blocks = [mamba_block(block, stream, shape) for block in circuit.blocks or (CircuitBlock("nothing to do"),)]
    return labelled(circuit, stream, MambaWeights(shape, assembled(circuit, stream, blocks)))


def labelled(circuit: Circuit, stream: Stream, weights: ModelWeights) -> Lowered:
    """Weights with their meaning where each block carries out one of the circuit."""
    return Lowered(weights, dimensions(circuit, stream), block_labels(circuit), counter_labels(circuit))


def mamba_shape(circuit: Circuit, stream: Stream, options: Options) -> MambaShape:
    """The narrowest sizes that hold a circuit. Counters take a state each, whatever is asked for."""
    widest = max((len(block.channels) for block in circuit.blocks), default=0)
    counters = max((len(block.counters) for block in circuit.blocks), default=0)
    return MambaShape(
        d_model=stream.d_model,
        n_layers=circuit.n_blocks,
        vocab_size=vocabulary_size(circuit.alphabet, circuit.classes),
        expand=max(1, -(-widest // stream.d_model)),
        d_state=counters or options.d_state,
        d_conv=max(options.d_conv, circuit.window),
        dt_rank=max([1, *(len(dt_rows(block)) for block in circuit.blocks)]),
    )


def empty_block(shape: MambaShape) -> BlockTensors:
    """A block that does nothing: Delta = 0 unless a memory says otherwise."""
    w = {name: np.zeros(size, dtype=np.float32) for name, size in shape.block_tensors().items()}
    w["mixer.dt_proj.bias"][:] = -T
    return w


def latches_of(block: CircuitBlock) -> list[tuple[int, Latch]]:
    """The channels that latch, and those that show a label of a register as the latches that do it."""
    as_latches = {(s.register.name, s.label): _as_latch(s) for _, s in block.shown}
    shown = ((c, as_latches[s.register.name, s.label]) for c, s in block.shown)
    return sorted([*block.latches, *shown], key=itemgetter(0))


def _as_latch(shown: Shown) -> Latch:
    fires: dict[int, int] = {}
    for label, form in shown.register.writes.items():
        fires |= {c: weight * (3 if label == shown.label else 2) for c, weight in form.items()}
    return Latch(shown.register.name, fires, -1)


def dt_rows(block: CircuitBlock) -> tuple[Row, ...]:
    """The different linear forms that Deltas are made of."""
    forms: list[Channels] = [latch.fires for _, latch in latches_of(block)]
    forms += [{c: 1} for _, counter in block.counters for c in (counter.letter, counter.bos)]
    return tuple(dict.fromkeys(map(_row, forms)))


def _row(form: Mapping[int, int]) -> Row:
    return tuple(sorted(form.items()))


def mamba_block(block: CircuitBlock, stream: Stream, shape: MambaShape) -> BlockTensors:
    """The parameters of one block."""
    w, latches, counters = empty_block(shape), latches_of(block), block.counters
    numbers = {row: number for number, row in enumerate(dt_rows(block))}
    set_channels(w, block, stream, shape)
    x_proj, dt_proj = w["mixer.x_proj.weight"], w["mixer.dt_proj.weight"]
    for row, number in numbers.items():
        for c, weight in row:
            x_proj[number, c] = weight
    for c, latch in latches:
        w["mixer.A_log"][c] = A_LOG
        w["mixer.dt_proj.bias"][c] = T * latch.bias
        dt_proj[c, numbers[_row(latch.fires)]] = 1.0
    b_rows, c_rows = x_proj[shape.dt_rank :].reshape(2, shape.d_state, -1)
    if latches:
        assert not counters, "latches and counters of one block would share B"
        b_rows[0, block.one] = 2.0**-20 / T
        c_rows[0, block.one] = 1.0 / T
    for c, counter in counters:
        w["mixer.A_log"][c] = A_LOG
        w["mixer.A_log"][c, counter.index] = A_LOG_COUNT
        w["mixer.dt_proj.bias"][c] = 0.0
        dt_proj[c, numbers[((counter.letter, 1),)]] = 1.0
        dt_proj[c, numbers[((counter.bos, 1),)]] = DELTA_RESET / T
        for source, amount in counter.add.items():
            b_rows[counter.index, source] = amount * 2.0**-20 / T
        for source, value in {counter.bos: counter.initial, **counter.anew}.items():
            b_rows[counter.index, source] = value / DELTA_RESET / T / T
        c_rows[counter.index, block.one] = 1.0 / T
    return w


def set_channels(w: BlockTensors, block: CircuitBlock, stream: Stream, shape: MambaShape) -> None:
    """What every channel reads, is gated by, skips and writes."""
    channels, n = block.channels, len(block.channels)
    add_forms(w["mixer.in_proj.weight"], stream, [c.reads for c in channels])
    add_forms(w["mixer.in_proj.weight"][shape.d_inner :], stream, [c.gate for c in channels], T)
    add_forms(w["mixer.out_proj.weight"].T, stream, [c.writes for c in channels], 1 / T)
    for number, channel in enumerate(channels):
        w["mixer.conv1d.weight"][number, 0, -len(channel.taps) :] = [T * tap for tap in channel.taps]
    w["mixer.conv1d.bias"][:n] = [T * c.bias for c in channels]
    w["mixer.D"][:n] = [(c.skip - isinstance(c.memory, Shown)) / T for c in channels]


TARGET = Target(
    name="mamba",
    model_type=MAMBA,
    title="Mamba: transformers' MambaForCausalLM, and mamba_ssm",
    gates="nonnegative",
    dtypes=("float32", "bfloat16", "float64", "float16"),
    lower=lower,
    classes=partial(model_classes, MAMBA),
    constants={
        "T": T,
        "A_log": A_LOG,
        "A_log of counters": A_LOG_COUNT,
        "Delta at <bos> of counters": DELTA_RESET,
    },
    fit=float16.fit,
)
