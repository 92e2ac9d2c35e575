"""Which architecture carries a regular language, and in how many blocks, before anything is compiled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ..automata.budget import DEFAULT_BUDGET, Budget
from ..automata.decide.classification import GateClass
from ..automata.deterministic import Deterministic
from ..automata.errors import BudgetExceededError
from .cascade.cascade import decompose
from .cascade.rules import tabulate
from .circuits.levels import cascade_circuit
from .targets.olmo_hybrid import n_layers

ITEMS, ITEMS_STAR_FREE = 20_000, 1_000
"""So much is looked at, if the budget allows more, for a language that has groups, and for one that has none."""


@dataclass(frozen=True)
class Architecture:
    """What a language takes.

    Attributes:
        name: the weakest architecture that suffices: "mamba" (gates in [0, 1]: star-free languages) or "olmo_hybrid"
            (Gated DeltaNet whose transitions have eigenvalues down to -1: every regular language).
        blocks: of the circuit of its cascade; a plan of a star-free language may have fewer. None if there is none
            within the budget.
        layers: of the model: those of an OLMo Hybrid are these blocks, some that find out something for the next, and
            one of attention, which does nothing.
        pipelines: how many levels of the cascade are pipelines; the others only exchange labels, or overwrite them.
        undecided: why there are no numbers.
    """

    name: Literal["mamba", "olmo_hybrid"]
    blocks: int | None = None
    layers: int | None = None
    pipelines: int = 0
    undecided: str = ""

    def as_json(self) -> dict[str, object]:
        """The facts under the keys that the command line documents."""
        return {"architecture": self.name, "blocks": self.blocks, "layers": self.layers}

    def __str__(self) -> str:
        if self.blocks is None:
            return f"architecture: {self.name}, in a number of blocks that was not found ({self.undecided})"
        size = f"{self.blocks} block{'s' * (self.blocks != 1)}"
        if self.name == "mamba":
            return f"architecture: mamba, at most {size} (a cascade)"
        pipes = f", {self.pipelines} of its levels as pipeline{'s' * (self.pipelines != 1)}" if self.pipelines else ""
        return f"architecture: olmo_hybrid, {self.layers} layers, for {size} (a cascade{pipes})"


def architecture(dfa: Deterministic, gates: GateClass, budget: Budget = DEFAULT_BUDGET) -> Architecture:
    """The weakest architecture that suffices, with the size of the language's cascade.

    Args:
        dfa: the language.
        gates: what it needs (``automata.decide.classification``).
        budget: how far the decomposition may go.

    Cost: that of compiling the cascade without writing weights.
    """
    star_free = gates is GateClass.NONNEGATIVE
    few = replace(budget, items=min(budget.items, ITEMS_STAR_FREE if star_free else ITEMS))
    name: Literal["mamba", "olmo_hybrid"] = "mamba" if star_free else "olmo_hybrid"
    try:
        cascade = decompose(dfa.distinct, few, groups="any")
        if star_free:
            return Architecture(name, height := max(1, cascade.height), height)
        circuit = cascade_circuit(tabulate(cascade, few), dfa.distinct, few)
    except BudgetExceededError as error:
        return Architecture(name, undecided=str(error))
    pipelines = sum(stage.kind == "pipeline" for stage in cascade.parts.stages.values())
    return Architecture(name, circuit.n_blocks, n_layers(circuit), pipelines)
