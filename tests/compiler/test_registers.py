"""Registers whose labels change places: their meaning in integers, and the vectors that reflections exchange."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scancraft.automata.alphabet import BOS
from scancraft.compiler.circuits.circuit import Circuit, CircuitBlock, CircuitChannel
from scancraft.compiler.circuits.forms import ALWAYS
from scancraft.compiler.circuits.memories import Pair, Register, Shown, signs


def all_pairs(n: int) -> list[Pair]:
    return list(itertools.combinations(range(n), 2))


@pytest.mark.parametrize("n", [2, 3, 4])
def test_signs_exist_exactly_where_no_walk_of_odd_length_is_closed(n: int) -> None:
    """All sets of pairs, against all ways to give signs."""
    for size in range(len(all_pairs(n)) + 1):
        for pairs in itertools.combinations(all_pairs(n), size):
            ways = [way for way in itertools.product((1, -1), repeat=n) if all(way[i] == -way[j] for i, j in pairs)]
            found = signs(range(n), pairs)
            if found is None:
                assert not ways
            else:
                assert tuple(found[i] for i in range(n)) in ways


@given(st.integers(2, 8).flatmap(lambda n: st.tuples(*(st.integers(0, i) for i in range(n - 1)))))
@settings(max_examples=50, deadline=None)
def test_a_tree_of_reflections_acts_as_its_transpositions(parents: tuple[int, ...]) -> None:
    """Keys without negative entries, dyadic and of length one; exact arithmetic."""
    n, pairs = len(parents) + 1, [(parent, i + 1) for i, parent in enumerate(parents)]
    sign = signs(range(n), pairs)
    assert sign is not None
    half = Fraction(1, 2)
    basis = [np.array([Fraction(c // 2 == i) for c in range(2 * n)]) for i in range(n)]
    states = [sign[i] * p for i, p in enumerate(basis)]
    for i, j in pairs:
        key = half * (basis[i] + basis[j])
        assert key @ key == 1
        assert min(key) >= 0
        images = [s - 2 * (key @ s) * key for s in states]
        moved = {i: j, j: i}
        assert all((images[q] == states[moved.get(q, q)]).all() for q in range(n))


def walker(n: int, pairs: dict[str, Pair]) -> Circuit:
    """A register of n labels, which begins with 0; each symbol exchanges a pair. Any symbol may come next where 0 is
    held."""
    channels = [CircuitChannel("<bos>", {"<bos>": 1}), *(CircuitChannel(a, {a: 1}) for a in pairs)]
    swaps: dict[Pair, dict[int, int]] = {}
    for number, pair in enumerate(pairs.values(), 1):
        swaps.setdefault(pair, {})[number] = 1
    register = Register("point", {0: {0: 1}}, swaps)
    shown = [
        CircuitChannel(f"[point = {i}]", bias=1, memory=Shown(register, i), gate=ALWAYS, writes={f"at {i}": 1})
        for i in range(n)
    ]
    return Circuit(
        kind="plan",
        construction="walk of a point",
        alphabet=tuple(pairs),
        features=("<bos>", *pairs, *(f"at {i}" for i in range(n))),
        tokens={token: {token: 1} for token in (BOS, *pairs)},
        blocks=(CircuitBlock("the point", (*channels, *shown)),),
        verdicts={token: {"1": 1, "at 0": -1} for token in (*pairs, "<eos>")},
        contract="all-words",
        letters={token: token for token in (BOS, *pairs)},
    )


def test_a_circuit_moves_a_point() -> None:
    pairs = {"a": (0, 1), "b": (0, 2), "c": (2, 3)}
    circuit = walker(4, pairs)
    for word in itertools.product(pairs, repeat=4):
        point, points = 0, [0]
        for symbol in word:
            i, j = pairs[symbol]
            point = {i: j, j: i}.get(point, point)
            points.append(point)
        runs = [features for features, _ in circuit.run(word)]
        assert [[f[f"at {i}"] for i in range(4)].index(1) for f in runs] == points
        assert [held["point"] for held in circuit.held(word)] == points


def test_two_pairs_at_once_are_no_register() -> None:
    register = Register("point", {}, {(0, 1): {0: 1}, (1, 2): {0: 1}})
    with pytest.raises(AssertionError, match="two pairs"):
        register.after(0, [1])
    with pytest.raises(AssertionError, match="smaller one first"):
        Register("point", {}, {(1, 0): {0: 1}})


def test_a_write_and_a_swap_do_not_happen_at_once() -> None:
    register = Register("bit", {1: {0: 1}}, {(0, 1): {1: 1}})
    assert [register.after(held, x) for held, x in [(None, [0, 1]), (0, [0, 1]), (0, [1, 0]), (1, [0, 0])]] == [
        *(None, 1, 1, 1)
    ]
    with pytest.raises(AssertionError, match="a label is written where two change places"):
        register.after(0, [1, 1])
