"""Blocks, one after the other: each remembers what tells as many pairs of states apart as it can.

A block is *finishing* if after it every context tells what may come next. Blocks are made greedily: as long as no
finishing one is found, the next block tells apart every pair of states that one memory can, pairs that go together in
one memory where that stays small. The memories of a block do not see each other, but what they know together counts:
after each the contexts are refined, and a later memory of the block has less to tell apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from ....automata.budget import Meter
from ....automata.decide.depth import two_blocks
from ....automata.deterministic import Deterministic
from .knowledge import Draft, Drafts, Knowledge, explore
from .latches import narrowing
from .predicates import Arena, Design, Pair, arena_of, closed, design, doomed, draft, union

MOST_LABELS = 8
"""How many labels a memory may have when pairs are put together."""

ENOUGH = 0.95
"""A memory that narrows down the states has to leave this share of the doubt at most."""

EVENTS = 8
"""So many events count as one item of a budget, for each memory that is tried."""

FIRST_LETTERS = 2
"""How many letters a rule of the first block may look at."""


@dataclass
class Found:
    """What was found before, and need not be looked for again; of one language and window.

    Attributes:
        arenas: by the blocks before, and the memories of the block that is made.
        told: by the blocks before, and what was asked for (``telling``).
    """

    arenas: dict[tuple[Drafts, tuple[Draft, ...]], Arena] = field(default_factory=dict)
    told: dict[tuple[Drafts, int, bool], tuple[Draft, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Site:
    """Where a block is made.

    Attributes:
        dfa: the language.
        blocks: those before.
        window: how many letters a context holds.
        meter: counts what is searched.
        found: what was found before.
    """

    dfa: Deterministic
    blocks: Drafts
    window: int
    meter: Meter
    found: Found = field(default_factory=Found)

    @property
    def letters(self) -> int:
        """How many letters a rule may look at."""
        return self.window if self.blocks else min(self.window, FIRST_LETTERS)

    def knowledge(self, block: Sequence[Draft] = ()) -> Knowledge:
        """What is known with this block."""
        return self.arena(block).knowledge

    def arena(self, block: Sequence[Draft] = ()) -> Arena:
        """What a further memory of the block can see, and what the others of the block know."""
        place = self.blocks, tuple(block)
        if (arena := self.found.arenas.get(place)) is None:
            blocks = (*self.blocks, tuple(block))
            knowledge = explore(self.dfa, blocks, self.window, self.meter, hidden=len(block))
            arena = self.found.arenas[place] = arena_of(knowledge, self.letters, first=not self.blocks)
        return arena


def at_once(site: Site) -> tuple[Draft, ...] | None:
    """A finishing block of one memory, or None."""
    arena = site.arena()
    found = design(arena, closed(arena, arena.pairs(verdicts=True), site.meter), site.meter)
    return None if found is None else (draft(arena, found, site.meter),)


def finishing(site: Site) -> Iterator[tuple[Draft, ...]]:
    """Finishing blocks: one memory for all pairs, and several ones of few labels."""
    whole = at_once(site)
    if whole is not None:
        yield whole
        if whole[0].labels == 2:
            return
    block = telling(site, 2, verdicts=True)
    if block and site.knowledge(block).settled:
        yield block


def telling(site: Site, cap: int, *, verdicts: bool) -> tuple[Draft, ...]:
    """A block that tells apart every pair that some memory can.

    Args:
        site: where.
        cap: how many labels a memory may have when pairs are put together.
        verdicts: only pairs that differ in what may come next.
    """
    place = site.blocks, cap, verdicts
    if (known := site.found.told.get(place)) is not None:
        return known
    block: tuple[Draft, ...] = ()
    while True:
        arena = site.arena(block)
        designs, all_told = families(arena, arena.pairs(verdicts=verdicts), cap, site.meter)
        block += tuple(draft(arena, found, site.meter) for found in designs)
        if not designs or all_told:
            site.found.told[place] = block
            return block


def families(arena: Arena, pairs: Sequence[Pair], cap: int, meter: Meter) -> tuple[list[Design], bool]:
    """Memories that tell apart all of the pairs that one memory can, put together greedily; and whether that is all."""
    hopeless: dict[int, int] = {}
    done: dict[int, int] = {}
    families: list[Design] = []
    price = len(arena.vectors) // EVENTS
    for pair in pairs:
        x, y = pair
        if (done.get(x, 0) | hopeless.get(x, 0)) >> y & 1:
            continue
        meter.tick(price)
        alone = design(arena, closed(arena, [pair], meter), meter)
        if alone is None:
            doomed(arena, pair, hopeless)
            continue
        union(done, alone.separation.against)
        for n, family in enumerate(families):
            meter.tick(price)
            joint = design(arena, family.separation.joined(alone.separation), meter)
            if joint is not None and len(joint.groups) <= cap:
                families[n] = joint
                break
        else:
            families.append(alone)
    return families, not hopeless


def narrowed(site: Site, block: tuple[Draft, ...], *, again: bool) -> tuple[Draft, ...]:
    """The block with one memory more that narrows down the states, or with several; as it is if none helps.

    Args:
        site: where.
        block: the memories so far.
        again: whether to add more than one.
    """
    arena = site.arena(block)
    least, worst = arena.knowledge.doubt, _worst(site, arena.knowledge)
    for size in range(max(map(len, worst)), 1, -1):
        memory = narrowing(arena, size, site.meter)
        if memory is None:
            continue
        knowledge = site.knowledge((*block, memory))
        doubt, now = knowledge.doubt, _worst(site, knowledge)
        if sum(map(len, now)) < sum(map(len, worst)) or doubt < ENOUGH * least:
            block, least, worst = (*block, memory), doubt, now
            if not again:
                break
            arena = site.arena(block)
    return block


def _worst(site: Site, knowledge: Knowledge) -> list[set[int]]:
    """The most states possible in what the block's events can see of where they start, for each such context before."""
    earlier = sum(map(len, site.blocks))
    fibres: dict[tuple[tuple[int, ...], tuple[int, ...]], set[int]] = {}
    for c, q in knowledge.nodes:
        context = knowledge.contexts[c]
        fibres.setdefault((context.letters[: site.letters - 1], context.labels), set()).add(q)
    worst: dict[tuple[tuple[int, ...], tuple[int, ...]], set[int]] = {}
    for (letters, labels), states in fibres.items():
        key = (letters, labels[:earlier])
        worst[key] = max(worst.get(key, set()), states, key=len)
    return list(worst.values())


def at_least(dfa: Deterministic, window: int) -> int:
    """Plans that see so many letters have so many blocks at least. O(n^2 k).

    If a letter a leads from q to q.a, q.aa, ..., and m is the last power with q.a^m != q.a^(m+1), these two have to be
    told apart. But in a run of one letter no event of block i is new after the first w + i - 1 of them
    (``automata.decide.depth``): w letters for the first block, which looks at two at most, and one more for each block
    after it, since that sees the labels before it now and one letter ago. And short loops may show that one
    block does not do.
    """
    most = 0
    for a in range(len(dfa.alphabet)):
        for q in range(dfa.n_states):
            power = 0
            while (after := dfa.table[q][a]) != q and power < dfa.n_states:
                power, q = power + 1, after
            most = max(most, power - 1)
    fewest = most + 2 - min(window, FIRST_LETTERS) if most >= window else 1
    return 2 if fewest == 1 and two_blocks(dfa, window) else fewest


def stacks(
    dfa: Deterministic, window: int, room: Callable[[int], int], meter: Meter, *, found: Found, eager: bool
) -> Iterator[Drafts]:
    """Blocks of which the last is finishing.

    Args:
        dfa: the language.
        window: how many letters are looked at.
        room: how many blocks there may be; asked before each of them, by its number.
        meter: counts what is searched.
        found: what was found with less effort; kept for more.
        eager: narrow down the states in every block, and not only where no pair of states can be told apart; more
            effort than without, which has shown that one block does not finish.
    """
    blocks: Drafts = ()
    fewest = at_least(dfa, window)
    while max(fewest, len(blocks) + 1) <= room(max(fewest, len(blocks) + 1)):
        site = Site(dfa, blocks, window, meter, found)
        finished = False
        for block in finishing(site) if len(blocks) + 1 >= fewest and (blocks or not eager) else ():
            finished = True
            yield (*blocks, block)
        if finished or len(blocks) + 1 >= room(len(blocks) + 2):
            return
        block = telling(site, MOST_LABELS, verdicts=False)
        if eager or not block:
            block = narrowed(site, block, again=eager)
        if not block and (blocks or site.letters == window):
            return  # the next block would see nothing new
        blocks = (*blocks, block)
