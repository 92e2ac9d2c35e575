"""Reading a word again and again, one token at a time, until the recurrent state repeats bit for bit.

:class:`FastStep` gives the bits of ``transformers``' own single-token step at batch size 1 at a tenth of its time;
:class:`OwnStep` is that step itself, for models or machines where FastStep does not agree with it. :class:`Loop` reads
a word periodically and leaves out what cannot have changed since the last time round.

>>> import scancraft
>>> from scancraft.models.settle import Loop, stepper
>>> step = stepper(scancraft.compile("(ab)*").model())
>>> step.start(1)
>>> loop = Loop(step, (3, 4))
>>> while not loop.settled:
...     loop.turn()
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ._fast_block import FastBlock, Lane, conv_rule, padded, ring_dtype, sizes
from .errors import ReadoutError

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


def digest(numbers: Numbers) -> str:
    """The sha256 of a state: its numbers as little-endian float64, -0.0 as +0.0."""
    return hashlib.sha256((numbers + 0.0).astype("<f8").tobytes()).hexdigest()


class OwnStep:
    """``transformers``' own step with its cache, at batch size 1. O(1) per token, about 0.4 ms a block on a CPU.

    Args:
        model: a ``transformers`` ``MambaForCausalLM``, or a model with its interface and cache.
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


class Loop:
    """Reads a word over and over, from wherever a step is, and notices when the state returns.

    A *turn* is one reading of the word. What a block does at one place of the word is a function of its input stream,
    of the inputs of its convolution and of its SSM state. So where the last ``taps`` inputs are bit for bit those of a
    turn ago, gates and writes are too, and are not computed again; where the SSM state is as well, the output is not
    either; and once a block, and all below it, come out of a turn as they went into it, they will do so for ever and
    are left alone. Periods above 1 are found by comparing with the state at the last power of two (Brent 1980).

    Args:
        step: the step, after at least one token. Between turns others may use it if they put its state back.
        word: tokens, at least one.

    Attributes:
        turns: how many there have been.
        settled: None, or (N, r): the state after N turns is that after N + r turns, hence periodic from N on.
        fixed: how many of the lowest blocks have been seen to repeat; an OwnStep does not look at blocks.
    """

    def __init__(self, step: FastStep | OwnStep, word: Sequence[int]) -> None:
        self.step, self.word = step, tuple(word)
        self.turns, self.fixed = 0, 0
        self.settled: tuple[int, int] | None = None
        self._places = [step.lanes(token) for token in word] if isinstance(step, FastStep) else []
        blocks = step.blocks if isinstance(step, FastStep) else []
        self._streaks = [0] * len(blocks)
        """Per block: how many tokens in a row came with the input stream of a turn ago."""
        self._ends: list[bytes] = [block.h.numpy().tobytes() for block in blocks]
        self._anchor: tuple[int, bytes, bytes] = (0, b"", b"")
        self._previous = b""

    def turn(self) -> None:
        """Read the word once. Does nothing once settled."""
        if self.settled is not None:
            return
        if isinstance(self.step, FastStep):
            with np.errstate(all="ignore"), torch.no_grad():
                self._fast_turn(self.step)
                self.step.tokens_read += len(self.word)
                self.turns += 1
                self._look(self.step)
        else:
            for token in self.word:
                self.step.read(token)
            self.turns += 1
            state = self.step.numbers().tobytes()
            if self.turns > 1 and state == self._previous:
                self.settled = (self.turns - 1, 1)
            else:
                self._compare(state, b"")
            self._previous = state

    def _fast_turn(self, step: FastStep) -> None:
        blocks, streaks, fixed = step.blocks, self._streaks, self.fixed
        last = len(blocks) - 1
        for lanes, _ in self._places:
            known = self.turns > 0  # the stream into the first block at hand is that of a turn ago
            for i in range(fixed, last + 1):
                block, lane = blocks[i], lanes[i]
                if not known:
                    stream = lane.stream.tobytes()
                    known = stream == lane.seen
                    lane.seen = stream
                streaks[i] = streaks[i] + 1 if known else 0
                position = block.position
                block.position = position + 1 if position + 1 < block.taps else 0
                known = False
                if streaks[i] >= block.taps:
                    lane.keep[position]()
                    for operation in lane.advance:
                        operation()
                    state = block.h_bytes()
                    if state == lane.state:
                        known = True
                        continue
                    lane.state = state
                else:
                    for operation in lane.prepare[position]:
                        operation()
                    for operation in lane.advance:
                        operation()
                    lane.state = None
                if i < last:
                    for operation in lane.output:
                        operation()

    def _look(self, step: FastStep) -> None:
        """Whether blocks, or the whole state, came out of the turn as they went in."""
        for i in range(self.fixed, len(step.blocks)):
            block = step.blocks[i]
            end = block.h_bytes()
            if i == self.fixed and self._streaks[i] >= block.taps and end == self._ends[i]:
                self.fixed += 1
            self._ends[i] = end
        if self.fixed == len(step.blocks):
            self.settled = (self.turns - 1, 1)
        else:
            self._compare(b"", self._ends[self.fixed])

    def _compare(self, whole: bytes, part: bytes) -> None:
        """With the anchor: the whole state if given, else a part of it first."""
        turn, anchor, anchor_part = self._anchor
        if turn and part == anchor_part and (whole or self.step.numbers().tobytes()) == anchor:
            self.settled = (turn, self.turns - turn)
        elif self.turns & (self.turns - 1) == 0:
            self._anchor = (self.turns, whole or self.step.numbers().tobytes(), part)

    def logits(self) -> Tensor:
        """After the last turn, shape (vocabulary,), float32; there must have been one."""
        if isinstance(self.step, FastStep):
            lanes, result = self._places[-1]
            with torch.no_grad(), np.errstate(all="ignore"):
                for operation in lanes[-1].output:
                    operation()
            self.step.show(result)
        return self.step.logits()

    def peek(self, tokens: Sequence[int]) -> Tensor:
        """The logits after some more tokens, as if they were read now; the state stays as it is."""
        if not tokens:
            return self.logits()
        saved = self.step.save()
        for token in tokens:
            self.step.read(token)
        logits = self.step.logits()
        self.step.restore(saved)
        return logits

    def outlook(self) -> Outlook:
        """Take a turn, and estimate from it how many more it takes to settle. An OwnStep gives no estimate."""
        if not isinstance(self.step, FastStep):
            self.turn()
            return Outlook(0.0 if self.settled else math.nan, ())
        blocks = self.step.blocks
        before = [block.h.numpy()[0].copy() for block in blocks]
        self.turn()
        moving = []
        for i in range(self.fixed, len(blocks)):
            after = blocks[i].h.numpy()[0]
            gate = np.prod([lanes[i].gate.astype(np.float64) for lanes, _ in self._places], axis=0)
            for channel, state in zip(*np.nonzero(after != before[i]), strict=True):
                at, change = (channel, state), float(after[channel, state]) - float(before[i][channel, state])
                grain = float(np.spacing(np.abs(after[at])))
                moving.append(Moving(i, int(channel), int(state), float(gate[at]), change, grain))
        return Outlook(max((entry.turns for entry in moving), default=0.0), tuple(moving))


@dataclass(frozen=True)
class Moving:
    """An entry of an SSM state that a turn has changed.

    Attributes:
        block: its block.
        channel: its channel.
        state: which of the channel's states.
        gate: the product of its gates over the turn; exactly 1 for an entry that only adds up.
        change: by how much it changed.
        grain: the distance of its value to the next float.
    """

    block: int
    channel: int
    state: int
    gate: float
    change: float
    grain: float

    @property
    def turns(self) -> float:
        """How many more turns until the change is half a grain, if it shrinks by the gate with every turn."""
        if not math.isfinite(self.change) or self.gate >= 1:
            return math.inf
        return max(1.0, math.log(max(1.0, 2 * abs(self.change) / self.grain)) / -math.log(max(self.gate, 1e-300)))


@dataclass(frozen=True)
class Outlook:
    """What a turn has changed.

    Attributes:
        turns: an estimate of how many more it takes to settle; infinite if an entry only adds up, NaN if unknown.
        moving: the entries of SSM states that it changed, above the blocks that have settled.
    """

    turns: float
    moving: tuple[Moving, ...]
