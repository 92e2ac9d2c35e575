"""D_n by one counter beside its cascade: blocks, parameters, certificates, and long words whose tails are dead."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from page.table import Column, Json, table
from page.targets import Target, every, none
from timings.measure import Measured, Tick, best_of

import scancraft
from scancraft.accuracy import accuracy
from scancraft.automata.dfa import Dfa
from scancraft.automata.families import d_n
from scancraft.automata.languages import truth_of
from scancraft.automata.words.mixtures import mixture_of
from scancraft.certify.certify import Certificate, certify
from scancraft.compiler.constructions import walk

CONTRACTS = ("all-words", "live-prefixes")


@dataclass(frozen=True)
class Size:
    """What is compiled and tried."""

    depths: tuple[int, ...] = (*range(1, 13), 16, 24, 32, 48, 64, 96, 128)
    cascade_to: int = 12  # by the cascade up to this depth
    words: int = 40  # per language and contract: half of them members, and as many that die and go on
    length: int = 2_000  # of each


FULL = Size()
QUICK = Size(depths=(1, 3), cascade_to=1, words=4, length=40)


def measure(size: Size, tick: Tick) -> Measured:
    rows = []
    for n, depth in enumerate(size.depths):
        tick(n, len(size.depths), f"D-{depth}")
        rows.append(_row(depth, size))
    return Measured(summary(rows), {"rows": rows})


def summary(rows: list[Json]) -> Json:
    """The rows, and over all of them what was certified and what was wrong."""
    scopes = [row[f"{contract} scope"] for row in rows for contract in CONTRACTS]
    return {
        "rows": rows,
        "languages": len(rows),
        "within": sum(row["all-words blocks"] <= 3 and row["live-prefixes blocks"] <= 2 for row in rows),
        "certificates": len(scopes),
        "everywhere": scopes.count("every-implementation"),
        "positions": sum(row["positions"] for row in rows),
        "wrong": sum(row["wrong"] for row in rows),
    }


def _row(depth: int, size: Size) -> Json:
    language = d_n(depth)
    row: Json = {"n": depth, "states": language.n_states, "positions": 0, "wrong": 0}
    for contract in CONTRACTS:
        seconds, compiled = best_of(3, lambda contract=contract: walk(language, contract=contract))
        row |= _of(contract, compiled, seconds)
        words = _words(language, size)
        found = accuracy(compiled.runner(), truth_of(language), compiled.readout, words)
        row["positions"] += found.positions
        row["wrong"] += found.positions - found.right_positions
    if depth <= size.cascade_to:
        seconds, by_cascade = best_of(1, lambda: scancraft.compile(language, construction="cascade"))
        return row | _of("cascade", by_cascade, seconds)
    return row | dict.fromkeys(f"cascade {key}" for key in ("blocks", "parameters", "seconds", "scope", "certify"))


def _of(name: str, compiled: Any, seconds: float) -> Json:
    """Sizes, how long compiling took, and the certificate."""
    started = time.perf_counter()
    found = certify(compiled)
    facts = {
        "blocks": compiled.weights.shape.n_layers,
        "parameters": compiled.weights.n_parameters,
        "seconds": seconds,
        "scope": found.scope if isinstance(found, Certificate) else found.verdict,
        "certify": time.perf_counter() - started,
    }
    return {f"{name} {key}": value for key, value in facts.items()}


def _words(language: Dfa, size: Size) -> list[tuple[str, ...]]:
    """Members, near misses and arbitrary words; and words that die early and wander on, or run off and come back."""
    rng = np.random.default_rng(0)
    words: list[tuple[str, ...]] = mixture_of(language, size.words, size.length // 2, size.length, rng)
    for n in range(size.words):
        up, down = ("a", "b") if n % 2 else ("b", "a")
        tail = rng.choice(["a", "b"], size.length // 2).tolist()
        run = size.length // 4
        words.append((*("a" * (n % 3)), *([up] * run), *([down] * run), *tail))
    return words


# -- the page --------------------------------------------------------------------------------------------------------

COLUMNS = (
    *("n", "states"),
    Column("blocks, all words", "all-words blocks", target=lambda blocks: blocks <= 3),
    Column("live", "live-prefixes blocks", target=lambda blocks: blocks <= 2),
    Column("cascade", "cascade blocks"),
    Column("parameters, all words", "all-words parameters"),
    Column("live ", "live-prefixes parameters"),
    Column("cascade ", "cascade parameters"),
    Column("certified in s, all words", "all-words certify"),
    Column("live  ", "live-prefixes certify"),
    Column("cascade  ", "cascade certify"),
)


def targets(size: Json, result: Json) -> list[Target]:
    return [
        every("D_n: at most 3 blocks for all words, 2 on live prefixes", result["within"], result["languages"]),
        every("D_n by a counter, certified everywhere", result["everywhere"], result["certificates"]),
        none("D_n: wrong positions, long dead tails included", result["wrong"], f"of {result['positions']:,}"),
    ]


def parts(size: Json, result: Json) -> Json:
    positions = f"{result['positions']:,}"
    return {"rows": table(result["rows"], COLUMNS), "positions": positions, "cascade": size["cascade_to"]}
