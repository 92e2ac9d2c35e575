"""Plans of a language, least effort first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from ....automata.budget import DEFAULT_BUDGET, Budget
from ....automata.dfa import Dfa
from ....automata.errors import BudgetExceededError
from ..plan import Plan
from .blocks import FIRST_LETTERS, stacks
from .cost import cost
from .knowledge import Drafts, explore
from .readout import conjunctive, linear
from .writing import plan_of

WINDOWS = (1, 2, 3, 4)
"""How many letters are looked at, in the order of effort; a convolution has at most four taps."""

EFFORT = 80_000
"""Items of the budget that one effort may use."""

MOST_BLOCKS = 12
"""Deeper plans are not looked for, unless more is asked."""


def plans(dfa: Dfa, budget: Budget = DEFAULT_BUDGET, *, most: int = MOST_BLOCKS) -> Iterator[Plan]:
    """Plans of the language, least effort first; none if none is found.

    What is found within the budget is the same each time, unless the budget's seconds run out. Nothing is proved here
    (``compiler.plan.prove``).

    Args:
        dfa: the language.
        budget: limits each effort; one that goes past it is given up.
        most: how many blocks a plan may have.
    """
    fewest = most + 1
    for eager, window in product((False, True), WINDOWS):
        # More is looked at for fewer blocks only; with two letters in place of one a plan may also be smaller.
        allowed = min(most, fewest if window == 2 and not eager else fewest - 1)
        if allowed < (1 if window <= FIRST_LETTERS else 2):
            continue
        meter = replace(budget, items=min(budget.items, EFFORT)).meter("nodes of plans")
        try:
            for blocks in stacks(dfa, window, allowed, meter, eager=eager):
                plan = written(dfa, blocks, window, budget)
                fewest = min(fewest, len(plan.blocks))
                yield plan
        except BudgetExceededError:
            continue


def written(dfa: Dfa, blocks: Drafts, window: int, budget: Budget) -> Plan:
    """A plan from blocks of which the last is finishing; a block more where no threshold reads them out."""
    meter = budget.meter("nodes of a plan")
    knowledge = explore(dfa, blocks, window, meter)
    verdicts = linear(knowledge, meter)
    if verdicts is not None:
        return plan_of(knowledge, verdicts)
    return plan_of(knowledge, conjunctive(knowledge, meter), last=True)


def smallest(dfa: Dfa, budget: Budget = DEFAULT_BUDGET, *, most: int = MOST_BLOCKS) -> Plan | None:
    """Of the plans that are found and can be circuits the one with fewest parameters, then fewest blocks."""
    best: tuple[int, int] | None = None
    chosen = None
    for plan in plans(dfa, budget, most=most):
        size = cost(plan, budget)
        if size is not None and (best is None or (size.parameters, size.blocks) < best):
            best, chosen = (size.parameters, size.blocks), plan
    return chosen
