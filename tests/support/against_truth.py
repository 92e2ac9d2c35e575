"""Compiled models on short words, beside the truth of their languages."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from scancraft.automata.languages import truth_of
from scancraft.compiler.compiled import CompiledModel
from scancraft.models.mamba2 import Mamba2Shape


def short_words(alphabet: Sequence[str], most: int) -> list[tuple[str, ...]]:
    """All words of the greatest length, at most 8, at which there are at most so many; their prefixes are the rest."""
    length = 1 if alphabet else 0
    while alphabet and len(alphabet) ** (length + 1) <= most and length < 8:
        length += 1
    return list(itertools.product(alphabet, repeat=length))


def tokens(compiled: CompiledModel, words: Sequence[Sequence[str]]) -> Tensor:
    """Words of one length as token ids."""
    return torch.tensor([compiled.readout.encode(word) for word in words])


def padded(compiled: CompiledModel, words: Sequence[Sequence[str]]) -> Tensor:
    """Words as token ids, filled up on the right."""
    readout, longest = compiled.readout, max(map(len, words), default=0)
    return torch.tensor([readout.encode(word) + [readout.pad] * (longest - len(word)) for word in words])


def at_chunk(model: Any, chunk: int) -> Any:
    """The same model with another chunk size, where it has one."""
    if model.config.model_type == "olmo_hybrid":
        return _OlmoAtChunk(model, chunk)
    for block in model.backbone.layers:
        if hasattr(block.mixer, "chunk_size"):
            block.mixer.chunk_size = chunk
    return model


class _OlmoAtChunk:
    """transformers' Gated DeltaNet has its chunk size as the default of a function's argument."""

    def __init__(self, model: Any, chunk: int) -> None:
        self.model, self.chunk = model, chunk

    def __call__(self, *args: Any, **options: Any) -> Any:
        module = sys.modules[type(self.model).__module__]
        whole = module.torch_chunk_gated_delta_rule
        with patch.object(module, "torch_chunk_gated_delta_rule", partial(whole, chunk_size=self.chunk)):
            return self.model(*args, **options)


def short_chunks(compiled: CompiledModel) -> CompiledModel:
    """The same with a chunk size of 8, where it has one: ``transformers`` fills short words up to a whole chunk."""
    shape = compiled.weights.shape
    if not isinstance(shape, Mamba2Shape):
        return compiled
    return replace(compiled, weights=replace(compiled.weights, shape=replace(shape, chunk_size=8)))


@torch.no_grad()
def logits(model: Any, ids: Tensor) -> Tensor:
    """In float32."""
    found: Tensor = model(ids).logits.float()
    return found


def promised(compiled: CompiledModel, words: Sequence[tuple[str, ...]]) -> tuple[Tensor, Tensor]:
    """What may come next (words, prefixes, alphabet and ``<eos>``), and the prefixes that the contract speaks of."""
    truth = truth_of(compiled.language)
    masks = torch.from_numpy(np.asarray(truth.next_masks(*truth.encode(words))))
    return masks, masks.any(dim=2) | (compiled.manifest.contract == "all-words")


def assert_right(compiled: CompiledModel, words: Sequence[tuple[str, ...]], found: Tensor) -> int:
    """Compare with the language's truth at every prefix that the contract speaks of; how many."""
    masks, spoken = promised(compiled, words)
    scores = found[:, :, compiled.readout.columns(compiled.language.alphabet)]
    assert torch.equal(scores[spoken] > 0, masks[spoken])
    assert not (scores[spoken] == 0).any()
    return int(spoken.sum())
