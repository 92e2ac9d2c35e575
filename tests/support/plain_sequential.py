"""Plain Mamba, one step after another, a whole batch at once."""

from __future__ import annotations

from pathlib import Path

import torch
from plain_parts import Block, Weights
from torch import Tensor


class Model:
    """Logits of a batch; also the residual stream after every block."""

    def __init__(self, directory: Path) -> None:
        self.w = Weights(directory)

    def __call__(self, ids: Tensor) -> Tensor:
        return self.w.head(self.hidden(ids)[-1])

    def hidden(self, ids: Tensor) -> list[Tensor]:
        streams = [self.w.embedding[ids]]
        for block in self.w.blocks:
            streams.append(streams[-1] + mixed(block, streams[-1]))
        return streams


def mixed(block: Block, stream: Tensor) -> Tensor:
    """What a block adds to the stream."""
    u, z = block.halves(stream)
    x = block.convolve(u, u.new_zeros(len(u), block.k - 1, block.channels))
    gate, write, c = block.terms(x)
    h = torch.zeros_like(gate[:, 0])
    states = []
    for t in range(u.shape[1]):
        h = gate[:, t] * h + write[:, t]
        states.append(h)
    return block.output(torch.stack(states, dim=1), c, x, z)


def load(directory: Path) -> Model:
    return Model(directory)
