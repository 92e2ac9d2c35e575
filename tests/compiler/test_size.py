"""Models with too many parameters are refused before any of them is made."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from functools import partial

import pytest
from command_line import invoke

import scancraft
from scancraft.automata.budget import DEFAULT_BUDGET
from scancraft.compiler.targets import TARGETS, ModelSizeError


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_the_budget_of_parameters_is_exact(target: str) -> None:
    make = partial(scancraft.compile, scancraft.named("D-2"), target=target, construction="cascade")
    found = make()
    shape, size = found.weights.shape, found.weights.n_parameters
    assert size == sum(tensor.size for tensor in found.weights.tensors.values()) == shape.n_parameters
    assert make(budget=replace(DEFAULT_BUDGET, parameters=size)).weights.n_parameters == size
    with pytest.raises(ModelSizeError, match=r" is [\d,]+ x [\d,]+ in \d+ of \d+ layers; raise") as told:
        make(budget=replace(DEFAULT_BUDGET, parameters=size - 1))
    assert (told.value.reached, told.value.limit) == (size, size - 1)


@pytest.mark.parametrize(
    "language",
    [
        scancraft.BoundedDyck(2, 3),
        scancraft.copying(3, 4),
        scancraft.json_documents(2),
        scancraft.named("a^n b^n"),
        scancraft.parse_ltl("H(b -> O a)", "ab"),
    ],
    ids=str,
)
def test_every_construction_has_it(language: object) -> None:
    size = scancraft.compile(language).weights.n_parameters
    scancraft.compile(language, budget=replace(DEFAULT_BUDGET, parameters=size))
    with pytest.raises(ModelSizeError):
        scancraft.compile(language, budget=replace(DEFAULT_BUDGET, parameters=16))


def test_the_group_is_named() -> None:
    five = [(q + 1) % 5 for q in range(5)]
    dfa = scancraft.Dfa.from_table("rt", [[five[q], (1, 0, 2, 3, 4)[q]] for q in range(5)], 0, [0])
    with pytest.raises(ModelSizeError, match=r"has the group S5 \(order 120, on 5 states\)") as told:
        scancraft.compile(dfa, budget=replace(DEFAULT_BUDGET, parameters=100))
    assert str(pickle.loads(pickle.dumps(told.value))) == str(told.value)


def test_the_command_tells_it(tmp_path: object) -> None:
    done = invoke("compile", "--regex", "(aa)*", "--parameters", "99", "-o", f"{tmp_path}/even", "--json")
    assert done.exit_code == 3
    told = json.loads(done.stdout)
    assert (told["error"], told["limit"]) == ("budget exceeded", 99)
    assert "the group Z2 (order 2, on 2 states)" in told["message"]
