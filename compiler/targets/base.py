"""What a target is: a kind of model that circuits are lowered to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeVar

from ...automata.budget import DEFAULT_BUDGET
from ...automata.errors import BudgetExceededError, ScancraftError
from ...models.classes import Architecture
from ...models.weights import ModelShape, ModelWeights
from ..circuits.circuit import Circuit
from ..manifest import BlockLabel, CounterLabel, Dimension
from .gates import Gates


class UnknownTargetError(ScancraftError):
    """A target was asked for that does not exist."""


class TargetError(ScancraftError):
    """A target cannot have what was asked of it: a size, or a construction."""


class ModelSizeError(BudgetExceededError):
    """A model would have more parameters than the budget allows; none of them was made.

    Attributes:
        grew: the largest of its parameters.
        group: of a language with one: the group that its gates are for.
    """

    def __init__(self, what: str, reached: float, limit: float, grew: str = "", group: str = "") -> None:
        super().__init__(what, reached, limit)
        self.grew, self.group = grew, group

    def __str__(self) -> str:
        whose = f"; the language has the group {self.group}" if self.group else ""
        return (
            f"undecided: the model would have {self.reached:,} {self.what}, past its budget of {self.limit:,}: "
            f"{self.grew}{whose}; raise the budget of parameters, or simplify the language"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.what, self.reached, self.limit, self.grew, self.group)


Shape = TypeVar("Shape", bound=ModelShape)


def within(shape: Shape, most: int) -> Shape:
    """A shape whose parameters are not more than so many.

    Raises:
        ModelSizeError: they are more.
    """
    if (found := shape.n_parameters) > most:
        layers = [shape.layer_tensors(layer) for layer in range(shape.n_layers)]
        name = max(layers[0], key=lambda name: prod(layers[0][name]))
        size = " x ".join(f"{n:,}" for n in layers[0][name] if n > 1)
        grew = f"{name} is {size} in {sum(name in each for each in layers):,} of {len(layers):,} layers"
        raise ModelSizeError("parameters", found, most, grew)
    return shape


@dataclass(frozen=True)
class Options:
    """Sizes that a person may choose; no target needs more than the defaults.

    Attributes:
        d_state: states per channel, where nothing counts (counters decide themselves).
        d_conv: taps of the convolution at least; cascades use the last two, plans may need more, and then get them.
        parameters: how many a model may have.
    """

    d_state: int = 1
    d_conv: int = 2
    parameters: int = DEFAULT_BUDGET.parameters


@dataclass(frozen=True)
class Lowered:
    """A circuit as weights, and what they mean.

    Attributes:
        weights: the parameters, float32.
        residual: what each dimension of the residual stream means.
        blocks: what each block computes; none where the one block of the model does nothing.
        counters: the entries of the state that count.
    """

    weights: ModelWeights
    residual: tuple[Dimension, ...]
    blocks: tuple[BlockLabel, ...]
    counters: tuple[CounterLabel, ...]


def as_it_is(circuit: Circuit, weights: ModelWeights, dtype: str) -> ModelWeights:
    """The weights of a target that are exact in all of its dtypes."""
    return weights


@dataclass(frozen=True)
class Target:
    """A kind of model.

    Attributes:
        name: what ``scancraft compile --target`` calls it.
        model_type: the ``model_type`` of its ``config.json``.
        title: one line for people.
        gates: the gates that its layers have.
        dtypes: the dtypes in which its models are exact.
        lower: a circuit as weights.
        classes: the configuration and the model class, imported when called.
        circuits: whether it has the paper's own constructions, or cascades and plans only.
        blocks_per_level: how many blocks a level of the cascade takes at most.
        d_conv: which widths of the convolution there are.
        constants: the numbers that it lowers with, for the manifest.
        fit: a circuit's weights with constants that a dtype holds; raises ``PrecisionError`` if it can hold none.
        architecture: of a model type that ``models.classes`` does not list: where its classes are.
    """

    name: str
    model_type: str
    title: str
    gates: Gates
    dtypes: tuple[str, ...]
    lower: Callable[[Circuit, Options], Lowered]
    classes: Callable[[], tuple[Any, Any]]
    circuits: bool = True
    blocks_per_level: int = 1
    d_conv: tuple[int, ...] = (2, 3, 4)
    constants: Mapping[str, float] = field(default_factory=dict)
    fit: Callable[[Circuit, ModelWeights, str], ModelWeights] = as_it_is
    architecture: Architecture | None = None

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
            "circuits": self.circuits,
        }

    def lowered(self, circuit: Circuit, options: Options) -> Lowered:
        """A circuit as weights. O(number of weights).

        Raises:
            TargetError: the target cannot have these sizes, has no such construction, or lacks the gates for it.
        """
        if options.d_state < 1:
            raise TargetError(f"d_state must be at least 1, not {options.d_state}")
        if options.d_conv not in self.d_conv:
            known = " or ".join(filter(None, [", ".join(map(str, self.d_conv[:-1])), str(self.d_conv[-1])]))
            raise TargetError(f"d_conv must be {known} in the target {self.name}, not {options.d_conv}")
        if circuit.swaps and self.gates == "nonnegative":
            raise TargetError(
                f"the circuit swaps a memory's values, which takes gates of -1, and the target {self.name} has "
                "nonnegative ones; use the target olmo_hybrid, or signed_mamba"
            )
        if circuit.kind not in ("cascade", "plan") and not self.circuits:
            raise TargetError(
                f"the target {self.name} has no lowering of {circuit.construction}; use the target mamba, or compile "
                "the language as a DFA, if it is one (`scancraft compile --general`)"
            )
        return self.lower(circuit, options)
