"""Reading a word again and again, one token at a time, until the recurrent state repeats bit for bit.

:class:`Loop` leaves out what cannot have changed since the last time round.

>>> import scancraft
>>> from scancraft.models.run.single_step import stepper
>>> step = stepper(scancraft.compile("(ab)*").model())
>>> step.start(1)
>>> loop = Loop(step, (3, 4))
>>> while not loop.settled:
...     loop.turn()
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .single_step import FastStep, OwnStep


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
