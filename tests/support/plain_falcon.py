"""Plain Falcon-Mamba, one step after another: Mamba with norms of dt, B and C. Goes on from a cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from plain_parts import Block, Weights
from torch import Tensor
from torch.nn.functional import softplus

State = list[tuple[Tensor, Tensor]]


class FalconBlock(Block):
    """A block with norms, which have no weights."""

    def __init__(self, w: dict[str, Tensor], layer: int, config: dict[str, Any]) -> None:
        super().__init__(w, layer, config)
        self.inner_eps = config["mixer_rms_eps"]

    def terms(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        low = x @ self.w_x.T
        dt, b, c = low.split([self.rank, self.n, self.n], dim=-1)
        dt, b, c = self.rms(dt), self.rms(b), self.rms(c)
        delta = softplus(dt @ self.w_dt.T + self.dt_bias)
        gate = torch.exp(delta[..., None] * self.a)
        return gate, delta[..., None] * b[:, :, None, :] * x[..., None], c

    def rms(self, v: Tensor) -> Tensor:
        return v * self.scale(v)

    def scale(self, v: Tensor) -> Tensor:
        size = v.pow(2).mean(-1, keepdim=True)
        return torch.rsqrt(size + self.inner_eps)


class FalconWeights(Weights):
    """Those of a Falcon-Mamba checkpoint."""

    block = FalconBlock


class Model:
    """Logits of a batch, of a continuation, and the residual stream after every block."""

    def __init__(self, directory: Path) -> None:
        self.w = FalconWeights(directory)

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
            u, z = block.halves(streams[-1])
            x = block.convolve(u, past)
            gate, write, c = block.terms(x)
            states = []
            for t in range(u.shape[1]):
                h = gate[:, t] * h + write[:, t]
                states.append(h)
            streams.append(streams[-1] + block.output(torch.stack(states, dim=1), c, x, z))
            after.append((torch.cat([past, u], dim=1)[:, u.shape[1] :], h))
        return streams, after


def load(directory: Path) -> Model:
    return Model(directory)
