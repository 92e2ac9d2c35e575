"""Certificates of counter languages and bounded Dyck languages: what is proved, and what is not."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from examples import machine
from forgery import accepted, certified, edit_json, rejected, set_at
from random_machines import random_machines

from scancraft import BoundedDyck, Budget, Certificate, Constructed, Counter, CounterMachine, Readout, Step
from scancraft.accuracy import accuracy
from scancraft.automata.counters.families import dyck_1, equal_blocks, shuffle
from scancraft.automata.families import dyck as dyck_dfa
from scancraft.automata.families import flip_flop as flip_flop_dfa
from scancraft.automata.languages import truth_of
from scancraft.certify.certify import Open, Refuted, certify
from scancraft.compiler.constructions import counters, dyck, flip_flop
from scancraft.models.precision import PrecisionError

CONTRACTS = ("live-prefixes", "all-words")
DTYPES = (torch.float32, torch.bfloat16)
NAMED = ("Dyck-1", "Shuffle-2", "Boolean-3", "a^n b^n", "a^n b^n c^n", "as many a as b", "busy", "twins", "Shuffle-6")
MACHINES = {name: machine(name) for name in NAMED} | {f"random {i}": m for i, m in enumerate(random_machines(8, 4))}


@pytest.mark.parametrize("name", MACHINES)
def test_counters_are_certified(name: str, tmp_path: Path) -> None:
    language = MACHINES[name]
    for contract, dtype in zip(CONTRACTS, DTYPES, strict=True) if name == "Shuffle-6" else product(CONTRACTS, DTYPES):
        compiled = counters(language, tmp_path, contract=contract)  # type: ignore[arg-type]
        found = certified(tmp_path, dtype=dtype)
        content, key = found.content, str(dtype).removeprefix("torch.")
        assert (found.scope, found.margin, content["method"]) == ("every-implementation", 16, "counters")
        by_name = {c.name: c.limits for c in compiled.manifest.counters}
        assert content["limits"] == {c.name: by_name[f"counter {c.name}"][key] for c in language.counters}
        assert "as long as no counter exceeds its limit" in content["claim"]
        assert accepted(tmp_path).transitions == content["counts"]["transitions"]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("kinds", "depth"), [(1, 1), (2, 1), (1, 4), (2, 3), (5, 2), (8, 10)])
def test_bounded_dyck_is_certified(kinds: int, depth: int, dtype: torch.dtype, tmp_path: Path) -> None:
    dyck(kinds, depth, tmp_path)
    content = certified(tmp_path, dtype=dtype).content
    assert (content["method"], content["limits"]) == ("slots", {})
    assert content["counts"]["readouts"] == kinds * depth + kinds * (1 + (depth - 1) * kinds) + 1
    assert "of any length" in content["claim"]
    assert accepted(tmp_path).steps > 0


@pytest.mark.parametrize("d_conv", [3, 4])
def test_more_taps_than_needed(d_conv: int, tmp_path: Path) -> None:
    counters(shuffle(2), tmp_path / "counters", d_conv=d_conv)
    dyck(2, 2, tmp_path / "slots", d_conv=d_conv)
    for name in ("counters", "slots"):
        certified(tmp_path / name)
        accepted(tmp_path / name)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ["Shuffle-2", "as many a as b", "Boolean-3"])
def test_limits_that_the_dtype_does_not_hold_are_rejected(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    counters(MACHINES[name], tmp_path)
    content = certified(tmp_path, dtype=dtype).content
    for counter, limit in content["limits"].items():
        # The search is more careful than it need be about signed counters in bfloat16.
        most = 2 * limit if name == "as many a as b" and dtype == torch.bfloat16 else limit
        for higher in (most + 1, 2 * most):
            edit_json(tmp_path / "certificate.json", set_at("limits", counter, value=higher))
            rejected(tmp_path)
        edit_json(tmp_path / "certificate.json", lambda c, n=counter, v=limit: c["limits"].update({n: v}))  # type: ignore[misc]
    accepted(tmp_path)


def test_the_slots_proof_agrees_with_the_exhaustive_one() -> None:
    """Dyck_{2,2} has a small DFA: explore every reachable state of the whole model, too."""
    compiled = dyck(2, 2)
    found = certify(compiled.model(), dyck_dfa(2, 2), readout=compiled.readout)
    assert isinstance(found, Certificate)
    assert found.content["method"] == "whole model"


# -- wrong models ------------------------------------------------------------------------------------------------------


def mutants(compiled: Constructed, count: int, seed: int) -> list[tuple[str, torch.nn.Module]]:
    """Models with one non-zero weight changed."""
    rng = random.Random(seed)
    found = []
    places = [
        (name, tuple(place))
        for name, tensor in compiled.weights.tensors.items()
        for place in np.argwhere(tensor).tolist()
        if "norm" not in name
    ]
    for name, place in rng.sample(places, min(count, len(places))):
        model = compiled.model()
        weight = model.get_parameter(name)
        with torch.no_grad():
            weight[place] = rng.choice((0.0, -float(weight[place]), 2 * float(weight[place])))
        found.append((f"{name}{place}", model))
    return found


BUILD: dict[str, tuple[Callable[[], Constructed], int]] = {
    "Dyck-1": (lambda: counters(dyck_1()), 10),
    "Dyck-1 live": (lambda: counters(dyck_1(), contract="live-prefixes"), 10),
    "Shuffle-2": (lambda: counters(shuffle(2)), 6),
    "Dyck_{2,2}": (lambda: dyck(2, 2), 8),
}


@pytest.mark.parametrize("name", BUILD)
def test_what_is_certified_is_right(name: str) -> None:
    """Mutants that are certified agree with the language on all short words; refuted ones are wrong where it says."""
    compiled, longest = BUILD[name][0](), BUILD[name][1]
    language, readout, truth = compiled.language, compiled.readout, truth_of(compiled.language)
    words = list(product(language.alphabet, repeat=longest))
    words = random.Random(0).sample(words, min(len(words), 300))
    verdicts = {"certified": 0, "counterexample": 0, "undecided": 0}
    for change, model in mutants(compiled, 12, 5):
        found = certify(model, language, readout=readout, budget=Budget(seconds=20.0))
        verdicts[found.verdict] += 1
        if isinstance(found, Certificate):
            assert accuracy(model, truth, readout, words).strings == 100, change
        elif isinstance(found, Refuted):
            assert accuracy(model, truth, readout, [found.word]).strings == 0, change
    assert verdicts["counterexample"] >= 3, verdicts


def test_the_wrong_language_is_refuted() -> None:
    compiled = counters(shuffle(2))
    other = CounterMachine(  # like Shuffle-2, but the second kind may be left open
        shuffle(2).alphabet,
        shuffle(2).counters,
        "q",
        shuffle(2).transitions,
        {"q": {"depth (": "zero"}},
    )
    found = certify(compiled, other)
    assert isinstance(found, Refuted)
    assert "<eos>" in found.right - found.model


def test_budgets_and_contracts() -> None:
    compiled = counters(equal_blocks("ab"))
    found = certify(compiled, budget=Budget(items=2, seconds=60))
    assert isinstance(found, Open)
    assert "the control" in found.reason
    everything = dyck(2, 2, contract="all-words")
    undecided = certify(everything)
    assert isinstance(undecided, Open)
    assert "live prefixes only" in undecided.reason
    with pytest.raises(PrecisionError, match="float16 cannot hold the weights"):
        certify(compiled, dtype=torch.float16)


def one_state(names: str, row: dict[str, Step], accepting: dict[str, str], **about: Any) -> CounterMachine:
    """A machine of one state; the symbols are those of its row."""
    return CounterMachine(tuple(row), tuple(Counter(n, **about) for n in names), "q", {"q": row}, {"q": accepting})


def test_only_signs_that_go_together_are_cases(tmp_path: Path) -> None:
    """A counter that never moves, a language of one word, no symbols: right models are certified."""
    up, down = Step("q", {"x": 1}), Step("q", {"x": -1}, {"x": "positive", "z": "zero"})
    idle = one_state("xz", {"a": up, "b": down}, {"x": "zero"})
    empty_word = CounterMachine(("a",), (Counter("x"),), "q", {"q": {}}, {"q": {}})
    for language in (idle, empty_word, one_state("x", {}, {})):
        for contract in CONTRACTS:
            counters(language, tmp_path, contract=contract)  # type: ignore[arg-type]
            certified(tmp_path)
            accepted(tmp_path)


def test_nothing_is_refuted_past_the_limits() -> None:
    """The argument fails (two counters in one verdict do not), and sampled words go far past 2^23."""
    big = 2**23 - 1
    row = {
        "a": Step("q", {"x": big}, {"z": "zero"}),
        "b": Step("q", {"x": -big}),
        "u": Step("q", {"x": 1}),
        "d": Step("q", {"x": -1}),
    }
    found = certify(counters(one_state("xz", row, {"x": "zero"}, signed=True)))
    assert not isinstance(found, Refuted), found


def test_readouts_of_other_tokens_are_honoured() -> None:
    """Swap the two tokens of Dyck-1: the language is then that of ) as the opening bracket, which it is not."""
    compiled = counters(dyck_1())
    tokens = dict(compiled.readout.tokens)
    swapped, few = Readout(tokens={"(": tokens[")"], ")": tokens["("]}, bos=1, accept=2), Budget(items=500)
    assert isinstance(certify(compiled.model(), dyck_1(), readout=swapped, budget=few), Refuted)
    assert isinstance(
        certify(compiled.model(), flip_flop_dfa(), readout=flip_flop().readout, budget=few), Refuted | Open
    )
    assert BoundedDyck(1, 1).accepts("()")
