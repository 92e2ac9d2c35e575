"""The conformance set: checkpoints with exact expected outputs, and the words on which they are tried.

There are two kinds. Probes (``_conformance_probes``) exercise every part of a block and name a channel for every wrong
logit. Compiled languages (``_conformance_languages``) exist for every target of the compiler.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from . import cases_mamba2 as mamba2
from .case import NO_BLOCK, Case, ConformanceError, Expected, Floats, Ints, Source
from .languages import language_cases
from .probes import falcon_mamba as falcon
from .probes import mamba as probes
from .probes import signed_mamba as signed
from .probes.probe import BOS, Probe, weights_of
from .probes.probe_case import Lower, probe_case

QUICK_LONG, FULL_LONG = 2_000, 200_000

__all__ = ["NO_BLOCK", "Case", "ConformanceError", "Expected", "Floats", "Ints", "Source", "cases"]


def cases(kind: str = "mamba", *, quick: bool = False) -> tuple[Case, ...]:
    """The set for one kind of block, from the simple to the composed.

    Args:
        kind: a target of ``scancraft.compile``; those that nobody wrote probes for have compiled languages only.
        quick: a subset that takes seconds.

    Raises:
        ConformanceError: this scancraft has no such target.
    """
    found = language_cases(kind, quick)
    if not found:
        raise ConformanceError(f"this scancraft cannot compile to {kind!r}; use a target that it has")
    return (*_probe_cases(kind, quick), *found)


@dataclass(frozen=True)
class Probed:
    """How a kind of block gets its probes.

    Attributes:
        lower: the probes' integers to weights.
        states: d_state of the probes of single entries, in the quick set and in the full one.
        before: probes of what only this kind has and its memories need, given whether the set is the quick one.
        after: probes of what only this kind has, that need memories.
    """

    lower: Lower
    states: tuple[tuple[int, ...], tuple[int, ...]] = ((1, 2, 16), (1, 2, 3, 4, 8, 16, 64, 128))
    before: Callable[[bool], tuple[Case, ...]] = lambda quick: ()
    after: Callable[[bool], tuple[Case, ...]] = lambda quick: ()


PROBED = {  # those that share Mamba's probes
    "mamba": Probed(weights_of),
    "signed_mamba": Probed(signed.weights_of, after=signed.cases),
    # Two entries or four of a Falcon-Mamba's d_state hold constants.
    "falcon_mamba": Probed(falcon.weights_of, ((1, 2, 14), (1, 2, 4, 14, 28, 62, 124)), falcon.cases),
}


@cache
def _probe_cases(kind: str, quick: bool) -> tuple[Case, ...]:
    if kind == "mamba2":
        return mamba2.cases(quick)  # a set of its own: its blocks compute other things
    if kind not in PROBED:
        return ()
    how = PROBED[kind]
    lower = how.lower
    found = [_probe("embedding", "embedding, norms, head", probes.embedding(), 4, 12, lower)]
    found.append(_probe("paths", "conv1d.bias, D, the gate and out_proj", probes.paths(), 2, 8, lower))
    found += [_taps(k, lower) for k in (2, 3, 4)]
    found.append(_probe("gates", "in_proj halves, gate, D, out_proj", probes.gates(), 3, 16, lower))
    found += how.before(quick)
    found.append(_registers(lower))
    found.append(_probe("epsilon", "epsilon of RMSNorm", probes.epsilon(), 3, 16, lower))
    found += [*how.after(quick), *(_state(n, lower) for n in how.states[0 if quick else 1])]
    found.append(_sums(lower))
    found.append(_probe("stack", "three blocks in order, each with its own state", probes.stack(), 4, 40, lower))
    found.append(_boundaries(quick, lower))
    found.append(_lengths(quick, lower))
    found.append(_long(QUICK_LONG if quick else FULL_LONG, lower))
    if not quick:
        found.append(_long_prefill(lower))
    return tuple(found)


def _probe(name: str, exercises: str, probe: Probe, rows: int, length: int, lower: Lower) -> Case:
    words = probes.random_words(probe, rows, length, seed=len(name))
    return probe_case(name, exercises, probe, words, lower=lower)


def _taps(k: int, lower: Lower) -> Case:
    """Every word begins with an a, which all taps must find at the first steps."""
    probe = probes.taps(k)
    words = probes.random_words(probe, 4, 24, seed=k)
    words[:, 0] = probe.ids["a"]
    return probe_case(f"taps-{k}", f"conv1d, {k} taps", probe, words, lower=lower)


def _registers(lower: Lower) -> Case:
    probe = probes.registers()
    return _probe("registers", "hold, overwrite, add; dt of rank 5; Delta, its bias and softplus", probe, 4, 40, lower)


def _state(n: int, lower: Lower) -> Case:
    """Words that write, hold and read every entry: after w1, after w2, and after both."""
    probe = probes.state(n)
    ids = probe.ids
    reads = [ids[f"r{i}"] for i in range(n)]
    rows = [
        [ids[BOS], ids[first], ids["-"], *reads, ids[second], *reversed(reads), ids["-"]]
        for first, second in (("w1", "w2"), ("w2", "w1"), ("w1", "w1"))
    ]
    words = np.array(rows, dtype=np.int64)
    modes = None if n <= 16 else ("full", "cached", "continued")
    splits = None if n <= 16 else (2, 3 + n // 2, 3 + n, 4 + n)
    return probe_case(f"state-{n}", f"every entry of d_state = {n}: A, B and C", probe, words, modes, splits, lower)


def _sums(lower: Lower) -> Case:
    probe = probes.sums()
    words = probes.random_words(probe, 2, 320, 5, {"++": 20, "-": 1, BOS: 0})
    exercises = "precision of the state, of y and of the head (17 bits)"
    return probe_case("sums", exercises, probe, words, splits=(300, 318), lower=lower)


def _boundaries(quick: bool, lower: Lower) -> Case:
    """A register written once, at every position near the boundaries of chunks, and a sum that grows at every step."""
    probe = probes.registers(1)
    ids = probe.ids
    length = 140 if quick else 530
    near = {p + d for k in range(9) for p in range(2**k, length - 2, 2**k) if k >= 5 for d in (-1, 0, 1)}
    positions = sorted({*range(36), *near} & set(range(length - 1)))
    words = np.full((len(positions), length), ids["add"], dtype=np.int64)
    words[:, ::7] = ids["-"]
    words[np.arange(len(positions)), positions] = ids["0:=2"]
    words[: len(positions) // 2, 0::2] = ids["hold"]
    words[np.arange(len(positions)), positions] = ids["0:=2"]
    around = tuple(p + d for p in ((16, 32, 64, 128) if quick else (16, 32, 64, 128, 256, 512)) for d in (-1, 0, 1))
    return probe_case(
        "boundaries",
        "memory written just before, at and after positions that may be boundaries of chunks",
        probe,
        words,
        ("full", "cached", "continued", "packed", "packed-continued", "snapshots"),
        around,
        lower,
    )


def _lengths(quick: bool, lower: Lower) -> Case:
    """Sums that grow at every step, read at the end of words of many lengths (the splits)."""
    probe = probes.registers(2)
    tokens = {"add": 6, "0:=1": 2, "1:=2": 2, "-": 1, "hold": 1}
    words = probes.random_words(probe, 3, 70 if quick else 136, 11, {BOS: 0} | tokens)
    splits = tuple(range(1, 35)) if quick else (*range(1, 36), 63, 64, 65, 127, 128, 129)
    modes = ("full", "cached", "continued", "padded", "packed", "packed-continued", "snapshots", "interleaved")
    exercises = "prefills of every length, packed documents of every length"
    return probe_case("lengths", exercises, probe, words, modes, splits, lower)


def _long_prefill(lower: Lower) -> Case:
    """The CUDA selective scan takes chunks of 2,048 tokens."""
    probe = probes.registers(2)
    words = probes.random_words(probe, 2, 2100, 13, {BOS: 0, "add": 6, "0:=1": 1, "1:=2": 1, "-": 1, "hold": 1})
    around = (1023, 1024, 1025, 2047, 2048, 2049)
    exercises = "prefills longer than a kernel's chunk of 1,024 or 2,048 tokens"
    return probe_case("long-prefill", exercises, probe, words, ("full", "cached", "continued"), around, lower)


def _long(length: int, lower: Lower) -> Case:
    probe = probes.registers(1)
    ids = probe.ids
    word = np.full((1, length), ids["-"], dtype=np.int64)
    word[0, 1:4] = ids["0:=2"], ids["add"], ids["hold"]
    word[0, 3:-1:2] = ids["hold"]
    word[0, [length // 2, -2]] = ids["add"]
    return probe_case("long-hold", f"memories held for {length:,} steps", probe, word, ("full",), lower=lower)
