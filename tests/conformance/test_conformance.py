"""The conformance set: its integers against meanings written by hand, planted faults, the report, the command line."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import mutants
import numpy as np
import pytest
import torch
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from scancraft.cli.conformance import conformance as command
from scancraft.conformance import conformance
from scancraft.conformance.probes import mamba as probes
from scancraft.conformance.probes.probe import Probe, evaluate
from scancraft.conformance.trials import NEEDS, Trial, trials

LARGE = {
    "only sixteen entries of the state": "state-64",
    "only the first 64 entries of the state": "state-128",
}
"""Mutants that only the full set can find, and the case that does."""
MAMBA = [base for base, kind in mutants.BASES.items() if kind == "mamba"]


def feature(probe: Probe, word: list[str], name: str) -> list[int]:
    """A feature at the end of the last block, after each token."""
    ids = np.array([[probe.ids[t] for t in word]])
    return [int(v) for v in evaluate(probe, ids).streams[-1][0, :, probe.features.index(name)]]


# -- the integers mean what they say (an independent definition of each, in plain Python) ------------------------------

LETTERS = st.lists(st.sampled_from(["<bos>", "a", "b", "c", "-"]), min_size=1, max_size=30)


@given(LETTERS, st.integers(2, 4))
@settings(max_examples=60, deadline=None)
def test_taps_look_back(word: list[str], d_conv: int) -> None:
    probe = probes.taps(d_conv)
    for j in range(d_conv):
        right = [int(t >= j and word[t - j] == "a") for t in range(len(word))]
        assert feature(probe, word, f"a {j} back") == right
    mix = [sum(2 ** (d_conv - 1 - j) for j in range(d_conv) if t >= j and word[t - j] == "a") for t in range(len(word))]
    assert feature(probe, word, "mix") == mix


@given(st.lists(st.sampled_from(list(probes.registers().ids)[1:]), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_registers_hold_what_was_written(word: list[str]) -> None:
    probe = probes.registers()
    held = dict.fromkeys(range(5), 0)
    total, kept = 0, 0
    seen: dict[str, list[int]] = {name: [] for name in ("register 0", "register 4", "sum", "kept", "clock", "never")}
    for t, token in enumerate(word, 1):
        value = 0
        if match := re.fullmatch(r"(\d):=(\d)", token):
            value = int(match[2])
            held[int(match[1])] = value
        if token == "add":
            value = 3
            total += 3
        kept = kept if token == "hold" else value
        for name, now in zip(seen, (held[0], held[4], total, kept, t, 0), strict=True):
            seen[name].append(now)
    for name, values in seen.items():
        assert feature(probe, word, name) == values


@pytest.mark.parametrize("d_state", [1, 2, 5, 128])
def test_every_state_entry_reaches_the_logits(d_state: int) -> None:
    probe = probes.state(d_state)
    for n in range(d_state):
        odd = feature(probe, ["w1", "w2", f"r{n}"], "h odd")[-1]
        first, second = 1 + n % 7, 2 + n % 5
        assert odd == (first + second if n % 2 else second)
        even = feature(probe, ["w1", "w2", f"r{n}"], "h even")[-1]
        assert even == (4 * second if n % 2 else 2 * first + 4 * second)


def test_stack_adds_up_what_was_delayed() -> None:
    probe = probes.stack()
    for word in itertools.product(["-", "1", "2", "step"], repeat=5):
        first, before, second, third, sums = 0, 0, 0, 0, []
        for token in word:
            before, first = first, int(token) if token in "12" else first
            if token == "step":
                second = before
                third += second
            sums.append(third + second)
        assert feature(probe, list(word), "third") == sums


@pytest.mark.parametrize("kind", ["mamba", "signed_mamba", "falcon_mamba"])
def test_every_case_has_words_that_begin_with_its_tokens_and_fits_float32(kind: str) -> None:
    for case in conformance.cases(kind):
        if case.name.startswith("long-"):
            continue
        logits = case.expect(case.words).logits
        assert np.abs(logits).max() < 2**24
        assert len(np.unique(logits)) > 1


def test_every_parameter_of_the_block_matters(tmp_path: Path) -> None:
    """Changing any parameter tensor of some checkpoint, in any entry that carries something, changes a logit."""
    from safetensors.torch import load_file, save_file

    names = {"state-2": None, "registers": None, "taps-4": None, "gates": None}
    changed: set[str] = set()
    for case in conformance.cases(quick=True):
        if case.name not in names:
            continue
        directory = tmp_path / case.name
        case.write(directory)
        path = directory / "model.safetensors"
        state = load_file(path)
        load = mutants.build("sequential")
        ids = torch.from_numpy(case.words)
        right = load(directory)(ids)
        for name, tensor in state.items():
            if "layers.0" not in name and "norm_f" not in name and "head" not in name and "embed" not in name:
                continue
            amount = 60.0 if name.endswith("A_log") else 1.0  # what is kept for ever must be forgotten
            save_file({**state, name: tensor + amount}, path)
            if not torch.equal(load(directory)(ids), right):
                changed.add(name.removeprefix("backbone."))
        save_file(state, path)
    assert {n.removeprefix("layers.0.") for n in changed} == {
        *("embeddings.weight", "norm_f.weight", "lm_head.weight", "norm.weight", "mixer.in_proj.weight"),
        *("mixer.conv1d.weight", "mixer.conv1d.bias", "mixer.x_proj.weight", "mixer.dt_proj.weight"),
        *("mixer.dt_proj.bias", "mixer.A_log", "mixer.D", "mixer.out_proj.weight"),
    }


# -- faults ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", MAMBA)
def test_plain_implementations_pass(base: str) -> None:
    report = conformance.run(mutants.build(base), quick=True)
    assert report.passed, report


@pytest.mark.parametrize("mutant", [m for m in mutants.MUTANTS if m.kind == "mamba"], ids=lambda m: m.name)
def test_faults_are_found_and_located(mutant: mutants.Mutant) -> None:
    load = mutants.build(mutant.base, mutant.old, mutant.new)
    only = [LARGE[mutant.name]] if mutant.name in LARGE else None
    report = conformance.run(load, modes=[mutant.mode], quick=mutant.name not in LARGE, only=only)
    found = report.first
    assert found is not None, "survived"
    told = " | ".join((found.case, found.symbol, found.source.exercises, found.source.meaning))
    assert re.search(mutant.where, told), told
    assert found.error is None


def test_there_are_enough_faults_and_the_real_ones_are_among_them() -> None:
    assert len(mutants.MUTANTS) >= 50
    assert len({(m.base, m.old, m.new, m.mode) for m in mutants.MUTANTS}) == len(mutants.MUTANTS)
    assert {m.after.rpartition("#")[2] for m in mutants.MUTANTS} >= set(
        "22034 23279 56196 31833 33450 500 641 716 997 35154".split()
    )


# -- the report --------------------------------------------------------------------------------------------------------


def test_reproduction_is_short_and_reproduces(tmp_path: Path) -> None:
    fault = next(m for m in mutants.MUTANTS if m.name == "initial state ignored at batch size 1")
    load = mutants.build(fault.base, fault.old, fault.new)
    found = conformance.run(load, modes=["continued"], quick=True).first
    assert found is not None
    assert len(found.trial.words) == 1
    assert found.trial.tokens <= 3
    case = next(c for c in conformance.cases(quick=True) if c.name == found.case)
    case.write(tmp_path / "c")
    model = load(tmp_path / "c")
    ids = torch.tensor(found.trial.words)
    (cut,) = found.trial.cuts
    _, cache = model.prefill(ids[:, :cut])
    logits, _ = model.extend(ids[:, cut:], cache)
    right = case.expect(ids.numpy()).logits[:, cut:]
    assert not np.array_equal(logits.numpy(), right)
    assert np.array_equal(mutants.build(fault.base)(tmp_path / "c")(ids).numpy()[:, cut:], right)


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


@pytest.mark.parametrize("chunk", [1024, 2048])
def test_prefills_longer_than_a_chunk(chunk: int) -> None:
    old = "pool[slots] = h"
    new = f"pool[slots] = states[{chunk} - 1] if len(states) > {chunk} else h"
    report = conformance.run(mutants.build("cached", old, new), only=["long-prefill"], modes=["full", "cached"])
    full, cached = report.modes
    assert full.difference is None
    assert cached.difference is not None


def test_wrong_shapes_are_a_difference() -> None:
    report = conformance.run(lambda directory: lambda ids: torch.zeros(len(ids), ids.shape[1], 1), quick=True)
    assert report.first is not None
    assert "shape" in report.first.source.meaning


def test_all_modes_have_trials_and_a_model_without_methods_has_one() -> None:
    for mode in conformance.MODES:
        assert any(isinstance(t, Trial) for c in conformance.cases(quick=True) for t in trials(c, mode))
    report = conformance.run(mutants.build("sequential"), quick=True, only=["paths"])
    assert [m.mode for m in report.modes if m.skipped is None] == [m for m, needs in NEEDS.items() if not needs]


def test_json_is_plain() -> None:
    fault = next(m for m in mutants.MUTANTS if m.name == "A not negated")
    report = conformance.run(mutants.build(fault.base, fault.old, fault.new), quick=True)
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
    fault = next(m for m in mutants.MUTANTS if m.name == "taps reversed")
    (tmp_path / "kernel_under_test.py").write_text(
        "import mutants\n"
        "good = mutants.build('sequential')\n"
        f"bad = mutants.build('sequential', {fault.old!r}, {fault.new!r})\n",
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
