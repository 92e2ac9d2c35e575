"""Plans as circuits and as weights: all three say the same, however the model is run."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from plans import BY_HAND, plans

from scancraft.automata.alphabet import BOS, EOS
from scancraft.compiler.circuits.circuit import Circuit
from scancraft.compiler.plan.circuits import fits, plan_circuit
from scancraft.compiler.plan.plan import Plan
from scancraft.compiler.plan.separate import separated
from scancraft.compiler.targets import TARGETS, Options
from scancraft.compiler.targets.tokens import token_ids
from scancraft.models.build import build_model

DTYPES = (torch.float32, torch.bfloat16, torch.float64)


def examples(count: int) -> settings:
    return settings(max_examples=count, deadline=None, derandomize=True, database=None)


def words_of(plan: Plan) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(plan.alphabet), max_size=12).map(tuple)


def allowed_by_model(
    plan: Plan, circuit: Circuit, target: str, tokens: list[str], dtype: torch.dtype
) -> list[set[str]]:
    """The tokens with a positive logit after each token of a sequence."""
    ids = token_ids(plan.alphabet)
    weights = TARGETS[target].lowered(circuit, Options()).weights
    model = build_model(weights, pad=ids["<pad>"], bos=ids[BOS], eos=ids[EOS], dtype=dtype)
    with torch.no_grad():
        logits = model(torch.tensor([[ids[token] for token in tokens]])).logits[0]
    return [{token for token, i in ids.items() if row[i] > 0} for row in logits]


@pytest.mark.parametrize("name", BY_HAND)
def test_plans_by_hand_on_all_short_words(name: str) -> None:
    plan, _ = BY_HAND[name]()
    circuit = plan_circuit(separated(plan))
    for length in range(6):
        for word in product(plan.alphabet, repeat=length):
            assert [allowed for _, allowed in circuit.run(word)] == list(plan.run(word))


@examples(100)
@given(plans(), st.data())
def test_a_circuit_says_what_its_plan_says(plan: Plan, data: st.DataObject) -> None:
    plan = separated(plan)
    assume(fits(plan) is None)
    circuit = plan_circuit(plan)
    word = data.draw(words_of(plan))
    assert [allowed for _, allowed in circuit.run(word)] == list(plan.run(word))


@pytest.mark.parametrize("target", TARGETS)
@examples(10)
@given(plans(), st.data())
def test_a_model_says_what_its_plan_says_in_packed_sequences_too(target: str, plan: Plan, data: st.DataObject) -> None:
    plan = separated(plan)
    assume(fits(plan) is None)
    circuit = plan_circuit(plan)
    words = data.draw(st.lists(words_of(plan), min_size=1, max_size=3))
    gap = data.draw(st.sampled_from([[], [EOS], ["<pad>"], [EOS, "<pad>"]]))
    tokens = [token for word in words for token in [*gap, BOS, *word]]
    right = [allowed for word in words for allowed in [*([frozenset()] * len(gap)), *plan.run(word)]]
    dtype = data.draw(st.sampled_from(DTYPES))
    assert allowed_by_model(plan, circuit, target, tokens, dtype) == right
