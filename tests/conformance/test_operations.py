"""Operations alone: torch's own functions pass, those of released packages too, and planted faults are found."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import mutants
import numpy as np
import pytest
import torch
from command_line import invoke

from scancraft import conformance
from scancraft.automata.errors import MissingExtraError
from scancraft.conformance.operations import OPERATIONS, OperationCase

PLAIN = {operation: mutants.build(mutants.ALONE, operation) for operation in OPERATIONS}
FEW = ("memory", "recall, two groups", "memory, constant B and C", "taps-3", "taps-4, without silu")


def some(operation: str) -> list[str]:
    names = [case.name for case in conformance.cases(operation, quick=True)]
    return [name for name in FEW if name in names]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_plain_operations_pass_in_every_mode(operation: str) -> None:
    report = conformance.run(PLAIN[operation], kind=operation, quick=True, only=some(operation))
    assert report.passed, report
    assert all(mode.trials for mode in report.modes), report


@pytest.mark.parametrize("name", OPERATIONS)
def test_those_of_transformers_pass(name: str) -> None:
    report = conformance.run(f"transformers.{name}", quick=True, only=some(name)[:1], modes=["full"])
    assert report.passed, report


PACKAGES = ("mambapy.selective_scan", "mamba_ssm.selective_scan", "causal_conv1d.causal_conv1d")
VLLM = ("vllm.selective_state_update_of_heads", "vllm.mamba_chunk_scan_combined", "vllm.causal_conv1d_update")


@pytest.mark.parametrize("name", PACKAGES + VLLM)
def test_packages_are_found_or_named(name: str) -> None:
    try:
        report = conformance.run(name, quick=True, only=some(name.partition(".")[2])[:1])
    except MissingExtraError as reason:
        pytest.skip(str(reason))
    assert report.passed, report


def sample() -> list[mutants.Mutant]:
    """The first fault of each operation and mode; the whole campaign is benchmarks/experiments/conformance.py."""
    alone = [m for m in mutants.MUTANTS if m.base == mutants.ALONE]
    first = {(m.kind, m.mode): m for m in reversed(alone)}
    return list(first.values())


@pytest.mark.parametrize("mutant", sample(), ids=lambda m: f"{m.kind}: {m.name}")
def test_faults_are_found_and_located(mutant: mutants.Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance.driver, "smallest", lambda case, found, model: found)
    found = conformance.run(mutant.target, kind=mutant.kind, modes=[mutant.mode], quick=True).first
    assert found is not None, "survived"
    assert found.error is None
    assert re.search(mutant.where, " | ".join((found.case, found.symbol, found.source.exercises, found.source.meaning)))


@cache
def case(operation: str, name: str) -> OperationCase:
    (found,) = (c for c in conformance.cases(operation, quick=True) if c.name == name)
    assert isinstance(found, OperationCase)
    return found


def test_what_is_owed_is_the_integers_scaled_by_powers_of_two() -> None:
    """ "memory" by hand: sizes 2 and 5 of b and c; the sum is never forgotten, the gate is always 1024."""
    memory = case("selective_scan", "memory")
    ids = {symbol: i for i, symbol in enumerate(memory.symbols)}
    owed = memory.expect(np.array([[ids[s] for s in "b-ca"]])).logits[0]
    place = {source.meaning: i for i, (source,) in memory.columns.items()}
    now, total = place["the size"], place["the sum of all sizes"]
    assert (owed[:, now] / 1024**2).tolist() == [2 * 0.5, 0.0, 5 * 0.5, 0.0]
    assert (owed[:, total] / 1024**2).tolist() == [2 * 2.0, 2 * 2.0, 7 * 2.0, 7 * 2.0]


def test_arguments_are_exact_and_of_both_signs() -> None:
    for operation in ("selective_scan", "mamba_chunk_scan_combined"):
        signs: set[float] = set()
        for found in conformance.cases(operation, quick=True):
            owed = found.expect(found.words).logits
            assert np.array_equal(owed.astype(np.float32), owed), found.name
            signs |= set(np.sign(owed).flat)
        assert signs == {-1, 0, 1}


def test_a_function_without_the_parameters_is_called_whole() -> None:
    def scan(u: Any, delta: Any, A: Any, B: Any, C: Any, D: Any, z: Any, delta_bias: Any, delta_softplus: Any) -> Any:
        return PLAIN["selective_scan"](u, delta, A, B, C, D, z, delta_bias, delta_softplus)

    report = conformance.run(scan, kind="selective_scan", quick=True, only=["memory"])
    assert report.passed
    assert {mode.mode: mode.trials for mode in report.modes if mode.trials} == {"full": 2}
    assert "the function's parameters allow no prefill" in str(report)


def test_the_difference_names_channel_token_and_both_numbers() -> None:
    fault = next(m for m in mutants.MUTANTS if m.name == "C of the first word for all")
    found = conformance.run(fault.target, kind="selective_scan", quick=True, only=["recall"], modes=["full"]).first
    assert found is not None
    assert len(found.trial.words) == 2
    assert found.trial.tokens <= 4
    assert "outputs: the sum" in str(found)
    assert found.source.channel is not None


def test_the_command(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = mutants.edited(mutants.ALONE, "selective_scan")
    (tmp_path / "my_ops_20.py").write_text(source)
    (tmp_path / "their_ops_20.py").write_text(source.replace("return y if z is None else y * silu(z)", "return y"))
    asked = ("conformance", "--op", "selective_scan", "--quick", "--case", "memory", "--mode", "full")
    assert "pass, 2 trials" in invoke(*asked, "my_ops_20:selective_scan").stdout
    told = invoke(*asked, "their_ops_20:selective_scan", "--json")
    assert told.exit_code == 1
    assert json.loads(told.stdout)["modes"][0]["difference"]["found_by"] == "outputs"
    assert invoke("conformance", "--op", "scan", "my_ops_20:selective_scan").exit_code == 2
    assert invoke(*asked, "--kind", "mamba", "my_ops_20:selective_scan").exit_code == 2
    listed = json.loads(invoke("conformance", "--list", "--op", "causal_conv1d", "--json").stdout)
    assert "taps-4, without silu" in listed["checkpoints"]
    assert set(listed["operations"]) == set(OPERATIONS)


def test_operations_lie_where_the_function_says() -> None:
    """The stand-in for a GPU: torch's device without numbers, on which shapes are all that there is."""
    seen: list[str] = []

    def scan(u: Any, delta: Any, A: Any, B: Any, C: Any, D: Any = None, z: Any = None, **rest: Any) -> Any:
        seen.extend(str(v.device) for v in (u, delta, A, B, C, D, z, rest["delta_bias"]))
        return torch.zeros(u.shape)

    scan.device = "meta"  # type: ignore[attr-defined]
    conformance.run(scan, kind="selective_scan", quick=True, only=["memory"], modes=["full"])
    assert set(seen) == {"meta"}
