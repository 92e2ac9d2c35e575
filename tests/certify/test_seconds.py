"""``certify --seconds``: the time of all stages of a search together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from clocks import Clock
from command_line import answer, invoke

import scancraft
from scancraft.automata.budget import Budget
from scancraft.automata.families import d_n
from scancraft.certify.certify import Certificate, Open


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("seconds") / "m"
    scancraft.compile(d_n(4), made, construction="cascade")
    return made


def looks(place: Path, clock: Clock) -> tuple[int, int]:
    """How often a search without a limit looks at the clock, in all and at most in one stage."""
    stages: list[int] = []
    began = clock.looks

    def note(what: str) -> None:
        stages.append(clock.looks)

    found = scancraft.certify(place, budget=Budget(100_000, None), note=note)
    assert isinstance(found, Certificate)
    ends: Iterator[int] = iter([*stages[1:], clock.looks])
    return clock.looks - began, max(end - start for start, end in zip(stages, ends, strict=True))


def test_the_seconds_are_those_of_all_stages_together(place: Path, clock: Clock) -> None:
    total, longest = looks(place, clock)
    assert longest < total - 2, "no stage takes as long as all of them"
    found = scancraft.certify(place, budget=Budget(100_000, total))
    assert isinstance(found, Certificate)
    found = scancraft.certify(place, budget=Budget(100_000, longest + 1))
    assert isinstance(found, Open)
    assert "seconds" in found.reason


def test_nothing_is_begun_once_the_time_is_over(place: Path, clock: Clock) -> None:
    stages: list[str] = []
    assert isinstance(scancraft.certify(place, budget=Budget(100_000, 1.0), note=stages.append), Open)
    assert len(stages) == 1
    assert isinstance(scancraft.certify(place, budget=Budget(1, 1000.0), note=stages.append), Open)
    assert stages[-1] == "sampled words"


def test_the_option_says_so(place: Path, clock: Clock) -> None:
    total, _ = looks(place, clock)
    verdict = answer(invoke("certify", place, "--seconds", total // 2, "--json"), 3)
    assert verdict["verdict"] == "undecided"
    assert "seconds" in verdict["reason"]
    assert answer(invoke("certify", place, "--seconds", total, "--json"))["verdict"] == "certified"
