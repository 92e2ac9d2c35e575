"""From a cascade's rules to a circuit: one block per level.

The residual stream holds one-hot features: the letter just read, and the set P_i that the levels so far have reached,
each set in a *slot* of its own. The block of level i keeps one register, the coordinate of the level, and refines P_i
to P_{i-1}: a *move* carries the feature from the slot of P_i to the slot of one of its tiles when the register holds
that tile's label. For one tile the slot is simply handed on, at no cost. Slots that empty are used again, so the stream
is as wide as the widest level and not as the sum of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import networkx as nx

from ...automata.alphabet import BOS, EOS
from ...automata.deterministic import Deterministic
from ..cascade.cubes import Cube
from ..cascade.reflections import pair_of
from ..cascade.rules import RuleLevel, RuleTable, Turn
from ..cascade.thresholds import Threshold
from .circuit import Circuit, CircuitBlock, CircuitChannel, LevelNames, Register, Shown
from .forms import ONE, Form
from .memories import Pair

Slots = Mapping[int, int]
"""From sets, by number, to their slots."""


@dataclass(frozen=True)
class Move:
    """Carry the feature from one slot to another when the register holds ``label`` (None: always)."""

    label: int | None
    source: int
    target: int
    meaning: str


@dataclass(frozen=True)
class Levels:
    """The blocks of a cascade, which leave in one of the slots which state the automaton is in.

    Attributes:
        letters: the features of the symbols and of ``<bos>``.
        slots: the features of the slots.
        blocks: one per level that has a choice to make.
        states: from the numbers of the slots that are left at the end to states.
    """

    letters: Mapping[str, str]
    slots: tuple[str, ...]
    blocks: tuple[CircuitBlock, ...]
    states: Mapping[int, int]

    @property
    def tokens(self) -> dict[str, Form]:
        """What embeddings set: the letter, and slot 0, the set of all states."""
        return {symbol: {letter: 1, self.slots[0]: 1} for letter, symbol in self.letters.items()}


def letter_feature(symbol: str) -> str:
    """The feature that says "this is the letter now"."""
    return f"letter {symbol}"


def slot_feature(number: int) -> str:
    """The feature of a slot."""
    return f"slot {number}"


def cascade_circuit(table: RuleTable, dfa: Deterministic) -> Circuit:
    """A language's rules as a circuit; a token is allowed iff the state at the end has a future with it.

    Args:
        table: rules of a cascade of ``dfa``.
        dfa: the language, or the machine with outputs: then a class is right iff it is that of the state at the end.
    """
    levels = assemble(table)
    allowed = {q: dfa.allowed(q) for q in levels.states.values()}
    verdicts = {
        token: {ONE: 1} | {slot_feature(s): -1 for s, q in levels.states.items() if token in allowed[q]}
        for token in dfa.tokens
    }
    return Circuit(
        kind="cascade",
        construction=_construction(levels),
        alphabet=dfa.alphabet,
        features=(*levels.letters, *levels.slots),
        tokens=levels.tokens,
        blocks=levels.blocks,
        verdicts=verdicts,
        contract="all-words" if EOS in dfa.tokens else "outputs",
        letters=levels.letters,
        slots=levels.slots,
        states=levels.states,
        classes=dfa.classes,
    )


def _construction(levels: Levels) -> str:
    registers = [register for block in levels.blocks for register in block.registers if register.swaps]
    if any(register.labels != (0, 1) for register in registers):
        return "holonomy cascade of permutations and resets, one block per level, labels exchanged by reflections"
    if registers:
        return "holonomy cascade with swaps, one block per level, gates in {-1, 0, 1} (docs/signed.md)"
    return "holonomy cascade (Sarrof, Veitsman, Hahn 2024, theorem 4)"


def assemble(table: RuleTable) -> Levels:
    """Give every set a slot and every tile a move. O(sets * tiles) plus one bipartite matching per level."""
    slot_of: Slots = {0: 0}
    n_slots, blocks = 1, []
    for level in table.levels:
        after, moves = _allocate(table, level, slot_of)
        n_slots = max(n_slots, *(s + 1 for s in after.values()))
        if moves:
            blocks.append(_block(table, level, moves, slot_of, after))
        slot_of = after
    states = {s: table.parts.members(p)[0] for p, s in sorted(slot_of.items(), key=lambda item: item[1])}
    letters = {letter_feature(symbol): symbol for symbol in (*table.dfa.alphabet, BOS)}
    return Levels(letters, tuple(map(slot_feature, range(n_slots))), tuple(blocks), states)


def _name(table: RuleTable, number: int) -> str:
    """A set as the names of its states."""
    return table.parts.name(number, table.dfa.names)


# -- slots -------------------------------------------------------------------------------------------------------------


def _allocate(table: RuleTable, level: RuleLevel, slot_of: Slots) -> tuple[dict[int, int], list[Move]]:
    """The slots after a level, and the moves that lead there.

    A set of this height may hand its slot on to one of its tiles, if no other set has claimed that tile; a maximum
    matching saves the most moves. The other tiles get slots that emptied or are new.
    """
    tiles = table.parts.tiles
    splitting = [p for p in slot_of if p in level.values]
    # Sets that pass through keep their slots. A set of this height that never occurs after a letter cannot be here.
    result = {p: s for p, s in slot_of.items() if p not in level.values}
    heirs = _match({p: [t for v in level.values[p] if (t := tiles[p][v]) not in result] for p in splitting})
    result |= {tile: slot_of[p] for p, tile in heirs.items()}
    fresh = _fresh(slot_of, splitting, heirs)
    moves = []
    for p in splitting:
        labels = level.values[p]
        for v in labels:
            tile = tiles[p][v]
            if heirs.get(p) == tile:
                continue
            if tile not in result:
                result[tile] = next(fresh)
            # A set with one possible tile needs no memory to tell which.
            label = v if len(labels) > 1 else None
            meaning = f"{_name(table, p)} to its tile {v}, {_name(table, tile)}"
            moves.append(Move(label, slot_of[p], result[tile], meaning))
    return result, moves


def _fresh(slot_of: Slots, splitting: Iterable[int], heirs: Mapping[int, int]) -> Iterator[int]:
    """Slots that empty, since no tile inherits them, and then new ones."""
    yield from sorted(slot_of[p] for p in splitting if p not in heirs)
    number = max(slot_of.values()) + 1
    while True:
        yield number
        number += 1


def _match(choices: Mapping[int, list[int]]) -> dict[int, int]:
    """A maximum matching of sets to tiles (deterministic: integer nodes in a fixed order)."""
    graph = nx.Graph()
    left = [(0, p) for p in choices]
    graph.add_nodes_from(left)
    for p, tiles in choices.items():
        graph.add_edges_from(((0, p), (1, t)) for t in tiles)
    matching = nx.bipartite.hopcroft_karp_matching(graph, left)
    return {p: matching[(0, p)][1] for p in choices if (0, p) in matching}


# -- blocks ------------------------------------------------------------------------------------------------------------


def _block(table: RuleTable, level: RuleLevel, moves: list[Move], before: Slots, after: Slots) -> CircuitBlock:
    """Conditions first, then the moves. A level that finds each set with one tile only needs no register."""
    channels: list[CircuitChannel] = []
    changes: list[tuple[int | None, str]] = []
    writes: dict[int, dict[int, int]] = {}
    swaps: dict[Pair, dict[int, int]] = {}

    def add(rule: Cube, threshold: Threshold, label: int | None, turn: Turn | None = None) -> dict[int, int]:
        """The channels of a condition; the form over them that is 1 when it holds, else 0."""
        first, when = len(channels), _when(table, rule)
        effect = f"memory := {label}" if turn is None else f"memory {'swapped' if turn.perm == (1, 0) else turn}"
        channels.extend(_condition(table, threshold, before, f"{effect} when {when}"))
        changes.append((label, when))
        return {n: 1 if n == first else -1 for n in range(first, len(channels))}

    if any(move.label is not None for move in moves):
        for rule, threshold in zip(level.rules, level.thresholds, strict=True):
            writes.setdefault(rule.label, {}).update(add(rule, threshold, rule.label))
        for turn in level.turns:
            pair = pair_of(turn.perm)
            assert pair is not None, "a level without a pipeline whose labels are permuted"
            for rule, threshold in zip(turn.rules, turn.thresholds, strict=True):
                swaps.setdefault(pair, {}).update(add(rule, threshold, None, turn))
    register = Register(f"level {level.height}", dict(sorted(writes.items())), dict(sorted(swaps.items())))
    channels += [_move(move, register) for move in moves]
    names = LevelNames(level.height, tuple(changes), _slot_names(table, before), _slot_names(table, after))
    return CircuitBlock(f"level {level.height} of the cascade", tuple(channels), names)


def _slot_names(table: RuleTable, slots: Slots) -> dict[int, str]:
    return {s: _name(table, p) for p, s in sorted(slots.items(), key=lambda item: item[1])}


def _when(table: RuleTable, rule: Cube) -> str:
    """A rule for people."""
    symbols = (*table.dfa.alphabet, BOS)
    literals = []
    if rule.before is not None:
        literals.append("before in " + " ".join(_name(table, p) for p in sorted(rule.before)))
    if len(rule.letters) < len(symbols):
        literals.append("letter in " + " ".join(symbols[a] for a in sorted(rule.letters)))
    if rule.after is not None:
        literals.append("after in " + " ".join(_name(table, p) for p in sorted(rule.after)))
    return " and ".join(literals) or "always"


def _condition(table: RuleTable, threshold: Threshold, slot_of: Slots, meaning: str) -> list[CircuitChannel]:
    """One channel if the sum never exceeds theta, else a second one that subtracts the excess."""
    symbols = (*table.dfa.alphabet, BOS)
    reads = {slot_feature(slot_of[p]): w for p, w in threshold.sets.items() if p in slot_of}
    reads |= {letter_feature(symbols[a]): w for a, w in threshold.letters.items()}
    return [
        CircuitChannel(
            f"excess of: {meaning}" if excess else meaning, reads, threshold.taps, 1 - threshold.theta - excess
        )
        for excess in range(threshold.channels)
    ]


def _move(move: Move, register: Register) -> CircuitChannel:
    always = move.label is None
    return CircuitChannel(
        f"always: {move.meaning}" if always else f"[memory = {move.label}]: {move.meaning}",
        bias=1,
        memory=None if move.label is None else Shown(register, move.label),
        skip=1 if always else 0,
        gate={slot_feature(move.source): 1},
        writes={slot_feature(move.source): -1, slot_feature(move.target): 1},
    )
