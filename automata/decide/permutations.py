"""The steps of the search for a word that permutes states; :mod:`.aperiodic` explains and runs them.

What is found is a :class:`Loop`: letters by number, and one state that they move round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import comb
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from ..budget import Meter
from ..errors import BudgetExceededError
from ..groups.permutation_group import prime_factors
from ..images import ImageGraph, explore, letter_columns, members, strong_components
from ..search import shortest
from ..semiautomaton import Semiautomaton

SHORTENING = 50_000
"""How many tuples of states may be visited in looking for a shorter witness."""

STEPS_PER_LOOK = 64
"""How many sets, or products of letters, are worked on between two looks at the clock."""

Letters = tuple[int, ...]
Places = npt.NDArray[np.int64]
Columns = Sequence[Sequence[int]]
StateOf = Callable[[Sequence[int]], int | None]
"""Finds a state that a map of the states moves round as wanted, or None."""


@dataclass(frozen=True)
class Loop:
    """Letters that move ``state`` round a cycle of length >= 2."""

    letters: Letters
    state: int


@dataclass(frozen=True)
class Part:
    """A strongly connected component with its own numbering; letters that leave it are undefined (-1)."""

    states: tuple[int, ...]
    columns: tuple[tuple[int, ...], ...]

    def subsets(self, size: int) -> int:
        """How many subsets of ``size`` states there are."""
        return comb(len(self.states), size)

    def permuted_subset(self, size: int, meter: Meter) -> Loop | None:
        """A loop that permutes some set of ``size`` states; decides whether there is one."""
        masks = (sum(1 << q for q in chosen) for chosen in combinations(range(len(self.states)), size))
        return self._permuted(explore(self.columns, masks, meter, size), meter)

    def turns_nothing(self) -> bool:
        """Whether no class of mutually reachable pairs runs in a circle; then nothing is permuted. O(k n^2).

        A word w that moves q_0, ..., q_(p-1) round takes (q_0, q_1) to (q_1, q_2), and so on: these pairs are in one
        class, where they are the edges of a circle. If no class of pairs has one, nothing is moved round.
        """
        from scipy.sparse import coo_array  # slow to import
        from scipy.sparse.csgraph import connected_components

        n = len(self.states)
        columns = np.array(self.columns)
        x, y = np.divmod(np.arange(n * n), n)
        sources, targets = [], []
        for column in columns:
            a, b = column[x], column[y]
            apart = (a >= 0) & (b >= 0) & (a != b)
            sources.append(np.flatnonzero(apart))
            targets.append((a * n + b)[apart])

        def strong(size: int, source: Places, target: Places) -> Places:
            edges = coo_array((np.ones(len(source), dtype=np.int8), (source, target)), shape=(size, size))
            found: Places = connected_components(edges.tocsr(), connection="strong")[1].astype(np.int64)
            return found

        of_pair = strong(n * n, np.concatenate(sources), np.concatenate(targets))
        # In each class, by itself: an edge from the first state of a pair to the second.
        proper = x != y
        places, edges = np.unique(
            np.concatenate([of_pair[proper] * n + x[proper], of_pair[proper] * n + y[proper]]), return_inverse=True
        )
        source, target = edges[: len(edges) // 2], edges[len(edges) // 2 :]
        return len(np.unique(strong(len(places), source, target))) == len(places)

    def permuted_image(self, meter: Meter, smallest: int) -> Loop | None:
        """A loop that permutes some image set of at least ``smallest`` states; decides whether there is one."""
        everything = (1 << len(self.states)) - 1
        return self._permuted(explore(self.columns, [everything], meter, smallest), meter)

    def permuted_odd_subset(self, clock: Meter) -> tuple[bool, Loop | None]:
        """Step 4 for the odd primes whose subsets fit the budget: (whether that was all of them, a loop)."""
        complete = True
        for r in _odd_primes(len(self.states)):
            if self.subsets(r) > clock.budget.items:
                complete = False
                continue
            try:
                loop = self.permuted_subset(r, replace(clock, what=f"subsets of {r} states"))
            except BudgetExceededError:  # out of time
                return False, None
            if loop is not None:
                return True, loop
        return complete, None

    def _permuted(self, graph: ImageGraph, meter: Meter) -> Loop | None:
        """The shortest loop found in the graph's first class that has one, in the automaton's numbering."""
        found = _disagreement(graph, self.columns, meter)
        if found is None:
            return None
        loop = shorter(self.columns, *found)
        return Loop(loop.letters, self.states[loop.state])


def components(semiautomaton: Semiautomaton) -> list[Part]:
    """The components of at least two states, small ones first. O(k * n)."""
    component = strong_components(semiautomaton.table)
    groups: dict[int, list[int]] = {}
    for q, c in enumerate(component):
        groups.setdefault(c, []).append(q)
    parts = []
    for states in sorted((g for g in groups.values() if len(g) > 1), key=len):
        local = {q: i for i, q in enumerate(states)}
        columns = (tuple(local.get(c[q], -1) for q in states) for c in letter_columns(semiautomaton))
        parts.append(Part(tuple(states), tuple(columns)))
    return parts


def _odd_primes(limit: int) -> list[int]:
    """The odd primes up to ``limit``, by trial division."""
    primes: list[int] = []
    for n in range(3, limit + 1, 2):
        if all(n % p for p in primes):
            primes.append(n)
    return primes


def moved_state(action: Sequence[int], wanted: Callable[[int], bool] = lambda length: length >= 2) -> int | None:
    """A state on a cycle of a map whose length is as wanted, at least 2, or None. O(n)."""
    seen_from = [-1] * len(action)
    for start in range(len(action)):
        q = start
        while seen_from[q] < 0:
            seen_from[q] = start
            q = action[q]
        if seen_from[q] == start and action[q] != q:
            first, length = q, 1
            while (q := action[q]) != first:
                length += 1
            if wanted(length):
                return first
    return None


def try_short_words(
    columns: Columns, n_states: int, limit: int, clock: Meter, state_of: StateOf = moved_state
) -> tuple[bool, Loop | None]:
    """Look at up to ``limit`` monoid elements by length of word: (whether those were all, a loop). O(n * limit).

    Args:
        columns: the letters, all total.
        n_states: how many states there are.
        limit: how many elements.
        clock: its time is watched.
        state_of: finds a state that a map moves round as wanted, or None; by default any cycle of length >= 2 will do.
    """
    identity = tuple(range(n_states))
    queue: list[tuple[tuple[int, ...], Letters]] = [(identity, ())]
    seen = {identity}
    for number, (action, word) in enumerate(queue):
        if number % STEPS_PER_LOOK == 0:
            clock.check_time()
        for a, column in enumerate(columns):
            product = tuple([column[q] for q in action])
            if product in seen:
                continue
            state = state_of(product)
            if state is not None:
                return False, Loop((*word, a), state)
            if len(seen) >= limit:
                return False, None
            seen.add(product)
            queue.append((product, (*word, a)))
    return True, None


# -- steps 2 to 4: classes of sets ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Leg:
    """A shortest way between a root and a set P of its class.

    Args:
        label: outward, the states that the way takes the root's states to, in their order; inward, for each state of P
            (ascending) the position of the root's state that it is taken to.
        length: in letters.
        letter: the letter next to P; -1 at the root.
        beyond: the set on the other side of that letter; -1 at the root.
    """

    label: tuple[int, ...]
    length: int
    letter: int
    beyond: int


def outward(
    graph: ImageGraph, component: list[int], root: int, columns: Columns, meter: Meter
) -> tuple[dict[int, Leg], tuple[int, int, int] | None]:
    """The ways from a set of two or more states to those of its class, breadth first, and a step (set, letter, set).

    The step is the first that disagrees with the ways; None iff all loops at the root act as the identity. O(k * n)
    per set: sets of one class have one size, since images never grow, and steps in a class are bijections.
    """
    legs, clash = {root: Leg(members(graph.sets[root]), 0, -1, -1)}, None
    queue = [root]
    for position, i in enumerate(queue):
        if position % STEPS_PER_LOOK == 0:
            meter.check_time()
        along = itemgetter(*legs[i].label)  # of two or more states: a map from a letter's column to a tuple
        for a, j in enumerate(graph.successor[i]):
            if j < 0 or component[j] != component[root]:
                continue
            carried = along(columns[a])
            if j not in legs:
                legs[j] = Leg(carried, legs[i].length + 1, a, i)
                queue.append(j)
            elif legs[j].label != carried and clash is None:
                clash = i, a, j
    return legs, clash


def to_root(legs: dict[int, Leg], i: int) -> Letters:
    """The letters met from set i to the root."""
    letters = []
    while legs[i].beyond >= 0:
        letters.append(legs[i].letter)
        i = legs[i].beyond
    return tuple(letters)


def _disagreement(graph: ImageGraph, columns: Columns, meter: Meter) -> tuple[Loop, list[int]] | None:
    """A loop that permutes some set of the graph non-trivially, with the masks of its class; None if there is none."""
    component = strong_components(graph.successor)
    done: set[int] = set()
    for root in range(len(graph)):
        if root in done:
            continue
        legs, clash = outward(graph, component, root, columns, meter)
        done.update(legs)
        if clash is not None:
            return _loop(graph, root, legs, clash, columns), [graph.sets[number] for number in sorted(legs)]
    return None


def _loop(graph: ImageGraph, root: int, legs: dict[int, Leg], clash: tuple[int, int, int], columns: Columns) -> Loop:
    """root -> i -a-> j -> root and root -> j -> root differ, so they are not both the identity."""
    i, a, j = clash
    back = shortest(j, lambda here: [(b, t) for b, t in enumerate(graph.successor[here]) if t in legs], root.__eq__)
    assert back is not None
    loops = ((*reversed(to_root(legs, i)), a, *back), (*reversed(to_root(legs, j)), *back))
    states = legs[root].label
    return next(Loop(loop, q) for loop in loops for q in states if _run(columns, q, loop) != q)


def _run(columns: Columns, state: int, letters: Iterable[int]) -> int:
    """The state after the letters; they must be defined along the way."""
    for a in letters:
        state = columns[a][state]
    return state


def shorter(columns: Columns, loop: Loop, masks: Sequence[int] = (), state_of: StateOf = moved_state) -> Loop:
    """The shortest of ``loop`` and the loops that breadth-first search finds, visiting at most SHORTENING tuples.

    Searched are the loop's own cycle, cut to each prime factor of its period, and then, where ``masks`` (the class
    the loop was found in) are pairs, all of these.

    Args:
        columns: letters, possibly partial.
        loop: what there is already.
        masks: of the class.
        state_of: finds a state that a permutation moves round as wanted, or None.
    """
    cycle, allowance = cycle_of(columns, loop), SHORTENING
    primes = [r for r in sorted(set(prime_factors(len(cycle)))) if state_of([*range(1, r), 0]) is not None]
    starts = [tuple(cycle[:: len(cycle) // r]) for r in primes]
    if masks and masks[0].bit_count() == 2:
        starts += [members(mask) for mask in masks]
    for start in starts:
        visited, found = _shortest_loop(columns, start, len(loop.letters) - 1, allowance, state_of)
        loop = found or loop
        allowance -= visited
        if allowance <= 0:
            break
    return loop


def cycle_of(columns: Columns, loop: Loop) -> list[int]:
    """The states that the letters of a loop move round, its own state first."""
    cycle = [loop.state]
    while (q := _run(columns, cycle[-1], loop.letters)) != loop.state:
        cycle.append(q)
    return cycle


def _shortest_loop(
    columns: Columns, start: tuple[int, ...], longest: int, allowance: int, state_of: StateOf
) -> tuple[int, Loop | None]:
    """(Tuples visited, a shortest loop that permutes the states of ``start`` as wanted, if one is in reach).

    Args:
        columns: letters, possibly partial.
        start: distinct states.
        longest: loops with more letters are of no interest.
        allowance: how many tuples may be visited.
        state_of: finds a state that a permutation moves round as wanted, or None.
    """
    place = {q: i for i, q in enumerate(start)}
    goal = frozenset(start)
    seen = {start}
    layer: list[tuple[tuple[int, ...], Letters]] = [(start, ())]
    for _ in range(longest):
        if not layer:
            break
        onward = []
        for states, letters in layer:
            for a, column in enumerate(columns):
                image = tuple([column[q] for q in states])
                if image in seen:
                    continue
                distinct = frozenset(image)
                if len(distinct) < len(start) or -1 in distinct:
                    continue
                if distinct == goal:
                    moved = state_of([place[q] for q in image])
                    if moved is not None:
                        return len(seen), Loop((*letters, a), start[moved])
                if len(seen) >= allowance:
                    return len(seen), None
                seen.add(image)
                onward.append((image, (*letters, a)))
        layer = onward
    return len(seen), None
