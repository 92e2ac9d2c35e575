"""The probes with the words on which they are tried, from the simple to the composed."""

from __future__ import annotations

import numpy as np

from . import library
from .kinds.kind import Kind
from .posed import APART, CHUNKS, Posed, random_words
from .probe import BOS, Probe

QUICK_EDGES, FULL_EDGES = 140, 530
"""Tokens of the words in which memory is written near the boundaries of chunks."""


def simple_probes() -> tuple[Posed, ...]:
    """Those on short words, the same for all kinds."""
    return (
        _random("embedding", "embedding, norms, head", library.embedding(), 4, 12),
        _random("paths", "the way through a block, on constants and features", library.paths(), 2, 8),
        *(_beginning("a", f"taps-{k}", f"conv1d, {k} taps, of x", library.taps(k), 24) for k in (2, 3, 4)),
        _random("gates", "in_proj halves, gate, out_proj", library.gates(), 3, 16),
        _random("skips", "D", library.skips(), 3, 12),
        _beginning("b", "memory", "Delta, A, and constant B and C", library.memory(), 24),
        *(_beginning("a", f"entries-{k}", f"conv1d, {k} taps, of B and C", library.entries(k), 48) for k in (2, 3, 4)),
        _random("registers", "hold, overwrite, add; Delta, its bias and softplus", library.registers(), 4, 40),
        _epsilon(),
    )


def longer_probes(of: Kind, quick: bool) -> tuple[Posed, ...]:
    """Those whose sizes and lengths depend on the kind of block."""
    size = 0 if quick else 1
    return (
        *(_state(n, of) for n in of.states[size]),
        _random("recall", "B and C that depend on the token", library.recall(), 4, 48),
        _sums(),
        _random("stack", "three blocks in order, each with its own state", library.stack(), 4, 40),
        _boundaries(FULL_EDGES if size else QUICK_EDGES, of.grid),
        _lengths(quick),
        _long(of.hold[size]),
        *([_long_prefill(of.prefill)] if size and of.prefill else []),
    )


def _random(name: str, exercises: str, probe: Probe, rows: int, length: int) -> Posed:
    return Posed(name, exercises, probe, random_words(probe, rows, length, seed=len(name)))


def _beginning(first: str, name: str, exercises: str, probe: Probe, length: int) -> Posed:
    """Every word begins with a certain letter: one that all taps must find, or that tells norms apart."""
    words = random_words(probe, 4, length, probe.d_conv, {"a": 6})
    words[:, 0] = probe.ids[first]
    return Posed(name, exercises, probe, words)


def _epsilon() -> Posed:
    probe = library.epsilon()
    rows = [[BOS, *["-"] * i, "set", *["-"] * (j - i), "tiny", *["-"] * (12 - j)] for i, j in ((0, 0), (1, 4), (3, 9))]
    return Posed("epsilon", "epsilon of RMSNorm", probe, probe.encoded(rows), APART)


def _state(n: int, of: Kind) -> Posed:
    """Words that write, hold and read every entry: after w1, after w2, and after both."""
    probe = library.state(n, of.apart)
    reads = [f"r{i}" for i in range(n)]
    rows = [
        [BOS, first, "-", *reads, second, *reversed(reads), "-"]
        for first, second in (("w1", "w2"), ("w2", "w1"), ("w1", "w1"))
    ]
    modes = None if n <= 16 else ("full", "cached", "continued")
    splits = None if n <= 16 else (2, 3 + n // 2, 3 + n, 4 + n)
    exercises = f"every entry of d_state = {n}: A, B and C"
    return Posed(f"state-{n}", exercises, probe, probe.encoded(rows), modes, splits)


def _sums() -> Posed:
    probe = library.sums()
    words = random_words(probe, 2, 100, 5, {"++": 20, BOS: 0})
    exercises = "precision of the state, of y and of the head (17 bits)"
    return Posed("sums", exercises, probe, words, splits=(63, 64, 96))


def _boundaries(length: int, grid: int) -> Posed:
    """A register written once, at every position near the boundaries of chunks, and sums that grow at every step."""
    probe = library.edges()
    ids = probe.ids
    near = {p + d for p in (32, *range(grid, length - 2, grid)) for d in (-1, 0, 1)}
    positions = sorted({*range(36), *near} & set(range(length - 1)))
    words = np.full((len(positions), length), ids["add"], dtype=np.int64)
    words[:, ::7] = ids["-"]
    words[: len(positions) // 2, ::2] = ids["hold"]
    words[np.arange(len(positions)), positions] = ids["0:=2"]
    around = tuple(p + d for p in (16, 32, 64, 128, 256, 512) if p < length for d in (-1, 0, 1))
    exercises = "memory written just before, at and after positions that may be boundaries of chunks"
    return Posed("boundaries", exercises, probe, words, CHUNKS, around)


def _lengths(quick: bool) -> Posed:
    """Sums and registers, read at the end of words of many lengths (the splits)."""
    probe = library.registers(2)
    tokens = {"add": 6, "0:=1": 2, "1:=2": 2, "-": 1, "hold": 1}
    words = random_words(probe, 3, 70 if quick else 262, 11, {BOS: 0} | tokens)
    splits = tuple(range(1, 35)) if quick else (*range(1, 36), 63, 64, 65, 127, 128, 129, 255, 256, 257)
    modes = (*CHUNKS, "padded", "interleaved")
    return Posed("lengths", "prefills of every length, packed documents of every length", probe, words, modes, splits)


def _long_prefill(length: int) -> Posed:
    """The CUDA selective scan takes chunks of 2,048 tokens."""
    probe = library.registers(2)
    words = random_words(probe, 2, length, 13, {BOS: 0, "add": 6, "0:=1": 1, "1:=2": 1, "-": 1, "hold": 1})
    around = (1023, 1024, 1025, 2047, 2048, 2049)
    exercises = "prefills longer than a kernel's chunk of 1,024 or 2,048 tokens"
    return Posed("long-prefill", exercises, probe, words, ("full", "cached", "continued"), around)


def _long(length: int) -> Posed:
    probe = library.edges()
    ids = probe.ids
    word = np.full((1, length), ids["-"], dtype=np.int64)
    word[0, 1:4] = ids["0:=2"], ids["add"], ids["hold"]
    word[0, 3:-1:2] = ids["hold"]
    word[0, [length // 2, -2]] = ids["add"]
    return Posed("long-hold", f"memories held for {length:,} steps", probe, word, ("full",))
