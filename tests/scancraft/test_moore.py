"""Machines with outputs, used: looked into, varied, sampled from, tested against, and shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import scancraft
from scancraft import interp
from scancraft.automata.machines import MACHINES, corridor, depth
from scancraft.generating import generate
from scancraft.interp.expected import expected
from scancraft.models.errors import ReadoutError
from scancraft.testing import assert_models_language

COMPILED = [name for name in MACHINES if name not in ("sum mod 5", "cycle of 5")]


@pytest.mark.parametrize("construction", ["cascade", "plan"])
def test_labels_say_what_memories_hold(construction: Any) -> None:
    machine = corridor(3)
    model = scancraft.compile(machine, construction=construction)
    word = tuple("++-0+--")
    cache = interp.run_with_cache(model, [word])
    assert model.labels.memories
    for memory in model.labels.memories:
        assert memory.decode(cache)[0] == expected(model, memory, word)


@pytest.mark.parametrize("name", ["corridor of 5", "depth to 3"])
def test_a_variant_is_certified_and_says_the_same(name: str, tmp_path: Path) -> None:
    model = scancraft.compile(scancraft.named(name), tmp_path / "m")
    hidden = interp.variant(model, seed=1)
    found = scancraft.certify(hidden)
    assert found.verdict == "certified", found
    assert scancraft.check(hidden, words=20, short=200).agrees


def test_generated_words_are_symbols_and_members() -> None:
    machine = depth(2)
    model = scancraft.compile(machine, construction="cascade")
    samples = generate(model.model(), model.readout, 40, max_length=12, seed=1)
    assert any(sample.complete and sample.word for sample in samples)
    for sample in samples:
        assert machine.domain.accepts(sample.word) if sample.complete else machine.output(sample.word) != "wrong"
    only = scancraft.compile(corridor(3))
    with pytest.raises(ReadoutError, match="says classes"):
        generate(only.model(), only.readout, 1)
    processor = scancraft.LanguageLogitsProcessor.for_model(model.model(), [*model.manifest.outputs.values()])
    scores = torch.full((1, 16), 1.0)
    masked = processor(torch.tensor([[1]]), scores)[0]
    assert torch.isinf(masked[list(model.manifest.outputs.values())]).all()


def test_a_model_of_ones_own_is_judged_by_its_greatest_score() -> None:
    """Scores that are all negative, or all positive, are as right."""
    machine = corridor(3)
    compiled = scancraft.compile(machine)
    model, readout = compiled.model(), compiled.readout
    for shift in (0.0, -1000.0, 1000.0):
        assert_models_language(lambda ids, shift=shift: model(ids).logits + shift, machine, readout=readout)
    with pytest.raises(AssertionError, match=r"says \[\], the machine \['<class:0>'\]"):
        assert_models_language(lambda ids: -model(ids).logits, machine, readout=readout)


@pytest.mark.parametrize("name", COMPILED)
def test_they_show_themselves(name: str) -> None:
    machine = scancraft.named(name)
    model = scancraft.compile(machine)
    for value in (machine, model, model.manifest, model.circuit, model.run([])):
        assert repr(value).count("\n") == 0
        assert len(repr(value)) < 300
    assert "class" in machine._repr_html_()
    assert "/ " in (machine.svg() or "")
    assert "Moore machine" in str(model)
    assert "the class is " in str(model.circuit)
    assert str(machine).count("\n") == machine.n_states


def test_each_number_format() -> None:
    machine = corridor(4)
    for dtype in (torch.bfloat16, torch.float16):
        model = scancraft.compile(machine, dtype="float16")
        found = scancraft.certify(model, dtype=dtype)
        assert found.verdict == "certified", found
        assert found.content["dtype"] == str(dtype).removeprefix("torch.")  # type: ignore[union-attr]
