"""Certified checkpoints, made once for all tests of certificates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from forgery import Forger


@pytest.fixture(scope="session")
def forger(tmp_path_factory: pytest.TempPathFactory) -> Forger:
    """Certified checkpoints of every kind."""
    return Forger(tmp_path_factory.mktemp("originals"))


@pytest.fixture
def forge(forger: Forger, tmp_path: Path) -> Callable[[str], Path]:
    """A fresh copy of one of them, to tamper with."""
    return lambda name: forger.copy(name, tmp_path / name)
