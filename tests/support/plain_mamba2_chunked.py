"""Plain Mamba-2 in chunks: inside each a masked matrix, between them the state that each one leaves."""

from __future__ import annotations

from pathlib import Path

import torch
from plain_mamba2_parts import Block, Weights
from torch import Tensor

CHUNK = 4
Cache = list[tuple[Tensor, Tensor]]


class Model:
    """Logits of a batch, and those of a continuation by several tokens."""

    def __init__(self, directory: Path) -> None:
        self.w = Weights(directory)

    def __call__(self, ids: Tensor) -> Tensor:
        return self.prefill(ids)[0]

    def prefill(self, ids: Tensor) -> tuple[Tensor, Cache]:
        empty = [
            (torch.zeros(len(ids), b.k - 1, b.width), torch.zeros(len(ids), b.heads, b.head_dim, b.n))
            for b in self.w.blocks
        ]
        return self.extend(ids, empty)

    def extend(self, ids: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        stream, after = self.w.embedding[ids], []
        for block, (past, h) in zip(self.w.blocks, cache, strict=True):
            added, state = mixed(block, stream, past, h)
            stream = stream + added
            after.append(state)
        return self.w.head(stream), after


def mixed(block: Block, stream: Tensor, past: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """What a block adds to the stream, and its state after that."""
    z, xbc, delta = block.parts(stream)
    x, b, c = block.convolve(xbc, past)
    y, h = scan(delta * block.a, delta[..., None] * x, b, c, h)
    wide = torch.cat([past, xbc], dim=1)
    return block.output(y, x, z), (wide[:, wide.shape[1] - (block.k - 1) :], h)


def scan(decay: Tensor, x: Tensor, b: Tensor, c: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """What C reads at every step, and the last state. Decay has shape (batch, time, heads), x has Delta in it."""
    # 1. What every chunk alone would read and leave.
    parts = [slice(first, first + CHUNK) for first in range(0, x.shape[1], CHUNK)]
    sums = [decay[:, part].cumsum(dim=1) for part in parts]
    inside, left = [], []
    for part, total in zip(parts, sums, strict=True):
        between = total[:, :, None] - total[:, None, :]  # (batch, to, from, heads)
        causal = torch.ones(between.shape[1:3]).tril().bool()[None, :, :, None]
        weights = torch.exp(between.masked_fill(~causal, -torch.inf))
        scores = torch.einsum("btn,bsn->bts", c[:, part], b[:, part])
        inside.append(torch.einsum("bts,btsh,bshp->bthp", scores, weights, x[:, part]))
        until_end = torch.exp(total[:, -1:] - total)
        left.append(torch.einsum("bsh,bshp,bsn->bhpn", until_end, x[:, part], b[:, part]))
    # 2. From chunk to chunk.
    outside = []
    for part, total, own in zip(parts, sums, left, strict=True):
        from_start = torch.exp(total)
        outside.append(torch.einsum("bth,bhpn,btn->bthp", from_start, h, c[:, part]))
        h = torch.exp(total[:, -1])[:, :, None, None] * h + own
    return torch.cat(inside, dim=1) + torch.cat(outside, dim=1), h


def load(directory: Path) -> Model:
    return Model(directory)
