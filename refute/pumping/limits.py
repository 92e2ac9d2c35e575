"""Where a model's state goes on x w^n for large n, for many x and w at once.

In every entry of a block's SSM state a step is h <- g h + b, with g and b given by what enters the block. Once what
enters it is the same on every turn of w, a turn is h <- G h + B, and after n turns h = h* + G^n (h_0 - h*) with the
limit h* = B / (1 - G). So block by block the limit is put into the state, and the next block reads what then comes out.
For the first block this holds from where w has filled the window of the convolution; for others where those below have
settled, so that at a finite n it is an estimate. Nothing rests on it: what it suggests is read with the model's step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...models.run.reader import PROBE
from ...models.run.stepper import Stepper

ABSORBED = 2.0**24
"""How often a float takes the same number on top before it absorbs it."""


@dataclass(frozen=True, eq=False)
class Limit:
    """States after x w^n, one row for each x and w.

    Attributes:
        filled: so many turns fill every window.
        start: after x w^filled, shape (rows, numbers).
        states: after x w^n for n without end, of that shape.
        gates: G of each entry, of that shape, float64; 0 for the windows, which are those of the limit at once.
        adds: what a turn adds where G is 1, float64; 0 elsewhere.
    """

    filled: int
    start: Tensor
    states: Tensor
    gates: NDArray[np.float64]
    adds: NDArray[np.float64]

    def at(self, rows: Sequence[int], turns: Sequence[int]) -> Tensor:
        """Some rows after so many turns each, at least ``filled``, as far as the closed form holds."""
        start, limit = self.start[rows].double().numpy(), self.states[rows].double().numpy()
        n = np.maximum(np.array(turns, dtype=np.float64) - self.filled, 0.0)[:, None]
        gates, adds = self.gates[rows], self.adds[rows]
        with np.errstate(all="ignore"):
            found = np.where(gates == 1, start + np.minimum(n, ABSORBED) * adds, limit + gates**n * (start - limit))
        return torch.from_numpy(found).to(self.states.dtype)


@torch.no_grad()
def limit_of(stepper: Stepper, start: Tensor, words: Sequence[Sequence[int]]) -> Limit:
    """The limits along words of one length, at least one token, from states after x.

    Args:
        stepper: of the model.
        start: shape (rows, numbers).
        words: the tokens of w for each row.

    O(blocks^2 * (taps + length of w)) steps of a block for each 256 rows.
    """
    blocks, size, conv = len(stepper.blocks), stepper.block_size, stepper.conv_size
    tokens = torch.tensor(words).T
    fill = -(-stepper.taps // len(tokens)) + 1
    for _ in range(fill):
        for letters in tokens:
            _, start = stepper.step(0, blocks, stepper.embed(letters), start)
    now = start.clone()
    gates, adds = np.zeros(now.shape), np.zeros(now.shape)
    for i in range(blocks):  # those below are where they go
        below, own = slice(0, i * size), slice(i * size, (i + 1) * size)
        inner = slice(i * size + conv, (i + 1) * size)
        for _ in range(fill):
            for letters in tokens:
                _, now[:, : own.stop] = stepper.step(0, i + 1, stepper.embed(letters), now[:, : own.stop])
        gate, write = np.ones(now[:, inner].shape), np.zeros(now[:, inner].shape)
        for letters in tokens:
            stream = stepper.embed(letters)
            if i:
                stream, now[:, below] = stepper.step(0, i, stream, now[:, below])
            window = now[:, own.start : inner.start].clone()
            b, g = (_probe(stepper, i, stream, window, value) for value in (0.0, PROBE))
            now[:, own.start : inner.start] = b[:, :conv]
            step = g[:, conv:].double().numpy() / PROBE
            gate, write = step * gate, step * write + b[:, conv:].double().numpy()
        first = now[:, inner].double().numpy()
        with np.errstate(all="ignore"):
            found = np.where(gate == 1, first + ABSORBED * write, write / (1 - gate))
        now[:, inner] = torch.from_numpy(found).to(now.dtype)
        gates[:, inner], adds[:, inner] = gate, np.where(gate == 1, write, 0.0)
    return Limit(fill, start, now, gates, adds)


def _probe(stepper: Stepper, block: int, stream: Tensor, window: Tensor, value: float) -> Tensor:
    """A block's states after one token, if all entries of its SSM state had this value before."""
    inner = stepper.block_size - window.shape[1]
    return stepper.step(block, block + 1, stream, torch.cat([window, window.new_full((len(window), inner), value)], 1))[
        1
    ]
