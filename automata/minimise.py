"""Canonical minimal automata: reachable states only, equivalent states merged, breadth-first numbering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Canonical:
    """A canonical minimal automaton; ``origin[q]`` is the first original state that was merged into ``q``."""

    table: NDArray[np.intp]
    accepting: NDArray[np.bool_]
    origin: tuple[int, ...]


def breadth_first(table: Sequence[Sequence[int]], initial: int) -> list[int]:
    """Reachable states in breadth-first order, letters in column order. O(states * letters)."""
    order, seen = [initial], {initial}
    for state in order:
        for target in table[state]:
            if target not in seen:
                seen.add(target)
                order.append(target)
    return order


MOORE_ROUNDS = 64


def _moore(delta: NDArray[np.intp], block: NDArray[np.intp], count: int, rounds: int) -> tuple[NDArray[np.intp], bool]:
    """Up to so many rounds of refinement; whether nothing changed in the last. O(k n log n) per round."""
    n, k = delta.shape
    for _ in range(rounds):
        # A state's signature: its own block and the blocks of its successors, hashed column by column.
        refined = block
        for a in range(k):
            _, refined = np.unique(refined * n + block[delta[:, a]], return_inverse=True)
        block = refined.reshape(n)
        refined_count = int(block.max()) + 1
        if refined_count == count:
            return block, True
        count = refined_count
    return block, False


def _hopcroft(delta: NDArray[np.intp], block: NDArray[np.intp]) -> NDArray[np.intp]:
    """Hopcroft's refinement ("process the smaller half"), from a partition that is already right but too coarse."""
    n, k = delta.shape
    before: list[list[list[int]]] = [[[] for _ in range(n)] for _ in range(k)]
    for q, row in enumerate(delta.tolist()):
        for a, target in enumerate(row):
            before[a][target].append(q)
    block_of = block.tolist()
    members: list[set[int]] = [set() for _ in range(max(block_of) + 1)]
    for q, b in enumerate(block_of):
        members[b].add(q)
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
    return np.array(block_of, dtype=np.intp)


def minimise(table: Sequence[Sequence[int]], initial: int, accepting: frozenset[int]) -> Canonical:
    """The coarsest partition of the reachable part that acceptance and the letters respect, numbered breadth first.

    A few rounds of Moore's refinement, vectorised, settle most automata; long chains, which would take a round per
    state, are finished by Hopcroft's algorithm. O(k n log n) for n states and k letters.
    """
    reachable = breadth_first(table, initial)
    position = {state: i for i, state in enumerate(reachable)}
    n, k = len(reachable), len(table[initial])
    delta = np.array([[position[t] for t in table[q]] for q in reachable], dtype=np.intp).reshape(n, k)
    block = np.array([q in accepting for q in reachable], dtype=np.intp)
    # Blocks are numbered from 0 without gaps, also where there are no letters to refine by.
    kinds, block = np.unique(block, return_inverse=True)
    block, settled = _moore(delta, block, len(kinds), MOORE_ROUNDS)
    if not settled:
        block = _hopcroft(delta, block)
    n_blocks = int(block.max()) + 1

    first = np.full(n_blocks, n, dtype=np.intp)
    np.minimum.at(first, block, np.arange(n))
    quotient = [[int(block[t]) for t in delta[first[b]]] for b in range(n_blocks)]
    order = breadth_first(quotient, int(block[0]))
    number = {b: i for i, b in enumerate(order)}
    new_table = np.array([[number[t] for t in quotient[b]] for b in order], dtype=np.intp).reshape(len(order), k)
    # The name of a merged state is that of its smallest original number, which is what a reader looks up.
    least = np.full(n_blocks, len(table), dtype=np.intp)
    np.minimum.at(least, block, np.array(reachable, dtype=np.intp))
    smallest = [int(least[b]) for b in order]
    is_accepting = np.array([reachable[first[b]] in accepting for b in order], dtype=np.bool_)
    return Canonical(new_table, is_accepting, tuple(smallest))
