"""Pictures of weights and memories: that every number and every name is there, and what the tables say."""

from __future__ import annotations

import html
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from chains import state_of
from command_line import invoke
from explained import LANGUAGES, Explained, compiled
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from scancraft.automata.errors import MissingExtraError
from scancraft.automata.languages import columns_of, truth_of
from scancraft.compiler.checkpoints import Checkpoint, load
from scancraft.compiler.compiled import Compiled
from scancraft.explain import pictures
from scancraft.explain.picture_file import PictureError, with_dark
from scancraft.explain.pictures import draw_memories, draw_weights
from scancraft.explain.tables import MemoryTable, memory_table, number_text, weight_table
from scancraft.models.errors import CheckpointError, ReadoutError

NAMES = [n for n in LANGUAGES if n != "nothing" and not n.startswith("mamba2 ")]
WORDS = {
    "Dyck-1": "(())",
    "Shuffle-2": "([)]",
    "(abab)*": "abab",
    "parity": "01101",
    "Tomita-3": "10110",
    "Tomita-5": "0110",
    "flip-flop": "w1i0r1",
    "Dyck_{2,3}": "([])",
    "json": "[{},[]",
    "a^n b^n": "aabb",
    "classes": "++0-",
    "classes beside": "(())",
}


def written(path: Path) -> list[str]:
    """The texts of an SVG (matplotlib draws them as paths and keeps them as comments)."""
    return [html.unescape(t) for t in re.findall(r"<!-- (.*?) -->", path.read_text(), flags=re.DOTALL)]


def read_back(text: str) -> float:
    """The number that :func:`number_text` wrote."""
    digits = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    found = re.fullmatch(r"(−?)(?:(\d+)·)?2([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", text)
    if found is None:
        return float(text.replace("−", "-"))
    return (-1 if found[1] else 1) * int(found[2] or 1) * 2.0 ** int(found[3].translate(digits))


@given(st.integers(-999, 999), st.integers(-100, 100))
def test_dyadic_numbers_are_written_exactly(odd: int, exponent: int) -> None:
    value = odd * 2.0**exponent
    assert read_back(number_text(value)) == value
    assert len(number_text(value)) <= 10


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_other_numbers_are_written_nearly(value: float) -> None:
    assert read_back(number_text(value)) == pytest.approx(value, rel=0.005)


# -- weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_of_a_labelled_channel_is_in_the_table(name: str, built: Explained) -> None:
    """Counted in the file: what the table leaves out is zero, or belongs to a channel without a meaning."""
    checkpoint = built[name]
    stored = load_file(checkpoint.directory / "model.safetensors")
    for block, labels in enumerate(checkpoint.manifest.blocks):
        table = weight_table(checkpoint, block)
        channels = [c.index for c in labels.channels]
        assert len(table.rows) >= len(channels)
        for row, label in zip(table.rows, labels.channels, strict=False):
            assert label.meaning in row
        prefix = f"backbone.layers.{block}.mixer."
        weights = {n.removeprefix(prefix): t for n, t in stored.items() if n.startswith(prefix)}
        shown = {group.title: int(np.count_nonzero(np.nan_to_num(group.values))) for group in table.groups}
        inner = weights["out_proj.weight"].shape[1]
        assert shown.get("writes: out_proj", 0) == np.count_nonzero(weights["out_proj.weight"][:, channels])
        if name != "mamba2":
            of_x, of_z = weights["in_proj.weight"][:inner], weights["in_proj.weight"][inner:]
            assert shown.get("reads: in_proj, x", 0) == np.count_nonzero(of_x[channels])
            assert shown.get("gated by: in_proj, z", 0) == np.count_nonzero(of_z[channels])
            assert shown.get("into dt, B, C: x_proj", 0) == np.count_nonzero(weights["x_proj.weight"])
            assert shown["Δ: dt_proj"] == np.count_nonzero(weights["dt_proj.weight"][channels]) + np.count_nonzero(
                weights["dt_proj.bias"][channels]
            )
        if name in ("parity", "Tomita-3", "Tomita-5", "(abab)*"):
            assert shown["sign: sign_proj"] >= len(channels)
        else:
            assert "sign: sign_proj" not in shown


def test_a_weight_stands_where_its_names_say(built: Explained) -> None:
    """The gate of a memory channel reads the slot of the set that the channel speaks of; it writes that of the tile."""
    for name in ("D-2", "parity", "Tomita-3", "Tomita-5", "falcon"):
        for block in range(len(built[name].manifest.blocks)):
            table = weight_table(built[name], block)
            groups = {group.title: group for group in table.groups}
            for row, text in enumerate(table.rows):
                found = re.match(r"\d+ memory: \[memory = \d+\]: (.*) to its tile \d+, (.*)", text)
                if found is None:
                    continue
                gates, writes = groups["gated by: in_proj, z"], groups["writes: out_proj"]
                read = [c for c, v in zip(gates.columns, gates.values[row], strict=True) if v]
                assert [c.partition(" = ")[2] for c in read] == [found[1]]
                kept = [c.partition(" = ")[2] for c, v in zip(writes.columns, writes.values[row], strict=True) if v]
                assert found[2] in kept
                assert len(kept) == 2


@pytest.mark.parametrize("name", ["D-2", "parity", "mamba2", "money", "Dyck_{2,3}"])
def test_the_heat_map_has_every_name_and_number(name: str, built: Explained, tmp_path: Path) -> None:
    table = weight_table(built[name], 0)
    target = draw_weights(built[name], 0, tmp_path / "w.svg")
    texts = [text.replace("\n", " ") for text in written(target)]
    assert table.title in texts
    for group in table.groups:
        assert group.title in texts
        assert set(group.columns) <= set(texts)
        for value in group.values[np.nan_to_num(group.values) != 0].tolist():
            assert number_text(value) in texts
    joined = re.sub(r"\s+", " ", " ".join(texts))
    for row in table.rows:
        assert row[:40] in joined
    again = draw_weights(built[name], 0, tmp_path / "again.svg")
    assert target.read_bytes() == again.read_bytes()


# -- memories ---------------------------------------------------------------------------------------------------------


def table_of(checkpoint: Checkpoint, name: str) -> MemoryTable:
    return memory_table(checkpoint, tuple(WORDS.get(name, "aabb")))


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("money", "hostile")])
def test_what_may_come_next(name: str, built: Explained) -> None:
    word, truth = tuple(WORDS.get(name, "aabb")), truth_of(built[name].language)
    table = table_of(built[name], name)
    assert table.symbols == ("<bos>", *word)
    promised = len(built[name].readout.columns(built[name].language.alphabet))
    assert len(table.tokens) == promised
    columns = [columns_of(truth)[token] for token in table.tokens]
    assert np.array_equal(np.array(table.allowed).T, truth.next_masks(*truth.encode([word]))[0][:, columns])


@pytest.mark.parametrize("name", ["D-2", "wide", "parity", "Tomita-3", "Tomita-5", "falcon", "mamba2"])
def test_what_the_levels_hold_names_the_state(name: str, built: Explained) -> None:
    source = compiled(name)
    assert isinstance(source, Compiled)
    for word in (WORDS.get(name, "aabb"), WORDS.get(name, "ba")[:2] * 3):
        table = memory_table(built[name], tuple(word))
        heights = [int(text.removeprefix("block ").split()[2]) for text in table.memories]
        for t in range(len(table.symbols)):
            assert state_of(source.cascade, heights, [values[t] for values in table.held]) == source.dfa.run(word[:t])


def test_counters_and_latches(built: Explained) -> None:
    for name in ("a^n b^n", "falcon counts"):
        table = memory_table(built[name], tuple("aaabb"))
        assert dict(zip(table.memories, table.held, strict=True))["block 3: counter b due"] == tuple("012321")
    table = memory_table(built["Dyck_{2,3}"], tuple("([])"))
    assert dict(zip(table.memories, table.held, strict=True))["block 0: depth"] == tuple("01210")


@pytest.mark.parametrize("name", ["D-2", "Tomita-5", "a^n b^n", "money"])
def test_the_raster_has_every_value(name: str, built: Explained, tmp_path: Path) -> None:
    word = ("b", r"$\frac$") if name == "money" else tuple(WORDS.get(name, "aabb"))
    table = memory_table(built[name], word)
    texts = written(draw_memories(built[name], word, tmp_path / "m.svg"))
    for text in (*table.memories, *table.tokens, *word):
        assert text in texts
    for value in {v for values in table.held for v in values}:
        assert texts.count(value) >= sum(values.count(value) for values in table.held)
    assert texts.count("✓") == sum(map(sum, table.allowed))


def test_long_words_and_models_without_memory(built: Explained, tmp_path: Path) -> None:
    texts = written(draw_memories(built["D-2"], "ab" * 60, tmp_path / "long.svg"))
    assert "100" in texts
    assert "✓" not in texts
    assert draw_memories(built["nothing"], "a", tmp_path / "none.png").stat().st_size > 1000


# -- what is refused --------------------------------------------------------------------------------------------------


def test_refusals(built: Explained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for draw in (lambda p: draw_weights(built["D-2"], 0, p), lambda p: draw_memories(built["D-2"], "ab", p)):
        with pytest.raises(PictureError, match=r"\.png, \.svg, \.pdf"):
            draw(tmp_path / "x.gif")
        with pytest.raises(PictureError, match="cannot be written"):
            draw(tmp_path / "none" / "x.png")
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "matplotlib", None)
            with pytest.raises(MissingExtraError, match="pip install"):
                draw(tmp_path / "x.png")
        with monkeypatch.context() as patch:
            patch.setattr(pictures, "MOST_CELLS", 10)
            with pytest.raises(PictureError, match="at most 10"):
                draw(tmp_path / "x.png")
    for block in (-1, 3):
        with pytest.raises(PictureError, match=f"no block {block}"):
            draw_weights(built["D-2"], block, tmp_path / "x.png")
    with pytest.raises(PictureError, match="no block 0"):
        draw_weights(built["nothing"], 0, tmp_path / "x.png")
    with pytest.raises(ReadoutError, match="'x'"):
        draw_memories(built["D-2"], "ax", tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []


def test_labels_that_do_not_fit(built: Explained, tmp_path: Path) -> None:
    folder = shutil.copytree(built["D-2"].directory, tmp_path / "x")
    manifest = json.loads((folder / "scancraft.json").read_text())
    manifest["blocks"][0]["channels"][-1]["index"] = 99
    (folder / "scancraft.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="names a channel of 16 that is not there"):
        load(folder)


# -- the command line -------------------------------------------------------------------------------------------------


def test_explain_draws(built: Explained, tmp_path: Path) -> None:
    folder, target = built["D-2"].directory, tmp_path / "x.svg"
    for options, text in (
        ((), "minimal DFA, 4 states"),
        (("--of", "cascade"), "minimal DFA, 4 states"),
        (("--of", "weights"), "block 0: level 3 of the cascade"),
        (("--of", "weights", "--block", 2), "block 2: level 1 of the cascade"),
        (("--of", "memories", "--word", "a b"), "memories over time"),
    ):
        result = invoke("explain", folder, "--picture", target, *options, "--json")
        assert (result.exit_code, json.loads(result.stdout)) == (0, {"picture": str(target)})
        assert text in written(target)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--of", "weights"), "give --picture"),
        (("--word", "ab"), "give --picture"),
        (("--picture", "x.png", "--word", "ab"), "--of memories"),
        (("--picture", "x.png", "--of", "memories"), "--word abab"),
        (("--picture", "x.png", "--of", "memories", "--word", "ax"), "not in the alphabet"),
        (("--picture", "x.png", "--block", "0"), "--of weights"),
        (("--picture", "x.png", "--of", "memories", "--word", "a", "--block", "0"), "--of weights"),
        (("--picture", "x.png", "--of", "weights", "--block", "7"), "no block 7"),
        (("--picture", "x.gif", "--of", "weights"), ".png, .svg, .pdf"),
    ],
)
def test_explain_refuses(
    options: tuple[str, ...],
    message: str,
    built: Explained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke("explain", built["D-2"].directory, *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_svg_is_dark_where_the_page_is(built: Explained, tmp_path: Path) -> None:
    """Every colour of the picture has a rule, and paper and ink change places; nothing else is different."""
    drawn = draw_memories(built["D-2"], "aab", tmp_path / "x.svg").read_text(encoding="utf-8")
    (style,) = re.findall(r"<style>@media\(prefers-color-scheme:dark\)\{(.*)\}</style>", drawn)
    rules = dict(re.findall(r'\[style\*="((?:fill|stroke): #\w{6})"\]\{\w+:(#\w{6})!important\}', style))
    body = drawn.replace(style, "")
    assert set(rules) == {f"{k}: {c}" for k, c in re.findall(r"(fill|stroke): (#\w{6})", body)}

    def light(colour: str) -> float:
        return sum(int(colour[i : i + 2], 16) for i in (1, 3, 5)) / 765

    assert any(light(told[-7:]) > 0.8 for told in rules)
    assert any(light(told[-7:]) < 0.3 for told in rules)
    for told, dark in rules.items():
        assert light(told[-7:]) <= 0.8 or light(dark) < 0.4, told
        assert light(told[-7:]) >= 0.3 or light(dark) > 0.6, told
    assert with_dark(drawn) == drawn
