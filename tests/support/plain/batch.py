"""Plain implementations that run a batch at once, from a cache or from nothing, in chunks or one step after another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from plain.blocks import Weights
from plain.scans import doubling, matrix, steps
from torch import Tensor

CHUNK = 4
Cache = list[tuple[Tensor, Tensor]]
SCANS = {"sequential": (steps, 1 << 30), "chunked": (doubling, 4 * CHUNK), "chunked mamba2": (matrix, CHUNK)}


class Model:
    """Logits of a batch and of continuations, and the residual stream after every block."""

    def __init__(self, directory: Path, way: str) -> None:
        self.w = Weights(directory)
        self.scan, self.chunk = SCANS[way]

    def __call__(self, ids: Tensor) -> Tensor:
        return self.prefill(ids)[0]

    def hidden(self, ids: Tensor) -> list[Tensor]:
        streams = self.run(ids, self.empty(len(ids)))[0]
        return streams + streams[-1:] * self.w.behind

    def prefill(self, ids: Tensor) -> tuple[Tensor, Cache]:
        return self.extend(ids, self.empty(len(ids)))

    def extend(self, ids: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        streams, cache = self.run(ids, cache)
        return self.w.head(streams[-1]), cache

    step = extend

    def empty(self, rows: int) -> Cache:
        return [(torch.zeros(rows, b.k - 1, b.width), torch.zeros(rows, *b.state)) for b in self.w.blocks]

    def run(self, ids: Tensor, cache: Cache) -> tuple[list[Tensor], Cache]:
        streams, after = [self.w.embedding[ids]], []
        for block, (past, h) in zip(self.w.blocks, cache, strict=True):
            added, state = self.mixed(block, streams[-1], past, h)
            streams.append(streams[-1] + added)
            after.append(state)
        return streams, after

    def mixed(self, block: Any, stream: Tensor, past: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """What a block adds to the stream, and its state after that."""
        z, u, dt = block.inputs(stream)
        t = block.terms(block.convolve(u, past), dt)
        read = []
        for first in range(0, u.shape[1], self.chunk):
            part = t.part(first, first + self.chunk)
            y, h = self.scan(part, h)
            read.append(y)
        wide = torch.cat([past, u], dim=1)
        return block.output(torch.cat(read, dim=1), t.x, z), (wide[:, wide.shape[1] - (block.k - 1) :], h)
