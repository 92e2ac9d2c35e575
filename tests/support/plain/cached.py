"""Plain implementations that decode: states in slots of one pool, as servers keep them, and batches with a mask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from plain.blocks import Weights
from plain.scans import steps
from torch import Tensor

SLOTS = 128


class Model:
    """Prefill, single steps, continuations and padded batches."""

    def __init__(self, directory: Path, way: str) -> None:
        self.w = Weights(directory)
        # As in a server's pool, what lies in a slot before it is taken is what others left there.
        self.pasts = [torch.ones(SLOTS, b.k - 1, b.width) for b in self.w.blocks]
        self.states = [torch.full((SLOTS, *b.state), b.dirt) for b in self.w.blocks]
        self.next = 0

    def __call__(self, ids: Tensor) -> Tensor:
        return self.padded(ids, torch.ones_like(ids))

    def padded(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.run(ids, self.take(len(ids)), mask)

    def prefill(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        slots = self.take(len(ids))
        return self.run(ids, slots, torch.ones_like(ids)), slots

    def extend(self, ids: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        return self.run(ids, slots, torch.ones_like(ids)), slots

    def step(self, ids: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        stream = self.w.embedding[ids]
        for layer, block in enumerate(self.w.blocks):
            z, u, dt = block.inputs(stream)
            past = self.pasts[layer][slots]
            t = block.terms(block.convolve(u, past), dt)
            self.pasts[layer][slots] = torch.cat([past[:, 1:], u], dim=1)
            y, h = steps(t, self.states[layer][slots])
            self.states[layer][slots] = h
            stream = stream + block.output(y, t.x, z)
        return self.w.head(stream), slots

    def take(self, count: int) -> Tensor:
        """Empty slots, the oldest ones used again."""
        self.next = 0 if self.next + count > SLOTS else self.next
        slots = torch.arange(self.next, self.next + count)
        self.next += count
        for pasts, states in zip(self.pasts, self.states, strict=True):
            pasts[slots] = 0.0
            states[slots] = 0.0
        return slots

    def run(self, ids: Tensor, slots: Tensor, mask: Tensor) -> Tensor:
        """Logits of several tokens, from the states in the slots, which move on."""
        stream, keep = self.w.embedding[ids], mask[:, :, None]
        for layer, block in enumerate(self.w.blocks):
            stream = stream + self.mixed(block, stream, keep, self.pasts[layer], self.states[layer], slots)
        return self.w.head(stream)

    def mixed(self, block: Any, stream: Tensor, keep: Tensor, pasts: Tensor, pool: Tensor, slots: Tensor) -> Tensor:
        """What a block adds to the stream."""
        z, u, dt = block.inputs(stream)
        u = u * keep
        wide = torch.cat([pasts[slots], u], dim=1)
        t = block.terms(block.convolve(u, pasts[slots]) * keep, dt)
        pasts[slots] = wide[:, wide.shape[1] - (block.k - 1) :]
        y, h = steps(t, pool[slots])
        pool[slots] = h
        return block.output(y, t.x, z)
