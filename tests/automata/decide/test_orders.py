"""Preserved orders against all permutations of the states."""

from itertools import permutations

import pytest
from clocks import Clock
from hypothesis import example, given
from hypothesis import strategies as st

from scancraft.automata.budget import Budget
from scancraft.automata.decide.aperiodic import star_free_witness
from scancraft.automata.decide.orders import preserved_order, preserves
from scancraft.automata.dfa import Dfa
from scancraft.automata.errors import BudgetExceededError
from scancraft.automata.families import order_preserving


@st.composite
def tables(draw: st.DrawFn) -> list[list[int]]:
    """Any table of at most 5 states; or one of monotone letters, its states shuffled."""
    n, letters = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    columns = [draw(st.lists(st.integers(0, n - 1), min_size=n, max_size=n)) for _ in range(letters)]
    if draw(st.booleans()):
        columns = [sorted(column) for column in columns]
    place = draw(st.permutations(range(n)))
    table = [[0] * letters for _ in range(n)]
    for letter, column in enumerate(columns):
        for q, target in enumerate(column):
            table[place[q]][letter] = place[target]
    return table


@given(tables())
@example([[0, 0]])
@example([[1], [0]])  # a swap
@example([[0, 1], [1, 2], [2, 0]])  # each letter alone preserves some order, or a turn
@example([[0, 1, 1], [1, 1, 2], [2, 2, 2], [0, 2, 1]])
def test_an_order_is_found_iff_some_permutation_is_one(table: list[list[int]]) -> None:
    order = preserved_order(table)
    assert (order is not None) == any(preserves(table, list(p)) for p in permutations(range(len(table))))
    assert order is None or preserves(table, order)


@given(tables())
def test_a_language_with_an_order_is_star_free(table: list[list[int]]) -> None:
    dfa = Dfa.from_table("abc"[: len(table[0])], table, 0, [0])
    if preserved_order(dfa.table) is not None:
        assert star_free_witness(dfa) is None


def test_the_monotone_maps_of_a_chain() -> None:
    table = order_preserving(5).table
    order = preserved_order(table)
    assert order is not None
    assert preserves(table, order)
    assert preserves(table, order[::-1])
    assert not preserves(table, (order[1], order[0], *order[2:]))
    assert not preserves(table, order[1:])


def test_a_small_budget() -> None:
    with pytest.raises(BudgetExceededError):
        preserved_order([[q] for q in range(4)], Budget(items=1, seconds=None))  # the identity: any order will do


def test_it_looks_at_the_clock_state_by_state(clock: Clock) -> None:
    chain = [[min(q + 1, 29)] for q in range(30)]
    assert preserved_order(chain, Budget(seconds=200)) is not None
    with pytest.raises(BudgetExceededError, match="seconds"):
        preserved_order(chain, Budget(seconds=20))
