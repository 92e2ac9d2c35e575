"""Certified, wrong, or undecided: what is said of a model, whoever made it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import invoke
from planted import first_failure, latch, leaking
from safetensors.torch import save_file

from scancraft import Budget, Dfa
from scancraft.certify.certify import Certificate, Refuted
from scancraft.refute.judging import certified_or_wrong
from scancraft.refute.results import Counterexample

BUDGET = Budget(items=100, seconds=None)


def test_a_right_model_is_certified() -> None:
    assert isinstance(certified_or_wrong(latch(), budget=replace(BUDGET, items=1_000)), Certificate)


def test_a_long_word_is_given_its_pattern() -> None:
    """The exploration of the whole model finds this one, since a latch takes few values."""
    compiled = latch()
    found = certified_or_wrong(
        leaking(0.99), compiled.language, readout=compiled.readout, budget=replace(BUDGET, items=2_000)
    )
    assert isinstance(found, Counterexample)
    assert found.pattern is not None
    assert (found.word, found.pattern.first) == (("a", *"b" * first_failure(0.99)), first_failure(0.99))


def test_a_model_that_forgets_is_wrong_on_a_pattern() -> None:
    compiled = latch()
    assert isinstance(compiled.language, Dfa)
    model = leaking(0.999).train()
    found = certified_or_wrong(model, compiled.language, readout=compiled.readout, budget=BUDGET)
    assert model.training
    assert isinstance(found, Counterexample)
    assert found.pattern is not None
    assert found.pattern.first == first_failure(0.999)
    other = certified_or_wrong(compiled.model(), "(a|b)*aa(a|b)*", readout=compiled.readout, budget=BUDGET)
    assert isinstance(other, Refuted)
    assert (other.word, other.shortest) == (("a",), True)


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose weights are not those that were compiled."""
    place = latch().save(tmp_path_factory.mktemp("forgetful") / "latch")
    tensors = {name: tensor.contiguous().clone() for name, tensor in leaking(0.999).state_dict().items()}
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
    return place


def test_on_the_command_line(forgetful: Path) -> None:
    result = invoke("certify", forgetful, "--budget", "100")
    assert result.exit_code == 1, result.output
    assert result.stdout.startswith("wrong on 'abbbb")
    assert f"wrong on x w^n y for every n >= {first_failure(0.999)}: x = 'a', w = 'b', y = ''" in result.stdout
    result = invoke("certify", forgetful, "--budget", "100", "--json")
    assert result.exit_code == 1
    content = json.loads(result.stdout)
    assert (content["verdict"], content["first"]) == ("counterexample", first_failure(0.999))
