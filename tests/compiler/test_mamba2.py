"""Mamba-2 as a target: against the language, and against itself at every chunk size, step, batch and dtype."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from stepwise import stepped
from torch import Tensor

import scancraft
import scancraft.testing
from scancraft.automata.dfa import Dfa
from scancraft.automata.families import SUITE, d_n, dyck, parity
from scancraft.compiler.targets import TARGETS, Options, TargetError
from scancraft.models.mamba2 import Mamba2Shape
from scancraft.models.weights import ModelWeights

STAR_FREE = {entry.name: entry.build() for entry in SUITE if entry.star_free}
PAD, BOS, EOS, FIRST = 0, 1, 2, 3
logging.getLogger("transformers").setLevel(logging.ERROR)


def compiled(dfa: Dfa, **options: Any) -> Any:
    return scancraft.compile(dfa, target="mamba2", **options)


def model_of(dfa: Dfa, dtype: torch.dtype = torch.float32, chunk: int | None = None, **options: Any) -> Any:
    return at_chunk(compiled(dfa, **options).model(dtype), chunk)


def at_chunk(model: Any, chunk: int | None) -> Any:
    """The same model with another chunk size."""
    for block in model.backbone.layers if chunk is not None else ():
        block.mixer.chunk_size = chunk
    return model


def tokens(words: Sequence[Sequence[int]]) -> Tensor:
    """Words of letter numbers, all of one length, as token ids."""
    return torch.tensor([[BOS, *(FIRST + a for a in word)] for word in words])


@torch.no_grad()
def logits(model: Any, ids: Tensor, **options: Any) -> Tensor:
    found: Tensor = model(ids, **options).logits
    return found


def truth(dfa: Dfa, words: Sequence[Sequence[int]]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Per word and prefix: <eos>, then each letter: may it come next? By walking the table."""
    table, live = dfa.semiautomaton.table, dfa.live
    found = []
    for word in words:
        state, rows = 0, []
        for letter in [None, *word]:
            state = state if letter is None else table[state][letter]
            rows.append([state in dfa.accepting, *(target in live for target in table[state])])
        found.append(rows)
    return np.array(found)


def assert_right(dfa: Dfa, found: Tensor, words: Sequence[Sequence[int]]) -> None:
    scores = found[:, :, EOS : FIRST + len(dfa.alphabet)].numpy()
    assert np.array_equal(scores > 0, truth(dfa, words))
    assert set(np.unique(np.abs(scores)).tolist()) == {16.0}


@pytest.mark.parametrize("dfa", [d_n(12), dyck(2, 3)], ids=["D-12", "Dyck-2-3"])
def test_deep_languages(dfa: Dfa) -> None:
    rng = np.random.default_rng(0)
    up = len(dfa.alphabet) // 2
    words = rng.integers(0, len(dfa.alphabet), size=(40, 60))
    words[:20, :12] = rng.integers(0, up, size=(20, 12))  # deep enough to die of depth
    listed: list[list[int]] = words.tolist()
    model, ids = model_of(dfa, chunk=16), tokens(listed)
    found = logits(model, ids)
    assert_right(dfa, found, listed)
    assert torch.equal(stepped(model, ids[:4], []), found[:4])
    assert torch.equal(logits(model_of(dfa, torch.bfloat16, chunk=7), ids[:8]), found[:8])


@pytest.mark.parametrize(("chunk", "length"), [(33, 10_000), (64, 10_000), (128, 10_000), (256, 3_000), (1000, 1_500)])
def test_long_words(chunk: int, length: int) -> None:
    dfa = STAR_FREE["D-3"]
    rng = np.random.default_rng(chunk)
    state, word = 0, []
    for _ in range(length):  # a live word: it stays within the depth
        letters = [a for a, target in enumerate(dfa.semiautomaton.table[state]) if target in dfa.live]
        word.append(int(rng.choice(letters)))
        state = dfa.semiautomaton.table[state][word[-1]]
    assert_right(dfa, logits(model_of(dfa, chunk=chunk), tokens([word])), [word])


@pytest.mark.parametrize("name", STAR_FREE)
def test_at_most_two_blocks_per_level(name: str) -> None:
    model = compiled(STAR_FREE[name])
    circuit, labels = model.circuit, model.manifest.blocks
    assert len(circuit.blocks) <= len(labels) <= 2 * len(circuit.blocks)
    assert len(labels) == model.weights.shape.n_layers
    heights = [label.level for label in labels]
    assert heights == sorted(heights, reverse=True)
    for first, second in itertools.pairwise(labels):
        assert (first.level == second.level) is first.finds_only
        assert first.memories == () or not first.finds_only


def test_letters_alone_take_one_block() -> None:
    assert compiled(STAR_FREE["Tomita-1"]).weights.shape.n_layers == 1
    last = scancraft.compile("[01]*1", target="mamba2")
    assert isinstance(last.weights, ModelWeights)
    assert last.weights.shape.n_layers == 1


def test_parity_has_no_such_model() -> None:
    with pytest.raises(scancraft.NotStarFreeError):
        compiled(parity())
    swapping = scancraft.compile(parity()).circuit
    with pytest.raises(TargetError, match="signed_mamba"):
        TARGETS["mamba2"].lowered(swapping, Options())


def test_shapes_are_checked() -> None:
    weights = compiled(STAR_FREE["D-2"]).weights
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
