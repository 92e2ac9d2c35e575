"""Whether every configuration of a counter machine that a live word can reach can be completed to an accepted word.

Counter machines of this kind can simulate Minsky machines (letters name the branch taken), so the question is
undecidable in general. What is decided here is a sufficient condition that the languages of theorem 5 satisfy: a
*strategy* and a *ranking function*. Configurations are abstracted to (control state, signs of the counters). The
strategy picks a transition in each abstract configuration; the rank r(q, signs) + sum_i w_i |c_i| is a natural number
and falls with every step of the strategy, whatever the values, until a configuration accepts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from ..budget import Budget, Meter
from ..errors import CounterLanguageError
from ..search import leading_to
from .control import CountingAutomaton, Step, signs_of

Node = tuple[str, tuple[int, ...]]
"""A control state and the sign of each counter."""

Edge = tuple[Node, tuple[int, ...]]
"""A possible outcome: the node, and the largest change of each counter's size on the way to it."""

UNREACHED = float("inf")
MOST_WEIGHTS = 4


def sign_outcomes(sign: int, add: int) -> dict[int, int]:
    """From the signs that ``c + add`` can have to the largest ``|c + add| - |c|``, over all c of the given sign.

    >>> sign_outcomes(1, -1)
    {0: -1, 1: -1}
    """
    if add == 0:
        return {sign: 0}
    if sign == 0:
        return {1 if add > 0 else -1: abs(add)}
    if sign < 0:
        return {-s: change for s, change in sign_outcomes(1, -add).items()}
    if add > 0:
        return {1: add}
    # c >= 1 and something is taken: c = -add gives 0; c < -add turns it over, at most from c = 1.
    found = {0: add, 1: add}
    return found if add == -1 else {-1: -add - 2, **found}


def outcomes(machine: CountingAutomaton, node: Node, step: Step) -> list[Edge]:
    """Where a step can lead from an abstract configuration; empty if its tests fail. 3^counters at most."""
    if not machine.holds(step.when, node[1]):
        return []
    ways = [sign_outcomes(s, step.add.get(c.name, 0)) for c, s in zip(machine.counters, node[1], strict=True)]
    found = []
    for signs in product(*ways):
        found.append(((step.to, tuple(signs)), tuple(w[s] for w, s in zip(ways, signs, strict=True))))
    return found


def abstract_graph(machine: CountingAutomaton, budget: Budget) -> dict[Node, dict[str, list[Edge]]]:
    """Every abstract configuration that may be reachable, and where each symbol may lead.

    Raises:
        BudgetExceededError: more of them than the budget allows.
    """
    meter = budget.meter("signs of counters")
    state, values = machine.start
    graph: dict[Node, dict[str, list[Edge]]] = {}
    queue = [(state, signs_of(values))]
    while queue:
        node = queue.pop()
        if node in graph:
            continue
        meter.tick()
        row = machine.transitions.get(node[0], {})
        graph[node] = {a: edges for a in row if (edges := outcomes(machine, node, row[a]))}
        queue += [target for edges in graph[node].values() for target, _ in edges]
    return graph


@dataclass(frozen=True)
class Strategy:
    """Why every live configuration can be completed: wherever the word may not end, some letter lowers the rank.

    The rank of a configuration is ``ranks`` of its node + sum of ``weights`` times the counters' sizes: no less than
    the number of letters that the strategy needs to have the word accepted.

    Attributes:
        graph: every abstract configuration that may be reachable, and where each symbol may lead.
        accepting: those in which the word may end.
        weights: per counter.
        ranks: per abstract configuration.
    """

    graph: Mapping[Node, Mapping[str, list[Edge]]]
    accepting: frozenset[Node]
    weights: tuple[int, ...]
    ranks: Mapping[Node, int]


def prove(machine: CountingAutomaton, budget: Budget) -> Strategy:
    """Show that every reachable configuration leads to acceptance.

    Raises:
        CounterLanguageError: one is not shown to; the message names it.
        BudgetExceededError: too many abstract configurations, or too long a search.
    """
    graph = abstract_graph(machine, budget)
    accepting = frozenset(
        n for n in graph if n[0] in machine.accepting and machine.holds(machine.accepting[n[0]], n[1])
    )
    edges = ((node, to) for node, row in graph.items() for ways in row.values() for to, _ in ways)
    hopeless = set(graph) - leading_to(accepting, edges)
    if hopeless:
        node = next(n for n in graph if n in hopeless)
        raise CounterLanguageError(
            f"no word is accepted from {describe(machine, node)}, which a live word may reach; "
            "test for it earlier, or leave out the transitions that lead there"
        )
    meter = budget.meter("ranks of configurations")
    stuck: set[Node] = set(graph)
    for weights in _weights(len(machine.counters)):
        ranks = _ranks(graph, accepting, weights, meter)
        unranked = {n for n, r in ranks.items() if r == UNREACHED}
        if not unranked:
            return Strategy(graph, accepting, weights, {n: int(r) for n, r in ranks.items()})
        stuck &= unranked
    node = next(n for n in graph if n in (stuck or set(graph) - accepting))
    raise CounterLanguageError(
        f"cannot show that every word that leads to {describe(machine, node)} can be completed; "
        "test for it earlier, so that a transition is allowed only where acceptance stays possible"
    )


def describe(machine: CountingAutomaton, node: Node) -> str:
    """An abstract configuration in words."""
    names = {-1: "< 0", 0: "= 0", 1: "> 0"}
    signs = ", ".join(f"{c.name} {names[s]}" for c, s in zip(machine.counters, node[1], strict=True))
    return f"state {node[0]!r} with {signs}"


def _weights(counters: int) -> Iterator[tuple[int, ...]]:
    """Weights to try: all ones, then small ones (for up to four counters)."""
    ones = (1,) * counters
    yield ones
    if counters <= MOST_WEIGHTS:
        yield from (w for w in product(range(4), repeat=counters) if w != ones)


def _ranks(
    graph: Mapping[Node, Mapping[str, list[Edge]]],
    accepting: Collection[Node],
    weights: tuple[int, ...],
    meter: Meter,
) -> dict[Node, float]:
    """The least ranks under these weights, from below: infinite where they pass every bound.

    rank(node) >= 1 + rank(target) + weights . change for every outcome of the best transition.
    """
    costs = [
        sum(w * d for w, d in zip(weights, change, strict=True))
        for row in graph.values()
        for edges in row.values()
        for _, change in edges
    ]
    cap = (len(graph) + 1) * (1 + max([0, *costs]))
    rank: dict[Node, float] = dict.fromkeys(graph, 0)
    changed = True
    while changed:
        changed = False
        for node, row in graph.items():
            if node in accepting or rank[node] == UNREACHED:
                continue
            meter.tick()
            best = min((_cost(edges, rank, weights) for edges in row.values()), default=UNREACHED)
            best = UNREACHED if best > cap else best
            if best > rank[node]:
                rank[node], changed = best, True
    return rank


def _cost(edges: list[Edge], rank: Mapping[Node, float], weights: tuple[int, ...]) -> float:
    return max(1 + rank[target] + sum(w * d for w, d in zip(weights, change, strict=True)) for target, change in edges)
