"""What an operation is to a conformance test, and a function of its signature as a model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from ..case import Case, Expected, Floats, Ints, Source
from ..probes.kinds.mamba2 import FILLER
from ..probes.posed import Posed
from ..probes.probe import Channel


class Given(Protocol):
    """What a case gives to an operation and demands of it."""

    @property
    def channels(self) -> tuple[Channel, ...]:
        """What each column of the outputs is."""
        ...

    def owed(self, ids: Ints) -> Floats:
        """The outputs, exact, shape (batch, time, channels)."""
        ...


@dataclass(frozen=True)
class OperationCase(Case):
    """A case of an operation; there is no checkpoint, and ``logits`` are the operation's outputs.

    Attributes:
        given: the arguments.
    """

    answers: ClassVar[str] = "outputs"

    given: Any = None


@dataclass(frozen=True)
class Operation:
    """An operation.

    Attributes:
        signature: of the functions that are one, as its package has it.
        model: from such a function and what a case gives, something with the methods of ``sessions.Model``.
        modes: those that its parameters can open.
        cases: the set, given whether it is the quick one.
    """

    signature: str
    model: Callable[[Callable[..., Any], Any], Any]
    modes: tuple[str, ...]
    cases: Callable[[bool], tuple[OperationCase, ...]]


def nothing_to_write(_: Any) -> None:
    """There is no checkpoint."""


def case_of(posed: Posed, given: Given, name: str = "", modes: tuple[str, ...] | None = None) -> OperationCase:
    """A probe as a case of an operation, under a name of its own or the probe's."""
    probe = posed.probe
    symbols = {i: t for t, i in probe.ids.items()}
    columns = {i: (Source(0, i, c.meaning, c.exercises),) for i, c in enumerate(given.channels)}
    return OperationCase(
        name or posed.name,
        posed.exercises,
        posed.words,
        nothing_to_write,
        lambda ids: Expected(given.owed(ids)),
        columns,
        {},
        tuple(symbols.get(i, f"unused {i}") for i in range(probe.vocabulary)),
        probe.meanings,
        modes or posed.modes,
        posed.splits,
        probe.d_conv,
        given=given,
    )


def filled(channels: Iterable[Channel], multiple: int) -> tuple[Channel, ...]:
    """Channels, and unused ones up to a multiple."""
    found = tuple(channels)
    return found + (FILLER,) * (-len(found) % multiple)


class Called:
    """A function with what a case gives to it, in the shape of a model.

    Methods that need a parameter of the function are there if it has the parameter. The function may have an attribute
    ``device``, where its tensors shall lie.
    """

    def __init__(self, function: Callable[..., Any], given: Any) -> None:
        self.function, self.given = function, given
        self.device = torch.device(getattr(function, "device", "cpu"))
        self.names = _parameters(function)

    def on_device(self, tensor: Tensor | None) -> Tensor | None:
        """A tensor where the function wants it."""
        return None if tensor is None else tensor.to(self.device)


def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    try:
        return frozenset(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # of a compiled function that does not tell
        return frozenset()
