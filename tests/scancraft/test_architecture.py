"""The arrows between the folders point one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import scancraft

PACKAGE = Path(scancraft.__file__).parent


def folder(name: str) -> Path:
    """A subpackage's folder, wherever it is installed."""
    import importlib

    module = importlib.import_module(f"scancraft.{name}")
    assert module.__file__ is not None
    return Path(module.__file__).parent


def imports(path: Path) -> set[str]:
    """Every module that a file imports, relative ones with their dots."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    return found


ALLOWED_UP = {
    "automata": set(),
    "models": {"..automata.errors"},
    "compiler": {"..automata", "..models"},
}


@pytest.mark.parametrize("name", ALLOWED_UP)
def test_arrows_point_one_way(name: str) -> None:
    files = sorted(folder(name).glob("*.py"))
    assert len(files) > 3
    for path in files:
        for module in imports(path):
            assert not module.startswith("scancraft"), f"{path.name}: import inside the package relatively"
            if module.startswith(".."):
                allowed = ALLOWED_UP[name]
                assert module in allowed or any(module.startswith(f"{a}.") for a in allowed if "." not in a[2:]), (
                    f"{name}/{path.name} imports {module}"
                )


@pytest.mark.parametrize("path", sorted(folder("automata").glob("*.py")), ids=lambda p: p.name)
def test_automata_know_no_tensors(path: Path) -> None:
    assert not {m for m in imports(path) if m.split(".")[0] in {"torch", "transformers", "safetensors"}}


def test_languages_can_be_studied_without_torch() -> None:
    code = (
        "import sys, scancraft\n"
        "d = scancraft.parse_regex('(ab)*')\n"
        "assert scancraft.star_free_witness(d) is None and d.accepts('abab')\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PACKAGE.parent)


def test_every_public_name_loads() -> None:
    for name in scancraft.__all__:
        assert getattr(scancraft, name) is not None
    assert set(scancraft.__all__) <= set(dir(scancraft))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = scancraft.no_such_name
