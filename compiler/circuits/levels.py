"""From a cascade's rules to a circuit: one block per level.

The residual stream holds one-hot features: the letter just read, and the set P_i that the levels so far have reached,
each set in a *slot* of its own. The block of level i keeps one register, the coordinate of the level, and refines P_i
to P_{i-1}: a *move* carries the feature from the slot of P_i to the slot of one of its tiles when the register holds
that tile's label. For one tile the slot is simply handed on, at no cost. Slots that empty are used again, so the stream
is as wide as the widest level and not as the sum of all.

A level whose labels are permuted in ways that are no exchanges takes more blocks, a pipeline
(``compiler.circuits.pipeline``), and a clock beside all blocks before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest

import networkx as nx

from ...automata.alphabet import BOS, EOS
from ...automata.budget import DEFAULT_BUDGET, Budget
from ...automata.deterministic import Deterministic
from ...automata.semiautomaton import Semiautomaton
from ..cascade.cascade import Cascade
from ..cascade.cubes import Cube
from ..cascade.holonomy import holonomy
from ..cascade.pipeline import Pipeline, pipeline_of
from ..cascade.reflections import are_reflections, pair_of
from ..cascade.rules import RuleLevel, RuleTable, Turn, tabulate
from ..cascade.thresholds import Threshold
from .circuit import Circuit, CircuitBlock, CircuitChannel, LevelNames, Register, Shown
from .forms import ALWAYS, ONE, Form
from .memories import Pair
from .pipeline import Event, Piped, clock_feature, piped
from .side_by_side import merged_blocks, renamed_block

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
        blocks: one per level that has a choice to make; more for one that is a pipeline.
        states: from the numbers of the slots that are left at the end to states.
        further: other features, of pipelines and clocks.
        always: those of them that are set at every letter.
        clocks: for each period of a clock that is looked at, how many blocks come before the first that does.
    """

    letters: Mapping[str, str]
    slots: tuple[str, ...]
    blocks: tuple[CircuitBlock, ...]
    states: Mapping[int, int]
    further: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    clocks: Mapping[int, int] = field(default_factory=dict)

    @property
    def tokens(self) -> dict[str, Form]:
        """What embeddings set: the letter, and slot 0, the set of all states."""
        always = dict.fromkeys((self.slots[0], *self.always), 1)
        return {symbol: {letter: 1, **always} for letter, symbol in self.letters.items()}


def letter_feature(symbol: str) -> str:
    """The feature that says "this is the letter now"."""
    return f"letter {symbol}"


def slot_feature(number: int) -> str:
    """The feature of a slot."""
    return f"slot {number}"


def cascade_circuit(table: RuleTable, dfa: Deterministic, budget: Budget = DEFAULT_BUDGET) -> Circuit:
    """A language's rules as a circuit; a token is allowed iff the state at the end has a future with it.

    Args:
        table: rules of a cascade of ``dfa``.
        dfa: the language, or the machine with outputs: then a class is right iff it is that of the state at the end.
        budget: how large pipelines may get.

    Raises:
        BudgetExceededError: a pipeline is too large.
    """
    levels = with_clocks(assemble(table, budget), budget)
    allowed = {q: dfa.allowed(q) for q in levels.states.values()}
    verdicts = {
        token: {ONE: 1} | {slot_feature(s): -1 for s, q in levels.states.items() if token in allowed[q]}
        for token in dfa.tokens
    }
    return Circuit(
        kind="cascade",
        construction=_construction(levels),
        alphabet=dfa.alphabet,
        features=(*levels.letters, *levels.slots, *levels.further),
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
    swaps = [register for block in levels.blocks for register in block.registers if register.swaps]
    if levels.further:
        return "holonomy cascade of permutations and resets, by exchanges of labels and pipelines (docs/groups.md)"
    if any(register.labels != (0, 1) for register in swaps):
        return (
            "holonomy cascade of permutations and resets, one block per level, by exchanges of labels (docs/groups.md)"
        )
    if swaps:
        return "holonomy cascade with swaps of one bit, one block per level (docs/signed.md)"
    return "holonomy cascade (Sarrof, Veitsman, Hahn 2024, theorem 4)"


def assemble(table: RuleTable, budget: Budget = DEFAULT_BUDGET) -> Levels:
    """Give every set a slot and every tile a move. O(sets * tiles) plus one bipartite matching per level.

    Raises:
        BudgetExceededError: a pipeline is too large.
    """
    slot_of: Slots = {0: 0}
    n_slots, blocks, further = 1, list[CircuitBlock](), list[str]()
    clocks: dict[int, int] = {}
    for level in table.levels:
        after, moves = _allocate(table, level, slot_of)
        n_slots = max(n_slots, *(s + 1 for s in after.values()))
        if any(move.label is not None for move in moves) and not are_reflections(turn.perm for turn in level.turns):
            pipeline = pipeline_of(len(level.turns[0].perm), [turn.perm for turn in level.turns], budget)
            pipeline.check()
            clocks.setdefault(pipeline.period, len(blocks) + 1)  # the first block only sees the letter
            found = _pipeline(table, level, pipeline, moves, slot_of, after)
            blocks += found.blocks
            further += found.features
        elif moves:
            blocks.append(_block(table, level, moves, slot_of, after))
        slot_of = after
    states = {s: table.parts.members(p)[0] for p, s in sorted(slot_of.items(), key=lambda item: item[1])}
    letters = {letter_feature(symbol): symbol for symbol in (*table.dfa.alphabet, BOS)}
    slots = tuple(map(slot_feature, range(n_slots)))
    return Levels(letters, slots, tuple(blocks), states, tuple(further), clocks=clocks)


def with_clocks(levels: Levels, budget: Budget = DEFAULT_BUDGET) -> Levels:
    """The same with the clocks that pipelines look at, beside the blocks before these; more blocks if there are few."""
    for period, before in levels.clocks.items():
        clock = _clock(period, tuple(levels.letters.values()), budget)
        waiting = [CircuitBlock(f"clock of {period} positions")] * max(0, len(clock.blocks) - before)
        rows = zip_longest((*waiting, *levels.blocks), clock.blocks)
        blocks = [replace(merged_blocks([b for b in row if b]), level=row[0].level) for row in rows if row[0]]
        levels = replace(
            levels,
            blocks=tuple(blocks),
            further=(*levels.further, *clock.slots, *clock.further),
            always=(*levels.always, clock.slots[0]),
            clocks={p: b + len(waiting) for p, b in levels.clocks.items()},
        )
    return replace(levels, clocks={})


@dataclass(frozen=True)
class _Positions:
    """The automaton of a clock: every letter leads to the next position."""

    semiautomaton: Semiautomaton
    alphabet: tuple[str, ...]
    names: tuple[str, ...]
    initial: int = 0


def _clock(period: int, symbols: tuple[str, ...], budget: Budget) -> Levels:
    """A clock as levels whose features are its own; those that are left at the end tell the position."""
    letters = tuple(symbol for symbol in symbols if symbol != BOS)
    table = tuple(((q + 1) % period,) * len(letters) for q in range(period))
    names = tuple(f"position {q}" for q in range(period))
    positions = _Positions(Semiautomaton(letters, table), letters, names)
    rules = tabulate(Cascade(positions, holonomy(positions.semiautomaton, budget, groups="any")), budget)
    rules.verify()
    levels = assemble(rules, budget)
    told = {slot_feature(s): clock_feature(period, q) for s, q in levels.states.items()}

    def own(name: str) -> str:
        return name if name == ONE or name in levels.letters else told.get(name, f"clock of {period}: {name}")

    blocks = tuple(replace(renamed_block(block, own), title=f"clock of {period} positions") for block in levels.blocks)
    return replace(levels, slots=tuple(map(own, levels.slots)), blocks=blocks)


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


def _pipeline(
    table: RuleTable, level: RuleLevel, pipeline: Pipeline, moves: list[Move], before: Slots, after: Slots
) -> Piped:
    """The blocks of a pipeline, and one for the moves, which look at the label that it tells."""
    events = []
    n = pipeline.n
    for cube, threshold in zip(level.rules, level.thresholds, strict=True):
        events.append(_event(table, cube, threshold, (cube.label,) * n, f"all become {cube.label}", before))
    for turn in level.turns:
        for cube, threshold in zip(turn.rules, turn.thresholds, strict=True):
            events.append(_event(table, cube, threshold, turn.perm, str(turn), before))
    letters = {letter_feature(symbol): 1 for symbol in (*table.dfa.alphabet, BOS)}
    found = piped(f"level {level.height}", pipeline, events, letter_feature(BOS), letters)
    channels = []
    for move in moves:
        reads = {slot_feature(move.source): 1} | ({} if move.label is None else {found.labels[move.label]: 1})
        writes = {slot_feature(move.source): -1, slot_feature(move.target): 1}
        meaning = move.meaning if move.label is None else f"[label {move.label}]: {move.meaning}"
        channels.append(CircuitChannel(meaning, reads, bias=1 - len(reads), skip=1, gate=ALWAYS, writes=writes))
    names = LevelNames(level.height, (), _slot_names(table, before), _slot_names(table, after))
    moving = CircuitBlock(f"level {level.height} of the cascade", tuple(channels), names)
    return replace(found, blocks=(*found.blocks, moving))


def _event(
    table: RuleTable, cube: Cube, threshold: Threshold, images: tuple[int, ...], effect: str, slots: Slots
) -> Event:
    channels = _condition(table, threshold, slots, f"{effect} when {_when(table, cube)}")
    return Event(images, tuple((-1 if excess else 1, channel) for excess, channel in enumerate(channels)))


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
