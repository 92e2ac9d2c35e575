"""A forward pass of ``transformers``' ``MambaForCausalLM`` that is quick to train through on a CPU.

The recurrence of Gu and Dao (2023, arXiv 2312.00752) is a loop over time of one multiply-add, on tensors that have time
as their first axis. Everything else is the model's own modules. Against ``transformers``' loop a step takes a fraction
of the time; logits and gradients agree up to rounding (``tests/scancraft/test_training.py``). (A backward pass of our
own made a step 1.6 times as fast in CPU time, for forty lines more.)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
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
    decays = torch.exp(delta.unsqueeze(-1) * a).unbind(0)
    driven = ((delta * x).unsqueeze(-1) * b.unsqueeze(-2)).unbind(0)
    h = [driven[0]]
    for decay, more in zip(decays[1:], driven[1:], strict=True):
        h.append(torch.addcmul(more, decay, h[-1]))
    return torch.matmul(torch.stack(h), c.unsqueeze(-1)).squeeze(-1)
