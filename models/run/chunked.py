"""Time cut into chunks: how a piece of text lies in memory, and the recurrence h <- g h + w along it.

A piece of T steps of B rows is cut into C chunks of L steps. Its tokens lie in the order (step inside the chunk, chunk,
row), so that one step of all chunks of all rows is one contiguous run of J = C B numbers: the recurrence is a loop of L
operations on wide vectors, whatever the length.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

STEPS_PER_CHUNK = 16
WIDE = 128
"""A batch of so many rows is wide enough without chunks."""


@dataclass(frozen=True)
class Layout:
    """The order of the tokens of a piece in memory. The last chunk is filled up with tokens that nothing depends on.

    Args:
        batch: rows.
        time: steps of the piece, at least 1.
        steps: steps of a chunk.
        chunks: chunks; ``steps * chunks`` is at least ``time``.
    """

    batch: int
    time: int
    steps: int
    chunks: int

    @classmethod
    def of(cls, batch: int, time: int, past: int) -> Layout:
        """A layout with few operations: chunks only if the batch is narrow.

        Args:
            batch: rows.
            time: steps of the piece.
            past: how many steps back a convolution looks; if there are several chunks, each is at least so long.
        """
        steps = time if batch >= WIDE else min(time, max(STEPS_PER_CHUNK, past))
        return cls(batch, time, steps, -(-time // steps))

    @property
    def width(self) -> int:
        """J: how many numbers one step of all chunks and rows is."""
        return self.chunks * self.batch

    @property
    def tokens(self) -> int:
        """Tokens in memory, the filling included."""
        return self.steps * self.width

    def place(self, step: int) -> tuple[int, int]:
        """Where a step of the piece lies: (step inside the chunk, chunk). Negative steps lie before chunk 0."""
        chunk = max(step, 0) // self.steps
        return step - chunk * self.steps, chunk

    def pack(self, ids: Int64[Tensor, "batch time"]) -> Int64[Tensor, " tokens"]:
        """Token ids (batch, time) in the order of memory, shape (tokens,)."""
        spare = self.steps * self.chunks - self.time
        if spare:
            ids = torch.cat([ids, ids[:, -1:].expand(-1, spare)], dim=1)
        return ids.reshape(self.batch, self.chunks, self.steps).permute(2, 1, 0).reshape(-1)

    def unpack(self, values: Shaped[Tensor, "*rest tokens"]) -> Shaped[Tensor, "batch time *rest"]:
        """Values (..., tokens) by row and time, shape (batch, time, ...); a view where that is possible."""
        values = values.view(*values.shape[:-1], self.steps, self.chunks, self.batch).movedim((-1, -2, -3), (0, 1, 2))
        return values.flatten(1, 2)[:, : self.time]


def scan(
    gates: Float[Tensor, "rows tokens"],
    writes: Float[Tensor, "rows tokens"],
    start: Float[Tensor, "rows batch"],
    layout: Layout,
) -> Float[Tensor, "rows tokens"]:
    """All states of h <- g h + w, by products and sums only, so exact wherever the scan lemma holds.

    Inside chunks a loop over steps, all chunks and rows at once; over chunks, doubling. O(rows * tokens) work in
    O(steps + log chunks) operations.

    Args:
        gates: g, shape (rows, tokens), in [-1, 1]; destroyed.
        writes: w, shape (rows, tokens), of the dtype of the gates; destroyed.
        start: the state before the first step, shape (rows, batch).
        layout: the order of the tokens.

    Returns:
        The states after every step, shape (rows, tokens), in the memory of ``writes``.
    """
    shape = (len(writes), layout.steps, layout.width)
    g, h = gates.view(shape).unbind(1), writes.view(shape).unbind(1)
    if layout.chunks == 1:
        h[0].addcmul_(g[0], start)
        for step in range(1, layout.steps):
            h[step].addcmul_(g[step], h[step - 1])
        return writes
    for step in range(1, layout.steps):
        h[step].addcmul_(g[step], h[step - 1])
        g[step].mul_(g[step - 1])
    before = _starts(g[-1], h[-1], start, layout)
    writes.view(shape).addcmul_(gates.view(shape), before[:, None])
    return writes


def _starts(gates: Tensor, ends: Tensor, start: Tensor, layout: Layout) -> Tensor:
    """The state before each chunk, shape (rows, width), from the chunks' products of gates and states from zero."""
    batch = layout.batch
    states = torch.cat([start, ends[:, :-batch]], dim=1)  # chunk c starts where chunk c - 1 ends
    products = torch.cat([torch.zeros_like(start), gates[:, :-batch]], dim=1)
    reach = batch
    while reach < layout.width:
        states[:, reach:] += products[:, reach:] * states[:, :-reach]
        if 2 * reach < layout.width:
            products[:, reach:] = products[:, reach:] * products[:, :-reach]
        reach *= 2
    return states
