"""PARITY written by hand as one signed Mamba block: whatever way it is run, and what certificates say of it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forgery import accepted, certified, edit_json, promote, rejected, set_at
from parity import TOKENS, T, V, parity_dfa, parity_weights, write_parity
from safetensors.torch import load_file
from stepwise import stepped
from torch import Tensor

import scancraft
from scancraft.automata.families import d_n, flip_flop
from scancraft.certify.certify import Open, Refuted
from scancraft.certify.checker.parts import tensors_digest
from scancraft.models.build import build_model
from scancraft.models.checkpoints.checkpoint import load_model, write_checkpoint
from scancraft.models.mamba import MambaWeights
from scancraft.models.readout import Readout
from scancraft.models.run.runner import Runner

DTYPES = (torch.float32, torch.bfloat16)
READOUT = Readout(tokens={"0": 3, "1": 4}, bos=1, accept=2, pad=0)


def signed_copy(weights: MambaWeights, bias: float = T) -> MambaWeights:
    """The same model in signed blocks whose signs are all that of ``bias``."""
    shape = replace(weights.shape, signed=True)
    tensors = dict(weights.tensors)
    for name, size in shape.tensors().items():
        if "sign_proj" in name:
            tensors[name] = np.full(size, bias if name.endswith("bias") else 0.0, dtype=np.float32)
    return MambaWeights(shape, tensors)


# -- PARITY --------------------------------------------------------------------------------------------------------


def model_of(weights: MambaWeights, dtype: torch.dtype = torch.float32) -> Any:
    return build_model(weights, pad=0, bos=1, eos=2, dtype=dtype)


def right_logits(ids: Tensor) -> Tensor:
    """What the logits of PARITY must be after every token of rows that begin with <bos>."""
    even = 1 - 2 * ((ids == TOKENS["1"]).cumsum(dim=1) % 2)
    logits = torch.full((*ids.shape, 8), -16.0)
    logits[..., [TOKENS["0"], TOKENS["1"]]] = 16.0
    logits[..., TOKENS["<eos>"]] = 16.0 * even
    return logits


def all_words(length: int) -> Tensor:
    return torch.tensor([[1, *(3 + c for c in word)] for word in itertools.product((0, 1), repeat=length)])


def streamed(runner: Runner, ids: Tensor) -> Tensor:
    stream = runner.stream(len(ids))
    return torch.stack([stream.step(tokens) for tokens in ids.unbind(1)], dim=1)


@torch.no_grad()
@pytest.mark.parametrize(("dtype", "sizes"), [(torch.float32, (1, 2)), (torch.bfloat16, (3, 4))], ids=str)
def test_parity_is_right_on_all_words_to_length_10_whatever_way_it_is_run(
    dtype: torch.dtype, sizes: tuple[int, int]
) -> None:
    weights = parity_weights(d_state=sizes[0], d_conv=sizes[1])
    model, runner = model_of(weights, dtype), Runner(weights, dtype=dtype)
    ids = all_words(10)  # their prefixes are the shorter ones
    right = right_logits(ids)
    assert torch.equal(model(ids, use_cache=False).logits, right)
    assert torch.equal(runner(ids), right)
    assert torch.equal(stepped(model, ids), right)
    assert torch.equal(streamed(runner, ids), right)


@pytest.mark.parametrize("language", [d_n(3), flip_flop(), "(ab)*"], ids=["D-3", "flip-flop", "(ab)*"])
def test_compiled_models_in_signed_blocks(language: Any) -> None:
    compiled = scancraft.compile(language)
    weights = signed_copy(compiled.weights)
    tokens = list(compiled.readout.tokens.values())
    ids = torch.from_numpy(np.random.default_rng(0).choice([1, *tokens, *tokens, *tokens], size=(3, 200)))
    expected = compiled.runner()(ids)
    assert torch.equal(Runner(weights)(ids), expected)
    assert torch.equal(model_of(weights)(ids).logits, expected)
    certificate = scancraft.certify(model_of(weights), compiled.dfa, readout=compiled.readout)
    assert isinstance(certificate, scancraft.Certificate)
    assert certificate.scope == "every-implementation"


# -- certificates --------------------------------------------------------------------------------------------------


def changed(changes: dict[str, Any], **sizes: int) -> MambaWeights:
    """PARITY with some numbers of its block replaced: {name: {place: value}}."""
    weights = parity_weights(**sizes)
    tensors = {name: t.copy() for name, t in weights.tensors.items()}
    for name, places in changes.items():
        for place, value in places.items():
            tensors[f"backbone.layers.0.mixer.{name}"][place] = value
    return MambaWeights(weights.shape, tensors)


@pytest.mark.parametrize(("dtype", "sizes"), [(torch.float32, (1, 2)), (torch.bfloat16, (2, 4))], ids=str)
def test_parity_is_certified(dtype: torch.dtype, sizes: tuple[int, int], tmp_path: Path) -> None:
    write_parity(tmp_path / "m", parity_weights(d_state=sizes[0], d_conv=sizes[1]))
    certificate = certified(tmp_path / "m", dtype=dtype)
    assert (certificate.scope, certificate.margin) == ("every-implementation", 16.0)
    assert certificate.content["method"] == "block by block"
    assert certificate.content["implementation"]["model"] == "scancraft.SignedMambaForCausalLM"
    accepted(tmp_path / "m")
    whole = scancraft.certify(load_model(tmp_path / "m", dtype), parity_dfa(), readout=READOUT)
    assert isinstance(whole, scancraft.Certificate)
    assert whole.content["method"] == "whole model"
    whole.save(tmp_path / "m")
    accepted(tmp_path / "m")


def verdict_of(weights: MambaWeights) -> Any:
    budget = scancraft.Budget(300, 5.0)
    return scancraft.certify(model_of(weights), parity_dfa(), readout=READOUT, budget=budget)


REFUTED: dict[str, dict[str, Any]] = {
    "the sign is always -1": {"sign_proj.bias": {0: -T}},
    "the sign is always 1": {"sign_proj.weight": {(0, 1): 0.0}},
    "the sign turns on <bos> instead": {"sign_proj.weight": {(0, 1): 0.0, (0, 0): -2.0}},
    "a 1 overwrites": {"dt_proj.weight": {(0, 1): 1.0 + V / T}},
    "a 1 adds 2, and turns": {
        "dt_proj.weight": {(0, 1): 1.0 + 2 * V / T},
        "A_log": {(0, 0): -1e4},
    },
    "the state is not read": {"x_proj.weight": {(3, 0): 0.0}},
    "the sign vanishes on a 1": {"sign_proj.weight": {(0, 1): -1.0}},
}


@pytest.mark.parametrize("name", REFUTED)
def test_wrong_weights_are_refuted(name: str) -> None:
    weights = changed(REFUTED[name])
    verdict = verdict_of(weights)
    assert isinstance(verdict, Refuted)
    report = scancraft.check(model_of(weights), parity_dfa(), readout=READOUT)
    assert not report.agrees
    assert report.shortest is not None
    assert len(report.shortest.prefix) == len(verdict.word)
    assert verdict.shortest


STEP_ONLY: dict[str, tuple[dict[str, Any], str]] = {
    # tanh(16) is 1 in float32, and less in float64.
    "signs of 16": ({"sign_proj.bias": {0: 16.0}, "sign_proj.weight": {(0, 1): -32.0 / T}}, "functions"),
    "signs of 63": ({"sign_proj.bias": {0: 63.0}, "sign_proj.weight": {(0, 1): -128.0 / T}}, "functions"),
    "an idle channel without a sign": ({"sign_proj.bias": {7: 0.0}}, "functions"),
    "a sum that may round": ({"sign_proj.bias": {0: T + 2.0**-13}, "sign_proj.weight": {(0, 1): -3.0}}, "sums"),
    # -16576 has nine bits, one too many for bfloat16; with the bias of 192 it is -2^14.
    "a product that rounds in bfloat16": (
        {"x_proj.weight": {(1, 2): 56 / T}, "sign_proj.weight": {(0, 1): -296.0}, "sign_proj.bias": {0: 192.0}},
        "sums",
    ),
    # 1, then -1 + 1 = 0, then -0 + 1 = 1: the signs of the scores are right.
    "a 1 adds 1, and turns": ({"dt_proj.weight": {(0, 1): 1.0 + V / T}, "A_log": {(0, 0): -1e4}}, "gates"),
}


@pytest.mark.parametrize("name", STEP_ONLY)
def test_right_signs_without_the_obligations_are_certified_for_the_step_only(name: str, tmp_path: Path) -> None:
    changes, obligation = STEP_ONLY[name]
    write_parity(tmp_path / "m", changed(changes))
    dtype = "bfloat16" if "bfloat16" in name else "float32"
    edit_json(tmp_path / "m" / "config.json", lambda config: config.update(dtype=dtype))
    certificate = certified(tmp_path / "m", dtype=getattr(torch, dtype))
    assert certificate.scope == "step"
    assert {o["name"] for o in certificate.content["obligations"] if not o["holds"]} == {obligation}
    accepted(tmp_path / "m", "step")
    edit_json(tmp_path / "m" / "certificate.json", promote)
    assert "instances fail" in rejected(tmp_path / "m", f"obligation {obligation}: block 0").reason


def test_signs_that_do_not_saturate_are_not_certified() -> None:
    """tanh(4) is 0.9993: the state decays."""
    weights = changed({"sign_proj.bias": {0: 4.0}, "sign_proj.weight": {(0, 1): -8.0 / T}})
    assert isinstance(verdict_of(weights), (Open, Refuted))


def test_random_mutants_get_what_they_deserve(tmp_path: Path) -> None:
    """A certificate only if all words to length 9 are right, whatever the change; and then the checker agrees."""
    rng = np.random.default_rng(0)
    original = parity_weights()
    ids = all_words(9)
    kinds = []
    for i in range(45):
        tensors = {name: t.copy() for name, t in original.tensors.items()}
        name = str(rng.choice([n for n in sorted(tensors) if "mixer" in n and ("sign" in n or i % 2)]))
        places = np.argwhere(tensors[name]) if rng.random() < 0.7 else np.argwhere(tensors[name] == tensors[name])
        if not len(places):
            continue
        place = tuple(places[rng.integers(len(places))])
        factor = rng.choice([-1.0, 0.0, 1 + 2.0**-4, 2.0, 2.0**-5, 1.1])
        tensors[name][place] = tensors[name][place] * factor if tensors[name][place] else factor * T
        weights = MambaWeights(original.shape, tensors)
        model = model_of(weights)
        with torch.no_grad():
            logits = model(ids, use_cache=False).logits[..., 2:5]
        right = bool(((logits > 0) == (right_logits(ids)[..., 2:5] > 0)).all())
        verdict = verdict_of(weights)
        kinds.append(type(verdict).__name__)
        if isinstance(verdict, scancraft.Certificate):
            assert right, (name, place, factor)
            write_parity(tmp_path / "m", weights)
            verdict.save(tmp_path / "m")
            accepted(tmp_path / "m", verdict.scope)
        elif isinstance(verdict, Refuted):
            wrong = torch.tensor([[1, *(TOKENS[s] for s in verdict.word)]])
            last = model(wrong).logits[0, -1, 2:5] > 0
            assert last.tolist() != (right_logits(wrong)[0, -1, 2:5] > 0).tolist()
    assert min(kinds.count(kind) for kind in ("Certificate", "Refuted")) >= 5, kinds


def test_arguments_about_counters_admit_no_gate_of_minus_one(tmp_path: Path) -> None:
    compiled = scancraft.compile(scancraft.suite_language("a^n b^n").language)
    weights = signed_copy(compiled.weights)
    tokens = compiled.manifest.tokens

    def judged(weights: MambaWeights) -> Any:
        write_checkpoint(
            tmp_path / "m", weights, compiled.manifest.to_json(), bos="<bos>", eos="<eos>", pad="<pad>", spaced=False
        )
        return scancraft.certify(tmp_path / "m")

    certificate = judged(weights)
    assert isinstance(certificate, scancraft.Certificate), certificate
    assert certificate.content["method"] == "counters"
    assert certificate.content["implementation"]["model"] == "scancraft.SignedMambaForCausalLM"
    certificate.save(tmp_path / "m")
    accepted(tmp_path / "m")
    ids = torch.tensor([[tokens["<bos>"], tokens["a"], tokens["a"], tokens["b"], tokens["b"]]])
    assert torch.equal(Runner(weights)(ids), Runner(compiled.weights)(ids))
    right = scancraft.check(tmp_path / "m")
    assert right.agrees
    for layer in range(weights.shape.n_layers):
        tensors = {n: t.copy() for n, t in weights.tensors.items()}
        tensors[f"backbone.layers.{layer}.mixer.sign_proj.bias"][:] = -T
        verdict = judged(MambaWeights(weights.shape, tensors))
        if layer < weights.shape.n_layers - 3:  # a control block is explored, signs and all: what is right stays right
            assert isinstance(verdict, scancraft.Certificate) == scancraft.check(tmp_path / "m").agrees
        else:
            assert isinstance(verdict, (Open, Refuted)), layer
            certificate.save(tmp_path / "m")  # a forger keeps the certificate of the right model
            digest = tensors_digest(load_file(tmp_path / "m" / "model.safetensors"))
            edit_json(tmp_path / "m" / "certificate.json", set_at("sha256", "weights", value=digest))
            rejected(tmp_path / "m", "a gate of -1")
