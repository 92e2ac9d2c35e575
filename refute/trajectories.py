"""What a model does on x w^n for growing n: the part of ``scancraft.refute`` that knows no languages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..models.run.settle import Loop, Outlook
from ..models.run.single_step import Numbers, OwnStep, aligned, stepper
from .leaps import Leap, longest_leap

MARKED = 32
"""States are kept for all n below this, and for four n from each power of two on."""


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
        own = OwnStep(self._owner.aligned)
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
        self.aligned = aligned(self.model)
        self.step = stepper(self.aligned)

    def of(self, x: Sequence[int], w: Sequence[int]) -> Trajectory:
        """The trajectory of x w^n, as far as it has been read. ``x`` has at least one token."""
        key = (tuple(x), tuple(w))
        if key not in self._known:
            self._known[key] = Trajectory(self, *key)
        return self._known[key]


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
