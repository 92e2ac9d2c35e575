"""The search of ``scancraft.refute``: which x w^n settles soonest, where, and what the model says from then on."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import torch
from torch import Tensor

from ..automata.alphabet import EOS, format_word
from ..automata.budget import Meter
from ..automata.errors import BudgetExceededError
from ..models.readout import Readout
from .trajectories import Trajectories, Trajectory, why_moving
from .words import Question, visible

Note = Callable[[str], None]

PILOT = 64
"""Tokens read of each x w^n before the most promising one is chosen."""

PROMISING = 50_000
"""Once one is expected to settle within so many tokens, no others are looked at."""

SLICE = 4_000
"""Tokens between looks at the clock, at most, and as many as take about ..."""

SLICE_SECONDS = 0.25


@dataclass(frozen=True)
class Wrong:
    """A word after which the model is wrong.

    Attributes:
        word: the symbols.
        model: the tokens that the model allows next.
    """

    word: tuple[str, ...]
    model: frozenset[str]


@dataclass(frozen=True)
class Verdict:
    """A settled trajectory on which the model is wrong for ever.

    Attributes:
        question: which words.
        trajectory: settled.
        answers: the tokens that the model allows after x w^n y, for n = N, ..., N + r - 1.
        joint: after how many n both answers have come round.
        offsets: which n modulo ``joint``, from N on, the model is wrong at.
        wrong: the shortest wrong word seen.
    """

    question: Question
    trajectory: Trajectory
    answers: tuple[frozenset[str], ...]
    joint: int
    offsets: tuple[int, ...]
    wrong: Wrong


@dataclass
class Search:
    """One search.

    Args:
        trajectories: of the model.
        readout: how it is bound to the language.
        alphabet: of the language.
        meter: counts tokens.
        note: told what is going on.

    Attributes:
        reasons: why trajectories were given up, by w.
        wrong: the shortest wrong word seen on any trajectory; None if none was wrong at a marked n.
        slice: tokens to read before the next look at the clock.
    """

    trajectories: Trajectories
    readout: Readout
    alphabet: tuple[str, ...]
    meter: Meter
    note: Note
    reasons: dict[str, str] = field(default_factory=dict)
    wrong: Wrong | None = None
    slice: int = PILOT

    def run(self, questions: Iterator[Question]) -> Verdict | None:
        """Look at questions until one promises to settle soon, then follow the most promising one at any time.

        None if no question is left; raises :class:`BudgetExceededError` past the budget.
        """
        queue: list[tuple[float, int, Question]] = []
        order = count()
        opened: list[Question] = []
        try:
            for question in questions:
                opened.append(question)
                trajectory = self._trajectory(question)
                self._read(trajectory, PILOT)
                if (verdict := self._conclude(question)) is not None:
                    return verdict
                if trajectory.settled is None:
                    heapq.heappush(queue, (*_rank(trajectory, next(order)), question))
                if trajectory.tokens_left <= PROMISING:
                    break
            while queue:
                _, place, question = heapq.heappop(queue)
                trajectory = self._trajectory(question)
                left = trajectory.tokens_left
                whole = SLICE if not math.isfinite(left) else int(min(max(left / 2, SLICE), 1e9))
                self._say(question, trajectory)
                if not (math.isinf(left) and trajectory.leap()):
                    self._read(trajectory, whole, question)
                if (verdict := self._conclude(question)) is not None:
                    return verdict
                if trajectory.settled is None and not self._overflowed(question, trajectory):
                    place = place if math.isnan(trajectory.tokens_left) else next(order)
                    heapq.heappush(queue, (*_rank(trajectory, place), question))
        except BudgetExceededError as error:
            for question in opened:
                self._look(question)
                self._explain(question, error)
            raise
        for question in opened:
            self._look(question)
        return None

    def _trajectory(self, question: Question) -> Trajectory:
        x = self.readout.encode(question.x)
        return self.trajectories.of(x, [self.readout.tokens[s] for s in question.w])

    def _read(self, trajectory: Trajectory, tokens: int, question: Question | None = None) -> None:
        while tokens > 0 and trajectory.settled is None:
            part = min(self.slice, tokens)
            self.meter.tick(part)
            started = time.perf_counter()
            trajectory.run(part)
            if trajectory.settled is None:
                self.meter.check_time()
            pace = part / max(time.perf_counter() - started, 1e-6)
            self.slice = int(min(SLICE, max(PILOT, pace * SLICE_SECONDS)))
            tokens -= part
            if question is not None:
                self._say(question, trajectory)

    def _say(self, question: Question, trajectory: Trajectory) -> None:
        left = trajectory.tokens_left
        about = f", about {left:,.0f} tokens to go" if math.isfinite(left) else ""
        self.note(f"w = {format_word(question.w, self.alphabet)!r}, n = {trajectory.turns:,}{about}")

    def _tokens(self, word: Sequence[str]) -> list[int]:
        return [self.readout.tokens[s] for s in word]

    def _said(self, logits: Tensor) -> frozenset[str]:
        """The tokens that the model allows."""
        readout = self.readout
        columns = readout.columns(self.alphabet)
        names = [*(self.alphabet if readout.next_index else ()), *([] if readout.accept is None else [EOS])]
        return frozenset(
            name for name, yes in zip(names, (logits[columns] > readout.threshold).tolist(), strict=True) if yes
        )

    def _look(self, question: Question) -> None:
        """Compare the answers at the marks; remember the shortest wrong word."""
        trajectory, y = self._trajectory(question), self._tokens(question.y)
        for n in sorted(trajectory.marks):
            length = len(question.x) + n * len(question.w) + len(question.y)
            if self.wrong is not None and length >= len(self.wrong.word):
                return
            right = question.right[n % question.period]
            said = self._said(trajectory.logits(n, y))
            if right is not None and visible(said, question.observed) != right:
                self.wrong = Wrong(question.word(n), said)
                return

    def _conclude(self, question: Question) -> Verdict | None:
        """What a settled trajectory shows."""
        trajectory = self._trajectory(question)
        name = format_word(question.w, self.alphabet)
        if trajectory.settled is None:
            return None
        if self._overflowed(question, trajectory):
            return None
        y = self._tokens(question.y)
        if not trajectory.confirmed(y):
            self.reasons[name] = "transformers' own step does not repeat the state that the fast step repeats"
            return None
        first, period = trajectory.settled
        answers = [self._said(trajectory.logits(first + k, y)) for k in range(period)]
        joint = math.lcm(period, question.period)
        offsets = []
        for n in range(first, first + joint):
            right = question.right[n % question.period]
            if right is not None and visible(answers[(n - first) % period], question.observed) != right:
                offsets.append(n)
        if not offsets:
            self.reasons[name] = f"the state settles with period {period} from n = {first:,} on, and is right there"
            return None
        self._look(question)
        if self.wrong is None:
            self.wrong = Wrong(question.word(offsets[0]), answers[(offsets[0] - first) % period])
        return Verdict(
            question, trajectory, tuple(answers), joint, tuple(sorted(n % joint for n in offsets)), self.wrong
        )

    def _overflowed(self, question: Question, trajectory: Trajectory) -> bool:
        """Whether numbers have left the range of floats; nothing is concluded from such a state."""
        finite = trajectory.state is None or bool(np.isfinite(trajectory.state).all())
        columns = self.readout.columns(self.alphabet)
        if finite and all(torch.isfinite(mark.logits[columns]).all() for mark in trajectory.marks.values()):
            return False
        self.reasons[format_word(question.w, self.alphabet)] = "numbers overflow to infinity or NaN"
        return True

    def _explain(self, question: Question, error: BudgetExceededError) -> None:
        """Why a trajectory has not settled within the budget."""
        trajectory = self._trajectory(question)
        name = format_word(question.w, self.alphabet)
        if trajectory.settled is None and name not in self.reasons:
            self.reasons[name] = why_moving(trajectory)


def _rank(trajectory: Trajectory, place: int) -> tuple[float, int]:
    """For the queue: what is expected to settle first; then what is unknown, one after the other; then, in turns, what
    does not seem to settle."""
    left = trajectory.tokens_left
    return (1e18 if math.isnan(left) else left), place
