"""The conformance set for other kinds of block than Mamba's, and the implementations that it knows by name."""

from __future__ import annotations

import importlib
import itertools
import re

import mutants
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scancraft.automata.errors import MissingExtraError
from scancraft.conformance import conformance
from scancraft.conformance.probes import falcon_mamba as falcon
from scancraft.conformance.probes import mamba as probes
from scancraft.conformance.probes import signed_mamba as signed
from scancraft.conformance.probes.probe import Probe, evaluate

OTHERS = [base for base, kind in mutants.BASES.items() if kind in ("signed_mamba", "falcon_mamba")]


def feature(probe: Probe, word: list[str], name: str) -> list[int]:
    """A feature at the end of the last block, after each token."""
    ids = np.array([[probe.ids[t] for t in word]])
    return [int(v) for v in evaluate(probe, ids).streams[-1][0, :, probe.features.index(name)]]


# -- the integers mean what they say (an independent definition of each, in plain Python) ------------------------------


@given(st.lists(st.sampled_from(list(signed.flips().ids)[3:]), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_flips_turn_memories_over(word: list[str]) -> None:
    """Each as its definition in words: how often the value last set was turned over since."""
    probe = signed.flips()
    turned = [
        ("turned", lambda t: "flip" in word[t]),
        ("upright", lambda t: False),
        ("alternating", lambda t: True),
        ("unless flip", lambda t: "flip" not in word[t]),
        ("late", lambda t: "flip" in word[t - 1] if t else False),
        ("unless stay", lambda t: "flip" in word[t] and "stay" not in word[t]),
    ]
    for name, turns in turned:
        found = []
        for t in range(len(word)):
            sets = [s for s in range(t + 1) if "set" in word[s]]
            value = (2 if "flip" in word[sets[-1]] else 3) if sets else 0
            times = sum(turns(u) for u in range(sets[-1] + 1, t + 1)) if sets else 0
            found.append(value * (-1) ** times)
        assert feature(probe, word, name) == found, name
    total, sums = 0, []
    for token in word:
        total = -total if "flip" in token else total
        total += {"add": 2, "add+flip": 1}.get(token, 0)
        sums.append(total)
    assert feature(probe, word, "turned sum") == sums


@pytest.mark.parametrize("d_state", [1, 2, 5, 64])
def test_flips_reach_every_state_entry(d_state: int) -> None:
    probe = signed.states(d_state)
    for n in range(d_state):
        first, second = 1 + n % 7, 2 + n % 5
        for flips in range(3):
            word = ["w1", *["flip"] * flips, "w2", *["flip"] * flips, f"r{n}"]
            sign = (-1) ** flips
            held = sign * (sign * first + second)
            assert feature(probe, word, "h turned")[-1] == (held if n % 2 else sign * second)
            assert feature(probe, word, "h turned too")[-1] == (sign * second if n % 2 else held)
            assert feature(probe, word, "h upright")[-1] == (first + second if n % 2 else second)


@given(st.lists(st.sampled_from(["-", "a", "b"]), min_size=1, max_size=20))
@settings(max_examples=40, deadline=None)
def test_what_needs_norms(word: list[str]) -> None:
    probe = falcon.norms()
    value = {"-": 0, "a": 1, "b": 2}
    now, total, at_a, last = [], [], [], 0
    for t, token in enumerate(word):
        whole = sum(value[u] for u in word[: t + 1])
        now.append(value[token] * (3 if token == "a" else 1))  # the second entry holds twice as much, and is read at a
        total.append(whole * (3 if token == "a" else 1))
        last = 1 if token == "a" else last
        at_a.append(last * (3 if token == "a" else 1))
    assert feature(probe, word, "now") == now
    assert feature(probe, word, "total") == total
    assert feature(probe, word, "at a") == at_a


def test_norms_are_powers_of_two() -> None:
    """In float64, on what a Falcon-Mamba really computes: each norm divides by a power of two, to 2^-25."""
    for probe in (falcon.norms(), probes.registers(), probes.state(14), probes.stack()):
        weights = falcon.weights_of(probe)
        shape = weights.shape
        for block in range(shape.n_layers):
            x_proj = weights.tensors[f"backbone.layers.{block}.mixer.x_proj.weight"].astype(np.float64)
            one = next(i for i, c in enumerate(probe.blocks[block].channels) if not c.reads and c.bias in (1, 2))
            for x in itertools.product((0.0, 1024.0, 5 * 1024.0), repeat=2):
                # Any other channel, up to 5, beside the constant one.
                full = np.full(x_proj.shape[1], x[0])
                full[len(probe.blocks[block].channels) // 2 :] = x[1]
                full[len(probe.blocks[block].channels) :] = 0.0
                full[one] = 1024.0 * probe.blocks[block].channels[one].bias
                low = x_proj @ full
                for v in np.split(low, [shape.dt_rank, shape.dt_rank + shape.d_state]):
                    root = np.sqrt((v**2).mean() + 1e-6)
                    exponent = np.log2(root)
                    assert abs(exponent - round(exponent)) < 2.0**-25


# -- faults ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", OTHERS)
def test_plain_implementations_pass(base: str) -> None:
    report = conformance.run(mutants.build(base), quick=True, kind=mutants.BASES[base])
    assert report.passed, report


@pytest.mark.parametrize("mutant", [m for m in mutants.MUTANTS if m.base in OTHERS], ids=lambda m: m.name)
def test_faults_are_found_and_located(mutant: mutants.Mutant) -> None:
    load = mutants.build(mutant.base, mutant.old, mutant.new)
    found = conformance.run(load, modes=[mutant.mode], quick=True, kind=mutant.kind).first
    assert found is not None, "survived"
    told = " | ".join((found.case, found.symbol, found.source.exercises, found.source.meaning))
    assert re.search(mutant.where, told), told
    assert found.error is None


# -- known implementations ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["full", "step", "padded"])
def test_transformers(mode: str) -> None:
    report = conformance.run("transformers", modes=[mode], quick=True)
    assert report.passed, report


def test_scancraft_itself() -> None:
    assert conformance.run("scancraft", quick=True).passed


def test_scancraft_itself_with_signs() -> None:
    assert conformance.run("scancraft-signed-runner", quick=True).passed
    only = ["registers", "flips", "signed-state-4", "language parity"]
    report = conformance.run("scancraft-signed", quick=True, only=only)
    assert report.passed, report
    assert {m.mode for m in report.modes if m.trials} >= {"full", "step", "cached", "continued", "padded"}


def test_transformers_falcon_mamba() -> None:
    only = ["norms", "dt-epsilon", "registers", "state-14"]
    report = conformance.run("transformers-falcon-mamba", modes=["full", "step", "padded"], quick=True, only=only)
    assert report.passed, report


@pytest.mark.parametrize("kind", ["", "falcon-mamba-"])
def test_the_associative_scan_is_run(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("torch._higher_order_ops.associative_scan")
    lengths = []
    scan = module.generic_associative_scan

    def counted(operator: object, leaves: list[torch.Tensor], *rest: object, **named: object) -> object:
        lengths.append(len(leaves[0]))
        return scan(operator, leaves, *rest, **named)

    monkeypatch.setattr(module, "generic_associative_scan", counted)
    name = f"transformers-{kind}associative-scan"
    report = conformance.run(name, modes=["full", "cached", "padded"], quick=True, only=["registers", "lengths"])
    assert report.passed, report
    assert {1, 2, 3, 4, 5, 8, 16, 17, 33, 40} <= set(lengths)
    assert report.note
    lengths.clear()
    conformance.run(f"transformers-{kind}".strip("-"), modes=["full"], quick=True, only=["registers"])
    assert not lengths  # nothing is left behind


def test_the_compiled_graph() -> None:
    report = conformance.run("transformers-compiled", quick=True, only=["taps-4"])
    assert report.passed, report
    assert [(m.mode, m.trials, m.tokens) for m in report.modes] == [("full", 2, 17 + 4 * 17)]


@pytest.mark.parametrize("chunk", [1, 3, 8, 64])
def test_transformers_mamba2(chunk: int) -> None:
    report = conformance.run(
        f"transformers-mamba2-chunk-{chunk}", modes=["full", "padded"], quick=True, only=["language D-2"]
    )
    assert report.passed, report


@pytest.mark.parametrize("way", ["load", "load_unfused", "load_without_convolution"])
def test_mamba_ssm_with_stand_ins(way: str) -> None:
    import mamba_ssm_on_cpu

    only = ["taps-4", "registers", "state-16", "language D-2"]
    try:
        report = conformance.run(getattr(mamba_ssm_on_cpu, way), quick=True, only=only)
    except MissingExtraError as reason:
        pytest.skip(str(reason))
    assert report.passed, report
    assert "stand-in" in report.note
    assert [m.mode for m in report.modes if m.trials] == ["full", "step", "cached", "interleaved"]
