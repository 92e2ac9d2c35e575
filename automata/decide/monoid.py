"""The transition monoid by plain enumeration: slow, obvious, and the yardstick for everything cleverer.

Its size can be n^n for n states; :mod:`.aperiodic` decides star-freeness without it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..budget import DEFAULT_BUDGET, Budget
from ..semiautomaton import Semiautomaton

Transformation = tuple[int, ...]
"""A map from states to states: entry q is the image of q."""


@dataclass(frozen=True)
class Element:
    """An element of a transition monoid: what it does to the states, and a shortest word that does it."""

    action: Transformation
    word: tuple[str, ...]


def transition_monoid(semiautomaton: Semiautomaton, budget: Budget = DEFAULT_BUDGET) -> tuple[Element, ...]:
    """All maps that words induce on the states, the identity (the empty word) first, by length of word.

    Breadth-first search of the right Cayley graph, so each word is a shortest one for its element, and the first
    of that length in the order of the alphabet. O(k * n * m) for n states, k letters, m elements.

    Raises:
        BudgetExceededError: more monoid elements than the budget allows.

    >>> flip_flop = Semiautomaton(("set", "reset"), ((1, 0), (1, 0)))
    >>> [e.word for e in transition_monoid(flip_flop)]
    [(), ('set',), ('reset',)]
    """
    columns = tuple(zip(*semiautomaton.table, strict=True))
    meter = budget.meter("monoid elements")
    first = Element(tuple(range(semiautomaton.n_states)), ())
    seen, queue = {first.action}, [first]
    meter.tick()
    for element in queue:
        for symbol, column in zip(semiautomaton.alphabet, columns, strict=True):
            action = tuple([column[q] for q in element.action])
            if action not in seen:
                meter.tick()
                seen.add(action)
                queue.append(Element(action, (*element.word, symbol)))
    return tuple(queue)


def monoid_size(semiautomaton: Semiautomaton, budget: Budget = DEFAULT_BUDGET) -> int:
    """How many elements the transition monoid has, the identity included. Cost and errors as above."""
    return len(transition_monoid(semiautomaton, budget))


def is_aperiodic_by_monoid(semiautomaton: Semiautomaton, budget: Budget = DEFAULT_BUDGET) -> bool:
    """Whether s^n = s^(n+1) for every element s, n the number of states: the definition, taken literally.

    O((k + log n) * n * m) for n states, k letters, m elements.

    Raises:
        BudgetExceededError: more monoid elements than the budget allows.
    """
    for element in transition_monoid(semiautomaton, budget):
        # Squaring passes s^n, after which the powers of s run round their cycle; it has length 1 iff s moves nothing.
        power, exponent = element.action, 1
        while exponent < semiautomaton.n_states:
            power, exponent = tuple(power[q] for q in power), 2 * exponent
        if any(element.action[q] != q for q in power):
            return False
    return True
