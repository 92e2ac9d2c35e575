"""How many blocks a language needs: a model from above, two words that fewer blocks confuse from below."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import asdict

from .automata.budget import DEFAULT_BUDGET, Budget
from .automata.decide.depth import DepthWitness, lower_bound
from .automata.languages import as_dfa
from .compiler.compile import compile
from .compiler.compiled import CompiledModel


@dataclass(frozen=True)
class Depth:
    """What is known of the number of blocks.

    Attributes:
        model: a model, and so an upper bound.
        witness: two words that show a lower bound; None if no more than one block was shown to be needed.
        window: how many letters each block of the lower bound sees at a time: the taps of the model's convolutions.
    """

    model: CompiledModel
    witness: DepthWitness | None
    window: int

    @property
    def at_most(self) -> int:
        """Blocks that suffice."""
        return self.model.weights.shape.n_layers

    @property
    def at_least(self) -> int:
        """Blocks that are needed by latch models: gates 0 or 1, and nothing written where the gate is 1."""
        return 1 if self.witness is None else self.witness.depth + 1

    @property
    def counts(self) -> bool:
        """Whether the model counts, so that the lower bound is not about it."""
        return self.model.circuit.counts

    def as_json(self) -> dict[str, object]:
        """The facts under the keys that the command line documents."""
        witness = self.witness
        return {
            "at_most": self.at_most,
            "parameters": self.model.weights.n_parameters,
            "alternatives": [asdict(size) for size in self.model.manifest.alternatives],
            "construction": self.model.circuit.construction,
            "counts": self.counts,
            "at_least": self.at_least,
            "window": self.window,
            "words": None if witness is None else [list(word) for word in witness.words],
            "differ": None if witness is None else witness.differ,
        }

    def __str__(self) -> str:
        at_least = (
            "no more than 1 was shown to be needed"
            if self.witness is None
            else f"at least {self.at_least}: {self.witness}"
        )
        return (
            f"at most {_blocks(self.at_most)}: {self.model.circuit.construction}\n"
            f"without counting {at_least}\n{self._between()}"
        )

    def _between(self) -> str:
        """What stands in the way of knowing the number."""
        if self.counts:
            return (
                "the model counts, and the lower bound is about models that do not: their gates are 0 or 1, and where "
                "one is 1 nothing is written"
            )
        if self.at_least == self.at_most:
            return f"so {_blocks(self.at_most)} it is, for models with gates 0 and 1 that do not count"
        fewer = _blocks(self.at_most - 1)
        return f"open: no model with {fewer} was found, and no two words that such a model must confuse"


def depth(language: object, *, window: int | None = None, budget: Budget = DEFAULT_BUDGET) -> Depth:
    """How many blocks a regular language needs (docs/walkthroughs/how_many_blocks.md).

    Args:
        language: whatever ``compile`` takes, if it is regular.
        window: how many letters a block sees at a time (``d_conv``), 2 to 4; by default as many as the shallowest model
            that is found does.
        budget: items of each search, seconds of all of them together.

    Raises:
        NotStarFreeError: no number of blocks suffices with nonnegative gates.
        BudgetExceededError: no model was found within the budget.
        ScancraftError: the language cannot be read, is not regular, or the window is no number of taps.
    """
    budget = budget.running()
    dfa = as_dfa(language, budget)
    model = compile(dfa, budget=budget, gates="nonnegative", d_conv=window, target="mamba", optimise="depth")
    seen = model.weights.shape.d_conv
    return Depth(model, lower_bound(dfa, seen, budget), seen)


def _blocks(n: int) -> str:
    return f"{n} block{'s' * (n != 1)}"
