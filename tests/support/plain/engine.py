"""A plain engine: requests with states in slots of a pool, shared until written to, batches of any requests, a cache of
prefixes, states kept to roll back to, padded batches, and states saved outside.

The rows of a batch that go on by one token are run together by a kernel for steps; all others lie in one row, one after
the other, and each is scanned in stretches that end at multiples of a block, so that the states there can be kept.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from plain.blocks import Weights
from plain.scans import steps
from torch import Tensor

SLOTS, BLOCK, DRAFT, MARKS, PREFIXES = 64, 4, 6, 8, 48
State = list[tuple[Tensor, Tensor]]
"""By block, the convolution's last inputs and the recurrent state."""


class Request:
    """A sequence: its slot, what it has read, and states that were kept, by how many tokens they have seen."""

    def __init__(self, slot: int, tokens: list[int] | None = None, marks: dict[int, State] | None = None) -> None:
        self.slot, self.tokens, self.marks = slot, tokens or [], marks or {}


class Model:
    """The engine."""

    offers = frozenset(
        {"prefill", "step", "extend", "together", "padded", "padded_prefill", "packed", "packed_extend", "snapshots"}
        | {"fork", "save", "restore", "roll_back"}
    )
    last_only = True

    def __init__(self, directory: Path, way: str) -> None:
        self.w = Weights(directory)
        self.pasts = [torch.ones(SLOTS, b.k - 1, b.width) for b in self.w.blocks]
        self.states = [torch.full((SLOTS, *b.state), b.dirt) for b in self.w.blocks]
        self.free, self.users = list(range(SLOTS)), [0] * SLOTS
        self.prefixes: dict[tuple[int, ...], State] = {}

    # -- slots --

    def open(self) -> Request:
        return Request(self.take())

    def take(self) -> int:
        slot = self.free.pop()
        self.users[slot] = 1
        for pool in (*self.pasts, *self.states):
            pool[slot] = 0.0
        return slot

    def close(self, request: Request) -> None:
        self.leave(request.slot)

    def leave(self, slot: int) -> None:
        self.users[slot] -= 1
        if self.users[slot] == 0:
            self.free.append(slot)

    def fork(self, request: Request) -> Request:
        self.users[request.slot] += 1
        return Request(request.slot, list(request.tokens), dict(request.marks))

    def own(self, request: Request) -> None:
        """Before it is written to, a slot that others use too is copied."""
        if self.users[request.slot] > 1:
            slot = self.take()
            for pool in (*self.pasts, *self.states):
                pool[slot] = pool[request.slot]
            self.leave(request.slot)
            request.slot = slot

    def read(self, slot: int) -> State:
        return [(past[slot].clone(), state[slot].clone()) for past, state in zip(self.pasts, self.states, strict=True)]

    def write(self, slot: int, state: State) -> None:
        for layer, (past, h) in enumerate(state):
            self.pasts[layer][slot] = past
            self.states[layer][slot] = h

    # -- states kept inside and outside --

    def save(self, request: Request) -> bytes:
        state = [(past.numpy(), h.numpy()) for past, h in self.read(request.slot)]
        return pickle.dumps((request.tokens, state))

    def restore(self, saved: bytes) -> Request:
        tokens, state = pickle.loads(saved)
        request = self.open()
        self.write(request.slot, [(torch.tensor(past), torch.tensor(h)) for past, h in state])
        request.tokens = tokens
        return request

    def keep(self, request: Request, kept: dict[int, State], draft: bool) -> None:
        """States to roll back to, the latest; those at multiples of a block for other requests too, but of drafts."""
        for length, state in kept.items():
            request.marks[length] = state
            if length % BLOCK == 0 and not draft:
                self.prefixes[tuple(request.tokens[:length])] = state
        for length in sorted(request.marks)[:-MARKS]:
            del request.marks[length]
        for prefix in list(self.prefixes)[:-PREFIXES]:
            del self.prefixes[prefix]

    def hit(self, request: Request, tokens: tuple[int, ...]) -> int:
        """How many tokens of a new request a kept prefix spares it; the last one is always read."""
        if request.tokens:
            return 0
        for length in range((len(tokens) - 1) // BLOCK * BLOCK, 0, -BLOCK):
            if tokens[:length] in self.prefixes:
                self.write(request.slot, self.prefixes[tokens[:length]])
                request.tokens, request.marks[length] = list(tokens[:length]), self.read(request.slot)
                return length
        return 0

    def roll_back(self, request: Request, tokens: int) -> None:
        """To the latest state that was kept before, and from there once more."""
        self.own(request)
        wanted = len(request.tokens) - tokens
        again = request.tokens[:wanted]
        request.marks = {length: state for length, state in request.marks.items() if length <= wanted}
        start = max(request.marks, default=0)
        empty = [(0 * past, 0 * h) for past, h in self.read(request.slot)]
        self.write(request.slot, request.marks[start] if start else empty)
        request.tokens = again[:start]
        if start < wanted:
            self.batch([(request, tuple(again[start:]))])

    def snapshots(self, rows: list[tuple[Request, tuple[int, ...]]]) -> list[tuple[int, Request]]:
        self.feed(rows, "packed", True)
        found = []
        for request, tokens in rows:
            length = (len(tokens) - 1) // BLOCK * BLOCK
            other = self.open()
            if length:
                self.write(other.slot, request.marks[length])
            other.tokens = list(tokens[:length])
            found.append((length, other))
        return found

    # -- batches --

    def feed(self, rows: list[tuple[Request, tuple[int, ...]]], layout: str, keep: bool) -> list[Tensor]:
        for request, _ in rows:
            self.own(request)
        if layout in ("left", "right"):
            return self.padded(rows, layout == "left")
        hits = [self.hit(request, tokens) for request, tokens in rows]
        return self.batch([(request, tokens[n:]) for (request, tokens), n in zip(rows, hits, strict=True)])

    def batch(self, rows: list[tuple[Request, tuple[int, ...]]]) -> list[Tensor]:
        """Logits of every row, by two kernels."""
        decodes = [i for i, (request, tokens) in enumerate(rows) if len(tokens) == 1 and request.tokens]
        prefills = [i for i in range(len(rows)) if i not in decodes]
        answers: dict[int, Tensor] = {}
        if decodes:
            answers |= zip(decodes, self.decode([rows[i] for i in decodes]), strict=True)
        if prefills:
            answers |= zip(prefills, self.prefill([rows[i] for i in prefills]), strict=True)
        return [answers[i] for i in range(len(rows))]

    def decode(self, rows: list[tuple[Request, tuple[int, ...]]]) -> list[Tensor]:
        slots = torch.tensor([request.slot for request, _ in rows])
        stream = self.w.embedding[torch.tensor([tokens for _, tokens in rows])]
        for layer, block in enumerate(self.w.blocks):
            z, u, dt = block.inputs(stream)
            past = self.pasts[layer][slots]
            t = block.terms(block.convolve(u, past), dt)
            self.pasts[layer][slots] = torch.cat([past, u], dim=1)[:, 1:]
            y, h = steps(t, self.states[layer][slots])
            self.states[layer][slots] = h
            stream = stream + block.output(y, t.x, z)
        for request, tokens in rows:
            request.tokens.extend(tokens)
            self.keep(request, {len(request.tokens): self.read(request.slot)}, draft=False)
        return list(self.w.head(stream))

    def prefill(self, rows: list[tuple[Request, tuple[int, ...]]]) -> list[Tensor]:
        flat = torch.tensor([[token for _, tokens in rows for token in tokens]])
        stream = self.w.embedding[flat]
        kept: list[dict[int, State]] = [{} for _ in rows]
        for layer, block in enumerate(self.w.blocks):
            z, u, dt = block.inputs(stream)
            parts, first = [], 0
            for (request, tokens), states in zip(rows, kept, strict=True):
                last = first + len(tokens)
                parts.append(self.scanned(layer, request, u[:, first:last], dt[:, first:last], states))
                first = last
            y, x = (torch.cat(some, dim=1) for some in zip(*parts, strict=True))
            stream = stream + block.output(y, x, z)
        logits = self.w.head(stream)[0]
        for (request, tokens), states in zip(rows, kept, strict=True):
            draft = self.is_draft(request, len(tokens))
            request.tokens.extend(tokens)
            self.keep(request, states, draft)
        return list(torch.split(logits, [len(tokens) for _, tokens in rows]))

    def is_draft(self, request: Request, length: int) -> bool:
        """Whether tokens may be undone soon, so that a state is kept after each."""
        return bool(request.tokens) and length <= DRAFT

    def scanned(
        self, layer: int, request: Request, u: Tensor, dt: Tensor, kept: dict[int, State]
    ) -> tuple[Tensor, Tensor]:
        """What C reads of one row, and x; the states at the ends of its stretches are kept."""
        block, slot = self.w.blocks[layer], request.slot
        seen, length = len(request.tokens), u.shape[1]
        past, h = self.pasts[layer][slot][None], self.states[layer][slot][None]
        wide = torch.cat([past, u], dim=1)
        t = block.terms(block.convolve(u, past), dt)
        step = 1 if self.is_draft(request, length) else BLOCK
        ends = sorted({n - seen for n in range(seen + 1, seen + length) if n % step == 0} | {length})
        read, first = [], 0
        for last in ends:
            y, h = steps(t.part(first, last), h)
            read.append(y)
            kept.setdefault(seen + last, []).append((wide[0, last : last + block.k - 1].clone(), h[0].clone()))
            first = last
        self.pasts[layer][slot] = wide[0, length : length + block.k - 1]
        self.states[layer][slot] = h[0]
        return torch.cat(read, dim=1), t.x

    def padded(self, rows: list[tuple[Request, tuple[int, ...]]], left: bool) -> list[Tensor]:
        longest = max(len(tokens) for _, tokens in rows)
        slots = torch.tensor([request.slot for request, _ in rows])
        starts = [longest - len(tokens) if left else 0 for _, tokens in rows]
        ids, mask = torch.zeros(len(rows), longest, dtype=torch.int64), torch.zeros(len(rows), longest)
        for row, ((_, tokens), start) in enumerate(zip(rows, starts, strict=True)):
            ids[row, start : start + len(tokens)] = torch.tensor(tokens)
            mask[row, start : start + len(tokens)] = 1.0
        stream, real = self.w.embedding[ids], mask[:, :, None]
        for layer, block in enumerate(self.w.blocks):
            z, u, dt = block.inputs(stream)
            u = u * real
            past = self.pasts[layer][slots]
            t = block.terms(block.convolve(u, past), dt)
            wide = torch.cat([past, u], dim=1)
            at_rest = (1.0 - mask).reshape(*mask.shape, *[1] * (t.decay.dim() - 2))
            off = mask.reshape(*mask.shape, *[1] * (t.dx.dim() - 2))
            t = t._replace(decay=torch.where(at_rest > 0, 0.0, t.decay), dx=t.dx * off)
            y, h = steps(t, self.states[layer][slots])
            self.states[layer][slots] = h
            for row, ((request, tokens), start) in enumerate(zip(rows, starts, strict=True)):
                end = start + len(tokens)
                self.pasts[layer][request.slot] = wide[row, end : end + block.k - 1]
            stream = stream + block.output(y, t.x, z)
        logits = self.w.head(stream)
        for request, tokens in rows:
            request.tokens.extend(tokens)
        return [row[start : start + len(tokens)] for row, start, (_, tokens) in zip(logits, starts, rows, strict=True)]
