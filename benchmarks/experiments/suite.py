"""The suite of the paper, as ``scancraft suite --check`` runs it, and again with many more words of length 10,000."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from timings.measure import Tick

from scancraft.suite.languages import LANGUAGES
from scancraft.suite.suite import Options, Row, run_suite


@dataclass(frozen=True)
class Size:
    """How much is tried.

    Args:
        languages: how many of the suite, from the end of the list; all if None.
        words: per published range of lengths.
        far_words: of length 10,000, in the timed run.
        many_far_words: of length 10,000, in the second run; 0 for no second run.
        jobs: processes.
    """

    languages: int | None = None
    words: int = 1000
    far_words: int = 100
    many_far_words: int = 1000
    jobs: int = 2


FULL = Size()
QUICK = Size(languages=4, words=4, far_words=2, many_far_words=0, jobs=1)


@dataclass(frozen=True)
class Result:
    """What came of it.

    Attributes:
        rows: one per language, as ``scancraft suite --json`` prints them, with the separate checker's verdicts.
        seconds: wall-clock time of a run with certificates, without length 100,000 and without the checker.
        seconds_farthest: the same with length 100,000.
        many: words and positions tried in the second run, and how many positions were wrong.
    """

    rows: tuple[dict[str, Any], ...]
    seconds: float
    seconds_farthest: float
    many: dict[str, int]


def measure(size: Size, tick: Tick) -> Result:
    chosen = LANGUAGES if size.languages is None else LANGUAGES[-size.languages :]

    def timed(options: Options, what: str) -> tuple[list[Row], float]:
        started = time.perf_counter()
        rows = run_suite(
            options, chosen, lambda done, total, name: tick(done, total, f"{what}: {name}"), jobs=size.jobs
        )
        return rows, time.perf_counter() - started

    full = size.many_far_words > 0
    _, seconds = timed(Options(size.words, size.far_words, farthest=False), "timed")
    _, seconds_farthest = timed(Options(size.words, size.far_words, farthest=full), "with length 100,000")
    rows, _ = timed(Options(size.words, size.far_words, farthest=full, check=True), "checked")
    many = {"words": 0, "positions": 0, "wrong": 0}
    if full:
        options = Options(1, size.many_far_words, farthest=False, certificates=False, seed=1)
        far, _ = timed(options, "length 10,000")
        for score in (row.scores["10,000"] for row in far if row.scores):
            many["words"] += score.words
            many["positions"] += score.positions
            many["wrong"] += score.positions - score.right_positions
    return Result(tuple(row.as_json() for row in rows), seconds, seconds_farthest, many)
