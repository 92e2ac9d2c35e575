"""What a model does on x w^n for growing n: the part of ``scancraft.refute`` that knows no languages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..models.run.reader import Reader, StepError
from ..models.run.stepper import Stepper, aligned
from .checker.claims import DTYPES
from .leaps import longest_leap

MARKED = 32
"""States are kept for all n below this, and for four n from each power of two on."""


@dataclass(frozen=True)
class Outlook:
    """What the last turn has changed in the SSM states.

    Attributes:
        entries: how many entries.
        adding: how many of them have gate 1, and only add up.
        turns: an estimate of how many more turns it takes to settle: an entry shrinks its change by the gate with every
            turn, down to half the distance to the next float. Infinite if an entry only adds up, NaN if unknown.
        slowest: in words, the entry that takes the most turns.
    """

    entries: int = 0
    adding: int = 0
    turns: float = math.nan
    slowest: str = ""


class Trajectory:
    """What a model does on x w^n for n = 0, 1, ...; made by :class:`Trajectories`.

    Attributes:
        turns: how often w has been read, or leapt over.
        marked: for some n on the way, the states before the last token of x w^n and after it; no state before x if x
            is a single token.
        outlook: how far it is to go.
        leaps: (a, b) where the turns from a to b were not taken one by one.
        settled: the first n > 0 at which the states after x w^(n - 1) and x w^n are the same, so that the state, and
            what the model says, are the same from n on; None as long as there is none. The period is never longer:
            docs/refutation.md says why.
        failed: why it will not settle; "" if it may.
    """

    def __init__(self, owner: Trajectories, x: tuple[int, ...], w: tuple[int, ...]) -> None:
        self.x, self.w, self._owner = x, w, owner
        self.turns = 0
        self.outlook = Outlook()
        self.leaps: list[tuple[int, int]] = []
        self.settled: int | None = None
        self.failed = ""
        self._reader = Reader(owner.stepper, x[0])
        before = None
        for at in range(1, len(x), owner.stepper.batch):
            before = self._reader.read(x[at : at + owner.stepper.batch])[-2]
        self.marked: dict[int, tuple[Tensor | None, Tensor]] = {0: (before, self._reader.state)}
        self._ends = [self._reader.state]
        owner.tokens_read += len(x)

    @property
    def state(self) -> Tensor:
        """The complete state read last: after x w^N, once settled."""
        return self._ends[-1]

    @property
    def chunk(self) -> int:
        """Tokens that :meth:`read` reads."""
        return len(self.w) * max(1, self._owner.stepper.batch // len(self.w))

    @property
    def tokens_left(self) -> float:
        """An estimate of how many tokens it takes to settle; infinite if it does not seem to, NaN if unknown."""
        return self.outlook.turns * len(self.w)

    def read(self) -> None:
        """Read as many turns as go into one batch, at least one. Does nothing once settled or failed."""
        if self.settled is not None or self.failed:
            return
        batch, length = self._owner.stepper.batch, len(self.w)
        tokens = self.w * (self.chunk // length)
        try:
            parts = [self._reader.read(tokens[at : at + batch]) for at in range(0, len(tokens), batch)]
        except StepError as error:
            self.failed = str(error)
            return
        self._owner.tokens_read += len(tokens)
        rows = torch.cat([parts[0][:1], *(part[1:] for part in parts)])
        ends, lasts = rows[::length], rows[length - 1 :: length]
        for n in range(self.turns + 1, self.turns + len(ends)):
            if n < MARKED or n - (1 << n.bit_length() - 1) < 4:
                self.marked[n] = (lasts[n - self.turns - 1].clone(), ends[n - self.turns].clone())
        same = (ends[1:] == ends[:-1]).all(dim=1).nonzero()
        if len(same):
            turn = int(same[0, 0])
            self.settled = self.turns + turn + 1
            self._ends = [ends[turn].clone()]
            self.marked[self.settled] = (lasts[turn].clone(), ends[turn].clone())
        else:
            self._ends = list(ends[-3:])
        self.outlook = self._look(ends[-2], ends[-1])
        self.turns += len(ends) - 1

    def leap(self) -> bool:
        """Go over as many turns as can be proved to add the same each; whether there are any. See ``refute.leaps``."""
        if len(self._ends) < 3 or (self._ends[2] - self._ends[1] != self._ends[1] - self._ends[0]).any():
            return False
        _, state, following = (end.double() for end in self._ends)
        turns = longest_leap(self._owner.model, self.w, state.numpy(), following.numpy())
        if not turns:
            return False
        start = self.turns - 1
        self.leaps.append((start, start + turns))
        self._reader.state = (state + turns * (following - state)).to(self._owner.stepper.wide)
        self._ends = [self._reader.state]
        self.turns, self.outlook = start + turns, Outlook()
        return True

    def logits(self, turns: Sequence[int], y: Sequence[int]) -> Tensor:
        """After x w^n y for some n that are marked, shape (len(turns), vocabulary), float32."""
        if not y and 0 in turns and self.marked[0][0] is None:
            rest = [n for n in turns if n]
            others = self.logits(rest, y) if rest else self._reader.logits[None][:0]
            return torch.cat([self._reader.logits[None], others])  # n = 0 is the first one
        marks = [self.marked[n] for n in turns]
        if y:
            rows = torch.stack([after for _, after in marks])
            words = [list(y)] * len(marks)
        else:
            rows = torch.stack([before for before, _ in marks if before is not None])
            words = [[self.w[-1] if n else self.x[-1]] for n in turns]
        return self._owner.logits(rows, words)

    def confirmed(self) -> bool:
        """Whether the model, put on the settled state, comes back to it after w."""
        _, after = self._owner.run(self.state[None], [list(self.w)])
        return torch.equal(after[0], self.state)

    def _look(self, before: Tensor, after: Tensor) -> Outlook:
        """What a turn has changed; the states before it and after it."""
        stepper = self._owner.stepper
        found: list[tuple[float, float, float, str]] = []
        entries = adding = 0
        for i, chunk in enumerate(self._reader.chunks):
            own = slice(i * stepper.block_size + stepper.conv_size, (i + 1) * stepper.block_size)
            old, new = before[own].double().numpy(), after[own].double().numpy()
            change, gate = new - old, chunk.gates[-len(self.w) :].astype(np.float64).prod(axis=0)
            with np.errstate(all="ignore"):
                shrink = -np.log(np.maximum(gate, 1e-300))
                steps = np.log(np.maximum(1.0, 2 * np.abs(change) / np.spacing(np.abs(after[own].numpy())))) / shrink
            steps = np.where((gate >= 1) | ~np.isfinite(change), math.inf, np.maximum(steps, 1.0))
            moved = np.flatnonzero(change != 0)
            if not len(moved):
                continue
            entries, adding = entries + len(moved), adding + int((gate[moved] == 1).sum())
            at = max(moved.tolist(), key=lambda k: (steps[k], abs(change[k])))
            channel, state = divmod(at, stepper.state_shape[-1])
            where = f"state {state} of channel {channel} of block {i}"
            found.append((float(steps[at]), abs(float(change[at])), float(gate[at]), where))
        if not found:
            return Outlook(turns=0.0)
        turns, size, gate_of, where = max(found)
        what = f"{size:.3g} a turn" if gate_of == 1 else f"its gate over a turn is {gate_of:.9g}"
        return Outlook(entries, adding, turns, f"{where}: {what}")

    def why_moving(self) -> str:
        """What still changes after the turns so far, in words."""
        seen, head = self.outlook, f"after {self.turns:,} turns"
        if not seen.entries:
            return f"{head} the state has not repeated"
        if seen.adding:
            return f"{head} {seen.adding:,} entries of the state have gate 1 and only add up, such as {seen.slowest}"
        return (
            f"{head} {seen.entries:,} entries of the state still change, slowest {seen.slowest}, so that about "
            f"{seen.turns:,.0f} more turns are needed"
        )


class Trajectories:
    """What one model does on x w^n, for every x and w that was asked for.

    Pass one to several calls of ``refute`` about the same model, and they share what they read. Its weights must not
    change meanwhile. Use under one thread of torch.

    Args:
        model: a ``transformers`` ``MambaForCausalLM``.

    Attributes:
        tokens_read: over all of them.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.stepper = Stepper(aligned(model), dtypes=DTYPES)
        self.tokens_read = 0
        self._known: dict[tuple[tuple[int, ...], tuple[int, ...]], Trajectory] = {}

    def of(self, x: Sequence[int], w: Sequence[int]) -> Trajectory:
        """The trajectory of x w^n, as far as it has been read. ``x`` has at least one token."""
        key = (tuple(x), tuple(w))
        if key not in self._known:
            self._known[key] = Trajectory(self, *key)
        return self._known[key]

    def run(self, states: Tensor, words: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """The residual streams and states after words of the same length, at least one token, from given states."""
        blocks, stream = len(self.stepper.blocks), torch.empty(0)
        for tokens in zip(*words, strict=True):
            stream, states = self.stepper.step(0, blocks, self.stepper.embed(torch.tensor(tokens)), states)
        return stream, states

    def logits(self, states: Tensor, words: Sequence[Sequence[int]]) -> Tensor:
        """Logits after words of the same length, at least one token, from given states; shape (n, vocabulary)."""
        return self.stepper.logits(self.run(states, words)[0])
