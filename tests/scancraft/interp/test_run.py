"""Caches hold what the model computes, bit for bit; patches change that and what follows from it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from examples import dfa
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import (
    FalconMambaConfig,
    FalconMambaForCausalLM,
    Mamba2Config,
    Mamba2ForCausalLM,
    MambaConfig,
    MambaForCausalLM,
)

import scancraft
from scancraft import interp
from scancraft.models.run.stepper import Stepper

SIZES = {"vocab_size": 20, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8}


def random_model(kind: str) -> object:
    torch.manual_seed(0)
    if kind == "mamba":
        return MambaForCausalLM(MambaConfig(**SIZES)).eval()
    if kind == "falcon_mamba":
        return FalconMambaForCausalLM(FalconMambaConfig(**SIZES)).eval()
    if kind == "signed_mamba":
        return scancraft.SignedMambaForCausalLM(scancraft.SignedMambaConfig(**SIZES)).eval()
    return Mamba2ForCausalLM(Mamba2Config(**SIZES, num_heads=8, head_dim=8, n_groups=1)).eval()


@pytest.fixture(scope="module")
def ids() -> Tensor:
    return torch.randint(0, 20, (3, 9), generator=torch.Generator().manual_seed(1))


def with_own_hooks(model: object, ids: Tensor) -> dict[str, Tensor]:
    """What plain torch hooks see, as anybody would set them."""
    seen: dict[str, Tensor] = {}
    handles = []
    for name, module in model.named_modules():  # type: ignore[attr-defined]
        if name.endswith(("in_proj", "x_proj", "out_proj", "norm", "embeddings", "lm_head", "norm_f")):
            handles.append(
                module.register_forward_hook(
                    lambda _, args, out, name=name: seen.update({name: out, f"{name}.input": args[0]})
                )
            )
    with torch.no_grad():
        logits = model(ids).logits  # type: ignore[operator]
    for handle in handles:
        handle.remove()
    return seen | {"logits": logits}


@pytest.mark.parametrize("kind", ["mamba", "falcon_mamba", "signed_mamba", "mamba2"])
def test_a_cache_holds_what_hooks_see_in_a_trained_model(kind: str, ids: Tensor) -> None:
    model = random_model(kind)
    cache = interp.run_with_cache(model, ids)
    own = with_own_hooks(model, ids)
    assert torch.equal(cache.logits, own.pop("logits"))
    assert len(own) > 10
    for name, value in own.items():
        if value.is_floating_point():
            assert torch.equal(cache[name], value), name
    # Mamba-2 of transformers goes by chunks, which rounds otherwise where sums are not exact.
    assert cache.exact is (kind != "mamba2")


@pytest.mark.parametrize("kind", ["mamba", "falcon_mamba", "signed_mamba", "mamba2"])
def test_the_last_states_are_those_of_the_cache_of_transformers(kind: str, ids: Tensor) -> None:
    model = random_model(kind)
    cache = interp.run_with_cache(model, ids)
    with torch.no_grad():
        left = model(ids, use_cache=True).cache_params  # type: ignore[operator]
    for block in range(2):
        state = cache[f"blocks.{block}.mixer.hook_ssm_state"][:, -1]
        own = left.layers[block].recurrent_states[0]
        if kind == "mamba2":
            assert torch.allclose(state, own.reshape(state.shape), atol=1e-6)
        else:
            assert torch.equal(state, own)


@pytest.mark.parametrize("target", ["mamba", "signed_mamba", "falcon_mamba", "mamba2"])
@pytest.mark.parametrize("construction", ["cascade", "plan"])
def test_every_state_of_a_compiled_model_is_that_of_the_stepper(target: str, construction: str) -> None:
    compiled = scancraft.compile(dfa("D-2"), construction=construction, target=target)  # type: ignore[arg-type]
    cache = interp.run_with_cache(compiled, ["aabbab", "bbabab"])
    assert cache.exact
    stepper = Stepper(compiled.model(), batch=1)
    depth = len(stepper.blocks)
    for row, tokens in enumerate(cache.ids.tolist()):
        numbers = None
        for time, token in enumerate(tokens):
            stream = stepper.embed(torch.tensor([token]))
            stream, numbers = (
                stepper.start(0, depth, stream) if numbers is None else stepper.step(0, depth, stream, numbers)
            )
            assert torch.equal(cache[f"blocks.{depth - 1}.hook_resid_post"][row, time] + 0.0, stream[0])
            for block in range(depth):
                end = (block + 1) * stepper.block_size
                state = numbers[0, end - stepper.block_size + stepper.conv_size : end]
                assert torch.equal(cache[f"blocks.{block}.mixer.hook_ssm_state"][row, time].flatten() + 0.0, state)


def test_a_directory_a_compiled_model_and_a_model_give_the_same(tmp_path: Path) -> None:
    compiled = scancraft.compile("(a(ab)*b)*", tmp_path / "d2")
    caches = [
        interp.run_with_cache(target, ["aabb", "ab"])
        for target in (compiled, tmp_path / "d2", scancraft.load(tmp_path / "d2"))
    ]
    caches.append(interp.run_with_cache(compiled.model(), caches[0].ids))
    assert caches[0].lengths == (5, 3)
    for cache in caches[1:]:
        assert list(cache) == list(caches[0])
        assert all(torch.equal(cache[name], caches[0][name]) for name in cache)


def test_a_patch_of_everything_by_another_run_gives_that_run(ids: Tensor) -> None:
    model = random_model("mamba")
    clean, other = (interp.run_with_cache(model, rows) for rows in (ids[:1], ids[1:2]))
    for point in (
        "hook_embed",
        "blocks.0.hook_resid_post",
        "blocks.1.hook_resid_post",
        "unembed.hook_out",
        "ln_final.hook_out",
    ):
        assert torch.equal(interp.patch(model, ids[:1], interp.Patch(point, other)), other.logits)
        assert not torch.equal(clean.logits, other.logits)


POINTS = ["conv", "dt", "B", "C", "ssm_state", "y", "in_proj", "x_proj", "gated", "out"]


@settings(deadline=None, max_examples=25)
@given(
    point=st.sampled_from(POINTS),
    kind=st.sampled_from(["mamba", "signed_mamba", "falcon_mamba"]),
    position=st.integers(0, 8),
)
def test_a_patch_with_the_same_run_changes_nothing_and_one_later_nothing_earlier(
    point: str, kind: str, position: int
) -> None:
    ids = torch.randint(0, 20, (2, 9), generator=torch.Generator().manual_seed(2))
    model, name = random_model(kind), f"blocks.0.mixer.hook_{point}"
    cache = interp.run_with_cache(model, ids)
    assert torch.equal(interp.patch(model, ids, interp.Patch(name, cache, position)), cache.logits)
    changed = interp.ablate(model, ids, name, position=position, by=3.0)
    assert torch.equal(changed[:, :position], cache.logits[:, :position])
    assert not torch.equal(changed[:, position:], cache.logits[:, position:])


def test_a_patched_state_goes_on(ids: Tensor) -> None:
    """The recurrence runs on from it: a change at one position is seen at a later one through the state alone."""
    model = random_model("mamba")
    cache = interp.run_with_cache(model, ids)
    point = "blocks.1.mixer.hook_ssm_state"
    run = interp.run_with_cache(model, ids, interp.Patch(point, 5.0, 2, (3, 1)))
    assert run[point][:, 2, 3, 1].tolist() == [5.0] * 3
    differ = (run[point] != cache[point]).flatten(2).any(dim=0)
    assert differ[:2].any().item() is False
    assert differ[2:].any(dim=1).all()
    assert differ.any(dim=0).nonzero().flatten().tolist() == [3 * 8 + 1]


def test_gradients_are_those_of_the_models_own_pass(ids: Tensor) -> None:
    model = random_model("mamba")
    slopes = interp.gradients(model, ids, lambda logits: logits[:, -1, 3].sum())
    embedded: list[Tensor] = []

    def keep(_: object, __: object, out: Tensor) -> Tensor:
        embedded.append(out.detach().requires_grad_())
        return embedded[0]

    handle = model.backbone.embeddings.register_forward_hook(keep)  # type: ignore[attr-defined]
    (own,) = torch.autograd.grad(model(ids).logits[:, -1, 3].sum(), embedded)  # type: ignore[operator]
    handle.remove()
    assert torch.allclose(slopes["hook_embed"], own, atol=1e-6)
    # And by the states, against a difference quotient: the function is linear in a state near by, almost.
    point, step = "blocks.1.mixer.hook_ssm_state", 1e-2
    cache = interp.run_with_cache(model, ids)
    ends = [
        interp.patch(model, ids, interp.Patch(point, cache[point][:, 4:5, 3, 1] + sign * step, 4, (3, 1)))[:, -1, 3]
        for sign in (-1, 1)
    ]
    quotient = (ends[1] - ends[0]) / (2 * step)
    assert torch.allclose(slopes[point][:, 4, 3, 1], quotient, rtol=0.05, atol=1e-6)


def test_names_that_are_not_there_are_told(ids: Tensor) -> None:
    model = random_model("mamba")
    cache = interp.run_with_cache(model, ids)
    assert "blocks.0.mixer.hook_y" in cache
    assert "blocks.7.mixer.hook_y" not in cache
    with pytest.raises(interp.HookPointError, match=r"did you mean blocks.0.mixer.hook_ssm_state"):
        cache["blocks.0.mixer.hook_ssm_states"]
    with pytest.raises(interp.HookPointError, match=r"no hook point blocks.2.hook_resid_pre"):
        interp.ablate(model, ids, "blocks.2.hook_resid_pre")
    with pytest.raises(interp.PatchError, match="no position 9 among 9"):
        interp.ablate(model, ids, "hook_embed", position=9)
    with pytest.raises(interp.PatchError, match="does not fit"):
        interp.ablate(model, ids, "hook_embed", index=99)
    with pytest.raises(interp.NotLookedIntoError, match="give token ids"):
        interp.run_with_cache(model, ["ab"])
    with pytest.raises(interp.NotLookedIntoError, match="bfloat16"):
        interp.run_with_cache(random_model("mamba").bfloat16(), ids)  # type: ignore[attr-defined]
    with pytest.raises(interp.NotLookedIntoError, match="cannot be looked into"):
        interp.run_with_cache(torch.nn.Linear(2, 2), ids)
    with pytest.raises(interp.PatchError, match="int64"):
        interp.run_with_cache(model, ids.int())


def test_ablation_by_the_mean_counts_no_padding() -> None:
    compiled = scancraft.compile("(a(ab)*b)*")
    cache = interp.run_with_cache(compiled, ["aabb", "ab"])
    rows = torch.cat([cache["hook_embed"][0], cache["hook_embed"][1, :3]])
    run = interp.ablate(compiled, ["ab"], "hook_embed", by=cache, position=1)
    wanted = interp.patch(compiled, ["ab"], interp.Patch("hook_embed", rows.mean(dim=0)[None, None], 1))
    assert torch.equal(run, wanted)
