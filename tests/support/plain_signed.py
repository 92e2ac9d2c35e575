"""Plain signed Mamba, one step after another: Mamba whose gates have signs. Goes on from a cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from plain_parts import Block, Weights
from torch import Tensor

State = list[tuple[Tensor, Tensor]]


class SignedBlock(Block):
    """A block with one more projection of dt."""

    def __init__(self, w: dict[str, Tensor], layer: int, config: dict[str, Any]) -> None:
        super().__init__(w, layer, config)
        prefix = f"backbone.layers.{layer}.mixer.sign_proj."
        self.w_sign, self.sign_bias = w[prefix + "weight"], w[prefix + "bias"]

    def terms(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gate, write, c = super().terms(x)
        low = x @ self.w_x.T
        sign = torch.tanh(low[..., : self.rank] @ self.w_sign.T + self.sign_bias)
        return sign[..., None] * gate, write, c


class SignedWeights(Weights):
    """Those of a signed checkpoint."""

    block = SignedBlock


class Model:
    """Logits of a batch, of a continuation, and the residual stream after every block."""

    def __init__(self, directory: Path) -> None:
        self.w = SignedWeights(directory)

    def __call__(self, ids: Tensor) -> Tensor:
        return self.prefill(ids)[0]

    def hidden(self, ids: Tensor) -> list[Tensor]:
        return self.run(ids, self.empty(len(ids)))[0]

    def prefill(self, ids: Tensor) -> tuple[Tensor, State]:
        return self.extend(ids, self.empty(len(ids)))

    def extend(self, ids: Tensor, cache: State) -> tuple[Tensor, State]:
        streams, cache = self.run(ids, cache)
        return self.w.head(streams[-1]), cache

    step = extend

    def empty(self, rows: int) -> State:
        return [(torch.zeros(rows, b.k - 1, b.channels), torch.zeros(rows, b.channels, b.n)) for b in self.w.blocks]

    def run(self, ids: Tensor, cache: State) -> tuple[list[Tensor], State]:
        streams, after = [self.w.embedding[ids]], []
        for block, (past, h) in zip(self.w.blocks, cache, strict=True):
            added, state = mixed(block, streams[-1], past, h)
            streams.append(streams[-1] + added)
            after.append(state)
        return streams, after


def mixed(block: Block, stream: Tensor, past: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """What a block adds to the stream, and its state after that."""
    u, z = block.halves(stream)
    x = block.convolve(u, past)
    gate, write, c = block.terms(x)
    states = []
    for t in range(u.shape[1]):
        h = gate[:, t] * h + write[:, t]
        states.append(h)
    wide = torch.cat([past, u], dim=1)
    return block.output(torch.stack(states, dim=1), c, x, z), (wide[:, u.shape[1] :], h)


def load(directory: Path) -> Model:
    return Model(directory)
