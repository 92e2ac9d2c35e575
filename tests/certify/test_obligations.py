"""The checker's own obligations, switched off one at a time: each is noticed by an attack that only it answers so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from forgery import Forger, switch_off

import scancraft
from scancraft.automata.budget import Budget
from scancraft.certify.checker.arithmetic import Obligations
from scancraft.certify.checker.closure import check_shapes, check_stages, first_graph
from scancraft.certify.checker.judge import judge
from scancraft.certify.checker.languages import read_dfa
from scancraft.certify.checker.machine import Machine
from scancraft.certify.checker.parts import RejectedError
from scancraft.certify.search.evidence import evidence
from scancraft.certify.search.explore import explore
from scancraft.certify.search.prove import BATCH, Judge
from scancraft.models.run.stepper import Stepper

Edit = Callable[[Any], object]
SMALL = 1.5 * 2.0**-126
"""A normal number, a unit of which is none."""


def everywhere(part: str, value: float, *place: Any) -> Edit:
    """Of every block, one parameter (or some entries of it)."""
    return lambda model: [b.mixer.get_parameter(part).__setitem__(place or ..., value) for b in model.backbone.layers]


def entry(part: str, index: int, value: float, block: int = 0) -> Edit:
    """One entry of one parameter, by its number."""
    return lambda model: model.backbone.layers[block].mixer.get_parameter(part).view(-1).__setitem__(index, value)


def setting(part: str, name: str, value: Any) -> Edit:
    """Of every block, an attribute of a module."""
    return lambda model: [setattr(b.get_submodule(part), name, value) for b in model.backbone.layers]


def times(part: str, factor: float) -> Edit:
    """Of every block, one parameter times a factor."""
    return lambda model: [b.mixer.get_parameter(part).mul_(factor) for b in model.backbone.layers]


def reads_the_input(model: Any) -> None:
    """B depends on the input of the block."""
    for block in model.backbone.layers:
        d = block.mixer.intermediate_size
        block.mixer.in_proj.weight[2 * d, 0] = block.mixer.conv1d.weight[d, 0, -1] = 1.0


def writes_while_turning(model: Any) -> None:
    """A letter that turns the memory over writes to it as well, and nothing is forgotten."""
    mixer = model.backbone.layers[0].mixer
    overwrite, swap, b = 0, 1, mixer.time_step_rank
    mixer.A_log.fill_(-700.0)
    mixer.dt_proj.weight[:, swap] = mixer.dt_proj.weight[:, overwrite]
    mixer.x_proj.weight[b] += mixer.x_proj.weight[swap] * 2.0**-30


ATTACKS: list[tuple[str, str, Edit]] = [
    ("signed", "functions: conv1d: silu", everywhere("conv1d.bias", 1.0)),
    ("signed", "functions: dt_proj: softplus", everywhere("dt_proj.bias", -700.0)),
    ("signed", "functions: gate branch: silu", lambda m: m.backbone.layers[0].mixer.in_proj.weight[16:].mul_(2.0**-10)),
    ("signed", "functions: sign_proj: tanh", everywhere("sign_proj.bias", 63.0)),
    ("signed", "functions: A_log: exp", everywhere("A_log", 70.0)),
    ("signed", "functions: gate: exp", everywhere("A_log", -20.0)),
    ("signed", "gates: a gate of 1 with a write", writes_while_turning),
    ("signed", "sums: dt_proj", entry("dt_proj.bias", 3, SMALL)),
    ("signed", "sums: conv1d", entry("conv1d.weight", 3, SMALL)),
    ("signed", "sums: read", everywhere("D", 1e30)),
    ("signed", "sums: in_proj", entry("in_proj.weight", 18, SMALL)),
    ("signed", "sums: sign_proj", entry("conv1d.weight", 3, 1e30)),
    ("signed", "sums: residual", everywhere("out_proj.weight", -1e30)),
    ("signed", "rmsnorm: norm: epsilon", setting("norm", "variance_epsilon", -1e-5)),
    ("signed", "rmsnorm: norm", setting("norm", "variance_epsilon", 2.0**80)),
    ("falcon", "rmsnorm: norm of dt: epsilon", setting("mixer.dt_layernorm", "eps", -1e-6)),
    ("falcon", "rmsnorm: norm of b: epsilon", setting("mixer.b_layernorm", "eps", 0.0)),
    ("falcon", "rmsnorm: norm of dt", setting("mixer.dt_layernorm", "eps", 2.0**100)),
    ("mamba2", "functions: dt_bias: softplus", entry("dt_bias", 4, -700.0, -1)),
    ("mamba2", "functions: A is not exactly -1", everywhere("A_log", 3.0)),
    ("mamba2", "functions: Delta is clamped", setting("mixer", "time_step_limit", (0.0, 512.0))),
    ("mamba2", "gates: B or C depends", reads_the_input),
    ("mamba2", "gates: more than one state index", everywhere("conv1d.bias", 64.0, -7)),
    ("mamba2", "sums: chunk_size", setting("mixer", "chunk_size", 1 << 13)),
    ("mamba2", "rmsnorm: norm after the scan: epsilon", setting("mixer.norm", "variance_epsilon", -1e-5)),
    ("mamba2", "rmsnorm: norm after the scan", times("D", 3.0)),
    ("all", "functions: silu of a counter", lambda m: m.backbone.layers[0].mixer.out_proj.weight.mul_(2.0**-11)),
    ("all", "sums: conv1d: size", entry("conv1d.weight", 3, 1e30, 1)),
]
"""Which original, which obligation fails first (and where: parts of the message), and the edit of its model."""


def failure(forger: Forger, which: str, edit: Edit) -> str:
    """What the checker says of an edited model, with evidence of what that model does; "" if all is proved."""
    checkpoint = scancraft.load(forger.original(which))
    content = scancraft.certify(checkpoint.model(), checkpoint.language, readout=checkpoint.readout)
    assert isinstance(content, scancraft.Certificate)
    model = checkpoint.model()
    with torch.no_grad():
        edit(model)
    try:
        if content.content["method"] == "counters":
            return judge(content.content, model, content.evidence).failure
        stepper, readout = Stepper(model, BATCH), checkpoint.readout
        graph = inputs = Judge(checkpoint.dfa, readout).inputs(stepper)
        stages = []
        for block in range(len(stepper.blocks)):
            stage, graph = explore(stepper, block, block + 1, graph, Budget(300, 20.0).meter("events"))
            stages.append(stage)
        machine, language = Machine(model, BATCH), read_dfa(content.content["language"])
        arrays = check_shapes(evidence(tuple(stages), inputs), len(stages))
        embedded = machine.embed([*(readout.tokens[s] for s in language.symbols), readout.bos or 0])
        first = first_graph(arrays, "stage0.nodes", language, False, embedded)
        return str(check_stages(arrays, len(stages), first, language, machine, Obligations("float32")).failure or "")
    except RejectedError as error:
        return str(error)


@pytest.mark.parametrize("number", range(len(ATTACKS)), ids=[f"{a}-{b}" for a, b, _ in ATTACKS])
def test_each_obligation_is_missed(number: int, forger: Forger, monkeypatch: pytest.MonkeyPatch) -> None:
    which, what, edit = ATTACKS[number]
    name, _, where = what.partition(": ")
    said = failure(forger, which, edit)
    assert said.startswith(f"obligation {name}: "), said
    assert where in said
    switch_off(monkeypatch, name, where)
    assert failure(forger, which, edit) != said


def test_all_hold_of_what_is_compiled(forger: Forger) -> None:
    for which in ("signed", "falcon", "mamba2", "all"):
        assert failure(forger, which, lambda model: None) == ""
