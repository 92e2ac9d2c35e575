"""A model's own step function, from any recurrent state: what a certificate speaks about.

The step is that of ``transformers``' Mamba or Falcon-Mamba blocks, or of signed ones, with their cache, run on states
that we put there. Batches have one fixed shape, padded by repeating the last row, because a matrix product may round
differently at another shape.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..errors import ReadoutError
from ..falcon_mamba import FALCON_MAMBA
from ..mamba import MODEL_TYPES, model_type_of
from ..mamba2 import MAMBA2

STEPPED = {**MODEL_TYPES, FALCON_MAMBA: "transformers.FalconMambaForCausalLM", MAMBA2: "transformers.Mamba2ForCausalLM"}
"""The classes whose blocks can be stepped, by their ``model_type``; certificates are about these."""


def canonical(tensor: Tensor) -> Tensor:
    """The same numbers with -0.0 turned into +0.0, so that equal states have equal bits."""
    return tensor + 0.0


class Stepper:
    """Steps a model of one of the classes in ``STEPPED``, block by block or as a whole.

    A *state* of a run of blocks is one row of numbers: for each block the last inputs of its convolution and its SSM
    state, flattened, float32 (which holds bfloat16 and float16 exactly).

    Args:
        model: such a model, in float32, bfloat16 or float16.
        batch: rows per call.

    Raises:
        ReadoutError: the model is of another kind.
    """

    kinds: ClassVar[Collection[str]] = STEPPED
    needs: ClassVar[str] = "certificates need a " + " or ".join(name.rpartition(".")[2] for name in STEPPED.values())
    dtypes: ClassVar[tuple[torch.dtype, ...]] = (torch.float32, torch.bfloat16, torch.float16)
    formats: ClassVar[str] = "certificates are for float32, bfloat16 and float16"

    def __init__(self, model: Any, batch: int = 256) -> None:
        if model_type_of(model) not in self.kinds:
            raise ReadoutError(f"{self.needs}, not {type(model).__name__}; use scancraft.check for other models")
        self.model, self.batch = model, batch
        self.blocks = list(model.backbone.layers)
        if not self.blocks:
            raise ReadoutError("the model has no blocks, hence no state to certify; give one that has some")
        mixer = self.blocks[0].mixer
        self.dtype = mixer.in_proj.weight.dtype
        if self.dtype not in self.dtypes:
            raise ReadoutError(
                f"the model is in {str(self.dtype).removeprefix('torch.')}; {self.formats}, so convert it with "
                "model.to(...)"
            )
        self.taps, self.states = mixer.conv_kernel_size, mixer.ssm_state_size
        self.channels, self.state_shape = self._sizes(mixer)
        self.conv_size = self.channels * self.taps
        self.block_size = self.conv_size + math.prod(self.state_shape)
        self.masks = [self._conv_mask(block) for block in self.blocks]

    def _sizes(self, mixer: Any) -> tuple[int, tuple[int, ...]]:
        """The channels of a block's convolution, and the shape of its SSM state."""
        return mixer.intermediate_size, (mixer.intermediate_size, mixer.ssm_state_size)

    def _conv_mask(self, block: Any) -> Tensor:
        """Which past inputs of each channel's convolution can still matter, shape (channels, taps).

        The input at position j is multiplied by taps j-1, j-2, ..., 0 in later steps; where those are all zero it is
        forgotten, which keeps the number of states down without changing any output.
        """
        weight = block.mixer.conv1d.weight.detach()[:, 0, :] != 0
        reached = weight.cumsum(dim=1) > 0
        return torch.cat([torch.zeros_like(reached[:, :1]), reached[:, :-1]], dim=1)

    @torch.no_grad()
    def embed(self, tokens: Tensor) -> Tensor:
        """The residual stream before the first block, shape (n, d_model)."""
        stream: Tensor = self.model.backbone.embeddings(tokens)
        return stream

    @torch.no_grad()
    def logits(self, stream: Tensor) -> Tensor:
        """Logits from the residual stream after the last block, shape (n, vocabulary), float32."""
        out = []
        for chunk, size in self._chunks(stream):
            normed = self.model.backbone.norm_f(chunk)
            out.append(self.model.lm_head(normed.to(self.model.lm_head.weight.dtype))[:size].float())
        return torch.cat(out)

    @torch.no_grad()
    def start(self, first: int, last: int, stream: Tensor) -> tuple[Tensor, Tensor]:
        """The first token of a sequence through blocks ``first`` to ``last`` (exclusive).

        Args:
            first: first block.
            last: end of the run of blocks.
            stream: the residual stream into block ``first``, shape (n, d_model).

        Returns:
            The residual stream after them, shape (n, d_model), and the states, shape (n, (last - first) * block_size).
        """
        return self._run(first, last, stream, None)

    @torch.no_grad()
    def step(self, first: int, last: int, stream: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """One more token: like :meth:`start`, from given states."""
        return self._run(first, last, stream, states)

    def _chunks(self, rows: Tensor) -> list[tuple[Tensor, int]]:
        """Chunks of exactly ``batch`` rows, with the number of rows that are real."""
        chunks = []
        for start in range(0, len(rows), self.batch):
            chunk = rows[start : start + self.batch]
            size = len(chunk)
            chunks.append((torch.cat([chunk, chunk[-1:].expand(self.batch - size, -1)]), size))
        return chunks

    def _run(self, first: int, last: int, stream: Tensor, states: Tensor | None) -> tuple[Tensor, Tensor]:
        from transformers import DynamicCache

        streams, finals = [], []
        state_chunks = None if states is None else self._chunks(states)
        for number, (rows, size) in enumerate(self._chunks(stream)):
            # A model that keeps its residual stream in low precision must get it back so.
            hidden = rows[:, None, :] if self.model.config.residual_in_fp32 else rows[:, None, :].to(self.dtype)
            cache = DynamicCache(config=self.model.config)
            parts = []
            for i in range(first, last):
                if state_chunks is not None:
                    self._put(cache, i, state_chunks[number][0], i - first)
                hidden = self.blocks[i](hidden, cache_params=cache)
                parts.append(self._take(cache, i))
            streams.append(canonical(hidden[:size, 0, :].float()))
            finals.append(torch.cat(parts, dim=1)[:size])
        return torch.cat(streams), torch.cat(finals)

    def _put(self, cache: Any, block: int, states: Tensor, place: int) -> None:
        """Write a block's state into a cache."""
        row = states[:, place * self.block_size : (place + 1) * self.block_size]
        conv = row[:, : self.conv_size].reshape(-1, self.channels, self.taps)
        ssm = row[:, self.conv_size :].reshape(-1, *self.state_shape)
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
