"""The checker of refutations: it rejects every change to one that holds."""

from __future__ import annotations

import hashlib
import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_mambas import CONFIGS
from random_mambas import small_mamba as mamba

import scancraft
from scancraft import Dfa, Readout, Refutation
from scancraft.automata import families
from scancraft.certify.checker.languages import read_dfa
from scancraft.certify.checker.machine import Machine
from scancraft.refute.checker import replay as replay_module
from scancraft.refute.checker.lines import why_not_a_line
from scancraft.refute.checker.refining import classes
from scancraft.refute.checker.refutation import Replays, check_refutation
from scancraft.refute.checker.replay import Replay
from scancraft.refute.refute import refute


def test_what_holds_is_accepted(model: Any, content: dict[str, Any], tmp_path: Path, bound: Readout) -> None:
    checked = check_refutation(content, model, families.parity(), bound)
    assert (checked.accepted, checked.reason) == (True, "")
    assert checked.tokens >= content["N"]
    assert checked.as_json()["verdict"] == "refuted"
    Refutation(content).save(tmp_path / "found.json")
    model.save_pretrained(tmp_path / "model")
    assert check_refutation(tmp_path / "found.json", tmp_path / "model").accepted
    assert check_refutation(Refutation(content), model).accepted


def changed(content: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    found = deepcopy(content)
    place = found
    *path, last = key.split(".")
    for name in path:
        place = place[name]
    place[last] = value(place[last]) if callable(value) else value
    return found


CHANGES: list[tuple[str, Any, str]] = [
    ("verdict", "undecided", "nothing to check"),
    ("schema_version", 1, "schema_version is 1, not 2; refute"),
    ("x", ["1"], "offsets|answers|other sha256"),
    ("x", ["2"], "outside the alphabet"),
    ("w", [], "w is empty"),
    ("w", ["0"], "fewer turns"),
    ("y", ["1"], "answers|offsets"),
    ("period", 1, "at least 2"),
    ("period", 3, "cannot have period 3"),
    ("period", 4, "in fewer turns|cannot have period"),
    ("period", 2.0, "whole number"),
    ("N", 1, "is not that after"),
    ("N", 0, "at least 1"),
    ("N", lambda n: n + 2, "worded otherwise"),
    ("state_period", 2, "state_period is 2"),
    ("joint_period", 4, "joint_period"),
    ("offsets", [], "offsets"),
    ("offsets", lambda given: [1 - given[0]], "offsets"),
    ("offsets", [0, 1], "offsets"),
    ("observed", "allowed", "worded otherwise|offsets"),
    ("observed", "nothing", "unknown observation"),
    ("answers", lambda given: [sorted({*given[0]} ^ {"<eos>"})], "answers"),
    ("state", "0" * 64, "sha256"),
    ("claim", "the model is always wrong", "worded otherwise"),
    ("model", lambda given: sorted({*given} ^ {"1"}), "after the word the model allows"),
    ("right", lambda given: sorted({*given} ^ {"1"}), "after the word the language allows"),
    ("word", lambda given: [*given, "1"], "after the word|right on the word"),
    ("dtype", "bfloat16", "another dtype|other weights|dtype"),
    ("dtype", "int8", "unknown"),
    ("batch", 1, "batch is 1, not 256"),
    ("threads", 2, "threads"),
    ("alignment", 8, "alignment"),
    ("weights", "0" * 64, "other weights"),
    ("implementation.model", "transformers.Mamba2ForCausalLM", "another"),
    ("leaps", [[1, 9]], "leap"),
    ("leaps", [[9, 8]], "leap is"),
    ("leaps", [[5, 7], [1, 3]], "not in order"),
    ("readout.tokens", {"0": 4, "1": 3}, "sha256|is not that"),
    ("readout.tokens", {"0": 3, "1": 99}, "a token that there is not"),
    ("readout.tokens", {"0": 3}, "other symbols"),
    ("readout.next_symbol", {"0": 3}, "some symbols only"),
    ("readout.accept", 99, "no such score"),
    ("readout.contract", "no words", "unknown contract"),
    ("readout.threshold", 1e9, "the threshold is"),
    ("readout.bos", 0, "sha256|is not that"),
    ("language.dfa.accepting", ["1"], "offsets"),
    ("language.dfa.accepting", ["0", "1"], "fewer turns"),
    ("language", {"counter_machine": {}}, "the language is a 'counter_machine'"),
    ("x", None, "malformed"),
]


@pytest.mark.parametrize(("key", "value", "reason"), CHANGES, ids=[f"{key}-{n}" for n, (key, *_) in enumerate(CHANGES)])
def test_every_change_is_rejected(model: Any, content: dict[str, Any], key: str, value: Any, reason: str) -> None:
    tampered = changed(content, key, value)
    if key == "dtype":
        tampered["readout"] = content["readout"]
    checked = check_refutation(tampered, model)
    if key == "dtype" and value == "bfloat16":  # the model is given, and it is in float32
        assert checked.accepted or re.search(reason, checked.reason)
        return
    assert not checked.accepted
    assert re.search(reason, checked.reason), checked.reason
    assert checked.as_json()["verdict"] == "rejected"


def test_a_missing_key_is_rejected(model: Any, content: dict[str, Any]) -> None:
    for key in content:
        if key in ("tokens_read", "seconds"):
            continue  # notes of the search
        less = {k: v for k, v in content.items() if k != key}
        assert not check_refutation(less, model).accepted, key


def test_what_is_no_refutation_is_rejected(model: Any, tmp_path: Path) -> None:
    for nothing in (tmp_path / "none.json", {}, [1], 3):
        assert check_refutation(nothing, model).reason.startswith("malformed")
    (tmp_path / "list.json").write_text("[1]", encoding="utf-8")
    assert check_refutation(tmp_path / "list.json", model).reason.startswith("malformed")


def test_other_models_are_rejected(content: dict[str, Any], tmp_path: Path) -> None:
    other = mamba(1)
    assert "other weights" in check_refutation(content, other).reason
    digest = hashlib.sha256()
    for name, tensor in sorted(other.state_dict().items()):
        digest.update(f"{name} float32 {list(tensor.shape)}".encode())
        digest.update(tensor.double().numpy().astype("<f8").tobytes())
    reason = check_refutation({**content, "weights": digest.hexdigest()}, other).reason
    assert "is not that after" in reason or "sha256" in reason
    assert "config.json is missing" in check_refutation(content, tmp_path).reason
    training = mamba(0)
    training.train()
    assert "training mode" in check_refutation(content, training).reason


def test_other_languages_and_readouts_are_rejected(model: Any, content: dict[str, Any], bound: Readout) -> None:
    assert "another language" in check_refutation(content, model, families.tomita(5)).reason
    assert "another language" in check_refutation(content, model, families.mod_length(2)).reason
    other = Readout({"0": 3, "1": 4}, bos=1, accept=2, contract="live-prefixes")
    assert "another readout" in check_refutation(content, model, families.parity(), other).reason
    # The same language with other names, and given as a DFA that is not minimal.
    renamed = Dfa.from_table(("1", "0"), [[1, 0], [0, 1]], 0, [0], ("even", "odd"))
    assert check_refutation(content, model, renamed).accepted
    large = {
        "alphabet": ["0", "1"],
        "initial": "a",
        "accepting": ["a", "c"],
        "transitions": {"a": {"0": "c", "1": "b"}, "c": {"0": "a", "1": "b"}, "b": {"0": "b", "1": "c"}},
    }
    given = changed(content, "language.dfa", large)
    assert check_refutation(given, model, families.parity()).accepted


def test_replays_are_shared(model: Any, content: dict[str, Any]) -> None:
    replays: Replays = {}
    first = check_refutation(content, model, replays=replays)
    second = check_refutation(content, model, replays=replays)
    assert len(replays) == 1
    assert second.accepted
    assert second.tokens < first.tokens - content["N"] + 5
    assert not check_refutation(changed(content, "state", "0" * 64), model, replays=replays).accepted
    check_refutation(changed(content, "N", lambda n: n + 1), model, replays=replays)
    assert len(replays) == 2


# -- the step --------------------------------------------------------------------------------------------------------


@given(
    config=CONFIGS,
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16, torch.float64]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=4, deadline=None)
def test_many_tokens_at_once_are_single_steps(config: dict[str, Any], dtype: torch.dtype, seed: int) -> None:
    """Of a batch of equal rows, as transformers' whole model takes them with its cache."""
    model = mamba(seed, dtype, **config)
    tokens = np.random.default_rng(seed).integers(0, 8, 12).tolist()
    replay, cache = Replay(model), None
    with torch.no_grad():
        replay.start(tokens[0])
        replay.read(tokens[1:8])
        replay.read(tokens[8:])
        for token in tokens:
            out = model(torch.full((256, 1), token), cache_params=cache, use_cache=True)
            cache = out.cache_params
        assert np.array_equal(replay.logits(), out.logits[0, 0].float().numpy())
        parts = [part[0] for layer in cache.layers for part in (layer.conv_states[0], layer.recurrent_states[0])]
        whole = torch.cat([part.double().flatten() for part in parts]).numpy()
        assert replay.state.shape == whole.shape
        assert ((replay.state == whole) | (replay.state == 0)).all()
        state = replay.state
        replay.read([3, 4])
        after = replay.state
        replay.state = state
        replay.read([3])
        replay.read([4])
        assert np.array_equal(replay.state, after)


def test_a_wrong_guess_is_noticed(model: Any, content: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    run = Machine.run

    def noisy(self: Machine, first: int, last: int, vectors: Any, states: Any) -> tuple[Any, Any]:
        """A step whose state does not depend on h as it should."""
        out, after = run(self, first, last, vectors, states)
        return out, after + np.float32(2.0**-20) * (after > 1e20)

    monkeypatch.setattr(Machine, "run", noisy)
    assert check_refutation(content, model).accepted  # 2^-20 is lost beside 2^67
    monkeypatch.setattr(replay_module, "LARGE", 3.0)
    assert "the states that were guessed" in check_refutation(content, model).reason


# -- leaps -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dyck(counter: Any) -> tuple[Any, list[int], list[Any], dict[str, Any]]:
    """The model, the word "(", its states after 0, 1, ... of them, and a refutation that leaps."""
    model, bound = counter.model(), counter.readout
    replay = Replay(model)
    states = []
    with torch.no_grad():
        replay.start(bound.bos or 0)
        for _ in range(120):
            states.append(replay.state)
            replay.read([bound.tokens["("]])
    verdict = refute(counter, scancraft.parse_regex("('(' '(')*", alphabet="()"))
    assert isinstance(verdict, Refutation)
    return model, [bound.tokens["("]], states, verdict.content


def test_a_line_is_what_single_turns_do(dyck: Any) -> None:
    model, word, states, _ = dyck
    for turns in (1, 2, 50, 100):
        assert why_not_a_line(model, word, states[10], states[11], turns) == ""
        assert np.array_equal(states[10] + turns * (states[11] - states[10]), states[10 + turns])
    assert why_not_a_line(model, word, states[10], states[11], 2**24 - 50) == ""


@pytest.mark.parametrize("turns", [2**24, 2**25, 2**40])
def test_a_line_ends_where_addition_rounds(dyck: Any, turns: int) -> None:
    model, word, states, _ = dyck
    assert "obligation sums" in why_not_a_line(model, word, states[10], states[11], turns)


def test_what_is_no_line(dyck: Any) -> None:
    model, word, states, _ = dyck
    # Where the tests of zero still change.
    assert why_not_a_line(model, word, states[0], states[1], 50) != ""
    # Any other difference is not what a turn adds.
    for place in np.flatnonzero(states[11] != states[10]):
        for wrong in (0.0, 0.5, 2.0):
            after = states[11].copy()
            after[place] = states[10][place] + wrong * (states[11] - states[10])[place]
            assert why_not_a_line(model, word, states[10], after, 50) != ""
    assert why_not_a_line(mamba(0), [3], *(np.zeros(2 * 32 * 8), np.ones(2 * 32 * 8)), 9) != ""
    assert "float64" in why_not_a_line(mamba(0, torch.float64), [3], np.zeros(512), np.ones(512), 9)


def test_leaps_are_checked(dyck: Any) -> None:
    model, _, _, content = dyck
    assert check_refutation(content, model).accepted
    ((start, end),) = content["leaps"]
    for leap in ([start, end + 2], [0, end], [start, 2 * end], [start, end - 1000]):
        reason = check_refutation(changed(content, "leaps", [leap]), model).reason
        # A shorter leap is true, but then the single turns up to N take a thousand tokens more, and it is right.
        assert (reason == "") == (leap == [start, end - 1000]), (leap, reason)


def test_the_classes_of_the_checker_are_its_own() -> None:
    """Its minimisation, against that of Dfa; and of an automaton with two states where one would do."""
    for dfa in (families.tomita(3), families.d_n(3), families.repetition("abab")):
        given = json.loads(json.dumps(scancraft.automata.formats.formats.to_json_dict(dfa)))
        assert len(set(classes(read_dfa({**given, "states": list(given["transitions"])})))) == dfa.n_states
    rows = {"p": {"a": "q", "b": "p"}, "q": {"a": "p", "b": "q"}}
    given = {"alphabet": ["a", "b"], "initial": "p", "accepting": ["p", "q"], "transitions": rows, "states": ["p", "q"]}
    assert classes(read_dfa(given)) == [1, 1]
