"""Permutations as products of reflections: transpositions whose pairs make a bipartite graph.

A layer that multiplies its state with reflections exchanges two labels at a step, and one memory can exchange those
pairs only that have signs (``compiler.circuits.memories.signs``): its labels fall into two sides, and each pair has a
label of each. All pairs across two sides together generate every permutation of the labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import networkx as nx

from ...automata.groups.stabiliser_chain import Perm, cycles

Pair = tuple[int, int]
"""Two labels that change places, the smaller one first."""


def pair_of(perm: Perm) -> Pair | None:
    """The two labels that a permutation exchanges, if that is all it does. O(n)."""
    moved = [i for i, j in enumerate(perm) if i != j]
    return (moved[0], moved[1]) if len(moved) == 2 else None


def exchange(n: int, pair: Pair) -> Perm:
    """The permutation of n labels that exchanges two."""
    i, j = pair
    return tuple(j if k == i else i if k == j else k for k in range(n))


def one_memory(pairs: Iterable[Pair]) -> bool:
    """Whether one memory can exchange all these pairs. O(pairs)."""
    return bool(nx.is_bipartite(nx.Graph(list(pairs))))


def are_reflections(perms: Iterable[Perm]) -> bool:
    """Whether each permutation keeps all labels or exchanges two, and one memory can do it."""
    pairs = [pair_of(perm) for perm in perms if perm != tuple(range(len(perm)))]
    return all(pairs) and one_memory(pair for pair in pairs if pair is not None)


def sides(n: int) -> list[frozenset[int]]:
    """One of two sides of n labels, in the ways that factors are looked for: label 0 alone, up to half of them."""
    return [frozenset(range(size)) for size in range(1, n // 2 + 1)]


def factors(perm: Perm, side: frozenset[int]) -> list[Pair]:
    """Exchanges across two sides that one after the other do what ``perm`` does. O(n^2).

    A cycle with labels of both sides needs one less than it is long. A cycle inside one side is first joined to one
    inside the other, or, if there is none, to any label there: at most two exchanges more than the cycles ask for.

    Args:
        perm: a permutation of at least two labels.
        side: the labels of one side; there is at least one on either side.

    >>> factors((1, 2, 0), frozenset({0}))
    [(0, 2), (0, 1)]
    >>> factors((0, 2, 1), frozenset({0}))
    [(0, 1), (0, 2), (0, 1)]
    """
    rest, found = list(perm), list[Pair]()

    def undo(i: int, j: int) -> None:
        """Exchange i and j first; then ``rest`` is what is left to be done."""
        found.append((min(i, j), max(i, j)))
        rest[i], rest[j] = rest[j], rest[i]

    while pure := [cycle for cycle in cycles(rest) if len({i in side for i in cycle}) == 1]:
        cycle = pure[0]
        other = next((c[0] for c in pure if (c[0] in side) != (cycle[0] in side)), None)
        if other is None:
            other = next(i for i in range(len(perm)) if (i in side) != (cycle[0] in side))
        undo(cycle[0], other)
    # Where the neighbour i -> j crosses the sides, exchanging the two first leaves j in its place.
    while moved := cycles(rest):
        cycle = moved[0]
        crossing = [i for i in cycle if (i in side) != (rest[i] in side)]
        # Of the two labels of a cycle that is left with, both sides must stay, unless it is done.
        undo(*_leaving_both(crossing, rest, cycle, side))
    return found


def _leaving_both(crossing: Sequence[int], rest: Sequence[int], cycle: Sequence[int], side: frozenset[int]) -> Pair:
    """A neighbour i and its image j, across the sides, such that the cycle without j has both sides, or is done."""
    for i in crossing:
        j = rest[i]
        left = [k for k in cycle if k != j]
        if len(left) == 1 or len({k in side for k in left}) == 2:
            return i, j
    raise AssertionError("of a longer cycle with both sides one label can go")


def carried_out(n: int, pairs: Iterable[Pair]) -> Perm:
    """What exchanges do one after the other. O(n) each."""
    result = list(range(n))
    for pair in pairs:
        swapped = exchange(n, pair)
        result = [swapped[i] for i in result]
    return tuple(result)


def ball(n: int, generators: Sequence[Perm], radius: int) -> Iterator[Perm]:
    """The different products of at most so many generators, the identity first; stops where there are no more."""
    identity = tuple(range(n))
    seen, sphere = {identity}, [identity]
    yield identity
    for _ in range(radius):
        further = []
        for perm in sphere:
            for generator in generators:
                image = tuple([generator[i] for i in perm])
                if image not in seen:
                    seen.add(image)
                    further.append(image)
                    yield image
        sphere = further
