"""Refutations: what is claimed is judged by reading the words with transformers' own step, in batches of 256."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracle import positive, right
from random_mambas import small_mamba as mamba

import scancraft
from scancraft import (
    BoundedDyck,
    Budget,
    BudgetExceededError,
    Dfa,
    Readout,
    Refutation,
    ScancraftError,
    star_free_witness,
)
from scancraft.automata import families
from scancraft.certify.search.prove import Judge
from scancraft.models.errors import CheckpointError, ReadoutError, WeightsError
from scancraft.models.run.reader import Reader as Rows
from scancraft.models.run.stepper import Stepper
from scancraft.refute import leaps as leaps
from scancraft.refute import refute as refuting
from scancraft.refute import search as _refuting_search
from scancraft.refute import trajectories as refuting_trajectories
from scancraft.refute.checker.claims import state_digest
from scancraft.refute.checker.refutation import check_refutation
from scancraft.refute.models import load_any, resolve
from scancraft.refute.refute import Counterexample, NotApplicable, Trajectories, Unsettled, refute
from scancraft.refute.search import Search
from scancraft.refute.words import CANDIDATES, Question, questions

NOT_STAR_FREE = ["Parity", "Tomita-3", "Tomita-5", "Tomita-6", "(aa)*", "(aaaa)*", "(abab)*"]
KEYS = ["verdict", "x", "w", "y", "period", "N", "word"]


def readout(alphabet: Sequence[str], **changes: Any) -> Readout:
    given: dict[str, Any] = {"tokens": {s: 3 + i for i, s in enumerate(alphabet)}, "bos": 1, "accept": 2}
    return Readout(**(given | changes))


def refuted(verdict: object) -> Refutation:
    assert isinstance(verdict, Refutation), verdict
    return verdict


class Reader:
    """Reads words with transformers' own blocks and cache, token by token, in a batch of equal rows.

    Without many words in common that would take minutes; with few rows it would be another step.
    """

    def __init__(self, model: Any, bound: Readout) -> None:
        self.bound, self.stepper = bound, Stepper(model, dtypes=refuting_trajectories.DTYPES)
        self.known: tuple[list[int], Any, Any] = ([], None, None)

    def begin_with(self, word: Sequence[str]) -> None:
        """Remember what comes of a word, for those that begin with it."""
        tokens = self.bound.encode(word)
        self.known = (tokens, *self._read(tokens, None, None))

    def _read(self, tokens: Sequence[int], state: Any, scores: Any) -> tuple[Any, Any]:
        blocks = len(self.stepper.blocks)
        for token in tokens:
            stream = self.stepper.embed(torch.tensor([token]))
            if state is None:
                stream, state = self.stepper.start(0, blocks, stream)
            else:
                stream, state = self.stepper.step(0, blocks, stream, state)
            scores = self.stepper.logits(stream)[0]
        return state, scores

    def states_and_scores(self, word: Sequence[str]) -> tuple[str, Any]:
        """The digest of the state and the scores after a word."""
        tokens, (known, state, scores) = self.bound.encode(word), self.known
        if tokens[: len(known)] == known:
            state, scores = self._read(tokens[len(known) :], state, scores)
        else:
            state, scores = self._read(tokens, None, None)
        return state_digest(state[0].double().numpy()), scores

    def allowed(self, word: Sequence[str]) -> set[str]:
        return positive(self.states_and_scores(word)[1], self.bound)


def judge(found: Refutation, model: Any, dfa: Dfa, bound: Readout) -> None:
    """Read x w^n y for a few n on both sides of N, and the word."""
    reader = Reader(model, bound)
    start, joint = found.start, found.joint_period
    reader.begin_with(found.x + found.w * (start - 1))
    states = [reader.states_and_scores(found.x + found.w * n)[0] for n in range(start - 1, start + 2)]
    assert set(states) == {found.content["state"]}
    assert (found.state_period, joint) == (1, found.period)
    for n in range(start, start + joint):
        word = found.x + found.w * n + found.y
        said, truth = reader.allowed(word), right(dfa, bound, word)
        if found.content["observed"] == "accepts":
            said, truth = said & {"<eos>"}, truth & {"<eos>"}
        covered = bound.contract == "all-words" or dfa.run(word) in dfa.live
        assert (covered and said != truth) == (n % joint in found.offsets)
    assert found.offsets
    word = found.word
    assert sorted(reader.allowed(word)) == found.content["model"]
    assert sorted(right(dfa, bound, word)) == found.content["right"]
    assert found.content["model"] != found.content["right"]


@pytest.mark.parametrize("name", NOT_STAR_FREE)
@pytest.mark.parametrize("contract", ["all-words", "live-prefixes"])
def test_random_models_are_refuted(name: str, contract: str) -> None:
    dfa = scancraft.suite_language(name).language
    assert isinstance(dfa, Dfa)
    model, bound = mamba(len(name)), readout(dfa.alphabet, contract=contract)
    found = refuted(refute(model, dfa, bound))
    judge(found, model, dfa, bound)
    assert list(found.as_json())[:7] == KEYS
    assert found.content["batch"] == 256
    assert found.content["dtype"] == "float32"


@pytest.mark.parametrize(
    ("dtype", "changes"),
    [
        ("bfloat16", {}),
        ("float16", {}),
        ("float64", {}),
        ("float32", {"tie_word_embeddings": True, "residual_in_fp32": False}),
        ("float32", {"use_bias": True, "use_conv_bias": False, "expand": 1, "conv_kernel": 2}),
        ("float32", {"expand": 3, "hidden_size": 20, "state_size": 1, "hidden_act": "gelu"}),
    ],
)
def test_number_formats_and_odd_configurations(dtype: str, changes: dict[str, Any]) -> None:
    model, dfa = mamba(2, getattr(torch, dtype), **changes).train(), families.tomita(6)
    found = refuted(refute(model, dfa, readout("01")))
    assert model.training  # as it was
    judge(found, model.eval(), dfa, readout("01"))
    assert (found.period, found.content["dtype"]) == (3, dtype)


@st.composite
def tables(draw: st.DrawFn, states: int, letters: int) -> list[list[int]]:
    """Transition tables in which the first letter moves two or three states round a cycle."""
    row = st.lists(st.integers(0, states - 1), min_size=letters, max_size=letters)
    table = draw(st.lists(row, min_size=states, max_size=states))
    period = draw(st.integers(2, min(3, states)))
    for q in range(period):
        table[q][0] = (q + 1) % period
    return table


@given(
    table=st.integers(2, 5).flatmap(lambda n: st.integers(1, 3).flatmap(lambda k: tables(n, k))),
    goals=st.sets(st.integers(0, 4), min_size=1),
    seed=st.integers(0, 20),
    contract=st.sampled_from(["all-words", "live-prefixes"]),
    has_accept=st.booleans(),
    has_next=st.booleans(),
    has_bos=st.booleans(),
)
@settings(max_examples=8, deadline=None)
def test_any_language_that_is_not_star_free(
    table: list[list[int]],
    goals: set[int],
    seed: int,
    contract: str,
    has_accept: bool,
    has_next: bool,
    has_bos: bool,
) -> None:
    dfa = Dfa.from_table("abc"[: len(table[0])], table, 0, goals & set(range(len(table))))
    assume(star_free_witness(dfa) is not None)
    assume(has_accept or has_next)
    model = mamba(seed, num_hidden_layers=1 + seed % 2)
    changes: dict[str, Any] = {"contract": contract, "bos": 1 if has_bos else None}
    changes |= {} if has_accept else {"accept": None}
    changes |= {} if has_next else {"next_symbol": {}}
    bound = readout(dfa.alphabet, **changes)
    witness = star_free_witness(dfa)
    assert witness is not None
    if next(questions(Judge(dfa, bound), witness), None) is None:
        assert contract == "live-prefixes" or not has_accept
        with pytest.raises(ReadoutError, match="tells apart"):
            refute(model, dfa, bound)
        return
    found = refuted(refute(model, dfa, bound))
    judge(found, model, dfa, bound)
    assert has_bos or found.x
    assert check_refutation(found, model, dfa, bound).reason == ""


# -- the questions ---------------------------------------------------------------------------------------------------


@given(
    table=st.integers(2, 6).flatmap(lambda n: tables(n, 2)),
    goals=st.sets(st.integers(0, 5), min_size=1),
    contract=st.sampled_from(["all-words", "live-prefixes"]),
)
@settings(max_examples=20, deadline=None)
def test_questions_are_what_they_say(table: list[list[int]], goals: set[int], contract: str) -> None:
    dfa = Dfa.from_table("ab", table, 0, goals & set(range(len(table))))
    witness = star_free_witness(dfa)
    assume(witness is not None)
    assert witness is not None
    asked = list(questions(Judge(dfa, readout("ab", contract=contract)), witness))
    assert 0 < len(asked) <= CANDIDATES
    assert asked[0].w == witness.word
    assert len({question.w for question in asked}) == len(asked)
    for question in asked:
        check_question(dfa, question, contract)


def check_question(dfa: Dfa, question: Question, contract: str) -> None:
    p = question.period
    assert p >= 2
    assert len(set(question.states)) == p
    covered = []
    for n in range(3 * p):
        assert dfa.run(question.x + question.w * n) == question.states[n % p]
        word = question.word(n)
        truth = right(dfa, readout("ab"), word)
        answer = question.right[n % p]
        if contract == "live-prefixes" and dfa.run(word) not in dfa.live:
            assert answer is None
        else:
            assert answer == (truth & {"<eos>"} if question.observed == "accepts" else truth)
            covered.append(answer)
    assert len(set(covered)) > 1


def test_without_accept_the_next_symbols_are_looked_at() -> None:
    model, dfa, bound = mamba(4), families.tomita(3), readout("01", accept=None)
    found = refuted(refute(model, dfa, bound))
    assert (found.content["observed"], found.content["readout"]["accept"]) == ("allowed", None)
    judge(found, model, dfa, bound)


# -- targets ---------------------------------------------------------------------------------------------------------


def test_a_model_compiled_for_another_language(tmp_path: Path) -> None:
    compiled = scancraft.compile("(a|b)*")
    found = refuted(refute(compiled, "(aa|b)*"))
    judge(found, compiled.model(), scancraft.as_dfa("(aa|b)*"), compiled.readout)
    compiled.save(tmp_path / "all")
    again = refuted(refute(tmp_path / "all", "(aa|b)*"))
    assert {**again.content, "seconds": 0} == {**found.content, "seconds": 0}
    half = refuted(refute(tmp_path / "all", "(aa|b)*", dtype=torch.bfloat16))
    assert half.content["dtype"] == "bfloat16"
    other = refuted(refute(compiled, families.parity(), readout("01")))
    judge(other, compiled.model(), families.parity(), readout("01"))


def broken() -> Any:
    model = mamba(0)
    with torch.no_grad():
        model.lm_head.weight[0, 0] = torch.nan
    return model


A, AA = readout("a"), "(aa)*"
REFUSED: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: refute(mamba(0), AA), ReadoutError, "give the language and a Readout"),
    (lambda: refute(mamba(0), AA, readout("a", tokens={"a": 9})), ReadoutError, "token 9"),
    (lambda: refute(mamba(0), AA, readout("a", accept=8)), ReadoutError, "score 8"),
    (lambda: refute(mamba(0), AA, readout("a", head=lambda out: out.logits)), ReadoutError, "head of its own"),
    (lambda: refute(torch.nn.Linear(2, 2), AA, A), ReadoutError, "Mamba2ForCausalLM, not Linear"),
    (lambda: refute(mamba(0), AA, A, trajectories=Trajectories(mamba(1))), ScancraftError, "another model"),
    (lambda: refute(broken(), AA, A), WeightsError, r"embeddings.weight|lm_head.weight"),
    # Both symbols may always come.
    (lambda: refute(mamba(0), families.parity(), readout("01", accept=None)), ReadoutError, "tells apart"),
    (lambda: refute(mamba(0), AA, readout("a", accept=None, next_symbol={})), ReadoutError, "names no score"),
    (
        lambda: refute(scancraft.compile("(a|b)*"), families.parity()),
        ReadoutError,
        r"\['a', 'b'\], the language has \['0', '1'\]; give a readout",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_what_is_missing_is_said(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_directories_of_transformers(tmp_path: Path) -> None:
    model = mamba(3, torch.bfloat16, tie_word_embeddings=True)
    model.save_pretrained(tmp_path / "plain")
    found = refuted(refute(tmp_path / "plain", families.parity()))
    assert found.content["dtype"] == "bfloat16"
    assert found.content["readout"]["tokens"] == {"0": 3, "1": 4}
    assert (found.content["readout"]["bos"], found.content["readout"]["accept"]) == (1, 2)
    judge(found, model, families.parity(), readout("01"))
    wide = refuted(refute(tmp_path / "plain", families.parity(), dtype=torch.float32))
    assert wide.content["dtype"] == "float32"
    with pytest.raises(ReadoutError, match="names no language"):
        refute(tmp_path / "plain")
    with pytest.raises(ReadoutError, match="token 8"):
        refute(tmp_path / "plain", scancraft.parse_regex("(aa)*", alphabet="abcdef"))


def test_directories_that_hold_no_mamba(tmp_path: Path) -> None:
    """What else may be wrong with them: ``tests/models/checkpoints/test_closed.py``."""
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        load_any(tmp_path, None)
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}', encoding="utf-8")
    with pytest.raises(CheckpointError, match="gpt2"):
        load_any(tmp_path, None)


def test_a_trained_model_brings_its_own(tmp_path: Path) -> None:
    from scancraft.training.training import Settings, train

    dfa = families.parity()
    settings_ = Settings(layers=1, d_model=16, words=50)
    trained = train(dfa, seconds=60, max_steps=2, settings=settings_, test_words=10, seed=3)
    trained.save(tmp_path / "trained")
    model, language, bound = resolve(tmp_path / "trained", None, None, None)
    assert (language, bound.contract, bound.bos, bound.accept) == (dfa, "live-prefixes", 1, 2)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), trained.model.parameters(), strict=True))
    (tmp_path / "trained" / "scancraft.json").unlink()  # as older versions wrote it
    assert resolve(tmp_path / "trained", None, None, None)[1:] == (language, bound)
    (tmp_path / "trained" / "training.json").write_text("{}", encoding="utf-8")
    with pytest.raises(CheckpointError, match="scancraft train"):
        refute(tmp_path / "trained")


def test_a_trained_model_is_refuted() -> None:
    from scancraft.training.training import Settings, train

    dfa = families.parity()
    trained = train(
        dfa, seconds=60, max_steps=60, settings=Settings(layers=1, d_model=16, words=200), test_words=10, seed=0
    )
    bound = trained.readout
    found = refuted(refute(trained.model, dfa, bound))
    assert check_refutation(found, trained.model, dfa, bound).reason == ""
    assert found.start > 1000  # transformers' initial step sizes forget slowly


# -- where the theorem says nothing ----------------------------------------------------------------------------------


def test_star_free_languages_get_a_certificate(tmp_path: Path) -> None:
    compiled = scancraft.compile("(ab)*")
    for target in (compiled, compiled.save(tmp_path / "ab")):
        verdict = refute(target)
        assert isinstance(verdict, NotApplicable)
        assert "star-free" in verdict.reason
        assert verdict.certified.verdict == "certified"
        content = verdict.as_json()
        assert list(content)[:7] == KEYS
        assert all(content[key] is None for key in KEYS[1:])
        assert json.loads(json.dumps(content))["certify"]["scope"] == "every-implementation"
    wrong = refute(compiled, "(ab|ba)*")
    assert isinstance(wrong, Counterexample)
    assert wrong.word == ()
    assert [*wrong.as_json()][:7] == KEYS


def signed() -> Any:
    from scancraft.models.signed_mamba import SignedMambaConfig, SignedMambaForCausalLM

    return SignedMambaForCausalLM(SignedMambaConfig(vocab_size=8, hidden_size=16, num_hidden_layers=1)).eval()


def test_other_classes_of_languages_and_models(counter: Any) -> None:
    for verdict, reason, certified in (
        (refute(counter), "not given as a regular language", "certified"),
        (refute(scancraft.compile(BoundedDyck(1, 2))), "star-free", "certified"),
    ):
        assert isinstance(verdict, NotApplicable)
        assert reason in verdict.reason
        assert certified == verdict.certified.verdict
    assert isinstance(refute(signed(), families.parity(), readout("01")), Counterexample)
    compiled = scancraft.compile("(ab)*")
    neither = refute(compiled.model(torch.float64), "(ab)*", compiled.readout)
    assert isinstance(neither, Unsettled)
    for said in ("star-free", "no counterexample was found", "float64"):
        assert said in neither.reason


# -- budgets ---------------------------------------------------------------------------------------------------------


def test_a_spent_budget_says_what_still_moves() -> None:
    model = mamba(0, time_step_min=0.001, time_step_max=0.001)
    verdict = refute(model, families.mod_length(2), readout("a"), budget=Budget(items=300, seconds=60.0))
    assert isinstance(verdict, Unsettled)
    assert "300" in verdict.reason
    assert "its gate over a turn is 0.99" in verdict.reason
    assert verdict.tokens_read <= 300
    assert verdict.word is not None
    reader = Reader(model, readout("a"))
    assert reader.allowed(verdict.word) == verdict.model
    assert right(families.mod_length(2), readout("a"), verdict.word) == verdict.right != verdict.model
    content = verdict.as_json()
    assert list(content)[:7] == KEYS
    assert all(content[key] is None for key in KEYS[1:6])
    assert content["word"] == list(verdict.word)
    none = refute(model, families.mod_length(2), readout("a"), budget=Budget(items=10, seconds=60.0))
    assert isinstance(none, Unsettled)
    assert none.tokens_read <= 10
    timeless = refute(model, families.parity(), readout("01"), budget=Budget(items=10**6, seconds=0.0))
    assert isinstance(timeless, Unsettled)
    assert "seconds" in timeless.reason


def test_an_undecided_language(monkeypatch: pytest.MonkeyPatch) -> None:
    def give_up(dfa: Dfa, budget: Budget) -> None:
        raise BudgetExceededError("image sets", 11, 10)

    monkeypatch.setattr(refuting, "star_free_witness", give_up)
    verdict = refute(mamba(0), families.parity(), readout("01"))
    assert isinstance(verdict, Unsettled)
    assert "11 image sets" in verdict.reason


def test_the_more_promising_word_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both "0" and "1" move the states of Tomita-5; with one of them the model forgets faster."""
    dfa, bound = families.tomita(5), readout("01")
    for scale in (1.0, 3.0, 10.0, 30.0):  # how much the step size depends on the token
        model = mamba(0, num_hidden_layers=1, time_step_min=0.05, time_step_max=0.05)
        with torch.no_grad():
            model.backbone.layers[0].mixer.dt_proj.weight.fill_(scale)
        trajectories = Trajectories(model)
        left = {}
        for w in "01":
            trajectory = trajectories.of([1], [bound.tokens[w]])
            trajectory.read()
            left[w] = trajectory.tokens_left
        if max(left.values()) > 1.5 * min(left.values()):
            break
    else:
        raise AssertionError("the two are alike")
    slow = max(left, key=lambda w: left[w])
    # Looking around ends with the first word that promises to settle soon, so nothing may promise that.
    monkeypatch.setattr(_refuting_search, "PROMISING", 0)
    found = refuted(refute(model, dfa, bound, trajectories=trajectories, budget=Budget(items=20_000, seconds=60.0)))
    assert trajectories.of([1], [bound.tokens[slow]]).settled is None  # it was left alone
    judge(found, model, dfa, bound)


def test_trajectories_are_shared() -> None:
    model = mamba(7, time_step_min=0.05, time_step_max=0.1)
    shared = Trajectories(model)
    first = refuted(refute(model, families.mod_length(2), readout("a"), trajectories=shared))
    second = refuted(refute(model, families.mod_length(4), readout("a"), trajectories=shared))
    third = refuted(refute(model, families.tomita(5), readout("01"), trajectories=shared))
    assert first.content["tokens_read"] > 50
    assert second.content["tokens_read"] < first.content["tokens_read"]
    assert first.content["state"] == second.content["state"] == third.content["state"]
    for found, dfa in ((first, families.mod_length(2)), (second, families.mod_length(4)), (third, families.tomita(5))):
        judge(found, model, dfa, readout(dfa.alphabet))
        if found is not third:
            continue
        alone = refuted(refute(model, dfa, readout(dfa.alphabet)))
        for key in ("x", "w", "y", "N", "word", "offsets", "state"):
            assert alone.content[key] == found.content[key]


def test_nothing_is_concluded_from_infinities() -> None:
    model = mamba(0, torch.float16, num_hidden_layers=1)
    with torch.no_grad():
        model.lm_head.weight *= 60000.0
    verdict = refute(model, families.mod_length(2), readout("a"), budget=Budget(items=5000, seconds=20.0))
    assert isinstance(verdict, Unsettled)
    assert "infinity or NaN" in verdict.reason


def test_a_state_that_does_not_come_back_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Trajectories.run

    def elsewhere(self: Trajectories, states: Any, words: Any) -> Any:
        stream, after = run(self, states, words)
        return stream, after + 2.0**-10

    monkeypatch.setattr(Trajectories, "run", elsewhere)
    verdict = refute(mamba(9), families.mod_length(2), readout("a"))
    assert isinstance(verdict, Unsettled)
    assert "own step does not repeat" in verdict.reason


def test_notes_are_given() -> None:
    said: list[str] = []
    refute(mamba(0, time_step_min=0.05, time_step_max=0.1), families.parity(), readout("01"), note=said.append)
    assert any("n = " in line and "tokens to go" in line for line in said)


# -- counters --------------------------------------------------------------------------------------------------------


def test_a_counter_is_avoided_where_a_word_can(counter: Any) -> None:
    """Words with an even number of opening brackets: "()" leaves the counter as it was."""
    dfa = scancraft.parse_regex("')'* ('(' ')'* '(' ')'*)*", alphabet="()")
    found = refuted(refute(counter, dfa))
    assert found.w == ("(", ")")
    assert found.content["leaps"] == []
    judge(found, counter.model(), dfa, counter.readout)


@pytest.mark.parametrize("name", ["Dyck-1", "a^n b^n c^n", "Shuffle-2", "Boolean-3"])
def test_counters_are_leapt_over(name: str) -> None:
    compiled = scancraft.compile(scancraft.suite_language(name).language)
    symbol = compiled.language.alphabet[0]
    dfa = scancraft.parse_regex(f"('{symbol}' '{symbol}')*", alphabet=compiled.language.alphabet)
    found = refuted(refute(compiled, dfa))
    ((start, end),) = found.content["leaps"]
    assert 0 < start < 600
    assert 2**24 - 8 < end <= found.start <= 2**24 + 8
    checked = check_refutation(found, compiled.model(), dfa, compiled.readout)
    assert checked.reason == ""
    assert checked.tokens < 1000


def counted(compiled: Any, turns: int) -> tuple[Rows, list[np.ndarray[Any, Any]]]:
    """A reader of a model after so many opening brackets, and its states after 0, 1, ... of them."""
    reader = Rows(Stepper(compiled.model()), compiled.readout.bos)
    states = reader.read([compiled.readout.tokens["("]] * turns)
    return reader, list(states.double().numpy())


def test_a_leap_lands_where_single_turns_do(counter: Any) -> None:
    model, word = counter.model(), [counter.readout.tokens["("]]
    _, states = counted(counter, 200)
    turns = leaps.longest_leap(model, word, states[10], states[11])
    assert turns > 2**23
    for n in (1, 2, 100, 180):
        assert np.array_equal(states[10] + n * (states[11] - states[10]), states[10 + n])
    # Near the start the tests of zero still change, so nothing is proved there.
    assert leaps.longest_leap(model, word, states[0], states[1]) == 0
    # A step of half the size is not what the model adds.
    assert leaps.longest_leap(model, word, states[10], (states[10] + states[11]) / 2) == 0
    assert leaps.longest_leap(model, word, states[10], states[10]) == 0


def test_a_leap_stops_where_addition_rounds(counter: Any) -> None:
    """From 2^24 - 1000 on there are a thousand turns left, less what the test for zero needs."""
    model, word = counter.model(), [counter.readout.tokens["("]]
    reader, states = counted(counter, 12)
    change = states[-1] - states[-2]
    near = states[-2] + (2.0**24 - 1000) * change
    turns = leaps.longest_leap(model, word, near, near + change)
    assert 900 < turns <= 1000
    reader.state = torch.from_numpy(near).float()
    for part in (250, 250, 250, turns - 750):
        last = reader.read(word * part)[-1]
    assert np.array_equal(last.double().numpy(), near + turns * change)


def test_no_leap_through_a_model_that_rounds() -> None:
    model = mamba(0)
    states = Rows(Stepper(model), 1).read([3] * 20).double().numpy()
    assert leaps.longest_leap(model, [3], states[19], states[20]) == 0


# -- on disk ---------------------------------------------------------------------------------------------------------


def test_refutations_are_saved_and_loaded(found: Refutation, tmp_path: Path) -> None:
    found.save(tmp_path / "found.json")
    assert Refutation.load(tmp_path / "found.json") == found
    with pytest.raises(CheckpointError, match="cannot write"):
        found.save(tmp_path / "nowhere" / "found.json")
    with pytest.raises(CheckpointError, match="does not exist"):
        Refutation.load(tmp_path / "none.json")
    for text, message in (
        ('{"verdict": "undecided"}', "is no refutation"),
        ('{"verdict": "refuted"}', "schema_version None, this version of scancraft reads 2; refute"),
        ('{"verdict": "refuted", "schema_version": 2}', "misses the keys"),
    ):
        (tmp_path / "other.json").write_text(text, encoding="utf-8")
        with pytest.raises(CheckpointError, match=message):
            Refutation.load(tmp_path / "other.json")


def test_short_words_first() -> None:
    """The wrong word is the shortest of its family, or the family is right on all that is shorter."""
    model, dfa = mamba(11), families.mod_length(2)
    found = refuted(refute(model, dfa, readout("a")))
    reader = Reader(model, readout("a"))
    for n in range(len(found.word)):
        assert reader.allowed(("a",) * n) & {"<eos>"} == right(dfa, readout("a"), ("a",) * n) & {"<eos>"}


def test_a_search_without_questions_ends() -> None:
    model = mamba(0)
    search = Search(
        Trajectories(model), Judge(families.mod_length(2), readout("a")), Budget().meter("tokens"), lambda _: None
    )
    assert search.run(iter(())) is None
    assert search.wrong is None
