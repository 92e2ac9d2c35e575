"""What an implementation is: a name, and a function from a checkpoint directory to a model or a session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Load = Callable[[Path], Any]


@dataclass(frozen=True)
class Implementation:
    """A way of running checkpoints.

    Attributes:
        name: for people.
        load: from a checkpoint directory to a model or a session (``conformance.sessions``); of an operation, whatever
            it is called with, the function.
        kind: of the checkpoints, a target of ``scancraft.compile``, or the operation (``conformance.operations``).
        modes: those that it documents as supported; None: all that the model's methods allow.
        cases: names of those that are tried unless others are asked for; None: all.
        longest: words are cut to so many tokens; None: they are not.
        note: for the report: what is not as published, what is not tried.
    """

    name: str
    load: Load
    kind: str = "mamba"
    modes: tuple[str, ...] | None = None
    cases: tuple[str, ...] | None = None
    longest: int | None = None
    note: str = ""
