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


def minimise(table: Sequence[Sequence[int]], initial: int, accepting: frozenset[int]) -> Canonical:
    """Moore's partition refinement on the reachable part, vectorised, then breadth-first numbering.

    O(rounds * k * n log n) for n states and k letters; the number of rounds is at most n.
    """
    reachable = breadth_first(table, initial)
    position = {state: i for i, state in enumerate(reachable)}
    n, k = len(reachable), len(table[initial])
    delta = np.array([[position[t] for t in table[q]] for q in reachable], dtype=np.intp).reshape(n, k)
    block = np.array([q in accepting for q in reachable], dtype=np.intp)
    # Blocks are numbered from 0 without gaps, also where there are no letters to refine by.
    kinds, block = np.unique(block, return_inverse=True)
    n_blocks = len(kinds)
    while True:
        # A state's signature: its own block and the blocks of its successors, hashed column by column.
        refined = block
        for a in range(k):
            pair = refined * n + block[delta[:, a]]
            _, refined = np.unique(pair, return_inverse=True)
        block = refined.reshape(n)
        count = int(block.max()) + 1
        if count == n_blocks:
            break
        n_blocks = count

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
