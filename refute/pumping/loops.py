"""The loops of an automaton, and short words that lead to them: what can be pumped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ...automata.decide.aperiodic import primitive_root
from ...automata.deterministic import Deterministic

Letters = tuple[int, ...]

EXAMINED = 400
"""Words that are followed from a state, shortest first, to see which of them come back."""


@dataclass(frozen=True)
class Loops:
    """The loops of an automaton within some of its states.

    Args:
        automaton: with letters that lead from state to state.
        covered: the states that words may lead to.
    """

    automaton: Deterministic
    covered: frozenset[int]
    _known: dict[int, dict[int, Letters]] = field(default_factory=dict, repr=False)

    def ways_in(self, history: int, most: int) -> list[Letters]:
        """Short words, shortest first: for each state, and each ``history`` letters read last, one that ends so.

        At most so many; every prefix of one is among them. O(words * letters).
        """
        seen: set[tuple[int, Letters]] = set()
        queue: list[tuple[int, Letters]] = [(0, ())]
        for state, word in queue:
            for letter, target in self._moves(state):
                longer = (*word, letter)
                node = (target, longer[-history:])
                if len(queue) < most and node not in seen:
                    seen.add(node)
                    queue.append((target, longer))
        return [word for _, word in queue]

    def at(self, state: int, most: int) -> list[Letters]:
        """Words that lead a state back to itself, none a power of another; shortest first, at most so many.

        Among them are the shortest ones, and shortest ones through each transition. O(transitions * states).
        """
        found = dict.fromkeys(primitive_root(word) for word in (*self._short(state), *self._through(state)))
        return sorted(found, key=lambda word: (len(word), word))[:most]

    def _moves(self, state: int) -> Iterable[tuple[int, int]]:
        return ((a, target) for a, target in enumerate(self.automaton.table[state]) if target in self.covered)

    def _short(self, state: int) -> Iterable[Letters]:
        queue: list[tuple[int, Letters]] = [(state, ())]
        for at, word in queue:
            if word and at == state:
                yield word
            for letter, target in self._moves(at):
                if len(queue) < EXAMINED:
                    queue.append((target, (*word, letter)))

    def _through(self, state: int) -> Iterable[Letters]:
        for at, word in self._from(state).items():
            for letter, target in self._moves(at):
                if (back := self._from(target).get(state)) is not None:
                    yield (*word, letter, *back)

    def _from(self, state: int) -> dict[int, Letters]:
        """A shortest word to each state that can be reached from one."""
        if state not in self._known:
            found: dict[int, Letters] = {state: ()}
            queue = [state]
            for at in queue:
                for letter, target in self._moves(at):
                    if target not in found:
                        found[target] = (*found[at], letter)
                        queue.append(target)
            self._known[state] = found
        return self._known[state]
