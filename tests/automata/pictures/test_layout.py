"""Where things go in pictures."""

from __future__ import annotations

from itertools import combinations
from math import dist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scancraft import Dfa, parse_regex
from scancraft.automata.families import d_n, tomita
from scancraft.automata.pictures.layout import RADIUS, Arc, place_sets, place_states, route
from scancraft.compiler.cascade.cascade import decompose


@st.composite
def dfas(draw: st.DrawFn) -> Dfa:
    n = draw(st.integers(1, 20))
    table = draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), min_size=n, max_size=n))
    return Dfa.from_table("ab", table, 0, draw(st.sets(st.integers(0, n - 1))))


@settings(max_examples=40, deadline=None)
@given(dfas())
def test_states_stand_apart_and_edges_keep_clear_of_them_and_of_each_other(dfa: Dfa) -> None:
    edges = {(p, q) for p, row in enumerate(dfa.semiautomaton.table) for q in row}
    places = place_states(edges, dfa.n_states, dfa.dead)
    assert sorted(places) == list(range(dfa.n_states))
    assert dfa.dead in (None, 0, list(places)[-1])
    for p, q in combinations(places, 2):
        assert np.hypot(*np.subtract(places[p], places[q])) > 2 * RADIUS + 0.2
    arcs = route(places, edges)
    assert set(arcs) == {(p, q) for p, q in edges if p != q}
    for (p, q), arc in arcs.items():
        curve = np.array([arc.at(i / 49) for i in range(50)])
        np.testing.assert_allclose(curve[[0, -1]], [places[p], places[q]])
        for other in set(places) - {p, q}:
            assert np.linalg.norm(curve - np.array(places[other]), axis=1).min() > RADIUS
        if (q, p) in arcs:
            assert dist(arc.at(0.5), arcs[q, p].at(0.5)) > 0.1


def test_an_arc_bends_to_its_right() -> None:
    np.testing.assert_allclose(Arc((0, 0), (2, 0), 0.5).at(0.5), (1, -0.5))
    straight = Arc((0, 0), (2, 0), 0.0)
    assert [straight.at(t) for t in (0.0, 0.25, 1.0)] == [(0, 0), (0.5, 0), (2, 0)]


@pytest.mark.parametrize("dfa", [d_n(2), d_n(12), tomita(4), tomita(7), parse_regex("aa*bb*cc*")])
def test_image_sets_stand_in_rows(dfa: Dfa) -> None:
    parts = decompose(dfa).parts
    rows = place_sets(parts.height, parts.tiles, 1.0, 0.5)
    assert sorted(rows.places) == list(range(len(parts.sets)))
    for p, (_, y) in rows.places.items():
        assert y == pytest.approx(0.5 * (parts.height[p] - parts.top))
    for p, q in combinations(rows.places, 2):
        if parts.height[p] == parts.height[q]:
            assert abs(rows.places[p][0] - rows.places[q][0]) >= 1.0 - 1e-9
    assert set(rows.bends) == {(p, t) for p, tiles in enumerate(parts.tiles) for t in tiles}
    for (p, t), bends in rows.bends.items():
        # One bend in every row between, clear of the boxes there.
        levels = [parts.top + y / 0.5 for _, y in bends]
        assert levels == pytest.approx(list(range(parts.height[p] - 1, parts.height[t], -1)))
        for x, y in bends:
            assert all(abs(x - bx) > 0.6 for bx, by in rows.places.values() if by == pytest.approx(y))


def test_d_n_is_a_triangle_without_crossings_above_the_dead_state() -> None:
    parts = decompose(d_n(5)).parts
    x = {p: place[0] for p, place in place_sets(parts.height, parts.tiles, 1.0, 1.0).places.items()}
    edges = [(p, t) for p, tiles in enumerate(parts.tiles) for t in tiles if parts.height[t]]
    assert len(edges) > 10
    for (p, t), (q, u) in combinations(edges, 2):
        if parts.height[p] == parts.height[q]:
            assert (x[p] - x[q]) * (x[t] - x[u]) >= 0
