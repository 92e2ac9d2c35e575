"""Trained baselines, as ``scancraft train NAME --budget 60s`` makes them."""

from __future__ import annotations

from dataclasses import dataclass

from page.table import Column, Json, code, percent, table
from page.targets import Target
from timings.measure import Measured, Tick

from scancraft.suite.languages import suite_language
from scancraft.training.training import train


@dataclass(frozen=True)
class Size:
    """What is trained."""

    names: tuple[str, ...] = ("D-12", "Tomita-3", "Dyck-1", "Shuffle-2", "a^n b^n", "Parity")  # languages of the suite
    seconds: float = 60.0  # budget of each
    max_steps: int | None = None  # stop after so many steps; None for no limit
    test_words: int = 500  # words per range of lengths


FULL = Size()
QUICK = Size(names=("Tomita-1",), seconds=30.0, max_steps=3, test_words=10)


def measure(size: Size, tick: Tick) -> Measured:
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
        rows.append({"name": found.name, **trained.as_json()})
    return Measured({"rows": [summary(row) for row in rows]}, {"rows": rows})


def summary(row: Json) -> Json:
    """What the page says of a ``training.json``; the rest is for ``--raw``."""
    kept = {key: row[key] for key in ("name", "steps", "seconds", "accuracy")}
    return kept | {"sizes": {"parameters": row["sizes"]["parameters"]}}


# -- the page --------------------------------------------------------------------------------------------------------


def _accuracy(row: Json) -> str:
    parts = (f"{b['label']}: {percent(b['strings'])} ({percent(b['positions'])})" for b in row["accuracy"])
    return " / ".join(parts)


COLUMNS = (
    Column("language", "name", code),
    Column("parameters", lambda row: row["sizes"]["parameters"]),
    *("steps", "seconds"),
    Column("strings (positions) right, by length", _accuracy),
)


def targets(size: Json, result: Json) -> list[Target]:
    return []


def parts(size: Json, result: Json) -> Json:
    return {"rows": table(result["rows"], COLUMNS)}
