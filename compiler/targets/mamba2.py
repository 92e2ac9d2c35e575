"""Mamba-2 as a target: one or two blocks for each of the circuit, every number dyadic, at every chunk size.

In Mamba-2 the pre-activation of Delta is a linear form of the normalised residual stream at the present token: nothing
that a convolution computes can steer the memory of its own block. So a block of the circuit takes two, the first of
which finds out what happens to the memories of the second (``compiler.targets._mamba2_blocks``).

*The norm after the scan* would mix channels. F = 2^60 in n of d_inner = n 4^j channels makes it an exact
multiplication by 2^(j-60): all other squares together are below 2^95, less than half a unit in the last place of
F^2 = 2^120. Its weight, one per channel, brings each back to 1. (F is the product of x and of the gate branch.)

*Chunks.* Delta A is 0 or exactly -T = -2^10. So sums of Delta A over a chunk of up to 2^24 tokens are exact in
float32 in any order, and so are their differences: exp makes 1 of 0,
if nothing was overwritten between, and else 0 of at most -T. That is why A_log is 0 here and not 3 as in the target
mamba: multiples of e^3 would round, and a sum taken in another order would give a decay that is not quite 1. Each sum
of the chunked algorithm has at most one term that is not zero, the last overwriting (the scan lemma, docs/mamba2.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import accumulate

from msgspec.structs import replace

from ...models.classes import model_classes
from ...models.mamba2 import MAMBA2, Mamba2Shape
from ...models.weights import ModelWeights
from ..circuits.circuit import Circuit
from ..manifest import BlockLabel, ChannelLabel, CounterLabel, Holder, MemoryLabel
from ._mamba2_blocks import WIDE, Part, frame_of, parts_of
from ._mamba2_layers import D_STATE_MULTIPLE, Channel, layer_block, narrowest, placed
from ._mamba2_limits import longest
from .base import Lowered, Options, Target, TargetError, within
from .layout import Indicators, dimensions, level_label
from .lower import T, assembled
from .tokens import vocabulary_size


def lower(circuit: Circuit, options: Options) -> Lowered:
    """Write the circuit as Mamba-2 weights. O(number of weights).

    Args:
        circuit: the language, without swaps.
        options: ``d_state`` is rounded up to a multiple of 4; the first state is used.

    Raises:
        ModelSizeError: it would have too many parameters.
        TargetError: it counts more at once than can be counted exactly, or has a channel with no counterpart.
    """
    frame = frame_of(circuit)
    parts = parts_of(frame)
    limit = longest(frame) if circuit.kind not in ("cascade", "plan") else 1
    if not limit:
        raise TargetError(
            f"{circuit.construction}: the amounts are too large to be counted exactly in the target mamba2; give "
            "smaller ones, or use the target mamba"
        )
    layers = tuple(layer for part in parts for layer in part.layers) or (frame.layer([], [], "nothing to do"),)
    d_inner, n_heads = narrowest(layers, frame.stream.d_model)
    sizes = Mamba2Shape(
        d_model=frame.stream.d_model,
        n_layers=len(layers),
        vocab_size=vocabulary_size(circuit.alphabet, circuit.classes),
        expand=d_inner // frame.stream.d_model,
        n_heads=n_heads,
        d_state=-(-options.d_state // D_STATE_MULTIPLE) * D_STATE_MULTIPLE,
        d_conv=max(options.d_conv, circuit.window),
    )
    shape = within(sizes, options.parameters)
    tensors = assembled(circuit, frame.stream, [layer_block(layer, shape) for layer in layers])
    return Lowered(
        weights=ModelWeights(shape, tensors),
        residual=dimensions(circuit, frame.stream, _uses(parts)),
        blocks=_labels(circuit, parts, shape),
        counters=_counters(parts, limit),
    )


def _uses(parts: Sequence[Part]) -> Indicators:
    """What each indicator says at the levels, or for the memories of a plan, that use it."""
    uses: dict[tuple[int, str], dict[int, list[int]]] = {}  # of an indicator: the levels that use it for a label
    found: dict[str, tuple[int, str]] = {}
    for said in (said for part in parts for said in part.indicators):
        if said.height is not None:
            uses.setdefault((said.number, said.name), {}).setdefault(said.label, []).append(said.height)
            continue
        before = f"{found[said.name][1]}, or " if said.name in found else ""
        found[said.name] = (said.number, f"{before}{said.memory} becomes {said.label}")
    for (number, name), labels in uses.items():
        levels = [f"{v} (level{'s'[: len(at) - 1]} {', '.join(map(str, at))})" for v, at in labels.items()]
        found[name] = (number, f"the memory becomes {' or '.join(levels)}")
    return found


def _labels(circuit: Circuit, parts: Sequence[Part], shape: Mamba2Shape) -> tuple[BlockLabel, ...]:
    """What the blocks mean."""
    found: list[BlockLabel] = []
    for block, part in zip(circuit.blocks, parts, strict=True):
        said = {indicator.number: indicator.said for indicator in part.indicators} or None
        for layer in part.layers:
            channels = placed(layer, shape.d_inner, shape.n_heads)
            label = BlockLabel(
                index=len(found),
                title=layer.title,
                channels=tuple(ChannelLabel(c, at.role, at.meaning) for c, at in channels.items() if at.role),
                finds_only=layer.finds_only,
                memories=_memories(channels),
                indicators_before=None if layer.finds_only else said,
                indicators_after=said if layer.finds_only else None,
            )
            found.append(level_label(block, label))
    return tuple(found)


def _memories(channels: Mapping[int, Channel]) -> tuple[MemoryLabel, ...]:
    """The memories that channels hold, by their numbers."""
    found: dict[str, tuple[MemoryLabel, list[Holder]]] = {}
    for c, channel in channels.items():
        if (about := channel.holds) is not None:
            found.setdefault(about.name, (about, []))[1].append(Holder(c, channel.label))
    return tuple(replace(about, channels=tuple(holders)) for about, holders in found.values())


def _counters(parts: Sequence[Part], limit: int) -> tuple[CounterLabel, ...]:
    """The totals: the first channels of the first layer of a part that counts."""
    first = accumulate((len(part.layers) for part in parts), initial=0)
    return tuple(
        CounterLabel(total.name, at, c, 0, {"float32": limit}, total.unit, total.of)
        for part, at in zip(parts, first, strict=False)
        for c, total in enumerate(part.totals)
    )


TARGET = Target(
    name="mamba2",
    model_type=MAMBA2,
    title="Mamba-2: transformers' Mamba2ForCausalLM, and mamba_ssm",
    gates="nonnegative",
    dtypes=("float32", "bfloat16", "float64"),
    lower=lower,
    classes=partial(model_classes, MAMBA2),
    blocks_per_level=2,
    constants={"T": T, "V": WIDE.v, "A_log": 0.0, "constant of the norm after the scan": 2.0**WIDE.exponent},
)
