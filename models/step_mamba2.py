"""The step function of ``transformers``' Mamba-2 blocks, from any recurrent state (compare ``models.step``)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .errors import ReadoutError
from .mamba import model_type_of
from .mamba2 import MAMBA2
from .step import Stepper, canonical


class Mamba2Stepper(Stepper):
    """Steps a ``Mamba2ForCausalLM``, block by block or as a whole, with the interface of :class:`Stepper`.

    The state of a block is one row: the last inputs of its convolution (x, B and C), then its SSM state (heads,
    head_dim, d_state), flattened, float32. The first token goes through the chunked algorithm, as in ``transformers``,
    every other one through the recurrence.

    Args:
        model: such a model, in float32 or bfloat16.
        batch: rows per call.

    Raises:
        ReadoutError: the model is of another kind, has no blocks, or is in another dtype.
    """

    def __init__(self, model: Any, batch: int = 256) -> None:
        if model_type_of(model) != MAMBA2:
            raise ReadoutError(
                f"this stepper needs a transformers Mamba2ForCausalLM, not {type(model).__name__}; "
                "use scancraft.check for other models"
            )
        self.model, self.batch = model, batch
        self.blocks = list(model.backbone.layers)
        if not self.blocks:
            raise ReadoutError("the model has no blocks, hence no state to certify; give one that has some")
        mixer = self.blocks[0].mixer
        self.channels, self.taps, self.states = mixer.conv_dim, mixer.conv_kernel_size, mixer.ssm_state_size
        self.heads, self.head_dim = mixer.num_heads, mixer.head_dim
        self.dtype = mixer.in_proj.weight.dtype
        if self.dtype not in (torch.float32, torch.bfloat16):
            raise ReadoutError(
                f"the model is in {str(self.dtype).removeprefix('torch.')}; certificates of Mamba-2 models are for "
                "float32 and bfloat16, so convert it with model.to(...)"
            )
        self.state_shape = (self.heads, self.head_dim, self.states)
        self.conv_size = self.channels * self.taps
        self.block_size = self.conv_size + self.heads * self.head_dim * self.states
        self.masks = [self._conv_mask(block) for block in self.blocks]

    def _put(self, cache: Any, block: int, states: Tensor, place: int) -> None:
        """Write a block's state into a cache."""
        row = states[:, place * self.block_size : (place + 1) * self.block_size]
        conv = row[:, : self.conv_size].reshape(-1, self.channels, self.taps)
        ssm = row[:, self.conv_size :].reshape(-1, self.heads, self.head_dim, self.states)
        layer = cache.layers[block]
        layer.lazy_initialization(conv_states=conv.to(self.dtype), recurrent_states=ssm.float())
        layer.conv_states[0] = conv.to(self.dtype).clone()
        layer.recurrent_states[0] = ssm.float().clone()
        layer.has_previous_state = dict.fromkeys(layer.has_previous_state, True)

    def _take(self, cache: Any, block: int) -> Tensor:
        """Read a block's state from a cache, shape (batch, block_size)."""
        layer = cache.layers[block]
        conv = torch.where(self.masks[block], layer.conv_states[0].float(), 0.0)
        ssm = layer.recurrent_states[0].float()
        return canonical(torch.cat([conv.flatten(1), ssm.flatten(1)], dim=1))


def stepper_for(model: Any, batch: int = 256) -> Stepper:
    """The stepper of a model's kind.

    Raises:
        ReadoutError: the model is of a kind that has none.
    """
    return Mamba2Stepper(model, batch) if model_type_of(model) == MAMBA2 else Stepper(model, batch)
