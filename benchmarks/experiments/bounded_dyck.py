"""Bounded Dyck languages in two blocks: every K and h, sizes beside the lower bound, words beside a stack."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import product
from math import ceil, log2

import numpy as np
from page.table import Column, Json, milli, table, tenths
from page.targets import Target, every, none
from timings.measure import Measured, Tick, best_of

from scancraft.accuracy import accuracy
from scancraft.automata.bounded_dyck import BoundedDyck
from scancraft.automata.languages import truth_of
from scancraft.automata.words.brackets import live_bracket_word
from scancraft.certify.certify import Certificate, certify
from scancraft.compiler.constructions import dyck

SHOWN_KINDS, SHOWN_DEPTHS = (1, 2, 8, 64), (1, 3, 10, 32)


@dataclass(frozen=True)
class Size:
    """What is compiled and tried."""

    kinds: int = 64  # K from 1 to this
    depths: int = 32  # h from 1 to this
    words: int = 10  # live words per language, half of them climbing
    length: int = 200  # of each
    certified_kinds: tuple[int, ...] = (1, 2, 3, 7, 8, 16, 32, 64)  # the K that are certified
    certified_depths: tuple[int, ...] = (1, 2, 5, 10, 16, 32)  # with these h


FULL = Size()
QUICK = Size(kinds=2, depths=2, words=2, length=20, certified_kinds=(1,), certified_depths=(1,))


def measure(size: Size, tick: Tick) -> Measured:
    rows, proved = [], []
    rng = np.random.default_rng(0)
    total = size.kinds * size.depths
    for kinds, depth in product(range(1, size.kinds + 1), range(1, size.depths + 1)):
        tick(len(rows), total, f"Dyck_{{{kinds},{depth}}}")
        rows.append(_row(kinds, depth, size, rng))
        if kinds in size.certified_kinds and depth in size.certified_depths:
            proved.append(_proved(kinds, depth))
    return Measured(summary(rows, proved), {"rows": rows, "proved": proved})


def summary(rows: list[Json], proved: list[Json]) -> Json:
    """The sums over the grid, the rows that are shown, and of the certificates how many and the slowest."""
    return {
        "languages": len(rows),
        "in_two_blocks": sum(row["blocks"] == 2 for row in rows),
        "positions": sum(row["positions"] for row in rows),
        "wrong": sum(row["wrong"] for row in rows),
        "rows": [row for row in rows if row["kinds"] in SHOWN_KINDS and row["depth"] in SHOWN_DEPTHS],
        "proved": len(proved),
        "proved_everywhere": sum(row["scope"] == "every-implementation" for row in proved),
        "slowest": max(proved, key=lambda row: row["seconds"]),
    }


def _row(kinds: int, depth: int, size: Size, rng: np.random.Generator) -> Json:
    """One language: ``seconds`` to compile it (best of 3), its sizes, and prefixes compared with a stack."""
    language = BoundedDyck(kinds, depth)
    seconds, compiled = best_of(3, lambda: dyck(kinds, depth))
    biases = [0.5 if n % 2 else 0.8 for n in range(size.words)]
    words = [live_bracket_word(language, size.length, rng, bias) for bias in biases]
    found = accuracy(compiled.runner(), truth_of(language), compiled.readout, words)
    shape, entries = compiled.weights.shape, compiled.manifest.state_entries
    memories = compiled.circuit.memories
    assert memories == depth * ceil(log2(kinds + 1)) + 1, "not the memories of theorem 6"
    return {
        "kinds": kinds,
        "depth": depth,
        "blocks": shape.n_layers,
        "d_model": shape.d_model,
        "d_inner": shape.d_inner,
        "parameters": compiled.weights.n_parameters,
        "seconds": seconds,
        "memories": memories,
        "state_entries": entries.used,
        "allocated": entries.allocated,
        "lower_bound": language.lower_bound,
        "positions": found.positions,
        "wrong": found.positions - found.right_positions,
    }


def _proved(kinds: int, depth: int) -> Json:
    started = time.perf_counter()
    found = certify(dyck(kinds, depth))
    row = {"kinds": kinds, "depth": depth, "seconds": time.perf_counter() - started}
    if not isinstance(found, Certificate):
        return row | {"scope": found.verdict, "cases": 0}
    return row | {"scope": found.scope, "cases": found.content["counts"]["readouts"]}


# -- the page --------------------------------------------------------------------------------------------------------

COLUMNS = (
    *(Column("K", "kinds"), Column("h", "depth")),
    *("blocks", "d_model", "d_inner", "parameters"),
    Column("ms", "seconds", milli),
    *("memories", "state entries", "allocated"),
    Column("h log2 K", "lower_bound", tenths),
)


def targets(size: Json, result: Json) -> list[Target]:
    grid = f"K to {size['kinds']}, h to {size['depths']}"
    return [
        every(f"bounded Dyck languages in two blocks, {grid}", result["in_two_blocks"], result["languages"]),
        none("wrong positions beside the stack", result["wrong"], f"of {result['positions']:,}"),
        every("certificates of bounded Dyck languages", result["proved_everywhere"], result["proved"]),
    ]


def parts(size: Json, result: Json) -> Json:
    certified = [", ".join(map(str, size[key])) for key in ("certified_kinds", "certified_depths")]
    return {"rows": table(result["rows"], COLUMNS), "certified": certified, "slowest": result["slowest"]}
