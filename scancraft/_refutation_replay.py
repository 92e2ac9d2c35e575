"""Reading a word one token at a time, for the checker of refutations; independent of ``models.settle``."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from .automata.errors import ScancraftError


class Replay(Protocol):
    """A model in the middle of a word, at batch size 1."""

    def read(self, token: int) -> None:
        """Read one more token."""
        ...

    def logits(self) -> Tensor:
        """After the token read last, shape (vocabulary,), float32."""
        ...

    def state(self) -> NDArray[np.float64]:
        """The whole cache in one row: per block the inputs of the convolution, then the SSM state; -0.0 as +0.0."""
        ...

    def put(self, state: NDArray[np.float64]) -> None:
        """Go on from another state; at least one token has been read before."""
        ...


class OwnReplay:
    """``transformers``' own forward pass with its cache."""

    def __init__(self, model: Any) -> None:
        self.model, self.cache, self.hidden = model, None, torch.empty(0)
        self.device = next(model.parameters()).device

    def read(self, token: int) -> None:
        """See :class:`Replay`."""
        ids = torch.tensor([[token]], device=self.device)
        out = self.model.backbone(ids, cache_params=self.cache, use_cache=True)
        self.cache, self.hidden = out.cache_params, out.last_hidden_state

    def logits(self) -> Tensor:
        """See :class:`Replay`."""
        head = self.model.lm_head
        scores: Tensor = head(self.hidden.to(head.weight.dtype)).float()
        return scores[0, -1].cpu()

    def _parts(self) -> list[Tensor]:
        assert self.cache is not None
        return [part for layer in self.cache.layers for part in (layer.conv_states[0], layer.recurrent_states[0])]

    def state(self) -> NDArray[np.float64]:
        """See :class:`Replay`."""
        rows = [part.double().cpu().numpy().ravel() for part in self._parts()]
        joined: NDArray[np.float64] = np.concatenate(rows) + 0.0
        return joined

    def put(self, state: NDArray[np.float64]) -> None:
        """See :class:`Replay`."""
        at = 0
        for part in self._parts():
            part.copy_(torch.from_numpy(state[at : at + part.numel()].copy()).view(part.shape))
            at += part.numel()


class PlainReplay:
    """The same step, transcribed: one line per formula, nothing kept from one token to the next but the state.

    The first token goes through ``transformers``. Then each one is compared with it for as long as ``TRIED``.

    Raises:
        ScancraftError: the two differ.
    """

    TRIED = 12

    def __init__(self, model: Any) -> None:
        self.own: OwnReplay | None = OwnReplay(model)
        self.model, self.count = model, 0
        self.windows: list[Tensor] = []
        self.states: list[Tensor] = []
        self.stream = torch.empty(0)

    def read(self, token: int) -> None:
        """See :class:`Replay`."""
        self.count += 1
        if self.own is not None:
            self.own.read(token)
        if self.count == 1:
            assert self.own is not None
            self._take(self.own.state())
            return
        self._step(token)
        if self.own is not None:
            if (self.own.state() != self.state()).any() or not torch.equal(self.own.logits(), self.logits()):
                raise ScancraftError("the plain step differs from transformers' own; replay with that")
            if self.count >= self.TRIED:
                self.own = None

    def logits(self) -> Tensor:
        """See :class:`Replay`."""
        if self.count == 1:
            assert self.own is not None
            return self.own.logits()
        hidden = self.model.backbone.norm_f(self.stream)
        head = self.model.lm_head
        scores: Tensor = head(hidden.to(head.weight.dtype)).float()
        return scores[0, -1]

    def state(self) -> NDArray[np.float64]:
        """See :class:`Replay`."""
        rows = [part for pair in zip(self.windows, self.states, strict=True) for part in pair]
        joined: NDArray[np.float64] = torch.cat([part.double().flatten() for part in rows]).numpy() + 0.0
        return joined

    def put(self, state: NDArray[np.float64]) -> None:
        """See :class:`Replay`."""
        self._take(state)
        if self.own is not None:
            self.own.put(state)

    def _take(self, state: NDArray[np.float64]) -> None:
        values, at = torch.from_numpy(state.copy()), 0
        self.windows, self.states = [], []
        for block in self.model.backbone.layers:
            mixer = block.mixer
            channels, taps, n = mixer.intermediate_size, mixer.conv_kernel_size, mixer.ssm_state_size
            window = values[at : at + channels * taps].view(1, channels, taps)
            self.windows.append(window.to(mixer.in_proj.weight.dtype))
            at += channels * taps
            self.states.append(values[at : at + channels * n].view(1, channels, n).float())
            at += channels * n

    def _step(self, token: int) -> None:
        stream = self.model.backbone.embeddings.weight[token][None, None]
        for i, block in enumerate(self.model.backbone.layers):
            m = block.mixer
            rank, n, dtype = m.time_step_rank, m.ssm_state_size, m.in_proj.weight.dtype
            x, z = m.in_proj(block.norm(stream.to(dtype))).transpose(1, 2).chunk(2, dim=1)
            window = torch.cat([self.windows[i], x], dim=-1)
            self.windows[i] = window[:, :, 1:]
            conv = functional.conv1d(window, m.conv1d.weight, m.conv1d.bias, groups=m.intermediate_size)
            x = m.act(conv[:, :, -1:]).transpose(1, 2)
            dt, b, c = torch.split(functional.linear(x, m.x_proj.weight), [rank, n, n], dim=-1)
            dt = (m.dt_proj.weight @ dt.transpose(1, 2))[..., 0]
            delta = functional.softplus(dt + m.dt_proj.bias.float().to(dtype))
            gate = torch.exp(delta.float()[..., None] * -torch.exp(m.A_log.float()))
            write = delta.float()[..., None] * b[:, 0].float()[:, None, :] * x[:, 0].float()[..., None]
            self.states[i] = self.states[i] * gate + write
            y = torch.matmul(self.states[i].to(dtype), c[:, 0].unsqueeze(-1)).squeeze(-1)
            y = (y + x[:, 0] * m.D) * functional.silu(z[..., 0])
            out = m.out_proj(y[:, None])
            stream = (stream.float() if block.residual_in_fp32 else stream) + out
        self.stream = stream
