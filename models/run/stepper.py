"""A model's own step function, from any recurrent state: what certificates and refutations speak about.

The step is that of the model's own blocks with their cache (``transformers``', or our signed ones), run on states that
we put there. Batches have one fixed shape, padded by repeating the last row, because a matrix product may round
differently at another shape.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from ..classes import ARCHITECTURES, CERTIFIED, model_type_of
from ..errors import ReadoutError
from .hybrid import backbone_of

STEPPED = {kind: ARCHITECTURES[kind].implementation for kind in CERTIFIED}
"""The classes whose blocks can be stepped, by their ``model_type``; certificates are about these."""

ALIGNMENT = 64
"""Bytes. A matrix product on the CPU may round otherwise where a weight does not begin at a multiple of this."""


def canonical(tensor: Tensor) -> Tensor:
    """The same numbers with -0.0 turned into +0.0, so that equal states have equal bits."""
    return tensor + 0.0


def aligned(model: Any) -> Any:
    """The model, or a copy of it if a parameter does not begin at a multiple of :data:`ALIGNMENT` bytes.

    torch aligns what it allocates. Tensors that were mapped from a safetensors file are often not aligned, and the same
    weights then give other bits.
    """
    if all(p.data_ptr() % ALIGNMENT == 0 for p in model.parameters()):
        return model
    moved = copy.deepcopy(model)
    for parameter in moved.parameters():
        parameter.data = parameter.data.clone()
    return moved


class Stepper:
    """Steps a model of one of the classes in ``STEPPED``, block by block or as a whole.

    A *state* of a run of blocks is one row of numbers: for each block the last inputs of its convolution, shape
    (channels, taps), oldest first, and its SSM state, flattened, in float32, which holds bfloat16 and float16 exactly
    (in a float64 model in float64, but the SSM state as the float32 that ``transformers`` reads next); -0.0 as +0.0.
    Inputs that only taps of weight 0 will meet again are 0 there.

    The first token of a sequence has no state before it; Mamba-2 takes it through the chunked algorithm, in a chunk of
    one token. (Memory grows with the square of a chunk, and its size may change bits of a model whose sums are not
    exact: it is part of what certificates of the scope "step" speak about.)

    Args:
        model: such a model.
        batch: rows per call.
        dtypes: of models that are taken; by default those that certificates are made for.

    Raises:
        ReadoutError: the model is of another kind, has no blocks, or is in another dtype.
    """

    def __init__(self, model: Any, batch: int = 256, dtypes: tuple[str, ...] | None = None) -> None:
        kind = model_type_of(model)
        if kind not in STEPPED or not hasattr(model, "lm_head"):
            names = " or ".join(ARCHITECTURES[known].model for known in STEPPED)
            raise ReadoutError(
                f"certificates need a {names}, not {type(model).__name__}; use scancraft.check for other models"
            )
        architecture = ARCHITECTURES[kind]
        self.model, self.batch = model, batch
        self.backbone = backbone_of(model)
        self.blocks = list(self.backbone.layers)
        if not self.blocks:
            raise ReadoutError("the model has no blocks, hence no state to certify; give one that has some")
        mixer = self.blocks[0].mixer
        self.dtype: torch.dtype = model.lm_head.weight.dtype
        self.wide = torch.promote_types(self.dtype, torch.float32)
        name, taken = str(self.dtype).removeprefix("torch."), dtypes or architecture.dtypes
        if name not in taken:
            raise ReadoutError(
                f"the model is in {name}; certificates of a {architecture.model} are for {' and '.join(taken)}, "
                "so convert it with model.to(...)"
            )
        (self.channels, self.taps), self.state_shape = architecture.memory(mixer)
        self.conv_size = self.channels * self.taps
        self.block_size = self.conv_size + math.prod(self.state_shape)
        self.masks = [self._conv_mask(block) for block in self.blocks]
        self._cache: Any = None

    def _conv_mask(self, block: Any) -> Tensor:
        """Which past inputs of each channel's convolution can still matter, shape (channels, taps).

        The input at position j is multiplied by taps j-1, j-2, ..., 0 in later steps; where those are all zero it is
        forgotten, which keeps the number of states down without changing any output.
        """
        weight = block.mixer.conv1d.weight.detach()[:, 0, :] != 0
        reached = weight.cumsum(dim=1) > 0
        return torch.cat([torch.zeros_like(reached[:, :1]), reached[:, :-1]], dim=1)

    @torch.no_grad()
    def embed(self, tokens: Int64[Tensor, " n"]) -> Float[Tensor, "n d_model"]:
        """The residual stream before the first block, shape (n, d_model)."""
        stream: Tensor = self.backbone.embeddings(tokens)
        return stream

    @torch.no_grad()
    def logits(self, stream: Float[Tensor, "n d_model"]) -> Float32[Tensor, "n vocabulary"]:
        """Logits from the residual stream after the last block, shape (n, vocabulary), float32."""
        out = []
        for chunk, size in self.chunks(stream):
            normed = self.backbone.norm_f(self._kept(chunk))
            out.append(self.model.lm_head(normed.to(self.model.lm_head.weight.dtype))[:size].float())
        return torch.cat(out)

    @torch.no_grad()
    def start(
        self, first: int, last: int, stream: Float[Tensor, "n d_model"]
    ) -> tuple[Float[Tensor, "n d_model"], Float[Tensor, "n states"]]:
        """The first token of a sequence through blocks ``first`` to ``last`` (exclusive).

        Args:
            first: first block.
            last: end of the run of blocks.
            stream: the residual stream into block ``first``, shape (n, d_model).

        Returns:
            The residual stream after them, shape (n, d_model), and the states, shape (n, (last - first) * block_size).
        """
        with _chunks_of_one(self.blocks[first:last]):
            return self._run(first, last, stream, None)

    @torch.no_grad()
    def step(
        self, first: int, last: int, stream: Float[Tensor, "n d_model"], states: Float[Tensor, "n states"]
    ) -> tuple[Float[Tensor, "n d_model"], Float[Tensor, "n states"]]:
        """One more token: like :meth:`start`, from given states."""
        return self._run(first, last, stream, states)

    def _kept(self, stream: Tensor) -> Tensor:
        """The residual stream as the model keeps it between blocks."""
        return stream if getattr(self.model.config, "residual_in_fp32", False) else stream.to(self.dtype)

    def chunks(self, rows: Tensor) -> list[tuple[Tensor, int]]:
        """Chunks of exactly ``batch`` rows, with the number of rows that are real."""
        chunks = []
        for start in range(0, len(rows), self.batch):
            chunk = rows[start : start + self.batch]
            size = len(chunk)
            chunks.append((torch.cat([chunk, chunk[-1:].expand(self.batch - size, -1)]), size))
        return chunks

    def _run(self, first: int, last: int, stream: Tensor, states: Tensor | None) -> tuple[Tensor, Tensor]:
        streams, finals = [], []
        state_chunks = None if states is None else self.chunks(states)
        for number, (rows, size) in enumerate(self.chunks(stream)):
            hidden = self._kept(rows[:, None, :])
            cache = self._empty_cache(first, last)
            parts = []
            for i in range(first, last):
                if state_chunks is not None:
                    self._put(cache.layers[i], state_chunks[number][0], i - first)
                hidden = self.blocks[i](hidden, cache)
                parts.append(self._take(cache.layers[i], self.masks[i]))
            streams.append(canonical(hidden[:size, 0, :].to(self.wide)))
            finals.append(torch.cat(parts, dim=1)[:size])
        return torch.cat(streams), torch.cat(finals)

    def _empty_cache(self, first: int, last: int) -> Any:
        """A cache in which these blocks have no state. To make one from a configuration takes as long as a block."""
        from transformers import DynamicCache

        if self._cache is None:
            self._cache = DynamicCache(config=self.model.config)
        layers = self._cache.layers
        layers[first:last] = [type(layer)(layer.number_of_states) for layer in layers[first:last]]
        return self._cache

    def _put(self, layer: Any, states: Tensor, place: int) -> None:
        """Write a block's state into its layer of a cache."""
        row = states[:, place * self.block_size : (place + 1) * self.block_size]
        conv = row[:, : self.conv_size].reshape(-1, self.channels, self.taps).to(self.dtype)
        ssm = row[:, self.conv_size :].reshape(-1, *self.state_shape).to(self.wide)
        layer.lazy_initialization(conv_states=conv, recurrent_states=ssm)
        layer.conv_states[0] = conv.clone()
        layer.recurrent_states[0] = ssm.clone()
        layer.has_previous_state = dict.fromkeys(layer.has_previous_state, True)

    def _take(self, layer: Any, mask: Tensor) -> Tensor:
        """Read a block's state from its layer of a cache, shape (batch, block_size)."""
        conv = torch.where(mask, layer.conv_states[0].to(self.wide), 0.0)
        ssm = layer.recurrent_states[0].float().to(self.wide)
        return canonical(torch.cat([conv.flatten(1), ssm.flatten(1)], dim=1))


@contextmanager
def _chunks_of_one(blocks: list[Any]) -> Iterator[None]:
    """Mamba-2's blocks with chunks of one token; others as they are."""
    mixers = [block.mixer for block in blocks if hasattr(block.mixer, "chunk_size")]
    sizes = [mixer.chunk_size for mixer in mixers]
    try:
        for mixer in mixers:
            mixer.chunk_size = 1
        yield
    finally:
        for mixer, size in zip(mixers, sizes, strict=True):
            mixer.chunk_size = size
