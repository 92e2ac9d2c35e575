"""What an implementation is: a name, and a function from a checkpoint directory to a model or a session."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...automata.errors import MissingExtraError

Load = Callable[[Path], Any]


@dataclass(frozen=True)
class Implementation:
    """A way of running checkpoints.

    Attributes:
        name: for people.
        load: from a checkpoint directory to a model or a session (``conformance.sessions``).
        kind: of the checkpoints: a target of ``scancraft.compile``.
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


def extra(module: str, package: str, name: str) -> Any:
    """A module of a package that is one of scancraft's extras.

    Raises:
        MissingExtraError: it cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(f"{package} cannot be imported ({error}); pip install 'scancraft[{name}]'") from error
