"""The search of ``scancraft.refute``: which x w^n settles soonest, where, and what the model says from then on."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._refuting_leaps import Leap, longest_leap
from ._refuting_words import Question, visible
from .automata.alphabet import EOS, format_word
from .automata.budget import Meter
from .automata.errors import BudgetExceededError
from .models.readout import Readout
from .models.settle import Loop, Numbers, Outlook, OwnStep, stepper

Note = Callable[[str], None]

PILOT = 64
"""Tokens read of each x w^n before the most promising one is chosen."""

PROMISING = 50_000
"""Once one is expected to settle within so many tokens, no others are looked at."""

SLICE = 4_000
"""Tokens between looks at the clock, at most, and as many as take about ..."""

SLICE_SECONDS = 0.25

MARKED = 32
"""Answers are compared for all n below this, and for four n from each power of two on."""


@dataclass(frozen=True)
class Mark:
    """The recurrent state after x w^n.

    Attributes:
        saved: for ``Step.restore``.
        logits: there.
    """

    saved: Any
    logits: Tensor


class Trajectory:
    """What a model does on x w^n for n = 0, 1, ...; made by :class:`Trajectories`.

    Attributes:
        marks: some states on the way, by n; once settled, those of one period from N on.
        outlook: how far it is to go.
        leaps: turns that were not taken one by one.
        settled: None, or (N, r): the states after x w^N and x w^(N + r) are the same, so the states have period r from
            N on.
        state: the complete state after x w^N, once settled.
    """

    def __init__(self, owner: Trajectories, x: tuple[int, ...], w: tuple[int, ...]) -> None:
        self.x, self.w, self._owner = x, w, owner
        self.leaps: list[Leap] = []
        self._before = 0  # turns before those of the loop
        self.marks: dict[int, Mark] = {}
        self.outlook = Outlook(math.nan, ())
        self.state: Numbers | None = None
        self._saved: Any = None
        step = owner.step
        with self._at_work():
            for number, token in enumerate(x):
                step.read(token) if number else step.start(token)
            self.marks[0] = Mark(step.save(), step.logits())
            self._loop = Loop(step, w)

    @property
    def turns(self) -> int:
        """How often w has been read, or leapt over."""
        return self._before + self._loop.turns

    @property
    def settled(self) -> tuple[int, int] | None:
        """See the class."""
        if self.state is None or self._loop.settled is None:
            return None
        first, period = self._loop.settled
        return self._before + first, period

    @property
    def tokens_left(self) -> float:
        """An estimate of how many tokens it takes to settle; infinite if it does not seem to, NaN if unknown."""
        return self.outlook.turns * len(self.w)

    def run(self, tokens: int) -> None:
        """Read about so many more tokens, at least one turn, or until settled."""
        if self.settled is not None:
            return
        with self._at_work():
            loop = self._loop
            for _ in range(max(1, tokens // len(self.w)) - 1):
                if loop.settled is not None:
                    break
                loop.turn()
                n = self.turns
                if n < MARKED or n - (1 << n.bit_length() - 1) < 4:
                    self.marks[n] = Mark(self._owner.step.save(), loop.logits())
            self.outlook = loop.outlook()
            if loop.settled is not None:
                self._finish(self._before + loop.settled[0], loop.settled[1])

    def leap(self) -> bool:
        """Take two turns, and after them as many at once as can be proved to add the same each; whether there are any.

        See ``_refuting_leaps``.
        """
        step = self._owner.step
        with self._at_work():
            states = [step.numbers()]
            for _ in range(2):
                self._loop.turn()
                states.append(step.numbers())
            if self._loop.settled is not None or (states[2] - states[1] != states[1] - states[0]).any():
                return False
            turns = longest_leap(self._owner.model, self.w, states[1], states[2])
            if not turns:
                return False
            start = self.turns - 1
            self.leaps.append(Leap(start, start + turns))
            step.put(states[1] + turns * (states[2] - states[1]))
            self._before, self._loop = start + turns, Loop(step, self.w)
            self.outlook = Outlook(math.nan, ())
        return True

    def _finish(self, first: int, period: int) -> None:
        """Mark the states of one period from N on, as the step leaves them after the turns so far."""
        step, loop, turns = self._owner.step, self._loop, self.turns
        at = first + (turns - first) % period
        numbers: Numbers | None = step.numbers() if at == first else None
        self.marks[at] = Mark(step.save(), loop.logits())
        for n in range(first, first + period):
            if n == at:
                continue
            # From here on, the state being on the cycle, plain reading gives the others in turn.
            at_work = self.marks[at].saved
            step.restore(at_work)
            for _ in range((n - at) % period):
                for token in self.w:
                    step.read(token)
            if n == first:
                numbers = step.numbers()
            self.marks[n] = Mark(step.save(), step.logits())
        step.restore(self.marks[at].saved)
        self.state = numbers

    def logits(self, n: int, y: Sequence[int]) -> Tensor:
        """After x w^n y, n marked; shape (vocabulary,), float32."""
        mark = self.marks[n]
        if not y:
            return mark.logits
        with self._at_work():
            step = self._owner.step
            before = step.save()
            step.restore(mark.saved)
            for token in y:
                step.read(token)
            logits = step.logits()
            step.restore(before)
        return logits

    def confirmed(self, y: Sequence[int]) -> bool:
        """Whether ``transformers``' own step, put on the settled state, repeats it and says the same after y."""
        assert self.settled is not None
        assert self.state is not None
        first, period = self.settled
        own = OwnStep(self._owner.model)
        own.start(self.x[0])
        own.put(self.state)
        saved = own.numbers()
        for _ in range(period):
            for token in self.w:
                own.read(token)
        same = bool((own.numbers() == saved).all())
        for token in y:
            own.read(token)
        return same and torch.equal(own.logits(), self.logits(first, y))

    def _at_work(self) -> _AtWork:
        return _AtWork(self)


class _AtWork:
    """Puts a trajectory's state into the shared step, and remembers it when another one needs the step."""

    def __init__(self, trajectory: Trajectory) -> None:
        self.trajectory = trajectory

    def __enter__(self) -> None:
        owner = self.trajectory._owner
        if owner.active is not self.trajectory:
            if owner.active is not None:
                owner.active._saved = owner.step.save()
            if self.trajectory._saved is not None:
                owner.step.restore(self.trajectory._saved)
            owner.active = self.trajectory

    def __exit__(self, *error: object) -> None:
        return None


@dataclass
class Trajectories:
    """What one model does on x w^n, for every x and w that was asked for.

    Pass one to several calls of ``refute`` about the same model, and they share what they read. Its weights must not
    change meanwhile. Use under one thread of torch.

    Args:
        model: a ``transformers`` ``MambaForCausalLM``.
    """

    model: Any
    active: Trajectory | None = None
    _known: dict[tuple[tuple[int, ...], tuple[int, ...]], Trajectory] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.step = stepper(self.model)

    def of(self, x: Sequence[int], w: Sequence[int]) -> Trajectory:
        """The trajectory of x w^n, as far as it has been read. ``x`` has at least one token."""
        key = (tuple(x), tuple(w))
        if key not in self._known:
            self._known[key] = Trajectory(self, *key)
        return self._known[key]


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
                    heapq.heappush(queue, (_rank(trajectory), next(order), question))
                if trajectory.tokens_left <= PROMISING:
                    break
            while queue:
                _, _, question = heapq.heappop(queue)
                trajectory = self._trajectory(question)
                left = trajectory.tokens_left
                whole = SLICE if not math.isfinite(left) else int(min(max(left / 2, SLICE), 1e9))
                self._say(question, trajectory)
                if not (math.isinf(left) and trajectory.leap()):
                    self._read(trajectory, whole, question)
                if (verdict := self._conclude(question)) is not None:
                    return verdict
                if trajectory.settled is None and not self._overflowed(question, trajectory):
                    heapq.heappush(queue, (_rank(trajectory), next(order), question))
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
        if finite and all(torch.isfinite(mark.logits).all() for mark in trajectory.marks.values()):
            return False
        self.reasons[format_word(question.w, self.alphabet)] = "numbers overflow to infinity or NaN"
        return True

    def _explain(self, question: Question, error: BudgetExceededError) -> None:
        """Why a trajectory has not settled within the budget."""
        trajectory = self._trajectory(question)
        name = format_word(question.w, self.alphabet)
        if trajectory.settled is None and name not in self.reasons:
            self.reasons[name] = why_moving(trajectory)


def _rank(trajectory: Trajectory) -> float:
    """For the queue: what is expected to settle first comes first; what is unknown before what never seems to."""
    left = trajectory.tokens_left
    return 1e18 if math.isnan(left) else left


def why_moving(trajectory: Trajectory) -> str:
    """What still changes after the turns so far, in words."""
    moving = trajectory.outlook.moving
    head = f"after {trajectory.turns:,} turns"
    if not moving:
        return f"{head} the state has not repeated"
    slowest = max(moving, key=lambda entry: (entry.turns, abs(entry.change)))
    where = f"state {slowest.state} of channel {slowest.channel} of block {slowest.block}"
    adding = [entry for entry in moving if entry.gate == 1]
    if adding:
        return (
            f"{head} {len(adding):,} entries of the state have gate 1 and only add up, such as {where}: "
            f"{slowest.change:+.3g} a turn"
        )
    return (
        f"{head} {len(moving):,} entries of the state still change, slowest {where}: its gate over a turn is "
        f"{slowest.gate:.9g}, so that about {slowest.turns:,.0f} more turns are needed"
    )
