"""The page of ``scancraft explain --html`` in a browser: what people see and do in it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Tab, browser, open_tab
from explained import D2, HOSTILE, Explained
from explained_page import IN_PAGE, check, page_file, words
from safetensors.numpy import load_file, save_file

from scancraft.automata.alphabet import class_token
from scancraft.compiler.checkpoints import load
from scancraft.explain.page import write_page
from scancraft.explain.page_data import automata_of, example_of

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


EVERY_KIND = ("D-2", "plan", "parity", "Dyck_{2,3}", "json", "a^n b^n", "nothing", "hostile", "falcon", "mamba2")
EVERY_KIND += ("walk", "all of", "formula", "classes", "money")
"""The scripts' arithmetic is compared for more languages without a browser."""

RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def plain(shown: str) -> str:
    """A number as the page shows it, as JavaScript writes it."""
    found = re.fullmatch("(−?)2([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", shown)
    return f"{found[1]}{2 ** int(found[2].translate(RAISED))}".replace("−", "-") if found else shown.replace("−", "-")


def enter(tab: Tab, word: tuple[str, ...], spaced: bool) -> None:
    """Type a word into the emptied field, as a person does."""
    tab.js("document.getElementById('clear').click(); document.getElementById('word').focus()")
    tab.type((" " if spaced else "").join(word))


@needs_browser
@pytest.mark.parametrize("name", EVERY_KIND)
def test_what_people_see_is_the_model(name: str, built: Explained, tab: Tab) -> None:
    found = built[name]
    tab.open(page_file(name, built))
    alphabet = found.language.alphabet
    spaced = any(len(symbol) > 1 for symbol in alphabet)
    for word in words(found, 4):
        enter(tab, word, spaced)
        steps = built.steps(name, word)
        check(tab.js(IN_PAGE), found, word, steps)
        live = tab.js("scancraft.session.truth.isLive(scancraft.session.records.at(-1).at)")
        if live or found.readout.contract == "all-words":
            rows = {class_token(name): row for name, row in found.manifest.outputs.items()} | found.manifest.tokens
            columns = {row: token for token, row in rows.items()}
            promised = found.readout.columns(alphabet)
            assert tab.js(LOGITS) == [[columns[row], steps[-1]["logits"][row]] for row in promised]
            assert "They agree." in tab.js("document.getElementById('verdict').innerText")
        held = tab.js("scancraft.page.memories.map((_, m) => scancraft.session.records.map((r) => r.held[m]))")
        assert [[plain(v) for v in row] for row in tab.js(RASTER)] == held
    assert tab.problems == []
    assert [url for url in tab.requests if not url.startswith(("file:", "about:"))] == []


@needs_browser
def test_it_opens_with_its_example_under_its_name(built: Explained, tab: Tab) -> None:
    tab.open(page_file("D-2", built))
    assert tab.js("document.getElementById('title').textContent") == tab.js("document.title").split(" ·")[0] == D2
    assert tuple(tab.js("scancraft.session.word")) == example_of(built["D-2"].language)
    assert "in the language" in tab.js("document.querySelector('.truth').textContent")
    tab.open(page_file("nothing", built))
    assert tab.js("scancraft.session.word") == []
    assert "no prefix of a word" in tab.js("document.querySelector('.truth').textContent")


LIT = """[...document.querySelectorAll('.state.lit')].map((s) => Number(s.dataset.state))"""
TAKEN = """[...document.querySelectorAll('.edge.lit')].map((e) => [Number(e.dataset.from), Number(e.dataset.to)])"""


@needs_browser
@pytest.mark.parametrize("name", ["D-2", "parity", "walk", "all of", "classes beside"])
def test_the_states_of_the_language_are_lit(name: str, built: Explained, tab: Tab) -> None:
    language = built[name].language
    automata = automata_of(language)
    for word in words(built[name], 4, seed=6):
        tab.open(page_file(name, built), "#word=" + "".join(word))
        assert tab.js(LIT) == [dfa.run(word) for dfa in automata]
        assert tab.js(TAKEN) == ([[dfa.run(word[:-1]), dfa.run(word)] for dfa in automata] if word else [])


@needs_browser
def test_the_control_of_a_counter_machine_is_lit(built: Explained, tab: Tab) -> None:
    states = built["a^n b^n"].language.states  # type: ignore[union-attr]
    for word, before, after in (("aa", "a", "a"), ("aab", "a", "b"), ("aabb", "b", "b")):
        tab.open(page_file("a^n b^n", built), f"#word={word}")
        assert tab.js(LIT) == [states.index(after)]
        assert tab.js(TAKEN) == [[states.index(before), states.index(after)]]
        assert tab.js("document.querySelector('.chip').textContent") == f"b due = {word.count('a') - word.count('b')}"
    tab.open(page_file("a^n b^n", built), "#word=aabbb")
    assert tab.js(LIT) == tab.js(TAKEN) == []
    assert tab.js("document.querySelector('figcaption').textContent") == "the word has died"


@needs_browser
def test_the_parts_of_a_formula_that_hold_are_lit(built: Explained, tab: Tab) -> None:
    language = built["formula"].language
    for word in ("a", "ab", "bca", "cab"):
        tab.open(page_file("formula", built), f"#word={word}")
        parts = tab.js("[...document.querySelectorAll('#language li')].map((li) => [li.title, li.className === 'lit'])")
        assert [text for text, _ in parts] == list(language.texts)  # type: ignore[union-attr]
        assert parts[-1][1] == language.accepts(word)  # type: ignore[union-attr]
    assert tab.problems == []


STREAM = """[...document.querySelectorAll('#stream tbody tr')].map((row) =>
    [...row.cells].map((cell) => cell.textContent.replace(/^\\d+: /, "")))"""
TILES = """[...document.querySelectorAll('.tiles')].map((box) => box.innerText)"""


@needs_browser
def test_a_variant_shows_what_its_features_mean(built: Explained, tab: Tab) -> None:
    shown = []
    for name in ("D-2", "variant"):
        tab.open(page_file(name, built), "#word=aab")
        rows = [row for row in tab.js(STREAM) if row[0] != "constant"]
        shown.append((rows, tab.js(TILES), tab.js("document.getElementById('channel-text').innerText")))
    assert shown[0][:2] == shown[1][:2]
    assert len(shown[0][0]) >= 2
    assert len(shown[0][1]) == 3
    assert "mixed" not in shown[1][2]


CARDS = """[...document.querySelectorAll('#blocks [data-memory]')].map((card) => [
    [...card.querySelectorAll('.value.lit strong')].map((b) => b.textContent).join(" or "),
    (card.querySelector('.fate') || {}).textContent,
    [...card.querySelectorAll('.events li.lit')].map((li) => li.textContent.replace("holds now: ", "")),
])"""


@needs_browser
def test_the_levels_are_lit(built: Explained, tab: Tab) -> None:
    tab.open(page_file("D-2", built), "#word=aabb&at=3")
    held = tab.js("scancraft.session.records[3].held")
    cards = tab.js(CARDS)
    assert [card[0] for card in cards] == held
    assert [card[1] for card in cards] == ["written", "kept", "kept"]
    assert [card[2] for card in cards] == [["memory := 0 when letter in b <bos>"], [], []]
    tab.open(page_file("plan", built), "#word=aa")
    cards = tab.js(CARDS)
    assert [card[0] for card in cards] == tab.js("scancraft.session.records[2].held")
    assert ["m1 := 0 when letter in {a} and letter before in {a}"] in [card[2] for card in cards]


@needs_browser
def test_a_link_names_the_word_and_the_position(built: Explained, tab: Tab) -> None:
    tab.open(page_file("D-2", built), "#word=aabb&at=1")
    assert (tab.js("scancraft.session.word.join('')"), tab.js("scancraft.position()")) == ("aabb", 1)
    tab.js("document.getElementById('last').click()")
    assert tab.js("location.hash") == "#word=aabb"
    tab.js("document.getElementById('back').click()")
    assert tab.js("location.hash") == "#word=aabb&at=3"
    enter(tab, ("a", "b"), False)
    assert tab.js("location.hash") == "#word=ab"
    tab.js("location.hash = '#word=%61%62ab'; new Promise((done) => setTimeout(done, 50))")
    assert tab.js("scancraft.session.word.join('')") == "abab"
    tab.open(page_file("hostile", built))
    for i in range(len(HOSTILE)):
        tab.js(f"document.querySelectorAll('#symbols button')[{i}].click()")
    link = tab.js("location.hash")
    assert not set('<>"& ') & set(link)
    tab.open(page_file("hostile", built), link)
    assert tab.js("scancraft.session.word.slice(-11)") == HOSTILE


@needs_browser
@pytest.mark.parametrize(
    "fragment", ["#word=<img src=x onerror=window.taken=1>", "#word=%3Cb%3E%00%1b%E2%80%AE", "#word=%E0%"]
)
def test_a_hostile_link_is_text(fragment: str, built: Explained, tab: Tab) -> None:
    tab.open(page_file("D-2", built), fragment)
    assert tab.js("document.getElementById('word-error').textContent")
    assert not tab.js(r"/[\u0000-\u001f\u202e]/.test(document.getElementById('word-error').textContent)")
    assert tab.js("document.querySelectorAll('img, b').length") == 0
    assert tab.js("window.taken === undefined")
    assert tab.problems == []


@needs_browser
def test_it_plays(built: Explained, tab: Tab) -> None:
    """Steps are counted, not timed: what comes is the next position, and at the end it stops."""
    tab.open(page_file("D-2", built), "#word=aabb")
    tab.js("document.getElementById('speed').value = '250'")
    seen = tab.js("""new Promise((done) => {
        const seen = [];
        new MutationObserver(() => {
            if (seen.at(-1) !== scancraft.position()) seen.push(scancraft.position());
            if (document.getElementById('play').textContent === 'Play' && seen.length > 1) done(seen);
        }).observe(document.body, { subtree: true, childList: true, characterData: true });
        document.getElementById('play').click();
    })""")
    assert seen == [0, 1, 2, 3, 4]
    tab.js("document.getElementById('play').click()")
    assert tab.js("document.getElementById('play').textContent") == "Pause"
    tab.js("document.getElementById('last').click()")  # whoever steps by hand stops it
    assert tab.js("[document.getElementById('play').textContent, scancraft.position()]") == ["Play", 4]


@needs_browser
@pytest.mark.parametrize("name", [n for n in EVERY_KIND if n != "money"])
def test_a_channel_tells_what_why_and_its_weights(name: str, built: Explained, tab: Tab) -> None:
    """Each can be reached by keyboard, and its numbers are those of the step."""
    tab.open(page_file(name, built))
    number = tab.js("document.querySelectorAll('.dot').length")
    assert number == min(160, sum(len(block.channels) for block in built[name].manifest.blocks))
    for i in range(0, number, max(1, number // 6)):
        told = tab.js(f"""(() => {{
            const dot = () => document.querySelectorAll('.dot')[{i}];
            const [b, c] = [Number(dot().dataset.block), Number(dot().dataset.channel)];
            dot().focus();
            const tip = document.getElementById('tip');
            const said = [tip.hidden, [...tip.querySelectorAll('dt')].map((e) => e.textContent), tip.textContent];
            dot().click();
            const part = scancraft.session.records[scancraft.position()].parts[b];
            const main = document.querySelector('#equations .main .value').textContent;
            return [...said, b, c, part.y[c], main, document.getElementById('channel').value];
        }})()""")
        hidden, headings, text, b, c, y, shown, chosen = told
        assert not hidden
        assert headings == ["what", "why", "weight"]
        meaning = next(one.meaning for one in built[name].manifest.blocks[b].channels if one.index == c)
        assert meaning in text
        assert (float(plain(shown.removeprefix("= "))), chosen) == (y, str(c))
    tab.js("document.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' }))")
    assert tab.js("document.getElementById('tip').hidden")
    assert tab.problems == []


HINTED = """[...document.querySelectorAll('.scroll')].every((box) =>
    (box.scrollWidth > box.clientWidth + 1) === box.classList.contains('wide'))"""
SMALL = """[...document.querySelectorAll('main button:not(.to-numbers)')].filter((e) =>
    e.offsetParent && !e.closest('table') && Math.min(e.offsetWidth, e.offsetHeight) < 32).map((e) => e.textContent)"""


@needs_browser
@pytest.mark.parametrize("name", EVERY_KIND)
def test_it_fits_a_phone(name: str, built: Explained, tab: Tab) -> None:
    """At 390 pixels nothing sticks out of the page; what is wider scrolls in its own box and says so."""
    tab.size(390, 844)
    try:
        tab.open(page_file(name, built))
        assert tab.js("document.documentElement.scrollWidth") == 390
        assert tab.js(HINTED)
        assert tab.js(SMALL) == []
        assert tab.problems == []
    finally:
        tab.size(1200, 900)


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
    tab.js("document.getElementById('clear').click()")
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
    tab.js("document.getElementById('clear').click()")
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
    assert papers == ["rgb(252, 251, 248)", "rgb(22, 23, 26)"]


@needs_browser
def test_with_the_keyboard_alone(built: Explained, tab: Tab) -> None:
    tab.open(page_file("D-2", built), "#word=ab")
    reached = []
    for _ in range(60):
        tab.key("Tab")
        reached.append(tab.js("document.activeElement.id || document.activeElement.textContent.slice(0, 9)"))
    wanted = {"word", "backspace", "clear", "a", "b", "first", "back", "play", "position", "speed", "block", "channel"}
    assert wanted | {"all-features"} <= set(reached)
    nameless = """[...document.querySelectorAll("button, input, select")].filter((e) =>
        !(e.labels && e.labels.length) && !e.getAttribute("aria-label") && !e.textContent.trim()).length"""
    assert tab.js(nameless) == 0
