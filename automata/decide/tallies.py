"""Does a count that never decreases tell the language? Amounts for windows of letters, bounds by the last letter.

A *tally* gives each window of the last letters an amount, 0 or more, and adds up those of the windows that came. A
token may come next iff the sum is at most a bound, which depends on the last letter and the token. So what one counter
of a single block sees, and one threshold, tell the language; and once a word has died the sum stays above every bound,
however far it runs and however it is rounded.

*When there is one.* Take the graph of (live state, last letters). On its cycles nothing may be added. What is left is a
linear program: the sums at each strongly connected component lie between two numbers, which the edges between
components and the bounds compare with each other; and a window with which a word dies leads above all bounds. It is
solved in floats, multiplied until the amounts are whole, and then everything is worked out again in integers.

*Nothing is lost by asking that no amount be negative.* Let any integers be added, and let a dead word stay above all
bounds whatever comes. Among dead words let D(c) be the least sum after the last letters c; there is one, since all
are above a bound. One more letter gives D(c') <= D(c) + amount. So amount + D(c) - D(c') is not negative; and adding
these instead changes each sum by D(first letters) - D(last letters), which the bounds make up for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..alphabet import BOS, EOS, Word, check_word
from ..budget import DEFAULT_BUDGET, Budget
from ..dfa import Dfa
from ..images import strong_components

Window = tuple[str, ...]
"""Letters in the order of the word, the present one last; a shorter one begins with ``<bos>``."""

MOST_EDGES = 20_000
"""Of the graph of live states and last letters."""
MULTIPLES = range(1, 13)
"""Tried, to make the amounts whole."""
LARGEST = 1 << 12
"""Amount."""


@dataclass(frozen=True)
class Tally:
    """A count that never decreases, and what it rules out.

    Attributes:
        window: how many letters it looks at.
        amounts: for windows what they add, above 0; all others add nothing.
        bounds: for each last letter, ``<bos>`` included, and each token: the greatest sum at which it may come next.
            A token that is not there never may.
    """

    window: int
    amounts: Mapping[Window, int]
    bounds: Mapping[str, Mapping[str, int]]

    @cached_property
    def highest(self) -> int:
        """The greatest bound: beyond it a word has died."""
        return max((bound for row in self.bounds.values() for bound in row.values()), default=-1)

    def run(self, word: Word) -> Iterator[frozenset[str]]:
        """The tokens that may come next, per prefix, the empty one first."""
        check_word(word, tuple({*self.bounds} - {BOS}))
        total = 0
        last: Window = (BOS,)
        for letter in (None, *word):
            if letter is not None:
                total += self.amounts.get((*last, letter)[-self.window :], 0)
                last = _last(last, letter, self.window)
            yield frozenset(token for token, bound in self.bounds[last[-1]].items() if total <= bound)

    def check(self, dfa: Dfa) -> bool:
        """Whether it tells the language: all sums that occur are compared with all bounds. O(edges)."""
        graph = _graph(dfa, self.window, MOST_EDGES)
        return graph is not None and self._right(graph)

    def _right(self, graph: _Graph) -> bool:
        reach = graph.reach(self.amounts)
        if reach is None or any(amount < 1 for amount in self.amounts.values()):
            return False
        dies = all(reach[0][n] + self.amounts.get(window, 0) > self.highest for n, window in graph.deaths)
        return dies and all(
            (high <= bound) if token in allowed else (low > bound)
            for node, low, high, allowed in zip(graph.nodes, *reach, graph.allowed, strict=True)
            for token in graph.tokens
            for bound in [self.bounds[node[1][-1]].get(token, -1)]
        )

    def __str__(self) -> str:
        adds = ", ".join(f"{amount} at {' '.join(window)}" for window, amount in self.amounts.items())
        return f"a sum that adds {adds}; a word has died beyond {self.highest}"


def tally_of(dfa: Dfa, window: int, budget: Budget = DEFAULT_BUDGET) -> Tally | None:
    """A tally of so many letters, or None if there is none, if no word dies, or if it takes too many edges.

    Raises:
        BudgetExceededError: it takes more time than there is.

    >>> from scancraft.automata.families import tomita
    >>> print(tally_of(tomita(7), 2))
    a sum that adds 1 at 1 0; a word has died beyond 1
    """
    clock = budget.meter("sums of windows")
    if dfa.dead in (None, 0) or (graph := _graph(dfa, window, min(MOST_EDGES, budget.items))) is None:
        return None
    still = graph.still
    if any(letters in still for _, letters in graph.deaths):
        return None  # nothing is added as the word dies, and a token could come before it did
    clock.check_time()
    counted = sorted({e[2] for e in graph.edges}.union(letters for _, letters in graph.deaths) - still)
    found = _program(graph, counted)
    if found is None:
        return None
    for multiple in MULTIPLES:
        clock.check_time()
        amounts = {w: n for w, x in zip(counted, found, strict=True) if (n := round(multiple * x))}
        if max(amounts.values(), default=0) > LARGEST:
            return None
        tally = _bounded(graph, amounts)
        if tally is not None and tally._right(graph):
            return tally
    return None


@dataclass(frozen=True)
class _Graph:
    """Live states with the last letters.

    Attributes:
        window: how many letters are looked at.
        tokens: all that may be asked for.
        nodes: (state, last letters), the initial one first.
        allowed: for each node the tokens that may come next.
        edges: from a node to a node with the window that comes then.
        deaths: nodes and windows with which the word dies.
    """

    window: int
    tokens: tuple[str, ...]
    nodes: tuple[tuple[int, Window], ...]
    allowed: tuple[frozenset[str], ...]
    edges: tuple[tuple[int, int, Window], ...]
    deaths: tuple[tuple[int, Window], ...]

    @cached_property
    def components(self) -> Sequence[int]:
        """The component of each node; edges lead to the same or a smaller number."""
        targets: list[list[int]] = [[] for _ in self.nodes]
        for n, m, _ in self.edges:
            targets[n].append(m)
        return strong_components(targets)

    @cached_property
    def still(self) -> frozenset[Window]:
        """The windows that come on cycles."""
        of = self.components
        return frozenset(window for n, m, window in self.edges if of[n] == of[m])

    def reach(self, amounts: Mapping[Window, int]) -> tuple[list[int], list[int]] | None:
        """The least and the greatest sum at each node; None where there is no greatest."""
        of = self.components
        low: dict[int, int] = {of[0]: 0}
        high: dict[int, int] = {of[0]: 0}
        for n, m, window in sorted(self.edges, key=lambda edge: -of[edge[0]]):
            amount, here, there = amounts.get(window, 0), of[n], of[m]
            if here == there:
                if amount:
                    return None
                continue
            low[there] = min(low.get(there, low[here] + amount), low[here] + amount)
            high[there] = max(high.get(there, 0), high[here] + amount)
        return [low[c] for c in of], [high[c] for c in of]


def _last(last: Window, letter: str, window: int) -> Window:
    return (*last, letter)[-max(1, window - 1) :]


def _graph(dfa: Dfa, window: int, most: int) -> _Graph | None:
    """The graph; None if it has too many edges."""
    nodes: dict[tuple[int, Window], int] = {(0, (BOS,)): 0}
    edges, deaths = [], []
    queue = list(nodes)
    for number, (state, last) in enumerate(queue):
        for a, letter in enumerate(dfa.alphabet):
            target, seen = dfa.table[state][a], (*last, letter)[-window:]
            if target not in dfa.live:
                deaths.append((number, seen))
                continue
            node = target, _last(last, letter, window)
            if node not in nodes:
                nodes[node] = len(queue)
                queue.append(node)
            edges.append((number, nodes[node], seen))
        if len(edges) + len(deaths) > most:
            return None
    allowed = tuple(dfa.allowed(state) for state, _ in queue)
    return _Graph(window, (*dfa.alphabet, EOS), tuple(queue), allowed, tuple(edges), tuple(deaths))


def _bounded(graph: _Graph, amounts: Mapping[Window, int]) -> Tally | None:
    """The tally of these amounts, whose bounds are as low as may be; None if sums have no end."""
    reach = graph.reach(amounts)
    if reach is None:
        return None
    letters = (BOS, *(token for token in graph.tokens if token != EOS))
    bounds: dict[str, dict[str, int]] = {letter: {} for letter in letters}
    for (_, last), high, allowed in zip(graph.nodes, reach[1], graph.allowed, strict=True):
        for token in allowed:
            row = bounds[last[-1]]
            row[token] = max(row.get(token, 0), high)
    return Tally(graph.window, amounts, bounds)


def _program(graph: _Graph, counted: Sequence[Window]) -> list[float] | None:
    """Amounts of these windows that do, as small as may be in all; None if there are none.

    Unknown are the amounts, the least and the greatest sum of each component, a bound for each (last letter, token)
    that may come after some words and not after others, and the highest of all sums on live words.
    """
    of, size = graph.components, len(graph.nodes)
    count, n = max(of) + 1, len(counted)
    place = {window: k for k, window in enumerate(counted)}
    after: dict[tuple[str, str], tuple[set[int], set[int]]] = {}
    for number in range(size):
        for token in graph.tokens:
            key = graph.nodes[number][1][-1], token
            after.setdefault(key, (set(), set()))[token in graph.allowed[number]].add(of[number])
    split = [sides for sides in after.values() if all(sides)]
    if _circular(graph, split, count):
        return None
    low, high, bound, top = n, n + count, n + 2 * count, n + 2 * count + len(split)
    rows: list[dict[int, float]] = []
    limits: list[float] = []

    def at_most(limit: float, *terms: tuple[int, float]) -> None:
        rows.append(dict(terms))
        limits.append(limit)

    for source, target, window in {(of[n], of[m], window) for n, m, window in graph.edges if of[n] != of[m]}:
        add = [(place[window], 1.0)] if window in place else []
        at_most(0.0, (low + target, 1.0), (low + source, -1.0), *((k, -x) for k, x in add))
        at_most(0.0, (high + source, 1.0), (high + target, -1.0), *add)
    for number, (no, yes) in enumerate(split):
        for component in yes:
            at_most(0.0, (high + component, 1.0), (bound + number, -1.0))
        for component in no:
            at_most(-1.0, (bound + number, 1.0), (low + component, -1.0))
    for component in range(count):
        at_most(0.0, (high + component, 1.0), (top, -1.0))
    for source, window in {(of[n], window) for n, window in graph.deaths}:
        at_most(-1.0, (top, 1.0), (low + source, -1.0), (place[window], -1.0))
    return _solved(rows, limits, n, top + 1, zero=(low + of[0], high + of[0]))


def _circular(graph: _Graph, split: Sequence[tuple[set[int], set[int]]], count: int) -> bool:
    """Whether sums would have to rise in a circle: they never decrease, and after what is ruled out they are higher."""
    of = graph.components
    higher: list[set[int]] = [set() for _ in range(count + len(split))]
    for n, m, _ in graph.edges:
        higher[of[n]].add(of[m])
    for number, (no, yes) in enumerate(split, start=count):
        higher[number] = no
        for component in yes:
            higher[component].add(number)
    circle = strong_components([sorted(targets) for targets in higher])
    sizes = Counter(circle)
    return any(sizes[circle[number]] > 1 for number in range(count, count + len(split)))


def _solved(
    rows: Sequence[Mapping[int, float]], limits: Sequence[float], costly: int, variables: int, zero: Sequence[int]
) -> list[float] | None:
    """The first ``costly`` variables, all at least 0, with the least sum for which each row is at most its limit."""
    from scipy.optimize import linprog  # slow to import
    from scipy.sparse import csr_array

    places = [(r, c, x) for r, row in enumerate(rows) for c, x in row.items()]
    r, c, x = (np.array(part) for part in zip(*places, strict=True))
    cost = np.arange(variables) < costly
    bounds = [(0.0, 0.0 if v in zero else None) for v in range(variables)]
    found = linprog(cost, A_ub=csr_array((x, (r, c)), shape=(len(rows), variables)), b_ub=limits, bounds=bounds)
    return [float(value) for value in found.x[:costly]] if found.status == 0 else None
