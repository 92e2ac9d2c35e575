"""The step function of ``transformers``' Mamba-2 blocks, from any recurrent state (compare ``models.step``)."""

from __future__ import annotations

from typing import Any

import torch

from ..mamba import model_type_of
from ..mamba2 import MAMBA2
from .stepper import Stepper


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

    kinds = (MAMBA2,)
    needs = "this stepper needs a transformers Mamba2ForCausalLM"
    dtypes = (torch.float32, torch.bfloat16)
    formats = "certificates of Mamba-2 models are for float32 and bfloat16"

    @torch.no_grad()
    def start(self, first: int, last: int, stream: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As in the base class, in chunks of one token.

        A chunk is padded with zeros, so that the sums over its positions have one term and zeros: for one token the
        chunk size changes no bit, whatever the weights. With the 64 of a checkpoint it is only much slower.
        """
        mixers = [block.mixer for block in self.blocks[first:last]]
        sizes = [mixer.chunk_size for mixer in mixers]
        try:
            for mixer in mixers:
                mixer.chunk_size = 1
            return super().start(first, last, stream)
        finally:
            for mixer, size in zip(mixers, sizes, strict=True):
                mixer.chunk_size = size

    def _sizes(self, mixer: Any) -> tuple[int, tuple[int, ...]]:
        return mixer.conv_dim, (mixer.num_heads, mixer.head_dim, mixer.ssm_state_size)


def stepper_for(model: Any, batch: int = 256) -> Stepper:
    """The stepper of a model's kind.

    Raises:
        ReadoutError: the model is of a kind that has none.
    """
    return Mamba2Stepper(model, batch) if model_type_of(model) == MAMBA2 else Stepper(model, batch)
