"""Certificates of compiled models: verdict, transitions checked, seconds, peak memory."""

from __future__ import annotations

import ctypes
import gc
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from page.table import Column, Json, code, spread, table, tenths
from page.targets import Target, below, every
from timings.measure import Measured, Tick, each, star_free_suite
from timings.measure import spread as spread_of
from timings.random_dfas import star_free_dfas

import scancraft
from scancraft.automata.dfa import Dfa
from scancraft.compiler.compiled import Compiled

MEDIAN_SECONDS, MOST_SECONDS = 1.0, 20.0
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Size:
    """How much is certified."""

    most_states: int = 20  # languages of the suite with more states are left out
    states: tuple[int, ...] = tuple(range(3, 13))  # of the random languages
    seeds: int = 25  # random languages per generator and number of states


FULL = Size()
QUICK = Size(most_states=2, states=(4,), seeds=1)


@dataclass(frozen=True)
class Built(Compiled):
    """A compiled language whose model has been built, so that certifying is timed alone."""

    built: Any = None

    def model(self, dtype: torch.dtype | None = None) -> Any:
        return self.built


def measure(size: Size, tick: Tick) -> Measured:
    named = [(name, "suite", dfa.n_states, dfa) for name, dfa in star_free_suite(size.most_states)]
    _certify("warm-up", named[0][3])
    suite: list[Json] = []
    random: list[Json] = []
    for name, group, _, dfa in each([*named, *star_free_dfas(size.states, size.seeds)], tick):
        (suite if group == "suite" else random).extend(_certify(name, dfa))
    groups = [
        _group(str(states), dtype, [row for row in random if row["states"] == states and row["dtype"] == dtype])
        for states in size.states
        for dtype in DTYPES
    ]
    everything = [*suite, *random]
    total = _group("all, with the suite", "both", everything)
    slowest = max(everything, key=lambda row: row["seconds"])
    summary = {"suite": suite, "random": groups, "total": total, "slowest": slowest}
    return Measured(summary, {"random": random})


def _certify(name: str, dfa: Dfa) -> list[Json]:
    """A row per dtype.

    ``transitions`` are those that the certificate lists, over all stages; ``seconds`` those of ``scancraft.certify``
    with the model built beforehand; ``mebibytes`` the greatest resident memory of the whole process meanwhile, ``rise``
    by how much that is above what it held just before (None where the system does not tell).
    """
    compiled = scancraft.compile(dfa)
    rows = []
    for dtype, kind in DTYPES.items():
        built = Built(**vars(compiled), built=compiled.model(kind))
        before = reset_peak()
        verdict = scancraft.certify(built)
        after = peak_kibibytes()
        content = verdict.content if isinstance(verdict, scancraft.Certificate) else {}
        row = {"language": name, "states": dfa.n_states, "letters": len(dfa.alphabet)}
        row |= {"blocks": compiled.weights.shape.n_layers, "parameters": compiled.weights.n_parameters, "dtype": dtype}
        row |= {"certified": verdict.verdict == "certified"}
        row |= {"everywhere": content.get("scope") == "every-implementation"}
        row |= {"by_blocks": content.get("method") == "block by block"}
        row |= {"transitions": content["counts"]["transitions"] if content else 0, "seconds": verdict.seconds}
        row |= {"mebibytes": None if after is None else after / 1024}
        rows.append(row | {"rise": None if before is None or after is None else (after - before) / 1024})
    return rows


def _group(states: str, dtype: str, rows: list[Json]) -> Json:
    """Models of one number of states and one dtype."""
    group: Json = {"states": states, "dtype": dtype, "models": len(rows)}
    group |= {key: sum(row[key] for row in rows) for key in ("certified", "everywhere", "by_blocks")}
    for key in ("parameters", "transitions", "seconds", "mebibytes", "rise"):
        known = [row[key] for row in rows if row[key] is not None]
        group[key] = spread_of(known) if known else None
    return group


# -- memory ----------------------------------------------------------------------------------------------------------

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def reset_peak() -> int | None:
    """Give free memory back, set the process's peak of resident memory to what it holds now, and return that, in KiB.

    None where the system (any but Linux) cannot do that.
    """
    gc.collect()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        CLEAR.write_text("5", encoding="ascii")
    except OSError:
        return None
    return peak_kibibytes()


def peak_kibibytes() -> int | None:
    """The greatest resident memory since the last reset, in KiB."""
    if not STATUS.is_file():
        return None
    peaks = [line.split()[1] for line in STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM")]
    return int(peaks[0]) if peaks else None


# -- the page --------------------------------------------------------------------------------------------------------


def _verdict(row: Json) -> str:
    if not row["certified"]:
        return "**not certified**"
    return "certified, every" if row["everywhere"] else "certified, **step only**"


def _mebibytes(values: Json) -> str:
    return spread(values, tenths)


SUITE_COLUMNS = (
    Column("language", show=code),
    *("dtype", "states", "letters", "blocks", "parameters"),
    Column("verdict", _verdict),
    *("transitions", "seconds"),
    Column("peak MiB", "mebibytes", tenths),
    Column("rise", show=tenths),
)
GROUP_COLUMNS = (
    *("states", "dtype", "models", "certified"),
    Column("every implementation", "everywhere"),
    Column("block by block", "by_blocks"),
    *("parameters", "transitions", "seconds"),
    Column("peak MiB", "mebibytes", _mebibytes),
    Column("rise", show=_mebibytes),
)


def targets(size: Json, result: Json) -> list[Target]:
    total, slowest = result["total"], result["slowest"]
    what = "compiled models in float32 and bfloat16 certified for every implementation"
    note = f"{slowest['language']}, {slowest['dtype']}"
    return [
        every(what, min(total["certified"], total["everywhere"]), total["models"]),
        below("seconds per certificate, median", total["seconds"]["median"], MEDIAN_SECONDS, "s"),
        below("seconds per certificate, slowest", total["seconds"]["most"], MOST_SECONDS, "s", note),
    ]


def parts(size: Json, result: Json) -> Json:
    random = table((*result["random"], result["total"]), GROUP_COLUMNS)
    return {"suite": table(result["suite"], SUITE_COLUMNS), "random": random, "slowest": result["slowest"]}
