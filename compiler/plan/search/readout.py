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
from itertools import combinations_with_replacement
from math import lcm

import numpy as np
import numpy.typing as npt

from ....automata.alphabet import BOS
from ....automata.budget import Meter
from ..plan import Event, Holds, Letter
from .knowledge import NOTHING, Knowledge, Sides, Vector
from .predicates import mask_of
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

FEW_ROWS = 400
"""So many rows of a linear program are asked for at first, and at most so many more each time."""

TOLERANCE = 1e-6
"""How far a solver may be off."""

Verdicts = Mapping[str, Mapping[Event, int]]
Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

MOST_DECIDING, MOST_DEAR = 4, 2
"""So many events are put together without a linear program, and so many that are no features yet."""

FEW_LABELS = 4
"""With more of them, of all memories, a linear program, which takes as little as may be, makes narrower models."""

FEW_SUMS = 60
"""Rows of contexts that are compared pair by pair."""


@dataclass(frozen=True)
class Column:
    """An indicator.

    Attributes:
        event: what it indicates.
        cost: per unit of weight.
        mask: the contexts in which it is 1.
    """

    event: Event
    cost: float
    mask: int


def linear(knowledge: Knowledge, meter: Meter) -> Verdicts | None:
    """Thresholds over literals and conjunctions of two, or None where there are none.

    Args:
        knowledge: a settled one.
        meter: counts linear programs, at most one per token and choice of columns.
    """
    allowed = allowed_of(knowledge)
    tokens = knowledge.dfa.tokens
    denied = {token: mask_of(c for c, known in enumerate(allowed) if token not in known) for token in tokens}
    literals = Literals(knowledge)
    single = list(literals.columns())
    found = _solved(denied, single, len(allowed), meter)
    if found is None and len(more := [*single, *_conjunctions(literals, single)]) <= MOST_COLUMNS:
        found = _solved(denied, more, len(allowed), meter)
    return found


def _solved(denied: Mapping[str, int], columns: Sequence[Column], contexts: int, meter: Meter) -> Verdicts | None:
    """The read-out over these columns; ``denied`` are the contexts after which a token may not come."""
    few = sum(len(c.event) == 1 and isinstance(c.event[0], Holds) for c in columns) <= FEW_LABELS
    cheap = [column for column in columns if column.cost < (PRODUCT if few else OLD)]
    most = MOST_DECIDING if few else 1
    known = {mask: _decided(mask, cheap, most) for mask in dict.fromkeys(denied.values())}
    left = [mask for mask, found in known.items() if found is None]
    if few and len(left) == 1 and len(cheap) < len(columns):  # several may share what is bought
        known[left[0]] = _decided(left[0], columns, most)
        left = [mask for mask in left if known[mask] is None]
    if left:
        programs = _Programs(columns, contexts)
        if any(programs.hopeless(mask) for mask in left):
            return None
        # Where nothing can be bought all are one program, since most of the time goes into setting one up.
        groups = [[mask] for mask in left] if any(column.cost == PRODUCT for column in columns) else [left]
        bought: set[int] = set()
        for masks in groups:
            cost = [c.cost * (BOUGHT if n in bought else 1.0) for n, c in enumerate(columns)]
            weights = programs.weights(masks, cost, meter)
            if weights is None:
                return None
            for mask, of_mask in zip(masks, weights, strict=True):
                bought |= {n for n, w in enumerate(of_mask) if w and columns[n].cost > FEATURE}
                known[mask] = {columns[n].event: w for n, w in enumerate(of_mask) if w}
    return {token: known[mask] or {} for token, mask in denied.items()}


def _decided(denied: int, columns: Sequence[Column], at_most: int) -> Mapping[Event, int] | None:
    """A list of few events, the first of which that holds, or does not hold, decides; None if greed finds none.

    An event that decides has a weight of 1 less the least sum of all that follow it, or one that takes their greatest
    sum away. Disjunctions and conjunctions are such lists.
    """
    full, dear = columns[0].mask, 0
    decided: list[tuple[Event, int, bool]] = []
    left = full
    while (no := denied & left) and no != left:
        best, most = None, (0.0, 0)
        for column in columns[1:]:
            for mask, sign in (column.mask & left, 1), (left & ~column.mask, -1):
                if mask and (not mask & no or not mask & ~no):
                    rank = -column.cost, mask.bit_count()
                    if best is None or rank > most:
                        best, most = (column, mask, sign), rank
        if best is None or len(decided) == at_most:
            return None
        column, mask, sign = best
        dear += column.cost > FEATURE
        if dear > MOST_DEAR:
            return None
        decided.append((column.event, sign, bool(mask & no)))
        left &= ~mask
    constant = least = greatest = int(bool(denied & left))
    weights: dict[Event, int] = {}
    for event, sign, denies in reversed(decided):
        weight = 1 - least if denies else -greatest
        least, greatest = least + min(weight, 0), greatest + max(weight, 0)
        weights[event] = weights.get(event, 0) + sign * weight
        constant += weight if sign < 0 else 0  # 1 - x, where x is not to hold
    return {event: weight for event, weight in [((), constant), *weights.items()] if weight}


def allowed_of(knowledge: Knowledge) -> list[frozenset[str]]:
    """What may come next, per context.

    Raises:
        AssertionError: some context does not tell.
    """
    assert knowledge.settled, "what may come next is not known yet"
    return [knowledge.allowed[knowledge.nodes[fibre[0]][1]] for fibre in knowledge.fibres]


class _Programs:
    """Linear programs over the same columns, one row for all contexts that these do not tell apart."""

    def __init__(self, columns: Sequence[Column], contexts: int) -> None:
        matrix = np.packbits([_bits(column.mask, contexts) for column in columns], axis=0).T
        packed, self._place = np.unique(matrix, axis=0, return_inverse=True)
        self._rows: Bytes = np.unpackbits(packed, axis=1, count=len(columns))

    def hopeless(self, denied: int) -> bool:
        """Whether two of the contexts that are denied have together what two others have: no threshold tells them."""
        there = _bits(denied, len(self._place))
        no, yes = set(self._place[there].tolist()), set(self._place[~there].tolist())
        if no & yes:
            return True
        if len(self._rows) > FEW_SUMS:
            return False
        codes = [int("0" + "".join(map(str, row)), 4) for row in self._rows.tolist()]
        sums = [{x + y for x, y in combinations_with_replacement([codes[n] for n in side], 2)} for side in (no, yes)]
        return not sums[0].isdisjoint(sums[1])

    def weights(self, denied: Sequence[int], cost: Sequence[float], meter: Meter) -> list[list[int]] | None:
        """For each of these sets of contexts integer weights with sum >= 1 on their rows and <= 0 on the others.

        Of little cost; None if there are none. Only a few rows are asked for at first, and more where a solution is
        wrong. Raises nothing but for the meter, which counts programs: a solution that is not found again in integers
        counts as none.
        """
        against = np.zeros((len(denied), len(self._rows)), dtype=np.bool_)
        allowed = np.zeros_like(against)
        for n, mask in enumerate(denied):
            there = _bits(mask, len(self._place))
            against[n, self._place[there]] = True
            allowed[n, self._place[~there]] = True
        if (against & allowed).any():
            return None
        asked = _spread(np.arange(len(self._rows)))
        while True:
            meter.tick(len(denied))
            found = _program(self._rows[asked], against[:, asked], cost)
            if found is None:
                return None
            sums = found @ self._rows.T
            wrong = np.where(against, sums < 1 - TOLERANCE, sums > TOLERANCE)
            missed = np.setdiff1d(np.flatnonzero(wrong.any(axis=0)), asked)
            if not len(missed):
                return self._whole(found, against)
            asked = np.concatenate([asked, _spread(missed)])

    def _whole(self, solutions: Floats, against: Flags) -> list[list[int]] | None:
        """Solutions in integers, or None if they are none there."""
        whole = []
        for solution, row in zip(solutions, against, strict=True):
            fractions = [Fraction(float(x)).limit_denominator(48) for x in solution]
            scale = lcm(*(f.denominator for f in fractions)) if fractions else 1
            weights = [int(f * scale) for f in fractions]
            sums = self._rows.astype(np.int64) @ np.array(weights, dtype=np.int64)
            if max(map(abs, weights), default=0) > LARGEST or not ((sums > 0) == row).all():
                return None
            whole.append(weights)
        return whole


def _program(rows: Bytes, against: Flags, cost: Sequence[float]) -> Floats | None:
    """For each line of ``against`` weights of the columns with sum >= 1 on those rows and <= 0 on the others."""
    from scipy.optimize import LinearConstraint, milp
    from scipy.sparse import block_diag

    signed = [rows * np.where(row, -1.0, 1.0)[:, None] for row in against]
    left = block_diag([np.hstack([block, -block]) for block in signed], format="csc")
    limits = LinearConstraint(left, -np.inf, np.where(against, -1.0, 0.0).ravel())
    found = milp([*cost, *cost] * len(against), constraints=limits)  # no variable is asked to be an integer
    if found.status != 0:
        return None
    solutions: Floats = found.x.reshape(len(against), 2, -1)
    return solutions[:, 0] - solutions[:, 1]


def _spread(rows: Places) -> Places:
    """A few of these rows, spread evenly."""
    return rows if len(rows) <= FEW_ROWS else rows[:: -(-len(rows) // FEW_ROWS)]


def _bits(mask: int, count: int) -> Flags:
    """The bits of a mask, the lowest first."""
    packed = np.frombuffer(mask.to_bytes(-(-count // 8), "little"), dtype=np.uint8)
    return np.unpackbits(packed, count=count, bitorder="little").astype(np.bool_)


# -- columns ---------------------------------------------------------------------------------------------------------


class Literals:
    """What can be told of contexts, as masks of them.

    Attributes:
        knowledge: the contexts.
    """

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self._symbols = (*knowledge.dfa.alphabet, BOS)
        self._letters: dict[tuple[int, int], int] = {}
        self._labels: dict[tuple[int, int], int] = {}
        for c, context in enumerate(knowledge.contexts):
            for back, letter in enumerate(context.letters[:2]):
                self._letters[back, letter] = self._letters.get((back, letter), 0) | 1 << c
            for number, label in enumerate(context.labels):
                self._labels[number, label] = self._labels.get((number, label), 0) | 1 << c

    def columns(self) -> Iterator[Column]:
        """The constant, letters now, labels, and the letter before."""
        knowledge, symbols = self.knowledge, self._symbols
        yield Column((), FREE, (1 << len(knowledge.contexts)) - 1)
        for letter, symbol in enumerate(symbols):
            yield Column((Letter(frozenset({symbol})),), FEATURE, self._letters.get((0, letter), 0))
        for number, draft in enumerate(draft for block in knowledge.blocks for draft in block):
            for label in range(1 if draft.labels == 2 else 0, draft.labels):
                held = Holds(memory_name(number), frozenset({label}))
                yield Column((held,), FEATURE, self._labels.get((number, label), 0))
        if knowledge.window > 1:
            for letter, symbol in enumerate(symbols):
                before = Letter(frozenset(knowledge.dfa.alphabet)), Letter(frozenset({symbol}), 1)
                yield Column(before, OLD, self._letters.get((1, letter), 0))

    def digrams(self) -> Iterator[Column]:
        """The last two letters."""
        for now, symbol in enumerate(self.knowledge.dfa.alphabet):
            for before, older in enumerate(self._symbols):
                event = Letter(frozenset({symbol})), Letter(frozenset({older}), 1)
                yield Column(event, PRODUCT, self._letters.get((0, now), 0) & self._letters.get((1, before), 0))


def _conjunctions(known: Literals, single: Sequence[Column]) -> Iterator[Column]:
    """Conjunctions of two literals that the last block can write."""
    knowledge = known.knowledge
    memories = len(knowledge.contexts[0].labels)
    own = len(knowledge.blocks[-1]) if knowledge.blocks else 0
    last = set(map(memory_name, range(memories - own, memories)))
    literals = [
        (column, any(isinstance(x, Holds) and x.memory in last for x in column.event))
        for column in single
        if len(column.event) == 1
    ]
    seen = {column.mask for column in single}
    for i, (left, mine) in enumerate(literals):
        for right, also in literals[i + 1 :]:
            mask = left.mask & right.mask
            if (mine and also) or not mask or mask in seen:
                continue
            seen.add(mask)
            yield Column((*left.event, *right.event), PRODUCT, mask)
    if knowledge.window > 1:
        yield from (column for column in known.digrams() if column.mask and column.mask not in seen)


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
    for token in knowledge.dfa.tokens:
        denied = mask_of(c for c, tokens in enumerate(allowed) if token not in tokens)
        demands = Demands(tuple(vectors), knowledge.window, len(symbols) - 1, False, denied, (denied,))
        rules: tuple[tuple[Sides, int], ...] = cover(demands, meter) if denied else ()
        verdicts[token] = {event_of(sides, symbols, knowledge.window): 1 for sides, _ in rules}
    return verdicts
