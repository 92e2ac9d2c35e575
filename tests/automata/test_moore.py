"""Machines with outputs: canonical values, what they say, their JSON, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moores import all_words, moores, said

import scancraft
from scancraft import AlphabetError, Dfa, GateClass, LanguageFormatError, Moore, NotRegularError, classify, mealy, moore
from scancraft.automata.acceptor import MooreRunner
from scancraft.automata.alphabet import EOS, class_token
from scancraft.automata.formats.outputs import moore_from_json, moore_to_json
from scancraft.automata.languages import as_language, language_from_json, language_to_json, truth_of
from scancraft.automata.machines import MACHINES
from scancraft.automata.words.mixtures import mixture_of

PARITY = {"even": {"0": "even", "1": "odd"}, "odd": {"0": "odd", "1": "even"}}


@given(moores(predicts=None))
def test_json_and_back(machine: Moore) -> None:
    content = moore_to_json(machine)
    again = moore_from_json(json.loads(json.dumps(content)))
    assert again == machine
    assert moore_to_json(again) == content
    assert language_from_json(language_to_json(machine)) == machine
    assert as_language(content) == machine
    for word in all_words(machine.alphabet, 4):
        assert machine.output(word) == machine.trace(word)[-1] == said(content, word)


@given(moores(predicts=None), st.randoms(use_true_random=False))
def test_the_value_is_canonical(machine: Moore, rng: Any) -> None:
    """Copies of states, numbered at random, make no difference."""
    n = machine.n_states
    order = list(range(2 * n))
    rng.shuffle(order)
    table: list[list[int]] = [[] for _ in order]
    outputs = [""] * len(order)
    for copy, place in enumerate(order):
        table[place] = [order[target + n * rng.randrange(2)] for target in machine.table[copy % n]]
        outputs[place] = machine.outputs[copy % n]
    ends = [order[q + n * c] for q in machine.accepting for c in (0, 1)] if machine.predicts else None
    same = Moore.from_table(machine.alphabet, table, outputs, order[0], ends, classes=machine.classes[::-1])
    assert same == machine
    assert (same.table, same.outputs, same.accepting) == (machine.table, machine.outputs, machine.accepting)
    assert hash(same) == hash(machine)


@given(moores(predicts=None))
def test_the_runner_says_what_the_tables_say(machine: Moore) -> None:
    runner = truth_of(machine)
    assert isinstance(runner, MooreRunner)
    words = list(all_words(machine.alphabet, 4))
    codes, lengths = runner.encode(words)
    masks, classes = runner.next_masks(codes, lengths), runner.classes(codes, lengths)
    k = len(machine.alphabet)
    for row, word in enumerate(words):
        for t in range(len(word) + 1):
            name = said(moore_to_json(machine), word[:t])
            assert machine.classes[classes[row, t]] == name
            assert masks[row, t, k + 1 :].tolist() == [name == c for c in machine.classes]
            domain = machine.domain.allowed(machine.domain.run(word[:t])) if machine.predicts else set()
            assert masks[row, t, : k + 1].tolist() == [s in domain for s in (*machine.alphabet, EOS)]


def test_equal_means_the_same_after_every_word() -> None:
    even = moore(PARITY, "even", {"even": "0", "odd": "1"})
    assert even == moore(PARITY, "even", {"odd": "1", "even": "0"}, alphabet=["1", "0"])
    assert even != moore(PARITY, "odd", {"even": "0", "odd": "1"})
    assert even != moore(PARITY, "even", {"even": "0", "odd": "1"}, classes=["0", "1", "2"])
    assert even != moore(PARITY, "even", {"even": "0", "odd": "1"}, accepting=["even", "odd"])
    assert even != Dfa.universal(("0", "1"))
    assert even.language("1") == scancraft.as_dfa("(0*10*1)*0*10*")
    assert even.language("0", "1") == even.domain == Dfa.universal(("0", "1"))


def test_a_mealy_machine_is_split_by_the_output_that_led_there() -> None:
    steps = {"p": {"a": ("q", "x"), "b": ("p", "y")}, "q": {"a": ("q", "y"), "b": ("p", "x")}}
    machine = mealy(steps, "p", start="nothing")
    for word in all_words(("a", "b"), 6):
        state, output = "p", "nothing"
        for symbol in word:
            state, output = steps[state][symbol]
        assert machine.output(word) == output
    assert machine == mealy({(q, a): step for q, row in steps.items() for a, step in row.items()}, "p", start="nothing")
    rows = {q: {a: {"to": t, "output": o} for a, (t, o) in row.items()} for q, row in steps.items()}
    assert machine == as_language({"alphabet": ["a", "b"], "initial": "p", "start": "nothing", "transitions": rows})


@pytest.mark.parametrize(
    ("name", "word", "output"),
    [
        ("parity output", "1101", "1"),
        ("sum mod 5", "4432", "3"),
        ("cycle of 5", "++-++++", "0"),
        ("corridor of 5", "--+++++++-", "3"),
        ("Z_2 x Z_2", "abbba", "(0, 1)"),
        ("majority to 3", "aabaab", "more a"),
        ("majority to 3", "aaabbbbbb", "more a"),
        ("last letter", "aab", "b"),
        ("depth to 3", "(()((", "3"),
        ("depth to 3", "(()((((", "wrong"),
    ],
)
def test_the_named_ones(name: str, word: str, output: str) -> None:
    assert MACHINES[name]().output(word) == output


def test_the_gates_that_the_named_ones_need() -> None:
    gates = {name: classify(make()).gates for name, make in MACHINES.items()}
    signed = dict.fromkeys(["parity output", "sum mod 4", "Z_2 x Z_2"], GateClass.SIGNED)
    cyclic = dict.fromkeys(["sum mod 5", "cycle of 5"], GateClass.COMPLEX)
    assert gates == dict.fromkeys(MACHINES, GateClass.NONNEGATIVE) | signed | cyclic


def test_other_values_name_states_and_classes_by_their_text() -> None:
    machine = moore({(q, "a"): (q + 1) % 3 for q in range(3)}, 0, {q: q == 0 for q in range(3)})
    assert machine.classes == ("True", "False")
    assert machine.names == ("0", "1", "2")


def test_words_to_try_are_those_of_the_domain() -> None:
    rng = np.random.default_rng(0)
    depth = MACHINES["depth to 3"]()
    assert any(depth.domain.accepts(w) and w for w in mixture_of(depth, 20, 0, 10, rng))
    assert len(mixture_of(MACHINES["parity output"](), 20, 0, 10, rng)) == 20


def test_it_is_no_language(tmp_path: Path) -> None:
    machine = MACHINES["parity output"]()
    with pytest.raises(NotRegularError, match=r"machine\.language"):
        scancraft.as_dfa(machine)
    (tmp_path / "parity.json").write_text(json.dumps(moore_to_json(machine)))
    assert as_language(tmp_path / "parity.json") == machine


GOOD: dict[str, Any] = {
    "alphabet": ["0", "1"],
    "initial": "even",
    "outputs": {"even": "0", "odd": "1"},
    "transitions": PARITY,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alphabet": "01"}, "alphabet"),
        ({"alphabet": ["0", "1", "2"]}, "no transition on '2'"),
        ({"alphabet": ["0"]}, "not in the alphabet"),
        ({"initial": 3}, "initial"),
        ({"initial": "other"}, "'other' has no transition"),
        ({"outputs": ["0"]}, "outputs"),
        ({"outputs": {"even": "0"}}, "'odd' has no class"),
        ({"outputs": {"even": "0", "odd": "0"}}, "1 classes"),
        ({"outputs": {"even": "0", "odd": 1}}, "a number"),
        ({"outputs": {"even": "0", "odd": "1", "more": "0"}}, "'more'"),
        ({"classes": ["0"]}, "'1' is none"),
        ({"classes": ["0", "0", "1"]}, "twice"),
        ({"accepting": ["other"]}, "'other' has no transition"),
        ({"transitions": {"even": {"0": "even"}, "odd": PARITY["odd"]}}, "'even' has no transition on '1'"),
        ({"transitions": []}, "transitions"),
        ({"extra": 1}, "extra"),
        ({"start": "0"}, "outputs"),
    ],
)
def test_json_that_is_malformed(change: dict[str, Any], message: str) -> None:
    with pytest.raises(LanguageFormatError, match=message):
        as_language(GOOD | change)


def test_names_that_clash() -> None:
    with pytest.raises(LanguageFormatError, match="two different classes are called '1'"):
        moore({0: {"a": 1}, 1: {"a": 0}}, 0, {0: 1, 1: "1"})
    with pytest.raises(AlphabetError, match="is called; rename"):
        moore({0: {class_token("x"): 1}, 1: {class_token("x"): 0}}, 0, {0: "x", 1: "y"})
    with pytest.raises(AlphabetError, match="no string with characters"):
        moore({0: {"a": 1}, 1: {"a": 0}}, 0, {0: "", 1: "y"})
