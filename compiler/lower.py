"""From the block program to weights: dyadic numbers, every sum exact.

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
- *Swap* (only in the signed target, docs/signed.md). The memory m is 1 for the label 0 and -1 for 1. Overwriting it is
  as above with B = 2^-12 (or -2^-12), through x_proj from the condition's channels. Where a swap holds and no condition
  does, Delta = 0 and the sign's pre-activation is T - 2T: the gate is tanh(-T) exp(-0) = -1; elsewhere tanh(T) = 1.
  A channel that reads label 0 has D x = 1, so y = m + 1 is 2 or 0; one that reads 1 has D x = -1 and y = m - 1, which
  is -2 or 0; out_proj halves it.
- *RMSNorm is the identity.* F = 2^40 in n dimensions of d_model = n 4^j: the mean of squares is F^2 / 4^j exactly,
  since the squares of the other features (at most a few) and epsilon are absorbed by rounding; its root is a power of
  two, and the weight 2^(40-j) returns each feature bit for bit.

So the memory's gate is exactly 0 or 1, every activation is a small multiple of a power of two, and every sum is exact
in whatever order it is taken: the scan lemma (``docs/construction.md``) makes the parallel scan equal to the step.
"""

from __future__ import annotations

import numpy as np

from ..automata.dfa import Dfa
from ..models.mamba import MambaShape, MambaWeights, Tensor
from .layout import Channel, Stream, channels_of, stream_for
from .program import Block, Program
from .tokens import token_ids, vocabulary_size

T = 2.0**10
V = 2.0**6
A_LOG = 3.0
LOGIT = 16.0
CONSTANT_EXPONENT = 40


def lower(program: Program, *, d_state: int = 1, d_conv: int = 2) -> MambaWeights:
    """Write the program as weights. O(number of weights).

    Args:
        program: the language as blocks.
        d_state: states per channel, at least 1; the first is used, the others stay zero.
        d_conv: taps of the convolution, 2 to 4; the last two are used.

    Raises:
        ValueError: ``d_state`` or ``d_conv`` out of range.
    """
    if d_state < 1:
        raise ValueError(f"d_state must be at least 1, not {d_state}")
    if not 2 <= d_conv <= 4:
        raise ValueError(f"d_conv must be 2, 3 or 4, not {d_conv}")
    stream = stream_for(program)
    widest = max((block.channels for block in program.blocks), default=0)
    shape = MambaShape(
        d_model=stream.d_model,
        n_layers=max(len(program.blocks), 1),
        vocab_size=vocabulary_size(program.dfa.alphabet),
        expand=max(1, -(-widest // stream.d_model)),
        d_state=d_state,
        d_conv=d_conv,
        dt_rank=max([1, *(2 if block.swaps else len(delta_rows(block)) for block in program.blocks)]),
        signed=any(block.swaps for block in program.blocks),
    )
    norm = norm_weight(stream)
    tensors: dict[str, Tensor] = {"backbone.embeddings.weight": _embedding(program, stream, shape)}
    for layer in range(shape.n_layers):
        block = program.blocks[layer] if program.blocks else None
        weights = level_block(block, stream, shape) | {"norm.weight": norm.copy()}
        tensors |= {f"backbone.layers.{layer}.{name}": weights[name] for name in shape.block_tensors()}
    tensors["backbone.norm_f.weight"] = norm.copy()
    tensors["lm_head.weight"] = _head(program, stream, shape)
    return MambaWeights(shape, tensors)


def delta_rows(block: Block) -> tuple[int | None, ...]:
    """What each row of dt stands for: None is "some condition holds", a label "one that writes this label".

    If every label has readers, the last needs no row: its indicator is the first row less all the others.
    """
    read = {m.label for m in block.moves} - {None}
    if not read:
        return ()
    labels = [v for v in block.labels if v in read]
    return (None, *(labels[:-1] if len(labels) == len(block.labels) else labels))


def norm_weight(stream: Stream) -> Tensor:
    """The weight of every RMSNorm: it gives each feature back bit for bit, and 1 on the constants."""
    weight = np.zeros(stream.d_model, dtype=np.float32)
    weight[: stream.used] = 2.0 ** (CONSTANT_EXPONENT - stream.exponent)
    weight[: stream.n_constants] = 2.0**-stream.exponent
    return weight


def _embedding(program: Program, stream: Stream, shape: MambaShape) -> Tensor:
    """Every row has the constant; letters and ``<bos>`` have their feature and slot 0, the set of all states.

    ``<pad>``, ``<eos>`` and the rows that only round the vocabulary up have nothing else: all features vanish there, so
    no condition holds, every memory is kept, and every logit is negative.
    """
    weight = np.zeros((shape.vocab_size, shape.d_model), dtype=np.float32)
    weight[:, : stream.n_constants] = 2.0**CONSTANT_EXPONENT
    ids = token_ids(program.dfa.alphabet)
    for number, token in enumerate((*program.dfa.alphabet, "<bos>")):
        weight[ids[token], stream.letter(number)] = 1.0
        weight[ids[token], stream.slot(0)] = 1.0
    return weight


def _head(program: Program, stream: Stream, shape: MambaShape) -> Tensor:
    """Logit +16 if the token may come next, else -16: a constant -16, and +32 on the slots of states that allow it."""
    dfa, ids = program.dfa, token_ids(program.dfa.alphabet)
    assert isinstance(dfa, Dfa), "only languages have a read-out"
    weight = np.zeros((shape.vocab_size, shape.d_model), dtype=np.float32)
    weight[:, 0] = -LOGIT
    for slot, state in program.readout.items():
        for symbol in dfa.next_symbols(state):
            weight[ids[symbol], stream.slot(slot)] = 2 * LOGIT
        if state in dfa.accepting:
            weight[ids["<eos>"], stream.slot(slot)] = 2 * LOGIT
    return weight


def level_block(block: Block | None, stream: Stream, shape: MambaShape) -> dict[str, Tensor]:
    """The parameters of one block (all silent if there is nothing to do), without the norm."""
    w = {name: np.zeros(size, dtype=np.float32) for name, size in shape.block_tensors().items()}
    w["mixer.dt_proj.bias"][:] = -T  # Delta = 0 unless a condition says otherwise
    if shape.signed:
        w["mixer.sign_proj.bias"][:] = T  # the sign is +1 unless a swap says otherwise
    if block is None:
        return w
    if block.swaps:
        _set_swap_block(w, block, stream, shape)
        return w
    channels, rows = channels_of(block), delta_rows(block)
    for channel in channels:
        if channel.condition is not None:
            _set_condition(w, channel, stream, rows)
        else:
            # A memory holds 1, or 2 for the channel's own label.
            held = channel.role == "memory"
            _set_move(w, channel, stream, shape, offset=-1.0 if held else 1.0)
    memories = [c for c in channels if c.role == "memory"]
    for channel in memories:
        _set_memory(w, channel, block, rows)
    if memories:
        # B and C are constants; the x of any memory channel is the constant V.
        source, r, n = memories[0].index, shape.dt_rank, shape.d_state
        w["mixer.x_proj.weight"][r, source] = 2.0**-12 / V
        w["mixer.x_proj.weight"][r + n, source] = 1.0 / V
    return w


def _set_swap_block(w: dict[str, Tensor], block: Block, stream: Stream, shape: MambaShape) -> None:
    """A block whose memory is one bit, held as 1 or -1: row 0 of dt says "overwrite it", row 1 "swap it"."""
    r, n = shape.dt_rank, shape.d_state
    overwrite, swap = 0, 1
    for channel in channels_of(block):
        c, condition, move = channel.index, channel.condition, channel.move
        if condition is not None:
            _set_threshold(w, channel, stream)
            once = -1.0 if channel.role.endswith("excess") else 1.0
            if condition.label is None:
                w["mixer.x_proj.weight"][swap, c] = once
            else:
                w["mixer.x_proj.weight"][overwrite, c] = once
                w["mixer.x_proj.weight"][r, c] = once * (1.0 - 2.0 * condition.label) * 2.0**-12 / T
        elif move is not None and move.label is None:
            _set_move(w, channel, stream, shape)
        elif move is not None:
            sign = 1.0 - 2.0 * move.label
            _set_move(w, channel, stream, shape, offset=sign, scale=sign / 2)
            w["mixer.A_log"][c, :] = A_LOG
            w["mixer.dt_proj.weight"][c, overwrite] = 1.0 + V / T
            w["mixer.sign_proj.weight"][c, swap] = -2.0
            w["mixer.x_proj.weight"][r + n, :] = 0.0
            w["mixer.x_proj.weight"][r + n, c] = 1.0 / V  # C is a constant; the x of any memory channel is V


def _set_condition(w: dict[str, Tensor], channel: Channel, stream: Stream, rows: tuple[int | None, ...]) -> None:
    condition = channel.condition
    assert condition is not None
    _set_threshold(w, channel, stream)
    for row, label in enumerate(rows):
        if label is None or label == condition.label:
            w["mixer.x_proj.weight"][row, channel.index] = -1.0 if channel.role == "excess" else 1.0


def _set_threshold(w: dict[str, Tensor], channel: Channel, stream: Stream) -> None:
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


def _set_move(
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
