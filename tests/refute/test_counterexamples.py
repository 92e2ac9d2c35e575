"""Counterexamples: planted faults are found where they must show, right models have none, forgeries are refused."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from oracle import may_follow, positive, states_along
from planted import first_failure, latch, leaking, without_a

import scancraft
from scancraft import Budget, Dfa, Readout
from scancraft.automata import families
from scancraft.models.classes import model_classes
from scancraft.models.errors import CheckpointError
from scancraft.models.run.threads import one_thread
from scancraft.refute.checker.refutation import check_refutation
from scancraft.refute.pumping.counterexample import find_counterexample
from scancraft.refute.pumping.limits import limit_of
from scancraft.refute.pumping.loops import Loops
from scancraft.refute.results import Counterexample, Refutation, Unsettled, load_saved
from scancraft.refute.trajectories import Trajectories

BUDGET = Budget(items=5_000_000, seconds=None)
TWO_BLOCKS = {"hidden_size": 16, "num_hidden_layers": 2, "vocab_size": 8}
KINDS: dict[str, dict[str, Any]] = {
    "mamba": {**TWO_BLOCKS, "state_size": 4},
    "falcon_mamba": {**TWO_BLOCKS, "state_size": 4},
    "mamba2": {
        **TWO_BLOCKS,
        **{"state_size": 8, "num_heads": 4, "head_dim": 8, "n_groups": 1, "expand": 2, "chunk_size": 8},
    },
}

SEEDS = {"mamba": 4, "falcon_mamba": 7, "mamba2": 2}


@one_thread()
def found_in(model: Any, language: Dfa, bound: Readout, **settings: Any) -> Counterexample:
    settings = {"budget": BUDGET, "short": 500} | settings
    found = find_counterexample(model, language, bound, **settings)
    assert isinstance(found, Counterexample), found
    return found


@one_thread()
def none_in(model: Any, language: Dfa, bound: Readout, budget: Budget = BUDGET) -> Unsettled:
    found = find_counterexample(model, language, bound, budget, short=500)
    assert isinstance(found, Unsettled), found
    return found


def random_model(kind: str, seed: int) -> Any:
    config, model = model_classes(kind)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model(config(**KINDS[kind])).eval()


# -- planted faults --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gate", [0.9, 0.99, 0.999])
def test_a_leaking_latch_is_found_where_it_has_leaked_enough(gate: float) -> None:
    model, compiled, first = leaking(gate), latch(), first_failure(gate)
    assert isinstance(compiled.language, Dfa)
    found = found_in(model, compiled.language, compiled.readout)
    assert found.word == ("a", *"b" * first)
    assert found.content["model"] == ["a", "b"]
    assert found.content["ways"] == ["token by token", "in one shot"]
    assert check_refutation(found, model, compiled.language, compiled.readout).reason == ""
    if first > 7:  # shorter words are all tried, and no loop is needed
        pattern = found.pattern
        assert pattern is not None
        assert (pattern.x, pattern.w, pattern.y, pattern.first) == (("a",), ("b",), (), first)
        assert pattern.repeats == pattern.read_to
        assert f"for every n >= {first:,}" in str(found)


def test_what_is_claimed_of_a_gate_that_hardly_leaks() -> None:
    gate = 1 - 2.0**-13
    model, compiled, first = leaking(gate), latch(), first_failure(gate)
    assert isinstance(compiled.language, Dfa)
    found = found_in(model, compiled.language, compiled.readout, budget=Budget(items=80_000, seconds=None))
    pattern = found.pattern
    assert pattern is not None
    assert (pattern.first, pattern.repeats) == (len(found.word) - 1, None)
    assert abs(pattern.first - first) <= 2  # the gate is a float
    assert found.content["claim"].endswith(
        f"for every n from {pattern.first} to {pattern.read_to}, the last that was read"
    )
    checked = check_refutation(found, model)
    assert (checked.accepted, checked.claim) == (True, found.content["claim"])


def test_the_first_failure_is_that_of_reading_every_prefix() -> None:
    model, compiled, first = leaking(0.99), latch(), first_failure(0.99)
    tokens = compiled.readout.encode(("a", *"b" * (first + 20)))
    with torch.no_grad():
        scores = model(torch.tensor([tokens])).logits[0, 1:, compiled.readout.accept]
    assert (scores > 0).tolist() == [n < first for n in range(first + 21)]


@pytest.mark.parametrize("kind", KINDS)
def test_random_models_of_every_kind(kind: str) -> None:
    """The score of one token on a^n goes one way; a threshold in the middle is crossed once."""
    model = random_model(kind, SEEDS[kind])
    with torch.no_grad():
        scores = model(torch.tensor([[1, *[3] * 1500]])).logits[0]
    turning = []
    for column in range(8):
        threshold = float(scores[60, column] + scores[-1, column]) / 2
        above = (scores[:, column] > threshold).tolist()
        changes = [n for n in range(1, len(above)) if above[n] != above[n - 1]]
        if len(changes) == 1 and changes[0] > 60:
            turning.append((changes[0], column, threshold, above[0]))
    turn, column, threshold, first = min(turning)
    language = scancraft.as_dfa("a*") if first else Dfa.from_words(("a",), [])
    bound = Readout({"a": 3}, bos=1, accept=column, next_symbol={}, threshold=threshold)
    found = found_in(model, language, bound, short=20, budget=Budget(items=80_000, seconds=None))
    assert found.word == ("a",) * turn
    assert found.pattern is not None
    assert len(found.pattern.x) + found.pattern.first * len(found.pattern.w) + len(found.pattern.y) == turn
    assert check_refutation(found, model, language, bound).reason == ""


# -- no false ones ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "target"), [("(ab)*", "mamba"), ("a*b*c*", "falcon_mamba"), ("(a|b)*a", "mamba2")])
def test_right_models_have_no_counterexample(text: str, target: str) -> None:
    compiled = scancraft.compile(text, target=target)
    assert isinstance(compiled.language, Dfa)
    open_ = none_in(compiled.model(), compiled.language, compiled.readout)
    assert open_.word is None
    assert re.fullmatch(
        r"no counterexample was found: every word up to length \d+, 400 random words, \d+ pairs .* at n = infinity",
        open_.reason,
    )


def test_the_contract_is_honoured() -> None:
    """Whatever follows an a is dead, and only there is the model wrong."""
    compiled = without_a()
    assert isinstance(compiled.language, Dfa)
    model = leaking(0.9, compiled)
    none_in(model, compiled.language, replace(compiled.readout, contract="live-prefixes"))
    assert found_in(model, compiled.language, compiled.readout).word == ("a", *"b" * first_failure(0.9))


def test_a_spent_budget_is_said() -> None:
    compiled = latch()
    assert isinstance(compiled.language, Dfa)
    for budget, said in ((Budget(items=100, seconds=None), "100"), (Budget(items=10_000, seconds=0.0), "seconds")):
        assert said in none_in(leaking(0.99), compiled.language, compiled.readout, budget).reason
    far = none_in(leaking(1 - 2.0**-20), compiled.language, compiled.readout, Budget(items=250_000, seconds=None))
    assert re.search(r"seems to fail from about n = (2\d\d|3\d\d),\d\d\d on", far.reason)


def test_numbers_that_overflow_are_no_counterexample() -> None:
    compiled = latch()
    assert isinstance(compiled.language, Dfa)
    model = compiled.model().eval()
    with torch.no_grad():
        model.lm_head.weight *= 1e38
    found = none_in(model, compiled.language, compiled.readout)
    assert found.word is None


# -- parts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Tomita-4", "Tomita-7", "D-2", "aa*bb*cc*dd*ee*"])
def test_loops_come_back_and_none_that_is_short_is_missing(name: str) -> None:
    dfa = scancraft.suite_language(name).language
    assert isinstance(dfa, Dfa)
    covered = frozenset(range(dfa.n_states))
    loops = Loops(dfa, covered)
    for state in covered:
        found = loops.at(state, 1000)
        assert len(set(found)) == len(found)
        for word in found:
            assert dfa.semiautomaton.run(state, [dfa.alphabet[a] for a in word]) == state
        short = {w for n in (1, 2, 3) for w in product(range(len(dfa.alphabet)), repeat=n)}
        short = {w for w in short if dfa.semiautomaton.run(state, [dfa.alphabet[a] for a in w]) == state}
        assert {w for w in short if len({*w}) > 1 or len(w) == 1} <= set(found)
    ways = loops.ways_in(2, 50)
    assert {w[:-1] for w in ways if w} <= set(ways)


@pytest.mark.parametrize("kind", KINDS)
@one_thread()
def test_limits_are_where_long_reading_ends(kind: str) -> None:
    model = random_model(kind, 2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("dt_bias", "dt_proj.bias")):
                parameter.fill_(-1.0)
    lines = Trajectories(model)
    words = [[3, 4], [4, 5], [5, 5]]
    start = torch.cat([lines.stepper.start(0, 2, lines.stepper.embed(torch.tensor([1])))[1]] * 3)
    limit = limit_of(lines.stepper, start, words)
    after = {n: lines.run(start, [word * n for word in words])[1] for n in (12, 120)}
    scale = float(after[120].abs().max())
    assert float((limit.states - after[120]).abs().max()) < 1e-4 * scale
    first = slice(0, lines.stepper.block_size)
    closed = limit.at([0, 1, 2], [12, 12, 12])[:, first]
    assert float((closed - after[12][:, first]).abs().max()) < 1e-3 * scale


# -- the file and its checker ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def leak() -> Any:
    return leaking(0.95)


@pytest.fixture(scope="module")
def kept(leak: Any) -> dict[str, Any]:
    compiled = latch()
    assert isinstance(compiled.language, Dfa)
    found = found_in(leak, compiled.language, compiled.readout, short=20)
    assert found.pattern is not None
    return found.content


CHANGES: list[tuple[str, Any, str]] = [
    ("verdict", "undecided", "nothing to check"),
    ("verdict", "refuted", "schema_version"),
    ("schema_version", 2, "schema_version is 2, not 1"),
    ("word", lambda word: word[:-1], "another length"),
    ("word", ["c"], "outside the alphabet"),
    ("length", 3, "another length"),
    ("model", ["<eos>"], "the model allows"),
    ("right", ["a"], "the language allows"),
    ("ways", [], "unknown ways"),
    ("ways", ["in one shot"], "unknown ways"),
    ("x", [], "w does not|is right after|another sha256"),
    ("x", ["b"], "is right after"),
    ("x", ["c"], "outside the alphabet"),
    ("x", None, "malformed"),
    ("w", [], "w has 0 symbols"),
    ("w", ["a"], "is right after"),
    ("w", ["b"] * 257, "w has 257 symbols"),
    ("y", ["a"], "is right after"),
    ("period", 2, "period is 2"),
    ("first", lambda first: first - 1, "is right after"),
    ("first", lambda first: first + 1, "worded otherwise"),
    ("first", 0, "first is 0"),
    ("first", 10**9, "begins after its end"),
    ("read_to", lambda n: n - 1, "N is not where"),
    ("N", lambda n: n - 1, "N is not where"),
    ("N", None, "the state is given"),
    ("state", "0" * 64, "another sha256"),
    ("state", None, "another sha256"),
    ("claim", "after x w^n y the model is wrong for every n >= 1", "worded otherwise"),
    ("weights", "0" * 64, "other weights"),
    ("dtype", "int8", "unknown"),
    ("batch", 1, "batch is 1"),
    ("readout.threshold", 5.0, "threshold"),
    ("readout.tokens", {"a": 4, "b": 3}, "after the word"),
    ("readout.contract", "no words", "unknown contract"),
    ("language.dfa.accepting", ["0"], "after the word"),
    ("language", {"counter_machine": {}}, "the language is a"),
]


@pytest.mark.parametrize(("key", "value", "reason"), CHANGES, ids=[f"{key}-{n}" for n, (key, *_) in enumerate(CHANGES)])
def test_every_forgery_is_refused(leak: Any, kept: dict[str, Any], key: str, value: Any, reason: str) -> None:
    assert check_refutation(kept, leak).accepted
    forged = deepcopy(kept)
    place: Any = forged
    *path, last = key.split(".")
    for name in path:
        place = place[name]
    place[last] = value(place[last]) if callable(value) else value
    checked = check_refutation(forged, leak)
    assert not checked.accepted
    assert re.search(reason, checked.reason), checked.reason


def test_a_repeated_state_has_to_repeat(leak: Any, kept: dict[str, Any]) -> None:
    """Whoever stops earlier may not say that it goes on for ever."""
    forged = {**kept, "N": kept["first"] + 1, "read_to": kept["first"] + 1}
    assert "is not that after" in check_refutation(forged, leak).reason
    honest = {**forged, "N": None, "state": None}
    sentence = f"after x w^n y the model is wrong for every n from {kept['first']} to {kept['first'] + 1}"
    assert check_refutation({**honest, "claim": f"{sentence}, the last that was read"}, leak).accepted
    assert "worded otherwise" in check_refutation(honest, leak).reason


def test_the_right_model_is_not_refuted_by_it(kept: dict[str, Any]) -> None:
    assert "other weights" in check_refutation(kept, latch().model()).reason
    assert check_refutation({**kept}, leaking(0.95), budget=3).undecided


def test_it_is_saved_and_loaded(leak: Any, kept: dict[str, Any], tmp_path: Path) -> None:
    Counterexample(kept).save(tmp_path / "found.json")
    again = load_saved(tmp_path / "found.json")
    assert isinstance(again, Counterexample)
    assert (again, again.as_json()) == (Counterexample(kept), kept)
    assert again.alphabet == ("a", "b")
    assert "wrong on" in repr(again)
    assert "a counterexample" in again._repr_html_()
    assert check_refutation(tmp_path / "found.json", leak).accepted
    with pytest.raises(CheckpointError, match="is no refutation"):
        Refutation.load(tmp_path / "found.json")
    (tmp_path / "part.json").write_text(json.dumps({"verdict": "counterexample", "schema_version": 1}))
    with pytest.raises(CheckpointError, match="misses the keys"):
        load_saved(tmp_path / "part.json")


def test_short_words_come_first() -> None:
    """A model that is wrong at once needs no loop; the word is a shortest one."""
    compiled, other = latch(), scancraft.as_language("(a|b)*aa(a|b)*")
    assert isinstance(other, Dfa)
    found = found_in(compiled.model(), other, compiled.readout)
    assert (found.word, found.pattern) == (("a",), None)
    assert found.content["claim"] == "the model is wrong after the word"


def right_after(dfa: Dfa, word: Sequence[str]) -> set[str]:
    return may_follow(dfa, states_along(dfa, word)[-1])


def test_random_models_are_wrong_where_it_is_said() -> None:
    dfa = families.tomita(4)
    bound = Readout({s: 3 + i for i, s in enumerate(dfa.alphabet)}, bos=1, accept=2)
    for seed in range(3):
        model = random_model("mamba", seed)
        found = found_in(model, dfa, bound)
        with torch.no_grad():
            scores = model(torch.tensor([bound.encode(found.word)])).logits[0, -1]
        assert positive(scores, bound) != right_after(dfa, found.word)
        assert math.isfinite(float(scores.sum()))
