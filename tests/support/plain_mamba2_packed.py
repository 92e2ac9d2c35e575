"""Plain Mamba-2 on packed documents: one row, chunks on a grid of the whole row, documents that begin anywhere."""

from __future__ import annotations

from pathlib import Path

import torch
from plain_mamba2_parts import Block, Weights
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
        return [(torch.zeros(b.k - 1, b.width), torch.zeros(b.heads, b.head_dim, b.n)) for b in self.w.blocks]

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
    z, xbc, delta = block.parts(stream)
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    wides = [torch.cat([past, xbc[0, s : s + n]]) for (past, _), s, n in zip(before, starts, lengths, strict=True)]
    done = [block.convolve(w[None, block.k - 1 :], w[None, : block.k - 1]) for w in wides]
    x, b, c = (torch.cat([parts[i] for parts in done], dim=1)[0] for i in range(3))
    wanted = {s + n: None for s, n in zip(starts, kept, strict=True) if n}
    y, states = scan((delta * block.a)[0], delta[0, :, :, None] * x, b, c, starts, [h for _, h in before], list(wanted))
    left = [
        (wide[n : n + block.k - 1], states[s + n] if n else h)
        for wide, s, n, (_, h) in zip(wides, starts, kept, before, strict=True)
    ]
    return block.output(y[None], x[None], z), left


def scan(
    decay: Tensor, x: Tensor, b: Tensor, c: Tensor, starts: list[int], initial: list[Tensor], wanted: list[int]
) -> tuple[Tensor, dict[int, Tensor]]:
    """What C reads at every step of the row, and the states after so many steps as are wanted.

    A chunk has as many stretches as documents are in it; in each, sums of decay begin where it begins.
    """
    total, read, states = len(x), [], {}
    h = torch.zeros_like(initial[0])
    for first in range(0, total, CHUNK):
        last = min(first + CHUNK, total)
        begins = sorted({first} | {s for s in starts if first <= s < last})
        for begin, end in zip(begins, [*begins[1:], last], strict=True):
            if begin in starts:
                h = initial[starts.index(begin)]
            sums = decay[begin:end].cumsum(dim=0)
            weights = torch.exp(sums[:, None] - sums[None, :]).permute(2, 0, 1).tril()
            scores = c[begin:end] @ b[begin:end].T
            inside = torch.einsum("ts,hts,shp->thp", scores, weights, x[begin:end])
            read.append(inside + torch.einsum("th,hpn,tn->thp", torch.exp(sums), h, c[begin:end]))
            for stop in [s for s in wanted if begin < s <= end]:
                states[stop] = after(sums[: stop - begin], x[begin:stop], b[begin:stop], h)
            h = after(sums, x[begin:end], b[begin:end], h)
    return torch.cat(read), states


def after(sums: Tensor, x: Tensor, b: Tensor, h: Tensor) -> Tensor:
    """The state at the end of a stretch."""
    own = torch.einsum("sh,shp,sn->hpn", torch.exp(sums[-1:] - sums), x, b)
    return torch.exp(sums[-1])[:, None, None] * h + own


def load(directory: Path) -> Model:
    return Model(directory)
