"""Reading a word one token at a time, for the checker of refutations; independent of ``models.single_step``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ...automata.errors import ScancraftError


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
    """The same step, transcribed: a line per formula, and nothing kept from one token to the next but the state.

    The first token goes through ``transformers``; then each one is compared with it, up to ``TRIED``.

    Args:
        model: a ``transformers`` ``MambaForCausalLM`` on the CPU.

    :meth:`read` raises :class:`ScancraftError` where the two differ.
    """

    TRIED = 12

    def __init__(self, model: Any) -> None:
        self.own: OwnReplay | None = OwnReplay(model)
        self.model, self.count = model, 0
        self.blocks = [_Weights.of(block) for block in model.backbone.layers]
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
        hidden = self.model.backbone.norm_f(self.stream[None])
        head = self.model.lm_head
        scores: Tensor = head(hidden.to(head.weight.dtype)).float()
        return scores[0, -1]

    def state(self) -> NDArray[np.float64]:
        """See :class:`Replay`."""
        rows = [part for pair in zip(self.windows, self.states, strict=True) for part in (pair[0].t(), pair[1])]
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
        for w in self.blocks:
            channels, taps = w.conv.shape
            window = values[at : at + channels * taps].view(channels, taps)
            self.windows.append(window.t().to(w.dtype).contiguous())
            at += channels * taps
            states = values[at : at + w.rate.numel()].view(w.rate.shape)
            self.states.append(states.float())
            at += w.rate.numel()

    def _step(self, token: int) -> None:
        stream = self.model.backbone.embeddings.weight[token][None]
        for i, w in enumerate(self.blocks):
            wide = stream.to(w.dtype).float()
            wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + w.epsilon)
            x, z = functional.linear(w.norm * wide.to(w.dtype), w.in_proj, w.in_bias).chunk(2, dim=1)
            self.windows[i] = torch.cat([self.windows[i][1:], x])
            x = w.convolve(self.windows[i])
            dt, b, c = torch.split(torch.mm(x, w.x_proj.t()), [w.rank, w.n, w.n], dim=1)
            delta = functional.softplus(torch.mm(dt, w.dt_proj.t()) + w.dt_bias).float().t()
            write = delta * b.float() * x.float().t()
            self.states[i] = self.states[i] * torch.exp(delta * w.rate) + write
            y = torch.bmm(self.states[i].to(w.dtype)[None], c[:, :, None])[..., 0]
            out = functional.linear((y + x * w.skip) * functional.silu(z), w.out_proj, w.out_bias)
            stream = (stream.float() if w.keep_wide else stream) + out
        self.stream = stream


@dataclass(frozen=True)
class _Weights:
    """The parameters of a block."""

    dtype: torch.dtype
    epsilon: float
    rank: int
    n: int
    keep_wide: bool
    norm: Tensor
    in_proj: Tensor
    in_bias: Tensor | None
    conv: Tensor
    conv_bias: Tensor | None
    taps: tuple[Tensor, ...]
    before: Tensor
    x_proj: Tensor
    dt_proj: Tensor
    dt_bias: Tensor
    rate: Tensor
    skip: Tensor
    out_proj: Tensor
    out_bias: Tensor | None
    act: Callable[[Tensor], Tensor]
    fused: bool = False

    @classmethod
    def of(cls, block: Any) -> _Weights:
        m = block.mixer
        dtype = m.in_proj.weight.dtype
        wide = m.conv1d.weight[:, 0].to(torch.promote_types(dtype, torch.float32))
        bias = torch.zeros_like(wide[:, 0]) if m.conv1d.bias is None else m.conv1d.bias.to(wide.dtype)
        plain = cls(
            dtype,
            block.norm.variance_epsilon,
            m.time_step_rank,
            m.ssm_state_size,
            block.residual_in_fp32,
            block.norm.weight,
            m.in_proj.weight,
            m.in_proj.bias,
            m.conv1d.weight[:, 0],
            m.conv1d.bias,
            tuple(wide.t().contiguous()),
            bias.contiguous(),
            m.x_proj.weight,
            m.dt_proj.weight,
            m.dt_proj.bias.float().to(dtype),
            -torch.exp(m.A_log.float()),
            m.D,
            m.out_proj.weight,
            m.out_proj.bias,
            m.act,
        )
        fused = replace(plain, fused=True)
        noise = torch.Generator().manual_seed(1)
        windows = [torch.randn(plain.conv.t().shape, generator=noise).to(dtype) for _ in range(50)]
        return fused if all(torch.equal(fused.convolve(v), plain.convolve(v)) for v in windows) else plain

    def convolve(self, window: Tensor) -> Tensor:
        """The activated sum of the taps, shape (1, channels); window (taps, channels), the newest last."""
        _, channels = window.shape
        if self.fused:
            total = self.before
            for tap, row in zip(self.taps, window.to(total.dtype), strict=True):  # one rounding each
                total = torch.addcmul(total, tap, row)
            pair = torch.empty(1, channels, 2, dtype=self.dtype)
            pair[0, :, 1] = total
        else:
            columns = torch.cat([window[:1], window]).t()[None]
            pair = functional.conv1d(columns, self.conv[:, None], self.conv_bias, groups=channels)
        # The newest of two columns, as in transformers: torch treats a stride of 2 differently.
        return self.act(pair[:, :, -1:])[..., 0]
