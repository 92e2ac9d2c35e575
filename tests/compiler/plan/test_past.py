"""Past formulas compiled directly agree with the textbook's semantics, as plans, as circuits and as models."""

from __future__ import annotations

from formulas import LETTERS, past_formulas, traces, words
from hypothesis import given, settings

import scancraft
from scancraft.automata.logic.ltl import ltl
from scancraft.automata.logic.past import Since
from scancraft.automata.logic.translate import past_ltl
from scancraft.automata.logic.tree import Formula
from scancraft.automata.logic.truth import accepts
from scancraft.compiler.past import past_formula
from scancraft.compiler.plan.circuits import plan_circuit
from scancraft.compiler.plan.past import name_of, past_plan

WORDS = words(4)
SETS = {letter: frozenset({letter}) for letter in LETTERS}


@given(past_formulas)
@settings(max_examples=60, deadline=None)
def test_plans_and_circuits_of_past_formulas(formula: Formula) -> None:
    language = past_ltl(formula, LETTERS, SETS, "last")
    plan = past_plan(language)
    circuit = plan_circuit(plan)
    for word in WORDS[::3]:
        wanted = [accepts(formula, traces(word[:n]), "last") for n in range(len(word) + 1)]
        assert ["<eos>" in allowed for allowed in plan.run(word)] == wanted
        assert ["<eos>" in allowed for _, allowed in circuit.run(word)] == wanted
        held = list(circuit.held(word))
        for moment, labels in zip(language.run(word), held, strict=True):
            for number, node in enumerate(language.nodes):
                if isinstance(node, Since) and name_of(number) in labels:
                    assert labels[name_of(number)] == moment.values[number], "a memory holds the value of its node"


def test_a_memory_for_each_since_and_a_block_for_each_level() -> None:
    nested = "a S (b S (c S (a & b)))"
    plan = past_plan(ltl("O(a & O(b & O(c & O a)))"))
    assert [len(block.memories) for block in plan.blocks] == [1, 1, 1, 1], nested
    flat = past_plan(ltl(" & ".join(f"G({a} -> F {b})" for a, b in ("ab", "bc", "ca"))))
    assert [len(block.memories) for block in flat.blocks] == [3]


def test_thirty_responses() -> None:
    n = 30
    text = " & ".join(f"G(p{i} -> F q{i})" for i in range(n))
    language = ltl(text)
    assert sum(isinstance(node, Since) for node in language.nodes) == n
    model = scancraft.compile(language)
    assert model.manifest.contract == "recognise"
    assert model.weights.shape.n_layers == 1
    assert model.language == language, "it is in normal form already"
    assert model.accepts(["p1", "p7", "q1", "q7"])
    assert not model.accepts(["p1", "p7", "q1"])
    assert scancraft.check(model, words=40, max_length=60).agrees


def test_models_agree_with_their_formulas() -> None:
    for text in ("a S b", "Y Y (a S Y b) | !O c", "H(c -> Y(a S b))", "Y Y Y Y a"):
        model = past_formula(ltl(text, LETTERS))
        assert model.manifest.contract == "recognise"
        assert scancraft.check(model, words=100, max_length=30).agrees
