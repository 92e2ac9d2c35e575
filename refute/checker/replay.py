"""Reading a word with a model's own step, for the checker of refutations.

The step is that of ``transformers``' own blocks with their cache, on ``ROWS`` rows at a time. A row's result does not
depend on the others, so the rows of one call may be tokens that follow one another in one word, once it is known with
which state each of them begins. That is guessed, and then verified by the very same call: it has to return the state of
the next row. (In each entry of the SSM state a step is h <- fl(fl(g h) + b). Beginning with 0 everywhere it returns b,
and with 2^100 it returns 2^100 g, if b is small beside that. Wrong guesses are rejected, so nothing rests on this.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...automata.errors import ScancraftError

ROWS = 256
LARGE = 2.0**100


class ReplayError(ScancraftError):
    """A word cannot be replayed."""


class Replay:
    """A model in the middle of a word.

    A state is one row: per block the inputs of the convolution, oldest first, then the SSM state, flattened; -0.0 as
    +0.0, and 0 for inputs that meet no tap but such of weight 0.

    Args:
        model: a ``transformers`` ``MambaForCausalLM`` on the CPU.
    """

    def __init__(self, model: Any) -> None:
        self.model, self.blocks = model, list(model.backbone.layers)
        self.dtype = self.blocks[0].mixer.in_proj.weight.dtype
        self.wide = torch.float64 if self.dtype == torch.float64 else torch.float32
        self.met = [_met(block.mixer.conv1d.weight[:, 0] != 0) for block in self.blocks]
        self.parts: list[Tensor] = []
        """The state, block by block, shape (1, numbers of the block)."""
        self.end = torch.empty(0)
        """The residual stream after the token read last, shape (1, d_model)."""
        self.last: dict[int, tuple[Tensor, ...]] = {}

    def start(self, token: int) -> None:
        """Begin with the first token, which has no state before it."""
        stream, self.parts = self.model.backbone.embeddings(torch.tensor([token])), []
        for i in range(len(self.blocks)):
            stream, after = self.step(i, stream, None)
            self.parts.append(after)
        self.end = stream

    def read(self, tokens: Sequence[int]) -> None:
        """Read more tokens."""
        for at in range(0, len(tokens), ROWS):
            stream = self.model.backbone.embeddings(torch.tensor(list(tokens[at : at + ROWS])))
            for i, state in enumerate(self.parts):
                stream, self.parts[i] = self._block(i, stream.to(self.wide), state)
            self.end = stream[-1:]

    def logits(self) -> Tensor:
        """After the token read last, shape (vocabulary,), float32."""
        hidden = self.model.backbone.norm_f(self._rows(self._kept(self.end)))
        scores: Tensor = self.model.lm_head(hidden.to(self.model.lm_head.weight.dtype))
        return scores[0].float()

    def state(self) -> NDArray[np.float64]:
        """The complete state."""
        found: NDArray[np.float64] = torch.cat(self.parts, dim=1)[0].double().numpy()
        return found

    def put(self, state: NDArray[np.float64]) -> None:
        """Go on from another state; at least one token has been read before."""
        row = torch.from_numpy(state.copy()).to(self.wide)[None]
        self.parts = list(torch.split(row, [part.shape[1] for part in self.parts], dim=1))

    def step(self, i: int, stream: Tensor, states: Tensor | None) -> tuple[Tensor, Tensor]:
        """The streams and states after one token each, of at most ``ROWS`` rows; states None for first tokens."""
        from transformers import DynamicCache

        mixer, cache = self.blocks[i].mixer, DynamicCache(config=self.model.config)
        layer: Any = cache.layers[i]
        if states is not None:
            channels, taps = mixer.intermediate_size, mixer.conv_kernel_size
            sizes = [channels * taps, channels * mixer.ssm_state_size]
            window, inner = torch.split(self._rows(states), sizes, dim=1)
            window, inner = window.reshape(ROWS, channels, taps).to(self.dtype), inner.reshape(ROWS, channels, -1)
            layer.lazy_initialization(conv_states=window, recurrent_states=inner)
            layer.conv_states[0].copy_(window)
            layer.recurrent_states[0].copy_(inner)
            layer.has_previous_state[0] = True
        out = self.blocks[i](self._kept(self._rows(stream))[:, None], cache_params=cache)[: len(stream), 0]
        window = torch.where(self.met[i], layer.conv_states[0].to(self.wide), 0.0)
        inner = layer.recurrent_states[0].float().to(self.wide)  # as float32 it is read again, in float64 models, too
        after = torch.cat([window.flatten(1), inner.flatten(1)], dim=1)
        return out.to(self.wide) + 0.0, after[: len(stream)] + 0.0

    def _block(self, i: int, stream: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """The streams after some tokens in a row, and the state after the last one."""
        mixer = self.blocks[i].mixer
        conv, taps = mixer.intermediate_size * mixer.conv_kernel_size, mixer.conv_kernel_size
        entered, began, windows, gates, writes = self.last.get(i, (torch.empty(0),) * 5)
        if not (torch.equal(entered, stream) and torch.equal(began, state[:, :conv])):
            empty = state.new_zeros(len(stream), state.shape[1])
            newest = self.step(i, stream, empty)[1][:, :conv].view(len(stream), -1, taps)[:, :, -1]
            line = torch.cat([state[0, :conv].view(-1, taps), newest.T], dim=1)
            windows = torch.where(self.met[i], line.unfold(1, taps, 1).transpose(0, 1)[:-1], 0.0).flatten(1)
            writes = self.step(i, stream, torch.cat([windows, empty[:, conv:]], dim=1))[1][:, conv:]
            gates = self.step(i, stream, torch.cat([windows, empty[:, conv:] + LARGE], dim=1))[1][:, conv:] / LARGE
            self.last[i] = stream, state[:, :conv], windows, gates, writes
        inner = [state[0, conv:].float()]
        for gate, write in zip(gates.float(), writes.float(), strict=True):
            inner.append(inner[-1] * gate + write)
        before = torch.cat([windows, torch.stack(inner[:-1]).to(self.wide)], dim=1)
        out, after = self.step(i, stream, before)
        if not (torch.equal(before[0], state[0]) and torch.equal(after[:-1], before[1:])):
            raise ReplayError(f"block {i} does not go on from the states that were guessed")
        if not torch.isfinite(after).all():
            raise ReplayError("the state is infinite or NaN")
        return out, after[-1:]

    def _kept(self, stream: Tensor) -> Tensor:
        """The residual stream as the model keeps it between blocks."""
        return stream if self.model.config.residual_in_fp32 else stream.to(self.dtype)

    def _rows(self, rows: Tensor) -> Tensor:
        """``ROWS`` of them, the last one repeated."""
        return torch.cat([rows, rows[-1:].expand(ROWS - len(rows), -1)])


def _met(used: Tensor) -> Tensor:
    """Whether the input at each place of a window will meet a tap that is not 0, shape (channels, taps)."""
    return torch.cat([torch.zeros_like(used[:, :1]), used.cumsum(1)[:, :-1] > 0], dim=1)
