"""Probes for Mamba-2 of numbers that are not exact: they are compared with a threshold, and only the result is seen.

A comparison is a Delta far above or far below 0, which clears a latch or does not. Such a Delta A is no multiple of
2^10, so it may occur once in a word beside one that is: a sum of two numbers is the same in any order. The probes say
which words they judge.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace

from ...models.weights import Tensor
from .mamba2 import ONES
from .probe import BOS, ONE, Channel, Form, T
from .probe_mamba2 import Head, Layer, Mamba2Probe, probe_of


def epsilon() -> Mamba2Probe:
    """A token so small that the norm's epsilon decides how large it becomes; only comparisons with it are seen.

    As for Mamba: its one feature is 2^-10 and d_model is 16, so RMSNorm makes it 0.308 with the configured 1e-5, 0.949
    with 1e-6, 0.098 with 1e-4. One latch is cleared from 0.2 on, another from 0.5 on. Such a Delta A is not exact, so
    it may occur once beside one that is: a sum of two numbers is the same in any order.
    """
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}, "set": {"set": 1}, "tiny": {ONE: 0, "tiny": 1}}

    def latch(name: str, meaning: str, delta: Form) -> Head:
        channel = Channel(name, meaning, "epsilon of RMSNorm", reads={"set": 1}, writes={name: 1})
        return Head((channel,), delta)

    heads = (
        latch("cleared", "set, and no tiny token since", {"set": 2, "tiny": 2, ONE: -1}),
        latch("not cleared", "set, ever", {"set": 2, ONE: -1}),
    )

    def patch(tensors: dict[str, Tensor], place: Mapping[str, int]) -> None:
        d = place["tiny"]
        weight = tensors["backbone.layers.0.norm.weight"]
        dt = tensors["backbone.layers.0.mixer.in_proj.weight"][-8:]
        for head, threshold in ((0, 0.2), (1, 0.5)):
            # in_proj undoes the norm's weight, so the form is the normalised feature, scaled up and compared.
            dt[head, d] = T / threshold / weight[d]

    probe = probe_of(tokens, [Layer(heads, ONES, ONES)], d_conv=2, tiny={"tiny": 2.0**-10})
    assert probe.n_heads == 8
    return replace(probe, patch=patch, judges=lambda word: word.count("set") <= 1 and word.count("tiny") <= 1)


DECAYS = ((-1.0, 2), (0.5, -2), (1.5, -1))
"""A_log and the pre-activation of Delta, by head."""


def decay() -> Mamba2Probe:
    """Gates strictly between 0 and 1: what a step leaves of a memory is compared with 15/16 and 17/16 of the truth.

    The second block compares, once in a word: a latch of its is cleared, if what is left exceeds its threshold. In the
    integers nothing decays, and the thresholds are 0 and 2 of 1; :func:`_decay_patch` has the real ones.
    """
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}, "set": {"set": 1}, "step": {"step": 1}, "test": {"test": 1}}
    levels = tuple(
        Head((Channel(f"level {k}", "what is left", DECAY, reads={"set": 1}, writes={f"level {k}": 1}),),
             {"set": 2, ONE: -1})
        for k in range(len(DECAYS))
    )  # fmt: skip

    def latch(k: int, above: bool) -> Head:
        name = f"{'not more' if above else 'not less'} than exp(-{math.exp(DECAYS[k][0]):.3f} softplus({DECAYS[k][1]}))"
        meaning = f"set, and {'ever' if above else 'not tested since'}: the gate is {name}"
        channel = Channel(name, meaning, DECAY, reads={"set": 1}, writes={name: 1})
        return Head((channel,), {"set": 2, ONE: -1} if above else {"set": 2, "test": 2, ONE: -1})

    latches = tuple(latch(k, above) for k in range(len(DECAYS)) for above in (False, True))
    tiny = {f"level {k}": 1.0 for k in range(len(DECAYS))}  # inexact, so the head does not read them
    probe = probe_of(tokens, [Layer(levels, ONES, ONES), Layer(latches, ONES, ONES)], d_conv=2, tiny=tiny)
    assert probe.n_heads == 8
    in_order = re.compile(r"(<bos> )?(- )*(set (- )*(step (- )*(test (- )*)?)?)?")
    return replace(
        probe, patch=_decay_patch, judges=lambda word: bool(in_order.fullmatch("".join(f"{t} " for t in word)))
    )


DECAY = "the values of A_log, softplus and exp, by comparison"


def _decay_patch(tensors: dict[str, Tensor], place: Mapping[str, int]) -> None:
    """A_log, Delta and thresholds. All thresholds are multiples of 2^-8, so that setting a latch is exact."""
    dt = {n: tensors[f"backbone.layers.{n}.mixer.in_proj.weight"][-8:] for n in (0, 1)}
    bias = tensors["backbone.layers.1.mixer.dt_bias"]
    undo = [1 / tensors[f"backbone.layers.{n}.norm.weight"] * 2.0**38 for n in (0, 1)]
    for k, (a_log, pre) in enumerate(DECAYS):
        tensors["backbone.layers.0.mixer.A_log"][k] = a_log
        # dt_bias is -1024.
        dt[0][k, place["step"]] = (T + pre) * undo[0][place["step"]]
        left = math.exp(-math.exp(a_log) * math.log1p(math.exp(pre)))
        for latch, factor in ((2 * k, 15 / 16), (2 * k + 1, 17 / 16)):
            threshold = round(left * factor * 256) / 256
            form = {f"level {k}": 16.0, "test": 64.0, "set": 49 + 16 * threshold}
            bias[latch] = -T * (64 + 16 * threshold)
            for name, value in form.items():
                dt[1][latch, place[name]] = T * value * undo[1][place[name]]
