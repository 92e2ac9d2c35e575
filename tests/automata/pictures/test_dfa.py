"""A DFA as SVG: every state and edge once, inside the picture, and whatever names and symbols say is text."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from examples import dfa
from explained import HOSTILE, hostile

import scancraft
from scancraft.automata.dfa import Dfa
from scancraft.automata.pictures.dfa import MOST_STATES, dfa_svg

NAMES = ["D-2", "D-4", "D-12", "Tomita-3", "Tomita-7", "Parity", "Flip-flop"]


def groups(text: str, kind: str) -> list[ElementTree.Element]:
    return [g for g in ElementTree.fromstring(text).iter("g") if kind in (g.get("class") or "").split()]


@pytest.mark.parametrize("name", NAMES)
def test_every_state_and_edge_is_there_once(name: str) -> None:
    language = dfa(name)
    text = dfa_svg(language, name)
    assert text == dfa_svg(language, name)
    states = [int(g.get("data-state") or -1) for g in groups(text, "state")]
    assert sorted(states) == list(range(language.n_states))
    assert {int(g.get("data-state") or -1) for g in groups(text, "accepting")} == language.accepting
    edges = [(int(g.get("data-from") or -1), int(g.get("data-to") or -1)) for g in groups(text, "edge")]
    assert sorted(edges) == sorted({(p, q) for p, row in enumerate(language.table) for q in row})
    assert {
        q
        for q, g in ((q, g) for (_, q), g in zip(edges, groups(text, "edge"), strict=True))
        if g.get("class") == "edge dead"
    } == (set() if language.dead is None else {language.dead})


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_drawn_outside_and_states_keep_apart(name: str) -> None:
    text = dfa_svg(dfa(name), name)
    x, y, width, height = map(float, (ElementTree.fromstring(text).get("viewBox") or "").split())
    for drawn in re.findall(r"-?[\d.]+,-?[\d.]+", text):
        px, py = map(float, drawn.split(","))
        assert x <= px <= x + width
        assert y <= py <= y + height
    bodies = [c for c in ElementTree.fromstring(text).iter("circle") if c.get("class") == "body"]
    centres = sorted((float(c.get("cx") or 0), float(c.get("cy") or 0)) for c in bodies)
    for (ax, ay), (bx, by) in pairwise(centres):
        assert (ax - bx) ** 2 + (ay - by) ** 2 > (2 * float(bodies[0].get("r") or 0)) ** 2


def test_names_and_symbols_are_text() -> None:
    text = dfa_svg(hostile(), "</title><script>")
    root = ElementTree.fromstring(text)
    assert {element.tag for element in root.iter()} <= {
        "svg",
        "title",
        "desc",
        "g",
        "path",
        "polygon",
        "circle",
        "text",
    }
    said = [title.text for title in root.iter("title")]
    assert said[0] == "</title><script>"
    assert f"state <b>{HOSTILE[0]}</b>, accepting" in said
    odd = dfa_svg(Dfa.from_table(["\x1b", "\u202e"], [[0, 0]], 0, [0], names=["\x07"]), "x")
    assert not re.search("[\x00-\x1f\u202e]", odd)
    assert "\\x1b,\\u202e" in odd


def test_one_state_alone() -> None:
    for language in (scancraft.Dfa.empty(["a"]), scancraft.parse_regex("[ab]*")):
        assert len(groups(dfa_svg(language, "x"), "state")) == 1
    assert MOST_STATES < 64
