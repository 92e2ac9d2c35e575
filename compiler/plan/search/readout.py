"""The read-out: for each token a sum of few events with small integer weights that is at most 0 iff the token may come.

The rows are what the memories know in the end (contexts), the columns indicators of events; for each token a linear
program asks for weights with sum <= 0 where the token may come next and >= 1 where not, of least cost. A rational
solution times its common denominator is an integer one, since 0 stays 0 and 1 becomes more; whatever comes of it is
checked in integers. Events of one literal are features already and cost little; a conjunction of two is a feature that
the last block writes, which can be seen by one channel if at most one literal is about a memory of the last block
itself (in the first block: and the other about the present letter).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np
from numpy.typing import NDArray

from ....automata.alphabet import BOS, EOS
from ....automata.budget import Meter
from ..plan import Event, Holds, Letter
from .knowledge import NOTHING, Context, Knowledge, Sides, Vector
from .rules import Demands, cover
from .writing import event_of, memory_name

FREE, FEATURE, OLD, PRODUCT = 0.02, 0.1, 0.6, 1.0
"""The cost per unit of weight of an event: the constant, a literal about now, about an older letter, a conjunction."""

BOUGHT = 0.1
"""A conjunction that another token uses already costs this share."""

LARGEST = 120
"""Weights beyond this are not taken: bfloat16 has 8 bits."""

MOST_COLUMNS = 600
"""With more columns than this, conjunctions are left out."""

Verdicts = Mapping[str, Mapping[Event, int]]


@dataclass(frozen=True)
class Column:
    """An indicator.

    Attributes:
        event: what it indicates.
        cost: per unit of weight.
        values: 0 or 1 per context.
    """

    event: Event
    cost: float
    values: NDArray[np.float64]


def linear(knowledge: Knowledge, meter: Meter) -> Verdicts | None:
    """Thresholds over literals and conjunctions of two, or None where there are none. One linear program per token.

    Args:
        knowledge: a settled one.
        meter: counts linear programs.
    """
    allowed = allowed_of(knowledge)
    single = list(_literals(knowledge))
    double = list(_conjunctions(knowledge, single))
    for columns in (single, single + double) if len(single) + len(double) <= MOST_COLUMNS else (single,):
        found = _solved((*knowledge.dfa.alphabet, EOS), allowed, columns, meter)
        if found is not None:
            return found
    return None


def _solved(
    tokens: Sequence[str], known: Sequence[frozenset[str]], columns: Sequence[Column], meter: Meter
) -> Verdicts | None:
    """The read-out over these columns; what is known is the tokens that may come next, per context."""
    matrix = np.array([column.values for column in columns]).T
    bought: set[int] = set()
    verdicts = {}
    for token in tokens:
        meter.tick()
        allowed = np.array([token in those for those in known])
        cost = np.array([c.cost * (BOUGHT if n in bought else 1.0) for n, c in enumerate(columns)])
        weights = _weights(matrix, allowed, cost)
        if weights is None:
            return None
        bought |= {n for n, w in enumerate(weights) if w and columns[n].cost > FEATURE}
        verdicts[token] = {columns[n].event: int(w) for n, w in enumerate(weights) if w}
    return verdicts


def allowed_of(knowledge: Knowledge) -> list[frozenset[str]]:
    """What may come next, per context.

    Raises:
        AssertionError: some context does not tell.
    """
    assert knowledge.settled, "what may come next is not known yet"
    return [knowledge.allowed[knowledge.nodes[fibre[0]][1]] for fibre in knowledge.fibres]


def _weights(matrix: NDArray[np.float64], allowed: NDArray[np.bool_], cost: NDArray[np.float64]) -> list[int] | None:
    """Integer weights with sum <= 0 on the allowed rows and >= 1 on the others, of little cost; None if there are none.

    Raises nothing: a solution that is not found again in integers counts as none.
    """
    from scipy.optimize import linprog

    rows, first = np.unique(np.column_stack([matrix, allowed]), axis=0, return_index=True)
    signs = np.where(allowed[first], 1.0, -1.0)
    left = rows[:, :-1] * signs[:, None]
    bounds = np.where(allowed[first], 0.0, -1.0)
    found = linprog(
        np.concatenate([cost, cost]), A_ub=np.hstack([left, -left]), b_ub=bounds, bounds=(0, None), method="highs-ds"
    )
    if found.status != 0:
        return None
    n = matrix.shape[1]
    fractions = [Fraction(float(x)).limit_denominator(48) for x in found.x[:n] - found.x[n:]]
    scale = lcm(*(f.denominator for f in fractions)) if fractions else 1
    weights = [int(f * scale) for f in fractions]
    if max(map(abs, weights), default=0) > LARGEST:
        return None
    sums = matrix.astype(np.int64) @ np.array(weights, dtype=np.int64)
    return weights if bool(((sums <= 0) == allowed).all()) else None


# -- columns ---------------------------------------------------------------------------------------------------------


def _column(knowledge: Knowledge, event: Event, cost: float) -> Column:
    numbers = {symbol: a for a, symbol in enumerate((*knowledge.dfa.alphabet, BOS))}
    places = {memory_name(n): n for n in range(len(knowledge.contexts[0].labels))}

    def holds(context: Context) -> bool:
        for literal in event:
            if isinstance(literal, Letter):
                back = literal.back
                if back >= len(context.letters) or context.letters[back] not in {numbers[s] for s in literal.symbols}:
                    return False
            elif context.labels[places[literal.memory]] not in literal.labels:
                return False
        return True

    return Column(event, cost, np.array([float(holds(context)) for context in knowledge.contexts]))


def _literals(knowledge: Knowledge) -> Iterator[Column]:
    """The constant, letters now, labels, and the letter before."""
    yield _column(knowledge, (), FREE)
    for symbol in (*knowledge.dfa.alphabet, BOS):
        yield _column(knowledge, (Letter(frozenset({symbol})),), FEATURE)
    for number, draft in enumerate(draft for block in knowledge.blocks for draft in block):
        for label in range(1 if draft.labels == 2 else 0, draft.labels):
            yield _column(knowledge, (Holds(memory_name(number), frozenset({label})),), FEATURE)
    if knowledge.window > 1:
        for symbol in (*knowledge.dfa.alphabet, BOS):
            before = Letter(frozenset({symbol}), 1)
            yield _column(knowledge, (Letter(frozenset(knowledge.dfa.alphabet)), before), OLD)


def _conjunctions(knowledge: Knowledge, single: Sequence[Column]) -> Iterator[Column]:
    """Conjunctions of two literals that the last block can write."""
    memories = len(knowledge.contexts[0].labels)
    own = len(knowledge.blocks[-1]) if knowledge.blocks else 0
    last = set(map(memory_name, range(memories - own, memories)))
    literals = [column for column in single if len(column.event) == 1]
    seen: set[bytes] = {column.values.tobytes() for column in single}
    for i, left in enumerate(literals):
        for right in literals[i + 1 :]:
            mine = [x for x in (*left.event, *right.event) if isinstance(x, Holds) and x.memory in last]
            values = left.values * right.values
            key = values.tobytes()
            if len(mine) > 1 or not values.any() or key in seen:
                continue
            seen.add(key)
            yield Column((*left.event, *right.event), PRODUCT, values)
    if knowledge.window > 1:
        for now in knowledge.dfa.alphabet:
            for before in (*knowledge.dfa.alphabet, BOS):
                event = (Letter(frozenset({now})), Letter(frozenset({before}), 1))
                column = _column(knowledge, event, PRODUCT)
                if column.values.any() and column.values.tobytes() not in seen:
                    yield column


# -- without a threshold ---------------------------------------------------------------------------------------------


def conjunctive(knowledge: Knowledge, meter: Meter) -> Verdicts:
    """For each token the steps after which it may not come, merged into few conjunctions: a block of their own."""
    symbols = (*knowledge.dfa.alphabet, BOS)
    vectors: list[Vector] = []
    for context in knowledge.contexts:
        padding = (NOTHING,) * (knowledge.window - len(context.letters))
        labels = context.labels
        vectors.append(context.letters + padding + labels + (NOTHING,) * len(labels))
    allowed = allowed_of(knowledge)
    verdicts: dict[str, Mapping[Event, int]] = {}
    for token in (*knowledge.dfa.alphabet, EOS):
        denied = sum(1 << c for c, tokens in enumerate(allowed) if token not in tokens)
        demands = Demands(tuple(vectors), knowledge.window, len(symbols) - 1, False, denied, (denied,))
        rules: tuple[tuple[Sides, int], ...] = cover(demands, meter) if denied else ()
        verdicts[token] = {event_of(sides, symbols, knowledge.window): 1 for sides, _ in rules}
    return verdicts
