"""The transition monoid by plain enumeration: slow, obvious, and the yardstick for everything cleverer."""

from __future__ import annotations

from dataclasses import dataclass

from scancraft.automata.budget import DEFAULT_BUDGET, Budget
from scancraft.automata.semiautomaton import Semiautomaton


@dataclass(frozen=True)
class Element:
    """An element of a transition monoid: what it does to the states, and a shortest word that does it."""

    action: tuple[int, ...]
    word: tuple[str, ...]


def transition_monoid(semiautomaton: Semiautomaton, budget: Budget = DEFAULT_BUDGET) -> tuple[Element, ...]:
    """All maps that words induce on the states, the identity first, by length of word.

    Raises:
        BudgetExceededError: more elements than the budget allows.
    """
    columns = tuple(zip(*semiautomaton.table, strict=True))
    meter = budget.meter("monoid elements")
    first = Element(tuple(range(semiautomaton.n_states)), ())
    seen, queue = {first.action}, [first]
    for element in queue:
        meter.tick()
        for symbol, column in zip(semiautomaton.alphabet, columns, strict=True):
            action = tuple([column[q] for q in element.action])
            if action not in seen:
                seen.add(action)
                queue.append(Element(action, (*element.word, symbol)))
    return tuple(queue)


def is_aperiodic_by_monoid(semiautomaton: Semiautomaton) -> bool:
    """Whether s^n = s^(n+1) for every element s, n the number of states: the definition, taken literally."""
    for element in transition_monoid(semiautomaton):
        # Squaring passes s^n, after which the powers of s run round their cycle; it has length 1 iff s moves nothing.
        power, exponent = element.action, 1
        while exponent < semiautomaton.n_states:
            power, exponent = tuple(power[q] for q in power), 2 * exponent
        if any(element.action[q] != q for q in power):
            return False
    return True
