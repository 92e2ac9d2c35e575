"""Nested languages as circuits and models: integers on words, and weights beside the acceptor."""

from __future__ import annotations

import random
from itertools import product
from pathlib import Path

import pytest
import torch
from random_nested import random_nested

import scancraft
from scancraft import NestedLanguage, json_characters, json_documents
from scancraft.accuracy import accuracy
from scancraft.automata.languages import truth_of
from scancraft.compiler.circuits.nested.circuit import nested_circuit
from scancraft.compiler.circuits.nested.memories import LevelMemoryError, events_of, level_memories

LANGUAGES = random_nested(30, 7)


@pytest.mark.parametrize("language", LANGUAGES, ids=str)
def test_circuits_compute_what_may_come_next(language: NestedLanguage) -> None:
    try:
        memories = level_memories(language)
    except LevelMemoryError:
        return
    for far in (False, True):  # whatever an event does, the memories follow it
        events = events_of(language, far=far)
        for memory in memories:
            for event, written in memory.writes.items():
                if event in events:
                    assert {memory.labels[after] for _, after in events[event]} == {written}
            for event in events.keys() - memory.writes.keys():
                if not any(e.symbol == event.symbol for e in memory.writes):
                    assert all(memory.labels[before] == memory.labels[after] for before, after in events[event])
    for all_words in (False, True):
        circuit = nested_circuit(language, all_words=all_words)
        assert circuit.n_blocks == 3 + all_words
        for word in product(language.alphabet, repeat=4):
            for stack, (_, allowed) in zip(language.run(word), circuit.run(word), strict=True):
                assert allowed == language.allowed(stack)


def test_many_random_languages_are_compiled() -> None:
    """The test above cannot pass because nothing is compiled."""
    compiled = 0
    for language in LANGUAGES:
        try:
            compiled += bool(level_memories(language)) or True
        except LevelMemoryError:
            continue
    assert compiled >= 10


def test_a_control_that_counts_is_refused_by_name() -> None:
    """Two states that one symbol exchanges: PARITY of the a's of a level."""
    steps = {"out": {"(": "out"}, "even": {"a": "odd", "(": "even"}, "odd": {"a": "even", "(": "odd"}}
    language = NestedLanguage.of(2, "out", {"(": "even"}, steps, {"even": [")"]}, ["out"])
    with pytest.raises(LevelMemoryError, match="'even' and 'odd'"):
        scancraft.compile(language)


def test_events_of_two_symbols() -> None:
    """At most two x in a row: what an x means depends on the symbol before it."""
    steps = {"out": {"(": "out"}, "none": {"x": "one"}, "one": {"x": "two", "y": "none"}, "two": {"y": "none"}}
    language = NestedLanguage.of(2, "out", {"(": "none"}, steps, {"none": [")"]}, ["out"])
    assert any(event.before for memory in level_memories(language) for event in memory.writes)
    for all_words in (False, True):
        circuit = nested_circuit(language, all_words=all_words)
        for word in product(language.alphabet, repeat=5):
            for stack, (_, allowed) in zip(language.run(word), circuit.run(word), strict=True):
                assert allowed == language.allowed(stack)
    assert scancraft.compile(language).check(words=300).agrees


@pytest.mark.parametrize("target", ["mamba", "falcon_mamba"])
@pytest.mark.parametrize("contract", ["live-prefixes", "all-words"])
def test_models_of_json(target: str, contract: str) -> None:
    model = scancraft.compile(json_documents(3), target=target, contract=contract)
    assert model.check(words=60, max_length=100, short=2_000, seed=1).agrees
    word = ["{", "string", ":", "[", "number"]
    assert model.allowed(word) == {",", "]"}


def test_bfloat16_is_float32() -> None:
    model = scancraft.compile(json_documents(5))
    rng = random.Random(2)
    for word in scancraft.members_of(json_documents(5), 5, 1, 60, rng):
        ids = torch.tensor([model.encode(word)])
        with torch.no_grad():
            exact = model.model()(ids).logits
            low = model.model(torch.bfloat16)(ids).logits
        assert torch.equal(exact, low.float())


def test_json_over_characters(tmp_path: Path) -> None:
    """Strings, numbers and literals are remembered beside the level; a block more for the last two symbols."""
    model = scancraft.compile(json_characters(2, "ab "), tmp_path)
    assert model.weights.shape.n_layers == 4
    words = scancraft.members_of(model.language, 60, 1, 80, random.Random(3))
    score = accuracy(model.runner(), truth_of(model.language), model.readout, words)
    assert score.right_positions == score.positions
    assert model.allowed('{"a\\""') == {":"}
    assert model.allowed("[1") == {*"0123456789.eE,]"}
    assert model.certify().scope == "every-implementation"
