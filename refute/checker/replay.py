"""Reading a word with a model's own step, for the checker of refutations.

The step is that of ``certify.checker.machine``, on ``ROWS`` rows at a time. A row's result does not depend on the
others, so the rows of one call may be tokens that follow one another in one word, once it is known with which state
each of them begins. That is guessed, and then verified by the very same call: it has to return the state of the next
row. (In each entry of the SSM state a step is h <- fl(fl(g h) + b). Beginning with 0 everywhere it returns b, and with
2^100 it returns 2^100 g, if b is small beside that. Wrong guesses are rejected, so nothing rests on this.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...certify.checker.machine import Machine
from ...certify.checker.parts import Floats, need

ROWS = 256
LARGE = 2.0**100


class Replay:
    """A model in the middle of a word.

    Args:
        model: a ``transformers`` ``MambaForCausalLM`` on the CPU.

    Attributes:
        state: one row: per block the inputs of the convolution, oldest first, then the SSM state, flattened; -0.0 as
            +0.0, and 0 for inputs that meet no tap but such of weight 0. Once a token has been read it may be replaced.
        end: the residual stream after the token read last, shape (1, d_model).
        rows: the states after each token of the last call's last ``ROWS``.
        ends: the residual streams, likewise.
    """

    def __init__(self, model: Any) -> None:
        self.machine = Machine(model, ROWS)
        self.state, self.end = np.empty(0), np.empty((1, 0))
        self.rows, self.ends = np.empty((0, 0)), np.empty((0, 0))
        self.last: dict[int, tuple[Any, ...]] = {}

    def start(self, token: int) -> None:
        """Begin with the first token, which has no state before it."""
        machine = self.machine
        self.end, own = machine.step(0, len(machine.blocks), machine.embed([token]), None)
        self.state = own[0].astype(np.float64)

    def read(self, tokens: Sequence[int]) -> None:
        """Read more tokens."""
        size = self.machine.size
        for at in range(0, len(tokens), ROWS):
            stream, states = self.machine.embed(list(tokens[at : at + ROWS])), self.state.reshape(-1, size)
            parts = []
            for i, state in enumerate(states.astype(stream.dtype)):
                stream, after = self._block(i, stream, state)
                parts.append(after)
            self.rows, self.ends = np.concatenate(parts, axis=1).astype(np.float64), stream
            self.state, self.end = self.rows[-1], stream[-1:]

    def beyond(self, rows: Any, tokens: Sequence[int]) -> Any:
        """The residual streams after more tokens, at least one, from each of some states; (rows, d_model)."""
        stream, machine = np.empty((0, 0)), self.machine
        states = rows.astype(machine.embed([0]).dtype)
        for token in tokens:
            stream, states = machine.step(0, len(machine.blocks), machine.embed([token] * len(states)), states)
        return stream

    def logits(self) -> Floats:
        """After the token read last, shape (vocabulary,)."""
        scores: Floats = self.machine.logits(self.end)[0]
        return scores

    def _block(self, i: int, stream: Any, state: Any) -> tuple[Any, Any]:
        """The streams and the states after some tokens in a row."""
        conv, (channels, taps) = self.machine.conv, self.machine.shape
        entered, began, windows, gates, writes = self.last.get(i, (np.empty(0),) * 5)
        if not (np.array_equal(entered, stream) and np.array_equal(began, state[:conv])):
            empty = np.zeros((len(stream), len(state)), dtype=stream.dtype)
            newest = self._guess(i, stream, empty)[:, :conv].reshape(-1, channels, taps)[:, :, -1]
            line = np.concatenate([state[:conv].reshape(channels, taps), newest.T], axis=1)
            seen = np.lib.stride_tricks.sliding_window_view(line, taps, axis=1).transpose(1, 0, 2)[:-1]
            windows = np.where(self.machine.kept[i], seen.reshape(len(stream), -1), 0.0)
            empty[:, :conv] = windows
            writes = self._guess(i, stream, empty)[:, conv:]
            empty[:, conv:] = LARGE
            gates = self._guess(i, stream, empty)[:, conv:] / LARGE
            self.last[i] = stream, state[:conv], windows, gates, writes
        inner = [state[conv:].astype(np.float32)]
        for gate, write in zip(gates.astype(np.float32), writes.astype(np.float32), strict=True):
            inner.append(inner[-1] * gate + write)
        before = np.concatenate([windows, inner[:-1]], axis=1).astype(stream.dtype)
        out, after = self.machine.step(i, i + 1, stream, before)
        good = np.array_equal(before[0], state) and np.array_equal(after[:-1], before[1:])
        need(good, f"block {i} does not go on from the states that were guessed")
        return out, after

    def _guess(self, i: int, stream: Any, states: Any) -> Any:
        """The states after one token each, whatever becomes of the streams."""
        return self.machine.run(i, i + 1, stream, states)[1]
