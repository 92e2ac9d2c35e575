"""A forward pass of ``transformers``' ``MambaForCausalLM`` that is quick to train through on a CPU.

The recurrence of Gu and Dao (2023, arXiv 2312.00752) is one autograd function with a backward pass of its own: a loop
over time of one multiply-add in place each way, on tensors that have time as their first axis. Everything else is the
model's own modules. Against ``transformers``' loop, which autograd records operation by operation, a step takes about a
tenth of the time; logits and gradients agree up to rounding (``tests/scancraft/test_training.py``).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

TOKENS_PER_PIECE = 1 << 12


def fast_logits(model: Any, ids: Tensor) -> Tensor:
    """What ``model(ids).logits`` is, for a ``MambaForCausalLM`` on the CPU in float32, without biases in projections.

    Args:
        model: the model; gradients flow to its parameters.
        ids: token ids of shape (batch, time), int64, right-padded if at all.

    Returns:
        logits of shape (batch, time, vocabulary), float32.
    """
    stream = model.backbone.embeddings(ids.T)  # (time, batch, d_model)
    for layer in model.backbone.layers:
        stream = stream + _mixed(layer.mixer, layer.norm(stream))
    logits: Tensor = model.lm_head(model.backbone.norm_f(stream))
    return logits.transpose(0, 1)


def logits_in_pieces(model: Any, ids: Tensor) -> Tensor:
    """:func:`fast_logits` without gradients, a few rows at a time, so that memory stays small. Same shapes."""
    rows = max(1, TOKENS_PER_PIECE // max(1, ids.shape[1]))
    with torch.no_grad():
        return torch.cat([fast_logits(model, some) for some in torch.split(ids, rows)])


def _mixed(mixer: Any, inputs: Tensor) -> Tensor:
    """What a ``MambaMixer`` makes of inputs of shape (time, batch, d_model)."""
    u, gate = mixer.in_proj(inputs).chunk(2, dim=-1)
    taps = mixer.conv1d.weight[:, 0]
    time, width = len(u), taps.shape[1]
    padded = functional.pad(u, (0, 0, 0, 0, width - 1, 0))
    x = mixer.conv1d.bias
    for tap in range(width):
        x = torch.addcmul(x, padded[tap : tap + time], taps[:, tap])
    x = functional.silu(x)
    sizes = [mixer.time_step_rank, mixer.ssm_state_size, mixer.ssm_state_size]
    rank, b, c = mixer.x_proj(x).split(sizes, dim=-1)
    delta = functional.softplus(mixer.dt_proj(rank))
    y = selective_scan(x, delta, -torch.exp(mixer.A_log), b, c) + mixer.D * x
    mixed: Tensor = mixer.out_proj(y * functional.silu(gate))
    return mixed


def selective_scan(x: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """y_t = sum_n c_{t,n} h_{t,n} with h_t = exp(delta_t a) h_{t-1} + delta_t b_t x_t, and h = 0 before the start.

    Time and memory O(time * batch * channels * states), forward and backward.

    Args:
        x, delta: inputs and step sizes, shape (time, batch, channels).
        a: shape (channels, states).
        b, c: shape (time, batch, states).

    Returns:
        shape (time, batch, channels).
    """
    y: Tensor = _Scan.apply(x, delta, a, b, c)  # type: ignore[no-untyped-call]
    return y


class _Scan(torch.autograd.Function):
    """The autograd function behind :func:`selective_scan`. Tensors d, h, g: shape (time, batch, channels, states)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        d = (delta.unsqueeze(-1) * a).exp_()
        h = (delta * x).unsqueeze(-1) * b.unsqueeze(-2)
        for t in range(1, len(h)):
            h[t].addcmul_(d[t], h[t - 1])
        ctx.save_for_backward(x, delta, a, b, c, d, h)
        return torch.matmul(h, c.unsqueeze(-1)).squeeze(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gy: Tensor) -> tuple[Tensor, ...]:
        x, delta, a, b, c, d, h = ctx.saved_tensors
        gy, driven = gy.contiguous(), delta * x
        g = gy.unsqueeze(-1) * c.unsqueeze(-2)  # the gradient of h
        for t in range(len(g) - 2, -1, -1):
            g[t].addcmul_(d[t + 1], g[t + 1])
        gc = torch.matmul(gy.unsqueeze(-2), h).squeeze(-2)
        gb = torch.matmul(driven.unsqueeze(-2), g).squeeze(-2)
        g_driven = torch.matmul(g, b.unsqueeze(-1)).squeeze(-1)
        # From here on g is the gradient of delta * a: that of h, times the decay and the state before.
        g *= d
        g[1:] *= h[:-1]
        g[:1] = 0
        g_delta = (g * a).sum(-1) + g_driven * x
        ga = (g * delta.unsqueeze(-1)).sum((0, 1))
        return g_driven * delta, g_delta, ga, gb, gc
