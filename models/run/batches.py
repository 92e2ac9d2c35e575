"""Running a model over words: one padded batch at a time, scores at every prefix."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Integer
from numpy.typing import NDArray
from torch import Tensor

from ..readout import Readout

Model = Callable[..., Any]
"""Anything that maps token ids of shape (batch, time), int64, to an output that the readout's head understands."""

TOKENS_PER_BATCH = 1 << 16
SCORES_PER_BATCH = 1 << 26
"""Of all tokens together: with large vocabularies batches are smaller."""


def batches(
    lengths: Integer[NDArray[Any], " words"], tokens_per_batch: int = TOKENS_PER_BATCH, columns: int = 1
) -> Iterator[NDArray[np.intp]]:
    """Row numbers, grouped by similar length, each group of at most so many padded tokens, with so many scores each.

    The longest of a group has at most twice the length of the shortest, and 16 more.
    """
    tokens_per_batch = min(tokens_per_batch, SCORES_PER_BATCH // max(1, columns))
    order = np.argsort(lengths, kind="stable")
    start = 0
    for end in range(1, len(order) + 1):
        longest = int(lengths[order[min(end, len(order) - 1)]])
        full = end == len(order) or (end + 1 - start) * (longest + 1) > tokens_per_batch
        if full or longest > 2 * int(lengths[order[start]]) + 16:
            yield order[start:end]
            start = end


def prefix_scores(
    model: Model,
    readout: Readout,
    codes: Integer[NDArray[Any], "words longest"],
    lengths: Integer[NDArray[Any], " words"],
    alphabet: Sequence[str],
) -> Float32[Tensor, "words prefixes columns"]:
    """Scores after every prefix of a batch of words, shape (batch, 1 + longest, columns), float32 on the CPU.

    Args:
        model: the model.
        readout: how it is bound to the language.
        codes: letter numbers of shape (batch, longest), right-padded with anything.
        lengths: the length of each word.
        alphabet: which symbol each letter number is.

    Position t holds the scores after t symbols; positions past a word's end are meaningless. Without a ``bos`` token
    position 0 has no input and is filled with NaN.
    """
    tokens = np.array([*(readout.tokens[s] for s in alphabet), readout.pad], dtype=np.int64)
    longest = int(lengths.max(initial=0))
    inside = np.arange(longest) < lengths[:, None]
    ids = tokens[np.where(inside, codes[:, :longest], len(alphabet))]
    if readout.bos is not None:
        ids = np.concatenate([np.full((len(ids), 1), readout.bos, dtype=np.int64), ids], axis=1)
    elif longest == 0:
        return torch.full((len(ids), 1, len(readout.columns(alphabet))), torch.nan)
    device = next((p.device for p in model.parameters()), None) if isinstance(model, torch.nn.Module) else None
    with torch.inference_mode():
        scores = readout.scores(model(torch.from_numpy(ids).to(device)), alphabet).float().cpu()
    if readout.bos is None:
        scores = torch.cat([torch.full_like(scores[:, :1], torch.nan), scores], dim=1)
    return scores
