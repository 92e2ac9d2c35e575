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
from scancraft.models.run.stepper import Stepper

LANGUAGES = {entry.name: entry.build() for entry in SUITE if entry.star_free}
CERTIFIED = ("Tomita-1", "Tomita-2", "D-2", "{a,b}*d{b,c}*", "{0,1,2}*02*", "Flip-flop")
"""The rest of the suite takes longer; docs/mamba2.md has it."""
DTYPES = (torch.float32, torch.bfloat16)
logging.getLogger("transformers").setLevel(logging.ERROR)


def d2(dtype: torch.dtype = torch.float32) -> Any:
    return scancraft.compile(LANGUAGES["D-2"], target="mamba2", construction="cascade").model(dtype)


@pytest.mark.parametrize("name", CERTIFIED)
def test_suite_is_certified_for_every_implementation(name: str, tmp_path: Path) -> None:
    scancraft.compile(LANGUAGES[name], tmp_path / "m", target="mamba2", construction="cascade")
    found = certified(tmp_path / "m")
    assert (found.scope, found.margin) == ("every-implementation", 16.0)
    accepted(tmp_path / "m")


def test_bfloat16_and_dyck(tmp_path: Path) -> None:
    scancraft.compile(dyck(2, 2), tmp_path / "m", target="mamba2", construction="cascade")
    assert certified(tmp_path / "m", dtype=torch.bfloat16).scope == "every-implementation"
    accepted(tmp_path / "m")


def test_a_change_that_keeps_the_step_but_not_the_chunks() -> None:
    """The step function stays right, so the proof stands, but not for every implementation."""
    model = d2()
    with torch.no_grad():
        for block in model.backbone.layers:
            block.mixer.A_log.fill_(3.0)
    readout = scancraft.compile(LANGUAGES["D-2"], target="mamba2", construction="cascade").readout
    found = scancraft.certify(model, LANGUAGES["D-2"], readout=readout)
    assert isinstance(found, Certificate)
    assert found.scope == "step"
    assert [o["name"] for o in found.content["obligations"] if not o["holds"]] == ["functions"]


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
@pytest.mark.parametrize("seed", [0, 3])
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
