"""Machines with outputs, compiled: the class of every prefix, in every target, certified."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from moores import all_words, moores, said

import scancraft
from scancraft import Certificate, GateClassError, Moore, NotStarFreeError, star_free_witness
from scancraft.automata.alphabet import EOS, class_token
from scancraft.automata.budget import Budget
from scancraft.automata.formats.outputs import moore_to_json
from scancraft.automata.languages import truth_of
from scancraft.automata.machines import MACHINES
from scancraft.certify.check import compare
from scancraft.compiler.circuits.circuit import value_of
from scancraft.models.errors import ReadoutError

COMPILED = [name for name in MACHINES if name not in ("sum mod 5", "cycle of 5")]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(moores(predicts=None))
def test_star_free_machines_say_the_class_of_every_word(machine: Moore) -> None:
    """Against the tables, the circuit in integers and the acceptor, on all short words; and by a certificate."""
    if star_free_witness(machine) is not None:
        with pytest.raises(NotStarFreeError):
            scancraft.compile(machine, gates="nonnegative")
        return
    model = scancraft.compile(machine, budget=Budget(items=50_000))
    runner, content = model.runner(), moore_to_json(machine)
    words = list(all_words(machine.alphabet, 5))
    assert compare(runner, machine, model.readout, words).agrees
    for word, verdict in zip(words, scancraft_verdicts(model, words), strict=True):
        assert verdict == said(content, word)
        *_, (features, allowed) = model.circuit.run(word)
        assert allowed == machine.allowed(machine.run(word))
        assert all((value_of(model.circuit.verdicts[t], features) <= 0) == (t in allowed) for t in machine.tokens)
    found = model.certify()
    assert isinstance(found, Certificate), found
    assert (found.scope, found.margin) >= ("every-implementation", 16.0)


def scancraft_verdicts(model: scancraft.Model, words: list[tuple[str, ...]]) -> list[str | None]:
    return [model.output(word) for word in words]


@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize("target", ["mamba", "signed_mamba", "mamba2", "falcon_mamba"])
def test_the_named_ones_in_every_target(name: str, target: str, tmp_path: Path) -> None:
    machine = MACHINES[name]()
    if star_free_witness(machine) is not None and target != "signed_mamba":
        with pytest.raises(NotStarFreeError):
            scancraft.compile(machine, target=target)
        return
    made = scancraft.compile(machine, tmp_path / "m", target=target)
    model = scancraft.load(tmp_path / "m")
    assert model.language == machine
    assert model.manifest.contract == ("all-words" if machine.predicts else "outputs")
    assert tuple(model.manifest.outputs) == machine.classes
    assert model.check(words=40, max_length=60, short=500).agrees
    found = model.certify()
    assert isinstance(found, Certificate), found
    assert found.scope == "every-implementation"
    assert found.margin == (16.0 if machine.predicts else 32.0)
    again = scancraft.compile(machine, target=target)
    assert {n: t.tobytes() for n, t in again.weights.tensors.items()} == {
        n: t.tobytes() for n, t in made.weights.tensors.items()
    }


@pytest.mark.parametrize("construction", ["cascade", "plan"])
@pytest.mark.parametrize("name", ["last letter", "majority to 3", "depth to 3"])
def test_each_construction(name: str, construction: str) -> None:
    machine = MACHINES[name]()
    model = scancraft.compile(machine, construction=construction)
    assert model.manifest.kind == construction
    assert isinstance(model.certify(), Certificate)


def test_groups_that_real_gates_do_not_have() -> None:
    with pytest.raises(GateClassError, match=r"Z3|Z5|complex"):
        scancraft.compile(MACHINES["sum mod 5"](), gates="signed")


def test_the_transformers_model_and_its_argmax(tmp_path: Path) -> None:
    """What a person does who has transformers only."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    machine = MACHINES["corridor of 5"]()
    compiled = scancraft.compile(machine, tmp_path / "m")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "m")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "m")
    rows = list(compiled.manifest.outputs.values())
    logits = model(**tokenizer("+++-++++-", return_tensors="pt")).logits[0][:, rows]
    assert [machine.classes[int(n)] for n in logits.argmax(dim=-1)] == list(machine.trace("+++-++++-"))
    greatest = logits.amax(dim=-1, keepdim=True)
    assert (greatest - logits)[logits != greatest].min() >= 32
    assert set(tokenizer.get_vocab().values()).isdisjoint(rows)  # no text is read as a class


def test_beside_what_may_come_next() -> None:
    machine = MACHINES["depth to 3"]()
    model = scancraft.compile(machine)
    verdict = model.run("(()(")
    assert (verdict.output, verdict.allowed, verdict.accepts) == ("2", {"(", ")"}, False)
    assert (model.output("())"), model.allowed("())")) == ("wrong", set())
    masks = truth_of(machine).next_masks(*truth_of(machine).encode(["(()("]))
    assert masks[0, 4].tolist() == [True, True, False, *(c == "2" for c in machine.classes)]
    assert verdict.as_json()["class"] == "2"


def test_what_a_model_does_not_say_it_refuses() -> None:
    model, language = scancraft.compile(MACHINES["parity output"]()), scancraft.compile("(ab)*")
    for asked in (lambda: model.accepts("01"), lambda: model.allowed("01"), lambda: language.output("ab")):
        with pytest.raises(ReadoutError):
            asked()
    assert str(model.run("0111")) == "0111: class 1"


def test_classes_are_no_tokens() -> None:
    model = scancraft.compile(MACHINES["parity output"]())
    assert set(model.manifest.verdicts) == {class_token("0"), class_token("1")}
    assert EOS not in model.manifest.verdicts
    assert set(model.manifest.tokens.values()).isdisjoint(model.manifest.outputs.values())


def test_a_tie_is_no_class() -> None:
    readout = scancraft.Readout({"a": 3}, bos=1, accept=None, next_symbol={}, classes={"x": 4, "y": 5})
    scores = torch.tensor([[[1.0, 1.0], [2.0, 1.0], [-3.0, -2.0]]])
    assert readout.says(scores).tolist() == [[[False, False], [True, False], [False, True]]]
