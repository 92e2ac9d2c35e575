"""How large the model of a plan will be, before it is lowered: features, channels, parameters of the target mamba.

The plan's circuit is made, since what shares a feature is decided there; the formula for the parameters is that of a
Mamba with one state per channel, and off by the rank of Delta at most.
"""

from __future__ import annotations

from dataclasses import dataclass

from ....automata.budget import DEFAULT_BUDGET, Budget
from ...circuits.circuit import Circuit
from ..circuits import plan_circuit
from ..plan import Plan
from ..separate import separated
from ..wellformed import PlanError

NARROWEST = 16


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
    return Cost(circuit.n_blocks, len(circuit.features), channels, _parameters(circuit, channels, max(2, plan.window)))


def _parameters(circuit: Circuit, channels: int, conv: int) -> int:
    width = NARROWEST
    while len(circuit.features) + (1 if width.bit_length() % 2 else 2) > width:
        width *= 2
    inner = max(1, -(-channels // width)) * width
    rank = max([1, *(len({(s.register.name, s.label) for _, s in block.shown}) for block in circuit.blocks)])
    block = inner * (3 * width + conv + 2 * rank + 7) + width
    vocabulary = len(circuit.alphabet) + 3
    return circuit.n_blocks * block + width * (2 * vocabulary + 1)
