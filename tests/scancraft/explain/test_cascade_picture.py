"""Pictures of cascades: the files, what is written into them, and the geometry."""

from __future__ import annotations

import re
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scancraft
from scancraft import Dfa, parse_regex, suite_language
from scancraft.automata.errors import MissingExtraError
from scancraft.automata.families import d_n, tomita
from scancraft.compiler.cascade.cascade import Cascade, decompose
from scancraft.explain import cascade_picture as picture
from scancraft.explain.cascade_picture import PictureError, draw_cascade
from scancraft.explain.picture_layout import RADIUS, Arc, place_sets, place_states, route
from scancraft.explain.picture_names import edge_label, set_name, short_names, wrapped


@pytest.fixture(scope="module")
def cascade() -> Cascade:
    return decompose(parse_regex("(a(ab)*b)*"))


# -- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"), ("PNG", b"\x89P")]
)
def test_the_suffix_chooses_the_format_and_equal_cascades_give_equal_files(
    suffix: str, start: bytes, cascade: Cascade, tmp_path: Path
) -> None:
    first, second = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    assert draw_cascade(cascade, first) == first
    draw_cascade(decompose(parse_regex("(a(ab)*b)*")), str(second))
    assert first.read_bytes().startswith(start)
    assert first.read_bytes() == second.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [first.name, second.name]


def written(path: Path) -> list[str]:
    """The texts of an SVG (matplotlib draws them as paths and keeps them as comments)."""
    return re.findall(r"<!-- (.*?) -->", path.read_text(), flags=re.DOTALL)


def test_every_state_set_letter_and_tile_is_written(cascade: Cascade, tmp_path: Path) -> None:
    texts = written(draw_cascade(cascade, tmp_path / "d2.svg"))
    parts = cascade.parts
    assert "minimal DFA, 4 states" in texts
    assert "10 image sets, 3 levels" in texts
    for name in ("{0..3}", "{0..2}", "{1..3}", "{0,2}", "{1,2}", "{2,3}", "{0}", "{1}", "{2}", "{3}"):
        assert texts.count(name) == 1
    assert texts.count("a") == 3
    assert texts.count("b") == 3
    assert texts.count("a,b") == 1  # the loop of the dead state
    tiles = [str(v) for tiles in parts.tiles for v in range(len(tiles))]
    for label in set(tiles):
        assert texts.count(label) == tiles.count(label) + 1  # and one state of that name


def test_symbols_are_no_mathematics(tmp_path: Path) -> None:
    symbol = r"$\frac$"  # as mathematics it would be an error
    dfa = Dfa.from_table([symbol, "b"], [[1, 0], [1, 1]], 0, [0], names=(f"{symbol} in the legend", "_"))
    texts = written(draw_cascade(decompose(dfa), tmp_path / "x.svg"))
    assert symbol in texts
    assert f"0 = {symbol} in the legend" in texts


def test_large_languages_are_drawn_or_refused(
    cascade: Cascade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_cascade(decompose(d_n(12)), tmp_path / "d12.png")
    monkeypatch.setattr(picture, "FEW_SETS", 9)
    texts = written(draw_cascade(cascade, tmp_path / "dots.svg"))
    assert "10 image sets, 3 levels" in texts
    assert "{0..3}" not in texts
    monkeypatch.setattr(picture, "MOST_SETS", 9)
    with pytest.raises(PictureError, match="10 image sets are too many"):
        draw_cascade(cascade, tmp_path / "none.svg")
    assert not (tmp_path / "none.svg").exists()


@pytest.mark.parametrize("dfa", [Dfa.universal("a"), Dfa.empty("a"), Dfa.from_words("a", [""]), Dfa.universal([])])
def test_trivial_languages_can_be_drawn(dfa: Dfa, tmp_path: Path) -> None:
    assert draw_cascade(decompose(dfa), tmp_path / "x.png").stat().st_size > 1000


def test_bad_places(cascade: Cascade, tmp_path: Path) -> None:
    for name in ("x.gif", "x"):
        with pytest.raises(PictureError, match=r"\.png, \.svg, \.pdf"):
            draw_cascade(cascade, tmp_path / name)
    with pytest.raises(PictureError, match="cannot be written"):
        draw_cascade(cascade, tmp_path / "none" / "x.png")
    (tmp_path / "x.png").mkdir()
    with pytest.raises(PictureError, match="cannot be written"):
        draw_cascade(cascade, tmp_path / "x.png")
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]


def test_without_matplotlib(cascade: Cascade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'scancraft\[plot\]'"):
        draw_cascade(cascade, tmp_path / "x.png")


# -- names -----------------------------------------------------------------------------------------------------------


@given(st.sets(st.integers(0, 30), min_size=1))
def test_set_names_can_be_read_back(states: set[int]) -> None:
    found: list[int] = []
    for piece in set_name(sorted(states), [str(q) for q in range(31)])[1:-1].split(","):
        first, _, last = piece.partition("..")
        found += range(int(first), int(last or first) + 1)
    assert found == sorted(states)


def test_set_names_keep_other_names_apart() -> None:
    names = ["1", "q", "2", "3", "dead", "05"]
    assert set_name(range(6), names) == "{1..3,q,dead,05}"
    assert set_name([0, 2], names) == "{1,2}"


@given(st.sets(st.sampled_from("abcdefgh"), min_size=1), st.sampled_from(["abcdefgh", "abcdefghij"]))
def test_edge_labels_say_which_letters(letters: set[str], alphabet: str) -> None:
    label = edge_label(sorted(letters), alphabet)
    if label.startswith("all"):
        excepted = label.removeprefix("all").removeprefix(" but ")
        assert set(alphabet) - set(excepted.replace(",", "")) == letters
    elif "…" in label:
        assert label.endswith(f"({len(letters)})")
    else:
        assert set(label.split(",")) == letters


@given(st.lists(st.integers(0, 999), min_size=1, max_size=40, unique=True))
def test_wrapping_loses_nothing_or_says_so(states: list[int]) -> None:
    name = "{" + ",".join(map(str, states)) + "}"
    lines = wrapped(name).split("\n")
    assert len(lines) <= 3
    if "…" in lines[-1]:
        assert f"({len(states)} parts)" in lines[-1]
    else:
        assert "".join(lines) == name
        assert all(len(line) <= 15 for line in lines)


def test_long_names_go_to_a_legend() -> None:
    dfa = parse_regex("ab")
    assert short_names(dfa) == (list(dfa.names), [])
    long = Dfa(dfa.semiautomaton, 0, dfa.accepting, tuple(f"state {q}" * 9 for q in range(dfa.n_states)))
    names, legend = short_names(long)
    assert names == ["0", "1", "2", "3"]
    assert len(legend) == 4
    assert all(len(line) < 50 for line in legend)


# -- geometry --------------------------------------------------------------------------------------------------------


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
        curve = arc.at(np.linspace(0, 1, 50))
        np.testing.assert_allclose(curve[[0, -1]], [places[p], places[q]])
        for other in set(places) - {p, q}:
            assert np.linalg.norm(curve - np.array(places[other]), axis=1).min() > RADIUS
        if (q, p) in arcs:
            assert np.linalg.norm(arc.at(0.5) - arcs[q, p].at(0.5)) > 0.1


def test_an_arc_bends_to_its_right() -> None:
    np.testing.assert_allclose(Arc((0, 0), (2, 0), 0.5).at(0.5), (1, -0.5))
    np.testing.assert_allclose(Arc((0, 0), (2, 0), 0.0).at(np.array([0.0, 0.25, 1.0])), [(0, 0), (0.5, 0), (2, 0)])


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


# -- swaps -----------------------------------------------------------------------------------------------------------


def cascade_texts(dfa: scancraft.Dfa, path: Path) -> list[str]:
    return written(draw_cascade(decompose(dfa, swaps=True), path))


def test_swaps_are_written_at_their_levels(tmp_path: Path) -> None:
    texts = cascade_texts(suite_language("Parity").language, tmp_path / "x.svg")
    assert "3 image sets, 1 level" in texts
    assert [t for t in texts if t.startswith("swapped")] == ["swapped by 1"]
    texts = cascade_texts(tomita(5), tmp_path / "x.svg")
    assert "5 image sets, 2 blocks of tiles, 2 levels" in texts
    assert [t for t in texts if t.startswith("swapped")] == ["swapped by 0", "swapped by 1"]
    assert {"{0}|{1}", "{2}|{3}"} <= set(texts)
    assert "dashed: a block of tiles, one of the halves that letters swap" in texts
    texts = cascade_texts(parse_regex("(abab)*"), tmp_path / "x.svg")
    assert "8 image sets, 2 blocks of tiles, 3 levels" in texts
    assert [t for t in texts if t.startswith("swapped")] == ["swapped by a"]


def test_without_swaps_nothing_is_said_of_them(tmp_path: Path) -> None:
    texts = written(draw_cascade(decompose(parse_regex("(ab)*")), tmp_path / "x.svg"))
    assert not [t for t in texts if "dashed" in t or "block" in t or "swap" in t]


def test_many_letters_that_swap_are_counted(tmp_path: Path) -> None:
    letters = [f"letter-{i}" for i in range(9)]
    dfa = scancraft.Dfa.from_table([*letters, "x", "y", "z"], [[1] * 9 + [0] * 3, [0] * 9 + [1] * 3], 0, [0])
    texts = cascade_texts(dfa, tmp_path / "x.svg")
    assert "swapped by 9" in texts
