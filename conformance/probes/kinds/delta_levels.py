"""Probes of what is not exact in Gated DeltaNet: gates between 0 and 1, and the epsilons of lengths and of o_norm.

As in ``mamba2.decay``, the first block puts out levels, numbers that are not exact, at the token test alone, and the
second compares each with a little less and a little more than the truth: two memories that are forgotten, or not. In
the integers every level is 1, and thresholds are 0 and 2; the real ones are written here. A word has each such token
but once, so that sums of logarithms have but one term, and are the same in any order.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import partial

from ....models.olmo_hybrid import OlmoHybridShape
from ....models.weights import ModelWeights, Tensor
from ...case import Case
from ..delta import CARRIED, Column, DeltaBlock, Head
from ..posed import APART, Posed
from ..probe import BOS, Line, Program
from . import delta_net
from .kind import Lowered, Residual, T
from .mamba2 import DECAYS, left_of

SLOPE = 64
"""Of a comparison, times T."""
TINY = 2.0**-9
"""What goes into silu where a key or a query is to be so short that epsilon decides."""
LENGTH_EPSILON = 1e-6
NORM_EPSILON = {1: 1e-6, 2: 1e-5}
"""Of o_norm, by the limit of beta: Qwen's is that of the stream, OLMo Hybrid's is fixed."""
STORED = {1: 2.0**-7, 2: 2.0**-5}
"""What goes into silu where so little is remembered that the epsilon of o_norm decides."""
ALL = (CARRIED,) * 4
Levels = Sequence[tuple[str, str, str]]
"""Of each level what it says when it is not less, and when it is not more; and what it tests."""


def _compared(levels: Levels) -> DeltaBlock:
    """Two memories for each level, and they are set and read together."""
    is_set, heads = Line({"set": 1}), []
    for k, (less, more, exercises) in enumerate(levels):
        for name, meaning, forgets in (
            (less, f"set, and not tested since: {less}", {f"level {k}": 1}),
            (more, f"set, ever: {more}", {}),
        ):
            told = Column(name, meaning, exercises, is_set)
            heads.append(Head((told,), (is_set,), forgets=forgets, carries=is_set))
    return DeltaBlock(tuple(heads))


def _level(k: int, exercises: str, value: Line) -> Column:
    return Column(f"level {k}", "a level", exercises, value, gate={"test": 1})


def _program(levels: Levels, heads: tuple[Head, ...], order: str, tokens: Sequence[str]) -> Program:
    in_order = re.compile(order)
    return Program(
        {BOS: {"bos": 1}, "-": {}, **{token: {token: 1} for token in tokens}},
        (DeltaBlock(heads), _compared(levels)),
        tiny={f"level {k}": 1.0 for k in range(len(levels))},
        judges=lambda word: bool(in_order.fullmatch("".join(f"{t} " for t in word))),
    )


def decay() -> Program:
    """Gates strictly between 0 and 1: what a step leaves of a memory, beside a carrier that is written after it."""
    exercises = "the values of A_log, softplus and exp, by comparison"
    gates = [f"exp(-exp({a_log}) softplus({pre}))" for a_log, pre in DECAYS]
    levels = [(f"alpha is not less than {gate}", f"alpha is not more than {gate}", exercises) for gate in gates]
    keys, test = (Line({"set": 1}), Line({"test": 1})), Line({"test": 1})
    heads = tuple(
        Head((_level(k, exercises, Line({"set": 1})),), keys, ALL, {"set": 1, "test": 1}, carries=test)
        for k in range(len(DECAYS))
    )
    order = r"(<bos> )?(- )*(set (- )*(step (- )*(test (- )*)?)?)?"
    return _program(levels, heads, order, ("set", "step", "test"))


def epsilons() -> Program:
    """A key and a query that are so short that epsilon decides; behind the query also that of o_norm."""
    of_key, of_query = "the epsilon of the length of a key", "the epsilons of the length of a query and of o_norm"
    levels = [
        (f"{what} is not less than it should be", f"{what} is not more than it should be", exercises)
        for what, exercises in (("the length of a tiny key", of_key), ("what a tiny query reads", of_query))
    ]
    is_set, tiny, test = (Line({token: 1}) for token in ("set", "tiny", "test"))
    heads = (
        Head((_level(0, of_key, tiny),), (tiny, test), ALL, {"tiny": 1, "test": 1}, carries=test),
        Head((_level(1, of_query, is_set),), (is_set,), (test,), {"set": 1}, carries=is_set),
    )
    order = r"(<bos> )?(- )*(set (- )*(tiny (- )*(test (- )*)?)?)?"
    return _program(levels, heads, order, ("set", "tiny", "test"))


def truths(limit: int) -> list[float]:
    """The levels of :func:`epsilons`, in four columns of which one is not zero, with d_state 4."""
    short = _silu(TINY) / (_silu(TINY) ** 2 + LENGTH_EPSILON) ** 0.5
    read = _silu(STORED[limit]) * short / 2
    return [short, read / (read**2 / 4 + NORM_EPSILON[limit]) ** 0.5 / 2]


def _silu(x: float) -> float:
    return x / (1 + math.exp(-x))


def lower_decay(probe: Program, limit: int) -> Lowered:
    """:func:`decay` as weights."""
    lowered, residual = delta_net.lower(probe, limit), Residual.of(probe)
    tensors = lowered.writable()
    for k, (a_log, pre) in enumerate(DECAYS):
        tensors["model.layers.0.linear_attn.A_log"][k] = a_log
        row = tensors["model.layers.0.linear_attn.a_proj.weight"][k]
        row[residual.place["step"]] = (T + pre) * residual.undo(0)[residual.place["step"]]
    return _with_thresholds(lowered, tensors, residual, [left_of(a_log, pre) for a_log, pre in DECAYS])


def lower_epsilons(probe: Program, limit: int) -> Lowered:
    """:func:`epsilons` as weights."""
    lowered, residual = delta_net.lower(probe, limit), Residual.of(probe)
    tensors, shape, second = lowered.writable(), lowered.weights.shape, 1
    assert isinstance(shape, OlmoHybridShape)
    assert (shape.d_state, shape.value_dim) == (4, 4)
    prefix = "model.layers.0.linear_attn."
    tensors[f"{prefix}k_proj.weight"][0] *= TINY / T
    tensors[f"{prefix}q_proj.weight"][4 * second] *= TINY / T
    tensors[f"{prefix}v_proj.weight"][4 * second] = 0.0  # no carrier
    tensors[f"{prefix}v_proj.weight"][4 * second + 1] *= STORED[limit] / T
    own = tensors[f"{prefix}o_norm.weight"][1]
    tensors[f"{prefix}o_proj.weight"][residual.place["level 1"], 4 * second + 1] = 1 / (2 * own * T)
    return _with_thresholds(lowered, tensors, residual, truths(limit))


def _with_thresholds(
    lowered: Lowered, tensors: dict[str, Tensor], residual: Residual, levels: Sequence[float]
) -> Lowered:
    """The second block compares each level with 15/16 and 17/16 of the truth; thresholds have 8 binary digits."""
    prefix = "model.layers.1.linear_attn."
    for k, truth in enumerate(levels):
        for latch, factor in ((2 * k, 15 / 16), (2 * k + 1, 17 / 16)):
            place = residual.place[f"level {k}"]
            tensors[f"{prefix}a_proj.weight"][latch] = 0.0
            tensors[f"{prefix}a_proj.weight"][latch, place] = T * SLOPE * residual.undo(2)[place]
            tensors[f"{prefix}dt_bias"][latch] = -T * SLOPE * round(truth * factor * 256) / 256
    return Lowered(ModelWeights(lowered.weights.shape, tensors), lowered.channels)


def levels(limit: int, dress: Callable[[Lowered], Lowered]) -> tuple[Case, ...]:
    """The cases, of models whose beta is at most so much."""
    found = []
    for name, exercises, probe, middle, lower in (
        ("decay", "gates between 0 and 1, by comparison", decay(), "step", lower_decay),
        ("epsilons", "epsilons of keys, queries and o_norm, by comparison", epsilons(), "tiny", lower_epsilons),
    ):
        rows = [
            [BOS, *["-"] * i, "set", *["-"] * j, middle, *["-"] * k, "test", *["-"] * (76 - i - j - k)]
            for i, j, k in ((0, 0, 0), (2, 0, 3), (1, 7, 0), (3, 66, 1), (60, 2, 2), (5, 1, 64))
        ]
        posed = Posed(name, exercises, probe, probe.encoded(rows), APART, (2, 3, 5, 64, 74))
        found.append(posed.case(partial(_dressed, lower=lower, limit=limit, dress=dress)))
    return tuple(found)


def _dressed(
    probe: Program, lower: Callable[[Program, int], Lowered], limit: int, dress: Callable[[Lowered], Lowered]
) -> Lowered:
    return dress(lower(probe, limit))
