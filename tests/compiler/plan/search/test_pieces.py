"""Pieces: languages that look at subsequences become a memory for each piece, proved; others become nothing."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from scancraft import parse_regex
from scancraft.automata.budget import Budget
from scancraft.automata.dfa import Dfa
from scancraft.automata.search import numbered
from scancraft.compiler.alternatives import by_levels
from scancraft.compiler.plan.prove import prove
from scancraft.compiler.plan.search.pieces import by_pieces

BUDGET = Budget(200_000, None)


def piecewise(pieces: list[list[str]], alphabet: str, seed: int) -> Dfa:
    """A random Boolean function of which pieces a word has; each is a row of sets of letters."""
    rng = np.random.default_rng(seed)
    accepted = {row: bool(rng.integers(2)) for row in product((False, True), repeat=len(pieces))}

    def steps(state: tuple[int, ...]) -> list[tuple[int, ...]]:
        return [tuple(n + (n < len(p) and a in p[n]) for n, p in zip(state, pieces, strict=True)) for a in alphabet]

    states, table = numbered((0,) * len(pieces), steps)
    good = [
        q for q, state in enumerate(states) if accepted[tuple(n == len(p) for n, p in zip(state, pieces, strict=True))]
    ]
    return Dfa.from_table(alphabet, table, 0, good)


@pytest.mark.parametrize("seed", range(12))
def test_boolean_functions_of_subsequences(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pieces = [
        ["".join(rng.choice(list("abcd"), 1 + (rng.random() < 0.2), replace=False)) for _ in range(n)]
        for n in (3, 2, 3)
    ]
    dfa = piecewise(pieces, "abcd", seed)
    (plan,) = by_pieces(dfa, BUDGET)
    assert prove(plan, dfa, BUDGET) > 0
    assert {len(memory.writes) for block in plan.blocks for memory in block.memories} <= {2}


def test_one_piece_is_one_memory_for_each_of_its_sets() -> None:
    dfa = parse_regex("~[] a ~[] (b|c) ~[] a ~[]", "abcd")
    (plan,) = by_pieces(dfa, BUDGET)
    assert [len(block.memories) for block in plan.blocks] == [1, 1, 1]


@pytest.mark.parametrize("text", ["(a(ab)*b)*", "~[] a a ~[]", "a ~[]", "~[] a"])
def test_languages_that_look_at_neighbours_or_ends_have_none(text: str) -> None:
    assert list(by_pieces(parse_regex(text, "ab"), BUDGET)) == []


def test_a_search_that_takes_too_long_finds_nothing() -> None:
    dfa = piecewise([["a", "b", "c"], ["b", "a", "c"]], "abc", 3)
    assert list(by_pieces(dfa, Budget(items=5, seconds=None))) == []


def test_large_automata_of_loops_go_by_pieces() -> None:
    """Not down a chain of congruences: this one took ten blocks of d_model 64."""
    dfa = piecewise([list("baabbb"), list("dcaab"), list("dbcb")], "abcd", 1)
    assert dfa.n_states >= 32
    (way,) = by_levels(dfa, BUDGET, lambda circuit: (circuit, None), 4)  # type: ignore[arg-type, return-value]
    assert way.proved
    assert way.plan is not None
    assert len(way.plan.blocks) <= 7
