"""Canonical minimal automata: reachable states only, equivalent states merged, breadth-first numbering."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from .search import numbered


@dataclass(frozen=True)
class Canonical:
    """A canonical minimal automaton with initial state 0; ``origin[q]`` is the least original state merged into q."""

    table: tuple[tuple[int, ...], ...]
    accepting: frozenset[int]
    origin: tuple[int, ...]


def minimise(table: Sequence[Sequence[int]], initial: int, accepting: Collection[int]) -> Canonical:
    """The coarsest partition of the reachable part that acceptance and the letters respect, numbered breadth first.

    O(k n log n) for n states and k letters.
    """
    reachable, delta = numbered(initial, table.__getitem__)
    block = _hopcroft(delta, [q in accepting for q in reachable])
    first: dict[int, int] = {}
    least: dict[int, int] = {}  # the name of a merged state is that of its smallest original number
    for i, (b, q) in enumerate(zip(block, reachable, strict=True)):
        first.setdefault(b, i)
        least[b] = min(q, least.get(b, q))
    order, quotient = numbered(block[0], lambda b: [block[t] for t in delta[first[b]]])
    goals = frozenset(i for i, b in enumerate(order) if reachable[first[b]] in accepting)
    return Canonical(tuple(map(tuple, quotient)), goals, tuple(least[b] for b in order))


def _hopcroft(delta: Sequence[Sequence[int]], accepts: Sequence[bool]) -> list[int]:
    """The block of each state, by Hopcroft's refinement (1971): "process the smaller half"."""
    n, k = len(delta), len(delta[0])
    before: list[list[list[int]]] = [[[] for _ in range(n)] for _ in range(k)]
    for q, row in enumerate(delta):
        for a, target in enumerate(row):
            before[a][target].append(q)
    members = [{q for q in range(n) if accepts[q] is kind} for kind in set(accepts)]
    block_of = [0] * n
    for b, states in enumerate(members):
        for q in states:
            block_of[q] = b
    work = {(b, a) for b in range(len(members)) for a in range(k)}
    while work:
        splitter, a = work.pop()
        hit: dict[int, list[int]] = {}
        for target in members[splitter]:
            for q in before[a][target]:
                hit.setdefault(block_of[q], []).append(q)
        for b, inside in hit.items():
            if len(inside) == len(members[b]):
                continue
            # The new block takes the smaller half, so that relabelling costs O(n log n) in all.
            smaller = set(inside)
            if 2 * len(smaller) > len(members[b]):
                smaller = members[b] - smaller
            new = len(members)
            members.append(smaller)
            members[b] -= smaller
            for q in smaller:
                block_of[q] = new
            # (b, letter) stays in the work list if it was there; else the smaller half is enough.
            work |= {(new, letter) for letter in range(k)}
    return block_of
