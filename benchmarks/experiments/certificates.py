"""Certificates of compiled models: verdict, transitions checked, seconds, peak memory."""

from __future__ import annotations

import ctypes
import gc
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from timings.measure import Tick
from timings.random_dfas import STAR_FREE, random_dfa

import scancraft
from scancraft.automata.dfa import Dfa
from scancraft.automata.families import SUITE
from scancraft.compiler.compile import Compiled

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Size:
    """How much is certified.

    Args:
        most_states: languages of the suite with more states are left out.
        states: of the random languages.
        seeds: random languages per generator and number of states.
    """

    most_states: int = 20
    states: tuple[int, ...] = tuple(range(3, 13))
    seeds: int = 25


FULL = Size()
QUICK = Size(most_states=4, states=(4,), seeds=2)


@dataclass(frozen=True)
class Row:
    """One model.

    Attributes:
        certified: whether the verdict is "certified".
        everywhere: whether its scope is "every-implementation".
        transitions: that the certificate lists, over all stages; 0 without one.
        seconds: of ``scancraft.certify``, with the model built beforehand.
        mebibytes: the greatest resident memory of the whole process meanwhile (Python, torch, the model and all);
            None where the system does not tell.
        rise: by how much that is above what it held just before.
    """

    language: str
    states: int
    letters: int
    blocks: int
    parameters: int
    dtype: str
    certified: bool
    everywhere: bool
    by_blocks: bool
    transitions: int
    seconds: float
    mebibytes: float | None
    rise: float | None


@dataclass(frozen=True)
class Spread:
    """Median and greatest value."""

    median: float
    most: float


@dataclass(frozen=True)
class Group:
    """Models of one number of states and one dtype."""

    states: str
    dtype: str
    models: int
    certified: int
    everywhere: int
    by_blocks: int
    parameters: Spread
    transitions: Spread
    seconds: Spread
    mebibytes: Spread | None
    rise: Spread | None


@dataclass(frozen=True)
class Result:
    """``suite``: per model; ``random``: per number of states; ``total``: of everything."""

    suite: tuple[Row, ...]
    random: tuple[Group, ...]
    total: Group
    slowest: Row


@dataclass(frozen=True)
class Built(Compiled):
    """A compiled language whose model has been built, so that certifying is timed alone."""

    built: Any

    def model(self, dtype: torch.dtype | None = None) -> Any:
        return self.built


def measure(size: Size, tick: Tick) -> Result:
    named = [(language.name, language.build()) for language in SUITE if language.star_free]
    named = [entry for entry in named if entry[1].n_states <= size.most_states]
    seeds = [(generator, seed) for generator in STAR_FREE for seed in range(size.seeds)]
    steps = len(named) + len(size.states) * len(seeds)
    _certify("warm-up", named[0][1])
    suite: list[Row] = []
    for done, (name, dfa) in enumerate(named):
        tick(done, steps, name)
        suite += _certify(name, dfa)
    random: list[Row] = []
    for n, states in enumerate(size.states):
        for i, (generator, seed) in enumerate(seeds):
            name = f"{generator}, {states} states, seed {seed}"
            tick(len(named) + n * len(seeds) + i, steps, name)
            random += _certify(name, random_dfa(generator, states, 2 + seed % 2, seed))
    groups = [
        _group(str(states), dtype, [row for row in random if row.states == states and row.dtype == dtype])
        for states in size.states
        for dtype in DTYPES
    ]
    everything = [*suite, *random]
    total = _group("all, with the suite", "both", everything)
    return Result(tuple(suite), tuple(groups), total, max(everything, key=lambda row: row.seconds))


def _certify(name: str, dfa: Dfa) -> list[Row]:
    compiled = scancraft.compile(dfa)
    rows = []
    for dtype, kind in DTYPES.items():
        built = Built(**vars(compiled), built=compiled.model(kind))
        before = reset_peak()
        verdict = scancraft.certify(built)
        after = peak_kibibytes()
        certified = verdict.verdict == "certified"
        content = verdict.content if isinstance(verdict, scancraft.Certificate) else {}
        rows.append(
            Row(
                name,
                dfa.n_states,
                len(dfa.alphabet),
                compiled.weights.shape.n_layers,
                compiled.weights.n_parameters,
                dtype,
                certified,
                content.get("scope") == "every-implementation",
                content.get("method") == "block by block",
                content["counts"]["transitions"] if certified else 0,
                verdict.seconds,
                None if after is None else after / 1024,
                None if before is None or after is None else (after - before) / 1024,
            )
        )
    return rows


def _group(states: str, dtype: str, rows: list[Row]) -> Group:
    def spread(values: list[float]) -> Spread:
        return Spread(median(values), max(values))

    def known(values: list[float | None]) -> Spread | None:
        told = [value for value in values if value is not None]
        return spread(told) if told else None

    return Group(
        states,
        dtype,
        len(rows),
        sum(row.certified for row in rows),
        sum(row.everywhere for row in rows),
        sum(row.by_blocks for row in rows),
        spread([row.parameters for row in rows]),
        spread([row.transitions for row in rows]),
        spread([row.seconds for row in rows]),
        known([row.mebibytes for row in rows]),
        known([row.rise for row in rows]),
    )


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
