"""Plain Mamba that decodes: states in slots of one pool, as servers keep them, and batches with an attention mask."""

from __future__ import annotations

from pathlib import Path

import torch
from plain_parts import Block, Weights
from torch import Tensor

SLOTS = 128


class Model:
    """Prefill, single steps, continuations and padded batches."""

    def __init__(self, directory: Path) -> None:
        self.w = Weights(directory)
        # As in a server's pool, what lies in a slot before it is taken is what others left there.
        self.pasts = [torch.ones(SLOTS, b.k - 1, b.channels) for b in self.w.blocks]
        self.states = [torch.ones(SLOTS, b.channels, b.n) for b in self.w.blocks]
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
            u, z = block.halves(stream)
            past = self.pasts[layer][slots]
            x = block.convolve(u, past)
            self.pasts[layer][slots] = torch.cat([past[:, 1:], u], dim=1) if block.k > 1 else past
            gate, write, c = block.terms(x)
            h = gate[:, 0] * self.states[layer][slots] + write[:, 0]
            self.states[layer][slots] = h
            stream = stream + block.output(h[:, None], c, x, z)
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
            stream = stream + mixed(block, stream, keep, self.pasts[layer], self.states[layer], slots)
        return self.w.head(stream)


def mixed(block: Block, stream: Tensor, keep: Tensor, pasts: Tensor, pool: Tensor, slots: Tensor) -> Tensor:
    """What a block adds to the stream."""
    u, z = block.halves(stream)
    u = u * keep
    wide = torch.cat([pasts[slots], u], dim=1)
    x = block.convolve(u, pasts[slots]) * keep
    pasts[slots] = wide[:, wide.shape[1] - (block.k - 1) :]
    gate, write, c = block.terms(x)
    h, states = pool[slots], []
    for t in range(u.shape[1]):
        h = gate[:, t] * h + write[:, t]
        states.append(h)
    pool[slots] = h
    return block.output(torch.stack(states, dim=1), c, x, z)


def load(directory: Path) -> Model:
    return Model(directory)
