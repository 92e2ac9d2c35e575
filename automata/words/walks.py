"""Random words of any counter language by walks: members whose completion stays in sight, and endless live words.

For machines that are no family of the suite and too large to be counted (``counter_words``). Not uniform.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from operator import add

import numpy as np

from ..counters.machine import Configuration, CounterMachine
from ..counters.trim import Edge, Node, abstract_graph
from ..errors import EmptyLanguageError
from .balanced import generator_of
from .uniform import Rng, Symbols

TRIES = 1000
"""Walks before a walker gives up on a range of lengths."""

Move = tuple[str, str, tuple[int, ...]]
"""A symbol that is allowed, the state it leads to, and what it adds to each counter."""


class CompletedWalks:
    """Members of any counter language, by walks that never lose sight of acceptance. Not uniform.

    The proof that the machine is trim (``automata.trim``) yields a number for each configuration: how many letters a
    certain strategy needs at most to have the word accepted. A walk towards a target length only takes letters that
    leave this number within the letters to come, all such letters with the same probability. But up to some place it
    takes, where it can, those after which a live word can go on for ever; the place is the target half of the time, and
    else uniform. A walk ends in an accepting configuration: after the target length, or before it where every letter
    leads too far from acceptance. O(length * letters) a walk, after a graph of at most states * 3^counters.
    """

    def __init__(self, machine: CounterMachine) -> None:
        self.machine = machine
        found = machine.strategy
        self._accepting, self._weights, self._ranks = found.accepting, found.weights, found.ranks
        self._moves = {node: _moves(machine, node, row) for node, row in found.graph.items()}
        self._endless = _endless(found.graph)

    def distance(self, configuration: Configuration) -> int:
        """How many letters the strategy needs at most from here; 0 where the word may end."""
        state, values = configuration
        node = state, _signs(values)
        if node in self._accepting:
            return 0
        return self._ranks[node] + sum(w * abs(v) for w, v in zip(self._weights, values, strict=True))

    def walk(self, target: int, rng: Rng) -> Symbols | None:
        """A member of at most the target length; None if the strategy may need more letters than that."""
        configuration, word = self.machine.start, list[str]()
        if self.distance(configuration) > target:
            return None
        generator = generator_of(rng)
        free = target if generator.random() < 0.5 else int(generator.integers(target + 1))
        for rest, u in zip(range(target - 1, -1, -1), generator.random(target).tolist(), strict=True):
            options = []
            state, values = configuration
            for symbol, to, adds in self._moves[state, _signs(values)]:
                after = to, _plus(values, adds)
                if self.distance(after) <= rest:
                    options.append((symbol, after))
            if len(word) < free:
                options = [o for o in options if (o[1][0], _signs(o[1][1])) in self._endless] or options
            if not options:
                break
            symbol, configuration = options[int(u * len(options))]
            word.append(symbol)
        return tuple(word)

    def words(self, count: int, shortest: int, longest: int, rng: Rng) -> list[Symbols]:
        """Members with lengths in this range: of walks towards targets uniform in it, those that do not end before it.

        Raises:
            EmptyLanguageError: ``TRIES`` walks in a row ended before it; there may be words all the same.
        """
        found: list[Symbols] = []
        tries, generator = 0, generator_of(rng)
        while len(found) < count:
            word = self.walk(shortest + int(generator.integers(longest - shortest + 1)), generator)
            tries += 1
            if word is not None and len(word) >= shortest:
                found.append(word)
                tries = 0
            elif tries == TRIES:
                raise EmptyLanguageError(
                    f"none of {TRIES} walks gave a word with a length from {shortest} to {longest}; widen the range, "
                    "or raise the budget so that words can be counted"
                )
        return found


def _signs(values: Sequence[int]) -> tuple[int, ...]:
    return tuple([(v > 0) - (v < 0) for v in values])


def _plus(values: Sequence[int], adds: Sequence[int]) -> tuple[int, ...]:
    return tuple(map(add, values, adds))


def _moves(machine: CounterMachine, node: Node, allowed: Collection[str]) -> list[Move]:
    row = machine.transitions.get(node[0], {})
    steps = [(a, row[a]) for a in machine.alphabet if a in allowed]
    return [(a, s.to, tuple(s.add.get(c.name, 0) for c in machine.counters)) for a, s in steps]


def endless_walk(machine: CounterMachine, length: int, generator: np.random.Generator) -> Symbols | None:
    """A live word of this length: all letters after which one can go on for ever are equally likely; the last is free.

    None if no word is sure to go on for ever. O(length * letters), after a graph of states * 3^counters.
    """
    graph = abstract_graph(machine, machine.budget)
    endless = _endless(graph)
    state, values = machine.start
    if (state, _signs(values)) not in endless:
        return None
    table = {}
    for node, row in graph.items():
        sure = all(to in endless for edges in row.values() for to, _ in edges)
        table[node] = _moves(machine, node, row), sure
    word = []
    for rest, u in zip(range(length - 1, -1, -1), generator.random(length).tolist(), strict=True):
        moves, sure = table[state, _signs(values)]
        if rest and not sure:
            moves = [m for m in moves if (m[1], _signs(_plus(values, m[2]))) in endless]
        symbol, state, adds = moves[int(u * len(moves))]
        values = _plus(values, adds)
        word.append(symbol)
    return tuple(word)


def _endless(graph: Mapping[Node, Mapping[str, list[Edge]]]) -> set[Node]:
    """The abstract configurations from which some letter leads, whatever the values, to others of this set."""
    endless, changed = set(graph), True
    while changed:
        gone = {n for n in endless if not any(all(to in endless for to, _ in e) for e in graph[n].values())}
        endless -= gone
        changed = bool(gone)
    return endless
