"""Minimal automata of large tables, which are refined in rounds first, and of chains, which rounds do not settle."""

from __future__ import annotations

import numpy as np
import pytest

from scancraft.automata.minimise import LARGE, ROUNDS, minimise


def copied(table: list[list[int]], copies: int, rng: np.random.Generator) -> list[list[int]]:
    """Copies of each state, side by side; each leads to any copies of the states that its original leads to."""
    return [[copies * target + int(rng.integers(copies)) for target in row] for row in table for _ in range(copies)]


@pytest.mark.parametrize("letters", [1, 2, 3])
@pytest.mark.parametrize("copies", [1, 2, 5])
def test_copies_are_merged(letters: int, copies: int) -> None:
    rng = np.random.default_rng([letters, copies])
    states = 400
    table = rng.integers(states, size=(states, letters)).tolist()
    answers = rng.integers(letters + 1, size=states).tolist()
    small = minimise(table, 0, answers)
    copied_answers = np.repeat(answers, copies).tolist()
    large = minimise(copied(table, copies, rng), 0, copied_answers)
    assert large.table == small.table
    assert [copied_answers[q] for q in large.origin] == [answers[q] for q in small.origin]


@pytest.mark.parametrize("length", [LARGE - 1, LARGE, 3 * LARGE])
def test_a_chain_is_its_own_minimal_automaton(length: int) -> None:
    assert length > ROUNDS
    table = [[min(q + 1, length - 1)] for q in range(length)]
    found = minimise(table, 0, [q == length - 1 for q in range(length)])
    assert found.table == tuple(map(tuple, table))
    assert found.origin == tuple(range(length))


def test_states_are_merged_at_every_size() -> None:
    for states in (LARGE - 1, LARGE, LARGE + 1):
        table = [[(q + 1) % states, (q + 3) % states] for q in range(states)]
        period = next(p for p in (3, 2, 7) if states % p == 0)
        found = minimise(table, 0, [q % period == 0 for q in range(states)])
        assert len(found.table) == period
        assert sorted(found.origin) == list(range(period))
