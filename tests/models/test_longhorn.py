"""Longhorn as a model class: the paper's formulas, caches, training; what certificates say of its gates."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from forgery import accepted, certified
from torch.nn.functional import silu

import scancraft
from scancraft.models.longhorn import LonghornConfig, LonghornForCausalLM


def random_model(seed: int = 0) -> LonghornForCausalLM:
    torch.manual_seed(seed)
    config = LonghornConfig(
        vocab_size=7, hidden_size=16, num_hidden_layers=2, state_size=3, conv_kernel=3, residual_in_fp32=False
    )
    model = LonghornForCausalLM(config).double().eval()
    for block in model.backbone.layers:
        torch.nn.init.normal_(block.mixer.x_proj.weight)
    return model


def test_the_formulas_step_by_step() -> None:
    model, ids = random_model(), torch.randint(0, 7, (1, 9), generator=torch.Generator().manual_seed(1))
    stream = model.backbone.embeddings(ids)[0]
    for block in model.backbone.layers:
        m, window, states, out = block.mixer, [torch.zeros(32).double()] * 3, torch.zeros(32, 3).double(), []
        for vector in stream:
            u, z = m.in_proj(block.norm(vector)).chunk(2)
            window = [*window[1:], u]
            taps = sum(m.conv1d.weight[:, 0, j] * w for j, w in enumerate(window))
            x = silu(taps + m.conv1d.bias)
            dt, k, q = m.x_proj(x).split([m.time_step_rank, 3, 3])
            beta = torch.sigmoid(m.dt_proj(dt))
            delta = beta / (1 + beta * (k @ k))
            states = (1 - delta[:, None] * k**2) * states + delta[:, None] * k * x[:, None]
            out.append(vector + m.out_proj((states @ q + m.D * x) * silu(z)))
        stream = torch.stack(out)
    logits = model.lm_head(model.backbone.norm_f(stream))
    torch.testing.assert_close(logits.float(), model(ids).logits[0])


def test_it_goes_on_from_a_cache_and_learns() -> None:
    model, ids = random_model(2), torch.randint(0, 7, (2, 12), generator=torch.Generator().manual_seed(3))
    whole, first = model(ids).logits, model(ids[:, :5], use_cache=True)
    rest = model(ids[:, 5:], cache_params=first.cache_params, use_cache=True)
    torch.testing.assert_close(torch.cat([first.logits, rest.logits], dim=1), whole)
    model(ids, labels=ids).loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_a_checkpoint_is_loaded_by_transformers_and_certified(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    compiled = scancraft.compile("(a(ab)*b)*", tmp_path, target="longhorn")
    loaded, ids = AutoModelForCausalLM.from_pretrained(tmp_path), torch.tensor([compiled.readout.encode("aababb")])
    assert type(loaded) is LonghornForCausalLM
    assert torch.equal(loaded(ids).logits, compiled.model()(ids).logits)
    for dtype in (torch.float32, torch.bfloat16):
        assert certified(tmp_path, dtype=dtype).scope == "every-implementation"
        accepted(tmp_path)


@pytest.mark.parametrize("size", [2.0**10, 3.0 * 2**29, 0.0])
def test_a_key_whose_square_does_not_swallow_the_one_is_no_proof(size: float, tmp_path: Path) -> None:
    """With a small key a little of what was there is kept: right at first, and nobody can say for how long."""
    compiled = scancraft.compile("(ab)*", target="longhorn")
    model = compiled.model()
    with torch.no_grad():
        for block in model.backbone.layers:
            rank = block.mixer.time_step_rank
            row = block.mixer.x_proj.weight[rank]
            row[row != 0] = size / 2**10
    found = scancraft.certify(model, compiled.language, readout=compiled.readout)
    assert getattr(found, "scope", None) != "every-implementation"


def test_what_it_cannot_do() -> None:
    with pytest.raises(scancraft.ScancraftError, match="no lowering"):
        scancraft.compile(scancraft.named("a^n b^n"), target="longhorn")
    with pytest.raises(scancraft.NotStarFreeError):
        scancraft.compile("(aa)*", target="longhorn")
