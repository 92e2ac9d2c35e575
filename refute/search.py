"""The search of ``scancraft.refute``: which x w^n settles soonest, where, and what the model says from then on."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

import torch
from torch import Tensor

from ..automata.alphabet import format_word
from ..automata.budget import Meter
from ..automata.errors import BudgetExceededError
from ..certify.search.prove import Judge
from .trajectories import Trajectories, Trajectory
from .words import Question, visible

Note = Callable[[str], None]

PROMISING = 50_000
"""Once a trajectory is expected to settle within so many tokens, no others are looked at."""


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
        answer: the tokens that the model allows after x w^n y for all n from N on.
        offsets: which n modulo the period of the language, from N on, the model is wrong at.
        wrong: the shortest wrong word seen.
    """

    question: Question
    trajectory: Trajectory
    answer: frozenset[str]
    offsets: tuple[int, ...]
    wrong: Wrong


@dataclass
class Search:
    """One search.

    Args:
        trajectories: of the model.
        judge: of the language, and how the model is bound to it.
        meter: counts tokens.
        note: told what is going on.

    Attributes:
        reasons: why trajectories were given up, by w.
        wrong: the shortest wrong word seen on any trajectory; None if none was wrong at a marked n.
    """

    trajectories: Trajectories
    judge: Judge
    meter: Meter
    note: Note
    reasons: dict[str, str] = field(default_factory=dict)
    wrong: Wrong | None = None

    def run(self, questions: Iterator[Question]) -> Verdict | None:
        """Look at questions until one promises to settle soon, then follow the most promising one at any time.

        None if no question is left; raises :class:`BudgetExceededError` past the budget.
        """
        queue: list[tuple[float, int, Question]] = []
        order = count()
        opened: list[Question] = []
        looking = True
        try:
            while looking or queue:
                question = next(questions, None) if looking else heapq.heappop(queue)[2]
                if question is None:
                    looking = False
                    continue
                if looking:
                    opened.append(question)
                trajectory = self._trajectory(question)
                self._advance(question, trajectory)
                if (verdict := self._conclude(question, trajectory)) is not None:
                    return verdict
                looking = looking and not trajectory.tokens_left <= PROMISING
                if trajectory.settled is None and not trajectory.failed:
                    heapq.heappush(queue, (_rank(trajectory), next(order), question))
        except BudgetExceededError:
            for question in opened:
                self._give_up(question)
            raise
        for question in opened:
            self._look(question)
        return None

    def _trajectory(self, question: Question) -> Trajectory:
        readout = self.judge.readout
        return self.trajectories.of(readout.encode(question.x), [readout.tokens[s] for s in question.w])

    def _advance(self, question: Question, trajectory: Trajectory) -> None:
        """Leap, or read one batch, or as many as bring it half way to where it is expected to settle."""
        if math.isinf(trajectory.tokens_left) and trajectory.leap():
            return
        left = trajectory.tokens_left
        wanted = left / 2 if math.isfinite(left) else 0.0
        while trajectory.settled is None and not trajectory.failed:
            self.meter.tick(trajectory.chunk)
            trajectory.read()
            if trajectory.settled is None:
                self.meter.check_time()
            about = f", about {left:,.0f} tokens to go" if math.isfinite(left := trajectory.tokens_left) else ""
            self.note(f"w = {self._name(question)!r}, n = {trajectory.turns:,}{about}")
            wanted -= trajectory.chunk
            if wanted <= 0:
                return

    def _name(self, question: Question) -> str:
        return format_word(question.w, self.judge.dfa.alphabet)

    def _said(self, logits: Tensor) -> frozenset[str]:
        """The tokens that the model allows."""
        return self.judge.said(logits[self.judge.columns])

    def _logits(self, trajectory: Trajectory, turns: Sequence[int], question: Question) -> Tensor | None:
        """After x w^n y for some n; None, with the reason, if a score is infinite or NaN."""
        logits = trajectory.logits(turns, [self.judge.readout.tokens[s] for s in question.y])
        if torch.isfinite(logits[:, self.judge.columns]).all():
            return logits
        self.reasons[self._name(question)] = "numbers overflow to infinity or NaN"
        return None

    def _look(self, question: Question) -> None:
        """Compare the answers at the marks; remember the shortest wrong word."""
        trajectory = self._trajectory(question)
        turns = sorted(trajectory.marked)
        logits = self._logits(trajectory, turns, question)
        for n, scores in zip(turns, [] if logits is None else logits, strict=logits is not None):
            length = len(question.x) + n * len(question.w) + len(question.y)
            if self.wrong is not None and length >= len(self.wrong.word):
                return
            right, said = question.right[n % question.period], self._said(scores)
            if right is not None and visible(self.judge, said, question.observed) != right:
                self.wrong = Wrong(question.word(n), said)
                return

    def _conclude(self, question: Question, trajectory: Trajectory) -> Verdict | None:
        """What a settled trajectory shows."""
        name, first = self._name(question), trajectory.settled
        if trajectory.failed:
            self.reasons[name] = trajectory.failed
        if first is None or trajectory.failed:
            return None
        if not trajectory.confirmed():
            self.reasons[name] = "the model's own step does not repeat the state that was found"
            return None
        if (logits := self._logits(trajectory, [first], question)) is None:
            return None
        answer = self._said(logits[0])
        wrong = [
            n
            for n in range(first, first + question.period)
            if (right := question.right[n % question.period]) is not None
            and visible(self.judge, answer, question.observed) != right
        ]
        if not wrong:
            self.reasons[name] = f"the state settles from n = {first:,} on, and is right there"
            return None
        self._look(question)
        if self.wrong is None:
            self.wrong = Wrong(question.word(wrong[0]), answer)
        return Verdict(question, trajectory, answer, tuple(sorted(n % question.period for n in wrong)), self.wrong)

    def _give_up(self, question: Question) -> None:
        """Out of budget: why a trajectory has not settled, and whether it was wrong on the way."""
        self._look(question)
        trajectory = self._trajectory(question)
        if trajectory.settled is None:
            self.reasons.setdefault(self._name(question), trajectory.failed or trajectory.why_moving())


def _rank(trajectory: Trajectory) -> float:
    """For the queue: what is expected to settle first; then what is unknown; then what does not seem to settle."""
    return 1e18 if math.isnan(left := trajectory.tokens_left) else left
