"""A model that is refuted, and a compiled counter, for searches and for the checker."""

from __future__ import annotations

from typing import Any

import pytest
from random_mambas import small_mamba

import scancraft
from scancraft.automata import families
from scancraft.compiler.compiled import CompiledModel
from scancraft.models.readout import Readout
from scancraft.refute.refute import Refutation, refute


@pytest.fixture(scope="session")
def bound() -> Readout:
    """Of bits."""
    return Readout({"0": 3, "1": 4}, bos=1, accept=2)


@pytest.fixture(scope="session")
def model() -> Any:
    """Accepts after long words of 1s, or does not."""
    return small_mamba(0)


@pytest.fixture(scope="session")
def found(model: Any, bound: Readout) -> Refutation:
    """That PARITY is not what it models."""
    verdict = refute(model, families.parity(), bound)
    assert isinstance(verdict, Refutation)
    return verdict


@pytest.fixture(scope="session")
def content(found: Refutation) -> dict[str, Any]:
    """The JSON of a refutation that holds; do not change it."""
    return found.content


@pytest.fixture(scope="session")
def counter() -> CompiledModel:
    """Dyck-1."""
    return scancraft.compile(scancraft.suite_language("Dyck-1").language)
