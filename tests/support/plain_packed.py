"""Plain Mamba on packed documents: one row, chunks on a grid of the whole row, documents that begin anywhere in it."""

from __future__ import annotations

from pathlib import Path

import torch
from plain_parts import Block, Weights
from torch import Tensor

CHUNK = 8
State = list[tuple[Tensor, Tensor]]


class Model:
    """Logits of packed documents; states at the last multiple of a chunk inside each, to continue from."""

    def __init__(self, directory: Path) -> None:
        self.w = Weights(directory)

    def __call__(self, ids: Tensor) -> Tensor:
        time = ids.shape[1]
        return self.packed(ids.reshape(1, -1), [time] * len(ids)).reshape(len(ids), time, -1)

    def packed(self, ids: Tensor, lengths: list[int]) -> Tensor:
        return self.run(ids, lengths, [self.empty() for _ in lengths], lengths)[0]

    def empty(self) -> State:
        return [(torch.zeros(b.k - 1, b.channels), torch.zeros(b.channels, b.n)) for b in self.w.blocks]

    def prefill(self, ids: Tensor) -> tuple[Tensor, list[State]]:
        time = ids.shape[1]
        flat, lengths = ids.reshape(1, -1), [time] * len(ids)
        logits, caches = self.run(flat, lengths, [self.empty() for _ in lengths], lengths)
        return logits.reshape(len(ids), time, -1), caches

    def step(self, ids: Tensor, caches: list[State]) -> tuple[Tensor, list[State]]:
        logits, caches = self.run(ids.reshape(1, -1), [1] * len(ids), caches, [1] * len(ids))
        return logits.reshape(len(ids), 1, -1), caches

    def packed_extend(self, ids: Tensor, lengths: list[int], caches: list[list[State]]) -> Tensor:
        return self.run(ids, lengths, [cache[0] for cache in caches], lengths)[0]

    def snapshots(self, ids: Tensor, lengths: list[int]) -> list[tuple[int, list[State]]]:
        aligned = [length // CHUNK * CHUNK for length in lengths]
        _, caches = self.run(ids, lengths, [self.empty() for _ in lengths], aligned)
        return [(n, [cache]) for n, cache in zip(aligned, caches, strict=True)]

    def run(self, ids: Tensor, lengths: list[int], caches: list[State], kept: list[int]) -> tuple[Tensor, list[State]]:
        """Logits of the row, and each document's state after so many of its tokens."""
        stream = self.w.embedding[ids]
        after: list[State] = [[] for _ in lengths]
        for layer, block in enumerate(self.w.blocks):
            added, states = mixed(block, stream, lengths, [cache[layer] for cache in caches], kept)
            stream = stream + added
            for document, state in zip(after, states, strict=True):
                document.append(state)
        return self.w.head(stream), after


def mixed(
    block: Block, stream: Tensor, lengths: list[int], before: State, kept: list[int]
) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """What a block adds to the row, and the states kept."""
    u, z = block.halves(stream)
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    wides = [torch.cat([past, u[0, s : s + n]]) for (past, _), s, n in zip(before, starts, lengths, strict=True)]
    x = torch.cat([block.convolve(w[None, block.k - 1 :], w[None, : block.k - 1]) for w in wides], dim=1)
    gate, write, c = block.terms(x)
    states = scan(gate[0], write[0], starts, [h for _, h in before])
    left = []
    for wide, start, n, (_, h) in zip(wides, starts, kept, before, strict=True):
        left.append((wide[n : n + block.k - 1], states[start + n - 1] if n else h))
    return block.output(states[None], c, x, z), left


def scan(gate: Tensor, write: Tensor, starts: list[int], initial: list[Tensor]) -> Tensor:
    """All states of the row. In a chunk, a document's states are sums of decayed writes since it or the chunk began."""
    total, states = len(gate), []
    h = torch.zeros_like(write[0])
    for first in range(0, total, CHUNK):
        last = min(first + CHUNK, total)
        begins = sorted({first} | {s for s in starts if first <= s < last})
        for begin, end in zip(begins, [*begins[1:], last], strict=True):
            if begin in starts:
                h = initial[starts.index(begin)]
            decay = torch.ones_like(h)
            local = torch.zeros_like(h)
            for t in range(begin, end):
                decay = gate[t] * decay
                local = gate[t] * local + write[t]
                states.append(decay * h + local)
            h = states[-1]
    return torch.stack(states)


def load(directory: Path) -> Model:
    return Model(directory)
