"""Refutations of models that say classes, and what may be forged in them."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import invoke
from random_mambas import small_mamba

import scancraft
from scancraft import Moore, Refutation, moore
from scancraft.automata.machines import MACHINES
from scancraft.certify.certify import Certificate
from scancraft.compiler.checkpoints import default_readout
from scancraft.refute.checker.refutation import check_refutation
from scancraft.refute.refute import NotApplicable, refute

PARITY = MACHINES["parity output"]()


def last_bit() -> Moore:
    """A star-free machine with the same symbols and classes."""
    return moore({q: {"0": "0", "1": "1"} for q in "01"}, "0", str)


@pytest.fixture(scope="module")
def model() -> Any:
    return scancraft.compile(last_bit()).model()


@pytest.fixture(scope="module")
def content(model: Any) -> dict[str, Any]:
    """A refutation that holds; do not change it."""
    found = refute(model, PARITY, default_readout(PARITY))
    assert isinstance(found, Refutation), found
    return found.content


def test_parity_is_no_class_of_a_mamba(model: Any, content: dict[str, Any], tmp_path: Path) -> None:
    assert content["observed"] == "class"
    assert "wrong after x w^n y about its class" in content["claim"]
    (answer,) = content["answers"]
    assert len(answer) == 1
    assert answer[0].startswith("<class:")
    checked = check_refutation(content, model)
    assert (checked.accepted, checked.reason) == (True, "")
    assert "Moore machine" in checked.language
    assert check_refutation(content, model, PARITY, default_readout(PARITY)).accepted
    assert not check_refutation(content, model, last_bit()).accepted
    again = refute(scancraft.compile(last_bit()), PARITY)
    assert isinstance(again, Refutation)
    assert {k: v for k, v in again.content.items() if k != "seconds"} == {
        k: v for k, v in content.items() if k != "seconds"
    }


def test_random_mambas_are_refuted() -> None:
    for seed in range(3):
        model = small_mamba(seed)
        found = refute(model, PARITY, default_readout(PARITY))
        assert isinstance(found, Refutation), found
        assert check_refutation(found, model).accepted
        assert found.content["model"] != found.content["right"]


def test_where_the_theorem_says_nothing_it_is_certified() -> None:
    found = refute(scancraft.compile(last_bit()))
    assert isinstance(found, NotApplicable)
    assert isinstance(found.certified, Certificate)
    assert isinstance(refute(scancraft.compile(PARITY)), NotApplicable)  # gates of -1


SWAPPED = {"0": 6, "1": 5}
CHANGES: list[tuple[str, Any, str]] = [
    ("readout.classes", SWAPPED, "offsets|answers|right"),
    ("readout.classes", {"0": 5}, "other classes"),
    ("readout.classes", {"0": 5, "1": 5}, "shares its score"),
    ("readout.classes", {"0": 5, "1": 99}, "no such score"),
    ("readout.classes", {"0": 5, "1": True}, "no such score"),
    ("readout.classes", {"0": 5, "1": 6, "2": 7}, "other classes"),
    ("readout.accept", 2, "does not say what may come next"),
    ("readout.next_symbol", {"0": 3, "1": 4}, "does not say what may come next"),
    ("readout.threshold", 1e9, "the threshold is"),
    ("observed", "allowed", "worded otherwise"),
    ("observed", "accepts", "the same for all n"),
    ("observed", "output", "unknown observation"),
    ("answers", [["<class:0>", "<class:1>"]], "answers"),
    ("answers", [[]], "answers"),
    ("model", [], "after the word the model"),
    ("right", [], "after the word the language"),
    ("language.moore_machine.classes", ["1", "0"], ""),
    ("language.moore_machine.classes", ["0", "1", "2"], "other classes"),
    ("language.moore_machine.outputs", {"0": "0", "1": "0"}, "fewer turns"),
    ("language.moore_machine.outputs", {"0": "1", "1": "0"}, "offsets|answers|right"),
    ("language.moore_machine.accepting", ["0"], ""),
    ("language", {"dfa": {}}, "malformed"),
    ("language", {}, "malformed"),
    ("language.dfa", {}, "malformed"),
]


@pytest.mark.parametrize(("key", "value", "reason"), CHANGES, ids=[f"{key}-{n}" for n, (key, *_) in enumerate(CHANGES)])
def test_every_change_is_rejected_or_true(
    model: Any, content: dict[str, Any], key: str, value: Any, reason: str
) -> None:
    tampered = deepcopy(content)
    place = tampered
    *path, last = key.split(".")
    for name in path:
        place = place[name]
    place[last] = value
    checked = check_refutation(tampered, model)
    if reason:
        assert not checked.accepted
        assert re.search(reason, checked.reason), checked.reason
    else:  # the same classes; or another machine, about whose classes the claim is as true
        assert checked.accepted
        assert checked.claim == content["claim"]


def test_a_symbol_that_is_called_like_a_class(model: Any, content: dict[str, Any]) -> None:
    machine = deepcopy(content)
    about = machine["language"]["moore_machine"]
    about["alphabet"] = ["0", "<class:0>"]
    for row in about["transitions"].values():
        row["<class:0>"] = row.pop("1")
    machine["readout"]["tokens"] = {"0": 3, "<class:0>": 4}
    for key in ("x", "w", "y", "word"):
        machine[key] = ["<class:0>" if s == "1" else s for s in machine[key]]
    checked = check_refutation(machine, model)
    assert not checked.accepted
    assert "called like a class" in checked.reason, checked.reason


def test_beside_what_may_come_next() -> None:
    """Acceptance is tried first; a readout of the class alone asks for that."""
    table = {q: {"(": 1 - q, ")": 1 - q} for q in (0, 1)}
    machine = moore(table, 0, str, accepting=[0])
    flat = scancraft.compile(moore({0: {"(": 0, ")": 0}}, 0, str, accepting=[0], classes=["0", "1"]))
    only = replace(flat.readout, accept=None, next_symbol={})
    for readout, observed in ((flat.readout, "accepts"), (only, "class")):
        found = refute(flat.model(), machine, readout)
        assert isinstance(found, Refutation)
        assert found.content["observed"] == observed
        assert check_refutation(found, flat.model()).accepted


def test_the_command(tmp_path: Path) -> None:
    scancraft.compile(last_bit(), tmp_path / "m")
    saved = tmp_path / "found.json"
    told = invoke("refute", str(tmp_path / "m"), "--named", "parity output", "--out", str(saved))
    assert told.exit_code == 0, told.output
    assert "the machine" in told.output
    assert invoke("refute", str(tmp_path / "m"), "--check", str(saved)).exit_code == 0
