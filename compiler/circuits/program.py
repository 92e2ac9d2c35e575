"""The block program: named directions, conditions, memories and gated moves, one block per level.

The residual stream holds one-hot features: the letter just read, and the set P_i that the levels so far have reached,
each set in a *slot* of its own. Block i keeps one memory, the coordinate of level i, and refines P_i to P_{i-1}: a
*move* carries the feature from the slot of P_i to the slot of one of its tiles when the memory holds that tile's label.
For one tile the slot is simply handed on, at no cost. Slots that empty are used again, so the stream is as wide as the
widest level and not as the sum of all.

The program runs on words without tensors (:meth:`Program.run`), on the same integers that the weights will compute.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import networkx as nx

from ...automata.alphabet import BOS, EOS, Word
from ...automata.dfa import Dfa
from ..cascade.cascade import Automaton
from ..cascade.cubes import Cube
from ..cascade.rules import RuleLevel, RuleTable
from ..cascade.thresholds import Threshold


@dataclass(frozen=True)
class Condition:
    """A conjunction of literals, as an integer threshold over slots and letters (see ``compiler.thresholds``).

    u = sum of ``slots`` weights + sum of ``letters`` weights over the active features; the condition holds iff
    ``taps[0] * u(t-1) + taps[1] * u(t) >= theta``. When it holds, the memory is overwritten with ``label``, or swapped
    if ``label`` is None.
    """

    label: int | None
    slots: Mapping[int, int]
    letters: Mapping[int, int]
    taps: tuple[int, int]
    theta: int
    exact: bool
    meaning: str

    @property
    def channels(self) -> int:
        """Convolution channels: one if the sum never exceeds theta, else two."""
        return 1 if self.exact else 2


@dataclass(frozen=True)
class Move:
    """Carry the feature from one slot to another when the memory holds ``label`` (None: always)."""

    label: int | None
    source: int
    target: int
    meaning: str


@dataclass(frozen=True)
class Block:
    """One level: when to overwrite its memory or swap it, and what its memory does to the residual stream.

    A block with ``swaps`` has a memory of one bit; when one of them holds and no condition does, 0 and 1 change places.
    """

    height: int
    conditions: tuple[Condition, ...]
    moves: tuple[Move, ...]
    slots_in: Mapping[int, str]
    slots_out: Mapping[int, str]
    swaps: tuple[Condition, ...] = ()

    @property
    def channels(self) -> int:
        """Channels of the Mamba block that carry something."""
        return sum(c.channels for c in (*self.conditions, *self.swaps)) + len(self.moves)

    @property
    def labels(self) -> tuple[int, ...]:
        """The values that the memory can hold."""
        return tuple(sorted({c.label for c in self.conditions if c.label is not None}))


@dataclass(frozen=True)
class Program:
    """A language as blocks.

    Attributes:
        dfa: the language (or another automaton, whose states are then what is computed).
        n_slots: residual slots in use.
        blocks: in order of execution.
        readout: from the slots left at the end to DFA states.
    """

    dfa: Automaton
    n_slots: int
    blocks: tuple[Block, ...]
    readout: Mapping[int, int]

    def run(self, word: Word) -> Iterator[tuple[int, frozenset[str]]]:
        """The DFA state and the set of tokens that may come next (``<eos>`` if the word may end), per prefix.

        The empty prefix (after ``<bos>``) comes first. Integer arithmetic only; O(|word| * weights).
        """
        dfa = self.dfa
        assert isinstance(dfa, Dfa), "only languages say what may come next"
        for slot in self.slots(word):
            state = self.readout[slot]
            allowed = set(dfa.next_symbols(state))
            if state in dfa.accepting:
                allowed.add(EOS)
            yield state, frozenset(allowed)

    def slots(self, word: Word) -> Iterator[int]:
        """The slot that is active after each prefix, the empty one first."""
        bos = len(self.dfa.alphabet)
        memories: list[int | None] = [None] * len(self.blocks)
        past = [0] * sum(len(b.conditions) + len(b.swaps) for b in self.blocks)
        for letter in (bos, *(self.dfa.semiautomaton.index_of(s) for s in word)):
            stream = [0] * self.n_slots
            stream[0] = 1
            tap = 0
            for i, block in enumerate(self.blocks):
                fired: list[int] = []
                swap = False
                for condition in (*block.conditions, *block.swaps):
                    u = condition.letters.get(letter, 0) + sum(w * stream[s] for s, w in condition.slots.items())
                    total = condition.taps[0] * past[tap] + condition.taps[1] * u
                    past[tap] = u
                    tap += 1
                    if total >= condition.theta:
                        assert not (condition.exact and total > condition.theta), "an exact condition overshoots"
                        if condition.label is None:
                            swap = True
                        else:
                            fired.append(condition.label)
                assert len(fired) <= 1, "two conditions of one block hold together"
                held = memories[i]
                if fired:
                    memories[i] = fired[0]
                elif swap and held is not None:
                    memories[i] = 1 - held
                after = list(stream)
                for move in block.moves:
                    if stream[move.source] and move.label in (None, memories[i]):
                        after[move.source] -= 1
                        after[move.target] += 1
                stream = after
            (slot,) = (s for s, value in enumerate(stream) if value)
            yield slot

    def __str__(self) -> str:
        symbols = (*self.dfa.alphabet, BOS)
        lines = [f"{len(self.blocks)} blocks, {self.n_slots} slots, letters {{{', '.join(symbols)}}}"]
        for number, block in enumerate(self.blocks):
            lines.append(f"block {number} (level {block.height}): {block.channels} channels")
            for c in block.conditions:
                lines.append(f"    memory := {c.label}  when {c.meaning}")
            lines += [f"    memory swapped  when {c.meaning}" for c in block.swaps]
            for m in block.moves:
                when = "always" if m.label is None else f"when memory = {m.label}"
                lines.append(f"    slot {m.source} -> slot {m.target}  {when}  ({m.meaning})")
        lines.append("read-out: " + ", ".join(f"slot {s} = state {q}" for s, q in self.readout.items()))
        return "\n".join(lines)


def assemble(table: RuleTable) -> Program:
    """Give every set a slot and every tile a move. O(sets * tiles) plus one bipartite matching per level."""
    parts = table.parts
    slot_of: dict[int, int] = {0: 0}
    n_slots = 1
    blocks = []
    for level in table.levels:
        after_slots, moves, used = _allocate(table, level, slot_of)
        n_slots = max(n_slots, used)
        if moves:
            needed = any(m.label is not None for m in moves)
            blocks.append(
                Block(
                    level.height,
                    _conditions(table, level.rules, level.thresholds, slot_of) if needed else (),
                    tuple(moves),
                    {s: _name(table, p) for p, s in sorted(slot_of.items(), key=lambda item: item[1])},
                    {s: _name(table, p) for p, s in sorted(after_slots.items(), key=lambda item: item[1])},
                    _conditions(table, level.swaps, level.swap_thresholds, slot_of, swaps=True) if needed else (),
                )
            )
        slot_of = after_slots
    readout = {s: parts.members(p)[0] for p, s in sorted(slot_of.items(), key=lambda item: item[1])}
    return Program(table.dfa, n_slots, tuple(blocks), readout)


def _name(table: RuleTable, number: int) -> str:
    """A set as the names of its states."""
    return table.parts.name(number, table.dfa.names)


def _allocate(table: RuleTable, level: RuleLevel, slot_of: Mapping[int, int]) -> tuple[dict[int, int], list[Move], int]:
    """The slots after a level, the moves that lead there, and how many slots are then in use.

    A set of this height may hand its slot on to one of its tiles, if no other set has claimed that tile; a maximum
    matching saves the most moves. The other tiles get slots that emptied or are new.
    """
    parts = table.parts
    splitting = [p for p in slot_of if p in level.values]
    # Sets that pass through keep their slots. A set of this height that never occurs after a letter cannot be here.
    result = {p: s for p, s in slot_of.items() if p not in level.values}
    heirs = _match(
        {p: [parts.tiles[p][v] for v in level.values[p] if parts.tiles[p][v] not in result] for p in splitting}
    )
    for p, tile in heirs.items():
        result[tile] = slot_of[p]
    free = sorted(slot_of[p] for p in splitting if p not in heirs)
    fresh = max(slot_of.values()) + 1
    moves = []
    for p in splitting:
        labels = level.values[p]
        for v in labels:
            tile = parts.tiles[p][v]
            if heirs.get(p) == tile:
                continue
            if tile not in result:
                if free:
                    result[tile] = free.pop(0)
                else:
                    result[tile] = fresh
                    fresh += 1
            meaning = f"{_name(table, p)} to its tile {v}, {_name(table, tile)}"
            # A set with one possible tile needs no memory to tell which.
            moves.append(Move(v if len(labels) > 1 else None, slot_of[p], result[tile], meaning))
    return result, moves, max([*result.values(), *slot_of.values()]) + 1


def _match(choices: Mapping[int, list[int]]) -> dict[int, int]:
    """A maximum matching of sets to tiles (deterministic: integer nodes in a fixed order)."""
    graph = nx.Graph()
    left = [(0, p) for p in choices]
    graph.add_nodes_from(left)
    for p, tiles in choices.items():
        graph.add_edges_from(((0, p), (1, t)) for t in tiles)
    matching = nx.bipartite.hopcroft_karp_matching(graph, left)
    return {p: matching[(0, p)][1] for p in choices if (0, p) in matching}


def _conditions(
    table: RuleTable,
    rules: tuple[Cube, ...],
    thresholds: tuple[Threshold, ...],
    slot_of: Mapping[int, int],
    *,
    swaps: bool = False,
) -> tuple[Condition, ...]:
    """A level's rules, with sets replaced by their slots."""
    symbols = (*table.dfa.alphabet, BOS)
    conditions = []
    for rule, threshold in zip(rules, thresholds, strict=True):
        literals = []
        if rule.before is not None:
            literals.append("before in " + " ".join(_name(table, p) for p in sorted(rule.before)))
        if len(rule.letters) < len(symbols):
            literals.append("letter in " + " ".join(symbols[a] for a in sorted(rule.letters)))
        if rule.after is not None:
            literals.append("after in " + " ".join(_name(table, p) for p in sorted(rule.after)))
        meaning = " and ".join(literals) or "always"
        conditions.append(_condition(None if swaps else rule.label, threshold, slot_of, meaning))
    return tuple(conditions)


def _condition(label: int | None, threshold: Threshold, slot_of: Mapping[int, int], meaning: str) -> Condition:
    slots = {slot_of[p]: w for p, w in threshold.sets.items() if p in slot_of}
    return Condition(label, slots, threshold.letters, threshold.taps, threshold.theta, threshold.exact, meaning)
