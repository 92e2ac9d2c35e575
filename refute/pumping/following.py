"""A model on x w^n y for n = 1, 2, ..., read with its own step: where it is wrong, and whether that is for ever."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...automata.errors import ScancraftError
from ...certify.search.prove import Judge
from ...models.run.reader import Reader, StepError
from ..trajectories import Trajectories


class Pumped:
    """A model on x w^n y; w leads the state after x back to itself, so the right answer is the same for all n.

    Args:
        lines: of the model.
        judge: of the language, and how the model is bound to it.
        x, w, y: symbols; x is not empty unless words begin with a token of their own, w is not longer than a batch.

    Attributes:
        turns: how many were read.
        wrong: for each n from 1 to ``turns`` whether the model is wrong after x w^n y.
        settled: the first n > 0 at which the state after x w^n is that after x w^(n - 1), if it was reached.
        state: the complete state read last.
        failed: why reading ended otherwise; "" if it did not.
    """

    def __init__(
        self, lines: Trajectories, judge: Judge, x: tuple[str, ...], w: tuple[str, ...], y: tuple[str, ...]
    ) -> None:
        self.lines, self.judge, self.x, self.w, self.y = lines, judge, x, w, y
        readout = judge.readout
        first, *rest = readout.encode(x)
        self._turn, self._after = [readout.tokens[s] for s in w], [readout.tokens[s] for s in y]
        if not 0 < len(w) <= lines.stepper.batch:
            raise ScancraftError(f"w has {len(w)} symbols; a batch takes {lines.stepper.batch}")
        right = judge.right[judge.dfa.run((*x, *y))]
        self._right = torch.tensor([name in right for name in judge.names])
        self.turns, self.settled, self.failed = 0, None, ""
        self.wrong: NDArray[np.bool_] = np.zeros(0, dtype=bool)
        self._reader = Reader(lines.stepper, first)
        for at in range(0, len(rest), lines.stepper.batch):
            self._reader.read(rest[at : at + lines.stepper.batch])
        self.state: Tensor = self._reader.state
        lines.tokens_read += 1 + len(rest)

    settled: int | None

    @property
    def chunk(self) -> int:
        """Tokens that :meth:`read` reads."""
        return len(self.w) * (self.lines.stepper.batch // len(self.w)) + len(self.y)

    @property
    def ended(self) -> bool:
        """Whether reading on would show nothing new."""
        return self.settled is not None or bool(self.failed)

    @property
    def first_wrong(self) -> int | None:
        """The least n read at which the model is wrong."""
        return int(self.wrong.argmax()) + 1 if self.wrong.any() else None

    @property
    def wrong_from(self) -> int | None:
        """The least n from which on the model is wrong at every n read; None if it is right at the last one."""
        if not len(self.wrong) or not self.wrong[-1]:
            return None
        right = np.flatnonzero(~self.wrong)
        return int(right[-1]) + 2 if len(right) else 1

    def read(self) -> None:
        """Read as many turns as go into a batch. Does nothing once ended."""
        if self.ended:
            return
        length, per = len(self.w), self.lines.stepper.batch // len(self.w)
        try:
            rows = self._reader.read(self._turn * per)
        except StepError as error:
            self.failed = str(error)
            return
        self.lines.tokens_read += self.chunk
        ends = rows[::length]
        if self._after:
            scores = self.lines.logits(ends[1:], [self._after] * per)
        else:
            scores = self.lines.logits(rows[length - 1 :: length][:per], [self._turn[-1:]] * per)
        scores = scores[:, self.judge.columns]
        if not torch.isfinite(scores).all():
            self.failed = "scores overflow to infinity or NaN"
            return
        same = (ends[1:] == ends[:-1]).all(dim=1).nonzero()
        if len(same):
            per = int(same[0, 0]) + 1
            self.settled = self.turns + per
        wrong = (self.judge.readout.says(scores) != self._right).any(dim=1).numpy()[:per]
        self.wrong = np.concatenate([self.wrong, wrong])
        self.state = ends[per].clone()
        self.turns += per
