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

        O(k * n * subsets) for n states; subsets up to 2^n.

        Raises:
            BudgetExceededError: more subsets than the budget allows.
        """
        closures = self._closures()
        steps = [[0] * len(self.moves) for _ in self.alphabet]
        for q, moves in enumerate(self.moves):
            for a, targets in moves.items():
                for t in targets:
                    steps[a][q] |= closures[t]

        def successors(subset: int) -> list[int]:
            states = members(subset)
            return [reduce(or_, [step[q] for q in states], 0) for step in steps]

        goal = sum(1 << q for q in set(accepting))
        subsets, table = numbered(closures[initial], successors, budget.meter("subset states"))
        return table, [i for i, subset in enumerate(subsets) if subset & goal]

    def _closures(self) -> list[int]:
        """Epsilon closure of each state as a bitmask. O(n * edges)."""
        closures = []
        for q in range(len(self.moves)):
            seen, stack = 1 << q, [q]
            while stack:
                for t in self.epsilon[stack.pop()]:
                    if not seen >> t & 1:
                        seen |= 1 << t
                        stack.append(t)
            closures.append(seen)
        return closures
