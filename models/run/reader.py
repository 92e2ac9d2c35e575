"""Reading one long word with a step that takes batches: the rows of a batch are tokens that follow one another.

What enters a block is known for many tokens at once when the block below has read them, and so are the inputs of its
convolution. What remains is a recurrence in each entry of the SSM state, in float32 (in float64 models, too),

    h <- fl(fl(g h) + b),    g and b given by the block's input alone, |g| <= 1.

So the step from h = 0 gives b. The step from h = 2^100 gives fl(fl(2^100 g) + b), which is 2^100 g unless |g| is below
2^-75 |b|; and then g h is lost beside b either way. A loop of products and sums gives the states before every token,
and the step from those gives the block's output and the states afterwards, which have to be those of the loop. The
probes go through a batch in the opposite order, so that a step whose result depended on the row would show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from ...automata.errors import ScancraftError
from .stepper import Stepper

Numbers = NDArray[np.float32]

PROBE = 2.0**100


class StepError(ScancraftError):
    """A step is not of the form above, or its numbers leave the range of floats."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """What a block did on some tokens, T of them.

    Attributes:
        stream: what entered it, shape (T, d_model).
        windows: the inputs of its convolution before each token and after the last one, shape (T + 1, conv_size).
        gates: g, shape (T, entries of the SSM state).
        writes: b, of that shape.
        states: the SSM state before each token and after the last one, shape (T + 1, entries).
        out: what left it, shape (T, d_model); None if nobody asked.
    """

    stream: Tensor
    windows: Tensor
    gates: Numbers
    writes: Numbers
    states: Numbers
    out: Tensor | None


class Reader:
    """One sequence in the middle of being read by a Mamba, a Falcon-Mamba, a signed Mamba or a Mamba-2.

    Args:
        stepper: of the model.
        token: the first token, which starts from the empty cache.

    Attributes:
        state: the complete state, shape (numbers,); it may be replaced by another one.
        chunks: what each block did on the tokens read last.
    """

    def __init__(self, stepper: Stepper, token: int) -> None:
        self.stepper = stepper
        stream, states = stepper.start(0, len(stepper.blocks), stepper.embed(torch.tensor([token])))
        self.logits = stepper.logits(stream)[0]
        """After the first token, shape (vocabulary,)."""
        self.state = states[0]
        self.chunks: list[Chunk] = []

    @torch.no_grad()
    def read(self, tokens: Sequence[int]) -> Float[Tensor, "states numbers"]:
        """Read some more tokens: at least one, and as many as the stepper's batch at most.

        A block that gets what it got with the call before is not asked again: that is what makes reading the same word
        over and over cheap.

        Returns:
            The complete state before each token and after the last one, shape (T + 1, numbers).

        Raises:
            StepError: see there.
        """
        stepper, size = self.stepper, self.stepper.block_size
        stream = stepper.embed(torch.tensor(list(tokens))).to(stepper.wide)
        last = len(stepper.blocks) - 1
        chunks, parts = [], []
        for i in range(last + 1):
            before = self.chunks[i] if self.chunks else None
            chunk, rows = self._block(i, stream, self.state[i * size : (i + 1) * size], before, wanted=i < last)
            chunks.append(chunk)
            parts.append(rows)
            if chunk.out is not None:
                stream = chunk.out
        states = torch.cat(parts, dim=1)
        if not torch.isfinite(states[-1]).all():
            raise StepError("numbers overflow to infinity or NaN")
        self.chunks, self.state = chunks, states[-1]
        return states

    def _block(
        self, i: int, stream: Tensor, state: Tensor, last: Chunk | None, *, wanted: bool
    ) -> tuple[Chunk, Tensor]:
        """What block i does on some tokens, and its states before each of them and after the last one."""
        window, start = state[: self.stepper.conv_size], state[self.stepper.conv_size :].float().numpy()
        if last is not None and torch.equal(stream, last.stream) and torch.equal(window, last.windows[0]):
            windows, gates, writes = last.windows, last.gates, last.writes
        else:
            last = None
            windows = self._windows(i, stream, window)
            gates, writes = (self._probe(i, stream, windows[:-1], value) for value in (PROBE, 0.0))
            gates = gates / np.float32(PROBE)
        states, out = _recurrence(gates, writes, start), None
        rows = torch.cat([windows, torch.from_numpy(states).to(windows.dtype)], dim=1)
        if last is not None and np.array_equal(states, last.states):
            out = last.out
        elif wanted:
            out, after = self.stepper.step(i, i + 1, stream, rows[:-1])
            if not torch.equal(after, rows[1:]):
                finite = bool(torch.isfinite(after).all())
                raise StepError(f"block {i} is not read right" if finite else "numbers overflow to infinity or NaN")
        return Chunk(stream, windows, gates, writes, states, out), rows

    def _windows(self, i: int, stream: Tensor, before: Tensor) -> Tensor:
        """The inputs of a convolution before each token and after the last one, shape (T + 1, conv_size)."""
        stepper, block = self.stepper, self.stepper.blocks[i]
        (rows, size), *_ = stepper.chunks(stream)
        normed = block.norm(rows[:, None].to(stepper.dtype))
        # Mamba-2 projects its gate first, and then what the convolution reads; the others the other way round.
        before_it = block.mixer.intermediate_size if stepper.channels != block.mixer.intermediate_size else 0
        entering = block.mixer.in_proj(normed)[:size, 0, before_it : before_it + stepper.channels].to(stepper.wide)
        line = torch.cat([before.view(stepper.channels, stepper.taps), entering.t()], dim=1)
        windows = line.unfold(1, stepper.taps, 1).transpose(0, 1)
        return torch.where(stepper.masks[i], windows, 0.0).flatten(1) + 0.0

    def _probe(self, i: int, stream: Tensor, windows: Tensor, value: float) -> Numbers:
        """The SSM states after each token if all their entries had this value before it."""
        entries = self.stepper.block_size - windows.shape[1]
        rows = torch.cat([windows, windows.new_full((len(windows), entries), value)], dim=1)
        _, after = self.stepper.step(i, i + 1, stream.flip(0), rows.flip(0))
        found: Numbers = after[:, windows.shape[1] :].flip(0).float().numpy()
        return found


def _recurrence(gates: Numbers, writes: Numbers, start: Numbers) -> Numbers:
    """All values of h <- fl(fl(g h) + b), the first one included, shape (T + 1, entries)."""
    states = np.empty((len(gates) + 1, len(start)), dtype=np.float32)
    states[0] = start
    product = np.empty_like(states[0])
    with np.errstate(all="ignore"):
        for t, (gate, write) in enumerate(zip(gates, writes, strict=True)):
            np.multiply(gate, states[t], out=product)
            np.add(product, write, out=states[t + 1])
        states += 0.0  # -0.0 and 0.0 are one state
    return states
