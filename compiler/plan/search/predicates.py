"""Memories that tell pairs of nodes apart, found by closing the pairs under what has to be kept.

Let R be a set of pairs of nodes (``knowledge``) that one memory has to tell apart. An event, what the block can see of
a step, either *writes* a label or *keeps* the old one. If two steps of one event lead to the two nodes of a pair of R,
the event cannot write (its label would be held at both), so it keeps, and then the nodes that the steps come from
have to be told apart, too: R is closed under that. An event that writes has a label of its own, which stands for the
set S of nodes at which it can be held: those that the event leads to, and on from there by events that keep. Where S
holds both nodes of a pair of R, the event has to keep as well; that makes other sets larger, so it is asked again.

*Theorem.* Some memory tells the pairs of R apart iff the set of ``<bos>``, which has to write, never holds both nodes
of a pair of R. *Proof.* Let M be any memory that tells R apart; what keeps here keeps in M, by induction. It is clear
for an event that leads to a pair of the closed R. If what keeps so far keeps in M, and an event writes in M, then M
can hold its label on all of S, and so S holds no pair of R. Conversely, if no S is left that does, each event that
writes may have its own label.

Labels whose union holds no pair of R may be one label: a colouring of a graph, done greedily (DSATUR).
Sets of states that every event sets, resets or keeps (predicates) are the case of two labels that do not depend on the
context; the tiles of a holonomy level are labels whose sets overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ....automata.budget import Meter
from .knowledge import NOTHING, Draft, Knowledge, Vector
from .rules import Demands, cover

Pair = tuple[int, int]

PAIRS = 16
"""So many pairs count as one item of a budget."""


@dataclass(frozen=True)
class Steps:
    """Steps of nodes, in one direction.

    Attributes:
        of: for each node the events of its steps, each with the nodes that they lead to.
        domain: for each event the nodes that have such a step, as a mask.
        ends: for each event, for the places of these nodes (masks of one bit), the nodes they lead to, as a mask.
    """

    of: tuple[tuple[tuple[int, tuple[int, ...]], ...], ...]
    domain: tuple[int, ...]
    ends: tuple[dict[int, int], ...]


def _steps(nodes: int, moves: Sequence[Sequence[Pair]]) -> Steps:
    """Steps, given for each event by pairs of nodes."""
    found: list[dict[int, list[int]]] = [{} for _ in range(nodes)]
    ends: list[dict[int, int]] = [{} for _ in moves]
    for event, pairs in enumerate(moves):
        for x, y in pairs:
            found[x].setdefault(event, []).append(y)
            ends[event][1 << x] = ends[event].get(1 << x, 0) | 1 << y
    of = tuple(tuple((event, tuple(nodes)) for event, nodes in steps.items()) for steps in found)
    return Steps(of, tuple(map(sum, ends)), tuple(ends))  # the sum of different bits is their union


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
    def back(self) -> Steps:
        """Steps against their direction."""
        return _steps(len(self.knowledge.nodes), [[(t, s) for s, t in moves if s != NOTHING] for moves in self.moves])

    @cached_property
    def onward(self) -> Steps:
        """Steps in their direction."""
        return _steps(
            len(self.knowledge.nodes), [[move for move in moves if move[0] != NOTHING] for moves in self.moves]
        )

    @cached_property
    def images(self) -> tuple[int, ...]:
        """For each event the nodes it leads to, as a mask."""
        return tuple(mask_of(target for _, target in moves) for moves in self.moves)

    @cached_property
    def by_size(self) -> tuple[int, ...]:
        """The events, those that lead to most nodes first."""
        return tuple(sorted(range(len(self.images)), key=lambda event: -self.images[event].bit_count()))

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

    against: Mapping[int, int]
    kept: frozenset[int]

    def joined(self, other: Separation) -> Separation:
        """The pairs of both; what is closed stays closed."""
        against = dict(self.against)
        union(against, other.against)
        return Separation(against, self.kept | other.kept)


def union(masks: dict[int, int], more: Mapping[int, int]) -> None:
    """Add relations that are given by masks."""
    for x, mask in more.items():
        masks[x] = masks.get(x, 0) | mask


def related(pairs: Iterable[Pair]) -> dict[int, int]:
    """Pairs as a symmetric relation: for each node the others, as a mask."""
    found: dict[int, int] = {}
    for x, y in pairs:
        found[x] = found.get(x, 0) | 1 << y
        found[y] = found.get(y, 0) | 1 << x
    return found


def bits(mask: int) -> list[int]:
    """The places of ones."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


def closed(arena: Arena, pairs: Iterable[Pair], meter: Meter) -> Separation:
    """Close pairs under what has to be kept. O(pairs * events)."""
    against: dict[int, int] = {}
    meter.tick()
    kept = _carry(related(pairs), arena.back, against, meter)
    return Separation(against, frozenset(kept))


def doomed(arena: Arena, pair: Pair, hopeless: dict[int, int]) -> None:
    """Add to the pairs that no memory tells apart one more, and all that it would be needed for. O(pairs * events)."""
    _carry(related([pair]), arena.onward, hopeless)


def _carry(pairs: Mapping[int, int], steps: Steps, known: dict[int, int], meter: Meter | None = None) -> set[int]:
    """Add pairs, and those that steps of the same event lead to; the events by which they lead to others.

    Args:
        pairs: to begin with, symmetric.
        steps: the steps.
        known: pairs whose successors are known, too; added to.
        meter: counts them.
    """
    work: dict[int, int] = {}
    for x, mask in pairs.items():
        if new := mask & ~known.get(x, 0):
            known[x] = known.get(x, 0) | new
            work[x] = new
    events, counted = set(), 0
    while work:
        x, new = work.popitem()
        counted += new.bit_count()
        if meter is not None and counted >= 2 * PAIRS:  # each pair is seen from both of its ends
            meter.tick(counted // (2 * PAIRS))
            counted %= 2 * PAIRS
        for event, targets in steps.of[x]:
            if left := new & steps.domain[event]:
                events.add(event)
                ends, others = steps.ends[event], 0
                while left:
                    low = left & -left
                    others |= ends[low]
                    left ^= low
                for target in targets:
                    before = known.get(target, 0)
                    if more := others & ~before & ~(1 << target):
                        known[target] = before | more
                        work[target] = work.get(target, 0) | more
    return events


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


def design(arena: Arena, separation: Separation, meter: Meter) -> Design | None:
    """The labels of the memory that keeps exactly what it has to; None if it does not tell all pairs apart.

    Args:
        arena: what the block sees.
        separation: the closed pairs.
        meter: counts how often the labels are made, with more events that keep.
    """
    while True:
        spread = Spread(arena, separation)
        labels: dict[int, Label] = {}
        more: list[int] = []
        for event in (0, *arena.by_size):
            if event not in separation.kept and event not in labels:
                labels[event] = spread.label(event)
                if labels[event].fails:
                    if not event:
                        return None
                    more.append(event)
        if not more:
            break
        meter.tick()
        separation = Separation(separation.against, separation.kept | frozenset(more))
    written = {event: labels[event] for event in sorted(labels)}
    groups = _coloured(arena, list(dict.fromkeys(label for label in written.values() if label != _EMPTY)))
    return Design(separation, written, groups or (_EMPTY,), spread.tracked)


def labels_of(arena: Arena, separation: Separation) -> tuple[dict[int, Label], int]:
    """For each event that does not keep a label of its own, and the nodes at which it matters what is held."""
    spread = Spread(arena, separation)
    events = (event for event in range(len(arena.vectors)) if event not in separation.kept)
    return {event: spread.label(event) for event in events}, spread.tracked


class Spread:
    """Where labels can be held: they are written where events lead, and carried on by those that keep.

    Attributes:
        tracked: the nodes from which steps that keep lead to nodes of pairs, as a mask.
    """

    def __init__(self, arena: Arena, separation: Separation) -> None:
        self._arena, self._separation = arena, separation
        self._steps: dict[int, int] = {}
        self._labels: dict[int, Label] = {}
        kept = separation.kept
        self.tracked = mask_of(separation.against)
        work = list(separation.against)
        while work:
            for event, sources in arena.back.of[work.pop()]:
                if event in kept:
                    for source in sources:
                        if not self.tracked >> source & 1:
                            self.tracked |= 1 << source
                            work.append(source)

    def label(self, event: int) -> Label:
        """The label that an event leads to, as far as it matters."""
        places = self._arena.images[event] & self.tracked
        if (known := self._labels.get(places)) is None:
            held, against, left = places, 0, places
            while left:
                low = left & -left
                x = low.bit_length() - 1
                against |= self._separation.against.get(x, 0)
                new = self._on(x) & ~held
                held |= new
                left = left ^ low | new
            known = self._labels[places] = Label(held, against)
        return known

    def _on(self, node: int) -> int:
        """Where steps that keep lead, as far as it matters."""
        if (known := self._steps.get(node)) is None:
            kept, mask = self._separation.kept, 0
            for event, targets in self._arena.onward.of[node]:
                if event in kept:
                    for target in targets:
                        mask |= 1 << target
            known = self._steps[node] = mask & self.tracked
        return known


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
