"""Past formulas compiled directly: a plan with a memory for each ``S``, without an automaton."""

from __future__ import annotations

from dataclasses import replace

from ..automata.budget import DEFAULT_BUDGET, Budget
from ..automata.logic.nodes import Nodes
from ..automata.logic.past import PastLtl
from .circuits.letters import over_letters
from .compiled import Constructed
from .constructions import constructed
from .plan.circuits import plan_circuit
from .plan.past import past_plan


def past_formula(
    language: PastLtl,
    *,
    budget: Budget = DEFAULT_BUDGET,
    d_conv: int = 2,
    target: str | None = None,
    dtype: str = "float32",
) -> Constructed:
    """A past formula by a flip-flop for each ``S``, as many blocks as they are nested: only ``<eos>`` is promised.

    The language of the result is the formula in the normal form of :class:`.Nodes`, whose node n is held by the memory
    ``node n``, if by any.

    Args:
        language: the formula.
        budget: how many literals its memories may look at.
        d_conv: taps of the convolution, 2 to 4, at least; it gets as many as its windows need.
        target: the kind of model (``scancraft.compile``); by default the target mamba.
        dtype: a format in which the model must be exact (``scancraft.compile``).

    Raises:
        BudgetExceededError: they look at more, or the model would have more than 2^28 parameters.
        TargetError: the target has no such sizes.
        PrecisionError: the model is not exact in ``dtype``.
    """
    nodes = Nodes(language.alphabet)
    normal = nodes.language(nodes.copied(language))
    plan = past_plan(normal.quotient.dfa, budget)
    circuit = over_letters(plan_circuit(plan), normal.quotient)
    return replace(constructed(normal, "star-free", circuit, d_conv, None, target, dtype, budget), plan=plan)
