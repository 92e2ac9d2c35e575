"""The choice between the cascade and plans, and models of plans against the language itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pytest
import torch
from examples import dfas
from hypothesis import given, settings
from hypothesis import strategies as st

import scancraft
from scancraft.automata.alphabet import EOS
from scancraft.automata.budget import Budget
from scancraft.automata.dfa import Dfa
from scancraft.compiler.alternatives import NoPlanError, UnknownChoiceError
from scancraft.compiler.plan.prove import prove
from scancraft.compiler.targets import TARGETS
from scancraft.testing import any_words, assert_models_language, star_free_dfas

NAMED = ("Tomita-4", "Tomita-7", "D-2", "{a,b}*d{b,c}*", "aa*bb*cc*dd*ee*", "Flip-flop")
BLOCKS = {"Tomita-4": 2, "Tomita-7": 2, "D-2": 2, "{a,b}*d{b,c}*": 2, "aa*bb*cc*dd*ee*": 1, "Flip-flop": 2}
"""How many blocks a plan takes at most."""


def examples(count: int) -> settings:
    return settings(max_examples=count, deadline=None, derandomize=True, database=None)


def allowed(dfa: Dfa, word: Sequence[str]) -> frozenset[str]:
    q = dfa.run(tuple(word))
    return dfa.next_symbols(q) | ({EOS} if q in dfa.accepting else frozenset())


def positive(compiled: Any, tokens: Sequence[int]) -> list[frozenset[str]]:
    """The tokens with a positive logit, after each token of a sequence."""
    with torch.no_grad():
        logits = compiled.model()(torch.tensor([list(tokens)])).logits[0]
    return [frozenset(t for t, i in compiled.manifest.tokens.items() if row[i] > 0) for row in logits]


@pytest.mark.parametrize("name", NAMED)
def test_plans_of_well_known_languages(name: str) -> None:
    dfa = dfas()[name]
    compiled = scancraft.compile(dfa, optimise="depth", construction="plan")
    assert compiled.plan is not None
    assert prove(compiled.plan, dfa) >= dfa.n_states
    assert compiled.weights.shape.n_layers <= BLOCKS[name] < compiled.cascade.height
    verdict = scancraft.certify(compiled)
    assert (verdict.verdict, verdict.scope) == ("certified", "every-implementation")


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_writes_plans(target: str) -> None:
    compiled = scancraft.compile(dfas()["D-2"], construction="plan", target=target)
    assert compiled.manifest.kind == "plan"
    assert_models_language(compiled, compiled.dfa, words=20, max_length=40, short=200)
    if target != "olmo_hybrid":  # of which certificates are not made yet
        assert scancraft.certify(compiled).scope == "every-implementation"


@examples(20)
@given(star_free_dfas(6), st.data())
def test_whatever_is_chosen_is_right_in_packed_sequences_too(dfa: Dfa, data: st.DataObject) -> None:
    wanted: Literal["depth", "size"] = data.draw(st.sampled_from(["depth", "size"]))
    compiled = scancraft.compile(dfa, optimise=wanted)
    words = data.draw(st.lists(any_words(dfa, max_length=8), min_size=2, max_size=3))
    gap = data.draw(st.sampled_from([[], [EOS], ["<pad>"]]))
    ids = compiled.manifest.tokens
    tokens = [i for word in words for i in [*compiled.readout.encode(word), *(ids[t] for t in gap)]]
    right = [
        answer
        for word in words
        for answer in [*(allowed(dfa, word[:n]) for n in range(len(word) + 1)), *[frozenset()] * len(gap)]
    ]
    assert positive(compiled, tokens) == right


@examples(15)
@given(star_free_dfas(6))
def test_the_choice_is_the_least_of_the_alternatives(dfa: Dfa) -> None:
    by_size, by_depth = scancraft.compile(dfa), scancraft.compile(dfa, optimise="depth")
    for compiled, wanted in ((by_size, None), (by_depth, "depth")):
        manifest = compiled.manifest
        assert manifest.optimise == wanted
        assert (manifest.kind == "plan") == (compiled.plan is not None)
        own = (compiled.weights.shape.n_layers, compiled.weights.n_parameters)
        assert own in {(size.blocks, size.parameters) for size in manifest.alternatives}
    assert by_size.weights.n_parameters == min(size.parameters for size in by_size.manifest.alternatives)
    assert by_depth.weights.shape.n_layers == min(size.blocks for size in by_depth.manifest.alternatives)
    assert by_depth.weights.shape.n_layers <= max(1, by_depth.cascade.height)
    assert by_size.weights.n_parameters <= scancraft.compile(dfa, construction="cascade").weights.n_parameters


def test_equal_languages_give_equal_bytes() -> None:
    one, other = (scancraft.compile("(a(ab)*b)*", construction="plan") for _ in range(2))
    assert one.manifest == other.manifest
    assert all((one.weights.tensors[name] == other.weights.tensors[name]).all() for name in one.weights.tensors)


def test_taps_that_were_asked_for_are_kept_to() -> None:
    wide = scancraft.compile("(a(ab)*b)*", construction="plan")
    assert wide.weights.shape.d_conv == wide.circuit.window == 3
    for taps in (2, 4):
        assert scancraft.compile("(a(ab)*b)*", d_conv=taps).weights.shape.d_conv == taps
    assert scancraft.compile("(a(ab)*b)*", d_conv=2).circuit.window == 2


def test_a_plan_is_there_where_the_cascade_is_past_the_budget() -> None:
    dfa = dfas()["aa*bb*cc*dd*ee*"]
    with pytest.raises(scancraft.BudgetExceededError):
        scancraft.compile(dfa, construction="cascade", budget=Budget(3))
    with pytest.raises(scancraft.BudgetExceededError):
        scancraft.compile(dfa, budget=Budget(3))


def test_what_cannot_be_asked_for() -> None:
    with pytest.raises(UnknownChoiceError, match="depth or size, not 'speed'"):
        scancraft.compile("ab", optimise="speed")  # type: ignore[arg-type]
    with pytest.raises(UnknownChoiceError, match="no construction 'magic'"):
        scancraft.compile("ab", construction="magic")  # type: ignore[arg-type]
    with pytest.raises(NoPlanError, match="of star-free languages only") as never:
        scancraft.compile("(aa)*", construction="plan")
    with pytest.raises(NoPlanError, match="no plan was found within the budget") as undecided:
        scancraft.compile(dfas()["aa*bb*cc*dd*ee*"], construction="plan", budget=Budget(40))
    assert (never.value.exit_code, undecided.value.exit_code) == (2, 3)


def test_float16_holds_a_plan() -> None:
    compiled = scancraft.compile("(a(ab)*b)*", construction="plan", dtype="float16")
    model = compiled.model(torch.float16)
    for word in ("", "aabb", "abab", "aab", "b", "aaa"):
        with torch.no_grad():
            logits = model(torch.tensor([compiled.readout.encode(tuple(word))])).logits[0]
        said = [frozenset(t for t, i in compiled.manifest.tokens.items() if row[i] > 0) for row in logits]
        assert said == [allowed(compiled.dfa, word[:n]) for n in range(len(word) + 1)]
