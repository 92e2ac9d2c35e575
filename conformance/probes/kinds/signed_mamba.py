"""Probes as weights of signed blocks: memories that are turned over, at every step or at some, alone and with writes.

sign_proj multiplies the probe's integers by T = 1024, so that tanh is exactly 1 or -1 in every implementation.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from ...case import Case
from ..library import back, state
from ..posed import CHUNKS, Posed, random_words
from ..probe import BOS, EVERY, ONE, Block, Channel, Form, Line, Probe
from . import mamba
from .kind import Kind

QUICK_LONG, FULL_LONG = 1_000, 20_000
TURNS: Form = {"flip": -2, ONE: 1}
"""The sign of a memory that the token flip turns over."""
lower = partial(mamba.lower, signed=True)


def flips() -> Probe:
    """Registers and a sum with each kind of sign; the last of them in a second block."""
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

    def register(name: str, meaning: str, exercises: str, sign: Form | None) -> Channel:
        return Channel(name, meaning, exercises, Line({"v": 1}), delta={"set": 2, ONE: -1}, sign=sign)

    unless: Form = {"flip": 2, ONE: -1}
    two_rows: Form = {"flip": -2, "stay": 4, ONE: 1}
    first = (
        register("turned", "the value last set, turned over by every flip since", "the sign: sign_proj.weight", TURNS),
        register("upright", "the value last set", "the sign of a channel that is never turned over", None),
        register("alternating", "the value last set, turned over at every step", "the sign: sign_proj.bias", {ONE: -1}),
        register("unless flip", "the same, but at flip", "the sign: sign_proj.bias and weight", unless),
        register(
            "unless stay", "turned, but not by what says stay", "the sign: two rows of sign_proj.weight", two_rows
        ),
        Channel(
            "turned sum",
            "the sum of the values added, turned over by every flip, before the addition",
            "the sign of the state alone, not of what is written",
            Line({"v": 1}),
            delta={"add": 2, ONE: -1},
            keeps=EVERY,
            sign=TURNS,
        ),
        Channel("flip before", "whether the last token said flip", "conv1d.weight", back("flip", 1), skip=1),
    )
    late = register("late", "turned, one step late", "the sign, of what looks back", {"flip before": -2, ONE: 1})
    meanings = {
        "flip": "turns over",
        "set+flip": "overwrites, and turns over what is forgotten",
        "add+flip": "turns the sum over, then adds",
    }
    return Probe(tokens, (Block(first), Block((late,))), meanings=meanings)


def states(d_state: int) -> Probe:
    """Every entry of d_state, in channels that flips turn over and in channels that they do not."""
    return state(d_state, True, ((" turned", TURNS), (" upright", None)))


def cases(quick: bool) -> tuple[Case, ...]:
    """What only signed blocks are tried on."""
    probe = flips()
    words = random_words(probe, 4, 40, 7, {BOS: 0})
    words[:, 0] = probe.ids["set"]
    posed = [Posed("flips", "signs of each kind, alone and together with a write", probe, words)]
    posed += [_states(n) for n in ((1, 4) if quick else (1, 2, 4, 16, 64))]
    posed += [_positions(140 if quick else 530), _long(QUICK_LONG if quick else FULL_LONG)]
    return tuple(one.case(lower) for one in posed)


def _states(n: int) -> Posed:
    probe = states(n)
    reads = [f"r{i}" for i in range(n)]
    rows = [
        [BOS, a, "flip", *reads, b, *reversed(reads), "flip", *reads[: n // 2], "flip", *reads[n // 2 :]]
        for a, b in (("w1", "w2"), ("w2", "w1"), ("w1", "w1"))
    ]
    return Posed(f"signed-state-{n}", f"every entry of d_state = {n}, turned over or not", probe, probe.encoded(rows))


def _positions(length: int) -> Posed:
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
    exercises = "a flip at every position, and flips at all positions but one"
    return Posed("flip-positions", exercises, probe, words, CHUNKS, splits)


def _long(length: int) -> Posed:
    probe = flips()
    ids = probe.ids
    word = np.full((1, length), ids["flip"], dtype=np.int64)
    word[0, ::3] = ids["-"]
    word[0, 0] = ids["set"]
    word[0, length // 2] = ids["add+flip"]
    return Posed("long-flips", f"memories turned over for {length:,} steps", probe, word, ("full",))


KIND = Kind(lower, own=cases)
