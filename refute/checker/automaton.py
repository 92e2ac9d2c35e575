"""A complete DFA as a checker of refutations reads it: no code in common with ``scancraft.automata``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Automaton:
    """A complete DFA, as the refutation or the caller gives it."""

    alphabet: list[str]
    table: list[dict[str, int]]
    accepting: set[int]
    initial: int

    @classmethod
    def of_json(cls, given: dict[str, Any]) -> Automaton:
        """From the JSON of a DFA; a missing transition rejects."""
        alphabet, moves = list(given["alphabet"]), given["transitions"]
        names = list(dict.fromkeys([given["initial"], *given["accepting"], *moves]))
        names += [t for row in moves.values() for t in row.values() if t not in names]
        number = {name: i for i, name in enumerate(dict.fromkeys(names))}
        dead = len(number)
        table = [{s: number.get(moves.get(name, {}).get(s), dead) for s in alphabet} for name in number]
        table.append(dict.fromkeys(alphabet, dead))
        return cls(alphabet, table, {number[name] for name in given["accepting"]}, number[given["initial"]])

    @classmethod
    def of_dfa(cls, dfa: Any) -> Automaton:
        """From a ``scancraft.Dfa``."""
        alphabet = list(dfa.alphabet)
        table = [dict(zip(alphabet, row, strict=True)) for row in dfa.semiautomaton.table]
        return cls(alphabet, table, set(dfa.accepting), dfa.initial)

    def run(self, state: int, word: Sequence[str]) -> int:
        """The state after a word."""
        for symbol in word:
            state = self.table[state][symbol]
        return state

    def live(self) -> set[int]:
        """States from which something is accepted."""
        found = set(self.accepting)
        while more := {q for q, row in enumerate(self.table) if q not in found and found & set(row.values())}:
            found |= more
        return found

    def classes(self) -> list[int]:
        """Which states accept the same words: the number of each one's class (Moore's refinement)."""
        kinds = [int(q in self.accepting) for q in range(len(self.table))]
        while True:
            rows = [(kinds[q], *(kinds[self.table[q][s]] for s in self.alphabet)) for q in range(len(self.table))]
            names = {row: i for i, row in enumerate(dict.fromkeys(rows))}
            if len(names) == len(set(kinds)):
                return kinds
            kinds = [names[row] for row in rows]

    def same_language(self, other: Automaton) -> bool:
        """Whether both accept the same words, by walking through both at once."""
        if set(self.alphabet) != set(other.alphabet):
            return False
        start = (self.initial, other.initial)
        queue, seen = [start], {start}
        for p, q in queue:
            if (p in self.accepting) != (q in other.accepting):
                return False
            for s in self.alphabet:
                pair = (self.table[p][s], other.table[q][s])
                if pair not in seen:
                    seen.add(pair)
                    queue.append(pair)
        return True
