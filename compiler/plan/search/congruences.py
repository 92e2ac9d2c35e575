"""Plans of many states: a chain of congruences, each refined by memories that hold no more than a class of states.

Say that what the blocks know is a class of states, so that contexts are the classes of a congruence, and take the next
block to be told apart in few labels. Let two states of a class be *alike* if no memory tells them apart
(``predicates``); then no memory that holds a function of the state does, and so the least congruence of states that are
alike is below what any such memory holds. On its classes in place of states it is asked again, since now whole classes
have to be told apart, until nothing changes. What one memory tells apart then, all of it, is a level; where it takes
several memories, each is looked for alone, on the least congruence of what it does not tell apart. So of n states there
are never many more than n nodes, and no more tests that fail than classes that are merged: O(n) of them, each of
O(pairs * letters) steps. Nothing is enumerated but pairs of states.

It finds the levels of every cascade of set-reset automata whose coordinates can be told from the state. Where a minimal
DFA has merged some of a cascade's states, these are in several classes, and so in several contexts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import combinations, product

from ....automata.budget import Budget, Meter
from ....automata.deterministic import Deterministic
from ....automata.errors import BudgetExceededError
from ....automata.images import strong_components
from ..plan import Plan
from .blocks import EVENTS, MOST_LABELS, Found, Site, families
from .choose import written
from .knowledge import NOTHING, Draft, Drafts
from .latches import as_seen
from .predicates import Arena, Design, Pair, bits, closed, design, doomed, draft, mask_of, union

PATIENCE = 2
"""After so many pairs that are told apart it is tried whether all are at once; where not, after twice as many."""

FEW_ITEMS = 100_000
"""So many items are tried without a congruence first, where that may do."""

FEWEST_LABELS = 2
"""Memories of so many labels are put together."""

Fibres = tuple[tuple[int, ...], ...]
"""The nodes of each context."""

_Block = Callable[[Arena, Fibres, Meter], tuple[Draft, ...]]


def by_congruences(dfa: Deterministic, budget: Budget) -> Iterator[Plan]:
    """A plan that looks at one letter and has a block for each congruence of a chain; none if none is found.

    Where only loops turn in circles, states of a minimal DFA stand for several states of a cascade nearly always (all
    that a word has seen is forgotten where it does not matter any more). There :func:`pairs_apart` comes first.

    Args:
        dfa: the language.
        budget: how far each search may go.
    """
    loops = len(set(strong_components(dfa.table))) == dfa.n_states
    efforts = ((pairs_apart, FEW_ITEMS), (level, budget.items)) if loops else ((level, budget.items),)
    for block, items in efforts:
        meter = replace(budget, items=min(items, budget.items)).meter("nodes of plans")
        try:
            blocks = _chain(dfa, block, meter)
            if blocks is not None:
                yield written(dfa, blocks, 1, budget, Found())
                return
        except BudgetExceededError:
            continue


def _chain(dfa: Deterministic, block: _Block, meter: Meter) -> Drafts | None:
    """Blocks, until every context tells what may come next; None if there is no next one."""
    blocks: Drafts = ()
    while True:
        arena = Site(dfa, blocks, 1, meter).arena()
        if arena.knowledge.settled:
            return blocks or ((),)
        seen = as_seen(arena)
        memories = block(seen.arena, seen.fibres, meter)
        if not memories and blocks:  # no function of the state
            memories = pairs_apart(seen.arena, seen.fibres, meter)
        if not memories:
            return None
        blocks = (*blocks, memories)


def pairs_apart(arena: Arena, fibres: Fibres, meter: Meter) -> tuple[Draft, ...]:
    """Memories of two labels that tell apart all the pairs that one memory can; none if there is no such pair.

    All that a memory tells apart, whatever it was looked for, has to be told by what takes its place later on.
    """
    others = {x: mask_of(fibre) for fibre in fibres for x in fibre}
    price = 1 + len(arena.vectors) // EVENTS
    hopeless: dict[int, int] = {}
    done: dict[int, int] = {}
    found: list[Design] = []
    for pair in (pair for fibre in sorted(fibres, key=len, reverse=True) for pair in combinations(fibre, 2)):
        x, y = pair
        if (done.get(x, 0) | hopeless.get(x, 0)) >> y & 1:
            continue
        meter.tick(price)
        alone = design(arena, closed(arena, [pair], meter), meter)
        if alone is None:
            doomed(arena, pair, hopeless)
            continue
        for n, one in enumerate(found):
            meter.tick(price)
            joint = design(arena, one.separation.joined(alone.separation), meter)
            if joint is not None and len(joint.groups) <= FEWEST_LABELS:
                found[n] = joint = _all_told(joint, others)
                break
        else:
            joint = _all_told(alone, others)
            found.append(joint)
        union(done, joint.separation.against)
    return tuple(draft(arena, one, meter) for one in found)


def _all_told(found: Design, others: Mapping[int, int]) -> Design:
    """The memory as one for all pairs that it tells apart; what these need is among them.

    Args:
        found: the memory.
        others: for each node those of its context, as a mask.
    """
    told: dict[int, int] = {}
    for x in bits(found.tracked):
        held = 0
        for label in found.groups:
            if label.held >> x & 1:
                held |= label.held
        told[x] = others[x] & found.tracked & ~held
    union(told, found.separation.against)
    return replace(found, separation=replace(found.separation, against=told))


def level(arena: Arena, fibres: Fibres, meter: Meter) -> tuple[Draft, ...]:
    """Memories of few labels that tell classes of a congruence apart; none if nothing can be told.

    Args:
        arena: what the block sees; its nodes may be classes of nodes.
        fibres: the nodes of each context.
        meter: counts what is searched.
    """
    classes = Classes(arena, fibres)
    while (whole := _told(classes, meter)) is None and classes.merged:
        classes = classes.quotient()
    pairs = list(classes.pairs())
    if whole is not None or not pairs:
        return () if whole is None else (whole,)
    designs, _ = families(classes.arena, pairs, MOST_LABELS, meter)
    if len(designs) == 1:
        return (draft(classes.arena, designs[0], meter),)
    found: list[Draft] = []
    for one in sorted(designs, key=lambda one: -sum(map(int.bit_count, one.separation.against.values()))):
        alone = Classes(classes.arena, classes.fibres)
        for x, y in pairs:
            if not one.separation.against.get(x, 0) >> y & 1:
                alone.merge(x, y)
        if any(alone.split()):
            alone = alone.quotient()
            found += [memory for memory in level(alone.arena, alone.fibres, meter) if memory not in found]
    return tuple(found)


def _told(classes: Classes, meter: Meter) -> Draft | None:
    """Merge what is alike, until all pairs of classes are told apart; a memory that does it at once, if any does."""
    arena = classes.arena
    told: dict[int, int] = {}
    in_a_row, patience = 0, PATIENCE
    price = 1 + len(arena.vectors) // EVENTS
    while True:
        meter.tick(price)
        pair = classes.untold(told)
        if pair is not None:
            separation = closed(arena, [pair], meter)
            if design(arena, separation, meter) is None:
                classes.merge(*pair)
                in_a_row = 0
                continue
            union(told, separation.against)
            in_a_row += 1
            if in_a_row < patience:
                continue
        if not (pairs := list(classes.pairs())):
            return None
        whole = design(arena, closed(arena, pairs, meter), meter)
        if whole is not None and len(whole.groups) <= MOST_LABELS:
            return draft(arena, whole, meter)
        if pair is None:
            return None
        in_a_row, patience = 0, 2 * patience


class Classes:
    """Nodes that are alike are merged, and so is where the same event leads from them.

    Attributes:
        arena: the nodes, and where events lead.
        fibres: the nodes of each context.
        merged: whether any are.
    """

    def __init__(self, arena: Arena, fibres: Fibres) -> None:
        self.arena, self.fibres, self.merged = arena, fibres, False
        self._parent = list(range(sum(map(len, fibres))))

    def of(self, node: int) -> int:
        """The node that stands for its class."""
        parent = self._parent
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    def merge(self, x: int, y: int) -> None:
        """Make two nodes of a context alike. O(letters) for each two classes that become one."""
        work = [(x, y)]
        while work:
            x, y = work.pop()
            one, other = self.of(x), self.of(y)
            if one == other:
                continue
            self._parent[other], self.merged = one, True
            ends = dict(self.arena.onward.of[x])
            for event, targets in self.arena.onward.of[y]:
                work += [(s, t) for s in ends.get(event, ()) for t in targets]

    def split(self) -> Iterator[list[int]]:
        """The classes, as masks, of each context that has several."""
        for fibre in self.fibres:
            found: dict[int, int] = {}
            for node in fibre:
                found[self.of(node)] = found.get(self.of(node), 0) | 1 << node
            if len(found) > 1:
                yield list(found.values())

    def pairs(self) -> Iterator[Pair]:
        """Two nodes of a context that are in different classes."""
        for masks in self.split():
            for one, other in combinations(masks, 2):
                yield from product(bits(one), bits(other))

    def untold(self, told: Mapping[int, int]) -> Pair | None:
        """Such a pair that is not told apart yet, in the largest context that has one."""
        for masks in sorted(self.split(), key=lambda masks: -sum(map(int.bit_count, masks))):
            for one, other in combinations(masks, 2):
                for x in bits(one):
                    if left := other & ~told.get(x, 0):
                        return x, (left & -left).bit_length() - 1
        return None

    def quotient(self) -> Classes:
        """Each class as one node."""
        numbers: dict[int, int] = {}
        place = [numbers.setdefault(self.of(node), len(numbers)) for node in range(len(self._parent))]
        moves = (
            tuple(dict.fromkeys((s if s == NOTHING else place[s], place[t]) for s, t in of_event))
            for of_event in self.arena.moves
        )
        fibres = (tuple(dict.fromkeys(place[node] for node in fibre)) for fibre in self.fibres)
        return Classes(replace(self.arena, moves=tuple(moves)), tuple(fibres))
