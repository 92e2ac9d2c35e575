"""Pictures of cascades: the files, and what is written into them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import scancraft
from scancraft import Dfa, parse_regex, suite_language
from scancraft.automata.errors import MissingExtraError
from scancraft.automata.families import d_n, tomita
from scancraft.compiler.cascade.cascade import Cascade, decompose
from scancraft.explain import cascade_picture as picture
from scancraft.explain.cascade_picture import PictureError, draw_cascade


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


# -- swaps -----------------------------------------------------------------------------------------------------------


def cascade_texts(dfa: scancraft.Dfa, path: Path) -> list[str]:
    return written(draw_cascade(decompose(dfa, groups="bits"), path))


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
