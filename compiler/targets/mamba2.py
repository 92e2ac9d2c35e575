"""Mamba-2 as a target: one or two blocks per level, every number dyadic, at every chunk size.

In Mamba-2 the pre-activation of Delta is a linear form of the normalised residual stream at the present token: nothing
that a convolution computes can steer the memory of its own block. So a level takes two blocks.

- *Block A* finds out which conditions hold. s = w0 u(t-1) + w1 u(t) is an integer; x = silu(T (s - theta + 1)) is T if
  s = theta and 0 below (a second channel subtracts what s exceeds theta by). With D = 1 and the gate branch constant,
  the output 1 goes to an *indicator* slot of the residual stream, one per label: "the memory becomes v".
- *Block B* has the memory. Delta = softplus(-T + 2T * sum of indicators) is 0 or T; A_log = 0, so the gate is exp(0) =
  1 or exp(-T) = 0. A channel's x is silu(V [indicator of the label it reads]): V or 0. So after an overwriting the
  state is T V V (B = C = V are constants), or 0. The gate branch V [slot of the set] lets it through, out_proj moves
  the feature, and channels with D = 1 take the indicators away again.

A condition that is itself a linear form (one letter out of some, or one set out of some, at the present token) needs no
indicator: its form stands in Delta's row. If all conditions of a level are such, the level is one block.

*The norm after the scan* would mix channels. F = 2^60 in n of d_inner = n 4^j channels makes it an exact
multiplication by 2^(j-60): all other squares together are below 2^95, less than half a unit in the last place of
F^2 = 2^120. Its weight, one per channel, brings each back to 1.

*Chunks.* Delta A is 0 or exactly -T = -2^10. So sums of Delta A over a chunk of up to 2^24 tokens are exact in
float32 in any order, and so are their differences: exp makes 1 of 0,
if nothing was overwritten between, and else 0 of at most -T. That is why A_log is 0 here and not 3 as in the target
mamba: multiples of e^3 would round, and a sum taken in another order would give a decay that is not quite 1. Each sum
of the chunked algorithm has at most one term that is not zero, the last overwriting (the scan lemma, docs/mamba2.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from ...models.classes import model_classes
from ...models.mamba2 import MAMBA2, Mamba2Shape, Mamba2Weights
from ...models.weights import Tensor
from ..layout import Stream, narrowest_stream
from ..lower import T, V, program_embedding, program_head
from ..program import Block, Condition, Move, Program
from ..tokens import vocabulary_size
from .base import BlockMeaning, Options, Target, TargetError
from .mamba import assembled

INNER_EXPONENT = 60
"""F = 2^60 carries the norm after the scan; it is the product of x and of the gate branch, 2^30 each."""

HEADS = 8
D_STATE_MULTIPLE = 4
"""causal-conv1d wants rows of in_proj in multiples of 8; 2 d_inner + 2 d_state + heads is one."""

Form = Mapping[int, float]
"""A linear form of the residual stream: weights by dimension."""


@dataclass(frozen=True)
class Channel:
    """One channel of a Mamba-2 block, in dimensions of the residual stream.

    Attributes:
        role: "condition", "excess", "memory", "rename", "erase" or "constant".
        meaning: for people.
        x: the form that the convolution reads.
        taps: its last two taps.
        bias: its bias.
        gate: the gate branch.
        gain: y * silu(z) is this where the channel says 1.
        writes: what out_proj does with that 1.
    """

    role: str
    meaning: str
    x: Form
    taps: tuple[float, float]
    bias: float
    gate: Form
    gain: float
    writes: Form = field(default_factory=dict)


@dataclass(frozen=True)
class Layer:
    """One Mamba-2 block.

    Attributes:
        overwrite: the form that is 1 where the memories are overwritten, else 0.
        memories: channels that read the state.
        others: channels that read D x.
        title: for people.
    """

    overwrite: Form
    memories: tuple[Channel, ...]
    others: tuple[Channel, ...]
    title: str


def lower(program: Program, options: Options) -> Mamba2Weights:
    """Write the program as Mamba-2 weights. O(number of weights).

    Args:
        program: the language as blocks, without swaps.
        options: ``d_state`` states per channel, rounded up to a multiple of 4, of which the first is used; and
            ``d_conv`` taps, of which the last two are used.

    Raises:
        TargetError: the program has swaps, which need gates of -1.
    """
    if any(block.swaps for block in program.blocks):
        raise TargetError(
            "the program swaps a memory's values, which takes gates of -1, and Mamba-2's gates are nonnegative; use "
            "the target signed_mamba"
        )
    stream, layers = layers_of(program)
    shape = Mamba2Shape(
        d_model=stream.d_model,
        n_layers=len(layers),
        vocab_size=vocabulary_size(program.dfa.alphabet),
        expand=_expand(layers, stream.d_model),
        n_heads=HEADS,
        d_state=-(-options.d_state // D_STATE_MULTIPLE) * D_STATE_MULTIPLE,
        d_conv=options.d_conv,
    )
    blocks = [layer_block(layer, shape) for layer in layers]
    return Mamba2Weights(
        shape, assembled(blocks, stream, program_embedding(program, stream), program_head(program, stream))
    )


def layers_of(program: Program) -> tuple[Stream, tuple[Layer, ...]]:
    """The residual stream and the Mamba-2 blocks of a program, at least one."""
    spare = max((len(_by_convolution(block)) for block in program.blocks), default=0)
    stream = narrowest_stream(len(program.dfa.alphabet), program.n_slots + spare)
    layers = [layer for block in program.blocks for layer in _level(block, stream, program.n_slots)]
    return stream, tuple(layers) or (Layer({}, (), (), "nothing to do"),)


def _is_linear(condition: Condition) -> bool:
    """Whether [condition] is a linear form of the present one-hot features."""
    weights = {*condition.slots.values(), *condition.letters.values()}
    one_kind = not (condition.slots and condition.letters)
    return condition.taps == (0, 1) and condition.theta == 1 and weights == {1} and one_kind


def _by_convolution(block: Block) -> tuple[int, ...]:
    """The labels that need an indicator, in order: some condition on them is no linear form."""
    return tuple(sorted({c.label for c in block.conditions if c.label is not None and not _is_linear(c)}))


def _level(block: Block, stream: Stream, first_spare: int) -> list[Layer]:
    """One level as one or two blocks."""
    indicator = {v: stream.slot(first_spare + i) for i, v in enumerate(_by_convolution(block))}
    forms: dict[int, dict[int, float]] = {v: {} for v in block.labels}
    finders: list[Channel] = []
    for condition in block.conditions:
        assert condition.label is not None
        if _is_linear(condition):
            forms[condition.label] |= _features(condition, stream)
        else:
            forms[condition.label][indicator[condition.label]] = 1.0
            finders += _finders(condition, stream, indicator[condition.label])
    memories, others = [], []
    for move in block.moves:
        if move.label is None:
            others.append(_rename(move, stream))
        else:
            memories.append(_memory(move, stream, forms.get(move.label, {})))
    for label, slot in indicator.items():
        others.append(_constant_x("erase", f"take the indicator of {label} away", {slot: V}, {slot: -1.0}))
    overwrite: dict[int, float] = {}
    for form in forms.values():
        for dimension, weight in form.items():
            overwrite[dimension] = overwrite.get(dimension, 0.0) + weight
    main = Layer(overwrite, tuple(memories), tuple(others), f"level {block.height}")
    if not finders:
        return [main]
    return [Layer({}, (), tuple(finders), f"conditions of level {block.height}"), main]


def _features(condition: Condition, stream: Stream) -> dict[int, float]:
    slots = {stream.slot(s): float(w) for s, w in condition.slots.items()}
    return slots | {stream.letter(a): float(w) for a, w in condition.letters.items()}


def _finders(condition: Condition, stream: Stream, indicator: int) -> list[Channel]:
    """One channel per condition, and one more for what an inexact one exceeds its threshold by."""
    taps = T * condition.taps[0], T * condition.taps[1]
    found = []
    for excess in range(condition.channels):
        role, sign = ("excess", -1.0) if excess else ("condition", 1.0)
        meaning = f"{'excess of: ' if excess else ''}memory := {condition.label} when {condition.meaning}"
        bias = T * (1 - condition.theta - excess)
        x = _features(condition, stream)
        found.append(Channel(role, meaning, x, taps, bias, {0: V}, T * V, {indicator: sign}))
    return found


def _memory(move: Move, stream: Stream, form: Form) -> Channel:
    source, target = stream.slot(move.source), stream.slot(move.target)
    x = {dimension: V * weight for dimension, weight in form.items()}
    gain = T * V * V * V * V  # Delta x B, C, and the gate branch
    meaning = f"[memory = {move.label}]: {move.meaning}"
    return Channel("memory", meaning, x, (0.0, 1.0), 0.0, {source: V}, gain, {source: -1.0, target: 1.0})


def _rename(move: Move, stream: Stream) -> Channel:
    source, target = stream.slot(move.source), stream.slot(move.target)
    return _constant_x("rename", f"always: {move.meaning}", {source: V}, {source: -1.0, target: 1.0})


def _constant_x(role: str, meaning: str, gate: Form, writes: Form) -> Channel:
    return Channel(role, meaning, {}, (0.0, 0.0), V, gate, V * V, writes)


def _constants(d_inner: int) -> tuple[Channel, ...]:
    """The channels that carry F, n of them with d_inner = n 4^j; out_proj does not see them."""
    half = 2.0 ** (INNER_EXPONENT // 2)
    channel = Channel("constant", "carries the norm after the scan", {}, (0.0, 0.0), half, {0: half}, 0.0)
    return (channel,) * (1 if d_inner.bit_length() % 2 else 2)


def _expand(layers: tuple[Layer, ...], d_model: int) -> int:
    """The least power of two that makes room for every layer."""
    expand = 1
    while any(_first_other(layer, expand * d_model) < 0 for layer in layers):
        expand *= 2
    return expand


def _first_other(layer: Layer, d_inner: int) -> int:
    """Where the channels that read D x begin: at the first head that no memory is in; -1 if there is no room."""
    head_dim = d_inner // HEADS
    first = -(-len(layer.memories) // head_dim) * head_dim
    return first if first + len(layer.others) + len(_constants(d_inner)) <= d_inner else -1


def placed(layer: Layer, d_inner: int) -> dict[int, Channel]:
    """The channels of a layer by their numbers: memories in the first heads, all others in the heads after."""
    first = _first_other(layer, d_inner)
    others = (*layer.others, *_constants(d_inner))
    return dict(enumerate(layer.memories)) | {first + i: c for i, c in enumerate(others)}


def layer_block(layer: Layer, shape: Mamba2Shape) -> dict[str, Tensor]:
    """The parameters of one block, without the norm before it."""
    w = {name: np.zeros(size, dtype=np.float32) for name, size in shape.block_tensors().items()}
    d_inner, first_b = shape.d_inner, 2 * shape.d_inner
    in_proj, conv, bias = w["mixer.in_proj.weight"], w["mixer.conv1d.weight"], w["mixer.conv1d.bias"]
    exponent = (d_inner // len(_constants(d_inner))).bit_length() // 2  # j in d_inner = n 4^j
    for c, channel in placed(layer, d_inner).items():
        for dimension, weight in channel.gate.items():
            in_proj[c, dimension] = weight
        for dimension, weight in channel.x.items():
            in_proj[d_inner + c, dimension] = weight
        conv[c, 0, -2:] = channel.taps
        bias[c] = channel.bias
        if channel.gain:
            w["mixer.norm.weight"][c] = 2.0 ** (INNER_EXPONENT - exponent) / channel.gain
        for dimension, weight in channel.writes.items():
            w["mixer.out_proj.weight"][dimension, c] = weight
    heads_of_memories = -(-len(layer.memories) // shape.head_dim)
    w["mixer.dt_bias"][:] = -T  # Delta = 0 unless the form says otherwise
    w["mixer.D"][heads_of_memories:] = 1.0
    for dimension, weight in layer.overwrite.items():
        in_proj[first_b + 2 * shape.d_state :][:heads_of_memories, dimension] = 2 * T * weight
    if layer.memories:
        bias[d_inner] = bias[d_inner + shape.d_state] = V  # B and C are constants in the first state
    return w


def meanings(program: Program) -> tuple[BlockMeaning, ...]:
    """What the blocks of a lowered program stand for. A program without blocks has none."""
    stream, _ = layers_of(program)
    levels = [(n, layer) for n, block in enumerate(program.blocks) for layer in _level(block, stream, program.n_slots)]
    d_inner = _expand(tuple(layer for _, layer in levels), stream.d_model) * stream.d_model
    return tuple(
        BlockMeaning(n, tuple((c, channel.role, channel.meaning) for c, channel in placed(layer, d_inner).items()))
        for n, layer in levels
    )


TARGET = Target(
    name="mamba2",
    model_type=MAMBA2,
    title="Mamba-2: transformers' Mamba2ForCausalLM, and mamba_ssm",
    gates="nonnegative",
    dtypes=("float32", "bfloat16", "float64"),
    lower=lower,
    lower_circuit=None,
    classes=partial(model_classes, MAMBA2),
    blocks_per_level=2,
    meanings=meanings,
    constants={"T": T, "V": V, "A_log": 0.0, "constant of the norm after the scan": 2.0**INNER_EXPONENT},
)
