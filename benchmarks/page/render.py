"""docs/benchmarks.json, and docs/benchmarks.md from it alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from page.table import Json
from page.targets import NOT_RUN_HERE, Target, targets_table

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
JSON_NAME, MARKDOWN_NAME = "benchmarks.json", "benchmarks.md"
TEXTS = Path(__file__).resolve().parent / "sections"
LINE = 400
"""What fits on so many characters of JSON stands on one line."""


class Section(Protocol):
    """What the page asks of a module of ``timings`` or ``experiments``; ``size`` and ``result`` are JSON."""

    def targets(self, size: Json, result: Json) -> Sequence[Target]:
        """What was to be reached, and whether it was."""

    def parts(self, size: Json, result: Json) -> Json:
        """What stands in the braces of ``page/sections/NAME.md``, beside ``size`` and ``result``: tables, above all."""


def markdown(known: Json, sections: Mapping[str, Section]) -> str:
    """The whole page, in the order of ``sections``."""
    parts = [
        "# Benchmarks",
        "Written by `python benchmarks/run.py`; do not edit. Times are wall-clock seconds on one core, with torch "
        f"already imported. Figures marked † were {NOT_RUN_HERE}.",
    ]
    there = {name: (known[name], module) for name, module in sections.items() if name in known}
    # The targets speak of full sizes; a smoke run says nothing about them.
    full = [(found, module) for found, module in there.values() if "--quick" not in found["command"]]
    targets = [t for found, module in full for t in module.targets(found["size"], found["result"])]
    if targets:
        parts += ["## Targets", targets_table(targets)]
    parts += [section(name, found, module) for name, (found, module) in there.items()]
    return "\n\n".join(parts) + "\n"


def section(name: str, found: Json, module: Section) -> str:
    """One section: its text with the figures, and below the heading the command, the commit and the machine."""
    e, size, result = found["environment"], found["size"], found["result"]
    made = (
        f"`{found['command']}` at commit {found['commit']}: Python {e['python']}, torch {e['torch']} "
        f"({e['torch_threads']} thread), transformers {e['transformers']}, numpy {e['numpy']}, {e['system']}, "
        f"{e['cpu']}, {e['cores']} cores."
    )
    text = (TEXTS / f"{name}.md").read_text(encoding="utf-8")
    filled = text.format(size=size, result=result, **module.parts(size, result))
    heading, _, rest = filled.strip().partition("\n")
    return re.sub(r"\n{3,}", "\n\n", f"{heading}\n\n{made}\n{rest}").strip()


def read(folder: Path) -> Json:
    """The sections measured so far; none without a file."""
    path = folder / JSON_NAME
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def write(folder: Path, known: Json, sections: Mapping[str, Section]) -> None:
    """Both files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / JSON_NAME).write_text(dumps(known) + "\n", encoding="utf-8")
    (folder / MARKDOWN_NAME).write_text(markdown(known, sections), encoding="utf-8")


def write_raw(path: Path, content: Json) -> None:
    """The rows behind a summary, where the command was told to put them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dumps(content) + "\n", encoding="utf-8")


def dumps(value: Any, indent: str = "") -> str:
    """JSON with a row per line, and floats of nine digits."""
    flat = json.dumps(_rounded(value))
    if len(flat) <= LINE or not isinstance(value, dict | list | tuple):
        return flat
    deeper = indent + " "
    if isinstance(value, dict):
        items = [f"{deeper}{json.dumps(str(key))}: {dumps(item, deeper)}" for key, item in value.items()]
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    return "[\n" + ",\n".join(deeper + dumps(item, deeper) for item in value) + f"\n{indent}]"


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value
