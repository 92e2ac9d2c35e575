"""Compiled weights in the package mamba_ssm, on a CPU: published Python and Triton code, stand-ins for the extensions.

What is real and what is not: ``tests/support/selective_scan_stand_in.py``. The CUDA kernels:
``tests/models/test_gpu.py``.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from against_truth import padded
from oracle import few_words
from selective_scan_stand_in import CHUNK, convolve, convolve_step, mamba_ssm_on_cpu, on_cpu, scan_forward

import scancraft
from scancraft import Compiled, members_of, mixture_of
from scancraft.automata.counters.families import dyck_1, equal_blocks
from scancraft.automata.families import ascending_runs, d_n
from scancraft.automata.families import flip_flop as flip_flop_language
from scancraft.automata.languages import truth_of
from scancraft.compiler.compiled import CompiledModel
from scancraft.compiler.constructions import dyck, flip_flop
from scancraft.compiler.targets.float16 import fit
from scancraft.models.checkpoints.mamba_ssm import Session, build_block, build_mamba_ssm, load_mamba_ssm
from scancraft.models.errors import CheckpointError, ReadoutError

mamba_ssm = mamba_ssm_on_cpu()

pytestmark = [
    pytest.mark.filterwarnings("ignore:overflow encountered in exp:RuntimeWarning"),
]

LANGUAGES: dict[str, CompiledModel] = {
    "D-3": scancraft.compile(d_n(3)),
    "D-3, four taps, five states": scancraft.compile(d_n(3), d_conv=4, d_state=5),
    "aa*bb*cc*": scancraft.compile(ascending_runs("abc")),
    "flip-flop": scancraft.compile(flip_flop_language()),
    "flip-flop, theorem 1": flip_flop(),
    "Dyck_{2,3}, theorem 6": dyck(2, 3),
    "Dyck-1": scancraft.compile(dyck_1()),
    "a^n b^n c^n": scancraft.compile(equal_blocks("abc")),
}
DTYPES = [torch.float32, torch.bfloat16]


def short_words(compiled: CompiledModel) -> list[tuple[str, ...]]:
    """All words up to a length, or, where the promise is narrower, a sample."""
    if compiled.readout.contract == "all-words":
        return few_words(compiled.language.alphabet, 120)
    return members_of(compiled.language, 120, 0, 24, random.Random(0))


def long_words(compiled: CompiledModel, count: int, length: int) -> list[tuple[str, ...]]:
    sample = members_of if compiled.readout.contract == "live-prefixes" else mixture_of
    return sample(compiled.language, count, length // 2, length, random.Random(1))


def right(compiled: CompiledModel, words: list[tuple[str, ...]], logits: torch.Tensor) -> bool:
    """Whether every logit after every prefix says what the language's own acceptor says.

    Of a DFA they are 16 or -16 to the bit; the paper's constructions also have -48 and the like.
    """
    truth = truth_of(compiled.language)
    codes, lengths = truth.encode(words)
    masks = torch.from_numpy(np.asarray(truth.next_masks(codes, lengths)))
    found = logits.float()[..., compiled.readout.columns(compiled.language.alphabet)]
    for i, word in enumerate(words):
        allowed, scores = masks[i, : len(word) + 1], found[i, : len(word) + 1]
        if (
            isinstance(compiled, Compiled)
            and compiled.plan is None
            and not torch.equal(scores, torch.where(allowed, 16.0, -16.0))
        ):
            return False
        if not (torch.equal(scores > 0, allowed) and bool((scores.abs() >= 16).all())):
            return False
    return True


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("convolution", [True, False], ids=["fused", "separate, nn.Conv1d"])
@pytest.mark.parametrize("name", LANGUAGES)
def test_a_forward_pass_gives_the_expected_bits(name: str, convolution: bool, dtype: torch.dtype) -> None:
    compiled = LANGUAGES[name]
    words = short_words(compiled)
    ids = padded(compiled, words)
    with on_cpu(convolution=convolution, triton=False), torch.no_grad():
        logits = build_mamba_ssm(compiled.weights, dtype=dtype)(ids).logits
    assert logits.dtype == dtype
    assert right(compiled, words, logits)
    with torch.no_grad():
        assert torch.equal(logits.float(), compiled.model(dtype)(ids).logits.float())


@pytest.mark.parametrize(
    ("convolution", "dtype"), [(True, torch.float32), (False, torch.bfloat16)], ids=["causal_conv1d_update", "torch"]
)
@pytest.mark.parametrize("name", LANGUAGES)
def test_prefills_of_every_length_then_steps(name: str, convolution: bool, dtype: torch.dtype) -> None:
    compiled = LANGUAGES[name]
    words = long_words(compiled, 4, 12)
    ids = padded(compiled, words)
    with on_cpu(convolution=convolution, triton=False):
        model = build_mamba_ssm(compiled.weights, dtype=dtype)
        for first in range(1, ids.shape[1] + 1):
            session = Session(model, batch=len(ids))
            logits = session.feed(ids[:, :first])
            for t in range(first, ids.shape[1]):
                logits = torch.cat([logits, session.feed(ids[:, t : t + 1])], 1)
            assert session.tokens == ids.shape[1]
            assert right(compiled, words, logits), first


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("fused", [True, False], ids=["fused", "separate"])
@pytest.mark.parametrize("name", ["D-3, four taps, five states", "Dyck-1"])
def test_the_triton_kernels_interpreted(name: str, fused: bool, dtype: torch.dtype, tmp_path: Path) -> None:
    compiled = LANGUAGES[name]
    words = long_words(compiled, 2, 6)
    ids = padded(compiled, words)
    with on_cpu(), torch.no_grad():
        model = load_mamba_ssm(compiled.save(tmp_path / "model"), dtype=dtype, fused=fused)
        assert all(layer.mixer.use_fast_path is fused for layer in model.backbone.layers)
        assert right(compiled, words, model(ids).logits)
        session = Session(model, batch=len(ids))
        assert right(compiled, words, torch.cat([session.feed(ids[:, :2]), session.feed(ids[:, 2:])], 1))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ["D-3", "Dyck_{2,3}, theorem 6"])
def test_a_block_alone_equals_that_of_transformers(name: str, dtype: torch.dtype) -> None:
    compiled = LANGUAGES[name]
    ids = padded(compiled, long_words(compiled, 3, 20))
    model = compiled.model(dtype)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    for layer in model.backbone.layers:
        layer.mixer.register_forward_hook(lambda _, given, out: seen.append((given[0], out)))
    with torch.no_grad():
        model(ids)
    assert len(seen) == compiled.weights.shape.n_layers > 1
    for layer, (given_, out) in enumerate(seen):
        for fused in (True, False):
            with on_cpu(triton=False), torch.no_grad():
                assert torch.equal(build_block(compiled.weights, layer, dtype=dtype, fused=fused)(given_), out)


@pytest.mark.parametrize("fault", ["A not negated", "D left out", "bias of Delta left out", "gate left out"])
def test_a_wrong_kernel_is_noticed(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests above can fail."""
    compiled = LANGUAGES["D-3"]
    words = short_words(compiled)

    def faulty(u: Any, delta: Any, A: Any, B: Any, C: Any, D: Any, z: Any, bias: Any, softplus: bool) -> Any:
        A = -A if fault == "A not negated" else A
        D = None if fault == "D left out" else D
        bias = None if fault == "bias of Delta left out" else bias
        out = scan_forward(u, delta, A, B, C, D, z, bias, softplus)
        return [*out[:2], out[0]] if fault == "gate left out" else out

    monkeypatch.setattr(mamba_ssm.ops.selective_scan_interface.selective_scan_cuda, "fwd", faulty)
    with on_cpu(triton=False), torch.no_grad():
        logits = build_mamba_ssm(compiled.weights)(padded(compiled, words)).logits
    assert not right(compiled, words, logits)


def test_what_is_refused(tmp_path: Path) -> None:
    compiled = LANGUAGES["D-3"]
    with pytest.raises(CheckpointError, match="is missing"):
        load_mamba_ssm(tmp_path)
    with pytest.raises(ReadoutError, match="not torch"):
        build_mamba_ssm(compiled.weights, dtype=torch.float64)
    with pytest.raises(CheckpointError, match="signed"):
        build_block(scancraft.compile("(0*10*1)*0*", target="signed_mamba").weights, 0)
    place = compiled.save(tmp_path / "model")
    (place / "mamba_ssm" / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(CheckpointError, match="compile the language again"):
        load_mamba_ssm(place)
    session = Session(build_mamba_ssm(compiled.weights), batch=2)
    for shape in ((1, 3), (2, 0), (2,)):
        with pytest.raises(ReadoutError, match="this session takes"):
            session.feed(torch.zeros(shape, dtype=torch.int64))


@pytest.mark.parametrize("time", [1, 2, 63, CHUNK, CHUNK + 1, 2 * CHUNK + 3])
def test_the_stand_in_scans_as_the_reference_of_the_package(time: int) -> None:
    torch.manual_seed(time)
    batch, channels, states = 2, 4, 3
    u, delta, z = (torch.randn(batch, channels, time) for _ in range(3))
    B, C = (torch.randn(batch, 1, states, time) for _ in range(2))
    A, D, bias = -torch.rand(channels, states), torch.randn(channels), torch.randn(channels)
    reference = mamba_ssm.ops.selective_scan_interface.selective_scan_ref
    want, last = reference(u, delta, A, B[:, 0], C[:, 0], D, z, bias, True, True)
    _, ends, found = scan_forward(u, delta, A, B, C, D, z, bias, True)
    assert ends.shape == (batch, channels, -(-time // CHUNK), 2 * states)
    torch.testing.assert_close(found, want, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ends[:, :, -1, 1::2], last, rtol=1e-4, atol=1e-4)


def test_the_stand_in_refuses_what_the_kernels_refuse() -> None:
    u, states = torch.zeros(1, 2, 3), torch.zeros(1, 1, 1, 3)
    A = torch.zeros(2, 1)
    with pytest.raises(RuntimeError, match="must share"):
        scan_forward(u.double(), u.double(), A, states.double(), states.double(), None, None, None, True)
    with pytest.raises(RuntimeError, match="must be float32"):
        scan_forward(u, u, A.bfloat16(), states, states, None, None, None, True)
    with pytest.raises(RuntimeError, match="do not fit"):
        scan_forward(u, u[..., :2], A, states, states, None, None, None, True)
    with pytest.raises(RuntimeError, match="width"):
        convolve(u, torch.zeros(2, 5))


@pytest.mark.parametrize("taps", [2, 3, 4])
def test_the_stand_in_convolves_as_torch_does(taps: int) -> None:
    torch.manual_seed(taps)
    x, weight, bias = torch.randn(2, 5, 9), torch.randn(5, taps), torch.randn(5)
    want = torch.nn.functional.silu(
        torch.nn.functional.conv1d(x, weight[:, None], bias, padding=taps - 1, groups=5)[..., :9]
    )
    torch.testing.assert_close(convolve(x, weight, bias, activation="silu"), want)
    state = torch.zeros(2, 5, taps)
    steps = [convolve_step(x[..., t], state, weight, bias, "silu") for t in range(9)]
    torch.testing.assert_close(torch.stack(steps, -1), want)


@pytest.mark.parametrize("triton", [False, True], ids=["references", "Triton interpreted"])
@pytest.mark.parametrize("name", ["D-3", "aa*bb*cc*"])
def test_float16(name: str, triton: bool) -> None:
    compiled = LANGUAGES[name]
    words = long_words(compiled, 2, 5) if triton else short_words(compiled)
    ids = padded(compiled, words)
    with on_cpu(triton=triton), torch.no_grad():
        model = build_mamba_ssm(fit(compiled.circuit, compiled.weights, "float16"), dtype=torch.float16)
        logits = model(ids).logits
        assert logits.dtype == torch.float16
        assert right(compiled, words, logits)
        assert right(compiled, words, Session(model, batch=len(ids)).feed(ids))


@pytest.mark.parametrize(
    ("language", "words"),
    [("(ab)*", [("a", "b"), ("b", "a")]), ("Dyck-1", [("(", ")")])],
)
def test_mamba2_blocks_with_triton_interpreted(language: str, words: list[tuple[str, ...]]) -> None:
    """``mamba_ssm.Mamba2``: the chunked scan, the gated norm and the state update are Triton's, here interpreted."""
    counts = language == "Dyck-1"
    compiled: CompiledModel = scancraft.compile(
        dyck_1() if counts else language, target="mamba2", contract="live-prefixes" if counts else None
    )
    ids = padded(compiled, words)
    with on_cpu(), torch.no_grad():
        model = build_mamba_ssm(compiled.weights)  # type: ignore[arg-type]
        assert right(compiled, words, model(ids).logits)
        session = Session(model, batch=len(words))
        assert right(compiled, words, torch.cat([session.feed(ids[:, :2]), session.feed(ids[:, 2:])], 1))
