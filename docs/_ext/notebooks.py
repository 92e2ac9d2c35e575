"""Each page with cells is there as a notebook, too: ``notebooks/NAME.ipynb``, linked under the page's title."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import yaml
from sphinx.application import Sphinx

PIECE = re.compile(r"^```\{code-cell\}[^\n]*\n((?::[^\n]*\n)*)\n?(.*?)^```$", re.DOTALL | re.MULTILINE)
HEAD = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)


def notebook_of(text: str) -> nbformat.NotebookNode | None:
    """The notebook of a page; None if it has no cells."""
    head = HEAD.match(text)
    if head is None or not PIECE.search(text):
        return None
    kernel = yaml.safe_load(head[1])["kernelspec"]
    found = nbformat.v4.new_notebook(metadata={"kernelspec": kernel, "language_info": {"name": "python"}})
    at = head.end()
    for piece in [*PIECE.finditer(text), None]:
        told = text[at : piece.start() if piece else len(text)].strip()
        if told:
            found.cells.append(nbformat.v4.new_markdown_cell(told))
        if piece:
            tags = re.findall(r":tags: \[(.*)\]", piece[1])
            more = {"metadata": {"tags": tags[0].split(", ")}} if tags else {}
            found.cells.append(nbformat.v4.new_code_cell(piece[2].strip(), **more))
            at = piece.end()
    for number, cell in enumerate(found.cells):
        cell["id"] = f"cell-{number}"  # drawn at random otherwise
    return found


def link(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the link under the title."""
    if notebook_of(source[0]) is not None:
        place = "../" * page.count("/") + f"notebooks/{Path(page).name}.ipynb"
        # As HTML: to Sphinx the file is not there yet.
        told = f'<p class="notebook"><a href="{place}" download>This page as a notebook</a></p>'
        source[0] = re.sub(r"^(# .*\n)", lambda m: m[1] + "\n" + told + "\n", source[0], count=1, flags=re.MULTILINE)


def finish(app: Sphinx, problem: Exception | None) -> None:
    """Write the notebooks."""
    if problem is not None:
        return
    folder = Path(app.outdir) / "notebooks"
    folder.mkdir(exist_ok=True)
    for page in sorted(app.env.found_docs):
        path = Path(app.env.doc2path(page))
        found = notebook_of(path.read_text(encoding="utf-8")) if path.suffix == ".md" else None
        if found is not None:
            nbformat.write(found, folder / f"{Path(page).name}.ipynb")


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", link)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
