"""Nondeterministic automata with epsilon moves, and the subset construction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_

from .alphabet import check_alphabet
from .budget import DEFAULT_BUDGET, Budget
from .images import members
from .search import numbered

Table = Sequence[Sequence[int]]
"""``table[q][a]`` is the state that letter number ``a`` leads to from state ``q``."""

LARGE = 8_192
"""A subset counts once more against the budget for every so many states that it spans (a kilobyte)."""

WIDE = 1_024
"""And once more for every so many letters."""


@dataclass
class NfaBuilder:
    """A growing NFA; states are numbers handed out by :meth:`state`."""

    alphabet: tuple[str, ...]
    moves: list[dict[int, set[int]]] = field(default_factory=list)
    epsilon: list[set[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.alphabet = check_alphabet(self.alphabet)

    def state(self) -> int:
        """A fresh state."""
        self.moves.append({})
        self.epsilon.append(set())
        return len(self.moves) - 1

    def link(self, source: int, letter: int, target: int) -> None:
        """Add a move under letter number ``letter``."""
        self.moves[source].setdefault(letter, set()).add(target)

    def jump(self, source: int, target: int) -> None:
        """Add an epsilon move."""
        self.epsilon[source].add(target)

    def embed(self, table: Table, accepting: Collection[int], live: Collection[int]) -> tuple[int, int]:
        """Copy a DFA over the same alphabet, initial state 0, in; returns its entry and its one exit.

        Args:
            table: of the DFA.
            accepting: its accepting states.
            live: the states to copy.
        """
        entry, leave = self.state(), self.state()
        copy = {q: self.state() for q in sorted(live)}
        for q, here in copy.items():
            for a, target in enumerate(table[q]):
                if target in copy:
                    self.link(here, a, copy[target])
            if q in accepting:
                self.jump(here, leave)
        if 0 in copy:
            self.jump(entry, copy[0])
        return entry, leave

    def determinise(
        self, initial: int, accepting: Iterable[int], budget: Budget = DEFAULT_BUDGET
    ) -> tuple[Table, list[int]]:
        """The subset construction, on bitmasks: a table with initial state 0, and the accepting states.

        O((k + moves) * subsets), on masks of n bits for n states; subsets up to 2^n. What is not reached costs nothing.

        Raises:
            BudgetExceededError: more subsets than the budget allows.
        """
        closures: dict[int, int] = {}
        rows: dict[int, list[tuple[int, int]]] = {}
        meter, k = budget.meter("subset states"), len(self.alphabet)

        def row(q: int) -> list[tuple[int, int]]:
            """The letters that state ``q`` reads, and where they lead, worked out on the first visit."""
            if q not in rows:
                rows[q] = [
                    (a, reduce(or_, [self._closure(t, closures) for t in sorted(targets)], 0))
                    for a, targets in self.moves[q].items()
                ]
            return rows[q]

        def successors(subset: int) -> list[int]:
            found = [0] * k
            for q in members(subset):
                for a, mask in row(q):
                    found[a] |= mask
            # A subset of very many states, or a row for very many letters, takes as much room as several small ones.
            meter.tick(subset.bit_length() // LARGE + k // WIDE)
            return found

        goal = sum(1 << q for q in set(accepting))
        subsets, table = numbered(self._closure(initial, closures), successors, meter)
        return table, [i for i, subset in enumerate(subsets) if subset & goal]

    def _closure(self, q: int, known: dict[int, int]) -> int:
        """The epsilon closure of a state as a bitmask. O(edges)."""
        if q not in known:
            seen, stack = 1 << q, [q]
            while stack:
                for t in self.epsilon[stack.pop()]:
                    if not seen >> t & 1:
                        seen |= 1 << t
                        stack.append(t)
            known[q] = seen
        return known[q]
