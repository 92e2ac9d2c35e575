"""Which languages can be learned with a proof: ``scancraft train NAME --until certified``, by steps.

    python benchmarks/run.py --only until

Rounds and weights follow from the seed and the steps; verdicts are bounded by seconds, too, so that a slower machine
may leave more of them undecided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from experiments.trained_verdicts import accepted
from page.table import Column, Json, code, table
from page.targets import Target, every
from timings.measure import Measured, Tick

from scancraft.automata.budget import Budget
from scancraft.certify.certify import Certificate
from scancraft.refute.results import Counterexample
from scancraft.suite.languages import Bin, suite_language
from scancraft.training.training import Settings
from scancraft.training.until import Pursuit, train_until_certified

TOMITA = ("Tomita-1", "Tomita-2", "Tomita-4", "Tomita-7")
OTHERS = ("D-2", "D-3", "aa*bb*cc*dd*ee*", "{a,b}*d{b,c}*", "{0,1,2}*02*", "Flip-flop")


@dataclass(frozen=True)
class Size:
    """What is trained, and for how long."""

    names: tuple[str, ...] = (*TOMITA, *OTHERS)  # star-free languages of the suite
    layers: tuple[int, ...] = (1,)  # blocks
    seeds: int = 1
    d_model: int = 16
    words: int = 2_000  # that are learned from at first
    longest: int = 50  # letters of one
    steps: int = 200  # of the first round
    rounds: int = 5
    events: int = 20_000  # of each verdict
    seconds: float = 60.0  # of each verdict


FULL = Size()
QUICK = Size(names=("Tomita-1",), words=200, longest=10, steps=3, rounds=1, events=500)


def measure(size: Size, tick: Tick) -> Measured:
    """A row for each language, number of blocks and seed."""
    runs = [(name, layers, seed) for name in size.names for layers in size.layers for seed in range(size.seeds)]
    rows = []
    for n, (name, layers, seed) in enumerate(runs):
        tick(n, len(runs), f"{name}, {layers} blocks")
        rows.append({"name": name, "layers": layers, "seed": seed, **_row(name, layers, seed, size)})
    return Measured({"rows": rows}, {"rows": rows})


def _row(name: str, layers: int, seed: int, size: Size) -> Json:
    language = suite_language(name)
    found = train_until_certified(
        language.language,
        round_steps=size.steps,
        rounds=size.rounds,
        bins=(Bin(1, size.longest),),
        seed=seed,
        settings=Settings(layers=layers, d_model=size.d_model, words=size.words),
        test_words=20,
        judged=Budget(size.events, size.seconds),
    )
    verdict = found.verdict
    return {
        "rounds": [_round(one.as_json()) for one in found.rounds],
        "verdict": verdict.verdict,
        "margin": verdict.margin if isinstance(verdict, Certificate) else None,
        "first": verdict.content["first"] if isinstance(verdict, Counterexample) else None,
        "for ever": isinstance(verdict, Counterexample) and verdict.content["N"] is not None,
        "checked": _checked(found),
    }


def _round(row: dict[str, Any]) -> Json:
    """A round without its word, which may be long."""
    word = row.pop("word")
    return row | {"length": None if word is None else len(word)}


def _checked(found: Pursuit) -> bool | None:
    """Whether the verdict stands when it is looked at once more; None where nothing was found."""
    with TemporaryDirectory() as place:
        found.trained.save(place)
        return accepted(found.verdict, Path(place))


# -- the page --------------------------------------------------------------------------------------------------------


def _course(row: Json) -> str:
    lengths = [one["length"] for one in row["rounds"]]
    return ", ".join("-" if length is None else f"{length:,}" for length in lengths)


def _end(row: Json) -> str:
    if row["verdict"] == "certified":
        return f"certified, margin {row['margin']:.2g}"
    pattern = "" if row["first"] is None else f", x w^n y from n = {row['first']:,} on"
    return f"{row['verdict']}{pattern}{' for ever' if row['for ever'] else ''}"


COLUMNS = (
    Column("language", "name", code),
    Column("blocks", "layers"),
    Column("steps", lambda row: row["rounds"][-1]["steps"]),
    Column("wrong at length, round by round", _course),
    Column("in the end", _end),
)


def targets(size: Json, result: Json) -> list[Target]:
    """Every claim is accepted by its checker."""
    judged: Sequence[bool] = [row["checked"] for row in result["rows"] if row["checked"] is not None]
    return [every("verdicts of trained models that their checkers accept", sum(judged), len(judged))]


def parts(size: Json, result: Json) -> Json:
    """For the page."""
    rows = result["rows"]
    return {
        "rows": table(rows, COLUMNS),
        "certified": sum(row["verdict"] == "certified" for row in rows),
        "all": len(rows),
    }
