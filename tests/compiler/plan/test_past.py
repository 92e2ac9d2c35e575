"""Past formulas compiled directly agree with the textbook's semantics, as plans, as circuits and as models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from formulas import LETTERS, past_formulas, traces, words
from hypothesis import given, settings

import scancraft
from scancraft.automata.budget import Budget
from scancraft.automata.errors import BudgetExceededError
from scancraft.automata.languages import language_to_json
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
    plan = past_plan(ltl("O(a & O(b & O(c & O a)))"))
    assert [len(block.memories) for block in plan.blocks] == [1, 1, 1, 1]
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


def test_members_of_a_formula_whose_automaton_is_too_large() -> None:
    language = ltl(" & ".join(f"G(p{i} -> F q{i})" for i in range(30)))
    found = scancraft.members_of(language, 20, 5, 40, np.random.default_rng(0))
    assert all(language.accepts(word) and 5 <= len(word) <= 40 for word in found)
    small = ltl("G(p -> F q)")
    first, again = (scancraft.members_of(small, 20, 5, 40, np.random.default_rng(0)) for _ in range(2))
    assert first == again
    with pytest.raises(scancraft.EmptyLanguageError):
        scancraft.members_of(ltl(" & ".join(f"O p{i}" for i in range(30))), 5, 3, 9, np.random.default_rng(0))


def test_the_size_is_that_of_the_formula() -> None:
    def channels(n: int) -> int:
        circuit = past_formula(ltl(" & ".join(f"G(p{i} -> F q{i})" for i in range(n)))).circuit
        return sum(len(block.channels) for block in circuit.blocks)

    assert [channels(n) for n in (10, 20, 40)] == [3 * 10, 3 * 20, 3 * 40]


def test_formulas_in_files_and_budgets(tmp_path: Path) -> None:
    language = ltl("H(c -> O(a & Y b))")
    place = tmp_path / "formula.json"
    place.write_text(json.dumps(language_to_json(language)))
    assert scancraft.as_language(place) == language
    with pytest.raises(BudgetExceededError, match=r"literals of events|nodes of decision diagrams"):
        past_formula(ltl(" & ".join(f"G(p{i} -> F q{i})" for i in range(30))), budget=Budget(items=50))


def test_parts_that_take_too_many_events_have_memories_of_their_own() -> None:
    letters = [f"{c}{i}" for i in range(8) for c in "xy"]
    every = " & ".join(f"(O x{i} | O y{i})" for i in range(8))  # as a disjunction of conjunctions: 2^8
    language = ltl(f"O (x0 & Y (({every}) <-> O y3))", letters)
    plan = past_plan(language)
    assert max(len(events) for memory in plan.memories for events in memory.writes.values()) <= 32
    assert len(plan.memories) < 60
    rng = np.random.default_rng(1)
    for _ in range(40):
        word = [letters[i] for i in rng.integers(len(letters), size=30)]
        *_, allowed = plan.run(word)
        assert ("<eos>" in allowed) == language.accepts(word)
