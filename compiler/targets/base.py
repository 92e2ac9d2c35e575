"""What a target is: a kind of model that programs and circuits are lowered to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...automata.errors import ScancraftError
from ...models.weights import ModelWeights
from ..circuit import Circuit
from ..gates import Gates
from ..layout import channels_of
from ..program import Program


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
    """

    level: int
    channels: tuple[tuple[int, str, str], ...]


def one_block_per_level(program: Program) -> tuple[BlockMeaning, ...]:
    """The meaning of the blocks where each carries out one block of the program, with its channels in order."""
    return tuple(
        BlockMeaning(level, tuple((c.index, c.role, c.meaning) for c in channels_of(block)))
        for level, block in enumerate(program.blocks)
    )


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
