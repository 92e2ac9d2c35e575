"""The search for a certificate beside the check of the saved one, in one run."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from experiments.certificates import DTYPES
from page.table import Column, Json, code, table
from page.targets import Target, every
from timings.measure import Measured, Tick, best_of, each, star_free_suite
from timings.random_dfas import STAR_FREE, random_dfa

import scancraft
from scancraft.certify.checker.certificate import check_certificate


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    most_states: int = 20  # languages of the suite with more states are left out
    states: tuple[int, ...] = (6, 9, 12)  # of the random languages, one per generator and number of states
    repeats: int = 3  # runs of which the fastest counts


FULL = Size()
QUICK = Size(most_states=2, states=(4,), repeats=1)


def measure(size: Size, tick: Tick) -> Measured:
    random = ((f"{g}, {n} states, seed 0", random_dfa(g, n, 2, 0)) for n in size.states for g in STAR_FREE)
    rows = []
    for name, dfa in each([*star_free_suite(size.most_states), *random], tick):
        with tempfile.TemporaryDirectory() as folder:
            place = scancraft.compile(dfa).save(Path(folder) / "model")
            rows += [_row(name, place, dtype, size.repeats) for dtype in DTYPES]
    return Measured({"rows": rows})


def _row(name: str, place: Path, dtype: str, repeats: int) -> Json:
    """Seconds of ``scancraft.certify`` on the directory, and of ``check_certificate``; both load the weights."""
    search, verdict = best_of(repeats, lambda: scancraft.certify(place, dtype=DTYPES[dtype]))
    assert isinstance(verdict, scancraft.Certificate), f"{name}: {verdict}"
    verdict.save(place)
    check, report = best_of(repeats, lambda: check_certificate(place))
    row = {"language": name, "dtype": dtype, "transitions": verdict.content["counts"]["transitions"]}
    return row | {"search": search, "check": check, "accepted": report.accepted}


# -- the page --------------------------------------------------------------------------------------------------------

ROWS = (
    Column("language", show=code),
    *("dtype", "transitions"),
    Column("search s", "search"),
    Column("check s", "check"),
    Column("ratio", lambda row: row["check"] / row["search"]),
    "accepted",
)


def targets(size: Json, result: Json) -> list[Target]:
    rows = result["rows"]
    faster = sum(row["check"] < row["search"] for row in rows)
    return [
        every("saved certificates that the checker accepts", sum(row["accepted"] for row in rows), len(rows)),
        every("checks that take less time than the search", faster, len(rows)),
    ]


def parts(size: Json, result: Json) -> Json:
    return {"rows": table(result["rows"], ROWS)}
