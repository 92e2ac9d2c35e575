"""The report, models that misbehave, and the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import mutants
import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from scancraft import conformance
from scancraft.cli.conformance import conformance as command
from scancraft.conformance.trials import NEEDS, Trial, trials


def test_a_crash_is_a_difference() -> None:
    class Crashes:
        def __call__(self, ids: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("no kernel for this shape")

    report = conformance.run(lambda directory: Crashes(), quick=True)
    assert not report.passed
    assert report.first is not None
    assert report.first.error == "RuntimeError: no kernel for this shape"
    assert report.first.found_by == "exception"


class Other:
    """A right implementation that does not speak torch, and can be told to misbehave."""

    def __init__(self, directory: Path, **faults: object) -> None:
        self.model = mutants.build("cached")(directory)
        self.faults = faults

    def __call__(self, ids: torch.Tensor) -> object:
        logits = self.prefill(ids)[0]
        return np.concatenate([logits, logits]) if "rows" in self.faults else logits

    def prefill(self, ids: torch.Tensor) -> tuple[np.ndarray, object]:
        logits, cache = self.model.prefill(ids)
        return logits.numpy(), cache

    def step(self, ids: torch.Tensor, cache: object) -> tuple[np.ndarray, object]:
        logits, cache = self.model.step(ids, cache)
        return logits.numpy(), cache

    def snapshots(self, ids: torch.Tensor, lengths: list[int]) -> list[tuple[int, object]]:
        return [(length + int("late" in self.faults), None) for length in lengths]

    def hidden(self, ids: torch.Tensor) -> object:
        raise RuntimeError("no hidden states today")

    @property
    def extend(self) -> object:
        raise RuntimeError("not built")


def test_other_libraries_are_right_too() -> None:
    report = conformance.run(Other, quick=True, only=["paths", "registers"], modes=["full", "step", "cached"])
    assert report.passed, report
    assert all(mode.trials for mode in report.modes)


@pytest.mark.parametrize(
    ("mode", "faults", "message"),
    [
        ("full", {"rows": True}, r"logits for 2 words, expected 1"),
        ("snapshots", {}, r"every snapshot is at the end of its document"),
        ("snapshots", {"late": True}, r"a snapshot at position \d+ of a document of \d+ tokens"),
    ],
)
def test_mistakes_are_told(mode: str, faults: dict[str, object], message: str) -> None:
    report = conformance.run(lambda d: Other(d, **faults), quick=True, only=["registers"], modes=[mode])
    assert report.first is not None
    assert re.search(message, str(report.first.error))


def test_a_property_that_raises_is_no_method() -> None:
    (mode,) = conformance.run(Other, quick=True, only=["registers"], modes=["continued"]).modes
    assert mode.skipped is not None
    assert "no extend" in mode.skipped


def test_hidden_that_raises_leaves_the_logits() -> None:
    class Wrong(Other):
        def __call__(self, ids: torch.Tensor) -> object:
            logits = self.prefill(ids)[0]
            logits[:, -1, 3] += 1
            return logits

    report = conformance.run(Wrong, quick=True, only=["registers"], modes=["full"])
    assert report.first is not None
    assert report.first.found_by == "logits"


def test_wrong_shapes_are_a_difference() -> None:
    report = conformance.run(lambda directory: lambda ids: torch.zeros(len(ids), ids.shape[1], 1), quick=True)
    assert report.first is not None
    assert "shape" in report.first.source.meaning


def test_all_modes_have_trials_and_a_model_without_methods_has_one() -> None:
    for mode in conformance.MODES:
        assert any(isinstance(t, Trial) for c in conformance.cases(quick=True) for t in trials(c, mode))
    report = conformance.run(lambda d: mutants.build("sequential")(d).__call__, quick=True, only=["paths"])
    assert [m.mode for m in report.modes if m.skipped is None] == [m for m, needs in NEEDS.items() if not needs]


def test_json_is_plain() -> None:
    fault = next(m for m in mutants.MUTANTS if m.name == "A not negated")
    report = conformance.run(fault.load, quick=True)
    told = json.loads(json.dumps(report.as_json(), allow_nan=False))
    (full,) = [m for m in told["modes"] if m["mode"] == "full"]
    assert full["difference"]["block"] == 0
    assert full["difference"]["reproduction"]["token_ids"]
    assert "DIFFERS" in str(report)


# -- the command line --------------------------------------------------------------------------------------------------


APP = typer.Typer()
APP.command()(command)


def invoke(*arguments: str) -> tuple[int, str, BaseException | None]:
    result = CliRunner().invoke(APP, list(arguments))
    return result.exit_code, result.output, result.exception


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = next(m for m in mutants.MUTANTS if (m.name, m.kind) == ("taps reversed", "mamba"))
    (tmp_path / "kernel_under_test.py").write_text(
        "import mutants\n"
        "good = mutants.build('sequential')\n"
        f"bad = mutants.build('sequential', 'mamba', {fault.old!r}, {fault.new!r})\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    code, output, _ = invoke("kernel_under_test:good", "--quick", "--case", "taps-2")
    assert code == 0
    assert "pass" in output
    code, output, _ = invoke("kernel_under_test:bad", "--quick", "--json")
    assert code == 1
    (full,) = [m for m in json.loads(output)["modes"] if m["mode"] == "full"]
    assert "conv1d.weight" in full["difference"]["exercises"]
    code, output, _ = invoke("kernel_under_test:bad", "--quick", "--case", "embedding")
    assert code == 0  # where no convolution matters
    code, output, _ = invoke("--list")
    assert code == 0
    assert "transformers-associative-scan" in output
    code, output, _ = invoke("--list", "--json", "--kind", "falcon_mamba")
    assert code == 0
    assert json.loads(output)["kinds"]["transformers-falcon-mamba"] == "falcon_mamba"
    assert "dt-epsilon" in json.loads(output)["checkpoints"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such-thing"], "no implementation is called"),
        (["json:no_such_function"], "cannot be imported"),
        (["json:__name__"], "not callable"),
        (["leaves_at_once:load"], "cannot be imported (SystemExit: 3"),
        (["breaks_at_once:load"], "cannot be imported (RuntimeError: no GPU"),
        (["scancraft", "--mode", "sideways"], "there is no mode sideways"),
        (["scancraft", "--case", "nothing"], "there is no case nothing"),
        (["scancraft", "--kind", "mamba2"], "leave the kind out"),
        (["json:loads", "--kind", "rnn"], "cannot compile to 'rnn'"),
        (["json:loads"], "cannot load the checkpoint"),
        ([], "name an implementation"),
        (["scancraft", "--mode", "step", "--case", "paths"], "nothing was tried of scancraft: step: the model has no"),
        (["transformers", "--quick", "--mode", "step", "--case", "boundaries"], "none of the checkpoints has it"),
        (["transformers-mamba2", "--quick", "--case", "taps-9"], "there is no case taps-9"),
    ],
)
def test_bad_input(arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "leaves_at_once.py").write_text("raise SystemExit(3)\n", encoding="utf-8")
    (tmp_path / "breaks_at_once.py").write_text("raise RuntimeError('no GPU')\n", encoding="utf-8")
    from scancraft.automata.errors import ScancraftError

    _, _, error = invoke(*arguments)
    assert isinstance(error, ScancraftError)
    assert error.exit_code == 2
    assert message in str(error)
