"""The implementations that are known by name, and mamba_ssm with stand-ins."""

from __future__ import annotations

import importlib
import logging
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch

from scancraft import conformance
from scancraft.automata.errors import MissingExtraError
from scancraft.conformance.cases import probe_cases
from scancraft.models.checkpoints.checkpoint import load_model

logging.getLogger("transformers").setLevel(logging.ERROR)
CHUNKS = (1, 8, 64)


@pytest.mark.parametrize("mode", ["full", "step", "padded"])
def test_transformers(mode: str) -> None:
    report = conformance.run("transformers", modes=[mode], quick=True)
    assert report.passed, report


@pytest.mark.parametrize("name", ["transformers", "transformers-mamba2", "transformers-falcon-mamba"])
@pytest.mark.skipif(version("transformers") != "5.23.0", reason="the release in which the fault is known to be")
def test_steps_after_a_prefill_that_was_padded_on_the_right(name: str) -> None:
    report = conformance.run(name, modes=["padded-continued"], quick=True, only=["memory", "taps-4"])
    found = report.first
    assert found is not None
    assert not found.trial.left
    assert found.error is None
    assert "conv1d" in found.source.exercises
    assert len(found.trial.words) == 2


@pytest.mark.parametrize("kind", ["olmo_hybrid", "qwen3_next", "qwen3_5"])
def test_transformers_gated_delta_nets(kind: str) -> None:
    only = ["reflections", "S_5"] if kind == "olmo_hybrid" else ["grouped"]
    report = conformance.run("transformers", kind=kind, modes=["full", "cached"], quick=True, only=only)
    assert report.implementation == f"transformers-{kind.replace('_', '-')}"
    assert report.passed, report


def test_chunks_of_gated_delta_nets() -> None:
    report = conformance.run("transformers-olmo-hybrid-chunk-3", modes=["full", "continued"], quick=True, only=["S_5"])
    assert report.passed, report


def test_scancraft_itself() -> None:
    assert conformance.run("scancraft", quick=True).passed


def test_scancraft_itself_with_signs() -> None:
    assert conformance.run("scancraft-signed-runner", quick=True).passed
    only = ["registers", "flips", "signed-state-4", "language parity"]
    report = conformance.run("scancraft-signed", quick=True, only=only)
    assert report.passed, report
    assert {m.mode for m in report.modes if m.trials} >= {"full", "step", "cached", "continued", "padded"}


def test_transformers_falcon_mamba() -> None:
    only = ["memory", "dt-epsilon", "registers", "state-14"]
    report = conformance.run("transformers-falcon-mamba", modes=["full", "step", "padded"], quick=True, only=only)
    assert report.passed, report


@pytest.mark.parametrize("kind", ["", "falcon-mamba-"])
def test_the_associative_scan_is_run(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("torch._higher_order_ops.associative_scan")
    lengths = []
    scan = module.generic_associative_scan

    def counted(operator: object, leaves: list[torch.Tensor], *rest: object, **named: object) -> object:
        lengths.append(len(leaves[0]))
        return scan(operator, leaves, *rest, **named)

    monkeypatch.setattr(module, "generic_associative_scan", counted)
    name = f"transformers-{kind}associative-scan"
    report = conformance.run(name, modes=["full", "cached", "padded"], quick=True, only=["registers", "lengths"])
    assert report.passed, report
    assert {1, 2, 3, 4, 5, 8, 16, 17, 33, 40} <= set(lengths)
    assert report.note
    lengths.clear()
    conformance.run(f"transformers-{kind}".strip("-"), modes=["full"], quick=True, only=["registers"])
    assert not lengths  # nothing is left behind


def test_the_compiled_graph() -> None:
    report = conformance.run("transformers-compiled", quick=True, only=["taps-4"])
    assert report.passed, report
    assert [(m.mode, m.trials, m.tokens) for m in report.modes] == [("full", 2, 17 + 4 * 17)]


@pytest.mark.parametrize("chunk", [3, 64])
def test_transformers_mamba2(chunk: int) -> None:
    report = conformance.run(
        f"transformers-mamba2-chunk-{chunk}", modes=["full", "padded"], quick=True, only=["language D-2"]
    )
    assert report.passed, report


@pytest.mark.parametrize("way", ["load", "load_unfused", "load_without_convolution"])
def test_mamba_ssm_with_stand_ins(way: str) -> None:
    import mamba_ssm_on_cpu

    only = ["taps-4", "registers", "state-16", "language D-2"] if way == "load" else ["taps-4", "registers"]
    try:
        report = conformance.run(getattr(mamba_ssm_on_cpu, way), quick=True, only=only)
    except MissingExtraError as reason:
        pytest.skip(str(reason))
    assert report.passed, report
    assert "stand-in" in report.note
    assert [m.mode for m in report.modes if m.trials] == ["full", "step", "cached", "interleaved", "prefix"]


@pytest.mark.parametrize("chunk", CHUNKS)
def test_transformers_at_every_chunk_size(chunk: int, tmp_path: Path) -> None:
    for case in probe_cases("mamba2", True):
        if (case.name, chunk) in (("boundaries", 1), ("long-hold", 1)):
            continue  # takes gigabytes, or seconds; the full set tries it
        directory = tmp_path / case.name
        case.write(directory)
        model = load_model(directory)
        for block in model.backbone.layers:
            block.mixer.chunk_size = chunk
        ids = torch.from_numpy(case.words)
        with torch.inference_mode():
            logits = model(ids, use_cache=False).logits
        assert np.array_equal(logits.numpy(), case.expect(case.words).logits), case.name


@pytest.mark.parametrize("mode", ["step", "cached", "continued", "padded", "interleaved"])
def test_transformers_in_every_mode(mode: str) -> None:
    only = None if mode == "padded" else ["taps-4", "entries-4", "registers", "recall", "decay", "stack"]
    report = conformance.run("transformers-mamba2-chunk-3", modes=[mode], quick=True, only=only)
    assert report.passed, report
