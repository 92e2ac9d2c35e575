"""The conformance cases of Mamba-2: each probe, with the words on which it is tried."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from ..models.mamba2 import Mamba2Weights
from .case import Case, Expected
from .probes import mamba2 as probes
from .probes import mamba2_compared as compared
from .probes.mamba import random_words
from .probes.probe import BOS, CONSTANT, Ints, Probe, places
from .probes.probe_case import probe_case
from .probes.probe_mamba2 import Mamba2Probe, evaluate, weights_of

QUICK_LONG, FULL_LONG = 600, 3_000
"""Words of the probe of long holds. transformers takes memory quadratic in the number of chunks."""

APART = ("full", "step", "cached", "interleaved", "continued", "padded")
"""Without packed documents: sums of Delta A over a chunk may then take in several that are not exact."""


@cache
def cases(quick: bool) -> tuple[Case, ...]:
    """The probes with the words on which they are tried, from the simple to the composed.

    Args:
        quick: a subset that takes seconds.
    """
    found = [
        _random("embedding", "embedding, norms, head", probes.embedding(), 4, 12),
        _random("paths", "the way through a block, on constants", probes.paths(), 2, 8),
        *(_taps(f"taps-{k}", f"conv1d, {k} taps, of x", probes.taps(k), 24) for k in (2, 3, 4)),
        _random("gates", "z and x of in_proj, gate, out_proj", probes.gates(), 3, 16),
        _random("skips", "D of every head", probes.skips(), 3, 12),
        _random("memory", "Delta, A, and constant B and C", probes.memory(), 3, 24),
        *(_taps(f"entries-{k}", f"conv1d, {k} taps, of B and C", probes.entries(k), 48) for k in (2, 3, 4)),
        _random("registers", "heads: hold, overwrite, add; Delta, dt_bias and softplus", probes.registers(), 4, 40),
        _epsilon(),
        _decay(),
        *(_state(n) for n in ((4, 16) if quick else (4, 8, 16, 64, 128))),
        _random("recall", "B and C that depend on the token", probes.recall(), 4, 48),
        _sums(),
        _random("stack", "three blocks in order, each with its own state", probes.stack(), 4, 40),
        _boundaries(quick),
        _lengths(quick),
        _long(QUICK_LONG if quick else FULL_LONG),
    ]
    return tuple(found)


def _random(name: str, exercises: str, probe: Mamba2Probe, rows: int, length: int) -> Case:
    return _case(name, exercises, probe, random_words(probe, rows, length, seed=len(name)))


def _rows(probe: Mamba2Probe, rows: list[list[str]]) -> Ints:
    return np.array([[probe.ids[t] for t in row] for row in rows], dtype=np.int64)


def _taps(name: str, exercises: str, probe: Mamba2Probe, length: int) -> Case:
    """Every word begins with an a, which all taps must find at the first steps."""
    words = random_words(probe, 4, length, probe.d_conv, {"a": 6})
    words[:, 0] = probe.ids["a"]
    return _case(name, exercises, probe, words)


def _state(n: int) -> Case:
    """Words that write, hold and read every entry: after w1, after w2, and after both."""
    probe = probes.state(n)
    reads = [f"r{i}" for i in range(n)]
    rows = [
        [BOS, first, "-", *reads, second, *reversed(reads), "-"]
        for first, second in (("w1", "w2"), ("w2", "w1"), ("w1", "w1"))
    ]
    modes = None if n <= 16 else ("full", "cached", "continued")
    splits = None if n <= 16 else (2, 3 + n // 2, 3 + n, 4 + n)
    return _case(f"state-{n}", f"every entry of d_state = {n}: B and C", probe, _rows(probe, rows), modes, splits)


def _sums() -> Case:
    probe = probes.sums()
    words = random_words(probe, 2, 100, 5, {"++": 20, BOS: 0})
    return _case("sums", "precision of the state, of y and of the head (17 bits)", probe, words, splits=(63, 64, 96))


def _epsilon() -> Case:
    probe = compared.epsilon()
    rows = [[BOS, *["-"] * i, "set", *["-"] * (j - i), "tiny", *["-"] * (12 - j)] for i, j in ((0, 0), (1, 4), (3, 9))]
    return _case("epsilon", "epsilon of RMSNorm", probe, _rows(probe, rows), APART)


def _decay() -> Case:
    probe = compared.decay()
    rows = [
        [BOS, *["-"] * i, "set", *["-"] * j, "step", *["-"] * k, "test", *["-"] * (76 - i - j - k)]
        for i, j, k in ((0, 0, 0), (2, 0, 3), (1, 7, 0), (3, 66, 1), (60, 2, 2), (5, 1, 64))
    ]
    splits = (2, 3, 5, 64, 74)
    return _case("decay", "gates between 0 and 1, by comparison", probe, _rows(probe, rows), APART, splits)


def _boundaries(quick: bool) -> Case:
    """A register written once, at positions near the boundaries of chunks, and sums that grow at every step."""
    probe = probes.edges()
    ids = probe.ids
    length = 140 if quick else 530
    near = {p + d for p in (32, 64, 128, 192, 256, 320, 512) for d in (-1, 0, 1)}
    positions = sorted({*range(28), *near} & set(range(length - 2)))
    words = np.full((len(positions), length), ids["add"], dtype=np.int64)
    words[:, ::7] = ids["-"]
    words[: len(positions) // 2, ::2] = ids["hold"]
    words[np.arange(len(positions)), positions] = ids["0:=2"]
    around = tuple(p + d for p in ((16, 32, 64, 128) if quick else (16, 32, 64, 128, 256, 512)) for d in (-1, 0, 1))
    return _case(
        "boundaries",
        "memory written just before, at and after positions that may be boundaries of chunks",
        probe,
        words,
        ("full", "cached", "continued", "packed", "packed-continued", "snapshots"),
        around,
    )


def _lengths(quick: bool) -> Case:
    """Sums and registers, read at the end of words of many lengths (the splits)."""
    probe = probes.registers(2)
    tokens = {"add": 6, "0:=1": 2, "1:=2": 2, "-": 1, "hold": 1}
    words = random_words(probe, 3, 70 if quick else 262, 11, {BOS: 0} | tokens)
    splits = tuple(range(1, 35)) if quick else (*range(1, 36), 63, 64, 65, 127, 128, 129, 255, 256, 257)
    modes = ("full", "cached", "continued", "padded", "packed", "packed-continued", "snapshots", "interleaved")
    return _case("lengths", "prefills of every length, packed documents of every length", probe, words, modes, splits)


def _long(length: int) -> Case:
    probe = probes.edges()
    ids = probe.ids
    word = np.full((1, length), ids["-"], dtype=np.int64)
    word[0, 1:4] = ids["0:=2"], ids["add"], ids["hold"]
    word[0, 3:-1:2] = ids["hold"]
    word[0, [length // 2, -2]] = ids["add"]
    return _case("long-hold", f"memories held for {length:,} steps", probe, word, ("full",))


def _case(
    name: str,
    exercises: str,
    probe: Mamba2Probe,
    words: Ints,
    modes: tuple[str, ...] | None = None,
    splits: tuple[int, ...] | None = None,
) -> Case:
    d_model, constants, place = places(probe)
    layout = np.zeros((len(probe.features), d_model))
    layout[0, :constants] = CONSTANT
    for i, feature in enumerate(probe.features[1:], 1):
        layout[i, place[feature]] = probe.tiny.get(feature, 1.0)
    exact = not any(f in probe.tiny for block in probe.blocks for channel in block.channels for f in channel.writes)

    def lower(_: Probe) -> Mamba2Weights:
        return weights_of(probe)

    def expect(ids: Ints) -> Expected:
        values = evaluate(probe, ids)
        streams = tuple(stream @ layout for stream in values.streams) if exact else None
        return Expected(values.logits.astype(np.float64), streams)

    return replace(probe_case(name, exercises, probe, words, modes, splits, lower), expect=expect)
