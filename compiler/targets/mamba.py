"""Mamba as a target: one block per level, dyadic numbers, every sum exact.

Constants (all powers of two or exact in bfloat16): T is the "off" magnitude, V the "on" value of Delta.

- *Condition.* s = w0 u(t-1) + w1 u(t) is an integer. x = silu(T (s - theta + 1)) is T if s = theta and 0 if
  s < theta: silu(0) = 0, and silu(-T k) = -0.0 because the sigmoid underflows. If s can exceed theta, a second channel
  with theta + 1 is subtracted: silu(T (s - theta + 1)) - silu(T (s - theta)) = T.
- *Hold.* No condition holds: Delta = softplus(-T) = 0, the gate exp(-0 exp(A_log)) is 1 and the write is 0.
- *Overwrite.* One condition holds: the pre-activation of Delta is -T + (T + V) = V for the channels of other labels
  and 2V for those of the label written; softplus is the identity there; the gate exp(-V e^3) underflows to 0. The
  write is Delta B x with x = silu(V) = V and B = 2^-12: the state becomes 1 or 2.
- *Read.* C = 1 and D x = -1: y = 1 if the memory holds the channel's label, else 0.
- *Move.* The gate silu(T slot) is T if the set is active and 0 if not; out_proj adds 2^-10 T y to the target's slot
  and subtracts it from the source's.

So the memory's gate is exactly 0 or 1, every activation is a small multiple of a power of two, and every sum is exact
in whatever order it is taken: the scan lemma (``docs/construction.md``) makes the parallel scan equal to the step.

The paper's own constructions are integers of ``compiler.circuit``, scaled by powers of two:

- *Channel.* The convolution gives T (taps . forms + bias); silu of it is T x, exactly: the identity from T on, 0 at 0,
  and
  -0.0 at -T and below, where the sigmoid underflows.
- *Latch.* Delta's pre-activation is T d. For d < 0 it is at most -T: Delta = 0, the gate is 1 and the write 0. For d
  >= 1 softplus is the identity; the gate exp(-T d e^3) underflows to 0 and the write Delta B (T x) = d x with B =
  2^-20.
- *Counter.* Delta = T at letters, and A_log = -50: exp(-T e^-50) = exp(-2^-62) rounds to 1 even in float64, so nothing
  is forgotten. B = 2^-20 * (what is added), so the write is exactly that. At ``<bos>`` Delta = 2^84 and the gate
  exp(-2^84 e^-50) < exp(-3000) underflows to 0, with B = 2^-94 * (the initial value). Where neither comes (``<pad>``,
  ``<eos>``) B = 0 and nothing changes. In the other counters' entries of d_state A_log = 3, so that the gate is 0 and
  only the present write is there.
- *Reading.* C = 1 and D x = skip * x; the gate branch is silu(T gate) = T max(0, gate); out_proj has writes / T.

RMSNorm is an exact identity as long as the squares of the features sum to less than 2^55 (``compiler.lower``), which
holds for a hundred counters up to 2^24 (a certificate checks it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from ...models.classes import model_classes
from ...models.mamba import MAMBA, MambaShape, MambaWeights, Tensor
from ..circuits.circuit import Circuit, CircuitBlock, Counter, Latch
from ..circuits.program import Block, Program
from .base import Options, Target
from .layout import Channel, Stream, channels_of, stream_for
from .lower import (
    A_LOG,
    T,
    V,
    add_form,
    circuit_embedding,
    circuit_head,
    circuit_places,
    circuit_stream,
    norm_weight,
    program_embedding,
    program_head,
)
from .tokens import vocabulary_size

A_LOG_COUNT = -50.0
DELTA_RESET = 2.0**84

BlockTensors = dict[str, Tensor]
"""The parameters of one block, by their names inside it."""

Rows = tuple[tuple[tuple[int, float], ...], ...]
"""Linear forms over the channels of a block, one per row of dt."""


def lower(program: Program, options: Options) -> MambaWeights:
    """Write the program as weights. O(number of weights).

    Args:
        program: the language as blocks, without swaps.
        options: ``d_state`` states per channel, of which the first is used and the others stay zero; and ``d_conv``
            taps, of which the last two are used.
    """
    shape, stream = program_shape(program, options), stream_for(program)
    blocks = [level_block(block, stream, shape) for block in program.blocks or (None,)]
    return MambaWeights(
        shape, assembled(blocks, stream, program_embedding(program, stream), program_head(program, stream))
    )


def lower_circuit(circuit: Circuit, options: Options) -> MambaWeights:
    """Write the circuit as weights. O(number of weights). The circuit decides d_state."""
    shape, stream, place = circuit_shape(circuit, options), circuit_stream(circuit), circuit_places(circuit)
    levels = () if circuit.control is None else circuit.control.blocks
    blocks = [level_block(b, stream, shape) for b in levels] + [circuit_block(b, place, shape) for b in circuit.blocks]
    return MambaWeights(shape, assembled(blocks, stream, circuit_embedding(circuit), circuit_head(circuit)))


def program_shape(program: Program, options: Options) -> MambaShape:
    """The narrowest sizes that hold a program."""
    d_model = stream_for(program).d_model
    widest = max((block.channels for block in program.blocks), default=0)
    return MambaShape(
        d_model=d_model,
        n_layers=max(len(program.blocks), 1),
        vocab_size=vocabulary_size(program.dfa.alphabet),
        expand=max(1, -(-widest // d_model)),
        d_state=options.d_state,
        d_conv=options.d_conv,
        dt_rank=max([1, *(len(delta_rows(block)) for block in program.blocks)]),
    )


def circuit_shape(circuit: Circuit, options: Options) -> MambaShape:
    """The narrowest sizes that hold a circuit."""
    d_model = circuit_stream(circuit).d_model
    levels = () if circuit.control is None else circuit.control.blocks
    widest = max([b.channels for b in levels] + [len(b.channels) for b in circuit.blocks])
    ranks = [len(delta_rows(b)) for b in levels] + [len(dt_rows(b)) for b in circuit.blocks]
    return MambaShape(
        d_model=d_model,
        n_layers=circuit.n_blocks,
        vocab_size=vocabulary_size(circuit.alphabet),
        expand=-(-widest // d_model),
        d_state=max(1, *(len(b.counters) for b in circuit.blocks)),
        d_conv=options.d_conv,
        dt_rank=max(1, *ranks),
    )


def assembled(blocks: Sequence[BlockTensors], stream: Stream, embedding: Tensor, head: Tensor) -> dict[str, Tensor]:
    """All parameters of a model, in the order of its file; every norm is the same."""
    norm = norm_weight(stream)
    tensors: dict[str, Tensor] = {"backbone.embeddings.weight": embedding}
    for layer, block in enumerate(blocks):
        weights = block | {"norm.weight": norm.copy()}
        tensors |= {f"backbone.layers.{layer}.{name}": tensor for name, tensor in weights.items()}
    return tensors | {"backbone.norm_f.weight": norm.copy(), "lm_head.weight": head}


def empty_block(shape: MambaShape) -> BlockTensors:
    """A block that does nothing: Delta = 0 unless a memory says otherwise."""
    w = {name: np.zeros(size, dtype=np.float32) for name, size in shape.block_tensors().items()}
    w["mixer.dt_proj.bias"][:] = -T
    return w


def delta_rows(block: Block) -> tuple[int | None, ...]:
    """What each row of dt stands for: None is "some condition holds", a label "one that writes this label".

    If every label has readers, the last needs no row: its indicator is the first row less all the others.
    """
    read = {m.label for m in block.moves} - {None}
    if not read:
        return ()
    labels = [v for v in block.labels if v in read]
    return (None, *(labels[:-1] if len(labels) == len(block.labels) else labels))


def level_block(block: Block | None, stream: Stream, shape: MambaShape) -> BlockTensors:
    """The parameters of one block of a program (all silent if there is nothing to do)."""
    w = empty_block(shape)
    if block is None:
        return w
    channels, rows = channels_of(block), delta_rows(block)
    for channel in channels:
        if channel.condition is not None:
            _set_condition(w, channel, stream, rows)
        else:
            # A memory holds 1, or 2 for the channel's own label.
            held = channel.role == "memory"
            set_move(w, channel, stream, shape, offset=-1.0 if held else 1.0)
    memories = [c for c in channels if c.role == "memory"]
    for channel in memories:
        _set_memory(w, channel, block, rows)
    if memories:
        # B and C are constants; the x of any memory channel is the constant V.
        source, r, n = memories[0].index, shape.dt_rank, shape.d_state
        w["mixer.x_proj.weight"][r, source] = 2.0**-12 / V
        w["mixer.x_proj.weight"][r + n, source] = 1.0 / V
    return w


def _set_condition(w: dict[str, Tensor], channel: Channel, stream: Stream, rows: tuple[int | None, ...]) -> None:
    condition = channel.condition
    assert condition is not None
    set_threshold(w, channel, stream)
    for row, label in enumerate(rows):
        if label is None or label == condition.label:
            w["mixer.x_proj.weight"][row, channel.index] = -1.0 if channel.role == "excess" else 1.0


def set_threshold(w: dict[str, Tensor], channel: Channel, stream: Stream) -> None:
    """The channel's x is T if its condition holds, else 0 (for an excess channel: T times what it overshoots by)."""
    condition = channel.condition
    assert condition is not None
    c, excess = channel.index, channel.role.endswith("excess")
    for slot, weight in condition.slots.items():
        w["mixer.in_proj.weight"][c, stream.slot(slot)] = weight
    for letter, weight in condition.letters.items():
        w["mixer.in_proj.weight"][c, stream.letter(letter)] = weight
    w["mixer.conv1d.weight"][c, 0, -2:] = T * condition.taps[0], T * condition.taps[1]
    w["mixer.conv1d.bias"][c] = T * (1 - condition.theta - excess)


def set_move(
    w: dict[str, Tensor],
    channel: Channel,
    stream: Stream,
    shape: MambaShape,
    *,
    offset: float = 1.0,
    scale: float = 1.0,
) -> None:
    """A channel that carries a feature: y = (what its memory holds) + offset, times ``scale`` at the output."""
    move = channel.move
    assert move is not None
    c = channel.index
    w["mixer.conv1d.bias"][c] = V  # x = silu(V) = V, a constant
    w["mixer.D"][c] = offset / V
    w["mixer.in_proj.weight"][shape.d_inner + c, stream.slot(move.source)] = T
    w["mixer.out_proj.weight"][stream.slot(move.source), c] = -scale / T
    w["mixer.out_proj.weight"][stream.slot(move.target), c] = scale / T


def _set_memory(w: dict[str, Tensor], channel: Channel, block: Block, rows: tuple[int | None, ...]) -> None:
    assert channel.move is not None
    c, label = channel.index, channel.move.label
    w["mixer.A_log"][c, :] = A_LOG
    dt = w["mixer.dt_proj.weight"]
    dt[c, 0] = 1.0 + V / T
    if label in rows:
        dt[c, rows.index(label)] = V / T
    elif label in block.labels:  # the label without a row: "some condition" less all other labels
        dt[c, 0] = 1.0 + 2 * V / T
        dt[c, 1 : len(rows)] = -V / T


def dt_rows(block: CircuitBlock) -> Rows:
    """The different linear forms that Deltas are made of."""
    rows: dict[tuple[tuple[int, float], ...], None] = {}
    for _, latch in block.latches:
        rows[_row(latch)] = None
    if block.counters:
        assert block.letter is not None
        assert block.bos is not None
        rows[((block.letter, 1.0),)] = None
        rows[((block.bos, 1.0),)] = None
    return tuple(rows)


def _row(latch: Latch) -> tuple[tuple[int, float], ...]:
    return tuple(sorted((c, float(w)) for c, w in latch.fires.items()))


def circuit_block(block: CircuitBlock, place: Mapping[str, int], shape: MambaShape) -> BlockTensors:
    """The parameters of one block of a circuit."""
    w, rows = empty_block(shape), dt_rows(block)
    set_channels(w, block, place, shape)
    for number, row in enumerate(rows):
        for c, weight in row:
            w["mixer.x_proj.weight"][number, c] = weight
    for c, latch in block.latches:
        w["mixer.A_log"][c] = A_LOG
        w["mixer.dt_proj.weight"][c, rows.index(_row(latch))] = 1.0
        w["mixer.dt_proj.bias"][c] = T * latch.bias
    r, n = shape.dt_rank, shape.d_state
    b_rows, c_rows = w["mixer.x_proj.weight"][r : r + n], w["mixer.x_proj.weight"][r + n :]
    if block.latches:
        b_rows[0, block.one] = 2.0**-20 / T
        c_rows[0, block.one] = 1.0 / T
    for c, counter in block.counters:
        _set_counter(w, block, c, counter, rows)
        for source, amount in counter.add.items():
            b_rows[counter.index, source] = amount * 2.0**-20 / T
        b_rows[counter.index, block.bos] = counter.initial / DELTA_RESET / T / T
        c_rows[counter.index, block.one] = 1.0 / T
    return w


def set_channels(w: BlockTensors, block: CircuitBlock, place: Mapping[str, int], shape: MambaShape) -> None:
    """What every channel of a circuit reads, is gated by, skips and writes."""
    for c, channel in enumerate(block.channels):
        add_form(w["mixer.in_proj.weight"][c], place, channel.reads, 1.0)
        add_form(w["mixer.in_proj.weight"][shape.d_inner + c], place, channel.gate, T)
        w["mixer.conv1d.weight"][c, 0, -2:] = T * channel.taps[0], T * channel.taps[1]
        w["mixer.conv1d.bias"][c] = T * channel.bias
        w["mixer.D"][c] = channel.skip / T
        for name, value in channel.writes.items():
            w["mixer.out_proj.weight"][place[name], c] = value / T


def _set_counter(w: dict[str, Tensor], block: CircuitBlock, c: int, counter: Counter, rows: Rows) -> None:
    assert not block.latches, "latches and counters of one block would share B"
    assert block.letter is not None
    assert block.bos is not None
    w["mixer.A_log"][c] = A_LOG
    w["mixer.A_log"][c, counter.index] = A_LOG_COUNT
    w["mixer.dt_proj.bias"][c] = 0.0
    w["mixer.dt_proj.weight"][c, rows.index(((block.letter, 1.0),))] = 1.0
    w["mixer.dt_proj.weight"][c, rows.index(((block.bos, 1.0),))] = DELTA_RESET / T


TARGET = Target(
    name="mamba",
    model_type=MAMBA,
    title="Mamba: transformers' MambaForCausalLM, and mamba_ssm",
    gates="nonnegative",
    dtypes=("float32", "bfloat16", "float64", "float16"),
    lower=lower,
    lower_circuit=lower_circuit,
    classes=partial(model_classes, MAMBA),
    constants={"T": T, "V": V, "A_log": A_LOG},
    circuit_constants={
        "T": T,
        "A_log": A_LOG,
        "A_log of counters": A_LOG_COUNT,
        "Delta at <bos> of counters": DELTA_RESET,
    },
)
