"""Values show themselves: one line in a shell, a card in a notebook, which is run here."""

from __future__ import annotations

from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import scancraft
from scancraft.automata.cards import MOST_ROWS, brief, card, shown, table
from scancraft.certify.certify import Open
from scancraft.refute.results import Unsettled

VOID = {"br", "img", "input"}


class Balanced(HTMLParser):
    """Fails unless every tag is closed in its turn; collects the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """Remember it."""
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """It closes the last one."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """What people read."""
        self.text += data


def read(markup: str) -> Balanced:
    """The markup, if it is well formed and runs nothing."""
    parser = Balanced()
    parser.feed(markup)
    parser.close()
    assert not parser.open
    assert not parser.tags & {"script", "iframe", "object", "link", "img"}
    return parser


PICTURES = {"Dfa", "CounterMachine", "Cascade", "Plan", "Circuit"}
"""What has a picture, which its card shows as well."""


@cache
def values() -> dict[str, Any]:
    """One value of each kind, and what its card says."""
    d2 = scancraft.compile("(a(ab)*b)*", construction="cascade")
    return {
        "Dfa": (d2.dfa, "4 states"),  # type: ignore[union-attr]
        "Cascade": (d2.cascade, "cascade of 3 levels"),  # type: ignore[union-attr]
        "CounterMachine": (scancraft.named("a^n b^n"), "b if b due = 0"),
        "Plan": (scancraft.compile("a*b", construction="plan").plan, "plan of 1 memories in 1 blocks"),  # type: ignore[union-attr]
        "Circuit": (d2.circuit, "circuit"),
        "Compiled": (d2, "3,200 parameters"),
        "Constructed": (scancraft.dyck(2, 2), "2,224 parameters"),
        "Manifest": (d2.manifest, "all-words"),
        "Certificate": (d2.certify(), "every-implementation"),
        "Refuted": (d2.certify("(ab)*"), "shortest counterexample"),
        "Open": (Open("too <large>", 0.1), "too <large>"),
        "CheckReport": (d2.check(words=5, short=50), "no disagreement"),
        "Refutation": (scancraft.refute(d2, "b*(ab*ab*)*"), "refuted"),
        "NotApplicable": (scancraft.refute(d2), "not applicable"),
        "Unsettled": (Unsettled("no state", None, frozenset(), frozenset(), 3, 0.1), "undecided"),
        "Classification": (scancraft.classify("(aa)*"), "signed gates"),
        "Explanation": (d2.explain(), "read-out"),
    }


NAMES = [
    *(
        "Dfa",
        "CounterMachine",
        "Cascade",
        "Plan",
        "Circuit",
        "Compiled",
        "Constructed",
        "Manifest",
        "Certificate",
        "Refuted",
        "Open",
    ),
    *("CheckReport", "Refutation", "NotApplicable", "Unsettled", "Classification", "Explanation"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_value_is_one_line_and_a_card(name: str) -> None:
    value, said = values()[name]
    assert type(value).__name__ == name
    line = repr(value)
    assert line.startswith(f"<{name}: ")
    assert line.endswith(">")
    assert "\n" not in line
    assert len(line) <= 250
    assert said in read(value._repr_html_()).text
    assert len(value._repr_html_()) < 60_000
    if name in PICTURES:
        assert value.svg() in value._repr_html_()
        alone = ElementTree.fromstring(value._repr_svg_())
        assert alone.tag == "{http://www.w3.org/2000/svg}svg"
    else:
        assert "svg" not in read(value._repr_html_()).tags


def test_other_values_are_one_line_too() -> None:
    compiled = scancraft.compile("(ab)*")
    for value in (compiled.weights, compiled.run("ab"), scancraft.named("Dyck-1"), scancraft.regex("a & ~b")):
        assert "\n" not in repr(value)
        assert len(repr(value)) <= 250


def test_whatever_symbols_are_called_they_are_text() -> None:
    dfa = scancraft.Dfa.from_words(("<script>", "&amp;"), [("<script>",), ("&amp;", "<script>")])
    for value in (dfa, scancraft.compile(dfa), scancraft.compile(dfa).explain()):
        assert "<script>" in read(value._repr_html_()).text
    assert scancraft.compile(dfa).accepts(["&amp;", "<script>"])


def test_cards() -> None:
    assert shown(1234567) == "1,234,567"
    assert shown("x" * 1000) == "x" * 199 + "…"
    assert brief("a\n  b") == "a b"
    assert read(card("t", {"a": None, "b": "", "c": 0})).text == "tc0"
    rows = read(table(("n",), ([n] for n in range(MOST_ROWS + 3)))).text
    assert rows.endswith("and 3 more rows")
    assert str(MOST_ROWS) not in rows.removesuffix("and 3 more rows")


def test_a_notebook_shows_cards(tmp_path: Path) -> None:
    """A real kernel runs a notebook; what its cells end in is seen as HTML, and in one line as text."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    cells = ["import scancraft\nmodel = scancraft.compile('(a(ab)*b)*')\nmodel", "model.dfa", "model.certify()"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    for cell, said in zip(notebook.cells, ("a compiled model", "minimal DFA, 4 states", "certified"), strict=True):
        (data,) = (output["data"] for output in cell.outputs if output["output_type"] == "execute_result")
        assert said in read(data["text/html"]).text
        assert "\n" not in data["text/plain"]
        assert len(data["text/plain"]) <= 250
        assert ("image/svg+xml" in data) is (said == "minimal DFA, 4 states")


def test_what_nobody_could_read_has_no_picture() -> None:
    large = scancraft.parse_regex("a{30}")
    assert large.svg() is None
    assert large._repr_svg_() is None
    assert "32 states" in read(large._repr_html_()).text
