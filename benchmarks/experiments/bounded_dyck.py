"""Bounded Dyck languages in two blocks: every K and h, sizes beside the lower bound, words beside a stack."""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import ceil, log2

import numpy as np
from timings.measure import Tick, best_of

from scancraft.accuracy import accuracy
from scancraft.automata.bounded_dyck import BoundedDyck
from scancraft.automata.languages import truth_of
from scancraft.automata.words.brackets import live_bracket_word
from scancraft.certify.certify import Certificate, certify
from scancraft.compiler.constructions import dyck

SHOWN_KINDS, SHOWN_DEPTHS = (1, 2, 8, 64), (2, 3, 10, 32)


@dataclass(frozen=True)
class Size:
    """What is compiled and tried.

    Args:
        kinds: K from 1 to this.
        depths: h from 1 to this.
        words: live words per language, half of them climbing.
        length: of each.
        certified_kinds: the K that are certified.
        certified_depths: with these h.
    """

    kinds: int = 64
    depths: int = 32
    words: int = 10
    length: int = 200
    certified_kinds: tuple[int, ...] = (1, 2, 3, 7, 8, 16, 32, 64)
    certified_depths: tuple[int, ...] = (1, 2, 5, 10, 16, 32)


FULL = Size()
QUICK = Size(kinds=3, depths=3, words=2, length=20, certified_kinds=(1, 2), certified_depths=(1, 2))


@dataclass(frozen=True)
class Row:
    """One language.

    Attributes:
        seconds: to compile, best of 3.
        memories: different memories.
        state_entries: entries of the SSM state that hold them.
        allocated: all entries of the SSM state.
        lower_bound: h log2 K bits.
        positions: prefixes compared with the stack.
        wrong: of these, wrong.
    """

    kinds: int
    depth: int
    blocks: int
    d_model: int
    d_inner: int
    parameters: int
    seconds: float
    memories: int
    state_entries: int
    allocated: int
    lower_bound: float
    positions: int
    wrong: int


@dataclass(frozen=True)
class Proved:
    """One certificate."""

    kinds: int
    depth: int
    scope: str
    cases: int
    seconds: float


@dataclass(frozen=True)
class Result:
    """What came of the grid.

    Attributes:
        languages: how many there are.
        in_two_blocks: of these, compiled to two blocks.
        positions: prefixes compared with the stack, over all of them.
        wrong: of these, wrong.
        rows: those with one of the shown K or h.
        proved: the certificates.
    """

    languages: int
    in_two_blocks: int
    positions: int
    wrong: int
    rows: tuple[Row, ...]
    proved: tuple[Proved, ...]


def measure(size: Size, tick: Tick) -> Result:
    rows, proved = [], []
    rng = np.random.default_rng(0)
    total = size.kinds * size.depths
    for kinds in range(1, size.kinds + 1):
        for depth in range(1, size.depths + 1):
            tick(len(rows), total, f"Dyck_{{{kinds},{depth}}}")
            rows.append(_row(kinds, depth, size, rng))
            if kinds in size.certified_kinds and depth in size.certified_depths:
                proved.append(_proved(kinds, depth))
    shown = tuple(row for row in rows if row.kinds in SHOWN_KINDS or row.depth in SHOWN_DEPTHS)
    positions, wrong = sum(row.positions for row in rows), sum(row.wrong for row in rows)
    return Result(len(rows), sum(row.blocks == 2 for row in rows), positions, wrong, shown, tuple(proved))


def _row(kinds: int, depth: int, size: Size, rng: np.random.Generator) -> Row:
    language = BoundedDyck(kinds, depth)
    seconds, compiled = best_of(3, lambda: dyck(kinds, depth))
    biases = [0.5 if n % 2 else 0.8 for n in range(size.words)]
    words = [live_bracket_word(language, size.length, rng, bias) for bias in biases]
    found = accuracy(compiled.runner(), truth_of(language), compiled.readout, words)
    shape, entries = compiled.weights.shape, compiled.manifest["state_entries"]
    memories = compiled.circuit.memories
    assert memories == depth * ceil(log2(kinds + 1)) + 1, "not the memories of theorem 6"
    return Row(
        kinds,
        depth,
        shape.n_layers,
        shape.d_model,
        shape.d_inner,
        compiled.weights.n_parameters,
        seconds,
        memories,
        entries["used"],
        entries["allocated"],
        language.lower_bound,
        found.positions,
        found.positions - found.right_positions,
    )


def _proved(kinds: int, depth: int) -> Proved:
    started = time.perf_counter()
    found = certify(dyck(kinds, depth))
    seconds = time.perf_counter() - started
    if not isinstance(found, Certificate):
        return Proved(kinds, depth, found.verdict, 0, seconds)
    return Proved(kinds, depth, found.scope, found.content["counts"]["readouts"], seconds)
