"""Variants are the same language, provably; their labels are those of the base, as vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from examples import dfa
from hypothesis import given, settings
from hypothesis import strategies as st

import scancraft
from scancraft import interp
from scancraft.compiler.compiled import CompiledModel
from scancraft.interp.rotations import rotation
from scancraft.testing import star_free_dfas


def proved(model: CompiledModel) -> scancraft.Certificate:
    found = scancraft.certify(model)
    assert isinstance(found, scancraft.Certificate), str(found)
    return found


@settings(deadline=None, max_examples=12)
@given(
    language=star_free_dfas(max_states=4),
    noise=st.sampled_from([0.0, 0.3, 0.9]),
    flags=st.tuples(*[st.booleans()] * 3),
    split=st.integers(0, 4),
    decoys=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_a_variant_is_certified_for_every_implementation(
    language: scancraft.Dfa, noise: float, flags: tuple[bool, bool, bool], split: int, decoys: int, seed: int
) -> None:
    base = scancraft.compile(language)
    rotate, spread, permute = flags
    found = interp.variant(
        base, rotate=rotate, spread=spread, permute=permute, split=split, decoys=decoys, noise=noise, seed=seed
    )
    before, after = proved(base), proved(found)
    assert after.scope == before.scope == "every-implementation"
    assert found.bound <= noise * before.margin
    assert after.margin >= before.margin - found.bound
    letters = language.alphabet
    words = ["".join(np.random.default_rng(seed).choice(letters, 9)) for _ in range(3)] if letters else [""]
    own, other = (interp.run_with_cache(model, words).logits.double() for model in (base, found))
    assert (own - other).abs().max() <= found.bound
    assert torch.equal(own[..., : len(letters) + 3] > 0, other[..., : len(letters) + 3] > 0)


@pytest.mark.parametrize("target", ["mamba", "signed_mamba", "falcon_mamba"])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_labels_of_a_saved_variant_are_right(target: str, noise: float, tmp_path: Path) -> None:
    base = scancraft.compile(dfa("D-2"), construction="cascade", target=target)
    found = interp.variant(base, noise=noise, decoys=3, seed=4)
    found.save(tmp_path / "v")
    assert scancraft.check(tmp_path / "v").agrees
    labels = interp.labels_of(tmp_path / "v")
    assert labels == interp.labels_of(found)
    words = ["aababb", "abbbab"]
    own, other = interp.run_with_cache(base, words), interp.run_with_cache(tmp_path / "v", words)
    assert other.exact
    for memory in labels.memories:
        assert memory.decode(other) == tuple(interp.expected(base, memory, word) for word in words)
    directions = {d.name: d for d in interp.labels_of(base).directions if d.kind != "constant"}
    assert len(directions) >= 5
    for name, direction in directions.items():
        new = labels.direction(name)
        assert sum(v != 0 for v in new.write) > 3
        for point in (
            "hook_embed",
            "blocks.0.hook_resid_post",
            f"blocks.{len(base.manifest.blocks) - 1}.hook_resid_post",
        ):
            assert torch.equal(new.decode(other, point), direction.decode(own, point)), (name, point)


def test_read_and_written_directions_belong_together() -> None:
    labels = interp.labels_of(interp.variant(scancraft.compile(dfa("D-2")), noise=0.5, seed=1))
    write, read = (np.array([getattr(d, name) for d in labels.directions]) for name in ("write", "read"))
    assert np.array_equal(write @ read.T, np.eye(len(write)))
    assert not np.array_equal(write, read)


def test_a_decoy_holds_a_memory_and_does_nothing() -> None:
    found = interp.variant(scancraft.compile(dfa("D-2"), construction="cascade"), decoys=2, split=0, seed=2)
    labels, words = interp.labels_of(found), ["aabbab", "abaabb"]
    decoys = [channel for channel in labels.channels if channel.meaning.startswith("decoy")]
    assert len(decoys) == 2 * len(found.manifest.blocks)
    cache = interp.run_with_cache(found, words)
    held = torch.stack([cache[d.point("ssm_state")][..., d.index, 0] for d in decoys])
    assert all(len(row.unique()) > 1 for row in held[:1])
    for decoy in decoys:
        for name in ("gated", "ssm_state", "conv"):
            run = interp.ablate(found, words, decoy.point(name), index=decoy.index, by=0.0)
            assert torch.equal(run, cache.logits)


@given(size=st.integers(1, 40), rounds=st.integers(0, 4), seed=st.integers(0, 99))
def test_rotations_are_dyadic_and_orthogonal(size: int, rounds: int, seed: int) -> None:
    found = rotation(size, rounds, np.random.default_rng(seed))
    assert np.array_equal(found @ found.T, np.eye(size))
    assert np.array_equal(found * 2**rounds, np.rint(found * 2**rounds))


@pytest.mark.parametrize("target", ["mamba", "falcon_mamba"])
@pytest.mark.parametrize("name", ["Dyck-1", "Shuffle-4", "a^n b^n c^n"])
def test_models_that_count_are_spread_and_permuted(name: str, target: str, tmp_path: Path) -> None:
    base = scancraft.compile(scancraft.named(name), target=target)
    found = interp.variant(base, rotate=False, split=0, decoys=0, seed=7)
    before, after = proved(base), proved(found)
    assert (after.scope, after.margin) == (before.scope, before.margin)
    places = [(c.block, c.channel) for c in found.manifest.counters]
    assert places != [(c.block, c.channel) for c in base.manifest.counters]
    assert [c.limits for c in found.manifest.counters] == [c.limits for c in base.manifest.counters]
    spread = [sum(d.kind == "constant" for d in m.manifest.residual) for m in (base, found)]
    assert spread[0] < spread[1]
    found.save(tmp_path / "v")
    assert scancraft.check(tmp_path / "v", words=40, short=500).agrees


def test_what_has_no_variants() -> None:
    base = scancraft.compile(dfa("D-2"))
    for model, options, message in (
        (scancraft.compile(scancraft.suite_language("Dyck-1").language), {}, "give rotate=False"),
        (scancraft.compile(dfa("D-2"), target="mamba2"), {}, "mamba2"),
        (interp.variant(base), {}, "a variant already"),
        (base, {"noise": 1.0}, "below 1"),
        (base, {"split": -1}, "at least 0"),
    ):
        with pytest.raises(interp.VariantError, match=message):
            interp.variant(model, **options)  # type: ignore[arg-type]


def test_a_variant_depends_on_its_seed_only() -> None:
    base = scancraft.compile(dfa("D-2"))
    first, again, other = (interp.variant(base, seed=seed).weights.tensors for seed in (1, 1, 2))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not all(np.array_equal(first[name], other[name]) for name in first)
