"""The page of ``scancraft explain --html``: its arithmetic against the model's, bit for bit; what people do in it."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chains import state_of
from chromium import Tab, browser, open_tab
from command_line import invoke
from explained import HOSTILE, LANGUAGES, Explained, compiled
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from stepwise import trace

from scancraft.automata.alphabet import format_word, is_spaced, spellings
from scancraft.automata.languages import truth_of
from scancraft.compiler.checkpoints import Checkpoint, load
from scancraft.compiler.compiled import Compiled
from scancraft.explain import page as explain_page
from scancraft.explain import page_data
from scancraft.explain.labels import memories_of
from scancraft.explain.page import PageError, json_in_html, page_of, write_page
from scancraft.models.errors import CheckpointError


def page_file(name: str, built: Explained) -> Path:
    target = built[name].directory.with_suffix(".html")
    return target if target.exists() else write_page(built[name], target)


def words(checkpoint: Checkpoint, count: int, seed: int = 0) -> list[tuple[str, ...]]:
    """The empty word, random ones, and ones that only take what the language allows."""
    rng, truth = random.Random(seed), truth_of(checkpoint.language)
    alphabet = checkpoint.language.alphabet
    found: list[tuple[str, ...]] = [()]
    while len(found) < count:
        word: tuple[str, ...] = ()
        for _ in range(rng.randrange(1, 16)):
            mask = truth.next_masks(*truth.encode([word]))[0, len(word), :-1]
            choices = [s for s, may in zip(alphabet, mask, strict=True) if may] if len(found) % 2 else list(alphabet)
            if not choices:
                break
            word = (*word, rng.choice(choices))
        found.append(word)
    return found


DRIVER = """
const core = require(process.argv[1]);
const { page, words } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const session = new core.Session(core.open(page));
const numbers = (array) => [...array].map((v) => v + 0);
console.log(JSON.stringify(words.map((word) => {
  session.set(word);
  return session.records.map((r) => ({
    windows: r.state.map((s) => numbers(s.window)), states: r.state.map((s) => numbers(s.h)),
    streams: r.streams.map(numbers), logits: numbers(r.logits), held: r.held, allowed: [...r.allowed],
  }));
})));
"""
"""What the page's core computes, as JSON."""

IN_PAGE = """
(() => {
  const numbers = (array) => [...array].map((v) => v + 0);
  return scancraft.session.records.map((r) => ({
    windows: r.state.map((s) => numbers(s.window)), states: r.state.map((s) => numbers(s.h)),
    streams: r.streams.map(numbers), logits: numbers(r.logits), held: r.held, allowed: [...r.allowed],
  }));
})()
"""


def check(found: list[dict[str, Any]], checkpoint: Checkpoint, word: tuple[str, ...], model: Any) -> None:
    """Compare what the page computed on a word with the model and with the language's ground truth."""
    truth, tokens = truth_of(checkpoint.language), (*checkpoint.language.alphabet, "<eos>")
    masks = truth.next_masks(*truth.encode([word]))[0]
    owed = trace(model, checkpoint.readout.encode(word))
    assert len(found) == len(owed) == len(word) + 1
    for record, right, mask in zip(found, owed, masks, strict=True):
        assert set(record["allowed"]) == {t for t, may in zip(tokens, mask, strict=True) if may}
        if mask.any() or checkpoint.readout.contract == "all-words":
            for part in right:
                assert record[part] == right[part], part


# -- the arithmetic under node -----------------------------------------------------------------------------------------

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def in_node(checkpoint: Checkpoint, words: list[tuple[str, ...]]) -> list[list[dict[str, Any]]]:
    core = Path(explain_page.__file__).with_name("page_core.js")
    data = json.dumps({"page": page_data.page_data(checkpoint), "words": words})
    done = subprocess.run(["node", "-e", DRIVER, str(core)], input=data, capture_output=True, text=True, check=True)
    found: list[list[dict[str, Any]]] = json.loads(done.stdout)
    return found


@needs_node
@pytest.mark.parametrize(
    ("symbols", "labels"),
    [
        ([" ", "a", "\t", "\n", "\\"], ["␣", "a", "\\u0009", "\\u000a", "\\"]),
        (["New York", " ", "\\", "x\u2028"], ["New␣York", "␣", "\\", "x\\u2028"]),
    ],
)
def test_words_over_odd_symbols_are_typed_as_in_the_shell(symbols: list[str], labels: list[str]) -> None:
    core = Path(explain_page.__file__).with_name("page_core.js")
    text = format_word([*symbols, *symbols], symbols)
    spelt = [[symbol, name] for symbol, name in spellings(symbols).items()]
    page = {"alphabet": symbols, "spaced": is_spaced(symbols), "tokens": [], "spellings": spelt}
    driver = """
        const { open, parseWord, formatWord, shown } = require(process.argv[1]);
        const { data, text } = JSON.parse(require("fs").readFileSync(0));
        const page = open(data), word = parseWord(text, page);
        console.log(JSON.stringify([word, formatWord(word, page), data.alphabet.map(shown)]));
    """
    given = json.dumps({"data": page, "text": text})
    done = subprocess.run(["node", "-e", driver, str(core)], input=given, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[*symbols, *symbols], text, labels]


@needs_node
@pytest.mark.parametrize("name", LANGUAGES)
def test_the_core_has_the_bits_of_the_model(name: str, built: Explained) -> None:
    found = built[name]
    model, tried = found.model(), words(found, 8)
    for word, records in zip(tried, in_node(found, tried), strict=True):
        check(records, found, word, model)


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
    for record, right in zip(in_node(found, [word])[0], owed, strict=True):
        assert any(abs(v) > 1e-7 for v in right["states"][0])
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


# -- in a browser ----------------------------------------------------------------------------------------------------

needs_browser = pytest.mark.skipif(browser() is None, reason="no Chromium is installed, and $CHROMIUM names none")


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    program = browser()
    if program is None:
        pytest.skip("no Chromium is installed, and $CHROMIUM names none")
    with open_tab(program) as opened:
        yield opened


LOGITS = "[...document.querySelectorAll('#logits tbody tr')].map((r) => [r.dataset.token, Number(r.dataset.logit)])"
RASTER = """[...document.querySelectorAll('#raster tr[data-memory]')].map((row) =>
    [...row.cells].slice(1).map((cell) => cell.textContent))"""


def plain(shown: str) -> str:
    """A number as the page shows it, as JavaScript writes it."""
    base, _, exponent = shown.replace("−", "-").partition("^")
    return str(int(base) ** int(exponent)) if exponent else base


def enter(tab: Tab, word: tuple[str, ...], spaced: bool) -> None:
    """Type a word into the emptied field, as a person does."""
    tab.js("document.getElementById('clear').click(); document.getElementById('word').focus()")
    tab.type((" " if spaced else "").join(word))


@needs_browser
@pytest.mark.parametrize("name", [n for n in LANGUAGES if n not in ("wide", "(abab)*", "Tomita-3", "nothing")])
def test_what_people_see_is_the_model(name: str, built: Explained, tab: Tab) -> None:
    found = built[name]
    tab.open(page_file(name, built))
    model, alphabet = found.model(), found.language.alphabet
    spaced = any(len(symbol) > 1 for symbol in alphabet)
    for word in words(found, 4, seed=2):
        enter(tab, word, spaced)
        check(tab.js(IN_PAGE), found, word, model)
        logits = trace(model, found.readout.encode(word))[-1]["logits"]
        live = tab.js("scancraft.session.truth.isLive(scancraft.session.records.at(-1).at)")
        if live or found.readout.contract == "all-words":
            assert tab.js(LOGITS) == [[t, logits[found.manifest.tokens[t]]] for t in (*alphabet, "<eos>")]
            assert "They agree." in tab.js("document.getElementById('verdict').innerText")
        held = tab.js("scancraft.page.memories.map((_, m) => scancraft.session.records.map((r) => r.held[m]))")
        assert [[plain(v) for v in row] for row in tab.js(RASTER)] == held
    assert tab.problems == []
    assert [url for url in tab.requests if not url.startswith(("file:", "about:"))] == []


@needs_browser
def test_stepping_back_and_forth(built: Explained, tab: Tab) -> None:
    tab.open(page_file("D-2", built), "#word=aabb")
    at = "scancraft.position()"
    where = "document.getElementById('where').textContent"
    assert (tab.js(at), tab.js(where)) == (4, "4 of 4: b")
    tab.js("document.getElementById('clear').focus()")
    for key, expected in (
        ("ArrowLeft", 3),
        ("ArrowLeft", 2),
        ("ArrowRight", 3),
        ("Home", 0),
        ("ArrowLeft", 0),
        ("End", 4),
        ("ArrowRight", 4),
    ):
        tab.key(key)
        assert tab.js(at) == expected
    for button, expected in (("first", 0), ("forward", 1), ("forward", 2), ("back", 1), ("last", 4)):
        tab.js(f"document.getElementById('{button}').click()")
        assert tab.js(at) == expected
    assert tab.js("document.getElementById('forward').disabled")
    tab.js("document.querySelectorAll('#raster thead th[data-t]')[2].querySelector('button').click()")
    assert tab.js(at) == 2
    assert "After aa" in tab.js("document.getElementById('verdict').innerText")
    cells = "[...document.querySelectorAll('#logits tbody tr')].map((r) => r.cells[4].textContent)"
    assert tab.js(cells) == ["−32", "0", "0"]  # after aa another a would be too deep; b was allowed already
    tab.js("document.getElementById('position').focus()")
    tab.key("ArrowRight")
    assert tab.js(at) == 3
    tab.js("document.getElementById('word').focus()")
    tab.key("ArrowLeft")  # moves the caret there
    assert tab.js(at) == 3


@needs_browser
def test_buttons_and_errors(built: Explained, tab: Tab) -> None:
    tab.open(page_file("D-2", built))
    word = "document.getElementById('word').value"
    for i in (0, 0, 1):
        tab.js(f"document.querySelectorAll('#symbols button')[{i}].click()")
    assert tab.js(word) == "aab"
    tab.js("document.getElementById('backspace').click()")
    assert (tab.js(word), tab.js("scancraft.session.word.join('')")) == ("aa", "aa")
    error = "document.getElementById('word-error').textContent"
    enter(tab, ("a", "x"), False)
    assert "“x” is no symbol" in tab.js(error)
    enter(tab, ("a", "b"), False)
    assert (tab.js(error), tab.js("scancraft.session.word.join('')")) == ("", "ab")
    enter(tab, ("a",) * 2001, False)
    assert "at most 2000 symbols" in tab.js(error)
    enter(tab, ("a", "b") * 900, False)
    assert tab.js("document.querySelectorAll('#raster thead th[data-t]').length") == 120
    assert "1681 are not" in tab.js("document.getElementById('raster-note').textContent")
    assert "They agree." in tab.js("document.getElementById('verdict').innerText")


@needs_browser
def test_symbols_are_text(built: Explained, tab: Tab) -> None:
    tab.open(page_file("hostile", built))
    assert tab.js("[...document.querySelectorAll('#symbols button')].map((b) => b.textContent)") == HOSTILE
    for i in range(len(HOSTILE)):
        tab.js(f"document.querySelectorAll('#symbols button')[{i}].click()")
    assert tab.js("scancraft.session.word") == HOSTILE
    assert "in the language" in tab.js("document.querySelector('.truth').textContent")
    assert "DFA state <b><</b>" in tab.js("document.querySelector('.truth').textContent")
    assert tab.js("document.querySelectorAll('img, b').length") == 0
    assert tab.js("window.taken === undefined")
    assert tab.problems == []


@needs_browser
def test_the_policy_lets_nothing_in(built: Explained, tab: Tab) -> None:
    """An injected script does not run, and nothing can be asked for."""
    tab.open(page_file("D-2", built))
    tab.js("const s = document.createElement('script'); s.textContent = 'window.taken = 1'; document.body.append(s); 0")
    assert tab.js("window.taken === undefined")
    assert tab.js("fetch('data:text/plain,x').then(() => 'fetched', () => 'refused')") == "refused"


@needs_browser
def test_a_wrong_model_is_seen_to_disagree(built: Explained, tmp_path: Path, tab: Tab) -> None:
    folder = shutil.copytree(built["D-2"].directory, tmp_path / "x")
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"] = -weights["lm_head.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tab.open(write_page(load(folder), tmp_path / "x.html"))
    assert "They disagree on a b <eos>." in tab.js("document.getElementById('verdict').innerText")


CONTRASTS = """
(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).slice(0, 3).map((v) => {
    const c = Number(v) / 255;
    return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  const light = (text) => { const [r, g, b] = rgb(text); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (e) => {
    for (let at = e; at; at = at.parentElement) {
      const found = getComputedStyle(at).backgroundColor;
      if (!/, 0\\)$/.test(found)) return found;
    }
    return "rgb(255, 255, 255)";
  };
  const out = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || e.disabled || !e.offsetParent || /SCRIPT|STYLE|OPTION|NOSCRIPT/.test(e.tagName)) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((p, q) => q - p);
    out.push([(a + 0.05) / (b + 0.05), e.tagName + "." + e.className + ": " + e.textContent.slice(0, 30)]);
  }
  return out.sort((p, q) => p[0] - q[0]);
})()
"""


@needs_browser
@pytest.mark.parametrize("name", ["a^n b^n", "Dyck_{2,3}", "parity"])
def test_light_and_dark_can_be_read(name: str, built: Explained, tab: Tab) -> None:
    """The contrast of WCAG 2 for small text, everywhere."""
    papers = []
    for scheme in ("light", "dark"):
        tab.prefer(scheme)
        tab.open(page_file(name, built))
        enter(tab, words(built[name], 4)[3], False)
        found = tab.js(CONTRASTS)
        assert len(found) > 60
        assert found[0][0] >= 4.5, found[:3]
        papers.append(tab.js("getComputedStyle(document.body).backgroundColor"))
    tab.prefer("light")
    assert papers == ["rgb(255, 255, 255)", "rgb(20, 24, 29)"]


@needs_browser
def test_with_the_keyboard_alone(built: Explained, tab: Tab) -> None:
    tab.open(page_file("D-2", built), "#word=ab")
    reached = []
    for _ in range(40):
        tab.key("Tab")
        reached.append(tab.js("document.activeElement.id || document.activeElement.textContent.slice(0, 9)"))
    assert {"word", "backspace", "clear", "a", "b", "first", "back", "position", "block", "all-features"} <= set(
        reached
    )
    nameless = """[...document.querySelectorAll("button, input, select")].filter((e) =>
        !(e.labels && e.labels.length) && !e.getAttribute("aria-label") && !e.textContent.trim()).length"""
    assert tab.js(nameless) == 0
