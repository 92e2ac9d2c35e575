"""Which number formats hold compiled models, bit for bit; and torch.compile and torch.export of them."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from against_truth import padded
from hypothesis import given, settings
from oracle import few_words
from stepwise import stepped

import scancraft
from scancraft.automata.counters.families import dyck_1
from scancraft.automata.families import ascending_runs, d_n
from scancraft.automata.languages import truth_of
from scancraft.automata.words.mixtures import members_of
from scancraft.certify.certify import Certificate, certify
from scancraft.compiler.compiled import CompiledModel
from scancraft.compiler.constructions import dyck, flip_flop
from scancraft.compiler.targets.float16 import fit
from scancraft.models.precision import FORMATS, PrecisionError, check_precision, rounded_parameters
from scancraft.testing import star_free_dfas

WIDE = ["float32", "bfloat16", "float64"]
BUILD: dict[str, Callable[[], CompiledModel]] = {
    "D-3": lambda: scancraft.compile(d_n(3)),
    "aa*bb*cc*": lambda: scancraft.compile(ascending_runs("abc")),
    "flip-flop, theorem 1": flip_flop,
    "Dyck_{2,3}, theorem 6": lambda: dyck(2, 3),
    "Dyck-1": lambda: scancraft.compile(dyck_1()),
}
CASCADES = ["D-3", "aa*bb*cc*"]


@cache
def made(name: str) -> CompiledModel:
    return BUILD[name]()


def words_of(compiled: CompiledModel, count: int = 120) -> list[tuple[str, ...]]:
    if compiled.readout.contract == "live-prefixes":
        return members_of(compiled.language, count, 0, 24, random.Random(0))
    return few_words(compiled.language.alphabet, count)


def right(compiled: CompiledModel, words: list[tuple[str, ...]], logits: torch.Tensor) -> bool:
    truth = truth_of(compiled.language)
    masks = torch.from_numpy(np.asarray(truth.next_masks(*truth.encode(words))))
    scores = logits.float()[..., compiled.readout.columns(compiled.language.alphabet)]
    return all(torch.equal(scores[i, : len(w) + 1] > 0, masks[i, : len(w) + 1]) for i, w in enumerate(words))


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("name", BUILD)
def test_the_same_bits_in_every_wide_format(name: str, dtype: str) -> None:
    compiled = made(name)
    words = words_of(compiled)
    ids = padded(compiled, words)
    model = compiled.model(FORMATS[dtype])
    with torch.no_grad():
        want, full, step = compiled.model()(ids).logits, model(ids).logits.float(), stepped(model, ids).float()
    assert right(compiled, words, full)
    assert torch.equal(full, want)
    assert torch.equal(step, want)


@pytest.mark.parametrize("name", BUILD)
def test_which_weights_each_format_holds(name: str) -> None:
    tensors = made(name).weights.tensors
    for dtype in WIDE:
        check_precision(tensors, FORMATS[dtype])
        assert not list(rounded_parameters(tensors, FORMATS[dtype]))
    with pytest.raises(PrecisionError, match="would become inf"):
        check_precision(tensors, torch.float16)


def test_a_rounded_entry_is_named() -> None:
    tensors = {"first": np.array([1.0, 0.5], np.float32), "second": np.array([[1.0, 1 + 2.0**-20]], np.float32)}
    check_precision(tensors, torch.float32)
    for dtype in (torch.bfloat16, torch.float16):
        (found,) = rounded_parameters(tensors, dtype)
        assert (found.name, found.index, found.becomes, found.entries) == ("second", (0, 1), 1.0, 1)
    with pytest.raises(PrecisionError, match=r"second\[0, 1\]"):
        check_precision({n: torch.from_numpy(t) for n, t in tensors.items()}, torch.bfloat16)
    check_precision({"minus zero": np.array([-0.0, 2.0**-24, 65504.0])}, torch.float16)


def fitted(compiled: CompiledModel, dtype: str) -> CompiledModel:
    return replace(compiled, weights=fit(compiled.circuit, compiled.weights, dtype))


def float16_is_exact(compiled: CompiledModel, words: list[tuple[str, ...]]) -> None:
    ids = padded(compiled, words)
    narrow = fitted(compiled, "float16")
    with torch.no_grad():
        want = compiled.model()(ids).logits
    assert right(compiled, words, want)
    for dtype in FORMATS.values():  # these weights hold in every format
        model = narrow.model(dtype)
        with torch.no_grad():
            assert torch.equal(model(ids).logits.float(), want)
            assert torch.equal(stepped(model, ids).float(), want)
    assert torch.equal(narrow.runner(torch.float16)(ids).float(), want)


@pytest.mark.parametrize("name", CASCADES)
def test_cascades_in_float16_with_a_smaller_constant(name: str) -> None:
    float16_is_exact(made(name), words_of(made(name)))


@settings(max_examples=12, deadline=None, derandomize=True, database=None)
@given(star_free_dfas(max_states=5))
def test_drawn_cascades_in_float16(dfa: Any) -> None:
    compiled = scancraft.compile(dfa)
    float16_is_exact(compiled, words_of(compiled, 40))


def test_a_certificate_holds_for_the_smaller_constant() -> None:
    compiled = made("D-3")
    verdict = certify(fitted(compiled, "float16"), compiled.language)
    assert isinstance(verdict, Certificate)
    assert verdict.scope == "every-implementation"


def test_what_does_not_fit() -> None:
    for name in set(BUILD) - set(CASCADES):
        with pytest.raises(PrecisionError, match="only cascades and plans fit it"):
            fitted(made(name), "float16")
        with pytest.raises(PrecisionError, match="would become"):
            check_precision(made(name).weights.tensors, torch.float16)
    with pytest.raises(PrecisionError, match="no dtype 'float8'"):
        fitted(made("D-3"), "float8")
    for dtype in WIDE:
        assert fitted(made("D-3"), dtype).weights is made("D-3").weights


def test_counters_are_refused_where_they_are_not_exact() -> None:
    def deep(dtype: str) -> CompiledModel:
        return dyck(1, 300, dtype=dtype)

    def on_mamba2(dtype: str) -> CompiledModel:
        return scancraft.compile(dyck_1(), target="mamba2", dtype=dtype)

    for compiled in (deep, on_mamba2):
        compiled("float32")
        with pytest.raises(PrecisionError, match="is not counted exactly in bfloat16, only in float32"):
            compiled("bfloat16")
    assert "bfloat16" in dyck(1, 30, dtype="bfloat16").manifest.counters[0].limits


def compiled_pair(count: int) -> tuple[CompiledModel, Any, torch.Tensor]:
    """A language of one block with its model, and as many words of three letters."""
    compiled = scancraft.compile("(a|b)*a")
    assert compiled.weights.shape.n_layers == 1
    words = list(product("ab", repeat=3))[:count]
    return compiled, compiled.model(), padded(compiled, words)


@pytest.mark.filterwarnings("ignore:Dynamo detected a call:UserWarning")
@pytest.mark.parametrize("associative", [False, True], ids=["loop", "associative scan"])
@pytest.mark.parametrize("backend", ["eager", "aot_eager", "inductor"])
def test_torch_compile(backend: str, associative: bool) -> None:
    if backend == "inductor" and not (shutil.which("g++") or shutil.which("clang++")):
        pytest.skip("inductor needs a C++ compiler on a CPU, and there is none")
    if backend == "inductor" and associative:
        pytest.skip("the same code path as with aot_eager, and minutes of compilation")
    _, model, ids = compiled_pair(4)
    ids = ids[:2, :2] if backend == "inductor" else ids  # it compiles the unrolled loop: seconds per token
    for layer in model.backbone.layers:
        layer.mixer.use_associative_scan = associative
    torch._dynamo.reset()
    with torch.no_grad():
        found = torch.compile(lambda given: model(given, use_cache=False).logits, backend=backend)(ids)
        assert torch.equal(found, model(ids, use_cache=False).logits)


def test_torch_export(tmp_path: Path) -> None:
    class Logits(torch.nn.Module):
        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.model(ids, use_cache=False).logits
            return logits

    compiled, model, ids = compiled_pair(8)
    with torch.no_grad():
        torch.export.save(torch.export.export(Logits(model), (ids,)), tmp_path / "model.pt2")
        program: Any = torch.export.load(tmp_path / "model.pt2").module()
        assert torch.equal(program(ids), model(ids).logits)
        turned = ids.flip(0)  # what was traced is the model, not its answers
        assert torch.equal(program(turned), model(turned).logits)
    assert right(compiled, list(product("ab", repeat=3)), program(ids))
