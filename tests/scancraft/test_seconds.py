"""The seconds of a budget are those of everything that a call does: no stage begins a time of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from clocks import Clock

import scancraft
from scancraft.automata.budget import Budget
from scancraft.automata.decide.classification import classify
from scancraft.automata.families import d_n
from scancraft.automata.languages import as_dfa
from scancraft.cli.decide import decide_language

DEEP = "a" * 40
PLANS = "(a|b|c)*a(b|c)*b(a|c)*"
BESIDE = "(a|b)*a(a|b)(a|b)(a|b)&(a|b)*b(a|b)(a|b)&~(a*)"
GROUPS = as_dfa("((a|b)(a|b))*&(a|b)*a(a|b)(a|b)(a|b)(a|b)")
CERTIFIED = scancraft.compile(d_n(4), construction="cascade")

Call = Callable[[Budget], object]

CALLS: dict[str, tuple[int, Call]] = {
    "compile": (12, lambda budget: scancraft.compile(DEEP, budget=budget)),
    "compile by plans": (15, lambda budget: scancraft.compile(PLANS, budget=budget, optimise="depth")),
    "compile side by side": (10, lambda budget: scancraft.compile(BESIDE, budget=budget)),
    "depth": (15, lambda budget: scancraft.depth("(a(ab)*b)*", budget=budget)),
    "classify": (3, lambda budget: classify(GROUPS, budget)),
    "decide": (3, lambda budget: decide_language(GROUPS, budget)),
    "refute": (4, lambda budget: scancraft.refute(CERTIFIED, budget=budget)),
}
"""With how many looks there may be once the time is over: each stage that is left takes one or two."""


@pytest.mark.parametrize("name", CALLS)
def test_no_stage_begins_a_time_of_its_own(name: str, clock: Clock) -> None:
    most, call = CALLS[name]
    call(Budget(seconds=None))
    total = clock.looks
    for seconds in (total // 10, total // 3, total // 2):
        before = clock.looks
        with suppress(scancraft.BudgetExceededError):
            call(Budget(seconds=seconds))
        assert clock.looks - before <= seconds + most
