"""The same bits on a GPU, in transformers and in mamba_ssm's kernels; skipped where there is none."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import random
from pathlib import Path

import pytest
import torch
from against_truth import padded

import scancraft
from scancraft.automata.counters.families import dyck_1, equal_blocks
from scancraft.automata.families import d_n
from scancraft.automata.families import flip_flop as flip_flop_language
from scancraft.automata.words.mixtures import members_of, mixture_of
from scancraft.compiler.compiled import CompiledModel
from scancraft.compiler.constructions import dyck, flip_flop
from scancraft.models.checkpoints.mamba_ssm import Session, load_mamba_ssm

MISSING = [name for name in ("mamba_ssm", "selective_scan_cuda", "causal_conv1d") if not importlib.util.find_spec(name)]

gpu = pytest.mark.gpu
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU, and torch sees none")
needs_kernels = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (scancraft[cuda])")

BUILD = {
    "D-4": lambda: scancraft.compile(d_n(4)),
    "flip-flop": lambda: scancraft.compile(flip_flop_language()),
    "flip-flop, theorem 1": flip_flop,
    "Dyck_{8,10}": lambda: dyck(8, 10),
    "Dyck-1": lambda: scancraft.compile(dyck_1()),
    "a^n b^n c^n": lambda: scancraft.compile(equal_blocks("abc")),
}


@functools.cache
def made(name: str) -> CompiledModel:
    return BUILD[name]()


def padded_words(compiled: CompiledModel, count: int, longest: int) -> torch.Tensor:
    """Token ids of words. On dead prefixes a model for live prefixes promises nothing."""
    sample = members_of if compiled.readout.contract == "live-prefixes" else mixture_of
    return padded(compiled, sample(compiled.language, count, 0, longest, random.Random(0)))


def bits_on_the_cpu(compiled: CompiledModel, ids: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Logits by scancraft's runner. (With mamba_ssm installed transformers calls its kernels on a CPU, too.)"""
    return compiled.runner(dtype)(ids).float()


@gpu
@needs_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", BUILD)
def test_logits_on_the_gpu_equal_those_on_the_cpu(name: str, dtype: torch.dtype) -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    compiled = made(name)
    ids = padded_words(compiled, 50, 80)
    with torch.no_grad():
        there = compiled.model(dtype).cuda()(ids.cuda()).logits.float().cpu()
    assert torch.equal(bits_on_the_cpu(compiled, ids, dtype), there)


@gpu
@needs_gpu
@needs_kernels
@pytest.mark.parametrize("fused", [True, False], ids=["fused", "separate kernels"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", BUILD)
def test_mamba_ssm_kernels_give_the_bits_of_the_cpu(name: str, dtype: torch.dtype, fused: bool, tmp_path: Path) -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    compiled = made(name)
    ids = padded_words(compiled, 20, 60)
    model = load_mamba_ssm(compiled.save(tmp_path / "model"), dtype=dtype, device="cuda", fused=fused)
    with torch.no_grad():
        want = bits_on_the_cpu(compiled, ids, dtype)
        assert torch.equal(model(ids.cuda()).logits.float().cpu(), want)
        for first in (1, 2, 3, ids.shape[1] - 1):
            session = Session(model, len(ids))
            logits = [session.feed(ids[:, :first].cuda()), session.feed(ids[:, first:].cuda())]
            assert torch.equal(torch.cat(logits, dim=1).float().cpu(), want)


@gpu
@needs_gpu
@needs_kernels
@pytest.mark.parametrize("name", ["D-4", "Dyck-1"])
def test_a_million_tokens_in_one_prefill(name: str, tmp_path: Path) -> None:
    from scancraft.accuracy import accuracy
    from scancraft.automata.languages import truth_of

    compiled = made(name)
    words = mixture_of(compiled.language, 2, 999_980, 1_000_000, random.Random(0))
    model = load_mamba_ssm(compiled.save(tmp_path / "model"), device="cuda")
    found = accuracy(model, truth_of(compiled.language), compiled.readout, words)
    assert found.right_positions == found.positions >= 2 * 999_980
