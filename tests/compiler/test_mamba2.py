"""Mamba-2 as a target: against the language, and against itself at every chunk size, step, batch and dtype."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stepwise import stepped
from torch import Tensor

import scancraft
import scancraft.testing
from scancraft.automata.dfa import Dfa
from scancraft.automata.families import SUITE, d_n, dyck, parity
from scancraft.compiler.targets import TARGETS, Options, TargetError
from scancraft.models.mamba2 import Mamba2Shape, Mamba2Weights

STAR_FREE = {entry.name: entry.build() for entry in SUITE if entry.star_free}
SMALL = {name: dfa for name, dfa in STAR_FREE.items() if name != "D-12"}
CHUNKS = (1, 2, 3, 16)
DTYPES = (torch.float32, torch.bfloat16)
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


def all_words(dfa: Dfa, most: int) -> list[tuple[int, ...]]:
    """All words of the greatest length such that there are at most so many."""
    letters, length = len(dfa.alphabet), 0
    while letters ** (length + 1) <= most and length < 8:
        length += 1
    return list(itertools.product(range(letters), repeat=length))


@pytest.mark.parametrize("name", SMALL)
def test_suite_is_right_and_bit_identical(name: str) -> None:
    dfa = SMALL[name]
    words = all_words(dfa, 130)
    ids = tokens(words)
    model = model_of(dfa)
    reference = logits(at_chunk(model, 3), ids)
    assert_right(dfa, reference, words)
    for chunk in CHUNKS:
        assert torch.equal(logits(at_chunk(model, chunk), ids), reference), chunk
    assert torch.equal(stepped(model, ids, []), reference)
    assert torch.equal(stepped(at_chunk(model, 2), ids, [2]), reference)
    half = model.to(torch.bfloat16)
    assert torch.equal(logits(half, ids), reference)
    assert torch.equal(stepped(half, ids, []), reference)


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


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_batches(side: str, dtype: torch.dtype) -> None:
    dfa = STAR_FREE["Flip-flop"]
    rng = np.random.default_rng(1)
    model = model_of(dfa, dtype, chunk=4)
    words = [rng.integers(0, len(dfa.alphabet), size=n).tolist() for n in (0, 1, 5, 9, 14)]
    longest = max(map(len, words))
    rows, mask = [], []
    for word in words:
        ids, pad = tokens([word])[0].tolist(), [PAD] * (longest - len(word))
        rows.append([*pad, *ids] if side == "left" else [*ids, *pad])
        on, off = [1] * len(ids), [0] * len(pad)
        mask.append([*off, *on] if side == "left" else [*on, *off])
    given_mask = torch.tensor(mask)
    for attention in (given_mask, None):  # padding tokens hold every memory even where they are not masked
        found = logits(model, torch.tensor(rows), attention_mask=attention)
        for row, word in enumerate(words):
            alone = logits(model, tokens([word]))[0]
            assert torch.equal(found[row, given_mask[row] == 1], alone)


def test_packed_words_do_not_see_each_other() -> None:
    dfa = STAR_FREE["D-2"]
    words = [(0, 0, 1), (1, 1, 1), (0, 1, 0)]
    model = model_of(dfa, chunk=5)
    packed = torch.cat([tokens([w])[0] for w in words])[None]
    found = logits(model, packed)[0]
    for place, word in enumerate(words):
        assert torch.equal(found[4 * place : 4 * place + 4], logits(model, tokens([word]))[0])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_star_free_language(data: st.DataObject) -> None:
    dfa = data.draw(scancraft.testing.star_free_dfas(max_states=5))
    if not dfa.alphabet:
        return
    letters = st.lists(st.integers(0, len(dfa.alphabet) - 1), min_size=9, max_size=9)
    words = data.draw(st.lists(letters, min_size=1, max_size=6))
    chunk = data.draw(st.integers(1, 12))
    model, ids = model_of(dfa, chunk=chunk), tokens(words)
    found = logits(model, ids)
    assert_right(dfa, found, words)
    first = data.draw(st.integers(1, 9))
    assert torch.equal(stepped(model, ids, [first]), found)
    assert torch.equal(logits(model.to(torch.bfloat16), ids), found)


@pytest.mark.parametrize("d_conv", [2, 3, 4])
@pytest.mark.parametrize("d_state", [1, 5, 16])
def test_sizes(d_state: int, d_conv: int) -> None:
    dfa = STAR_FREE["D-2"]
    words = all_words(dfa, 32)
    model = model_of(dfa, d_state=d_state, d_conv=d_conv, chunk=4)
    assert model.config.state_size == -(-d_state // 4) * 4
    assert model.config.conv_kernel == d_conv
    assert_right(dfa, logits(model, tokens(words)), words)


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
    assert isinstance(last.weights, Mamba2Weights)
    assert last.weights.shape.n_layers == 1


def test_weights_are_exact_in_bfloat16() -> None:
    for tensor in compiled(STAR_FREE["D-4"]).weights.tensors.values():
        exact = torch.from_numpy(np.array(tensor))
        assert torch.equal(exact.to(torch.bfloat16).float(), exact)


def test_the_empty_language_and_all_words() -> None:
    for expression, right in (("[]", False), ("[ab]*", True)):
        dfa = scancraft.parse_regex(expression, alphabet="ab")
        found = logits(model_of(dfa, chunk=2), tokens([(0, 1, 0)]))
        assert bool((found[..., EOS : FIRST + 2] > 0).all()) is right
        assert bool((found[..., EOS : FIRST + 2] < 0).all()) is not right


def test_parity_has_no_such_model() -> None:
    with pytest.raises(scancraft.NotStarFreeError):
        compiled(parity())
    swapping = scancraft.compile(parity()).circuit
    with pytest.raises(TargetError, match="signed_mamba"):
        TARGETS["mamba2"].lowered(swapping, Options())


def test_shapes_are_checked() -> None:
    weights = compiled(STAR_FREE["D-2"]).weights
    with pytest.raises(ValueError, match="parameters differ"):
        Mamba2Weights(weights.shape, {})
    shape = Mamba2Shape(d_model=32, n_layers=weights.shape.n_layers, vocab_size=8)
    with pytest.raises(ValueError, match="has shape"):
        Mamba2Weights(shape, weights.tensors)
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
