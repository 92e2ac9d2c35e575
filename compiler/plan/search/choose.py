"""Plans of a language, least effort first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product

from ....automata.budget import DEFAULT_BUDGET, Budget
from ....automata.deterministic import Deterministic
from ....automata.errors import BudgetExceededError
from ..plan import Plan
from .blocks import FIRST_LETTERS, Found, stacks
from .cost import cost
from .knowledge import Drafts, explore
from .readout import conjunctive, linear
from .writing import plan_of

WINDOWS = (1, 2, 3, 4)
"""How many letters are looked at; a convolution has at most four taps."""

FEW_LETTERS = 3
"""With so many letters in the alphabet, looking at two of them is little more work than looking at one."""

EFFORT, LESS_EFFORT = 80_000, 20_000
"""Items of the budget that one effort may use, and after one has found a plan."""

MOST_BLOCKS = 12
"""Deeper plans are not looked for, unless more is asked."""

FEW_BLOCKS = 8
"""Deeper plans are hardly ever smaller than cascades."""


def plans(
    dfa: Deterministic,
    budget: Budget = DEFAULT_BUDGET,
    *,
    most: int = MOST_BLOCKS,
    room: Callable[[int], int] | None = None,
    thorough: bool = True,
) -> Iterator[Plan]:
    """Plans of the language, least effort first; none if none is found.

    What is found within the budget is the same each time, unless the budget's seconds run out. Nothing is proved here
    (``compiler.plan.prove``).

    Args:
        dfa: the language.
        budget: limits each effort; one that goes past it is given up.
        most: how many blocks a plan may have.
        room: how many it may have to be of use, after all that was found so far; asked before each effort and each
            block, with its number. By default fewer than those found.
        thorough: also look at four letters, and at three in every way, which hardly ever makes a model smaller.
    """
    fewest, by_two = most + 1, False
    known = {window: Found() for window in WINDOWS}
    for window, eager in _efforts(dfa, thorough):
        fewer = fewest if window == FIRST_LETTERS and not eager else fewest - 1
        widest = fewest if window > FIRST_LETTERS else most  # with more letters plans are wider

        def useful(number: int, fewer: int = fewer, widest: int = widest) -> int:
            return min(most, widest, room(number) if room is not None else fewer)

        if window < FIRST_LETTERS and by_two and useful(1) < fewest <= most:
            continue  # with one letter instead of two a plan may be narrower, but hardly has fewer blocks
        first = 2 if eager or window > FIRST_LETTERS else 1
        if useful(first) < first:
            continue
        effort = EFFORT if fewest > most else LESS_EFFORT
        meter = replace(budget, items=min(budget.items, effort)).meter("nodes of plans")
        try:
            for blocks in stacks(dfa, window, useful, meter, found=known[window], eager=eager):
                plan = written(dfa, blocks, window, budget, known[window])
                fewest, by_two = min(fewest, len(plan.blocks)), by_two or window == FIRST_LETTERS
                yield plan
        except BudgetExceededError:
            continue


def _efforts(dfa: Deterministic, thorough: bool) -> Iterator[tuple[int, bool]]:
    """How many letters, and whether every block narrows down the states (``blocks.stacks``); the least effort first."""
    near = (1, 2) if len(dfa.alphabet) > FEW_LETTERS else (2, 1)
    yield from product(near, (False,))
    yield from product(near, (True,))
    far = WINDOWS[FIRST_LETTERS:]
    yield from product(far if thorough else far[:1], (False,))
    if thorough:
        yield from product(far, (True,))


def written(dfa: Deterministic, blocks: Drafts, window: int, budget: Budget, found: Found) -> Plan:
    """A plan from blocks of which the last is finishing; a block more where no threshold reads them out."""
    meter = budget.meter("nodes of a plan")
    arena = found.arenas.get((blocks[:-1], blocks[-1]))
    knowledge = explore(dfa, blocks, window, meter) if arena is None else arena.knowledge
    verdicts = linear(knowledge, meter)
    if verdicts is not None:
        return plan_of(knowledge, verdicts)
    return plan_of(knowledge, conjunctive(knowledge, meter), last=True)


def smallest(dfa: Deterministic, budget: Budget = DEFAULT_BUDGET, *, most: int = MOST_BLOCKS) -> Plan | None:
    """Of the plans that are found and can be circuits the one with fewest parameters, then fewest blocks."""
    best: tuple[int, int] | None = None
    chosen = None
    for plan in plans(dfa, budget, most=most):
        size = cost(plan, budget)
        if size is not None and (best is None or (size.parameters, size.blocks) < best):
            best, chosen = (size.parameters, size.blocks), plan
    return chosen
