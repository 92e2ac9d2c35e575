"""The benchmarks are scripts and belong to no package: ``benchmarks/`` is on the path while these tests run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parent.parent.parent / "benchmarks"


@pytest.fixture(scope="session")
def run() -> Iterator[Any]:
    """The command, ``benchmarks/run.py``, as a module; others can be imported as it does it (``page.table``)."""
    sys.path.insert(0, str(FOLDER))
    try:
        yield import_module("run")
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture(scope="session")
def sections(run: Any) -> dict[str, Any]:
    """Every section in its small size: the JSON, and the raw rows. Campaigns in processes have tests of their own."""
    return {name: run.run_section(name, True, lambda *_: None) for name in run.SECTIONS if name != "mlregtest"}
