"""The API reference: every public module of a folder, found when the docs are built, so that none is forgotten.

In a page a line ``<!-- modules of scancraft.automata -->`` stands for all its public modules, and
``<!-- public names of scancraft -->`` for what ``import scancraft`` offers: a table, then each under that name, and not
once more under its module's. Docstrings are written for people in the terminal; what reStructuredText would take for
markup in them is escaped here.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from sphinx.application import Sphinx

MODULES = re.compile(r"^<!-- modules of (\S+) -->$", re.MULTILINE)
NAMES = re.compile(r"^<!-- public names of (\S+) -->$", re.MULTILINE)
SAFE = re.compile(
    r"(``(?:(?!``|\n\n).)+``|:[a-z:]+:`[^`]+`|`[^`]+`_|(?<![\w*])\*\*(?=[A-Za-z])(?:(?![*`]|\n\n).)+\*\*"
    r"|(?<![\w*\\)\]}])\*(?![\s*)])(?:(?![*`]|\n\n).)+(?<![\s*(])\*(?![\w*(]))",
    re.DOTALL,
)
"""Literals, roles, links, **strong** and *emphasis*."""
SECTION = re.compile(r"^\s*(Args|Attributes|Raises|Returns|Yields):\s*$")


def public_modules(package: str) -> list[str]:
    """The dotted names of a package's public modules and sub-packages, sorted; rooms have pages of their own."""
    found = []
    place = import_module(package).__file__
    assert place is not None, f"{package} is no package"
    for info in iter_modules([str(Path(place).parent)]):
        name = f"{package}.{info.name}"
        if not info.name.startswith("_") and name not in ROOMS:
            found.append(name)
            if info.ispkg:
                found += public_modules(name)
    return sorted(found)


ROOMS = tuple(f"scancraft.{room}" for room in ("automata", "models", "compiler", "certify", "conformance", "refute"))


def first_sentence(text: str) -> str:
    """The first paragraph of a docstring on one line, without reStructuredText roles."""
    line = " ".join((text or "").strip().split("\n\n")[0].split())
    line = re.sub(r":[a-z:]+:`~?([^`]+)`", r"`\1`", line).replace("``", "`")
    return line.replace(" * ", " · ").replace("|", "\\|")


def module_section(name: str) -> str:
    """A module's heading and contents."""
    return f"## `{name}`\n\n```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n```\n"


def public(package: str) -> dict[str, Any]:
    """What a package offers under its own name."""
    top = import_module(package)
    return {name: getattr(top, name) for name in top.__all__}


def name_table(package: str) -> str:
    """What a package offers under its own name: a table, then each with all that is said of it."""
    rows, parts = ["| name | what it is |", "|---|---|"], []
    for name, thing in public(package).items():
        rows.append(f"| {{py:obj}}`{package}.{name}` | {first_sentence(thing.__doc__)} |")
        kind = "function" if not isinstance(thing, type) else "exception" if issubclass(thing, Exception) else "class"
        members = "" if kind == "function" else "   :members:\n"
        parts.append(f"```{{eval-rst}}\n.. auto{kind}:: {package}.{name}\n{members}```\n")
    return "\n".join([*rows, "", *parts])


def expand(app: Sphinx, page: str, source: list[str]) -> None:
    """Replace the markers of a page."""
    text = MODULES.sub(lambda m: "\n".join(module_section(name) for name in public_modules(m[1])), source[0])
    source[0] = NAMES.sub(lambda m: name_table(m[1]), text)


def escape(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Make plain text of what only looks like markup, and literal blocks of what is indented or is a table."""
    result: list[str] = []
    plain: list[str] = []  # a passage of plain lines that is still to be escaped
    section = block = table = False

    def flush() -> None:
        result.extend(_plain("\n".join(plain)).split("\n") if plain else [])
        plain.clear()

    for line in lines:
        blank = not line.strip()
        if not blank and not line.startswith(" "):
            section, block = bool(SECTION.match(line)), False
            if line.startswith("====") and not table:
                table = True
                flush()
                result.extend(["::", ""])
        if blank and table:
            table = False
        example = line.lstrip().startswith(">>>")
        begins = line.startswith("    ") and not (table or section or block or example)
        if begins and not blank and not (plain and plain[-1].strip()):
            block = True
            told = [text for text in (*result, *plain) if text.strip()][-1:]
            flush()
            if not told or not told[0].rstrip().endswith("::"):
                result.extend(["::", ""])
        if table:
            result.append("    " + line)
        elif block or example:
            flush()
            result.append(line)
        else:
            plain.append(line)
    flush()
    # Of a constant's docstring napoleon would take what stands before a colon in the first line for its type.
    lines[:] = ["", *result] if what in ("data", "attribute") else result


def _plain(text: str) -> str:
    """Text with stars, bars, backquotes and trailing underscores escaped, outside of literals and roles."""
    pieces = SAFE.split(text)
    for i in range(0, len(pieces), 2):
        piece = re.sub(r"(?:\A|(?<=[\w)\]|])) \* (?=[\w(\[|]|\Z)", " · ", pieces[i])  # a product
        piece = re.sub(r"(?<=\w) ?\*\* ?(?=\w)", "^", piece)  # a power
        piece = re.sub(r"([*|])|(?<=\w)(_)(?=\W|$)", lambda m: "\\" + m[0], piece)
        piece = re.sub(r"(?m)(?<=\n\n)(\s*)\\\*(?= )", r"\1*", piece)  # a list keeps its stars
        piece = re.sub(r"(?m)^(\s*)\\\*(?= .*\n\s*\\\* )", r"\1*", piece)
        pieces[i] = piece.replace("`", "\\`")
    return "".join(pieces)


def skip(app: Sphinx, what: str, name: str, thing: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out what another public module has documented, or will."""
    home, here = getattr(thing, "__module__", None), str(app.env.current_document.autodoc_module)
    if what != "module" or not isinstance(home, str) or not home.startswith("scancraft."):
        return None
    if any(thing is other for other in public("scancraft").values()):
        return True
    if home == here:
        return None
    if not any(part.startswith("_") for part in home.split(".")):
        return True
    return _SHOWN.setdefault(f"{home}.{name}", here) != here


_SHOWN: dict[str, str] = {}


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", expand)
    app.connect("autodoc-process-docstring", escape, priority=100)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
