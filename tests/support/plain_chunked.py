"""Plain Mamba with a scan in chunks: a doubling prefix scan inside each, the state handed from one to the next."""

from __future__ import annotations

from pathlib import Path

import torch
from plain_parts import Block, Weights
from torch import Tensor

CHUNK = 16


class Model:
    """Logits of a batch, and those of a continuation by several tokens."""

    def __init__(self, directory: Path) -> None:
        self.w = Weights(directory)

    def __call__(self, ids: Tensor) -> Tensor:
        return self.prefill(ids)[0]

    def prefill(self, ids: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        empty = [
            (torch.zeros(len(ids), b.k - 1, b.channels), torch.zeros(len(ids), b.channels, b.n)) for b in self.w.blocks
        ]
        return self.extend(ids, empty)

    def extend(self, ids: Tensor, cache: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        stream, after = self.w.embedding[ids], []
        for block, (past, h) in zip(self.w.blocks, cache, strict=True):
            added, state = mixed(block, stream, past, h)
            stream = stream + added
            after.append(state)
        return self.w.head(stream), after


def mixed(block: Block, stream: Tensor, past: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """What a block adds to the stream, and its state after that."""
    u, z = block.halves(stream)
    x = block.convolve(u, past)
    gate, write, c = block.terms(x)
    states = []
    for first in range(0, u.shape[1], CHUNK):
        inside = scan(gate[:, first : first + CHUNK], write[:, first : first + CHUNK], h)
        h = inside[:, -1]
        states.append(inside)
    wide = torch.cat([past, u], dim=1)
    return block.output(torch.cat(states, dim=1), c, x, z), (wide[:, wide.shape[1] - (block.k - 1) :], h)


def scan(gate: Tensor, write: Tensor, h: Tensor) -> Tensor:
    """All states of a chunk, from the state before it."""
    a, b = gate, write
    distance = 1
    while distance < a.shape[1]:
        left_a, left_b = a[:, :-distance], b[:, :-distance]
        right_a, right_b = a[:, distance:], b[:, distance:]
        joined_a, joined_b = left_a * right_a, right_a * left_b + right_b
        a = torch.cat([a[:, :distance], joined_a], dim=1)
        b = torch.cat([b[:, :distance], joined_b], dim=1)
        distance *= 2
    return a * h[:, None] + b


def load(directory: Path) -> Model:
    return Model(directory)
