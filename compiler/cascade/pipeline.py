"""Pipelines: any group of permutations of n labels, one exchange of two labels at a step.

Time is cut into blocks of m steps. While a block is read, the product of its events so far is kept; when it is complete
that product is known, and during the next m steps a memory carries it out, as at most m exchanges across two sides
(``.reflections``). So the memory is a block behind, and what it is behind is known: the exchanges still to come, and
the product of the present block. Events that reset the label are constant maps among the permutations; after a block
that has one the memory is written at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ...automata.budget import Budget
from ...automata.errors import BudgetExceededError
from ...automata.groups.names import group_name
from ...automata.groups.permutation_group import PermutationGroup
from ...automata.groups.stabiliser_chain import Perm, product
from .reflections import Pair, ball, carried_out, factors, sides

MOST_PRODUCTS = 1_000
"""Products of a block's events; for each there are conditions in the circuit."""

LONGEST_BLOCK = 36
"""Steps of a block."""

MOST_LABELS = 16
"""Labels of a pipeline: at each step of a block there are n^3 conditions."""


class GroupTooLargeError(BudgetExceededError):
    """A group of tiles has too many elements for the tables of a pipeline.

    Attributes:
        group: the group.
        grown: what there are too many of.
    """

    def __init__(self, group: PermutationGroup, grown: str, reached: float, limit: float) -> None:
        self.group, self.grown = group, grown
        name = group_name(group) or "a group without a name"
        super().__init__(f"{grown} in {name} (order {group.order:,}, on {group.degree} tiles)", reached, limit)

    def __reduce__(self) -> tuple[type[GroupTooLargeError], Any]:
        return type(self), (self.group, self.grown, self.reached, self.limit)


@dataclass(frozen=True)
class Pipeline:
    """How to carry out events in blocks.

    Attributes:
        n: how many labels there are.
        events: permutations of them.
        period: m, the steps of a block: a product of twos and threes.
        side: the labels of one side; each exchange is of one of them with another one.
        exchanges: for each product of at most m events what is exchanged at each of the m steps (None: nothing).
    """

    n: int
    events: tuple[Perm, ...]
    period: int
    side: frozenset[int]
    exchanges: dict[Perm, tuple[Pair | None, ...]]

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """All that is ever exchanged."""
        return tuple(sorted({pair for row in self.exchanges.values() for pair in row if pair is not None}))

    def check(self) -> None:
        """Check, for every product, that its exchanges do what it does, and that no product of m events is missing.

        O(products * (events + m) * n).

        Raises:
            AssertionError: they do not (a bug in the search).
        """
        reached = {tuple(range(self.n))}
        for _ in range(self.period):
            reached |= {product(perm, event) for perm in reached for event in self.events}
        assert reached <= set(self.exchanges), "a product of events has no exchanges"
        for perm, row in self.exchanges.items():
            assert len(row) == self.period, "a product is not carried out in a block"
            done = [pair for pair in row if pair is not None]
            assert carried_out(self.n, done) == perm, "exchanges do something else"
            assert all((i in self.side) != (j in self.side) for i, j in done), "an exchange on one side"

    def __str__(self) -> str:
        return f"a pipeline of {self.period} steps, which carries out {len(self.exchanges)} products of letters"


def periods() -> Iterator[int]:
    """The lengths of blocks that are tried: clocks modulo these are towers of bits and of three labels by turns."""
    for m in range(2, LONGEST_BLOCK + 1):
        rest = m
        for p in (2, 3):
            while rest % p == 0:
                rest //= p
        if rest == 1:
            yield m


def pipeline_of(n: int, events: Sequence[Perm], budget: Budget) -> Pipeline:
    """The pipeline with the shortest blocks: all products of m events have at most m exchanges.

    The products of ever more events are counted, O(products * n^2) for each length; m is less than 3 n / 2 + 6.

    Raises:
        GroupTooLargeError: more products than the budget, or :data:`MOST_PRODUCTS`, allows; or too many labels.
    """
    if n > MOST_LABELS:
        raise GroupTooLargeError(PermutationGroup(n, tuple(events)), "labels of a pipeline", n, MOST_LABELS)
    return _pipeline(n, tuple(sorted(set(events))), min(budget.items, MOST_PRODUCTS))


@lru_cache(maxsize=64)
def _pipeline(n: int, events: tuple[Perm, ...], limit: int) -> Pipeline:
    for m in periods():
        products = []
        for perm in ball(n, events, m):
            products.append(perm)
            if len(products) > limit:
                raise GroupTooLargeError(PermutationGroup(n, events), "products of letters", len(products), limit)
        for side in sides(n):
            rows = {perm: factors(perm, side) for perm in products}
            if max(map(len, rows.values())) <= m:
                padded = {perm: (*row, *[None] * (m - len(row))) for perm, row in rows.items()}
                return Pipeline(n, events, m, side, padded)
    raise GroupTooLargeError(PermutationGroup(n, events), "steps of a block", LONGEST_BLOCK + 1, LONGEST_BLOCK)
