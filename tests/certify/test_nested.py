"""Certificates of nested languages: what is proved, and that wrong models and wrong languages are not."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from forgery import accepted, certified, with_one_weight_changed
from random_nested import random_nested

import scancraft
from scancraft import NestedLanguage, json_documents
from scancraft.accuracy import accuracy
from scancraft.automata.languages import truth_of
from scancraft.certify.certify import Certificate, certify
from scancraft.certify.checker.judge import judge
from scancraft.certify.checker.parts import RejectedError
from scancraft.compiler.circuits.nested.circuit import LevelCircuit
from scancraft.compiler.circuits.nested.memories import LevelMemoryError, level_memories
from scancraft.compiler.constructions import constructed


def compilable(count: int, seed: int) -> list[NestedLanguage]:
    """Random languages whose levels need one block."""
    found: list[NestedLanguage] = []
    for language in random_nested(10 * count, seed):
        try:
            level_memories(language)
        except LevelMemoryError:
            continue
        found.append(language)
    return found[:count]


LANGUAGES = [json_documents(1), json_documents(6), *compilable(6, 11)]


@pytest.mark.parametrize("target", ["mamba", "falcon_mamba"])
@pytest.mark.parametrize("language", LANGUAGES, ids=str)
def test_nested_languages_are_certified(language: NestedLanguage, target: str, tmp_path: Path) -> None:
    scancraft.compile(language, tmp_path, target=target)
    for dtype in (torch.float32, torch.bfloat16):
        found = certified(tmp_path, dtype=dtype)
        assert (found.scope, found.content["method"]) == ("every-implementation", "slots")
        assert accepted(tmp_path).language.startswith("nested words over")


def test_events_of_two_symbols(tmp_path: Path) -> None:
    """One block more, which is explored."""
    steps = {"out": {"(": "out"}, "none": {"x": "one"}, "one": {"x": "two", "y": "none"}, "two": {"y": "none"}}
    language = NestedLanguage.of(3, "out", {"(": "none"}, steps, {"none": [")"]}, ["out"])
    assert scancraft.compile(language, tmp_path).weights.shape.n_layers == 4
    assert certified(tmp_path).content["counts"]["stages"] == 1
    accepted(tmp_path)


@cache
def small() -> tuple[Any, Any]:
    """A compiled model of JSON at most two deep, and its certificate."""
    compiled = scancraft.compile(json_documents(2))
    return compiled, scancraft.certify(compiled.model(), compiled.language, readout=compiled.readout)


def accepts(mutant: Any, words: Any) -> bool:
    """Whether a model is right after all prefixes of the words."""
    compiled, _ = small()
    score = accuracy(mutant, truth_of(compiled.language), compiled.readout, words)
    return score.right_positions == score.positions


def test_mutants_are_rejected_or_right() -> None:
    """One weight changed: whatever the checker still accepts is right on all short words and on random ones."""
    compiled, certificate = small()
    words = [w for n in range(5) for w in product(["{", "}", "[", "string", ":", ","], repeat=n)]
    words += scancraft.members_of(compiled.language, 60, 1, 40, random.Random(1))
    kept, tried = 0, 0
    for change, mutant in with_one_weight_changed(compiled.model(), 20, random.Random(4)):
        tried += 1
        try:
            judge(certificate.content, mutant, certificate.evidence)
        except RejectedError:
            continue
        kept += 1
        assert accepts(mutant, words), change
    assert tried == 20
    assert kept < 10  # most are rejected


EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "deeper": lambda d: d.update(depth=3),
    "less deep": lambda d: d.update(depth=1),
    "a trailing comma": lambda d: d["closes"].update({"object comma": ["}"]}),
    "an empty object is none": lambda d: d["closes"].pop("object"),
    "numbers are keys": lambda d: d["steps"]["object"].update({"number": "key"}),
    "no commas": lambda d: d["steps"].pop("member"),
    "two values": lambda d: d["steps"].update({"end": {"number": "end"}}),
    "nothing is a text": lambda d: d["accepting"].append("start"),
    "brackets close braces": lambda d: d["closes"].update({"member": ["]"]}),
    "an array is an object": lambda d: d["opens"].update({"[": "object"}),
    "another start": lambda d: d.update(root="array"),
    "a step on a closing symbol": lambda d: d["steps"]["member"].update({"}": "member"}),
    "a symbol more": lambda d: d["alphabet"].append("!"),
    "a symbol twice": lambda d: d["alphabet"].append("{"),
    "a key more": lambda d: d.update(note=""),
    "states are numbers": lambda d: d.update(root=0),
    "no depth": lambda d: d.update(depth=0),
}


@pytest.mark.parametrize("name", EDITS)
def test_certificates_of_other_languages_are_rejected(name: str) -> None:
    compiled, certificate = small()
    content = copy.deepcopy(certificate.content)
    EDITS[name](content["language"]["nested"])
    with pytest.raises((RejectedError, KeyError, TypeError)):
        judge(content, compiled.model(), certificate.evidence)


def test_a_slot_that_is_not_cleared_when_a_level_begins_is_noticed() -> None:
    """What the level before at the same depth left: an error that only words of several levels show."""
    language = json_documents(2)
    memories = level_memories(language)
    wrong = 0
    for n, memory in enumerate(memories):
        writes = {event: label for event, label in memory.writes.items() if event.symbol != "["}
        changed = [*memories[:n], replace(memory, writes=writes), *memories[n + 1 :]]
        circuit = LevelCircuit(language, changed).circuit(all_words=False)
        model = constructed(language, "star-free", circuit, 2, None, None, "float32")
        words = scancraft.members_of(language, 60, 5, 40, random.Random(1))
        score = accuracy(model.runner(), truth_of(language), model.readout, words)
        wrong += score.right_positions < score.positions
        assert not isinstance(certify(model.model(), language, readout=model.readout), Certificate)
    assert wrong == len(memories)


def test_long_documents(tmp_path: Path) -> None:
    language = json_documents(8)
    words = scancraft.members_of(language, 100, 100, 400, random.Random(9))
    compiled = scancraft.compile(language)
    score = accuracy(compiled.runner(), truth_of(language), compiled.readout, words)
    assert score.right_positions == score.positions > 20_000
