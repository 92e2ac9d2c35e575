"""Nondeterministic automata with epsilon moves, and the subset construction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .alphabet import check_alphabet
from .budget import DEFAULT_BUDGET, Budget
from .dfa import Dfa
from .images import members


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

    def embed(self, dfa: Dfa) -> tuple[int, int]:
        """Copy a DFA over the same alphabet in; returns its entry and its one exit. Dead states are left out."""
        entry, leave = self.state(), self.state()
        copy = {q: self.state() for q in sorted(dfa.live)}
        for q, here in copy.items():
            for a, target in enumerate(dfa.semiautomaton.table[q]):
                if target in copy:
                    self.link(here, a, copy[target])
            if q in dfa.accepting:
                self.jump(here, leave)
        if 0 in copy:
            self.jump(entry, copy[0])
        return entry, leave

    def determinise(self, initial: int, accepting: Iterable[int], budget: Budget = DEFAULT_BUDGET) -> Dfa:
        """The subset construction, on bitmasks. O(k * n * subsets) for n states; subsets up to 2^n.

        Raises:
            BudgetExceededError: more subsets than the budget allows.
        """
        closures = self._closures()
        step = [[0] * len(self.moves) for _ in self.alphabet]
        for q, moves in enumerate(self.moves):
            for a, targets in moves.items():
                for t in targets:
                    step[a][q] |= closures[t]
        meter = budget.meter("subset states")
        goal = sum(1 << q for q in set(accepting))
        number = {closures[initial]: 0}
        queue = [closures[initial]]
        table = []
        for subset in queue:
            states = members(subset)
            row = []
            for letter in step:
                target = 0
                for q in states:
                    target |= letter[q]
                if target not in number:
                    meter.tick()
                    number[target] = len(queue)
                    queue.append(target)
                row.append(number[target])
            table.append(row)
        final = [i for i, subset in enumerate(queue) if subset & goal]
        return Dfa.from_table(self.alphabet, table, 0, final)

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


def concatenate(left: Dfa, right: Dfa, budget: Budget = DEFAULT_BUDGET) -> Dfa:
    """The language of words u v with u in ``left`` and v in ``right``; exponential in the worst case."""
    if left.alphabet != right.alphabet:
        # The product with the universal language raises the right error for different symbol sets.
        right = right & Dfa.universal(left.alphabet)
        right = right.over(left.alphabet)
    nfa = NfaBuilder(left.alphabet)
    entry, middle = nfa.embed(left)
    onward, leave = nfa.embed(right)
    nfa.jump(middle, onward)
    return nfa.determinise(entry, [leave], budget)


def iterate(dfa: Dfa, budget: Budget = DEFAULT_BUDGET) -> Dfa:
    """The Kleene star; exponential in the worst case."""
    nfa = NfaBuilder(dfa.alphabet)
    entry, leave = nfa.embed(dfa)
    nfa.jump(leave, entry)
    start = nfa.state()
    nfa.jump(start, entry)
    return nfa.determinise(start, [start, leave], budget)
