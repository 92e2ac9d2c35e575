"""Certificates of Mamba-2 models: proofs for every word and every chunk size, the checker, and what makes them fail."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from forgery import accepted, certified
from transformers import Mamba2Config, Mamba2ForCausalLM

import scancraft
from scancraft.automata.families import SUITE, dyck
from scancraft.certify.certify import Certificate
from scancraft.models.errors import ReadoutError
from scancraft.models.run.stepper import Stepper

LANGUAGES = {entry.name: entry.build() for entry in SUITE if entry.star_free}
CERTIFIED = ("Tomita-1", "Tomita-2", "D-2", "{a,b}*d{b,c}*", "{0,1,2}*02*", "Flip-flop")
"""The rest of the suite takes longer; docs/mamba2.md has it."""
DTYPES = (torch.float32, torch.bfloat16)
logging.getLogger("transformers").setLevel(logging.ERROR)


def d2(dtype: torch.dtype = torch.float32) -> Any:
    return scancraft.compile(LANGUAGES["D-2"], target="mamba2").model(dtype)


def verdict(model: Any) -> Any:
    """Of a model that may differ from the compiled one."""
    readout = scancraft.compile(LANGUAGES["D-2"], target="mamba2").readout
    return scancraft.certify(model, LANGUAGES["D-2"], readout=readout)


@pytest.mark.parametrize("name", CERTIFIED)
def test_suite_is_certified_for_every_implementation(name: str, tmp_path: Path) -> None:
    scancraft.compile(LANGUAGES[name], tmp_path / "m", target="mamba2")
    found = certified(tmp_path / "m")
    assert (found.scope, found.margin) == ("every-implementation", 16.0)
    accepted(tmp_path / "m")


def test_bfloat16_and_dyck(tmp_path: Path) -> None:
    scancraft.compile(dyck(2, 2), tmp_path / "m", target="mamba2")
    assert certified(tmp_path / "m", dtype=torch.bfloat16).scope == "every-implementation"
    accepted(tmp_path / "m")


def change(model: Any, part: str, edit: Any) -> Any:
    """The model with one parameter changed in every block (or those that have a memory)."""
    with torch.no_grad():
        for block in model.backbone.layers:
            edit(block.mixer.get_parameter(part))
    return model


def inexact_decay(a_log: Any) -> None:
    a_log.fill_(3.0)


def b_from_the_input(weight: Any) -> None:
    weight[-8:, :, -1] = 1.0


def second_state(bias: Any) -> None:
    bias[-7] = bias[-3] = 64.0


@pytest.mark.parametrize(
    ("part", "edit", "obligation"),
    [("A_log", inexact_decay, "functions"), ("conv1d.bias", second_state, "gates")],
    ids=["A_log", "two states"],
)
def test_changes_that_keep_the_step_but_not_the_chunks(part: str, edit: Any, obligation: str) -> None:
    """The step function stays right, so the proof stands, but not for every implementation."""
    found = verdict(change(d2(), part, edit))
    if part == "conv1d.bias":  # what is read doubles as well
        assert not isinstance(found, Certificate) or found.scope == "step"
        return
    assert isinstance(found, Certificate)
    assert found.scope == "step"
    failed = [o["name"] for o in found.content["obligations"] if not o["holds"]]
    assert failed == [obligation]


def test_clamped_delta_is_noticed() -> None:
    """``transformers`` clamps Delta in the chunked algorithm but not in the step."""
    model = d2()
    for block in model.backbone.layers:
        block.mixer.time_step_limit = (0.0, 512.0)
    found = verdict(model)
    assert not isinstance(found, Certificate) or found.scope == "step"


def test_steps_are_those_of_the_whole_model() -> None:
    for dtype in DTYPES:
        model = d2(dtype)
        stepper = Stepper(model, 4)
        ids = torch.tensor([[1, 3, 3, 4, 3, 4, 4, 4]])
        with torch.no_grad():
            whole = model(ids).logits[0]
        depth = len(stepper.blocks)
        stream, states = stepper.start(0, depth, stepper.embed(ids[0, :1]))
        found = [stepper.logits(stream)]
        for token in ids[0, 1:]:
            stream, states = stepper.step(0, depth, stepper.embed(token[None]), states)
            found.append(stepper.logits(stream))
        assert states.shape == (1, depth * stepper.block_size)
        assert torch.equal(torch.cat(found), whole)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(4))
def test_the_first_token_has_the_same_bits_at_every_chunk_size(seed: int, dtype: torch.dtype) -> None:
    """Of random models, in which nothing else is exact: the stepper takes chunks of one token."""
    torch.manual_seed(seed)
    config = Mamba2Config(
        vocab_size=9,
        hidden_size=32,
        num_heads=4,
        head_dim=16,
        state_size=8,
        n_groups=2,
        num_hidden_layers=2,
        chunk_size=(5, 32, 64, 256)[seed],
        expand=2,
    )
    model = Mamba2ForCausalLM(config).eval().to(dtype)
    stepper = Stepper(model, 5)
    stream = stepper.embed(torch.arange(5)).float()
    for block in model.backbone.layers:
        assert block.mixer.chunk_size == config.chunk_size
    small = stepper.start(0, 2, stream)
    large = stepper._run(0, 2, stream, None)
    assert stepper.blocks[0].mixer.chunk_size == config.chunk_size
    for mine, theirs in zip(small, large, strict=True):
        assert torch.equal(mine, theirs)
        assert bool(mine.any())


def test_steppers_refuse_other_models() -> None:
    plain = scancraft.compile(LANGUAGES["D-2"]).model()
    with pytest.raises(ReadoutError, match="Mamba2ForCausalLM, not MambaBlock"):
        Stepper(plain.backbone.layers[0])
    with pytest.raises(ReadoutError, match="float32 and bfloat16"):
        Stepper(d2().to(torch.float16))
