"""The trained baseline: its forward pass, the words it learns from, what it learns, what is kept, and the command."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import invoke
from transformers import AutoTokenizer, MambaForCausalLM
from transformers.utils import logging

import scancraft
from scancraft.accuracy import accuracy
from scancraft.automata.errors import EmptyLanguageError
from scancraft.automata.families import d_n, one_divider, zero_then_twos
from scancraft.automata.languages import language_from_json, truth_of
from scancraft.automata.machines import MACHINES
from scancraft.automata.words.mixtures import mixture_of
from scancraft.certify.check import compare
from scancraft.cli.io import ArgumentError
from scancraft.cli.languages import LanguageOptions
from scancraft.cli.train import Subject, chosen, seconds_of
from scancraft.models.checkpoints.checkpoint import load_model
from scancraft.models.errors import CheckpointError, ReadoutError
from scancraft.models.readout import Readout
from scancraft.refute.models import own_binding
from scancraft.suite.languages import Bin
from scancraft.training.data import Examples
from scancraft.training.forward import fast_logits
from scancraft.training.training import Settings, Trained, TrainingError, check_place, train

EASY = zero_then_twos()
STEPS = 100
TINY = Settings(d_model=8, layers=1, words=50)


@pytest.fixture(autouse=True, scope="module")
def quiet() -> None:
    """No advice from transformers."""
    logging.set_verbosity_error()


@pytest.fixture(scope="module")
def easy() -> Trained:
    """A hundred steps on {0,1,2}*02*."""
    bins, settings = [Bin(1, 30), Bin(31, 60)], Settings(words=2000)
    return train(EASY, seconds=600, max_steps=STEPS, bins=bins, settings=settings, seed=1, test_words=200)


@pytest.fixture(scope="module")
def tiny() -> Trained:
    return train(EASY, seconds=60, max_steps=3, bins=[Bin(1, 9)], settings=TINY, test_words=20)


# -- the forward pass ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("layers", "d_model"), [(2, 32), (1, 8), (3, 20)])
def test_the_forward_pass_is_that_of_transformers(layers: int, d_model: int) -> None:
    settings = Settings(layers=layers, d_model=d_model, words=20)
    model = train(d_n(2), seconds=60, max_steps=1, bins=[Bin(1, 20)], settings=settings, test_words=1).model
    ids = torch.randint(0, 8, (5, 40), generator=torch.Generator().manual_seed(0))
    found = []
    for logits in (fast_logits(model, ids), model(ids, use_cache=False).logits):
        model.zero_grad()
        logits.square().mean().backward()
        found.append((logits.detach(), {name: p.grad.clone() for name, p in model.named_parameters()}))
    (ours, our_gradients), (theirs, their_gradients) = found
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    for name, gradient in their_gradients.items():
        scale = float(gradient.abs().max())
        torch.testing.assert_close(our_gradients[name], gradient, atol=1e-5 * scale, rtol=1e-4, msg=name)


# -- the words -------------------------------------------------------------------------------------------------------


def test_batches_hold_every_word_once_with_what_may_follow() -> None:
    words = ["", "ab", "aabb", "abab", "aabbab", "ab" * 9]
    examples = Examples(d_n(2), words)
    seen = []
    for batch in examples.epoch(12, np.random.default_rng(0)):
        assert batch.ids.numel() <= 12 or len(batch.ids) == 1
        for ids, targets, inside in zip(*batch, strict=True):
            length = int(inside.sum()) - 1
            assert inside.tolist() == [1.0] * (length + 1) + [0.0] * (len(ids) - length - 1)
            assert ids.tolist()[0] == 1
            assert ids.tolist()[length + 1 :] == [0] * (len(ids) - length - 1)
            word = "".join("?~$ab"[i] for i in ids[1 : length + 1].tolist())
            seen.append(word)
            for t in range(length + 1):
                depth = word[:t].count("a") - word[:t].count("b")
                right = {2} if depth == 0 else {4}
                right |= {3} if depth < 2 else set()
                assert set(torch.nonzero(targets[t]).flatten().tolist()) == right
    assert sorted(seen) == sorted(words)


def test_batches_follow_from_the_seed() -> None:
    def first(seed: int) -> list[list[list[int]]]:
        stream = examples.stream(30, np.random.default_rng(seed))
        return [next(stream).ids.tolist() for _ in range(60)]  # more than one epoch

    examples = Examples(d_n(2), mixture_of(d_n(2), 40, 0, 10, np.random.default_rng(0)))
    assert first(1) == first(1) != first(2)
    dead = Examples(d_n(2), ["aaab"]).batch(np.array([0]))  # dead prefixes are not compared
    assert dead.inside.tolist() == [[1, 1, 1, 0, 0]]


# -- learning --------------------------------------------------------------------------------------------------------


def test_a_hundred_steps_teach_an_easy_language(easy: Trained) -> None:
    start, end = easy.history[0], easy.history[-1]
    assert start.step == 0
    assert start.strings < 20
    assert easy.accuracy[0].strings > 80
    assert easy.accuracy[0].positions > 95
    assert end.loss < start.loss / 10
    assert [m.step for m in easy.history] == sorted({m.step for m in easy.history})
    assert [b.bin for b in easy.accuracy] == [Bin(1, 30), Bin(31, 60)]
    assert easy.steps == end.step == STEPS
    assert not easy.interrupted
    assert not easy.model.training


def same(one: Trained, other: Trained) -> bool:
    mine, yours = one.model.state_dict(), other.model.state_dict()
    return mine.keys() == yours.keys() and all(torch.equal(mine[name], yours[name]) for name in mine)


def test_equal_seeds_give_equal_weights(tiny: Trained) -> None:
    before = torch.random.get_rng_state()
    kwargs: dict[str, Any] = {"seconds": 60, "max_steps": 3, "bins": [Bin(1, 9)], "settings": TINY, "test_words": 20}
    again, different = train(EASY, **kwargs), train(EASY, **kwargs, seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    assert again.steps == tiny.steps == 3
    assert same(tiny, again)
    assert again.accuracy == tiny.accuracy
    assert not same(tiny, different)


def test_progress_and_threads() -> None:
    calls: list[tuple[float, int, float]] = []
    torch.set_num_threads(2)
    train(EASY, seconds=60, max_steps=4, settings=TINY, test_words=1, progress=lambda *c: calls.append(c))
    assert [steps for _, steps, _ in calls] == [1, 2, 3, 4]
    assert all(math.isfinite(loss) for _, _, loss in calls)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


def stop_at(step: int) -> Any:
    def progress(elapsed: float, steps: int, loss: float) -> None:
        if steps == step:
            raise KeyboardInterrupt

    return progress


def test_an_interruption_is_passed_on_unless_the_model_is_wanted() -> None:
    kwargs: dict[str, Any] = {"seconds": 60, "bins": [Bin(1, 9)], "settings": TINY, "progress": stop_at(2)}
    with pytest.raises(KeyboardInterrupt):
        train(EASY, **kwargs)
    kept = train(EASY, **kwargs, keep_interrupted=True)
    assert kept.interrupted
    assert kept.steps == kept.history[-1].step == 2
    assert kept.accuracy == ()
    assert not kept.model.training


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"seconds": 0}, "budget is 0 seconds"),
        ({"seconds": math.nan}, "budget is nan"),
        ({"max_steps": 0}, "max_steps is 0"),
        ({"bins": [Bin(9, 3)]}, "0 <= shortest <= longest"),
        ({"bins": []}, "at least one range"),
    ],
)
def test_impossible_settings_are_refused(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        train(EASY, **{"seconds": 1, **kwargs})


def test_languages_without_words_are_refused_or_left_out() -> None:
    with pytest.raises(EmptyLanguageError, match="no words to learn from"):
        Examples(EASY, [])
    with pytest.raises(EmptyLanguageError):
        train(scancraft.parse_regex("ab"), seconds=1, bins=[Bin(5, 9)], settings=TINY)
    finite = scancraft.parse_regex("ab|abab")
    done = train(finite, seconds=60, max_steps=1, bins=[Bin(1, 5), Bin(6, 9)], settings=TINY, test_words=5)
    assert [b.bin for b in done.accuracy] == [Bin(1, 5)]


def test_impossible_numbers_are_refused() -> None:
    for name in ("layers", "d_model", "words", "tokens", "learning_rate", "clip"):
        with pytest.raises(TrainingError, match=f"{name} is 0"):
            Settings(**{name: 0})
    with pytest.raises(TrainingError, match="warm_up"):
        Settings(warm_up=1.0)


def test_a_diverging_training_is_reported() -> None:
    with pytest.raises(TrainingError, match="smaller learning rate"):
        train(EASY, seconds=30, bins=[Bin(1, 9)], settings=Settings(d_model=8, words=50, learning_rate=1e30))


def test_the_rate_rises_and_falls() -> None:
    rates = [Settings().rate(done) for done in np.linspace(0, 1, 101)]
    peak = int(np.argmax(rates))
    assert rates[0] == 0 == pytest.approx(rates[-1])
    assert rates[peak] == pytest.approx(Settings().learning_rate)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


# -- measuring -------------------------------------------------------------------------------------------------------


def test_measuring_agrees_with_checking(tiny: Trained, easy: Trained) -> None:
    words = mixture_of(EASY, 80, 0, 20, np.random.default_rng(3))
    for trained in (tiny, easy):
        for model in (trained.model, lambda ids, m=trained.model: fast_logits(m, ids)):
            report = compare(model, EASY, trained.readout, words)
            found = accuracy(model, truth_of(EASY), trained.readout, words)
            assert found.prefixes == pytest.approx(100 * (1 - report.wrong / report.prefixes))
        each = [compare(trained.model, EASY, trained.readout, [word]).agrees for word in words]
        assert found.strings == pytest.approx(100 * sum(each) / len(words))


def test_a_compiled_model_is_right_everywhere(tiny: Trained) -> None:
    compiled, words = scancraft.compile(one_divider()), mixture_of(one_divider(), 60, 0, 20, np.random.default_rng(0))
    found = accuracy(compiled.model(), truth_of(one_divider()), compiled.readout, words)
    assert (found.strings, found.prefixes) == (100, 100)
    with pytest.raises(ReadoutError, match="names the symbols"):
        accuracy(tiny.model, truth_of(EASY), Readout({"a": 3}, bos=1, accept=2), ["0"])


# -- keeping ---------------------------------------------------------------------------------------------------------


def test_save_and_load(tiny: Trained, tmp_path: Path) -> None:
    place = tmp_path / "trained"
    for _ in range(2):  # the second time over the first
        tiny.save(place)
    assert sorted(p.name for p in place.iterdir()) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "scancraft.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "training.json",
    ]
    for model in (load_model(place), MambaForCausalLM.from_pretrained(place)):
        loaded = model.state_dict()
        assert all(torch.equal(tensor, loaded[name]) for name, tensor in tiny.model.state_dict().items())
    assert AutoTokenizer.from_pretrained(place)("0 2")["input_ids"] == tiny.readout.encode(("0", "2"))
    record = json.loads((place / "training.json").read_text())
    assert record == json.loads(json.dumps(tiny.as_json()))
    assert record["steps"] == 3
    assert record["sizes"]["parameters"] == sum(p.numel() for p in tiny.model.parameters())
    assert record["history"][0]["step"] == 0
    assert record["accuracy"][0]["label"] == "1-9"
    assert language_from_json(record["language"]) == EASY
    manifest = scancraft.load(place).manifest
    assert (manifest, manifest.kind, manifest.contract) == (tiny.manifest, "trained", "live-prefixes")
    refused = invoke("explain", place, "--stage", "cascade")
    assert (refused.exit_code, "trained, not compiled" in refused.stderr) == (2, True)


def test_foreign_directories_stay_as_they_are(tiny: Trained, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    for refused in (lambda: tiny.save(tmp_path), lambda: check_place(tmp_path)):
        with pytest.raises(CheckpointError, match=r"which scancraft did not write"):
            refused()
    check_place(tmp_path / "new")
    result = invoke("train", "--regex", "a*", "--budget", "1h", "--out", tmp_path)  # found before training
    assert (result.exit_code, "choose another directory" in result.stderr) == (2, True)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


# -- the command -----------------------------------------------------------------------------------------------------


FAST = ("--d-model", 8, "--layers", 1, "--longest", 9)


@pytest.fixture
def four_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command trains by time; here by steps."""
    by_steps = partial(train, max_steps=4, test_words=20)
    monkeypatch.setattr("scancraft.training.training.train", by_steps)


@pytest.mark.usefixtures("four_steps")
def test_the_command_prints_a_table_and_writes(tmp_path: Path) -> None:
    result = invoke("train", "--regex", "(ab)*", *FAST, "--steps", 4, "--out", tmp_path / "it")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("(ab)*: 1 block, d_model 8, ")
    assert lines[1].split() == ["lengths", "words", "strings", "right", "positions", "right"]
    assert [line.split()[0] for line in lines[2:5]] == ["1-9", "10-18", "19-27"]
    assert lines[5] == f"written to {tmp_path / 'it'}"
    assert result.stderr == ""
    assert json.loads((tmp_path / "it" / "training.json").read_text())["bin"] == {
        "label": "1-9",
        "shortest": 1,
        "longest": 9,
    }


@pytest.mark.usefixtures("four_steps")
def test_the_command_prints_json(tmp_path: Path) -> None:
    file = tmp_path / "all.json"
    dfa = {"alphabet": ["a"], "initial": "q", "accepting": ["q"], "transitions": {"q": {"a": "q"}}}
    file.write_text(json.dumps(dfa))
    result = invoke("train", file, *FAST, "--steps", 4, "--seed", 3, "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["name"] == "all"
    assert said["directory"] is None
    assert said["seed"] == 3
    assert [b["label"] for b in said["accuracy"]] == ["1-9", "10-18", "19-27"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("D-13",), "no file and no language of the suite is called 'D-13'"),
        ((), "exactly one of LANGUAGE"),
        (("D-2", "--regex", "a"), "exactly one of LANGUAGE"),
        (("D-2", "--alphabet", "a"), "--alphabet goes with --regex"),
        (("nowhere.json",), "cannot be read"),
        (("--regex", "a*", "--budget", "soon"), "--budget 'soon' is no time"),
        (("--regex", "a*", "--shortest", 9, "--longest", 3), "no word has a length in 9..3"),
        (("--regex", "aa", "--shortest", 3, "--budget", "1"), "no word"),
    ],
)
def test_bad_arguments(args: tuple[object, ...], message: str) -> None:
    result = invoke("train", *args)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert message in result.stderr


@pytest.mark.parametrize("keep", [True, False])
def test_ctrl_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: bool) -> None:
    real = train

    def interrupted(*args: Any, **kwargs: Any) -> Trained:
        return real(*args, **{**kwargs, "progress": stop_at(2)})

    monkeypatch.setattr("scancraft.training.training.train", interrupted)
    place = tmp_path / "it"
    result = invoke("train", "--regex", "a*", "--budget", "1h", *FAST, *(("--out", place) if keep else ()))
    assert result.exit_code == 130
    assert result.stderr == "scancraft: interrupted\n"
    assert ("written to" in result.stdout) == keep
    assert [p.name for p in tmp_path.iterdir()] == (["it"] if keep else [])


TIMES = {"60s": 60, "90": 90, "2m": 120, "1.5 m": 90, ".5s": 0.5}


@pytest.mark.parametrize("text", [*TIMES, "", "s", "-3s", "0", "0m", "1d", "1e3", "nan", "inf", "1:30", "9" * 400])
def test_times(text: str) -> None:
    if text in TIMES:
        assert seconds_of(text) == TIMES[text]
        return
    with pytest.raises(ArgumentError, match="is no time"):
        seconds_of(text)


def test_other_lengths_keep_the_later_ranges_behind_them() -> None:
    bins = (Bin(2, 50, (99, 100)), Bin(51, 100), Bin(101, 150))
    subject = Subject("D-2", d_n(2), bins)
    assert subject.over(None, None) is subject
    assert subject.over(None, 60).bins == (Bin(2, 60), bins[2])
    assert subject.over(4, None).bins == (Bin(4, 50), *bins[1:])
    assert subject.over(None, 200).bins == (Bin(2, 200), Bin(201, 400), Bin(401, 600))
    assert Subject("mine", d_n(2), (Bin(1, 50),)).over(None, None).bins == (Bin(1, 50), Bin(51, 100), Bin(101, 150))
    with pytest.raises(ArgumentError, match=r"60\.\.50"):
        subject.over(60, None)


def test_the_flip_flop_language_has_lengths_of_its_own() -> None:
    subject = chosen(LanguageOptions("flip-flop"))
    assert subject.name == "Flip-flop"
    training, sparse, dense = subject.over(None, 20).bins
    assert training == Bin(20, 20, ignore=training.ignore)
    assert (training.ignore, sparse.ignore, dense.ignore) == (0.8, 0.98, 0.1)
    done = train(subject.language, seconds=60, max_steps=1, bins=[training], settings=TINY, test_words=3)
    with pytest.raises(EmptyLanguageError, match="even one"):
        train(subject.language, seconds=60, bins=subject.over(None, 21).bins)
    assert done.as_json()["bin"] == {"label": "20, ignore 0.8", "shortest": 20, "longest": 20, "ignore": 0.8}


@pytest.mark.parametrize("name", ["Tomita-3", "Dyck-1", "Dyck_{8,5}", "a^n b^n c^n"])
def test_languages_of_every_kind_can_be_trained_on(name: str) -> None:
    subject = chosen(LanguageOptions(name)).over(None, 12)
    done = train(subject.language, seconds=60, max_steps=1, bins=subject.bins[:1], settings=TINY, test_words=3)
    assert done.bin.longest == 12
    assert done.accuracy[0].words == 3


# -- machines with outputs ---------------------------------------------------------------------------------------------


def test_classes_are_learned_position_by_position(tmp_path: Path) -> None:
    """The last letter, in a hundred and fifty steps; the checkpoint is judged and refuted as others are."""
    machine = MACHINES["last letter"]()
    examples = Examples(machine, [("a", "b"), ("b",)])
    batch = examples.batch(np.arange(2))
    assert batch.targets.argmax(dim=-1)[0].tolist() == [5, 6, 7]  # none, a, b: past <pad>, <bos>, <eos>, a and b
    assert batch.targets.sum(dim=-1)[0].tolist() == [1, 1, 1]
    settings = Settings(words=500, layers=1, d_model=8, learning_rate=2e-2)
    found = train(machine, seconds=600, max_steps=150, bins=[Bin(1, 20)], settings=settings, seed=0, test_words=100)
    assert found.accuracy[0].positions == 100
    assert (
        found.accuracy[0].positions
        == accuracy(
            found.model, truth_of(machine), found.readout, mixture_of(machine, 50, 0, 20, np.random.default_rng(1))
        ).prefixes
    )
    assert compare(found.model, machine, found.readout, exhaustive_to=4).agrees
    found.save(tmp_path / "out")
    language, readout = own_binding(tmp_path / "out")
    assert (language, readout) == (machine, found.readout)
    turning = {0: {"a": 1, "b": 0}, 1: {"a": 0, "b": 1}}
    other = scancraft.moore(turning, 0, {0: "a", 1: "b"}, classes=machine.classes)
    assert scancraft.refute(tmp_path / "out", other).verdict == "refuted"


def test_classes_beside_what_may_come_next_are_learned_too() -> None:
    machine = MACHINES["depth to 3"]()
    batch = Examples(machine, [("(", ")")]).batch(np.arange(1))
    tokens = {"(": 3, ")": 4, "<eos>": 2, "0": 5, "1": 6}
    assert [set(np.flatnonzero(row)) for row in batch.targets[0].numpy()] == [
        {tokens["("], tokens["<eos>"], tokens["0"]},
        {tokens["("], tokens[")"], tokens["1"]},
        {tokens["("], tokens["<eos>"], tokens["0"]},
    ]
    found = train(machine, seconds=60, max_steps=2, bins=[Bin(2, 9)], settings=TINY, test_words=20)
    assert found.readout.contract == "live-prefixes"
    assert tuple(found.readout.classes) == machine.classes
