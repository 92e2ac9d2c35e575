"""Checkpoints in standard shapes and in the formats of other runtimes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import mutants
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from scancraft.conformance.cases import cases
from scancraft.models.exports.gguf import write_gguf
from scancraft.models.exports.mlx import HYBRIDS, write_mlx
from scancraft.models.exports.onnx import Step
from scancraft.models.exports.source import KINDS, ExportError, source_of
from scancraft.models.padding import STANDARD, Shape, Source, padded

NAMES = ("taps-3", "registers", "epsilon", "dt-epsilon", "stack", "language D-2")
POSED = [(kind, case.name) for kind in KINDS for case in cases(kind, quick=True) if case.name in NAMES]


def written(kind: str, name: str, directory: Path) -> tuple[Source, np.ndarray]:
    """A case as a source, and its words."""
    (case,) = (c for c in cases(kind, quick=True) if c.name == name)
    case.write(directory)
    return source_of(directory), case.words[:3, :24]


@pytest.mark.parametrize(("kind", "name"), POSED)
def test_padding_changes_no_bit(kind: str, name: str, tmp_path: Path) -> None:
    source, words = written(kind, name, tmp_path / "a")
    shape = STANDARD[kind]
    wide = padded(source, shape)
    (tmp_path / "b").mkdir()
    write_mlx(wide, tmp_path / "b")
    ids = torch.from_numpy(words)
    before, after = (mutants.build("sequential", kind)(tmp_path / place)(ids) for place in ("a", "b"))
    vocabulary = before.shape[-1]
    assert torch.equal(after[..., :vocabulary], before)
    pad = int(source.config["pad_token_id"])
    assert torch.equal(
        after[..., vocabulary:], before[..., [pad]].expand(*before.shape[:2], after.shape[-1] - vocabulary)
    )
    assert wide.d_model >= shape.d_model
    assert wide.config["vocab_size"] % shape.vocabulary == 0
    assert wide.config["conv_kernel"] == shape.d_conv
    if kind != "falcon_mamba":
        assert wide.config["state_size"] == shape.d_state
    if kind != "mamba2":
        assert wide.d_inner == 2 * wide.d_model


def test_models_that_are_wider_keep_their_sizes(tmp_path: Path) -> None:
    source, _ = written("mamba", "registers", tmp_path / "a")
    same = padded(source, Shape(d_model=1, d_conv=1, d_state=1, expand=int(source.config["expand"]), vocabulary=1))
    assert same.config == source.config | {"intermediate_size": source.d_inner}
    assert all(np.array_equal(same.tensors[name], t) for name, t in source.tensors.items())


@pytest.mark.parametrize("kind", KINDS)
def test_the_step_that_becomes_onnx_is_right(kind: str, tmp_path: Path) -> None:
    source, words = written(kind, "registers", tmp_path / "a")
    step, ids = Step(source), torch.from_numpy(words)
    memories, told = [torch.zeros(size) for size in step.sizes(len(ids))], []
    for t in range(ids.shape[1]):
        logits, *memories = step(ids[:, t], *memories)
        told.append(logits)
    assert torch.equal(torch.stack(told, dim=1), mutants.build("sequential", kind)(tmp_path / "a")(ids))


@pytest.mark.parametrize("of", ["this version", "an older one"])
def test_mlx_finds_the_keys_that_it_needs(of: str, tmp_path: Path) -> None:
    source, _ = written("mamba2", "registers", tmp_path / "a")
    if of == "an older one":
        added = ("intermediate_size", "time_step_limit", "time_step_rank")
        source = replace(source, config={key: value for key, value in source.config.items() if key not in added})
    write_mlx(source, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert config["intermediate_size"] == config["num_heads"] * config["head_dim"]
    assert config["time_step_limit"] == [0.0, 2.0**127]
    assert "time_step_rank" in config
    assert load_file(tmp_path / "model.safetensors").keys() == source.tensors.keys()


@pytest.mark.parametrize("kind", ["olmo_hybrid", "qwen3_next", "qwen3_5"])
def test_gated_delta_nets_under_the_names_of_mlx(kind: str, tmp_path: Path) -> None:
    (case,) = (c for c in cases(kind, quick=True) if c.name == "taps-2")
    case.write(tmp_path / "a")
    source = source_of(tmp_path / "a", HYBRIDS)
    write_mlx(source, tmp_path)
    found, linear = load_file(tmp_path / "model.safetensors"), "model.layers.0.linear_attn."
    taps, norm = source.tensors[f"{linear}conv1d.weight"], source.tensors["model.norm.weight"]
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["model_type"] == kind
    if kind == "olmo_hybrid":
        parts = [found[f"{linear}{part}_conv1d.weight"] for part in "qkv"]
        assert np.array_equal(np.concatenate(parts), taps)
        assert len(parts[0]) == len(found[f"{linear}q_proj.weight"])
        assert len(parts[2]) == len(found[f"{linear}v_proj.weight"])
    else:
        turned = kind == "qwen3_next"
        assert np.array_equal(found[f"{linear}conv1d.weight"], taps.swapaxes(1, 2) if turned else taps)
        assert np.array_equal(found["model.norm.weight"], norm + turned)
        assert np.array_equal(found[f"{linear}norm.weight"], source.tensors[f"{linear}norm.weight"])


def test_gguf_holds_the_weights(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    source, _ = written("mamba2", "registers", tmp_path / "a")
    write_gguf(source, tmp_path / "m.gguf")
    read = {t.name: t.data for t in gguf.GGUFReader(tmp_path / "m.gguf").tensors}
    assert np.array_equal(read["token_embd.weight"], source.tensors["backbone.embeddings.weight"])
    assert np.array_equal(read["blk.0.ssm_in.weight"], source.tensors["backbone.layers.0.mixer.in_proj.weight"])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_exact_or_refused(dtype: str, tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    source, _ = written("mamba2", "registers", tmp_path / "a")
    name = "backbone.layers.0.mixer.in_proj.weight"
    small = replace(source, tensors={n: np.float32(np.sign(t)) for n, t in source.tensors.items()})
    write_gguf(small, tmp_path / "m.gguf", dtype)
    (stored,) = (t for t in gguf.GGUFReader(tmp_path / "m.gguf").tensors if t.name == "blk.0.ssm_in.weight")
    assert stored.tensor_type.name == {"float16": "F16", "bfloat16": "BF16"}[dtype]
    odd = replace(small, tensors={**small.tensors, name: small.tensors[name] + np.float32(2.0**-20)})
    with pytest.raises(ExportError, match=f"in_proj.weight is not exact in {dtype}"):
        write_gguf(odd, tmp_path / "n.gguf", dtype)


def test_llama_cpp_has_expand_2_only(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    source, _ = written("mamba", "taps-3", tmp_path / "a")
    if source.d_inner != 2 * source.d_model:
        with pytest.raises(ExportError, match="standard shape"):
            write_gguf(source, tmp_path / "m.gguf")
