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

The paper's own constructions are lowered by ``compiler.targets._mamba2_circuit``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate

from ...models.classes import model_classes
from ...models.mamba2 import MAMBA2, Mamba2Shape, Mamba2Weights
from ..circuits.circuit import Circuit
from ..circuits.program import Block, Condition, Move, Program
from ._mamba2_circuit import Part, extended, longest, parts_of
from ._mamba2_layers import D_STATE_MULTIPLE, Channel, Form, Heads, Layer, layer_block, narrowest, placed
from .base import BlockMeaning, CircuitMeaning, Counting, Options, Target, TargetError
from .layout import Stream, narrowest_stream, stream_labels
from .lower import T, V, circuit_embedding, circuit_head, circuit_stream, program_embedding, program_head
from .mamba import assembled
from .tokens import vocabulary_size

INNER_EXPONENT = 60
"""F = 2^60 carries the norm after the scan; it is the product of x and of the gate branch, 2^30 each."""


MOST_HEADS = 1 << 12
"""In circuits; a program has one Delta per block, and makes do with the fewest."""


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
    d_inner, n_heads = narrowest(layers, stream.d_model)
    shape = Mamba2Shape(
        d_model=stream.d_model,
        n_layers=len(layers),
        vocab_size=vocabulary_size(program.dfa.alphabet),
        expand=d_inner // stream.d_model,
        n_heads=n_heads,
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
    return stream, tuple(layers) or (_layer({}, (), (), "nothing to do"),)


def _layer(
    overwrite: Form, memories: Sequence[Channel], others: Sequence[Channel], title: str, *, finds_only: bool = False
) -> Layer:
    """A block with one Delta: its memories are overwritten where the form is 1, and held where it is 0."""
    delta = {dimension: 2 * T * weight for dimension, weight in overwrite.items()}
    heads = (Heads(tuple(memories), delta, -T),) if memories else ()
    return Layer(heads, tuple(others), -T, V, INNER_EXPONENT, title, finds_only)


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
    main = _layer(overwrite, memories, others, f"level {block.height}")
    if not finders:
        return [main]
    return [_layer({}, (), finders, f"conditions of level {block.height}", finds_only=True), main]


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


def lower_circuit(circuit: Circuit, options: Options) -> Mamba2Weights:
    """Write the circuit as Mamba-2 weights (``compiler.targets._mamba2_circuit``). O(number of weights).

    Raises:
        TargetError: it counts more at once than can be counted exactly, or has a channel with no counterpart.
    """
    wider, parts = _blocks_of(circuit)
    if not longest(wider):
        raise TargetError(
            f"{circuit.construction}: the amounts are too large to be counted exactly in the target mamba2; give "
            "smaller ones, or use the target mamba"
        )
    layers = tuple(layer for part in parts for layer in part.layers)
    stream = circuit_stream(wider)
    d_inner, n_heads = narrowest(layers, stream.d_model, MOST_HEADS)
    shape = Mamba2Shape(
        d_model=stream.d_model,
        n_layers=len(layers),
        vocab_size=vocabulary_size(circuit.alphabet),
        expand=d_inner // stream.d_model,
        n_heads=n_heads,
        d_state=D_STATE_MULTIPLE,
        d_conv=options.d_conv,
    )
    blocks = [layer_block(layer, shape) for layer in layers]
    return Mamba2Weights(shape, assembled(blocks, stream, circuit_embedding(wider), circuit_head(wider)))


def _blocks_of(circuit: Circuit) -> tuple[Circuit, list[Part]]:
    """The circuit with all features that its Mamba-2 blocks need; and its blocks, those of the control first."""
    wider = extended(circuit)
    levels = () if circuit.control is None else circuit.control.blocks
    first_spare = len(wider.features) - (len(circuit.alphabet) + 1)
    indicators = [f"indicator {i}" for i in range(max((len(_by_convolution(block)) for block in levels), default=0))]
    wider = replace(wider, features=(*wider.features, *indicators))
    stream = circuit_stream(wider)
    control = [Part(tuple(_level(block, stream, first_spare))) for block in levels]
    return wider, [*control, *parts_of(wider)]


def circuit_meaning(circuit: Circuit) -> CircuitMeaning:
    """What a lowered circuit stands for."""
    wider, parts = _blocks_of(circuit)
    layers = tuple(layer for part in parts for layer in part.layers)
    levels = () if circuit.control is None else circuit.control.blocks
    titles = [f"control, {layer.title}" for part in parts[: len(levels)] for layer in part.layers]
    titles += [layer.title for part in parts[len(levels) :] for layer in part.layers]
    d_inner, n_heads = narrowest(layers, circuit_stream(wider).d_model, MOST_HEADS)
    channels = [
        tuple((c, at.role, at.meaning) for c, at in placed(layer, d_inner, n_heads).items()) for layer in layers
    ]
    first = list(accumulate((len(part.layers) for part in parts), initial=0))
    conditions = {
        end - 1: tuple((c.label, c.meaning) for c in block.conditions if c.label is not None)
        for block, end in zip(levels, first[1:], strict=False)
    }
    limit = longest(wider)
    counters = tuple(
        Counting(total.name, at, c, 0, {"float32": limit}, total.unit, total.of)
        for part, at in zip(parts, first, strict=False)
        for c, total in enumerate(part.totals)
    )
    remembering = [
        (number, meaning.partition(", times max(")[0])
        for number, row in enumerate(channels)
        for _, role, meaning in row
        if role in ("latch", "counter")
    ]
    controls = sum(role == "memory" for row in channels for _, role, _ in row)
    return CircuitMeaning(
        features=wider.features,
        blocks=tuple(zip(titles, channels, strict=True)),
        counters=counters,
        memories=len(set(remembering)),
        entries=len(remembering) + controls,
        conditions=conditions,
    )


def meanings(program: Program) -> tuple[BlockMeaning, ...]:
    """What the blocks of a lowered program stand for. A program without blocks has none."""
    stream, _ = layers_of(program)
    levels = [(n, layer) for n, block in enumerate(program.blocks) for layer in _level(block, stream, program.n_slots)]
    d_inner, n_heads = narrowest(tuple(layer for _, layer in levels), stream.d_model)
    return tuple(
        BlockMeaning(
            level=n,
            channels=tuple((c, at.role, at.meaning) for c, at in placed(layer, d_inner, n_heads).items()),
            finds_only=layer.finds_only,
            indicators={i: _said(program.blocks[n], v) for i, v in enumerate(_by_convolution(program.blocks[n]))},
        )
        for n, layer in levels
    )


def _said(block: Block, label: int) -> str:
    """What an indicator says. Delta's row has the conditions that are linear forms; no indicator is set by these."""
    also = any(c.label == label and _is_linear(c) for c in block.conditions)
    where = ", where no letter or set alone makes it" if also else ""
    return f"the memory of level {block.height} becomes {label}{where}"


def features(program: Program) -> list[str]:
    """What each dimension of the residual stream of a lowered program means."""
    stream, _ = layers_of(program)
    heights: dict[int, dict[int, list[int]]] = {}  # of an indicator: the levels that use it for a label
    for block in program.blocks:
        for i, v in enumerate(_by_convolution(block)):
            heights.setdefault(i, {}).setdefault(v, []).append(block.height)
    names = []
    for i, labels in heights.items():
        uses = [f"{v} (level{'s'[: len(at) - 1]} {', '.join(map(str, at))})" for v, at in labels.items()]
        names.append(f"indicator {i}: the memory becomes {' or '.join(uses)}")
    return stream_labels(stream, program, names)


TARGET = Target(
    name="mamba2",
    model_type=MAMBA2,
    title="Mamba-2: transformers' Mamba2ForCausalLM, and mamba_ssm",
    gates="nonnegative",
    dtypes=("float32", "bfloat16", "float64"),
    lower=lower,
    lower_circuit=lower_circuit,
    classes=partial(model_classes, MAMBA2),
    blocks_per_level=2,
    meanings=meanings,
    features=features,
    circuit_meaning=circuit_meaning,
    constants={"T": T, "V": V, "A_log": 0.0, "constant of the norm after the scan": 2.0**INNER_EXPONENT},
)
