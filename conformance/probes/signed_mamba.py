"""Probes of signed blocks: memories that are turned over, at every step or at some, alone and with writes.

The integers are those of ``_conformance_probe``; sign_proj multiplies them by T = 1024, so that tanh is exactly 1 or
-1 in every implementation.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...models.mamba import MambaWeights
from ..case import Case
from .mamba import CONST, random_words
from .probe import BOS, ONE, Block, Channel, Form, Ints, Probe
from .probe import weights_of as plain_weights_of
from .probe_case import probe_case

QUICK_LONG, FULL_LONG = 1_000, 20_000
TURNS: Form = {"is flip": -2, ONE: 1}
"""The sign of a memory that the token flip turns over."""


def weights_of(probe: Probe) -> MambaWeights:
    """The probe as weights of signed blocks."""
    return plain_weights_of(probe, signed=True)


def flips() -> Probe:
    """Registers and a sum with each kind of sign."""
    tokens: dict[str, Form] = {
        BOS: {"bos": 1},
        "-": {},
        "set": {"set": 1, "v": 3},
        "flip": {"flip": 1},
        "set+flip": {"set": 1, "flip": 1, "v": 2},
        "add": {"add": 1, "v": 2},
        "add+flip": {"add": 1, "flip": 1, "v": 1},
        "stay": {"stay": 1},
        "stay+flip": {"stay": 1, "flip": 1},
    }
    conditions = [CONST]
    conditions += [Channel(f"is {t}", f"the token says {t}", "in_proj", reads={t: 1}) for t in ("set", "flip", "add")]
    conditions += [
        Channel("is stay", "the token says stay", "in_proj", reads={"stay": 1}),
        Channel("flip before", "the last token said flip", "conv1d.weight", reads={"flip": 1}, taps=(1, 0)),
    ]
    kinds: tuple[tuple[str, str, str, Form | None], ...] = (
        ("turned", "the value last set, turned over by every flip since", "the sign: sign_proj.weight", TURNS),
        ("upright", "the value last set, never turned over", "the sign of a channel that is never turned over", None),
        ("alternating", "the value last set, turned over at every step", "the sign: sign_proj.bias", {ONE: -1}),
        (
            "unless flip",
            "the value last set, turned over at every step but flip",
            "the sign: sign_proj.bias and weight",
            {"is flip": 2, ONE: -1},
        ),
        (
            "late",
            "the value last set, turned over one step after every flip",
            "the sign, from a channel that looks back",
            {"flip before": -2, ONE: 1},
        ),
        (
            "unless stay",
            "the value last set, turned over by every flip that does not say stay",
            "the sign: two rows of sign_proj.weight",
            {"is flip": -2, "is stay": 4, ONE: 1},
        ),
    )
    memories = [
        Channel(name, meaning, f"{what}", {"v": 1}, delta={"is set": 2, ONE: -1}, sign=sign, writes={name: 1})
        for name, meaning, what, sign in kinds
    ]
    memories.append(
        Channel(
            "turned sum",
            "the sum of the values added, turned over by every flip, before the addition",
            "the sign of the state alone, not of what is written",
            {"v": 1},
            delta={"is add": 2, ONE: -1},
            keeps=frozenset({0}),
            sign=TURNS,
            writes={"turned sum": 1},
        )
    )
    meanings = {
        "flip": "turns over",
        "set+flip": "overwrites, and turns over what is forgotten",
        "add+flip": "turns the sum over, then adds",
    }
    return Probe(tokens, (Block((*conditions, *memories), ({"one": 1},), ({"one": 1},)),), 2, meanings)


def states(d_state: int) -> Probe:
    """Every entry of d_state, in channels that flips turn over and in one that they do not, written and read alone."""
    entries = range(d_state)
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "w1": {"w1": 1}, "w2": {"w2": 1}, "flip": {"flip": 1}, "-": {}}
    tokens |= {f"r{n}": {f"r{n}": 1} for n in entries}
    conditions = [
        Channel(f"is {t}", f"the token is {t}", "in_proj", reads={t: 1}) for t in tokens if t not in (BOS, "-")
    ]
    odd, even = frozenset(n for n in entries if n % 2), frozenset(n for n in entries if not n % 2)
    kinds: tuple[tuple[str, frozenset[int], Form | None], ...] = (
        ("h turned", odd, TURNS),
        ("h turned too", even, TURNS),
        ("h upright", odd, None),
    )
    memories = [
        Channel(
            name,
            "the entry of d_state that the token asks for, " + ("never turned over" if sign is None else "with flips"),
            "a sign for all entries of d_state" if sign else "a channel without a sign beside others",
            bias=1,
            delta={"is w1": 2, "is w2": 2, ONE: -1},
            keeps=keeps,
            sign=sign,
            writes={name: 1},
        )
        for name, keeps, sign in kinds
    ]
    b = tuple({"is w1": 1 + n % 7, "is w2": 2 + n % 5} for n in entries)
    c = tuple({f"is r{n}": 1} for n in entries)
    meanings: Mapping[str, str] = {f"r{n}": f"reads entry {n} of d_state" for n in entries}
    return Probe(tokens, (Block((*conditions, *memories), b, c),), 2, meanings)


def cases(quick: bool) -> tuple[Case, ...]:
    """What only signed blocks have."""
    probe = flips()
    words = random_words(probe, 4, 40, 7, {BOS: 0})
    words[:, 0] = probe.ids["set"]
    found = [_case("flips", "signs of each kind, alone and together with a write", probe, words)]
    found += [_states(n) for n in ((1, 4) if quick else (1, 2, 4, 16, 64))]
    found += [_positions(140 if quick else 530), _long(QUICK_LONG if quick else FULL_LONG)]
    return tuple(found)


def _case(name: str, exercises: str, probe: Probe, words: Ints, modes: tuple[str, ...] | None = None) -> Case:
    return probe_case(name, exercises, probe, words, modes, lower=weights_of)


def _states(n: int) -> Case:
    probe = states(n)
    ids = probe.ids
    reads = [ids[f"r{i}"] for i in range(n)]
    flip = ids["flip"]
    rows = [
        [ids[BOS], ids[a], flip, *reads, ids[b], *reversed(reads), flip, *reads[: n // 2], flip, *reads[n // 2 :]]
        for a, b in (("w1", "w2"), ("w2", "w1"), ("w1", "w1"))
    ]
    return _case(f"signed-state-{n}", f"every entry of d_state = {n}, turned over or not", probe, np.array(rows))


def _positions(length: int) -> Case:
    """One flip, or one step without, at every position to 35 and near the boundaries of chunks."""
    probe = flips()
    ids = probe.ids
    near = {p + d for p in range(32, length - 2, 32) for d in (-1, 0, 1)}
    positions = sorted({*range(1, 36), *near} & set(range(length - 1)))
    words = np.full((2 * len(positions), length), ids["-"], dtype=np.int64)
    words[len(positions) :] = ids["flip"]
    words[:, 0] = ids["set"]
    rows = np.arange(len(positions))
    words[rows, positions] = ids["flip"]
    words[rows + len(positions), positions] = ids["-"]
    splits = tuple(p + d for p in (16, 32, 64, 128, 256, 512) if p + 7 < length for d in (-1, 0, 1))
    return probe_case(
        "flip-positions",
        "a flip at every position, and flips at all positions but one",
        probe,
        words,
        ("full", "cached", "continued", "packed", "packed-continued", "snapshots"),
        splits,
        weights_of,
    )


def _long(length: int) -> Case:
    probe = flips()
    ids = probe.ids
    word = np.full((1, length), ids["flip"], dtype=np.int64)
    word[0, ::3] = ids["-"]
    word[0, 0] = ids["set"]
    word[0, length // 2] = ids["add+flip"]
    return _case("long-flips", f"memories turned over for {length:,} steps", probe, word, ("full",))
