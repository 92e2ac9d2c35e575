"""Plain implementations of packed documents: one row, chunks on a grid of all of it, documents that begin anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from plain.blocks import Terms, Weights
from plain.scans import doubling, matrix
from torch import Tensor

CHUNK = 8
State = list[tuple[Tensor, Tensor]]
SCANS = {"packed": doubling, "packed mamba2": matrix}


class Model:
    """Logits of packed documents; states at the last multiple of a chunk inside each, to continue from."""

    def __init__(self, directory: Path, way: str) -> None:
        self.w = Weights(directory)
        self.scan = SCANS[way]

    def __call__(self, ids: Tensor) -> Tensor:
        time = ids.shape[1]
        return self.packed(ids.reshape(1, -1), [time] * len(ids)).reshape(len(ids), time, -1)

    def packed(self, ids: Tensor, lengths: list[int]) -> Tensor:
        return self.run(ids, lengths, [self.empty() for _ in lengths], lengths)[0]

    def empty(self) -> State:
        return [(torch.zeros(b.k - 1, b.width), torch.zeros(b.state)) for b in self.w.blocks]

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
            added, states = self.mixed(block, stream, lengths, [cache[layer] for cache in caches], kept)
            stream = stream + added
            for document, state in zip(after, states, strict=True):
                document.append(state)
        return self.w.head(stream), after

    def mixed(
        self, block: Any, stream: Tensor, lengths: list[int], before: State, kept: list[int]
    ) -> tuple[Tensor, State]:
        """What a block adds to the row, and the states kept."""
        z, u, dt = block.inputs(stream)
        starts = [sum(lengths[:i]) for i in range(len(lengths))]
        wides = [torch.cat([past, u[0, s : s + n]]) for (past, _), s, n in zip(before, starts, lengths, strict=True)]
        v = torch.cat([block.convolve(w[None, block.k - 1 :], w[None, : block.k - 1]) for w in wides], dim=1)
        t = block.terms(v, dt)
        stops = [s + n for s, n in zip(starts, kept, strict=True)]
        y, states = self.scanned(t, starts, stops, [h for _, h in before])
        left = []
        for wide, stop, n, (_, h) in zip(wides, stops, kept, before, strict=True):
            left.append((wide[n : n + block.k - 1], states[stop] if n else h))
        return block.output(y, t.x, z), left

    def scanned(
        self, t: Terms, starts: list[int], stops: list[int], initial: list[Tensor]
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """What C reads at every step of the row, and the states at the ends of stretches, by the steps before them.

        A chunk has as many stretches as documents are in it, or more: a state that is kept ends one too.
        """
        total, read, states = t.dx.shape[1], [], {}
        h = torch.zeros_like(initial[0])
        for first in range(0, total, CHUNK):
            last = min(first + CHUNK, total)
            begins = sorted({first} | {s for s in (*starts, *stops) if first <= s < last})
            for begin, end in zip(begins, [*begins[1:], last], strict=True):
                if begin in starts:
                    h = initial[starts.index(begin)]
                y, after = self.scan(t.part(begin, end), h[None])
                h = after[0]
                states[end] = h
                read.append(y)
        return torch.cat(read, dim=1), states
