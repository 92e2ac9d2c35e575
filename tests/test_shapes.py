"""Annotated shapes are looked at: an array of another shape or dtype is an error while the tests run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

import scancraft
from scancraft.automata.families import tomita
from scancraft.certify.search.explore import word_graph
from scancraft.models.run.batches import prefix_scores
from scancraft.models.run.chunked import Layout, scan
from scancraft.models.run.stepper import Stepper


@pytest.fixture(scope="module")
def compiled() -> Any:
    return scancraft.compile(tomita(4), construction="cascade")


def test_a_stepper_wants_rows_of_one_length(compiled: Any) -> None:
    stepper = Stepper(compiled.model())
    stream = stepper.embed(torch.tensor([1, 4]))
    out, states = stepper.start(0, 1, stream)
    assert out.shape == stream.shape
    with pytest.raises(TypeCheckError):
        stepper.step(0, 1, stream[:1], states)
    with pytest.raises(TypeCheckError):
        stepper.embed(torch.tensor([[1, 4]]))
    with pytest.raises(TypeCheckError):
        stepper.embed(torch.tensor([1.0]))


def test_words_and_their_lengths_belong_together(compiled: Any) -> None:
    codes, readout = np.zeros((3, 2), dtype=np.uint16), compiled.readout
    assert prefix_scores(compiled.model(), readout, codes, np.array([2, 1, 0]), ("0", "1")).shape == (3, 3, 3)
    with pytest.raises(TypeCheckError):
        prefix_scores(compiled.model(), readout, codes, np.array([2, 1]), ("0", "1"))


def test_graphs_and_scans(compiled: Any) -> None:
    with pytest.raises(TypeCheckError):
        word_graph([[0]], frozenset(), torch.zeros(2))
    layout = Layout.of(1, 4, past=1)
    with pytest.raises(TypeCheckError):
        scan(torch.ones(2, 4), torch.ones(2, 3), torch.zeros(2, 1), layout)
