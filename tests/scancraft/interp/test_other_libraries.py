"""nnsight and TransformerLens read a checkpoint as it is, and see what our cache has."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

import scancraft
from scancraft import interp


def test_nnsight_sees_the_same_and_changes_the_same(tmp_path: Path) -> None:
    nnsight = pytest.importorskip("nnsight", reason="nnsight is not installed (pip install 'scancraft[interp]')")
    compiled = scancraft.compile("(a(ab)*b)*", tmp_path / "d2")
    cache = interp.run_with_cache(compiled, ["aabb"])
    point = "blocks.0.mixer.hook_gated"
    channel = int((cache[point][0, -1] != 0).nonzero()[0, 0])
    lens = nnsight.LanguageModel(str(tmp_path / "d2"), tokenizer=AutoTokenizer.from_pretrained(tmp_path / "d2"))
    with torch.no_grad(), lens.trace("aabb"):
        gated = lens.backbone.layers[0].mixer.out_proj.input.save()
        logits = lens.output.logits.save()
    assert torch.equal(gated, cache[point])
    assert torch.equal(logits, cache.logits)
    with torch.no_grad(), lens.trace("aabb"):
        lens.backbone.layers[0].mixer.out_proj.input[:, -1, channel] = 0
        changed = lens.output.logits.save()
    assert torch.equal(changed, interp.ablate(compiled, ["aabb"], point, index=channel, position=-1))
    assert not torch.equal(changed, logits)


def test_hook_points_of_transformer_lens_hold_the_same(tmp_path: Path) -> None:
    bridge = pytest.importorskip("transformer_lens.model_bridge", reason="transformer_lens is not installed")
    compiled = scancraft.compile("(a(ab)*b)*", tmp_path / "d2")
    cache = interp.run_with_cache(compiled, ["aabb"])
    lens = bridge.TransformerBridge.boot_transformers(str(tmp_path / "d2"), device="cpu")
    logits, theirs = lens.run_with_cache(cache.ids)
    assert torch.equal(logits, cache.logits)
    both = [name for name in theirs.keys() if name in cache and not name.endswith("hook_conv")]
    assert {"hook_embed", "blocks.0.hook_resid_pre", "blocks.1.hook_resid_post", "blocks.1.mixer.hook_out"} <= set(both)
    for name in both:
        assert torch.equal(theirs[name], cache[name]), name
