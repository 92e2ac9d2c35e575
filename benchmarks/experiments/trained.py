"""Trained baselines, as ``scancraft train NAME --budget 60s`` makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from timings.measure import Tick

from scancraft.suite.languages import suite_language
from scancraft.training.training import train


@dataclass(frozen=True)
class Size:
    """What is trained.

    Args:
        names: languages of the suite.
        seconds: budget of each.
        max_steps: stop after so many steps; None for no limit.
        test_words: words per range of lengths.
    """

    names: tuple[str, ...] = ("D-12", "Tomita-3", "Dyck-1", "Shuffle-2", "a^n b^n", "Parity")
    seconds: float = 60.0
    max_steps: int | None = None
    test_words: int = 500


FULL = Size()
QUICK = Size(names=("Tomita-1",), seconds=30.0, max_steps=3, test_words=10)


@dataclass(frozen=True)
class Result:
    """What ``training.json`` says of each."""

    rows: tuple[dict[str, Any], ...]


def measure(size: Size, tick: Tick) -> Result:
    rows = []
    for number, name in enumerate(size.names):
        tick(number, len(size.names), name)
        found = suite_language(name)
        trained = train(
            found.language,
            seconds=size.seconds,
            bins=found.bins,
            max_steps=size.max_steps,
            test_words=size.test_words,
        )
        facts = trained.as_json()
        del facts["history"]  # `scancraft train --out DIR` keeps it
        rows.append({"name": found.name, **facts})
    return Result(tuple(rows))
