"""The documentation: every page's code runs and its assertions hold, links resolve, every theorem is found by number.

The cells are executed here without Sphinx, one page after another in one process, but for those with the tag ``long``,
of a few seconds each; ``make docs`` executes all of them while it builds the site.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import matplotlib
import pytest

DOCS = Path(__file__).parent.parent / "docs"
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n((?::[^\n]*\n)*)(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<!\!)\[[^\]\n]*\]\(([^)\s]+)\)")
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
EXECUTED = [path for path in PAGES if CELL.search(path.read_text(encoding="utf-8"))]
LONG = ":tags: [long]"

THEOREMS = {
    1: "walkthroughs/flip_flop.md",
    2: "walkthroughs/parity.md",
    3: "walkthroughs/star_free.md",
    4: "walkthroughs/star_free.md",
    5: "walkthroughs/counters.md",
    6: "walkthroughs/bounded_dyck.md",
}


def name(path: Path) -> str:
    """A page's path inside the docs."""
    return path.relative_to(DOCS).as_posix()


def code_of(page: Path) -> str:
    """A page's cells as one program, without long ones; before each a comment with its first line in the page."""
    text = page.read_text(encoding="utf-8")
    return "\n".join(
        f"# {name(page)}:{text.count(chr(10), 0, m.start()) + 1}\n{m[2]}"
        for m in CELL.finditer(text)
        if LONG not in m[1]
    )


def test_there_are_pages() -> None:
    assert len(EXECUTED) >= 12
    assert {name(page) for page in EXECUTED} >= set(THEOREMS.values())


def execute(code: str) -> None:
    """Run a page's cells."""
    exec(compile(code, "page.py", "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("page", EXECUTED, ids=name)
def test_the_cells_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    execute(code_of(page))
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("page", EXECUTED, ids=name)
def test_a_page_is_a_notebook_that_runs_elsewhere(page: Path) -> None:
    """Its kernel has the name that jupytext and Jupyter ask for, and no cell imports a module of the docs' own."""
    text = page.read_text(encoding="utf-8")
    assert text.startswith("---\nfile_format: mystnb\nkernelspec:\n  name: python3\n  display_name: Python 3\n---\n")
    own = {path.stem for path in (DOCS / "_ext").glob("*.py")}
    assert not own & set(re.findall(r"^\s*(?:from|import) (\w+)", code_of(page), re.MULTILINE))


def test_a_false_assertion_in_a_cell_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```{code-cell} ipython3\nprint(1)\nassert 1 == 2\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError):
        execute("\n".join(m[2] for m in CELL.finditer(page.read_text(encoding="utf-8"))))


def test_the_build_stops_at_errors_and_warnings() -> None:
    configuration = (DOCS / "conf.py").read_text(encoding="utf-8")
    assert re.search(r"^nb_execution_mode = \"force\"$", configuration, re.MULTILINE)
    assert re.search(r"^nb_execution_raise_on_error = True$", configuration, re.MULTILINE)
    rule = (DOCS.parent / "Makefile").read_text(encoding="utf-8").split("\ndocs:")[1].split("\n\n")[0]
    assert " -W " in rule


@pytest.mark.parametrize("page", [p for p in EXECUTED if p.parent.name == "walkthroughs"], ids=name)
def test_a_walkthrough_has_a_statement_and_an_exercise_with_a_hidden_solution(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert any("Statement" in h for h in headings), headings
    assert any("Exercise" in h for h in headings), headings
    assert re.search(r":tags: \[hide-cell\]", text.split("## Exercise")[1])
    assert "assert " in text.split("## Exercise")[1]
    assert code_of(page).count("assert ") >= 5


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub and MyST make it."""
    plain = re.sub(r"[`*$]|\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip().lower())
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_inside_resolve(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in LINK.findall(re.sub(r"`[^`]*`", "", text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = page if not path else (page.parent / path).resolve()
        assert found.is_file(), f"{name(page)} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), f"{name(page)} links to {target}"


@pytest.mark.parametrize("number", THEOREMS)
def test_each_theorem_is_found_by_number(number: int) -> None:
    index = (DOCS / "walkthroughs" / "index.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| Theorem {number}\b.*$", index, re.MULTILINE)
    page = THEOREMS[number]
    assert Path(page).name in row
    assert re.search(rf"[Tt]heorem {number}\b", (DOCS / page).read_text(encoding="utf-8"))


def test_the_glossary_names_modules_that_exist() -> None:
    text = (DOCS / "reference" / "glossary.md").read_text(encoding="utf-8")
    names = set(re.findall(r"`(scancraft(?:\.\w+)+)`", text))
    assert len(names) >= 30
    for dotted in names:
        parts = dotted.split(".")
        for cut in range(len(parts), 0, -1):
            try:
                thing = import_module(".".join(parts[:cut]))
            except ModuleNotFoundError:
                continue
            for part in parts[cut:]:
                thing = getattr(thing, part)
            break
