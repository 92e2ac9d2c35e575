"""The search for a certificate beside the check of the saved one, in one run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from experiments.certificates import DTYPES
from timings.measure import Tick
from timings.random_dfas import STAR_FREE, random_dfa

import scancraft
from scancraft.automata.families import SUITE
from scancraft.certify.checker.certificate import check_certificate


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Args:
        most_states: languages of the suite with more states are left out.
        states: of the random languages, one per generator and number of states.
        repeats: runs of which the fastest counts.
    """

    most_states: int = 20
    states: tuple[int, ...] = (6, 9, 12)
    repeats: int = 3


FULL = Size()
QUICK = Size(most_states=3, states=(4,), repeats=1)


@dataclass(frozen=True)
class Row:
    """One checkpoint in one dtype; both times include loading its weights.

    Attributes:
        search: seconds of ``scancraft.certify`` on the directory.
        check: seconds of ``check_certificate`` on it.
        accepted: whether the checker accepts the certificate.
    """

    language: str
    dtype: str
    transitions: int
    search: float
    check: float
    accepted: bool


@dataclass(frozen=True)
class Result:
    """Every row."""

    rows: tuple[Row, ...]


def measure(size: Size, tick: Tick) -> Result:
    named = [(entry.name, entry.build()) for entry in SUITE if entry.star_free]
    named = [entry for entry in named if entry[1].n_states <= size.most_states]
    named += [(f"{g}, {n} states, seed 0", random_dfa(g, n, 2, 0)) for n in size.states for g in STAR_FREE]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for done, (name, dfa) in enumerate(named):
            tick(done, len(named), name)
            place = scancraft.compile(dfa).save(Path(folder) / str(done))
            rows += [_row(name, place, dtype, size.repeats) for dtype in DTYPES]
    return Result(tuple(rows))


def _row(name: str, place: Path, dtype: str, repeats: int) -> Row:
    format_: torch.dtype = DTYPES[dtype]
    verdict = scancraft.certify(place, dtype=format_)
    assert isinstance(verdict, scancraft.Certificate), f"{name}: {verdict}"
    verdict.save(place)
    search = _fastest(lambda: scancraft.certify(place, dtype=format_), repeats)
    check = _fastest(lambda: check_certificate(place), repeats)
    accepted = check_certificate(place).accepted
    return Row(name, dtype, verdict.content["counts"]["transitions"], search, check, accepted)


def _fastest(run: Callable[[], object], repeats: int) -> float:
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - started)
    return best
