"""Plain Mamba-2 that decodes: states in slots of one pool, as servers keep them, and batches with an attention mask."""

from __future__ import annotations

from pathlib import Path

import torch
from plain_mamba2_parts import Block, Weights
from torch import Tensor

SLOTS = 128


class Model:
    """Prefill, single steps, continuations and padded batches."""

    def __init__(self, directory: Path) -> None:
        self.w = Weights(directory)
        # As in a server's pool, what lies in a slot before it is taken is what others left there.
        self.pasts = [torch.ones(SLOTS, b.k - 1, b.width) for b in self.w.blocks]
        self.states = [torch.full((SLOTS, b.heads, b.head_dim, b.n), 2.0**30) for b in self.w.blocks]
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
            z, xbc, delta = block.parts(stream)
            past = self.pasts[layer][slots]
            x, b, c = block.convolve(xbc, past)
            self.pasts[layer][slots] = torch.cat([past[:, 1:], xbc], dim=1)
            h, y = moved(block, self.states[layer][slots], delta[:, 0], x[:, 0], b[:, 0], c[:, 0])
            self.states[layer][slots] = h
            stream = stream + block.output(y[:, None], x, z)
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
    z, xbc, delta = block.parts(stream)
    xbc = xbc * keep
    wide = torch.cat([pasts[slots], xbc], dim=1)
    x, b, c = block.convolve(xbc, pasts[slots])
    x = x * keep[..., None]
    pasts[slots] = wide[:, wide.shape[1] - (block.k - 1) :]
    h, read = pool[slots], []
    for t in range(xbc.shape[1]):
        h, y = moved(block, h, delta[:, t], x[:, t], b[:, t], c[:, t])
        read.append(y)
    pool[slots] = h
    return block.output(torch.stack(read, dim=1), x, z)


def moved(block: Block, h: Tensor, delta: Tensor, x: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The next state, and what C reads of it."""
    gate = torch.exp(delta * block.a)[:, :, None, None]
    h = gate * h + (delta[..., None] * x)[..., None] * b[:, None, None, :]
    return h, torch.einsum("bhpn,bn->bhp", h, c)


def load(directory: Path) -> Model:
    return Model(directory)
