"""Checkpoints that are explained, written once for all tests."""

from __future__ import annotations

import pytest
from explained import Explained


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Explained:
    """By name."""
    return Explained(tmp_path_factory.mktemp("explained"))
