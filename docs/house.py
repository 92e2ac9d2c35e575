"""The folders and the imports between them, read from the source; ``python docs/house.py`` draws reference/house.svg.

Used by ``tests/test_architecture.py`` too, so the picture and the test look at the same arrows. Linear in the source.
"""

from __future__ import annotations

import ast
from collections.abc import Container, Iterator
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path

import networkx as nx

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("automata", "models", "compiler", "certify", "conformance", "refute", "scancraft")
"""From the ground up: a room imports rooms before it, never one after it."""
APART = ("certify/checker", "certify/search", "refute/checker")
"""Folders inside a room that are drawn on their own, because what they may *not* import is the point of them."""


@dataclass(frozen=True)
class Module:
    """One file: its dotted name, where it is, and its folder relative to the root, as ``certify/checker``."""

    name: str
    path: Path
    folder: str

    @property
    def room(self) -> str:
        """The top-level folder."""
        return self.folder.split("/")[0]

    @property
    def lines(self) -> int:
        """How long the file is."""
        return len(self.path.read_text(encoding="utf-8").splitlines())


@dataclass(frozen=True)
class Import:
    """``importer`` imports ``imported``: inside a function (when it is called), for type checkers only, or neither."""

    importer: str
    imported: str
    inside: bool
    typing: bool


def modules(root: Path = ROOT) -> dict[str, Module]:
    """Every module of the package in a checkout, by name."""
    found = {}
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            place = path.relative_to(root)
            parts = list(place.with_suffix("").parts)
            parts = parts if room == "scancraft" else ["scancraft", *parts]
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = Module(name, path, place.parent.as_posix())
    return found


Statement = tuple[ast.ImportFrom | ast.Import, bool, bool]
"""An import statement, whether it stands in a function, and whether under ``if TYPE_CHECKING``."""


def _statements(node: ast.AST, inside: bool = False, typing: bool = False) -> Iterator[Statement]:
    """Every import statement below a node."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.ImportFrom, ast.Import)):
            yield child, inside, typing
        deeper = inside or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        checked = isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING"
        yield from _statements(child, deeper, typing or checked)


def _named(module: Module, statement: ast.ImportFrom | ast.Import, known: Container[str] = ()) -> Iterator[str]:
    """The absolute names of the modules that a statement imports: ``from .a import b`` is ``a.b`` if that is known."""
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
        return
    package = module.name.split(".")
    if module.path.name != "__init__.py":
        package.pop()
    base = package[: len(package) - statement.level + 1] if statement.level else []
    full = ".".join([*base, *([statement.module] if statement.module else [])])
    for alias in statement.names:
        yield f"{full}.{alias.name}" if f"{full}.{alias.name}" in known else full


def imports(known: dict[str, Module]) -> set[Import]:
    """Every import between the package's own modules."""
    return {
        Import(module.name, name, inside, typing)
        for module in known.values()
        for statement, inside, typing in _statements(ast.parse(module.path.read_text(encoding="utf-8")))
        for name in _named(module, statement, known)
        if name in known and name != module.name
    }


def foreign(known: dict[str, Module], *, at_import: bool = True) -> dict[str, set[str]]:
    """The packages of others that each module imports, by name; with ``at_import`` only what importing it loads."""
    return {
        module.name: {
            name.split(".")[0]
            for statement, inside, typing in _statements(ast.parse(module.path.read_text(encoding="utf-8")))
            if not (at_import and (inside or typing))
            and not (isinstance(statement, ast.ImportFrom) and statement.level)
            for name in _named(module, statement)
        }
        for module in known.values()
    }


def node(module: Module) -> str:
    """The box of the picture that a module is in."""
    return next((a for a in APART if f"{module.folder}/".startswith(f"{a}/")), module.room)


def arrows(known: dict[str, Module]) -> nx.DiGraph[str]:
    """The boxes and who imports whom, without the arrows that others imply."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(dict.fromkeys(map(node, known.values())))
    for found in imports(known):
        pair = node(known[found.importer]), node(known[found.imported])
        if pair[0] != pair[1]:
            graph.add_edge(*pair)
    return nx.transitive_reduction(graph)


WIDTH, HEIGHT, GAP, STEP = 250, 74, 30, 128
"""Of a box, between boxes, and from one row to the next, in pixels."""


def _rows(graph: nx.DiGraph[str]) -> tuple[list[list[str]], list[list[str]]]:
    """Boxes in rows from the top, and each arrow as a chain of names: a long one has a gap ``a>b@row`` in each row."""
    rows = [sorted(layer) for layer in nx.topological_generations(graph.reverse())][::-1]
    level = {name: number for number, row in enumerate(rows) for name in row}
    chains = []
    for upper, lower in sorted(graph.edges):
        passed = [f"{upper}>{lower}@{number}" for number in range(level[upper] + 1, level[lower])]
        for number, name in enumerate(passed, level[upper] + 1):
            rows[number].append(name)
        chains.append([upper, *passed, lower])
    return rows, chains


def _places(rows: list[list[str]], chains: list[list[str]]) -> tuple[dict[str, tuple[float, float]], float]:
    """The middle of each box's upper edge, and the width of the picture: a row is ordered by what points at it."""
    wide = {name: WIDTH if "@" not in name else 0 for row in rows for name in row}
    across = max(sum(wide[name] + GAP for name in row) for row in rows) + GAP
    places: dict[str, tuple[float, float]] = {}
    for number, row in enumerate(rows):
        above = {n: [places[a][0] for c in chains for a, b in pairwise(c) if b == n and a in places] for n in row}
        left = (across - sum(wide[name] + GAP for name in row) + GAP) / 2
        for name in sorted(row, key=lambda n: (sum(above[n]) / len(above[n]) if above[n] else across / 2, "@" in n)):
            places[name] = left + wide[name] / 2, number * STEP + GAP
            left += wide[name] + GAP
    return places, across


def _arrow(points: list[tuple[float, float]]) -> str:
    """A smooth line through points, straight past the rows between."""
    (x, y), *rest = points
    line = f"M{x:g} {y + HEIGHT:g}"
    y += HEIGHT
    for number, (to_x, to_y) in enumerate(rest):
        last = number == len(rest) - 1
        end, bend = to_y - (5 if last else 0), (to_y - y) / 2
        line += f"C{x:g} {y + bend:g} {to_x:g} {end - bend:g} {to_x:g} {end:g}"
        line += "" if last else f"V{to_y + HEIGHT:g}"
        x, y = to_x, to_y + HEIGHT
    return f'<path class="arrow" d="{line}" marker-end="url(#head)"/>'


def _box(name: str, inside: list[Module], x: float, y: float) -> Iterator[str]:
    """A box with its name, its lines (to the nearest hundred) and its sub-packages."""
    lines = round(sum(module.lines for module in inside), -2)
    parts = sorted({m.folder.removeprefix(f"{name}/").split("/")[0] for m in inside if m.folder != name})
    yield f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="8"/>'
    yield f'<text x="{x + 12:g}" y="{y + 24:g}" class="name">{escape(name)}/</text>'
    yield f'<text x="{x + WIDTH - 12:g}" y="{y + 24:g}" class="size">{lines:,} lines</text>'
    for number in range(0, len(parts), 4):
        text = escape("  ".join(parts[number : number + 4]))
        yield f'<text x="{x + 12:g}" y="{y + 44 + 17 * (number // 4):g}" class="part">{text}</text>'


def picture(known: dict[str, Module]) -> str:
    """An SVG: one box per room with its lines and sub-packages, arrows from who imports to what is imported."""
    rows, chains = _rows(arrows(known))
    places, across = _places(rows, chains)
    drawn = [_arrow([places[name] for name in chain]) for chain in chains]
    for name, (middle, top) in places.items():
        if "@" not in name:
            drawn += _box(name, [m for m in known.values() if node(m) == name], middle - WIDTH / 2, top)
    return STYLE.format(across=across, bottom=(len(rows) - 1) * STEP + HEIGHT + 2 * GAP, drawn="\n".join(drawn))


STYLE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across:g} {bottom:g}" font-family="sans-serif">
<title>The rooms of scancraft and their imports</title>
<style>rect{{fill:#f4f6fb;stroke:#4a5a80}}.arrow{{fill:none;stroke:#8a94ab;stroke-width:1.5}}
.name{{font-size:16px;font-weight:600;fill:#1d2740}}.size{{font-size:12px;fill:#5a6478;text-anchor:end}}
.part{{font-size:12px;fill:#33405e;white-space:pre}}marker path{{fill:#8a94ab}}
@media(prefers-color-scheme:dark){{rect{{fill:#1f2637;stroke:#7f8db3}}.name{{fill:#e8ecf6}}.size,.part{{fill:#b3bdd3}}}}</style>
<defs><marker id="head" markerWidth="8" markerHeight="8" refX="6" refY="4" orient="auto">
<path d="M0 0L8 4L0 8z"/></marker></defs>
{drawn}
</svg>
"""


if __name__ == "__main__":
    (ROOT / "docs" / "reference" / "house.svg").write_text(picture(modules()), encoding="utf-8")
