"""Checkpoints that the tests of the command line share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_line import answer, invoke, written
from kinds import GIANT, KINDS, Built


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The checkpoint of a kind, and what ``compile --json`` said; do not change it."""
    root = tmp_path_factory.mktemp("kinds")
    done: dict[str, tuple[Path, dict[str, Any]]] = {}

    def build(name: str) -> tuple[Path, dict[str, Any]]:
        if name not in done:
            place = root / str(len(done))
            args = [written(root / "machine.json", a) if isinstance(a, dict) else a for a in KINDS[name].args]
            done[name] = place, answer(invoke("compile", *args, "-o", place, "--json"))
        return done[name]

    return build


@pytest.fixture
def d2(built: Built) -> Path:
    """Brackets a, b, at most two deep."""
    return built("D-2")[0]


@pytest.fixture(scope="session")
def giant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A counter that leaves its range at the fifth a."""
    place = tmp_path_factory.mktemp("giant")
    assert invoke("compile", written(place / "giant.json", GIANT), "-o", place / "out").exit_code == 0
    return place / "out"


@pytest.fixture
def language(tmp_path: Path) -> Path:
    """a* over a and b, as a file."""
    dfa = {"alphabet": ["a", "b"], "initial": "p", "accepting": ["p"], "transitions": {"p": {"a": "p"}}}
    return written(tmp_path / "language.json", dfa)
