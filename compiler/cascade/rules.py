"""From the cascade to explicit reset rules: per level, few disjoint cubes.

The cascade computes a reset lazily, from the sets before and after; a Mamba block needs a finite list of conditions.
Level by level from the top, this pass collects the triples (set before, letter, set after) that can occur, sorts
them into resets, keeps and don't-cares, and covers the resets with cubes. Where several tiles are admissible the cover
chooses the one that merges best, so the coordinates may differ from the cascade's own; the chain still contains the
state, which :meth:`RuleTable.verify` proves triple by triple.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ...automata.alphabet import BOS, Word
from ...automata.budget import DEFAULT_BUDGET, Budget, Meter
from .cascade import Automaton, Cascade
from .cubes import START, Cube, Demands, Triple, cover, fired
from .holonomy import Holonomy
from .thresholds import Contexts, Threshold, recognise


@dataclass(frozen=True)
class Turn:
    """When the labels of a level that is not reset change places.

    Attributes:
        perm: where each label goes.
        rules: disjoint cubes; their label says nothing.
        thresholds: for each of them, the convolution channels that recognise it.
    """

    perm: tuple[int, ...]
    rules: tuple[Cube, ...]
    thresholds: tuple[Threshold, ...]

    def __str__(self) -> str:
        moved = ", ".join(f"{v} -> {w}" for v, w in enumerate(self.perm) if v != w)
        return "swap" if self.perm == (1, 0) else moved


@dataclass(frozen=True)
class RuleLevel:
    """One level of the cascade with its rules.

    Attributes:
        height: the level's number.
        triples: every (set before, letter, set after) that can occur; ``<bos>`` is the letter after the last.
        rules: disjoint cubes; on a triple where none fires the coordinate is kept.
        thresholds: for each rule, the convolution channels that recognise it.
        values: for each set of this height that occurs, the labels that can be held in it.
        turns: when the coordinate changes without being reset.
    """

    height: int
    triples: tuple[Triple, ...]
    rules: tuple[Cube, ...]
    thresholds: tuple[Threshold, ...]
    values: dict[int, tuple[int, ...]]
    turns: tuple[Turn, ...] = ()

    @cached_property
    def resets(self) -> Mapping[Triple, int]:
        """The labels that are written, by the triples at which one is."""
        return _written(self.rules, self.triples)

    def label(self, triple: Triple, held: int | None) -> int | None:
        """The coordinate after a triple, from the coordinate before it."""
        reset = self.resets.get(triple)
        if reset is not None or held is None:
            return reset
        for turn in self.turns:
            if any(rule.fires(triple) for rule in turn.rules):
                return turn.perm[held]
        return held


@dataclass(frozen=True)
class RuleTable:
    """All levels, top first; executable on words without tensors."""

    dfa: Automaton
    parts: Holonomy
    levels: tuple[RuleLevel, ...]

    @property
    def bos(self) -> int:
        """The number of the letter ``<bos>``."""
        return len(self.dfa.alphabet)

    @cached_property
    def final(self) -> tuple[int, ...]:
        """The numbers of the singletons that the last level can end in."""
        if not self.levels:
            return (0,)
        return tuple(sorted({after for _, _, after in next_triples(self.parts, self.levels[-1])}))

    def run(self, word: Word) -> list[int]:
        """The DFA states after each prefix of ``word``, the empty one first, by the rules alone. O(|word| H rules)."""
        letters = [self.bos, *(self.dfa.semiautomaton.index_of(s) for s in word)]
        held: list[int | None] = [None] * len(self.levels)
        before: list[int] = [START] * (len(self.levels) + 1)
        states = []
        for letter in letters:
            current = 0
            after = [current]
            for i, level in enumerate(self.levels):
                held[i] = level.label((before[i], letter, current), held[i])
                if self.parts.height[current] == level.height:
                    label = held[i]
                    assert label is not None, "a set was entered without a reset"
                    current = self.parts.tiles[current][label]
                after.append(current)
            before = after
            states.append(self.parts.members(current)[0])
        return states

    def verify(self) -> int:
        """Prove the rules against the DFA, one triple at a time, and return the number of facts checked.

        By induction over words the state is in every P_i: (1) ``<bos>`` leads to sets that contain the initial
        state; (2) for every triple that can occur at a level and every label that can be held before it, the new
        coordinate names a tile that contains the images of all states that were possible; (3) the triples are closed:
        what one level can do is among the triples of the next; (4) at the end the set is one state. Works on the
        transition table and plain sets of states only. O(triples * (rules + labels * n)).

        Raises:
            AssertionError: a fact fails (a bug in the compiler).
        """
        table = self.dfa.semiautomaton.table
        members = [frozenset(self.parts.members(p)) for p in range(len(self.parts.sets))]
        checked = 0
        incoming: set[Triple] = {(START if a == self.bos else 0, a, 0) for a in range(self.bos + 1)}
        for level in self.levels:
            assert incoming <= set(level.triples), f"level {level.height} misses triples"
            outgoing: set[Triple] = set()
            times, _ = fired(level.rules, level.triples)
            assert times.max(initial=0) <= 1, f"two rules of level {level.height} fire together"
            for before, letter, after in level.triples:
                inside = before != START and self.parts.height[before] == level.height
                held_before = level.values[before] if inside else (None,)
                for held in held_before:
                    if before == START:
                        source, possible = START, frozenset({self.dfa.initial})
                    else:
                        source = before if held is None else self.parts.tiles[before][held]
                        possible = frozenset(table[q][letter] for q in members[source])
                    if self.parts.height[after] != level.height:
                        target = after
                    else:
                        label = level.label((before, letter, after), held)
                        assert label is not None, f"level {level.height} enters a set without a reset"
                        assert label in level.values[after], f"level {level.height} holds an unlisted label"
                        target = self.parts.tiles[after][label]
                    assert possible <= members[target], f"level {level.height} loses the state"
                    outgoing.add((source, letter, target))
                    checked += 1
            incoming = outgoing
        for _, _, after in incoming:
            assert len(members[after]) == 1, "the chain does not end in one state"
            checked += 1
        return checked

    def __str__(self) -> str:
        name = self.parts.set_names
        symbols = (*self.dfa.alphabet, BOS)
        lines = []
        for level in self.levels:
            turns = [
                (rule, t, str(turn))
                for turn in level.turns
                for rule, t in zip(turn.rules, turn.thresholds, strict=True)
            ]
            swaps = f" and {len(turns)} swaps" if turns else ""
            lines.append(f"level {level.height}: {len(level.rules)} rules{swaps} on {len(level.triples)} triples")
            resets = [(rule, t, f"tile {rule.label}") for rule, t in zip(level.rules, level.thresholds, strict=True)]
            for rule, threshold, effect in resets + turns:
                before = "any" if rule.before is None else " ".join(name[p] for p in sorted(rule.before))
                after = "any" if rule.after is None else " ".join(name[p] for p in sorted(rule.after))
                letters = " ".join(symbols[a] for a in sorted(rule.letters))
                plural = "s" if threshold.channels > 1 else ""
                lines.append(
                    f"    before: {before} | letter: {letters} | after: {after}"
                    f"  =>  {effect}   ({threshold.channels} channel{plural})"
                )
        return "\n".join(lines)


def tabulate(cascade: Cascade, budget: Budget = DEFAULT_BUDGET) -> RuleTable:
    """Make the rules of every level explicit and merge them.

    Cost: per level, O(triples) to collect, plus the cover (``cubes.cover``).

    Raises:
        BudgetExceededError: more triples than the budget allows.
    """
    parts, dfa = cascade.parts, cascade.dfa
    bos = len(dfa.alphabet)
    meter = budget.meter("triples of sets and letters")
    triples: tuple[Triple, ...] = tuple((START if a == bos else 0, a, 0) for a in range(bos + 1))
    levels = []
    for height in range(parts.top, 0, -1):
        meter.check_time()
        level = _tabulate_level(cascade, height, triples, meter)
        levels.append(level)
        triples = next_triples(parts, level)
    return RuleTable(dfa, parts, tuple(levels))


def _tabulate_level(cascade: Cascade, height: int, triples: tuple[Triple, ...], meter: Meter) -> RuleLevel:
    parts, bos = cascade.parts, len(cascade.dfa.alphabet)
    resets: dict[Triple, tuple[int, ...]] = {}
    keeps, turned = set[Triple](), dict[Triple, tuple[int, ...]]()
    every = tuple(range(cascade.widths[parts.top - height]))  # the labels; some sets have fewer
    for triple in triples:
        meter.tick()
        before, letter, after = triple
        if parts.height[after] != height:
            continue  # the level says nothing here: a don't-care
        if before == START:
            resets[triple] = cascade.admissible(1 << cascade.dfa.initial, after)
        elif parts.successor[before][letter] != after:
            resets[triple] = cascade.admissible(parts.image(before, letter), after)
        elif (before, letter) in parts.turns:
            turn = parts.turns[before, letter]
            turned[triple] = (*turn, *every[len(turn) :])
        else:
            keeps.add(triple)
    contexts = Contexts(triples, len(parts.sets), bos)
    known: dict[Cube, Threshold | None] = {}

    def price(cube: Cube) -> int | None:
        try:
            threshold = known[cube]
        except KeyError:
            meter.check_time()
            threshold = known[cube] = recognise(cube, contexts)
        return None if threshold is None else threshold.channels

    def merged(demanded: dict[Triple, tuple[int, ...]], forbidden: set[Triple]) -> tuple[Cube, ...]:
        return cover(Demands(triples, demanded, frozenset(forbidden), bos), price)

    def thresholds(cubes: tuple[Cube, ...]) -> tuple[Threshold, ...]:
        return tuple(t for cube in cubes if (t := known[cube]) is not None)

    rules = merged(resets, keeps | turned.keys())
    perms = sorted(set(turned.values()))
    # What happens to the old value does not matter where a reset overwrites it; but no two things may happen at once.
    written = _written(rules, triples)
    numbered: dict[Triple, tuple[int, ...]] = {triple: (perms.index(perm),) for triple, perm in sorted(turned.items())}
    turning = merged(numbered, keeps | written.keys()) if turned else ()
    turns = []
    for number, perm in enumerate(perms):
        cubes = tuple(cube for cube in turning if cube.label == number)
        turns.append(Turn(perm, cubes, thresholds(cubes)))
    values = _held_values(height, triples, written, keeps, turned, parts)
    return RuleLevel(height, triples, rules, thresholds(rules), values, tuple(turns))


def _written(rules: Sequence[Cube], triples: Sequence[Triple]) -> dict[Triple, int]:
    """The labels that are written, by the triples at which one is."""
    _, last = fired(rules, triples)
    return {triple: rules[n].label for triple, n in zip(triples, last.tolist(), strict=True) if n >= 0}


def _held_values(
    height: int,
    triples: tuple[Triple, ...],
    written: Mapping[Triple, int],
    keeps: set[Triple],
    turned: Mapping[Triple, tuple[int, ...]],
    parts: Holonomy,
) -> dict[int, tuple[int, ...]]:
    """Which labels can be held in which set: resets start them, keeps and turns carry them on. O(triples)."""
    values: dict[int, set[int]] = {}
    queue: list[tuple[int, int]] = []

    def add(number: int, label: int) -> None:
        if label not in values.setdefault(number, set()):
            values[number].add(label)
            queue.append((number, label))

    onward: dict[int, list[tuple[int, tuple[int, ...] | None]]] = {}
    for triple in triples:
        before, _, after = triple
        if triple in keeps or triple in turned:
            onward.setdefault(before, []).append((after, turned.get(triple)))
        elif parts.height[after] == height:
            add(after, written[triple])
    for number, label in queue:
        for target, turn in onward.get(number, ()):
            add(target, label if turn is None else turn[label])
    return {number: tuple(sorted(labels)) for number, labels in sorted(values.items())}


def next_triples(parts: Holonomy, level: RuleLevel) -> tuple[Triple, ...]:
    """The triples that the next level can see. O(triples * labels)."""
    found: set[Triple] = set()
    for triple in level.triples:
        before, letter, after = triple
        inside = before != START and parts.height[before] == level.height
        for held in level.values[before] if inside else (None,):
            source = before if held is None else parts.tiles[before][held]
            label = level.label(triple, held)
            if parts.height[after] == level.height:
                assert label is not None, "a set was entered without a reset"
                found.add((source, letter, parts.tiles[after][label]))
            else:
                found.add((source, letter, after))
    return tuple(sorted(found))
