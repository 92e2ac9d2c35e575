"""Longhorn as a target: star-free languages, by cascades and plans, in ``models.longhorn``'s layers.

A step overwrites a channel's state where beta = 1, and holds it where beta = 0, exactly:

- *The key* is one number, K = 2^30 at every symbol. 1 + K^2 rounds to K^2, so Delta = 2^-60, the gate is 1 - 1 = 0, and
  what is written is 2^-30 x. Where beta = 0, the gate is 1 and nothing is written. The query is 2^20: what was written
  is x / 2^10, so it is read as it was.
- *Overwriting.* beta = sigmoid(T d) with d = 2 [some label is written] - 1: 0 or 1.
- *Register.* What is written is the channel's own x, never a multiple of it (as in Mamba, where Delta has one): so a
  label has a channel for each condition under which it is written, whose x that condition is, and all of a register's
  are overwritten together. Of the labels' conditions one is 1 then; the sum of a label's states is 1 or 0.

Nothing else differs from the target mamba (``compiler.targets.mamba``). Swaps have no lowering, since no gate is
negative; and counters have none here: keys would have to add up what all channels share.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ...models.classes import model_classes
from ...models.mamba import LONGHORN, LonghornShape
from ...models.weights import ModelWeights
from ..circuits.circuit import Channels, Circuit, CircuitBlock, CircuitChannel, Shown
from ..circuits.forms import times
from .base import Lowered, Options, Target, TargetError, within
from .layout import Stream, narrowest_stream
from .lower import BlockTensors, T, assembled
from .mamba import empty_block, labelled, mamba_shape, set_channels

KEY, QUERY = 2.0**30, 2.0**20


def lower(circuit: Circuit, options: Options) -> Lowered:
    """Write the circuit, a cascade or a plan, as weights. O(number of weights)."""
    circuit = replace(circuit, blocks=tuple(map(_spread, circuit.blocks or (CircuitBlock("nothing to do"),))))
    stream = narrowest_stream(circuit.features)
    shape = within(LonghornShape(**vars(mamba_shape(circuit, stream, options))), options.parameters)
    blocks = [_block(block, stream, shape) for block in circuit.blocks]
    return labelled(circuit, stream, ModelWeights(shape, assembled(circuit, stream, blocks)))


def _spread(block: CircuitBlock) -> CircuitBlock:
    """Each channel that shows a label as one for each condition under which the label is written."""
    if block.latches or block.counters:
        raise TargetError("the target longhorn has no lowering of latches and counters; use the target mamba")
    place = {n: i for i, n in enumerate(n for n, c in enumerate(block.channels) if c.memory is None)}

    def moved(form: Channels) -> Channels:
        return {place[c]: weight for c, weight in form.items()}

    registers = {
        register.name: replace(register, writes={label: moved(form) for label, form in register.writes.items()})
        for register in block.registers
    }
    channels = [channel for channel in block.channels if channel.memory is None]
    for n, shown in block.shown:
        channel = block.channels[n]
        assert not channel.skip, "what shows a label shows nothing else"
        for c, weight in shown.register.writes.get(shown.label, {}).items():
            seen = block.channels[c]
            channels.append(
                replace(
                    channel,
                    meaning=f"{channel.meaning}: {seen.meaning}",
                    reads=seen.reads,
                    taps=seen.taps,
                    bias=seen.bias,
                    memory=Shown(registers[shown.register.name], shown.label),
                    writes=times(weight, channel.writes),
                )
            )
    if registers and not any(channel.is_constant for channel in channels):
        channels.append(CircuitChannel("always 1", bias=1))
    return replace(block, channels=tuple(channels))


def _block(block: CircuitBlock, stream: Stream, shape: LonghornShape) -> BlockTensors:
    """The parameters of one block."""
    w = empty_block(shape)
    set_channels(w, block, stream, shape)
    w["mixer.D"][: len(block.channels)] = [channel.skip / T for channel in block.channels]
    x_proj, dt_proj = w["mixer.x_proj.weight"], w["mixer.dt_proj.weight"]
    rows = {name: number for number, name in enumerate(register.name for register in block.registers)}
    for register in block.registers:
        for form in register.writes.values():
            for c, weight in form.items():
                x_proj[rows[register.name], c] += 2 * weight
    for c, shown in block.shown:
        dt_proj[c, rows[shown.register.name]] = 1.0
    if block.registers:
        x_proj[shape.dt_rank, block.one] = KEY / T
        x_proj[shape.dt_rank + shape.d_state, block.one] = QUERY / T
    return w


TARGET = Target(
    name="longhorn",
    model_type=LONGHORN,
    title="Longhorn: scancraft's LonghornForCausalLM",
    gates="nonnegative",
    dtypes=("float32", "bfloat16", "float64"),
    lower=lower,
    classes=partial(model_classes, LONGHORN),
    circuits=False,
    constants={"T": T, "key": KEY, "query": QUERY},
)
