"""Mamba-2 as a target: deep and long words at every chunk size, blocks per level, shapes."""

from __future__ import annotations

import itertools
import logging
from typing import Any

import numpy as np
import pytest
import torch
from against_truth import assert_right, at_chunk, logits, tokens
from examples import dfa, dfas
from stepwise import stepped

import scancraft
from scancraft.automata.families import dyck
from scancraft.compiler.targets import TARGETS, Options, TargetError
from scancraft.models.mamba2 import Mamba2Shape
from scancraft.models.weights import ModelWeights

logging.getLogger("transformers").setLevel(logging.ERROR)


def compiled(language: scancraft.Dfa) -> Any:
    return scancraft.compile(language, target="mamba2", construction="cascade")


@pytest.mark.parametrize("language", [dfa("D-12"), dyck(2, 3)], ids=["D-12", "two kinds"])
def test_deep_languages(language: scancraft.Dfa) -> None:
    rng, letters = np.random.default_rng(0), len(language.alphabet)
    drawn = rng.integers(0, letters, size=(40, 60))
    drawn[:20, :12] = rng.integers(0, letters // 2, size=(20, 12))  # deep enough to die of depth
    words = [tuple(language.alphabet[a] for a in row) for row in drawn.tolist()]
    deep = compiled(language)
    ids, model = tokens(deep, words), at_chunk(deep.model(), 16)
    found = logits(model, ids)
    assert assert_right(deep, words, found) == 40 * 61
    assert torch.equal(stepped(model, ids[:4], []), found[:4])
    assert torch.equal(logits(at_chunk(deep.model(torch.bfloat16), 7), ids[:8]), found[:8])


@pytest.mark.parametrize(("chunk", "length"), [(33, 2_000), (64, 2_000), (128, 1_000), (256, 600), (1000, 1_010)])
def test_long_words(chunk: int, length: int) -> None:
    deep = compiled(dfa("D-3"))
    word = tuple(scancraft.live_word_of(deep.dfa, length, np.random.default_rng(chunk)))
    assert assert_right(deep, [word], logits(at_chunk(deep.model(), chunk), tokens(deep, [word]))) == length + 1


@pytest.mark.parametrize("name", dfas(star_free=True, random=False))
def test_at_most_two_blocks_per_level(name: str) -> None:
    model = compiled(dfa(name))
    circuit, labels = model.circuit, model.manifest.blocks
    assert len(circuit.blocks) <= len(labels) <= 2 * len(circuit.blocks)
    assert max(len(labels), 1) == model.weights.shape.n_layers
    heights = [label.level for label in labels]
    assert heights == sorted(heights, reverse=True)
    for first, second in itertools.pairwise(labels):
        assert (first.level == second.level) is first.finds_only
        assert first.memories == () or not first.finds_only


def test_letters_alone_take_one_block() -> None:
    for language in ("1*", "[01]*1"):
        assert compiled(scancraft.parse_regex(language, alphabet="01")).weights.shape.n_layers == 1


def test_parity_has_no_such_model() -> None:
    swapping = scancraft.compile(dfa("Parity"), target="signed_mamba").circuit
    with pytest.raises(TargetError, match="signed_mamba"):
        TARGETS["mamba2"].lowered(swapping, Options())


def test_shapes_are_checked() -> None:
    weights = compiled(dfa("D-2")).weights
    with pytest.raises(ValueError, match="parameters differ"):
        ModelWeights(weights.shape, {})
    shape = Mamba2Shape(d_model=32, n_layers=weights.shape.n_layers, vocab_size=8)
    with pytest.raises(ValueError, match="has shape"):
        ModelWeights(shape, weights.tensors)
    with pytest.raises(ValueError, match="read-only"):
        weights.tensors["lm_head.weight"][0, 0] = 1.0


def test_chunks_need_a_decay_that_is_exact() -> None:
    """Why A_log is 0: multiples of e^3 round, and then differences of their sums do."""
    exact = torch.full((256,), -1024.0)
    rounded = exact / 1024 * 64 * torch.tensor(3.0).exp()
    for decay, clean in ((exact, True), (rounded, False)):
        forward = decay.cumsum(0)
        backward = forward[-1] - torch.stack([*decay.flip(0).cumsum(0).flip(0)[1:], torch.zeros(())])
        assert bool(torch.equal(forward, backward)) is clean
