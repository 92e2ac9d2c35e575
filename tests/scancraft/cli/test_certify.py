"""``scancraft certify``: proofs, counterexamples, and the check of a saved certificate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import answer, copied, invoke, written
from kinds import EXACT, KINDS, Built
from safetensors.torch import load_file, save_file

METHODS = {"theorem 1": "block by block", "theorem 5": "counters", "theorem 6": "slots", "": "block by block"}


@pytest.mark.parametrize("name", [name for name in KINDS if name != "dyck, all"])
def test_certify_and_the_separate_checker(name: str, built: Built, tmp_path: Path) -> None:
    kind, place = KINDS[name], copied(built(name)[0], tmp_path)
    result = invoke("certify", "--check", place)
    assert (result.exit_code, "certificate.json is missing" in result.stdout) == (1, True)
    found = answer(invoke("certify", place, "--json"))
    assert (found["verdict"], found["scope"], found["word"]) == ("certified", "every-implementation", None)
    assert (found["contract"], found["method"]) == (kind.contract, METHODS[kind.theorem])
    assert found["margin"] > 0
    assert all(o["holds"] for o in found["obligations"])
    if kind.theorem == "theorem 5":
        assert list(found["limits"].values()) == [EXACT]
        assert "as long as no counter exceeds its limit" in found["claim"]
    else:
        assert not found.get("limits")
        assert "of any length" in found["claim"]
    checked = answer(invoke("certify", "--check", place, "--json"))
    assert (checked["verdict"], checked["accepted"]) == ("certified", True)
    shown = invoke("certify", "--check", place)
    assert (shown.exit_code, shown.stdout.startswith("the certificate is valid")) == (0, True)
    told = invoke("certify", place)
    assert told.exit_code == 0
    assert told.stdout.startswith("certified, scope every-implementation: ")
    assert ("limits: " in told.stdout) == (kind.theorem == "theorem 5")


def test_bounded_dyck_on_all_words_is_undecided(built: Built, tmp_path: Path) -> None:
    place = copied(built("dyck, all")[0], tmp_path)
    found = answer(invoke("certify", place, "--json"), 3)
    assert found["verdict"] == "undecided"
    assert "live prefixes only" in found["reason"]
    result = invoke("certify", place)
    assert (result.exit_code, result.stdout.startswith("undecided: ")) == (3, True)
    assert not (place / "certificate.json").exists()
    assert invoke("certify", "--check", place).exit_code == 1


def test_what_is_printed_and_what_is_written(d2: Path, tmp_path: Path) -> None:
    """A certificate is written as it is printed; of a counterexample, and of no verdict, nothing is written."""
    place = copied(d2, tmp_path)
    for options, code, told, facts in (
        (("--regex", "(ab)*"), 1, "a shortest counterexample is 'a':", ("counterexample", None, None, ["a"])),
        (("--budget", 3), 3, "undecided: ", ("undecided", None, None, None)),
        ((), 0, "certified, scope every-implementation:", ("certified", "every-implementation", 16.0, None)),
    ):
        found = answer(invoke("certify", place, *options, "--json"), code)
        assert tuple(found[key] for key in ("verdict", "scope", "margin", "word")) == facts
        if code == 1:
            assert (found["model"], found["right"], found["shortest"]) == (["a", "b"], ["b"], True)
        result = invoke("certify", place, *options)
        assert (result.exit_code, result.stdout.startswith(told)) == (code, True)
        assert (place / "certificate.json").exists() == (place / "certificate.safetensors").exists() == (code == 0)
    saved = json.loads((place / "certificate.json").read_text())
    assert saved == {k: v for k, v in found.items() if k != "seconds"}


def test_certify_in_bfloat16(built: Built, tmp_path: Path) -> None:
    for name, limit in (("a^n b^n", {"b due": 256}), ("dyck", None), ("flip-flop", None)):
        place = copied(built(name)[0], tmp_path / name.replace(" ", ""))
        found = answer(invoke("certify", place, "--dtype", "bfloat16", "--json"))
        assert (found["verdict"], found["dtype"], found.get("limits") or None) == ("certified", "bfloat16", limit)
        assert invoke("certify", "--check", place).exit_code == 0


@pytest.mark.parametrize("name", ["flip-flop", "dyck", "a^n b^n", "file"])
def test_a_certificate_does_not_outlive_its_weights(name: str, built: Built, tmp_path: Path) -> None:
    place = copied(built(name)[0], tmp_path)
    assert invoke("certify", place).exit_code == 0
    tensors = load_file(place / "model.safetensors")
    tensors["lm_head.weight"] *= -1
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
    rejected = answer(invoke("certify", "--check", place, "--json"), 1)
    assert (rejected["verdict"], rejected["accepted"]) == ("rejected", False)
    result = invoke("certify", "--check", place)
    assert (result.exit_code, result.stdout.startswith("the certificate is not valid: ")) == (1, True)
    assert answer(invoke("certify", place, "--seconds", 2, "--json"), 1)["verdict"] == "counterexample"
    assert invoke("check", place, "--words", 4, "--short", 30).exit_code == 1


def test_certify_and_its_checker_agree_on_giant_steps_in_bfloat16(giant: Path, tmp_path: Path) -> None:
    place = copied(giant, tmp_path)
    certified = invoke("certify", place, "--dtype", "bfloat16").exit_code == 0
    assert not certified or invoke("certify", "--check", place).exit_code == 0


def test_another_machine_for_the_same_language_is_not_called_wrong(built: Built, tmp_path: Path) -> None:
    up, down = {"add": {"n": 1}}, {"to": "t", "add": {"n": -1}, "when": {"n": "positive"}}
    rows = {"s": {"(": {"to": "t", **up}}, "t": {"(": {"to": "t", **up}, ")": down}}
    accepting = {"s": {}, "t": {"n": "zero"}}
    same = {"alphabet": ["(", ")"], "counters": ["n"], "initial": "s", "transitions": rows, "accepting": accepting}
    place = written(tmp_path / "same.json", same)
    found = answer(invoke("certify", built("Dyck-1")[0], "--language", place, "--json"))
    assert found["verdict"] == "certified"
