"""What a target is: a kind of model that programs and circuits are lowered to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...automata.errors import ScancraftError
from ...models.weights import ModelWeights
from ..circuits.circuit import Circuit
from ..circuits.program import Program
from .gates import Gates
from .layout import channels_of, stream_for, stream_labels


class UnknownTargetError(ScancraftError):
    """A target was asked for that does not exist."""


class TargetError(ScancraftError):
    """A target cannot have what was asked of it: a size, or a construction."""


@dataclass(frozen=True)
class Options:
    """Sizes that a person may choose; no target needs more than the defaults.

    Attributes:
        d_state: states per channel.
        d_conv: taps of the convolution.
    """

    d_state: int = 1
    d_conv: int = 2


@dataclass(frozen=True)
class BlockMeaning:
    """What a block of a model stands for, for the manifest.

    Attributes:
        level: which block of the program it carries out, or helps to.
        channels: the number, the role and the meaning of each channel that has one.
        finds_only: it finds out what the next block does, and leaves memories and slots alone.
        indicators: what the indicators in the residual stream mean, by number: after it if it only finds, else before
            it; they are 0 otherwise.
    """

    level: int
    channels: tuple[tuple[int, str, str], ...]
    finds_only: bool = False
    indicators: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Counting:
    """An entry of the state that counts.

    Attributes:
        name: of the counter, or of what is counted.
        block: the number of the block.
        channel: the channel in it.
        state: which of the channel's states.
        limits: by dtype the largest count that is exact.
        unit: what the entry holds for each 1 that is counted.
        of: the counters that it is a part of, if it is none by itself.
    """

    name: str
    block: int
    channel: int
    state: int
    limits: Mapping[str, int]
    unit: int = 1
    of: tuple[str, ...] = ()


@dataclass(frozen=True)
class CircuitMeaning:
    """What a lowered circuit's blocks and its residual stream stand for, for the manifest.

    Attributes:
        features: the features of the residual stream, in order, the constants left out.
        blocks: per block a title, and the number, the role and the meaning of each channel that has one.
        conditions: for blocks that are a level of the control, what overwrites their memory: label and meaning.
        counters: entries of the state that count.
        memories: different memories.
        entries: entries of the state that hold them.
    """

    features: tuple[str, ...]
    blocks: tuple[tuple[str, tuple[tuple[int, str, str], ...]], ...]
    counters: tuple[Counting, ...]
    memories: int
    entries: int
    conditions: Mapping[int, tuple[tuple[int, str], ...]] = field(default_factory=dict)


def one_block_per_part(circuit: Circuit) -> CircuitMeaning:
    """The meaning of the blocks where each carries out one block of the circuit, with its channels in order."""
    controls = () if circuit.control is None else circuit.control.blocks
    numbered = [tuple((c.index, c.role, c.meaning) for c in channels_of(b)) for b in controls]
    own = [tuple((n, c.role, c.meaning) for n, c in enumerate(b.channels)) for b in circuit.blocks]
    titles = [*(f"control, level {b.height}" for b in controls), *(b.title for b in circuit.blocks)]
    counters = tuple(
        Counting(name, len(controls) + i, n, counter.index, circuit.limits[name])
        for i, block in enumerate(circuit.blocks)
        for n, counter in block.counters
        for name in block.channels[n].writes
        if name in circuit.limits
    )
    used = sum(role == "memory" for channels in numbered for _, role, _ in channels)
    used += sum(c.memory is not None for b in circuit.blocks for c in b.channels)
    blocks = tuple(zip(titles, (*numbered, *own), strict=True))
    return CircuitMeaning(circuit.features, blocks, counters, circuit.memories, used)


def one_block_per_level(program: Program) -> tuple[BlockMeaning, ...]:
    """The meaning of the blocks where each carries out one block of the program, with its channels in order."""
    return tuple(
        BlockMeaning(level, tuple((c.index, c.role, c.meaning) for c in channels_of(block)))
        for level, block in enumerate(program.blocks)
    )


def usual_features(program: Program) -> list[str]:
    """The meaning of each dimension of the residual stream where it is as narrow as the program allows."""
    return stream_labels(stream_for(program), program)


@dataclass(frozen=True)
class Target:
    """A kind of model.

    Attributes:
        name: what ``scancraft compile --target`` calls it; the name of its module.
        model_type: the ``model_type`` of its ``config.json``.
        title: one line for people.
        gates: the gates that its layers have.
        dtypes: the dtypes in which its models are exact.
        lower: a language's program as weights.
        lower_circuit: one of the paper's own constructions as weights; None if the target has none of them.
        classes: the configuration and the model class, imported when called.
        blocks_per_level: how many blocks a level of the cascade takes at most.
        d_conv: which widths of the convolution there are.
        meanings: what the blocks of a lowered program stand for.
        features: what the dimensions of its residual stream mean.
        circuit_meaning: what a lowered circuit stands for.
        constants: the numbers that programs are lowered with, for the manifest.
        circuit_constants: those of circuits.
    """

    name: str
    model_type: str
    title: str
    gates: Gates
    dtypes: tuple[str, ...]
    lower: Callable[[Program, Options], ModelWeights]
    lower_circuit: Callable[[Circuit, Options], ModelWeights] | None
    classes: Callable[[], tuple[Any, Any]]
    blocks_per_level: int = 1
    d_conv: tuple[int, ...] = (2, 3, 4)
    meanings: Callable[[Program], tuple[BlockMeaning, ...]] = one_block_per_level
    features: Callable[[Program], list[str]] = usual_features
    circuit_meaning: Callable[[Circuit], CircuitMeaning] = one_block_per_part
    constants: Mapping[str, float] = field(default_factory=dict)
    circuit_constants: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "name": self.name,
            "model_type": self.model_type,
            "title": self.title,
            "gates": self.gates,
            "dtypes": list(self.dtypes),
            "blocks_per_level": self.blocks_per_level,
            "d_conv": list(self.d_conv),
            "circuits": self.lower_circuit is not None,
        }

    def weights_of(self, source: Program | Circuit, options: Options) -> ModelWeights:
        """A program or a circuit as weights. O(number of weights).

        Raises:
            TargetError: the target cannot have these sizes, or has no such construction.
        """
        if options.d_state < 1:
            raise TargetError(f"d_state must be at least 1, not {options.d_state}")
        if options.d_conv not in self.d_conv:
            known = " or ".join(filter(None, [", ".join(map(str, self.d_conv[:-1])), str(self.d_conv[-1])]))
            raise TargetError(f"d_conv must be {known} in the target {self.name}, not {options.d_conv}")
        if isinstance(source, Program):
            return self.lower(source, options)
        if self.lower_circuit is None:
            raise TargetError(
                f"the target {self.name} has no lowering of {source.construction}; use the target mamba, or compile "
                "the language as a DFA, if it is one (`scancraft compile --general`)"
            )
        return self.lower_circuit(source, options)
