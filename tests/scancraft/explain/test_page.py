"""The page of ``scancraft explain --html``: its arithmetic against the model's, bit for bit, and what stands in it."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chains import state_of
from command_line import invoke
from explained import LANGUAGES, Explained, compiled
from explained_page import SCRIPTS, check, in_node, words
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from stepwise import trace

from scancraft.automata.alphabet import format_word, is_spaced, spellings
from scancraft.automata.dfa import Dfa
from scancraft.automata.languages import columns_of, truth_of
from scancraft.compiler.checkpoints import Checkpoint, load
from scancraft.compiler.compiled import Compiled
from scancraft.explain import page_data
from scancraft.explain.labels import memories_of
from scancraft.explain.page import PageError, json_in_html, page_of, pictures_of, write_page
from scancraft.models.errors import CheckpointError

# -- the arithmetic under node -----------------------------------------------------------------------------------------

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


@needs_node
@pytest.mark.parametrize(
    ("symbols", "labels"),
    [
        ([" ", "a", "\t", "\n", "\\"], ["␣", "a", "\\u0009", "\\u000a", "\\"]),
        (["New York", " ", "\\", "x\u2028"], ["New␣York", "␣", "\\", "x\\u2028"]),
    ],
)
def test_words_over_odd_symbols_are_typed_as_in_the_shell(symbols: list[str], labels: list[str]) -> None:
    text = format_word([*symbols, *symbols], symbols)
    spelt = [[symbol, name] for symbol, name in spellings(symbols).items()]
    page = {"alphabet": symbols, "spaced": is_spaced(symbols), "tokens": [], "spellings": spelt}
    driver = """
        const { open, parseWord, formatWord, shown } = Scancraft;
        const { data, text } = JSON.parse(require("fs").readFileSync(0));
        const page = open(data), word = parseWord(text, page);
        console.log(JSON.stringify([word, formatWord(word, page), data.alphabet.map(shown)]));
    """
    given = json.dumps({"data": page, "text": text})
    done = subprocess.run(["node", "-e", SCRIPTS + driver], input=given, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[*symbols, *symbols], text, labels]


@needs_node
@pytest.mark.parametrize("name", LANGUAGES)
def test_the_core_has_the_bits_of_the_model(name: str, built: Explained) -> None:
    found = built[name]
    tried = words(found, 8)
    for word, records in zip(tried, in_node(found, tried), strict=True):
        check(records, found, word, built.steps(name, word))


@needs_node
@pytest.mark.parametrize(
    "name", ["D-2", "wide", "parity", "Tomita-5", "Tomita-3", "(abab)*", "hostile", "falcon", "mamba2"]
)
def test_what_the_levels_hold_names_the_state(name: str, built: Explained) -> None:
    source: Compiled = compiled(name)
    found = built[name]
    memories = memories_of(found.manifest)
    heights = [found.manifest.blocks[m.block].level for m in memories]
    tried = words(found, 10, seed=1)
    for word, records in zip(tried, in_node(found, tried), strict=True):
        for t, record in enumerate(records):
            assert state_of(source.cascade, heights, record["held"]) == source.dfa.run(word[:t])


EACH = (
    SCRIPTS
    + """
const { page, words } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const session = new Scancraft.Session(Scancraft.open(page));
const each = (told) => console.log(JSON.stringify(words.map((word) => {
  session.set(word);
  return session.records.map(told);
})));
"""
)
"""Prints what a function tells of every step of every word."""

CHANNELS = f"""{EACH}
each((_, t) => page.blocks.map((block, b) =>
  block.channels.map(({{ index }}) => ({{ index, ...Trace.channel(session, t, b, index) }}))));
"""
"""Every number that the page shows of every channel."""


def silu(v: Any) -> Any:
    return v / (np.float32(1) + np.exp(-v))


def softplus(v: Any) -> Any:
    return v if v > 20 else np.log1p(np.exp(v))


def added(terms: list[dict[str, Any]], last: float = 0.0) -> Any:
    """Weights times values, one after the other, in float32."""
    total = np.float32(0)
    for term in terms:
        total += np.float32(term["weight"]) * np.float32(term["value"])
    return total + np.float32(last)


@needs_node
@pytest.mark.parametrize("name", [n for n in LANGUAGES if n not in ("wide", "money")])
def test_the_equations_of_a_channel_hold_and_are_the_models(name: str, built: Explained) -> None:
    """y = C h + D x, and everything that goes into it, worked out again from the numbers that are shown."""
    found = built[name]
    tried = words(found, 3)
    with np.errstate(over="ignore"):
        for word, steps in zip(tried, in_node(found, tried, CHANNELS), strict=True):
            for step, owed in zip(steps, built.steps(name, word), strict=True):
                for b, channels in enumerate(step):
                    for told in channels:
                        check_channel(told, found.manifest.target)
                        c, f32 = told["index"], np.float32
                        assert f32(told["gated"]) == f32(owed["gated"][b][c])
                        held = [f32(state["h"]) for state in told["states"]]
                        states = len(held)
                        assert held == [f32(v) for v in owed["states"][b][c * states : (c + 1) * states]]


def check_channel(told: dict[str, Any], target: str) -> None:
    f32 = np.float32
    x, delta, y, z = (f32(v) for v in (told["x"], told["delta"]["value"], told["y"], told["gate"]["value"]))
    assert added(told["reads"]) == f32(told["taps"][-1]["value"])
    assert silu(added(told["taps"], told["bias"])) == x
    assert softplus(added(told["delta"]["terms"], told["delta"]["bias"])) == delta
    assert silu(added(told["gate"]["terms"])) == z
    sign = f32(1)
    if told["sign"] is not None:
        sign = np.tanh(added(told["sign"]["terms"], told["sign"]["bias"]))
        assert sign == f32(told["sign"]["value"])
    total = f32(0)
    for state in told["states"]:
        assert sign * np.exp(delta * f32(state["A"])) == f32(state["gate"])
        kept = f32(state["gate"]) * f32(state["before"])
        assert kept + delta * f32(state["B"]) * x == f32(state["h"])
        total += f32(state["C"]) * f32(state["h"])
        if target in ("mamba", "signed_mamba"):  # in Falcon-Mamba they are normed, in Mamba-2 convolved
            assert added(state["fromB"]) == f32(state["B"])
            assert added(state["fromC"]) == f32(state["C"])
            for term in told["delta"]["terms"]:
                assert added(term["from"]) == f32(term["value"])
    assert total + f32(told["D"]) * x == y
    assert y * z == f32(told["product"])
    assert target == "mamba2" or told["product"] == told["gated"]


DECIDING = f"""{EACH}
each((record, t) => page.memories.map((memory, m) =>
  ({{ held: record.held[m], fate: Trace.fate(session, t, memory), deciding: Trace.deciding(session, t, memory) }})));
"""
"""What the page says decided about each memory at each step."""


@needs_node
@pytest.mark.parametrize(
    "name", ["D-2", "plan", "Tomita-3", "(abab)*", "hostile", "falcon", "mamba2", "all of", "any of"]
)
def test_a_memory_is_written_when_a_condition_holds_that_names_its_label(name: str, built: Explained) -> None:
    found = built[name]
    memories, tried = memories_of(found.manifest), words(found, 8, seed=5)
    fates = set()
    for steps in in_node(found, tried, DECIDING):
        for step in steps:
            for memory, told in zip(memories, step, strict=True):
                holding = [event for event in told["deciding"] if event["holds"]]
                fates.add(told["fate"])
                assert (told["fate"] == "kept") == (not holding)
                meanings = {c.index: c.meaning for c in found.manifest.blocks[memory.block].channels}
                said = [meanings[event["channel"]] for event in holding if "channel" in event]
                labels = [label[1] for label in (re.search(r":= (\d+) when", text) for text in said) if label]
                assert all(label in told["held"].split(" or ") for label in labels)
                if said:
                    assert told["fate"] == ("written" if labels else "swapped")
    assert fates >= {"written", "kept"}


@needs_node
def test_what_becomes_of_a_swapped_bit_and_of_a_counter(built: Explained) -> None:
    (steps,) = in_node(built["parity"], [tuple("1011")], DECIDING)
    assert [step[0]["fate"] for step in steps[1:]] == ["swapped", "kept", "swapped", "swapped"]
    for name, word, rises in (
        ("walk", "aabab", [1, 1, -1, 1, -1]),
        ("Dyck-1", "(())", [1, 1, -1, -1]),
        ("mamba2 dyck", "([])", [32768, 32768, "kept", "kept"]),  # opening brackets, in its units
    ):
        found = built[name]
        counter = next(m for m, memory in enumerate(memories_of(found.manifest)) if memory.label.kind == "counter")
        (steps,) = in_node(found, [tuple(word)], DECIDING)
        assert [step[counter]["fate"] for step in steps[1:]] == rises
        for step in steps[1:]:
            assert any(event["holds"] for event in step[counter]["deciding"]) == (step[counter]["fate"] != "kept")


@needs_node
def test_counters_and_stacks_are_in_the_memories(built: Explained) -> None:
    for name, word in (("Dyck-1", "(()())"), ("Dyck_{2,3}", "([[]])"), ("falcon counts", "aaabbb")):
        found = built[name]
        memories = memories_of(found.manifest)
        counter = next(i for i, m in enumerate(memories) if m.name in ("depth", "counter depth", "counter b due"))
        depth = [0, *np.cumsum([1 if s in "([a" else -1 for s in word]).tolist()]
        assert [r["held"][counter] for r in in_node(found, [tuple(word)])[0]] == [str(d) for d in depth]


@needs_node
def test_each_counter_of_a_block_is_read_from_its_own_entry(built: Explained) -> None:
    found = built["Shuffle-2"]
    memories = memories_of(found.manifest)
    counters = [i for i, m in enumerate(memories) if m.name.startswith("counter ")]
    assert sorted(memories[i].label.entry for i in counters) == [0, 1]
    held = [tuple(r["held"][i] for i in counters) for r in in_node(found, [tuple("([[)]")])[0]]
    assert sorted(held[3]) == ["1", "2"]
    assert sorted(held[5]) == ["0", "1"]


@needs_node
@pytest.mark.parametrize("name", ["D-2", "parity", "falcon", "mamba2"])
def test_the_functions_are_right_between_their_plateaus_too(name: str, built: Explained, tmp_path: Path) -> None:
    """With biases that are not dyadic nothing is exact; the first block's states agree nearly."""
    folder = shutil.copytree(built[name].directory, tmp_path / "x")
    weights, rng = load_file(folder / "model.safetensors"), np.random.default_rng(0)
    for key in ("conv1d.bias", "dt_bias", "dt_proj.bias", "sign_proj.bias"):
        if (full := f"backbone.layers.0.mixer.{key}") in weights:
            weights[full] = rng.normal(scale=2, size=weights[full].shape).astype(np.float32)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    found = load(folder)
    word = tuple(found.language.alphabet) * 3
    owed = trace(found.model(), found.readout.encode(word))
    assert any(abs(v) > 1e-7 for right in owed for v in right["states"][0])
    for record, right in zip(in_node(found, [word])[0], owed, strict=True):
        np.testing.assert_allclose(record["states"][0], right["states"][0], rtol=2e-4, atol=1e-7)


# -- the page as text ------------------------------------------------------------------------------------------------


class Reader(html.parser.HTMLParser):
    """The tags of a page, and what stands in its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {"script": [], "style": [], "title": []}
        self.open: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in self.inside:
            self.inside[tag].append("")
            self.open = tag

    def handle_endtag(self, tag: str) -> None:
        self.open = None

    def handle_data(self, data: str) -> None:
        if self.open is not None:
            self.inside[self.open][-1] += data


@pytest.mark.parametrize("name", ["D-2", "hostile"])
def test_the_page_stands_alone(name: str, built: Explained) -> None:
    text = page_of(built[name])
    assert text == page_of(built[name])
    page = Reader(text)
    assert not {"link", "img", "iframe", "object", "b"} & {tag for tag, _ in page.tags}
    assert not any({"src", "href", "onclick", "style"} & set(attributes) for _, attributes in page.tags)
    assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttpRequest|innerHTML|eval\(", text)
    assert [kind.get("type") for tag, kind in page.tags if tag == "script"] == ["application/json", None]
    data, script = page.inside["script"]
    assert json.loads(data)["alphabet"] == list(built[name].language.alphabet)
    policy = next(
        a["content"] for t, a in page.tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    for kind, content in (("script", script), ("style", page.inside["style"][0])):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_the_weights_are_in_the_page(built: Explained) -> None:
    found = built["D-2"]
    data = json.loads(Reader(page_of(found)).inside["script"][0])
    stored = load_file(found.directory / "model.safetensors")
    assert set(data["model"]["tensors"]) == set(stored)
    for name, tensor in stored.items():
        sparse = data["model"]["tensors"][name]
        whole = np.zeros(sparse["size"], dtype="<f4")
        values = np.frombuffer(base64.b64decode(sparse["values"]), "<f4")
        whole[np.frombuffer(base64.b64decode(sparse["places"]), "<u4")] = values
        assert values.all()
        assert np.array_equal(whole, tensor.ravel())


# -- what it opens with ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LANGUAGES)
def test_the_example_is_a_word_of_the_language(name: str, built: Explained) -> None:
    found = built[name]
    word = page_data.example_of(found.language)
    truth = truth_of(found.language)
    assert word == page_data.example_of(found.language)
    assert len(word) <= page_data.LONGEST_EXAMPLE
    assert bool(word) == (name != "nothing")
    end = columns_of(truth)["<eos>"]
    assert truth.next_masks(*truth.encode([word]))[0, len(word), end] == (name not in ("nothing", "classes"))


def named(built: Explained, tmp_path: Path, source: dict[str, str]) -> Checkpoint:
    """D-2 under another name."""
    folder = shutil.copytree(built["D-2"].directory, tmp_path / "named")
    manifest = json.loads((folder / "scancraft.json").read_text())
    (folder / "scancraft.json").write_text(json.dumps(manifest | {"source": source}))
    return load(folder)


def test_it_opens_with_the_name_that_the_language_was_given(built: Explained, tmp_path: Path) -> None:
    data = page_data.page_data(built["D-2"])
    assert (data["name"], data["named"]) == ("(a(ab)*b)*", "regular expression")
    assert page_data.page_data(built["walk"])["name"] == "14-state language over a b"
    assert (
        page_data.page_data(named(built, tmp_path, {"kind": "suite", "text": "D-2"}))["named"]
        == "language of the suite"
    )


def test_a_hostile_name_is_text(built: Explained, tmp_path: Path) -> None:
    text = "</title><script>window.taken = 1</script>\x1b[2J\u202e%%script%%"
    page = Reader(page_of(named(built, tmp_path, {"kind": "file", "text": text})))
    shown = text.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    assert page.inside["title"][0] == f"{shown} · scancraft"
    assert [kind.get("type") for tag, kind in page.tags if tag == "script"] == ["application/json", None]
    assert json.loads(page.inside["script"][0])["name"] == shown


def test_small_automata_are_drawn_and_others_are_not(built: Explained) -> None:
    assert pictures_of(built["D-2"].language).count("<svg") == 1
    assert pictures_of(built["all of"].language).count("<svg") == 3
    assert pictures_of(built["Dyck_{2,3}"].language) == ""
    assert pictures_of(Dfa.from_words(["a"], [("a",) * 30])) == ""


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
)


@given(json_values | st.sampled_from(["</script><script>", "<!--", "]]>", "&quot;", "\u2028"]))
def test_json_survives_html(value: Any) -> None:
    text = json_in_html(value)
    assert json.loads(text) == value
    assert text.isascii()
    assert not set(text) & set("<>&")


# -- what is refused -------------------------------------------------------------------------------------------------


def test_what_is_too_large_or_another_model_is_refused(
    built: Explained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = built["D-2"]
    with monkeypatch.context() as patch:
        patch.setattr(page_data, "MODEL_TYPES", ("signed_mamba",))
        with pytest.raises(PageError, match="not mamba"):
            page_of(found)
    monkeypatch.setattr(page_data, "MOST_PARAMETERS", 3199)
    with pytest.raises(PageError, match="3,200 parameters, 218 of them not zero, and a page takes 3,199 and"):
        write_page(found, tmp_path / "x.html")
    assert not (tmp_path / "x.html").exists()
    monkeypatch.setattr(page_data, "MOST_NONZERO", 217)
    with pytest.raises(PageError, match="and 217 at most"):
        page_of(found)
    monkeypatch.setattr(page_data, "MOST_NONZERO", 218)
    monkeypatch.setattr(page_data, "MOST_PARAMETERS", 3200)
    write_page(found, tmp_path / "x.html")
    monkeypatch.setattr(page_data, "MOST_TRANSITIONS", 7)
    with pytest.raises(PageError, match="8 transitions"):
        page_of(found)
    monkeypatch.setattr(page_data, "MOST_TRANSITIONS", 1)
    with pytest.raises(PageError, match="4 transitions, and a page takes 1 at most"):
        page_of(built["a^n b^n"])


def test_places_that_cannot_be_written(built: Explained, tmp_path: Path) -> None:
    for target in (tmp_path / "none" / "x.html", tmp_path):
        with pytest.raises(PageError, match="cannot be written"):
            write_page(built["D-2"], target)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("key", "value"), [("residual", ["x"] * 16), ("blocks", 3), ("shape", {})])
def test_labels_that_do_not_fit(key: str, value: Any, built: Explained, tmp_path: Path) -> None:
    folder = shutil.copytree(built["D-2"].directory, tmp_path / "x")
    manifest = json.loads((folder / "scancraft.json").read_text())
    (folder / "scancraft.json").write_text(json.dumps(manifest | {key: value}))
    with pytest.raises(CheckpointError):
        page_of(load(folder))


def test_on_the_command_line(built: Explained, tmp_path: Path) -> None:
    folder, target = built["D-2"].directory, tmp_path / "x.html"
    result = invoke("explain", folder, "--html", target, "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"html": str(target)})
    assert target.read_text() == page_of(load(folder))
    told = invoke("explain", folder, "--html", target)
    assert (told.exit_code, told.stdout) == (0, "")
    assert str(target) in told.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["x.html"]
    for wrong in (("--html", tmp_path / "no" / "x.html"), ("--html", target, "--block", 0)):
        assert invoke("explain", folder, *wrong).exit_code == 2
