"""Plans of languages whose letters preserve a linear order of the states: one state fewer is possible after each block.

Let every letter act as a monotone map of the chain 1 < 2 < ... < n of states, and say that in each context at most m
states are possible. Number those of a context with m from the least to the greatest. An event that leads from all
states of one such context onto all of another is monotone and one to one: it keeps the numbers. After any other event
some number is impossible, and it stays impossible as long as only events of the first kind follow. So one memory that
the other events overwrite, each with a number that it rules out, leaves at most m - 1 states in each context.

*Theorem.* Some plan has at most max(1, n - 1) blocks. *Proof.* Before the first block n states are possible; after n -
1 blocks one is. The last block has one memory, so a conjunction of what is known may be read out without another block.

It is the holonomy decomposition of the monoid of *all* monotone maps, in which sets of one size are all alike, so the
height is n - 1 however many levels the letters alone would take. Contexts that no events of the first kind connect
choose their numbers for themselves: few labels, since each stands for a number that many events rule out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product

from ....automata.budget import Budget, Meter
from ....automata.decide.orders import preserved_order
from ....automata.deterministic import Deterministic
from ....automata.errors import BudgetExceededError
from ..plan import Plan
from .blocks import Site, at_once
from .knowledge import NOTHING, Draft, Drafts, Knowledge
from .latches import Seen, as_seen
from .predicates import Arena
from .readout import conjunctive, linear
from .rules import Demands, cover
from .writing import plan_of

WINDOWS = (1, 2, 3)
"""How many letters are looked at, in the order of effort."""

FEW, MOST_NODES = 3, 2_000
"""From so few states in each context on it is tried to tell at once what may come next, if there are not many nodes."""


def descents(
    dfa: Deterministic, budget: Budget, windows: Sequence[int] = WINDOWS, efforts: Sequence[int] = ()
) -> Iterator[Plan]:
    """Plans of the language, one for each window; none if no linear order of the states is preserved.

    Args:
        dfa: the language.
        budget: limits each plan; one that goes past it is given up.
        windows: how many letters to look at.
        efforts: items that each plan may take, if the budget has more; the next, where none was found with those
            before. By default all that the budget has.
    """
    try:
        order = preserved_order(dfa.table, budget)
    except BudgetExceededError:
        return
    if order is None:
        return
    rank = {q: place for place, q in enumerate(order)}
    ranks = [rank[q] for q in range(dfa.n_states)]
    found = False
    for items, window in product(efforts or (budget.items,), windows):
        if found and window == windows[0]:
            return
        meter = replace(budget, items=min(items, budget.items)).meter("nodes of plans")
        try:
            plan = _written(_descent(dfa, window, ranks, meter), meter)
        except BudgetExceededError:
            continue
        found = True
        yield plan


def _descent(dfa: Deterministic, window: int, ranks: Sequence[int], meter: Meter) -> Knowledge:
    """Blocks of one memory each, until every context tells what may come next."""
    blocks: Drafts = ()
    while True:
        site = Site(dfa, blocks, window, meter)
        arena = site.arena()
        knowledge = arena.knowledge
        if knowledge.settled:
            return replace(knowledge, blocks=blocks or ((),))  # without the block that would come next
        seen = as_seen(arena)
        at_end = max(map(len, seen.fibres)) <= FEW and len(knowledge.nodes) <= MOST_NODES
        block = at_once(site) if at_end else None
        blocks = (*blocks, block or (lowered(seen, ranks, meter),))


def _written(knowledge: Knowledge, meter: Meter) -> Plan:
    """The plan; a read-out that is no threshold is one of conjunctions, which the last block can write.

    In the first block a memory and an older letter do not go into one product (``compiler.plan.readout``), so there it
    takes a block more.
    """
    verdicts = linear(knowledge, meter)
    if verdicts is not None:
        return plan_of(knowledge, verdicts)
    alone = len(knowledge.blocks) == 1 and knowledge.window > 1
    return plan_of(knowledge, conjunctive(knowledge, meter), last=alone)


def lowered(seen: Seen, ranks: Sequence[int], meter: Meter) -> Draft:
    """The memory after which every context has one possible state fewer than the largest have now.

    Args:
        seen: what the block sees; some context has at least two states.
        ranks: the place of each state in an order that all letters preserve.
        meter: counts what is searched.
    """
    arena = seen.arena
    size = max(map(len, seen.fibres))
    place: dict[int, int] = {}
    for fibre in seen.fibres:
        if len(fibre) == size:
            place |= {x: n for n, x in enumerate(sorted(fibre, key=lambda x: ranks[seen.states[x]]))}
    target: dict[int, int] = {}
    ruled_out: dict[int, frozenset[int]] = {}
    linked: list[tuple[int, int]] = []
    for event, moves in enumerate(arena.moves):
        reached = [t for _, t in moves if t in place]
        if not reached:
            continue
        target[event] = seen.context[reached[0]]
        missed = frozenset(range(size)) - {place[t] for t in reached}
        if missed:
            ruled_out[event] = missed
        else:
            linked += [(seen.context[s], target[event]) for s, _ in moves if s != NOTHING]
    together = _joined(len(seen.fibres), linked)
    asked: dict[int, set[frozenset[int]]] = {}
    for event, missed in ruled_out.items():
        asked.setdefault(together[target[event]], set()).add(missed)
    numbers = {group: _hitting(missed) for group, missed in asked.items()}
    return _draft(arena, target, ruled_out, {e: numbers[together[target[e]]] for e in ruled_out}, meter)


def _draft(
    arena: Arena,
    target: dict[int, int],
    ruled_out: dict[int, frozenset[int]],
    numbers: dict[int, tuple[int, ...]],
    meter: Meter,
) -> Draft:
    """The memory with few rules: where no context of the largest size is entered it may do anything."""
    labels = max(map(len, numbers.values()))
    free = sum(1 << event for event in range(len(arena.moves)) if event not in target)
    admissible = [free] * labels
    for event, missed in ruled_out.items():
        for label, number in enumerate(numbers[event]):
            if number in missed:
                admissible[label] |= 1 << event
    needed = 1 | sum(1 << event for event in ruled_out)  # at <bos> a label has to be written
    knowledge = arena.knowledge
    bos = len(knowledge.dfa.alphabet)
    demands = Demands(arena.vectors, knowledge.window, bos, arena.first, needed, tuple(admissible))
    rules = cover(demands, meter)
    used = sorted({label for _, label in rules})
    return Draft(tuple((sides, used.index(label)) for sides, label in rules), len(used))


def _joined(n: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """For each of n things one that stands for all those that pairs connect it with."""
    parent = list(range(n))

    def find(x: int) -> int:
        while parent[x] != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        return x

    for one, other in pairs:
        parent[find(one)] = find(other)
    return [find(x) for x in range(n)]


def _hitting(sets: Iterable[frozenset[int]]) -> tuple[int, ...]:
    """Few numbers of which each set has one, greedily, in order."""
    left, chosen = set(sets), []
    while left:
        counts: dict[int, int] = {}
        for numbers in left:
            for number in numbers:
                counts[number] = counts.get(number, 0) + 1
        best = max(sorted(counts), key=lambda number: counts[number])
        chosen.append(best)
        left = {numbers for numbers in left if best not in numbers}
    return tuple(sorted(chosen))
