"""The signed Mamba as a model class: caches, padding, saving, gradients; its shapes, and the scan lemma with signs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import parity_weights
from random_mambas import loud_mamba
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, MambaConfig, MambaForCausalLM

from scancraft.models.mamba import MambaShape
from scancraft.models.signed_mamba import SignedMambaConfig, SignedMambaForCausalLM, SignedMambaMixer


def config(**options: Any) -> SignedMambaConfig:
    sizes = {"vocab_size": 11, "hidden_size": 12, "num_hidden_layers": 2, "time_step_rank": 2, "state_size": 3}
    return SignedMambaConfig(**(sizes | options))


def random_model(seed: int = 0, **options: Any) -> Any:
    return loud_mamba(seed, signed=True, **({"state_size": 3} | options))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_with_all_signs_positive_it_is_mamba(dtype: torch.dtype) -> None:
    model = random_model(tie_word_embeddings=False)
    mamba = MambaForCausalLM(MambaConfig(**{k: v for k, v in model.config.to_dict().items() if k != "model_type"}))
    mamba.load_state_dict({name: t for name, t in model.state_dict().items() if "sign_proj" not in name})
    for layer in model.backbone.layers:
        torch.nn.init.zeros_(layer.mixer.sign_proj.weight)
        torch.nn.init.constant_(layer.mixer.sign_proj.bias, 100.0)
    ids = torch.randint(11, (3, 40))
    found = model.to(dtype)(ids, use_cache=False).logits
    expected = mamba.eval().to(dtype)(ids, use_cache=False).logits
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5)


@settings(max_examples=12, derandomize=True, deadline=None, database=None)
@given(cuts=st.lists(st.integers(1, 9), min_size=2, max_size=5), seed=st.integers(0, 3), d_conv=st.integers(1, 5))
def test_any_pieces_continue_from_the_cache(cuts: list[int], seed: int, d_conv: int) -> None:
    model = random_model(seed, conv_kernel=d_conv)
    ids = torch.randint(11, (2, sum(cuts)))
    with torch.no_grad():
        whole = model(ids, use_cache=False).logits
        cache, parts = None, []
        for piece in ids.split(cuts, dim=1):
            out = model(piece, cache_params=cache, use_cache=True)
            cache = out.cache_params
            parts.append(out.logits)
        assert torch.allclose(torch.cat(parts, dim=1), whole, rtol=1e-5, atol=1e-5)
        cache.reset()
        assert torch.allclose(model(ids, cache_params=cache).logits, whole, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_padding_on_the_left_changes_nothing() -> None:
    model = random_model()
    ids, times = torch.randint(11, (3, 12)), [12, 7, 1]
    mask = torch.tensor([[0] * (12 - n) + [1] * n for n in times])
    padded = model(ids, attention_mask=mask).logits
    first = model(ids[:, :9], attention_mask=mask[:, :9], use_cache=True)
    rest = model(
        ids[:, 9:], attention_mask=mask, cache_params=first.cache_params
    ).logits  # the mask of all that was read
    for row, n in enumerate(times):
        alone = model(ids[row : row + 1, 12 - n :]).logits[0]
        assert torch.allclose(padded[row, 12 - n :], alone, rtol=1e-5, atol=1e-5)
        kept = min(n, 3)
        assert torch.allclose(rest[row, 3 - kept :], alone[n - kept :], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_the_interface_is_that_of_mamba() -> None:
    model = random_model()
    ids = torch.randint(11, (2, 9))
    out = model(ids, labels=ids, output_hidden_states=True)
    logits = out.logits
    expected = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    assert torch.allclose(out.loss, expected)
    assert len(out.hidden_states) == 3
    assert torch.equal(model(inputs_embeds=model.get_input_embeddings()(ids)).logits, logits)
    assert torch.equal(model(ids, return_dict=False)[0], logits)
    assert torch.equal(model(ids, logits_to_keep=1).logits, logits[:, -1:])
    assert model(ids, use_cache=False).cache_params is None
    assert model.lm_head.weight is model.get_input_embeddings().weight  # tied, as in Mamba, unless told otherwise


@pytest.mark.parametrize("search", [{}, {"num_beams": 3}], ids=["greedy", "beams"])
def test_generate_with_and_without_a_cache(search: dict[str, Any]) -> None:
    model = random_model(5, tie_word_embeddings=False)
    ids = torch.randint(1, 11, (2, 6))
    mask = torch.tensor([[0, 0, 1, 1, 1, 1], [1] * 6])
    options = {"attention_mask": mask, "max_new_tokens": 12, "do_sample": False, "pad_token_id": 0, **search}
    cached = model.generate(ids, use_cache=True, **options)
    assert cached.tolist() == model.generate(ids, use_cache=False, **options).tolist()
    assert len(set(cached[:, 6:].flatten().tolist())) > 2


def test_save_and_load(tmp_path: Path) -> None:
    for tied in (False, True):
        model = random_model(tie_word_embeddings=tied)
        place = tmp_path / str(tied)
        model.save_pretrained(place)
        about = json.loads((place / "config.json").read_text())
        assert (about["model_type"], about["architectures"]) == ("signed_mamba", ["SignedMambaForCausalLM"])
        ids = torch.randint(11, (2, 9))
        for loaded in (
            SignedMambaForCausalLM.from_pretrained(place),
            AutoModelForCausalLM.from_pretrained(place),
            AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(place)),
        ):
            assert type(loaded) is SignedMambaForCausalLM
            assert type(loaded.config) is SignedMambaConfig
        again = AutoModelForCausalLM.from_pretrained(place).eval()
        assert torch.equal(again(ids).logits, model(ids).logits)


def test_a_fresh_model_has_signs_close_to_one() -> None:
    torch.manual_seed(0)
    model = SignedMambaForCausalLM(config(hidden_size=32, vocab_size=50))
    signs: list[Tensor] = []
    for layer in model.backbone.layers:
        layer.mixer.sign_proj.register_forward_hook(lambda *_: pytest.fail("the weights are used, not the module"))
        mixer = layer.mixer
        assert mixer.sign_proj.weight.std() > 0.1
        assert torch.equal(mixer.sign_proj.bias, torch.full((64,), 3.0))
        dt = torch.randn(500, 2) * 0.3
        signs.append(torch.tanh(torch.nn.functional.linear(dt, mixer.sign_proj.weight, mixer.sign_proj.bias)))
    assert torch.cat(signs).min() > 0.95
    assert type(SignedMambaMixer(config(), 0).sign_proj) is torch.nn.Linear
    assert torch.equal(SignedMambaMixer(config(), 0).sign_proj.bias, torch.full((24,), 3.0))


def test_gradients_are_those_of_the_function() -> None:
    torch.manual_seed(0)
    mixer = random_model(hidden_size=4, expand=1).backbone.layers[0].mixer.double()
    x = torch.randn(2, 5, 4, dtype=torch.float64, requires_grad=True)
    names = [name for name, _ in mixer.named_parameters()]

    def run(x: Tensor, *parameters: Tensor) -> Tensor:
        given = dict(zip(names, parameters, strict=True))
        found: Tensor = torch.func.functional_call(mixer, given, (x,))
        return found

    values = [dict(mixer.named_parameters())[name].detach().clone().requires_grad_() for name in names]
    assert torch.autograd.gradcheck(run, (x, *values))


@pytest.mark.parametrize("checkpointing", [False, True])
def test_training_reaches_every_parameter(checkpointing: bool) -> None:
    model = random_model(hidden_act="silu").train()
    ids = torch.randint(11, (4, 20))
    model(ids, labels=ids).loss.backward()
    plain = {name: p.grad.clone() for name, p in model.named_parameters()}
    assert all(grad.abs().max() > 0 for grad in plain.values())
    if checkpointing:
        model.zero_grad()
        getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
        model(ids, labels=ids).loss.backward()
        assert all(torch.allclose(p.grad, plain[name], atol=1e-6) for name, p in model.named_parameters())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = model(ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_gradients_flow_through_a_cache() -> None:
    model = random_model().train()
    ids = torch.randint(11, (2, 12))
    model(ids, use_cache=False).logits.square().sum().backward()
    whole = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    first = model(ids[:, :5], use_cache=True)
    second = model(ids[:, 5:], cache_params=first.cache_params, use_cache=True)
    (first.logits.square().sum() + second.logits.square().sum()).backward()
    for name, parameter in model.named_parameters():
        assert torch.allclose(parameter.grad, whole[name], rtol=1e-3, atol=1e-3), name


def test_shapes_and_names() -> None:
    shape = MambaShape(d_model=4, n_layers=1, vocab_size=8, expand=2, dt_rank=3)
    signed = replace(shape, signed=True)
    names = list(signed.block_tensors())
    assert names.index("mixer.sign_proj.weight") == names.index("mixer.dt_proj.bias") + 1
    assert {n: s for n, s in signed.block_tensors().items() if n not in shape.block_tensors()} == {
        "mixer.sign_proj.weight": (8, 3),
        "mixer.sign_proj.bias": (8,),
    }
    assert "sign_proj" not in str(shape.block_tensors())
    assert signed.mamba_ssm_layer() is None
    assert str(parity_weights()).startswith("Signed Mamba: 1 blocks")


@settings(max_examples=80, derandomize=True, deadline=None, database=None)
@given(data=st.data())
def test_the_scan_lemma_with_signs(data: st.DataObject) -> None:
    """Gates -1, 0, 1, and a write of 0 beside those that are not 0: any bracketing gives the recurrence's numbers."""
    writes = st.floats(width=32, allow_nan=False, allow_infinity=False)
    step = st.one_of(st.tuples(st.just(0.0), writes), st.tuples(st.sampled_from([1.0, -1.0]), st.just(0.0)))
    steps = data.draw(st.lists(step, min_size=1, max_size=30))
    pairs = [(np.float32(a), np.float32(b)) for a, b in steps]
    state = start = np.float32(data.draw(writes))
    for gate, write in pairs:
        state = gate * state + write
    while len(pairs) > 1:  # combine any two neighbours
        i = data.draw(st.integers(0, len(pairs) - 2))
        (a, b), (c, d) = pairs[i : i + 2]
        pairs[i : i + 2] = [(a * c, c * b + d)]
    (gate, write) = pairs[0]
    assert gate * start + write == state
