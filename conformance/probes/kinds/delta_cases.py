"""The probes of Gated DeltaNet with the words on which they are tried: those of every model that has such layers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .. import delta_library as library
from ..posed import APART, CHUNKS, Posed, random_words
from ..probe import BOS, Ints, Program

EDGES, GRID = (140, 530), 64
"""Tokens of the words in which memory is written near the boundaries of chunks, which are near multiples of this."""
HOLD = (600, 20_000)
MODES = (*CHUNKS, "padded", "interleaved")


def common(quick: bool) -> list[Posed]:
    """What has no reflections and no rates of a half."""
    size = 0 if quick else 1
    return [
        random_posed("embedding", "embedding, norms, head", library.embedding(), 4, 12),
        _paths(),
        _memory(),
        random_posed("units", "the SwiGLU", library.units(), 3, 12),
        *(
            _beginning(f"taps-{k}", f"conv1d, {k} taps, of q, k and v", library.taps(k), 24)
            for k in ((2, 4) if quick else (2, 3, 4))
        ),
        random_posed("gates", "the norm behind a head, gate, o_proj", library.gates(), 3, 16),
        random_posed("registers", "alpha and beta: forget, replace, hold", library.registers(), 4, 40, {"hold": 8}),
        *(_recall(4**k) for k in ((1,) if quick else (0, 1, 2, 3))),
        _interference(),
        random_posed("digits", "precision of the state (17 digits)", library.digits(), 3, 24, {"-": 4}),
        random_posed("stack", "three blocks in order, each with its own state", library.stack(), 4, 40),
        _epsilon(),
        _boundaries(EDGES[size]),
        _lengths(quick),
        _long(HOLD[size]),
    ]


def random_posed(
    name: str, exercises: str, probe: Program, rows: int, length: int, weights: Mapping[str, int] | None = None
) -> Posed:
    """Random words."""
    return Posed(name, exercises, probe, random_words(probe, rows, length, len(name), weights))


def _paths() -> Posed:
    """Words of one token, on which no memory has anything to hold or to forget."""
    probe = library.paths()
    words = probe.encoded([[token] for token in ("-", "a", "b", "c", BOS)])
    return Posed("paths", "the way through a head, without a past", probe, words, ("full",))


def _memory() -> Posed:
    """Long enough for small chunks, and written at their ends; one word begins with nothing, and must find nothing."""
    probe = library.memory()
    words = random_words(probe, 4, 40, 5, {"a": 1, "-": 5})
    words[:, 0] = probe.ids["c"]
    words[1, :3] = probe.ids["-"]
    words[2, 3::8], words[2, 7::8], words[2, 4::4] = probe.ids["b"], probe.ids["c"], probe.ids["-"]
    return Posed("memory", "replace, hold, forget", probe, words)


def _beginning(name: str, exercises: str, probe: Program, length: int) -> Posed:
    """Every word begins with a letter that all taps must find."""
    words = random_words(probe, 4, length, probe.d_conv, {"a": 6})
    words[:, 0] = probe.ids["a"]
    return Posed(name, exercises, probe, words)


def _recall(keys: int) -> Posed:
    probe = library.recall(keys)
    asked = {f"?{k}": 2 for k in range(keys)}
    words = random_words(probe, 4, 40 if keys < 16 else 4 * keys, keys, asked | {"clear": 1})
    modes = None if keys <= 16 else ("full", "cached", "continued")
    return Posed(f"recall-{keys}", f"an associative memory of {keys} keys", probe, words, modes)


def _interference() -> Posed:
    probe = library.interference()
    words = """
        <bos> all:=4 ?0 ?1 ?all - 0:=6 ?0 ?2 1:=2 2:=6 3:=6 ?3 ?all all:=8 ?0 ?1 ?2 ?3 ?all 2:=2 ?2 ?0
        0:=2 1:=6 2:=2 3:=6 ?all all:=4 ?0 - ?1 ?2 ?3 3:=6 ?3 0:=2 1:=2 2:=2 ?all all:=8 ?all ?3 <bos> -
        all:=8 ?all ?2 3:=6 - ?3 ?1 2:=2 ?2 1:=6 0:=6 ?all ?0 all:=4 ?all ?1 - ?0 ?3 3:=2 ?3 ?2 ?0
    """
    rows = [line.split() for line in words.strip().split("\n")]
    exercises = "keys that are not at right angles"
    longest = max(map(len, rows))
    return Posed("interference", exercises, probe, probe.encoded([row + ["-"] * (longest - len(row)) for row in rows]))


def halved() -> Posed:
    """Words in which no more than six halves follow a number."""
    probe = library.halves()
    words = [
        ["=64", *["half 0"] * 6, "-", "=192", "half 128", "half 0", "-", "half 128", "half 128", "=64", "half 128"],
        ["-", "=192", "-", *["half 128"] * 3, *["half 0"] * 3, "=64", "=192", "half 0", "-", "half 128", "=64", "-"],
    ]
    return Posed("halves", "beta = 1/2", probe, probe.encoded(words))


def _epsilon() -> Posed:
    probe = library.epsilon()
    rows = [[BOS, *["-"] * i, "set", *["-"] * (j - i), "tiny", *["-"] * (12 - j)] for i, j in ((0, 0), (1, 4), (3, 9))]
    return Posed("epsilon", "epsilon of RMSNorm", probe, probe.encoded(rows), APART)


def positions_near(length: int) -> list[int]:
    """Up to 35, and around every multiple of a chunk."""
    near = {p + d for p in (16, 32, *range(GRID, length - 2, GRID)) for d in (-1, 0, 1)}
    return sorted({*range(1, 36), *near} & set(range(length - 1)))


def around(length: int) -> tuple[int, ...]:
    """Lengths of prefills near the ends of chunks."""
    return tuple(p + d for p in (16, 32, 64, 128, 256, 512) if p + 7 < length for d in (-1, 0, 1))


def _boundaries(length: int) -> Posed:
    """A register written once, at every position near the boundaries of chunks."""
    probe = library.edges()
    ids, positions = probe.ids, positions_near(length)
    words = np.full((len(positions), length), ids["add"], dtype=np.int64)
    words[:, ::7] = ids["-"]
    words[: len(positions) // 2, ::2] = ids["hold"]
    words[np.arange(len(positions)), positions] = ids["0:=2"]
    exercises = "memory written just before, at and after positions that may be boundaries of chunks"
    return Posed("boundaries", exercises, probe, words, CHUNKS, around(length))


def _lengths(quick: bool) -> Posed:
    """Memories read at the end of words of many lengths (the splits)."""
    probe = library.edges()
    words = random_words(probe, 3, 70 if quick else 262, 11, {BOS: 0, "hold": 3, "-": 3})
    splits = tuple(range(1, 35)) if quick else (*range(1, 36), 63, 64, 65, 127, 128, 129, 255, 256, 257)
    return Posed("lengths", "prefills and packed documents of every length", probe, words, MODES, splits)


def _long(length: int) -> Posed:
    probe = library.edges()
    ids = probe.ids
    word = np.full((1, length), ids["-"], dtype=np.int64)
    word[0, 1:4] = ids["0:=2"], ids["add"], ids["-"]
    return Posed("long-hold", f"memories held for {length:,} steps", probe, word, ("full",))


# -- beta to 2 ---------------------------------------------------------------------------------------------------------


def permuted(quick: bool) -> list[Posed]:
    """S_5: random words; and words as long as boundaries of chunks need, with splits there."""
    probe = library.permutations()
    size = 0 if quick else 1
    exercises = "the word problem of S_5: any token lost, repeated or out of place"
    posed = Posed("S_5", exercises, probe, _begun(probe, 4, 40))
    words, splits = _begun(probe, 3, EDGES[size]), around(EDGES[size])
    return [posed, Posed("S_5-boundaries", f"{exercises}, at boundaries of chunks", probe, words, MODES, splits)]


def _begun(probe: Program, rows: int, length: int) -> Ints:
    words = random_words(probe, rows, length, length, {BOS: 0, library.BEGIN: 0})
    words[:, :2] = probe.ids[BOS], probe.ids[library.BEGIN]
    return words
