"""Random words of counter languages: walks that never lose sight of acceptance. Not uniform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..counters.control import signs_of
from ..counters.machine import CounterMachine
from ..counters.trim import Edge, Node
from .draw import Rng, Symbols, Walks, generator_of

NONE = -(2**60)
"""Less room than any configuration takes."""


class Move(NamedTuple):
    """A symbol that may come next: where it leads, and what it does to the distance from acceptance.

    Attributes:
        symbol: the symbol.
        state: the control state that it leads to.
        adds: (number of a counter, what is added to it), for those that change.
        size: what is added to the weighted sum of the counters' sizes.
        room: with that sum before the symbol, the letters that the strategy needs after it; ``NONE`` where the word may
            end, so that it needs none whatever the sizes.
        endless: whether a live word can surely go on for ever after it.
    """

    symbol: str
    state: str
    adds: tuple[tuple[int, int], ...]
    size: int
    room: int
    endless: bool


@dataclass(frozen=True)
class _Cell:
    """Configurations with the same moves: all, those that are preferred, and the most room that one of them takes."""

    moves: tuple[Move, ...]
    endless: tuple[Move, ...]
    room: int


class CompletedWalks(Walks):
    """Members of any counter language, by walks that never lose sight of acceptance. Not uniform.

    The proof that the machine is trim (``automata.counters.trim``) yields a number for each configuration: how many
    letters a certain strategy needs at most to have the word accepted. A walk towards a target length only takes
    letters that leave this number within the letters to come, all such letters with the same probability. But up to
    some place it takes, where it can, those after which a live word can go on for ever; the place is the target half of
    the time, and else uniform. A walk ends in an accepting configuration: after the target length, or before it where
    every letter leads too far from acceptance. O(length * letters) a walk.
    """

    def __init__(self, machine: CounterMachine) -> None:
        self.machine = machine
        self._trim = machine.strategy
        self._endless = _endless(self._trim.graph)
        most = dict.fromkeys((c.name for c in machine.counters), 0)
        for _, _, step in machine.steps():
            for name, amount in step.add.items():
                most[name] = max(most[name], abs(amount))
        self._most = tuple(most.values())
        # Beyond these bounds no step changes a sign, so the moves depend on the counters cut to them.
        self._bounds = tuple(m + 1 for m in self._most)
        self._cells: dict[tuple[str, tuple[int, ...]], _Cell] = {}

    def _cell(self, state: str, cut: tuple[int, ...]) -> _Cell:
        """The moves from the configurations with this state and these counters, cut to the bounds; remembered."""
        row, names = self.machine.transitions.get(state, {}), [c.name for c in self.machine.counters]
        moves = []
        for symbol in self.machine.alphabet:
            after = self.machine.step((state, cut), symbol)
            if after is None:
                continue
            node = after[0], signs_of(after[1])
            adds = tuple((i, row[symbol].add[name]) for i, name in enumerate(names) if name in row[symbol].add)
            size = self._size(after[1]) - self._size(cut)
            room = NONE if node in self._trim.accepting else self._trim.ranks[node] + size
            moves.append(Move(symbol, after[0], adds, size, room, node in self._endless))
        endless = tuple(m for m in moves if m.endless)
        cell = _Cell(tuple(moves), endless or tuple(moves), max((m.room for m in moves), default=NONE))
        self._cells[state, cut] = cell
        return cell

    def _size(self, values: Sequence[int]) -> int:
        return sum(w * abs(v) for w, v in zip(self._trim.weights, values, strict=True))

    def distance(self, length: int) -> int:
        """No live word of this length is farther from acceptance by the strategy than so many letters."""
        after = [abs(c.initial) + length * m for c, m in zip(self.machine.counters, self._most, strict=True)]
        return max(self._trim.ranks.values()) + self._size(after)

    def walk(self, target: int, rng: Rng) -> Symbols | None:
        """A member of at most the target length; None if the strategy may need more letters than that."""
        state, start = self.machine.start
        values, size = list(start), self._size(start)
        node = state, signs_of(start)
        if node not in self._trim.accepting and self._trim.ranks[node] + size > target:
            return None
        generator, word = generator_of(rng), list[str]()
        free = target if generator.random() < 0.5 else int(generator.integers(target + 1))
        bounds, cells = self._bounds, self._cells
        cut = [max(-b, min(b, v)) for v, b in zip(values, bounds, strict=True)]
        cell = self._cell(state, tuple(cut))
        for place, u in enumerate(generator.random(target).tolist()):
            rest = target - place - 1
            options: Sequence[Move] = cell.endless if place < free else cell.moves
            if cell.room + size > rest:
                options = [m for m in cell.moves if m.room + size <= rest]
                if place < free and len(options) > 1:
                    options = [m for m in options if m.endless] or options
            if not options:
                break
            symbol, after, adds, more, _, _ = options[int(u * len(options))]
            word.append(symbol)
            size += more
            moved, state = after != state, after
            for i, amount in adds:
                value, bound = values[i] + amount, bounds[i]
                values[i] = value
                within = bound if value > bound else -bound if value < -bound else value
                if within != cut[i]:
                    cut[i], moved = within, True
            if moved:
                key = state, tuple(cut)
                cell = cells.get(key) or self._cell(*key)
        return tuple(word)


def _endless(graph: Mapping[Node, Mapping[str, list[Edge]]]) -> set[Node]:
    """The abstract configurations from which some letter leads, whatever the values, to others of this set."""
    endless, changed = set(graph), True
    while changed:
        gone = {n for n in endless if not any(all(to in endless for to, _ in e) for e in graph[n].values())}
        endless -= gone
        changed = bool(gone)
    return endless
