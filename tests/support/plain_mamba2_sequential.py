"""Plain Mamba-2, the recurrence one step after another, a whole batch at once."""

from __future__ import annotations

from pathlib import Path

import torch
from plain_mamba2_parts import Block, Weights
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
    z, xbc, delta = block.parts(stream)
    x, b, c = block.convolve(xbc, xbc.new_zeros(len(xbc), block.k - 1, block.width))
    h = x.new_zeros(len(x), block.heads, block.head_dim, block.n)
    read = []
    for t in range(x.shape[1]):
        gate = torch.exp(delta[:, t] * block.a)[:, :, None, None]
        write = (delta[:, t, :, None] * x[:, t])[..., None] * b[:, t, None, None, :]
        h = gate * h + write
        read.append(torch.einsum("bhpn,bn->bhp", h, c[:, t]))
    return block.output(torch.stack(read, dim=1), x, z)


def load(directory: Path) -> Model:
    return Model(directory)
