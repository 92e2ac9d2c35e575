"""``scancraft export``."""

from __future__ import annotations

import json
from pathlib import Path

import mutants
import pytest
import torch
from command_line import answer, invoke, refused

import scancraft
from scancraft.conformance import exported
from scancraft.conformance.sessions import ModelSession


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("export") / "d2"
    scancraft.compile(scancraft.named("D-2"), place)
    return place


def plain(old: str = "", new: str = "") -> object:
    return lambda path: ModelSession(mutants.build("cached", "mamba", old, new)(path))


def test_what_is_written_is_run(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(exported.SESSIONS, "mlx", plain())
    for options in ([], ["--shape", "standard", "--vocabulary", "64"]):
        out = tmp_path / f"mlx-{len(options)}"
        told = answer(invoke("export", small, "--to", "mlx", "-o", out, *options, "--json"))
        assert told["equal"] is True
        assert told["tokens"] == 768
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    assert (config["hidden_size"], config["vocab_size"], config["expand"]) == (64, 64, 2)


def test_what_differs_is_not_kept(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(exported.SESSIONS, "mlx", plain("            self.states[layer][slots] = h\n"))
    assert "DIFFERENT" in refused(invoke("export", small, "--to", "mlx", "-o", tmp_path / "x"), 1)
    assert not (tmp_path / "x").exists()


def test_mamba_ssm_reads_what_is_written(small: Path, tmp_path: Path) -> None:
    assert "written to" in invoke("export", small, "--to", "mamba_ssm", "-o", tmp_path / "m").stdout
    ours = torch.load(small / "mamba_ssm" / "pytorch_model.bin")
    theirs = torch.load(tmp_path / "m" / "pytorch_model.bin")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert (small / "mamba_ssm" / "config.json").read_bytes() == (tmp_path / "m" / "config.json").read_bytes()
    told = refused(invoke("export", small, "--to", "mamba_ssm", "--shape", "standard", "-o", tmp_path / "n"))
    assert "epsilon 1e-5 built in" in told


@pytest.mark.parametrize("to", ["gguf", "onnx", "mlx"])
def test_other_runtimes(to: str, small: Path, tmp_path: Path) -> None:
    done = invoke("export", small, "--to", to, "--shape", "standard", "-o", tmp_path / "x")
    if "cannot be imported" in done.stdout + done.stderr:
        pytest.skip("the runtime is not installed")
    assert "equal, bit for bit" in done.stdout


def test_an_olmo_hybrid_goes_to_mlx_alone(tmp_path: Path) -> None:
    scancraft.compile("(aa)*", tmp_path / "even", target="olmo_hybrid")
    done = invoke("export", tmp_path / "even", "--to", "mlx", "-o", tmp_path / "x")
    assert "equal, bit for bit" in done.stdout or "cannot be imported" in done.stdout
    assert (tmp_path / "x" / "model.safetensors").exists()
    assert "takes mamba, falcon_mamba, mamba2" in refused(
        invoke("export", tmp_path / "even", "--to", "gguf", "-o", tmp_path / "y")
    )
