"""Canonical minimal automata: reachable states only, equivalent states merged, breadth-first numbering."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from .budget import Meter
from .search import numbered

LARGE = 1_000
"""States from which on rounds for all of them at once are tried first."""

ROUNDS = 64
"""So many rounds settle most automata. Long chains take a round per state."""


class Canonical(NamedTuple):
    """A canonical minimal automaton with initial state 0; ``origin[q]`` is the least original state merged into q."""

    table: tuple[tuple[int, ...], ...]
    origin: tuple[int, ...]


def letter_classes(table: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    """The letters that lead every state to the same one, together; in the order of their first ones. O(k n)."""
    found: dict[tuple[int, ...], list[int]] = {}
    for letter, column in enumerate(zip(*table, strict=True)):
        found.setdefault(column, []).append(letter)
    return tuple(map(tuple, found.values()))


def minimise(
    table: Sequence[Sequence[int]], initial: int, answers: Sequence[Hashable], clock: Meter | None = None
) -> Canonical:
    """The coarsest partition of the reachable part that answers and letters respect, numbered breadth first.

    ``answers`` has one per state, say whether it accepts.

    A few rounds of Moore's refinement, vectorised, settle most large automata; what they leave, and small ones, are
    for Hopcroft's algorithm. O(k n + c n log n) for n states and k letters in c classes
    (:func:`letter_classes`).

    Raises:
        BudgetExceededError: the clock, if there is one, has run out.
    """
    classes = letter_classes(table)
    if len(classes) < len(table[0]):
        small = minimise([[row[letters[0]] for letters in classes] for row in table], initial, answers, clock)
        column = {letter: number for number, letters in enumerate(classes) for letter in letters}
        order = [column[letter] for letter in range(len(column))]
        whole = tuple(tuple([row[number] for number in order]) for row in small.table)
        return Canonical(whole, small.origin)
    reachable, delta = numbered(initial, table.__getitem__)
    number = {kind: b for b, kind in enumerate(dict.fromkeys(answers[q] for q in reachable))}
    block, settled = [number[answers[q]] for q in reachable], False
    if len(delta) >= LARGE:
        block, settled = _moore(delta, block, clock)
    if not settled:
        block = _hopcroft(delta, block, clock)
    first: dict[int, int] = {}
    least: dict[int, int] = {}  # the name of a merged state is that of its smallest original number
    for i, (b, q) in enumerate(zip(block, reachable, strict=True)):
        first.setdefault(b, i)
        least[b] = min(q, least.get(b, q))
    order, quotient = numbered(block[0], lambda b: [block[t] for t in delta[first[b]]])
    return Canonical(tuple(map(tuple, quotient)), tuple(least[b] for b in order))


def _moore(delta: Sequence[Sequence[int]], block: Sequence[int], clock: Meter | None) -> tuple[list[int], bool]:
    """Up to ``ROUNDS`` rounds of refinement, blocks numbered without gaps; whether nothing changed in the last."""
    table, now, count = np.array(delta, dtype=np.intp), np.array(block, dtype=np.intp), max(block) + 1
    for _ in range(ROUNDS):
        # States stay together if their blocks and those of their successors are the same, told letter by letter.
        refined = now
        for column in table.T:
            if clock is not None:
                clock.check_time()
            _, refined = np.unique(refined * len(now) + now[column], return_inverse=True)
        before, now, count = count, refined, int(refined.max()) + 1
        if count == before:
            return now.tolist(), True
    return now.tolist(), False


def _hopcroft(delta: Sequence[Sequence[int]], block: Sequence[int], clock: Meter | None) -> list[int]:
    """Hopcroft's refinement (1971), "process the smaller half", of blocks that are numbered without gaps."""
    n, k = len(delta), len(delta[0])
    before: list[list[list[int]]] = [[[] for _ in range(n)] for _ in range(k)]
    for q, row in enumerate(delta):
        for a, target in enumerate(row):
            before[a][target].append(q)
    block_of = list(block)
    members: list[set[int]] = [set() for _ in range(max(block_of) + 1)]
    for q, b in enumerate(block_of):
        members[b].add(q)
    work = {(b, a) for b in range(len(members)) for a in range(k)}
    while work:
        if clock is not None:
            clock.check_time()
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
