"""What all test files share: torch on one thread, and shapes that are checked.

The shapes and dtypes that public functions of ``models`` and ``certify`` state are checked at every call while the
tests run (not elsewhere: an annotation costs nothing at run time); ``tests/test_shapes.py`` shows that a wrong one is
noticed.

The models are tiny, and more threads only wait for each other: with two workers on two cores the tests then take
several times as long. Commands that tests start inherit it; torch reads it when it is first imported, after this file.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

from types import SimpleNamespace
from typing import Any

import pytest
from clocks import Clock
from jaxtyping import install_import_hook

SHAPED = ("models.run.stepper", "models.run.chunked", "models.run.reader", "models.run.batches")
SHAPED_PROOFS = ("certify.check", "certify.search.explore", "certify.search.prove")
install_import_hook([f"scancraft.{name}" for name in (*SHAPED, *SHAPED_PROOFS)], "beartype.beartype")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which budgets count their seconds."""
    made = Clock()
    monkeypatch.setattr("scancraft.automata.budget.time", SimpleNamespace(monotonic=made.monotonic))
    return made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files of ``automata``, many and quick, come last: workers then end together."""
    items.sort(key=lambda item: item.path, reverse=True)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of several workers one runs all of a file, so that what its tests share is made once."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log) if config.option.dist == "load" else None
