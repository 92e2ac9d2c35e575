"""Training until there is a proof: by steps, so that equal seeds end alike."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import invoke

import scancraft
from scancraft import Budget, Dfa
from scancraft.certify.certify import Certificate, Open
from scancraft.refute.results import Counterexample
from scancraft.training.training import Settings, TrainingError
from scancraft.training.until import LONGEST, NEAR, neighbours, train_until_certified

SMALL = Settings(layers=1, d_model=16, words=300, tokens=256)
JUDGED = Budget(items=2_000, seconds=None)


def test_a_language_is_learned_with_a_proof() -> None:
    found = train_until_certified("(a|b)*a", round_steps=140, rounds=2, settings=SMALL, test_words=20, judged=JUDGED)
    assert isinstance(found.verdict, Certificate)
    assert found.rounds[-1].verdict == "certified"
    assert found.trained.accuracy[0].strings == 100.0
    assert "round 1: 140 steps" in str(found)
    content = json.loads(json.dumps(found.as_json()))
    assert content["verdict"]["scope"].startswith("every-implementation")
    assert content["rounds"][0]["word"] is None


def test_what_refutes_a_model_is_learned_from() -> None:
    found = train_until_certified("(ab)*", round_steps=4, rounds=2, settings=SMALL, test_words=5, judged=JUDGED)
    assert [one.steps for one in found.rounds] == [4, 6]
    assert {one.verdict for one in found.rounds} == {"counterexample"}
    assert all(one.word is not None for one in found.rounds)
    again = train_until_certified("(ab)*", round_steps=4, rounds=2, settings=SMALL, test_words=5, judged=JUDGED)
    assert (again.rounds, str(again.verdict)[:20]) == (found.rounds, str(found.verdict)[:20])


def test_a_budget_is_needed() -> None:
    for settings in ({}, {"seconds": 0.0}, {"round_steps": 0}, {"round_steps": 3, "rounds": 0}):
        with pytest.raises(TrainingError):
            train_until_certified("a*", **settings)  # type: ignore[arg-type]


def pumped(first: int) -> Counterexample:
    parts = {"x": ["a"], "w": ["b", "a"], "y": ["b"], "first": first, "read_to": first, "N": None}
    return Counterexample({**parts, "word": [*"a", *("b", "a") * first, "b"]})


@pytest.mark.parametrize("first", [3, 5_000])
def test_neighbours_are_live_and_pumped(first: int) -> None:
    dfa = scancraft.as_dfa("(ab)*(c|d)")
    assert isinstance(dfa, Dfa)
    found = neighbours(dfa, pumped(first), np.random.default_rng(0))
    assert len(found) >= NEAR
    assert all(dfa.run(word) in dfa.live for word in found)
    assert {("a", *("b", "a") * n, "b") for n in (1, 2, 4, 8)} <= set(found)
    assert len(set(found)) > 10
    assert max(map(len, found)) > LONGEST - 10
    assert (len(("a", *("b", "a") * first, "b")) <= LONGEST) == (pumped(first).word in found)
    assert neighbours(dfa, Open("", 0.0), np.random.default_rng(0)) == []


def test_on_the_command_line(tmp_path: Path) -> None:
    place = tmp_path / "learned"
    few = ("--steps", "3", "--rounds", "1", "--layers", "1", "--d-model", "8", "--longest", "6", "--budget", "1h")
    result = invoke("train", "--regex", "(ab)*", "--until", "certified", *few, "-o", place, "--json")
    assert result.exit_code == 1, result.output
    content = json.loads(result.stdout)
    assert content["verdict"]["verdict"] == "counterexample"
    assert [one["steps"] for one in content["rounds"]] == [3]
    assert (place / "model.safetensors").is_file()
    result = invoke("refute", place)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("wrong on ")
