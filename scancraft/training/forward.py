"""A forward pass of ``transformers``' ``MambaForCausalLM`` that is quick to train through on a CPU.

Its blocks are the formulas of ``models.block``, on tensors that have time as their first axis, so that the recurrence
is a loop of products and sums of contiguous numbers. Against ``transformers``' loop a step takes a fraction of the
time; logits and gradients agree up to rounding (``tests/scancraft/test_training.py``). (A backward pass of our own made
a step 1.6 times as fast in CPU time, for forty lines more.)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..models.arithmetic import Floats
from ..models.block import Memory, mamba

TOKENS_PER_PIECE = 1 << 12


def fast_logits(model: Any, ids: Tensor) -> Tensor:
    """What ``model(ids).logits`` is, for a ``MambaForCausalLM`` on the CPU in float32, without biases in projections.

    Args:
        model: the model; gradients flow to its parameters.
        ids: token ids of shape (batch, time), int64, right-padded if at all.

    Returns:
        logits of shape (batch, time, vocabulary), float32.
    """
    stream, batch = model.backbone.embeddings(ids.T), len(ids)  # (time, batch, d_model)
    for layer in model.backbone.layers:
        weights, mixer = dict(layer.named_parameters()), layer.mixer
        empty = Memory(
            stream.new_zeros(mixer.conv_kernel_size - 1, batch, mixer.intermediate_size),
            stream.new_zeros(batch, *mixer.A_log.shape),
        )
        stream, _ = mamba(Floats(), weights, stream, empty, layer.norm.variance_epsilon)
    logits: Tensor = model.lm_head(model.backbone.norm_f(stream))
    return logits.transpose(0, 1)


def logits_in_pieces(model: Any, ids: Tensor) -> Tensor:
    """:func:`fast_logits` without gradients, a few rows at a time, so that memory stays small. Same shapes."""
    rows = max(1, TOKENS_PER_PIECE // max(1, ids.shape[1]))
    with torch.no_grad():
        return torch.cat([fast_logits(model, some) for some in torch.split(ids, rows)])
