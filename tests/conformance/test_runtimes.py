"""Other runtimes, where they are installed."""

from __future__ import annotations

import pytest

from scancraft import conformance
from scancraft.automata.errors import MissingExtraError

RUNTIMES = [
    f"{runtime}{kind}" for runtime in ("llama.cpp", "mlx", "onnxruntime") for kind in ("", "-mamba2", "-falcon-mamba")
]


def report_of(name: str, only: list[str], modes: list[str]) -> conformance.Report:
    """What the quick set says of a runtime; skipped where it is not installed."""
    try:
        return conformance.run(name, quick=True, only=only, modes=modes)
    except MissingExtraError as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("name", [*RUNTIMES, "mambapy"])
def test_runtimes(name: str) -> None:
    modes = [m for m in conformance.MODES if not (name in ("mlx", "mlx-falcon-mamba") and "padded" in m)]
    report = report_of(name, ["taps-3", "registers"], modes)
    assert report.passed, report
    tried = {mode.mode for mode in report.modes if mode.trials}
    assert tried >= {"full", "step", "cached", "interleaved", "prefix"}
    if name != "mambapy":
        assert tried >= {"continued", "forked", "restored", "batched", "mixed"}


def test_the_epsilon_of_falcons_norms_in_llama_cpp() -> None:
    report = report_of("llama.cpp-falcon-mamba", ["dt-epsilon"], ["full"])
    assert report.first is not None
    assert "epsilon of the norm of dt" in report.first.source.exercises


def test_padded_prompts_in_mlx() -> None:
    report = report_of("mlx", ["taps-3"], ["padded-continued"])
    assert report.first is not None
    assert "conv1d" in report.first.source.exercises


@pytest.mark.parametrize("kind", ["olmo_hybrid", "qwen3_next", "qwen3_5"])
def test_gated_delta_nets_in_mlx(kind: str) -> None:
    modes = [m for m in conformance.MODES if not (kind == "olmo_hybrid" and "padded" in m)]
    report = report_of(f"mlx-{kind.replace('_', '-')}", ["taps-2"], modes)
    assert report.passed, report
    tried = {mode.mode for mode in report.modes if mode.trials}
    assert tried >= {"full", "step", "cached", "continued", "forked", "restored", "batched", "mixed"}


def test_padded_prompts_of_olmo_hybrid_in_mlx() -> None:
    report = report_of("mlx-olmo-hybrid", ["taps-2"], ["padded-continued"])
    assert report.first is not None
    assert "conv1d" in report.first.source.exercises
