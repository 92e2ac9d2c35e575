"""Many tokens of one word in one batch have the bits of single steps; states go into a stepper and come out again."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_mambas import CONFIGS, quick_mamba, random_mamba

import scancraft
from scancraft.models.errors import ReadoutError
from scancraft.models.run import reader as reading
from scancraft.models.run.reader import Reader, StepError
from scancraft.models.run.stepper import Stepper, aligned

DTYPES = ("float32", "bfloat16", "float16", "float64")


def single_steps(stepper: Stepper, tokens: list[int]) -> Any:
    """The states after each token, one call each."""
    blocks, states = len(stepper.blocks), []
    _, state = stepper.start(0, blocks, stepper.embed(torch.tensor(tokens[:1])))
    states.append(state)
    for token in tokens[1:]:
        _, state = stepper.step(0, blocks, stepper.embed(torch.tensor([token])), state)
        states.append(state)
    return torch.cat(states)


@given(config=CONFIGS, dtype=st.sampled_from(DTYPES), seed=st.integers(0, 1000), data=st.data())
@settings(max_examples=8, deadline=None)
def test_every_bit_is_that_of_single_steps(config: dict[str, Any], dtype: str, seed: int, data: st.DataObject) -> None:
    model = random_mamba(seed, getattr(torch, dtype), **config)
    tokens = data.draw(st.lists(st.integers(0, 7), min_size=2, max_size=30))
    cut = data.draw(st.integers(1, len(tokens) - 1))
    stepper = Stepper(model, batch=32, dtypes=DTYPES)
    reader = Reader(stepper, tokens[0])
    parts = [reader.read(part) for part in (tokens[1 : cut + 1], tokens[cut + 1 :]) if part]
    states = torch.cat([parts[0], *(part[1:] for part in parts[1:])])
    assert torch.equal(states, single_steps(stepper, tokens))


@given(seed=st.integers(0, 100), word=st.lists(st.integers(3, 5), min_size=1, max_size=4), blocks=st.integers(1, 3))
@settings(max_examples=5, deadline=None)
def test_reading_the_same_again_has_the_same_bits(seed: int, word: list[int], blocks: int) -> None:
    """What is left out because nothing changed does not show."""
    model = quick_mamba(seed, num_hidden_layers=blocks, state_size=4)
    remembering, forgetting = (Reader(Stepper(model, batch=64), 1) for _ in range(2))
    chunk = word * (64 // len(word))
    for _ in range(6):
        forgetting.chunks = []
        assert torch.equal(remembering.read(chunk), forgetting.read(chunk))


def test_other_kinds_of_blocks() -> None:
    for target in ("falcon_mamba", "signed_mamba"):
        language = "(aa)*" if target == "signed_mamba" else "(ab)*"
        compiled = scancraft.compile(language, target=target)
        tokens = compiled.readout.encode("aabaa" if target != "signed_mamba" else "aaaaa")
        stepper = Stepper(compiled.model())
        assert torch.equal(Reader(stepper, tokens[0]).read(tokens[1:]), single_steps(stepper, tokens))


def test_a_state_that_is_put_is_read_on_from() -> None:
    stepper = Stepper(random_mamba(6, torch.bfloat16))
    first, second = Reader(stepper, 1), Reader(stepper, 2)
    first.read([3, 4, 5])
    second.state = first.state
    assert torch.equal(first.read([6, 3]), second.read([6, 3]))


def test_a_wrong_probe_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PROBE", 3.0)  # too small to drown what is written
    with pytest.raises(StepError, match="block 0 is not read right"):
        Reader(Stepper(random_mamba(0)), 1).read([3, 4, 5])


def test_overflow_is_noticed() -> None:
    model = random_mamba(0, torch.float16)
    with torch.no_grad():
        model.backbone.layers[0].mixer.D.fill_(60000.0)
        model.backbone.layers[0].mixer.out_proj.weight.fill_(60000.0)
    with pytest.raises(StepError, match="infinity or NaN"):
        Reader(Stepper(model), 1).read([3, 4, 5])


def test_a_row_depends_neither_on_its_place_nor_on_the_others() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        stepper = Stepper(random_mamba(1, dtype, hidden_size=24))
        generator = torch.Generator().manual_seed(0)
        tokens = torch.randint(0, 8, (256,), generator=generator)
        _, states = stepper.start(0, 2, stepper.embed(tokens))
        stream, after = stepper.step(0, 2, stepper.embed(tokens), states)
        order = torch.randperm(256, generator=generator)
        turned = stepper.step(0, 2, stepper.embed(tokens[order]), states[order])
        few = stepper.step(0, 2, stepper.embed(tokens[:3]), states[:3])
        assert torch.equal(turned[0], stream[order])
        assert torch.equal(turned[1], after[order])
        assert torch.equal(few[0], stream[:3])
        assert torch.equal(few[1], after[:3])


def test_weights_are_moved_to_where_products_round_alike() -> None:
    model = random_mamba(0)
    assert aligned(model) is model
    moved = copy.deepcopy(model)
    for parameter in moved.parameters():
        room = torch.empty(parameter.numel() + 2)
        parameter.data = room[2:].view(parameter.shape).copy_(parameter.data)  # eight bytes further
    assert all(p.data_ptr() % 64 == 8 for p in moved.parameters())
    right = aligned(moved)
    assert all(p.data_ptr() % 64 == 0 for p in right.parameters())
    states = [Reader(Stepper(m), 1).read([3, 4, 3, 5, 4] * 4) for m in (model, right)]
    assert torch.equal(*states)


def test_other_models_are_refused() -> None:
    with pytest.raises(ReadoutError, match="certificates need a MambaForCausalLM or"):
        Stepper(torch.nn.Linear(2, 2))
    with pytest.raises(ReadoutError, match=r"in float64; certificates of a MambaForCausalLM are for float32"):
        Stepper(random_mamba(0, torch.float64))
