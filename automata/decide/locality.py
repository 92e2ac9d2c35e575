"""Languages that look at the last letters only: definite ones, and those of one pattern, at the end or anywhere.

A DFA is *definite* with window w iff any w letters lead all states to one. By rounds: states are merged that every
letter leads to the same class, until one class is left, after w rounds. A *pattern* is a row of sets of letters; it is
met where the letters, one by one, are in its sets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ..budget import DEFAULT_BUDGET, Budget
from ..deterministic import Deterministic
from ..dfa import Dfa
from ..errors import BudgetExceededError
from ..nfa import NfaBuilder

MORE = 4
"""So many times the states of a language may be those of a pattern before they are minimised."""


def definite_window(dfa: Deterministic) -> int | None:
    """The least w such that the last w letters tell the state; None if there is none. O(w * states * letters)."""
    table = dfa.semiautomaton.array
    classes, count, window = np.arange(len(table)), len(table), 0
    while count > 1:
        _, classes = np.unique(classes[table], axis=0, return_inverse=True)
        classes, before = classes.reshape(-1), count
        count, window = int(classes.max()) + 1, window + 1
        if count == before:
            return None
    return window


@dataclass(frozen=True)
class Pattern:
    """A row of sets of letters, at the end of the words of a language, or anywhere in them.

    Attributes:
        sets: the letters that each place may have.
        where: "end" or "anywhere".
    """

    sets: tuple[frozenset[str], ...]
    where: Literal["end", "anywhere"]

    def __str__(self) -> str:
        place = "at the end" if self.where == "end" else "somewhere"
        return f"a pattern of {len(self.sets)} letters {place}"


def pattern_of(dfa: Dfa, budget: Budget = DEFAULT_BUDGET) -> Pattern | None:
    """The pattern whose words are the language, or None; what is found is compared with the language.

    Args:
        dfa: over letters of which no two act alike.
        budget: how many states the pattern's own automaton may have, but at most a few times those of the language.

    Cost: O(states * letters), and for a pattern at the end that of determinising it.
    """
    if dfa.is_empty() or not dfa.alphabet:
        return None
    return _anywhere(dfa) or _at_end(dfa, budget)


def _anywhere(dfa: Dfa) -> Pattern | None:
    """One word somewhere: the automaton of Knuth, Morris and Pratt is compared with the language's."""
    if len(dfa.accepting) != 1 or any(t not in dfa.accepting for q in dfa.accepting for t in dfa.table[q]):
        return None
    word = dfa.shortest_word()
    if not word or len(word) + 1 != dfa.n_states:
        return None
    letters = [dfa.semiautomaton.index_of(symbol) for symbol in word]
    rows: list[list[int]] = []
    behind = 0  # where the automaton would be without the first letter
    for place, letter in enumerate(letters):
        row = list(rows[behind]) if place else [0] * len(dfa.alphabet)
        behind = row[letter] if place else 0
        row[letter] = place + 1
        rows.append(row)
    rows.append([len(word)] * len(dfa.alphabet))
    if Dfa.from_table(dfa.alphabet, rows, 0, [len(word)]) != dfa:
        return None
    return Pattern(tuple(frozenset({symbol}) for symbol in word), "anywhere")


def _at_end(dfa: Dfa, budget: Budget) -> Pattern | None:
    """Sets at the end: those that accepted words of the window's length have there."""
    window = definite_window(dfa)
    if not window:
        return None
    ahead = [set(dfa.accepting)]
    for _ in range(window):
        ahead.append({q for q, row in enumerate(dfa.table) if not ahead[-1].isdisjoint(row)})
    here, sets = {0}, []
    for left in range(window - 1, -1, -1):
        moves = [(symbol, t) for q in here for symbol, t in zip(dfa.alphabet, dfa.table[q], strict=True)]
        good = [(symbol, t) for symbol, t in moves if t in ahead[left]]
        sets.append(frozenset(symbol for symbol, _ in good))
        here = {t for _, t in good}
    nfa, number = NfaBuilder(dfa.alphabet), dfa.semiautomaton.letter_index
    states = [nfa.state() for _ in range(window + 1)]
    for a in range(len(dfa.alphabet)):
        nfa.link(states[0], a, states[0])
    for place, symbols in enumerate(sets):
        for symbol in symbols:
            nfa.link(states[place], number[symbol], states[place + 1])
    try:
        few = replace(budget, items=min(budget.items, MORE * dfa.n_states + MORE))
        same = Dfa.determinised(nfa, states[0], [states[-1]], few) == dfa
    except BudgetExceededError:
        return None
    return Pattern(tuple(sets), "end") if same else None
