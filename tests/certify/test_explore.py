"""Exploring a stage: what is listed does not depend on how many steps are evaluated together."""

from __future__ import annotations

import torch

from scancraft import compile, suite_language
from scancraft.automata.budget import Budget
from scancraft.automata.dfa import Dfa
from scancraft.certify.search.explore import Stage, WordGraph, explore, word_graph
from scancraft.models.run.stepper import Stepper


class Counted:
    """A stepper that counts its calls."""

    def __init__(self, stepper: Stepper) -> None:
        self.stepper, self.batch, self.calls = stepper, stepper.batch, 0

    def start(self, first: int, last: int, stream: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.stepper.start(first, last, stream)

    def step(
        self, first: int, last: int, stream: torch.Tensor, states: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.calls += 1
        return self.stepper.step(first, last, stream, states)


def explored(batch: int) -> tuple[list[Stage], int]:
    """The stages of D-4, block by block, and how often the model was stepped."""
    language = suite_language("D-4").language
    assert isinstance(language, Dfa)
    compiled = compile(language)
    machine, readout = Counted(Stepper(compiled.model(), batch)), compiled.readout
    tokens = torch.tensor([*(readout.tokens[s] for s in language.alphabet), readout.bos])
    graph: WordGraph = word_graph(language.semiautomaton.table, frozenset(), machine.stepper.embed(tokens))
    stages = []
    for block in range(len(machine.stepper.blocks)):
        stage, graph = explore(machine, block, block + 1, graph, Budget(10_000, 60).meter("events"))
        stages.append(stage)
    return stages, machine.calls


def listed(stage: Stage) -> set[tuple[bytes, bytes]]:
    """Own states and outputs of the events, by their bits."""
    return {(stage.states[s].numpy().tobytes(), stage.vectors[v].numpy().tobytes()) for _, s, v in stage.events}


def test_steps_that_fill_a_batch_change_nothing_that_is_listed() -> None:
    (alone, many), (together, few) = explored(1), explored(256)
    for one, other in zip(alone, together, strict=True):
        assert listed(one) == listed(other)
        assert len(one.events) == len(other.events)
        assert len(one.transitions) == len(other.transitions)
        assert [len(one.path(e)) for e in range(len(one.events))] == [
            len(other.path(e)) for e in range(len(other.events))
        ]
    assert few < many


def test_only_what_a_word_reaches_is_listed() -> None:
    for stage in explored(256)[0]:
        assert {s for _, s, _ in stage.events} == set(range(len(stage.states)))
        assert {v for _, _, v in stage.events} == set(range(len(stage.vectors)))
