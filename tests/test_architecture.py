"""The house stands: arrows between rooms point down, files make no circle, and checkers share nothing with searches."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).resolve().parent.parent
spec = spec_from_file_location("house", ROOT / "docs" / "house.py")
assert spec is not None
assert spec.loader is not None
house = sys.modules["house"] = module_from_spec(spec)
spec.loader.exec_module(house)

HEAVY = {"torch", "transformers", "safetensors", "tokenizers", "matplotlib", "sympy", "hypothesis", "rich", "lark"}
"""What is slow to import or need not be there: to postpone it is the only reason for an import inside a function."""

LONGEST = 450
REASON = "Over 450 lines:"
"""A longer file says why, in its docstring, after these words."""

GROUND = "scancraft.automata.errors"
"""The base exceptions: the one thing that everybody shares."""


@cache
def graph_of(root: Path) -> tuple[dict[str, house.Module], nx.DiGraph[str], set[house.Import]]:
    """Read once for each checkout; do not change it."""
    known = house.modules(root)
    found = house.imports(known)
    graph = nx.DiGraph([(i.importer, i.imported) for i in found])
    graph.add_nodes_from(known)
    return known, graph, found


def upward(root: Path) -> Iterator[str]:
    """Imports that point up, between rooms side by side that may not know each other, or from models to languages."""
    known, graph, _ = graph_of(root)
    for importer, imported in graph.edges:
        upper, lower = (house.ROOMS.index(known[name].room) for name in (importer, imported))
        models_know_languages = (
            known[importer].room == "models" and known[imported].room == "automata" and imported != GROUND
        )
        beside = {known[importer].room, known[imported].room} == {"certify", "conformance"}
        if upper < lower or models_know_languages or beside:
            yield f"{importer} imports {imported}"


def circles(root: Path) -> list[set[str]]:
    """Files that import each other, however far round, inside functions or not."""
    return [circle for circle in nx.strongly_connected_components(graph_of(root)[1]) if len(circle) > 1]


def hidden(root: Path) -> Iterator[str]:
    """Imports of our own modules inside a function that do not postpone anything heavy."""
    known, _, found = graph_of(root)
    others = house.foreign(known)
    at_import = nx.DiGraph([(i.importer, i.imported) for i in found if not (i.inside or i.typing)])
    at_import.add_nodes_from(known)
    # To import a module is to import the packages around it, and what their faces import.
    at_import.add_edges_from((name, name.rpartition(".")[0]) for name in known if name.rpartition(".")[0] in known)

    @cache
    def loads(name: str) -> set[str]:
        return HEAVY & set().union(*(others[m] for m in {name, *nx.descendants(at_import, name)}))

    for i in found:
        if i.inside and not loads(i.imported) - loads(i.importer):
            yield f"{i.importer} imports {i.imported} inside a function, and postpones nothing by it"


def shared(root: Path, checker: str, *rest: str) -> set[str]:
    """Modules that a checker's folder and any of the others' both rest on."""
    known, graph, _ = graph_of(root)

    def below(*folders: str) -> set[str]:
        first = {m.name for m in known.values() for f in folders if f"{m.folder}/".startswith(f"{f}/")}
        return first.union(*(nx.descendants(graph, name) for name in first))

    return below(checker) & below(*rest)


def test_arrows_point_down() -> None:
    assert sorted(upward(ROOT)) == []


def test_no_file_imports_itself_round_a_circle() -> None:
    assert circles(ROOT) == []


def test_no_import_is_hidden_but_to_postpone_something_heavy() -> None:
    assert sorted(hidden(ROOT)) == []


@pytest.mark.parametrize(
    ("checker", "rest"),
    [
        ("certify/checker", ("certify/search", "compiler", "refute")),
        ("refute/checker", ("certify/search", "compiler")),
    ],
)
def test_a_checker_shares_nothing_with_whom_it_checks(checker: str, rest: tuple[str, ...]) -> None:
    known, *_ = graph_of(ROOT)
    own = {
        name
        for name, module in known.items()
        if f"{module.folder}/".startswith(("certify/checker/", "refute/checker/"))
    }
    both = shared(ROOT, checker, *rest) - own - {GROUND}
    # Our own model classes are what both load, as they load those of transformers; they are judged, and judge nothing.
    model = {"scancraft.models.signed_mamba", "scancraft.models.longhorn"}
    graph = graph_of(ROOT)[1]
    allowed = model.union(*(nx.descendants(graph, name) for name in model))
    packages = {name for name, module in known.items() if module.path.name == "__init__.py"}
    assert both <= allowed | packages, sorted(both - allowed - packages)


def test_automata_know_no_tensors() -> None:
    known, *_ = graph_of(ROOT)
    for name, others in house.foreign(known, at_import=False).items():
        if known[name].room == "automata":
            assert not others & {"torch", "transformers", "safetensors"}, name


def test_every_folder_says_what_lives_there() -> None:
    known, *_ = graph_of(ROOT)
    for folder in {module.path.parent for module in known.values()}:
        text = (folder / "__init__.py").read_text(encoding="utf-8")
        assert len(ast.get_docstring(ast.parse(text)) or "") > 40, folder


def test_long_files_say_why() -> None:
    for module in graph_of(ROOT)[0].values():
        if module.lines > LONGEST:
            assert REASON in (ast.get_docstring(ast.parse(module.path.read_text(encoding="utf-8"))) or ""), module.path


def test_every_folder_is_installed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    known, *_ = graph_of(ROOT)
    packages = {name for name, module in known.items() if module.path.name == "__init__.py"}
    assert set(settings["tool"]["setuptools"]["packages"]) == packages


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("automata/deep/x.py", "from ...models import weights\n", upward),
        ("models/x.py", "from ..automata import dfa\n", upward),
        ("automata/dfa.py", "def f():\n    from .deep import y\n", circles),
        ("automata/dfa.py", "def f():\n    from .deep.x import z\n", hidden),
    ],
)
def test_the_tests_above_can_fail(path: str, text: str, found: object, tmp_path: Path) -> None:
    files = {
        "automata/__init__.py": "",
        "automata/dfa.py": "",
        "automata/deep/__init__.py": "",
        "automata/deep/x.py": "",
    }
    files |= {"automata/deep/y.py": "from .. import dfa\n", "models/weights.py": ""}
    for name, content in (files | {path: text}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert callable(found)
    assert list(found(tmp_path))
