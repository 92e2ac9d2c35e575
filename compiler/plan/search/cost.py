"""How large the model of a plan will be, before it is lowered: features, channels, parameters of the target mamba.

The plan's circuit is made, since what shares a feature is decided there; the formula for the parameters is that of a
Mamba with one state per channel, and off by the rank of Delta at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ....automata.budget import DEFAULT_BUDGET, Budget
from ..circuits import plan_circuit
from ..plan import Plan
from ..separate import separated
from ..wellformed import PlanError

NARROWEST = 16

SLIGHT = 0.2
"""A model that is smaller by this share at most is not looked for."""


@dataclass(frozen=True)
class Cost:
    """Estimated sizes.

    Attributes:
        blocks: of the model.
        features: in the residual stream, the constants left out.
        channels: of the widest block.
        parameters: of the target mamba.
    """

    blocks: int
    features: int
    channels: int
    parameters: int


def cost(plan: Plan, budget: Budget = DEFAULT_BUDGET) -> Cost | None:
    """The estimate, or None if the plan cannot be written as a circuit. O(size of the circuit and nodes of the plan).

    Raises:
        BudgetExceededError: the plan has more nodes than the budget allows.
    """
    try:
        circuit = plan_circuit(separated(plan, budget))
    except PlanError:
        return None
    channels = max((len(block.channels) for block in circuit.blocks), default=0)
    rank = max([1, *(len({(s.register.name, s.label) for _, s in block.shown}) for block in circuit.blocks)])
    features, conv = len(circuit.features), max(2, plan.window)
    return Cost(
        circuit.n_blocks,
        features,
        channels,
        _parameters(circuit.n_blocks, features, channels, rank, conv, circuit.alphabet),
    )


def blocks_under(parameters: int, alphabet: Sequence[str]) -> int:
    """How many blocks a model over the alphabet can have that is smaller by more than :data:`SLIGHT`."""
    one, two = (_parameters(n, len(alphabet) + 1, 1, 1, 2, alphabet) for n in (1, 2))
    return max(0, 1 + int((parameters * (1 - SLIGHT) - one) // (two - one)))


def _parameters(blocks: int, features: int, channels: int, rank: int, conv: int, alphabet: Sequence[str]) -> int:
    width = NARROWEST
    while features + (1 if width.bit_length() % 2 else 2) > width:
        width *= 2
    inner = max(1, -(-channels // width)) * width
    block = inner * (3 * width + conv + 2 * rank + 7) + width
    return blocks * block + width * (2 * (len(alphabet) + 3) + 1)
