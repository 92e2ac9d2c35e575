"""Memories that tell pairs of nodes apart, found by closing the pairs under what has to be kept.

Let R be a set of pairs of nodes (``knowledge``) that one memory has to tell apart. An event, what the block can see of
a step, either *writes* a label or *keeps* the old one. If two steps of one event lead to the two nodes of a pair of R,
the event cannot write (its label would be held at both), so it keeps, and then the nodes that the steps come from
have to be told apart, too: R is closed under that. All other events may write, each a label of its own, and the more is
written the more is known. A label then stands for the set S of nodes at which it can be held: those its event
leads to, and on from there by events that keep.

*Theorem.* Some memory tells the pairs of R apart iff no S of this one holds both nodes of a pair of R.
*Proof.* The closed R has to be told apart by any memory that tells R apart, so the events that keep here keep in any.
Any other memory with the same events has labels that are held wherever these are (it writes no more often, and to fewer
labels), so what it tells apart this one does.

Labels whose union holds no pair of R may be one label: a colouring of a graph, done greedily (DSATUR).
Sets of states that every event sets, resets or keeps (predicates) are the case of two labels that do not depend on the
context; the tiles of a holonomy level are labels whose sets overlap.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from ....automata.budget import Meter
from .knowledge import NOTHING, Draft, Knowledge, Vector
from .rules import Demands, cover

Pair = tuple[int, int]

PAIRS = 16
"""So many pairs count as one item of a budget."""


@dataclass(frozen=True)
class Arena:
    """What a block under design can see.

    Attributes:
        knowledge: the memories so far, those of the same block at the end.
        letters: how many letters the block's rules may look at.
        first: whether it is the first block.
        vectors: the events, that of ``<bos>`` first.
        moves: for each event the steps of nodes that have it, (source or NOTHING, target).
    """

    knowledge: Knowledge
    letters: int
    first: bool
    vectors: tuple[Vector, ...]
    moves: tuple[tuple[Pair, ...], ...]

    @cached_property
    def sources(self) -> tuple[dict[int, list[int]], ...]:
        """For each node, by event, the nodes that a step leads here from."""
        found: list[dict[int, list[int]]] = [{} for _ in self.knowledge.nodes]
        for event, moves in enumerate(self.moves):
            for source, target in moves:
                found[target].setdefault(event, []).append(source)
        return tuple(found)

    @cached_property
    def images(self) -> tuple[int, ...]:
        """For each event the nodes it leads to, as a mask."""
        return tuple(mask_of(target for _, target in moves) for moves in self.moves)

    def pairs(self, *, verdicts: bool) -> list[Pair]:
        """The pairs of nodes of one context whose states differ, or (``verdicts``) in what may come next."""
        knowledge = self.knowledge
        found = []
        for fibre in knowledge.fibres:
            for i, x in enumerate(fibre):
                for y in fibre[i + 1 :]:
                    p, q = knowledge.nodes[x][1], knowledge.nodes[y][1]
                    if not verdicts or knowledge.allowed[p] != knowledge.allowed[q]:
                        found.append((x, y))
        return found


def mask_of(places: Iterable[int]) -> int:
    """Ones at these places."""
    mask = 0
    for place in places:
        mask |= 1 << place
    return mask


def arena_of(knowledge: Knowledge, letters: int, *, first: bool) -> Arena:
    """The events of a block: vectors, of which letters before the last ``letters`` are not seen."""
    numbers: dict[Vector, int] = {}
    moves: list[list[Pair]] = []
    hidden = (NOTHING,) * (knowledge.window - letters)
    for step in knowledge.all_steps():
        vector = step.seen[:letters] + hidden + step.seen[knowledge.window :]
        if vector not in numbers:
            numbers[vector] = len(moves)
            moves.append([])
        into = moves[numbers[vector]]
        if step.source == NOTHING:
            into.append((NOTHING, 0))
        else:
            into.extend((x, knowledge.table[x][step.letter]) for x in knowledge.fibres[step.source])
    return Arena(knowledge, letters, first, tuple(numbers), tuple(map(tuple, moves)))


@dataclass(frozen=True)
class Separation:
    """Pairs closed under what is kept, and the events that have to keep.

    Attributes:
        against: for each node of a pair the nodes that it has to be told from, as a mask.
        kept: the events.
    """

    against: dict[int, int]
    kept: frozenset[int]

    @property
    def pairs(self) -> Iterable[Pair]:
        """The pairs."""
        for x, mask in self.against.items():
            for y in bits(mask):
                if x < y:
                    yield x, y


def bits(mask: int) -> list[int]:
    """The places of ones."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


def closed(
    arena: Arena, pairs: Iterable[Pair], meter: Meter, hopeless: frozenset[Pair] | set[Pair] = frozenset()
) -> Separation | None:
    """Close pairs under what has to be kept; None once one of the ``hopeless`` pairs is met. O(pairs * events)."""
    against: dict[int, int] = {}
    kept: set[int] = set()
    work = [(min(pair), max(pair)) for pair in pairs]
    seen = set(work)
    sources = arena.sources
    meter.tick()
    while work:
        pair = work.pop()
        if pair in hopeless:
            return None
        x, y = pair
        against[x] = against.get(x, 0) | 1 << y
        against[y] = against.get(y, 0) | 1 << x
        for event in sources[x].keys() & sources[y].keys():
            kept.add(event)
            for s in sources[x][event]:
                for t in sources[y][event]:
                    before = (s, t) if s < t else (t, s)
                    if before not in seen:
                        seen.add(before)
                        work.append(before)
        if not len(seen) % PAIRS:
            meter.tick()
    return Separation(against, frozenset(kept))


@dataclass(frozen=True)
class Label:
    """A label, or several merged: where it can be held, and what must not be held there."""

    held: int
    against: int

    @property
    def fails(self) -> bool:
        """Whether it does not tell some pair apart."""
        return bool(self.held & self.against)

    def clashes(self, other: Label) -> bool:
        """Whether the two may not be one label."""
        return bool(self.held & other.against)

    def joined(self, other: Label) -> Label:
        """The two as one label."""
        return Label(self.held | other.held, self.against | other.against)


_EMPTY = Label(0, 0)


@dataclass(frozen=True)
class Design:
    """Which labels a memory has, before its rules are merged.

    Attributes:
        separation: what it is for.
        written: for each event that does not have to be kept the label it leads to, as far as it matters.
        groups: the labels.
        tracked: the nodes at which it matters what is held, as a mask.
    """

    separation: Separation
    written: dict[int, Label]
    groups: tuple[Label, ...]
    tracked: int


def design(arena: Arena, separation: Separation) -> Design | None:
    """The labels of the memory that keeps exactly what it has to; None if it does not tell all pairs apart.

    Args:
        arena: what the block sees.
        separation: the closed pairs.
    """
    written, tracked = labels_of(arena, separation)
    if any(label.fails for label in written.values()):
        return None
    groups = _coloured(arena, list(dict.fromkeys(label for label in written.values() if label != _EMPTY)))
    return Design(separation, written, groups or (_EMPTY,), tracked)


def labels_of(arena: Arena, separation: Separation) -> tuple[dict[int, Label], int]:
    """For each event that does not keep a label of its own, and the nodes at which it matters what is held."""
    reach, tracked = _reach(arena, separation)
    against = {x: _union(separation.against.get(y, 0) for y in bits(mask)) for x, mask in reach.items()}
    written = {}
    for event, image in enumerate(arena.images):
        if event not in separation.kept:
            places = bits(image & tracked)
            written[event] = Label(_union(reach[x] for x in places), _union(against[x] for x in places))
    return written, tracked


def _union(masks: Iterable[int]) -> int:
    total = 0
    for mask in masks:
        total |= mask
    return total


def _reach(arena: Arena, separation: Separation) -> tuple[dict[int, int], int]:
    """The nodes from which steps that keep lead to nodes of pairs, and for each of them where they lead, as masks."""
    onward: dict[int, list[int]] = {}
    back: dict[int, list[int]] = {}
    for event in separation.kept:
        for source, target in arena.moves[event]:
            onward.setdefault(source, []).append(target)
            back.setdefault(target, []).append(source)
    tracked = set(separation.against)
    stack = list(tracked)
    while stack:
        for source in back.get(stack.pop(), ()):
            if source not in tracked:
                tracked.add(source)
                stack.append(source)
    reach = {x: 1 << x for x in tracked}
    work = list(tracked)
    waiting = set(work)
    while work:
        x = work.pop()
        waiting.discard(x)
        grown = reach[x] | _union(reach[y] for y in onward.get(x, ()) if y in tracked)
        if grown != reach[x]:
            reach[x] = grown
            for source in back.get(x, ()):
                if source not in waiting:
                    waiting.add(source)
                    work.append(source)
    return reach, mask_of(tracked)


def _coloured(arena: Arena, labels: list[Label]) -> tuple[Label, ...]:
    """Merge labels that do not clash, into few (DSATUR); of several choices the one with most states in common."""
    states = [mask_of(arena.knowledge.nodes[x][1] for x in bits(label.held)) for label in labels]
    clashes = [mask_of(j for j, other in enumerate(labels) if label.clashes(other)) for label in labels]
    groups: list[tuple[Label, int, int]] = []  # (label, members, states)
    left = set(range(len(labels)))
    while left:
        i = max(
            left,
            key=lambda i: (sum(bool(clashes[i] & members) for _, members, _ in groups), clashes[i].bit_count(), -i),
        )
        left.remove(i)
        free = [n for n, (_, members, _) in enumerate(groups) if not clashes[i] & members]
        if free:
            n = max(free, key=lambda n: ((groups[n][2] & states[i]).bit_count(), -n))
            label, members, seen = groups[n]
            groups[n] = (label.joined(labels[i]), members | 1 << i, seen | states[i])
        else:
            groups.append((labels[i], 1 << i, states[i]))
    return tuple(label for label, _, _ in groups)


def draft(arena: Arena, found: Design, meter: Meter) -> Draft:
    """The memory, with few rules: events that may keep or write do what is cheaper."""
    groups = found.groups
    holders = {x: mask_of(g for g, group in enumerate(groups) if group.held >> x & 1) for x in bits(found.tracked)}
    needed = 1  # at <bos> a label has to be written
    admissible = [0] * len(groups)
    for event, moves in enumerate(arena.moves):
        if event in found.separation.kept:
            continue
        label = found.written[event]
        free = bool(event) and all(_keeps(holders, source, target) for source, target in moves)
        if not free:
            needed |= 1 << event
        for g, group in enumerate(groups):
            if not label.held & ~group.held:
                admissible[g] |= 1 << event
        assert free or any(mask >> event & 1 for mask in admissible), "no label may be written"
    demands = Demands(
        arena.vectors,
        arena.knowledge.window,
        len(arena.knowledge.dfa.alphabet),
        arena.first,
        needed,
        tuple(admissible),
    )
    rules = cover(demands, meter)
    used = sorted({label for _, label in rules})
    return Draft(tuple((sides, used.index(label)) for sides, label in rules), len(used))


def _keeps(holders: dict[int, int], source: int, target: int) -> bool:
    """Whether keeping the label from one node to the other brings none where it may not be held."""
    if target not in holders:
        return True
    return source in holders and not holders[source] & ~holders[target]
