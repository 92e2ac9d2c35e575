"""A Mamba at batch size 1, one token at a time: ``transformers``' own step, and a fast one with the same bits.

:class:`FastStep` takes a tenth of the time of :class:`OwnStep`, which is for models or machines where the two do not
agree; :func:`stepper` chooses.
"""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import ReadoutError
from .fast_block import FastBlock, Lane, conv_rule, padded, ring_dtype, sizes

Numbers = NDArray[np.float64]

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)

TRIED = 24
"""Tokens on which a FastStep is compared with the model's own step before it is used."""


class Step(Protocol):
    """A model that reads one token at a time at batch size 1, and its recurrent state.

    Attributes:
        tokens_read: how many, over all sequences.
    """

    tokens_read: int

    def start(self, token: int) -> None:
        """Begin a sequence with its first token, from the empty cache."""
        ...

    def read(self, token: int) -> None:
        """Read one more token."""
        ...

    def logits(self) -> Tensor:
        """After the token read last, shape (vocabulary,), float32."""
        ...

    def numbers(self) -> Numbers:
        """The complete recurrent state, shape (n,): block by block the inputs of the convolution, shape (channels,
        taps), oldest first, and the SSM state, shape (channels, states), flattened; -0.0 as +0.0."""
        ...

    def put(self, numbers: Numbers) -> None:
        """Continue from this state; :meth:`logits` is undefined until the next token."""
        ...

    def save(self) -> Any:
        """The state in a form of its own, for :meth:`restore`."""
        ...

    def restore(self, saved: Any) -> None:
        """Go back to a saved state."""
        ...


ALIGNMENT = 64
"""Bytes. A matrix product on the CPU may round otherwise where a weight does not begin at a multiple of this."""


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


def digest(numbers: Numbers) -> str:
    """The sha256 of a state: its numbers as little-endian float64, -0.0 as +0.0."""
    return hashlib.sha256((numbers + 0.0).astype("<f8").tobytes()).hexdigest()


class OwnStep:
    """``transformers``' own step with its cache, at batch size 1. O(1) per token, about 0.4 ms a block on a CPU.

    Args:
        model: a ``transformers`` ``MambaForCausalLM``, or a model with its interface and cache; see :func:`aligned`.
    """

    def __init__(self, model: Any) -> None:
        self.model, self.tokens_read = model, 0
        self._cache: Any = None
        self._logits: Tensor | None = None

    def start(self, token: int) -> None:
        """See :class:`Step`."""
        self._cache = None
        self.read(token)

    @torch.no_grad()
    def read(self, token: int) -> None:
        """See :class:`Step`."""
        device = next(self.model.parameters()).device
        out = self.model(torch.tensor([[token]], device=device), cache_params=self._cache, use_cache=True)
        self._cache, self._logits = out.cache_params, out.logits[0, -1].float().cpu()
        self.tokens_read += 1

    def logits(self) -> Tensor:
        """See :class:`Step`."""
        assert self._logits is not None
        return self._logits

    def numbers(self) -> Numbers:
        """See :class:`Step`."""
        parts = [part for layer in self._cache.layers for part in (layer.conv_states[0], layer.recurrent_states[0])]
        joined: Numbers = torch.cat([part.double().flatten().cpu() for part in parts]).numpy() + 0.0
        return joined

    def save(self) -> tuple[Numbers, Tensor]:
        """See :class:`Step`."""
        return self.numbers(), self.logits()

    def restore(self, saved: Any) -> None:
        """See :class:`Step`."""
        self.put(saved[0])
        self._logits = saved[1]

    def put(self, numbers: Numbers) -> None:
        """See :class:`Step`; some token must have been read before."""
        place, values = 0, torch.from_numpy(numbers.copy())
        for layer in self._cache.layers:
            for part in (layer.conv_states[0], layer.recurrent_states[0]):
                part.copy_(values[place : place + part.numel()].view(part.shape))
                place += part.numel()


@dataclass(eq=False)
class _Scratch:
    """Lanes for tokens that are read once: the embedding is copied in, nothing is remembered."""

    stream: Tensor
    lanes: list[Lane]
    result: Tensor


class FastStep:
    """The step of a ``MambaForCausalLM`` on the CPU at batch size 1, with the bits of ``transformers``' own.

    That holds for torch on one thread. :func:`stepper` compares the two before it gives one out. All SSM states lie in
    one buffer, all inputs of convolutions in another. O(parameters) per token, 30 to 60 microseconds a block for
    d_model 16 to 64.

    Args:
        model: the model; its parameters are read where they are, so they must not change meanwhile.

    Raises:
        ReadoutError: not a ``MambaForCausalLM`` on the CPU in one of :data:`DTYPES`.
    """

    def __init__(self, model: Any) -> None:
        _check_model(model)
        self.model, self.tokens_read = model, 0
        blocks = list(model.backbone.layers)
        self.dtype: torch.dtype = blocks[0].mixer.in_proj.weight.dtype
        shapes = [sizes(block) for block in blocks]
        self._states = torch.zeros(sum(padded(c * n) for c, _, n, _ in shapes))
        self._rings = torch.zeros(sum(t * padded(c) for c, t, _, _ in shapes), dtype=ring_dtype(self.dtype))
        self.blocks: list[FastBlock] = []
        at = ring_at = 0
        for block, (channels, taps, states, _) in zip(blocks, shapes, strict=True):
            h = self._states[at : at + channels * states].view(1, channels, states)
            ring = self._rings[ring_at : ring_at + taps * padded(channels)].view(taps, padded(channels))
            self.blocks.append(FastBlock(block, h, ring, conv_rule(block)))
            at, ring_at = at + padded(channels * states), ring_at + taps * padded(channels)
        self._own = OwnStep(model)
        self._embeddings = model.backbone.embeddings.weight.detach()
        self._scratch = self._lanes_from(torch.empty_like(self._embeddings[:1]))
        self._last: Tensor | None = None  # the residual stream after the last block; None: ask self._own

    def _lanes_from(self, stream: Tensor) -> _Scratch:
        """A lane per block, each writing what the next one reads."""
        first, lanes = stream, []
        for block in self.blocks:
            wide = torch.promote_types(self.dtype, torch.float32) if block.block.residual_in_fp32 else self.dtype
            result = torch.empty(stream.shape, dtype=wide)
            lanes.append(block.lane(stream, result))
            stream = result
        return _Scratch(first, lanes, stream)

    def lanes(self, token: int) -> tuple[list[Lane], Tensor]:
        """A lane per block for one token of a periodic word, and where they leave the residual stream."""
        made = self._lanes_from(self._embeddings[token : token + 1].clone())
        return made.lanes, made.result

    def start(self, token: int) -> None:
        """See :class:`Step`. The first token, which ``transformers`` treats as a short prefill, is left to it."""
        self._own.start(token)
        self._load(self._own.numbers())
        self._last = None
        self.tokens_read += 1

    def put(self, numbers: Numbers) -> None:
        """See :class:`Step`."""
        self._load(numbers)
        self._last = None

    def save(self) -> tuple[Tensor, Tensor, list[int]]:
        """See :class:`Step`."""
        return self._states.clone(), self._rings.clone(), [block.position for block in self.blocks]

    def restore(self, saved: Any) -> None:
        """See :class:`Step`; :meth:`logits` is undefined until the next token."""
        self._states.copy_(saved[0])
        self._rings.copy_(saved[1])
        for block, position in zip(self.blocks, saved[2], strict=True):
            block.position = position
        self._last = None

    def show(self, stream: Tensor) -> None:
        """Take this as the residual stream after the last block, shape (1, d_model)."""
        self._last = stream

    def _load(self, numbers: Numbers) -> None:
        place, values = 0, torch.from_numpy(numbers.copy())
        for block in self.blocks:
            size = block.channels * block.taps
            window = values[place : place + size].view(block.channels, block.taps)
            place += size
            block.ring[:, : block.channels].copy_(window.t())
            block.position = 0
            size = block.channels * block.states
            block.h.copy_(values[place : place + size].view(block.h.shape))
            place += size

    @torch.no_grad()
    def read(self, token: int) -> None:
        """See :class:`Step`."""
        scratch = self._scratch
        scratch.stream.copy_(self._embeddings[token : token + 1])
        with np.errstate(all="ignore"):
            for block, lane in zip(self.blocks, scratch.lanes, strict=True):
                for operation in lane.prepare[block.position]:
                    operation()
                block.position = (block.position + 1) % block.taps
                for operation in lane.advance:
                    operation()
                for operation in lane.output:
                    operation()
        self.tokens_read += 1
        self._last = scratch.result

    @torch.no_grad()
    def logits(self) -> Tensor:
        """See :class:`Step`."""
        if self._last is None:
            return self._own.logits()
        model = self.model
        hidden = model.backbone.norm_f(self._last[None])
        scores: Tensor = model.lm_head(hidden.to(model.lm_head.weight.dtype)).float()
        return scores[0, -1]

    def numbers(self) -> Numbers:
        """See :class:`Step`."""
        parts = []
        for block in self.blocks:
            oldest = np.roll(block.ring.numpy()[:, : block.channels], -block.position, axis=0)
            parts += [oldest.T.ravel(), block.h.numpy().ravel()]
        joined: Numbers = np.concatenate(parts, dtype=np.float64) + 0.0
        return joined


def _check_model(model: Any) -> None:
    if getattr(getattr(model, "config", None), "model_type", None) != "mamba" or not hasattr(model, "lm_head"):
        raise ReadoutError(f"a fast step needs a transformers MambaForCausalLM, not {type(model).__name__}")
    found = {p.dtype for p in model.parameters()}
    devices = {p.device.type for p in model.parameters()}
    if len(found) != 1 or not found <= set(DTYPES) or devices != {"cpu"} or not len(model.backbone.layers):
        names = ", ".join(sorted(str(d).removeprefix("torch.") for d in found))
        raise ReadoutError(
            f"a fast step needs a model with blocks on the CPU, in one of float32, bfloat16, float16 and float64; this "
            f"one is in {names} on {', '.join(sorted(devices))}"
        )


def stepper(model: Any) -> FastStep | OwnStep:
    """A :class:`FastStep` if it agrees with ``transformers``' step on some tokens, bit for bit; else an OwnStep.

    Call it, and what it returns, under ``models._threads.one_thread``.
    """
    try:
        fast = FastStep(model)
    except ReadoutError:
        return OwnStep(model)
    own = OwnStep(model)
    rng = np.random.default_rng(0)
    tokens = [int(t) for t in rng.integers(0, model.get_input_embeddings().num_embeddings, TRIED)]
    for number, token in enumerate(tokens):
        for step in (fast, own):
            step.read(token) if number else step.start(token)
        if number and not _same(fast, own):
            return own
    return fast


def _same(one: Step, other: Step) -> bool:
    states = np.array_equal(one.numbers(), other.numbers(), equal_nan=True)
    return states and bool(torch.equal(one.logits().nan_to_num(), other.logits().nan_to_num()))
