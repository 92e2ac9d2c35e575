"""The transition monoid by plain enumeration: slow, obvious, and the yardstick for everything cleverer.

Its size can be n^n for n states; :mod:`.aperiodic` decides star-freeness without it.
"""

from __future__ import annotations

from collections.abc import Iterator
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
    elements: list[Element] = []
    for action, parent, letter in _enumerate(semiautomaton, budget):
        word = () if parent < 0 else (*elements[parent].word, semiautomaton.alphabet[letter])
        elements.append(Element(action, word))
    return tuple(elements)


def monoid_size(semiautomaton: Semiautomaton, budget: Budget = DEFAULT_BUDGET) -> int:
    """How many elements the transition monoid has, the identity included. Cost and errors as above."""
    return sum(1 for _ in _enumerate(semiautomaton, budget))


def is_aperiodic_by_monoid(semiautomaton: Semiautomaton, budget: Budget = DEFAULT_BUDGET) -> bool:
    """Whether s^n = s^(n+1) for every element s, n the number of states: the definition, taken literally.

    O((k + log n) * n * m) for n states, k letters, m elements.

    Raises:
        BudgetExceededError: more monoid elements than the budget allows.
    """
    for action, _, _ in _enumerate(semiautomaton, budget):
        # Squaring passes s^n, after which the powers of s run round their cycle; it has length 1 iff s moves nothing.
        power, exponent = action, 1
        while exponent < semiautomaton.n_states:
            power, exponent = tuple(power[q] for q in power), 2 * exponent
        if any(action[q] != q for q in power):
            return False
    return True


def _enumerate(semiautomaton: Semiautomaton, budget: Budget) -> Iterator[tuple[Transformation, int, int]]:
    """The elements in breadth-first order, each with the number of its parent and the letter that led to it."""
    columns = tuple(zip(*semiautomaton.table, strict=True))
    meter = budget.meter("monoid elements")
    identity = tuple(range(semiautomaton.n_states))
    seen, queue = {identity}, [identity]
    meter.tick()
    yield identity, -1, -1
    for number, action in enumerate(queue):
        for letter, column in enumerate(columns):
            product = tuple(column[q] for q in action)
            if product not in seen:
                meter.tick()
                seen.add(product)
                queue.append(product)
                yield product, number, letter
