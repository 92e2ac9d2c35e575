"""Certificates of machines with outputs: what an adversary may write of classes, in any file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from forgery import Content, Edit, accepted, claim_language, edit_json, edit_weights, rejected, right, set_at

import scancraft
from scancraft import Certificate, Moore
from scancraft.automata.languages import language_to_json
from scancraft.automata.machines import corridor, depth
from scancraft.certify.certify import Refuted
from scancraft.certify.checker.certificate import claim
from scancraft.certify.checker.languages import read_moore
from scancraft.certify.checker.parts import RejectedError
from scancraft.models.errors import CheckpointError, ReadoutError

Forge = Callable[[str], Path]
MACHINE = corridor(3)
ROWS = {"0": 6, "1": 7, "2": 8}  # after <pad>, <bos>, <eos> and three symbols


def in_both(place: Path, of_manifest: Edit, of_certificate: Edit) -> None:
    edit_json(place / "scancraft.json", of_manifest)
    edit_json(place / "certificate.json", of_certificate)


def machine_of(place: Path) -> Content:
    return dict(json.loads((place / "scancraft.json").read_text())["language"]["moore_machine"])


@pytest.mark.parametrize("name", ["classes", "beside"])
def test_they_are_accepted(forge: Forge, name: str) -> None:
    checked = accepted(forge(name))
    assert "the class with the greatest score is that of the machine" in checked.claim
    assert ("each token is allowed" in checked.claim) == (name == "beside")
    assert "Moore machine" in checked.language


def test_the_margin_is_the_lead_of_the_class(forge: Forge) -> None:
    content = json.loads((forge("classes") / "certificate.json").read_text())
    assert content["margin"] == 32.0
    assert content["readout"]["classes"] == ROWS
    assert (content["readout"]["accept"], content["readout"]["next_symbol"]) == (None, {})


PERMUTED = {"0": 7, "1": 6, "2": 8}
OUTPUTS: list[tuple[dict[str, Any], str]] = [
    (PERMUTED, "read-out"),
    ({"0": 6, "1": 6, "2": 8}, "distinct"),  # two classes on one row
    ({"0": 2, "1": 7, "2": 8}, "distinct"),  # the row of <eos>
    ({"0": 3, "1": 7, "2": 8}, "distinct"),  # the row of a symbol
    ({"0": 6, "1": 7, "2": 15}, "read-out"),  # a row of nothing
    ({"0": 6, "1": 7, "2": 16}, "past the vocabulary"),
    ({"0": 6, "1": 7, "2": 1 << 70}, ""),
    ({"0": 6, "1": 7, "2": -1}, "distinct"),
    ({"0": 6, "1": 7, "2": 8.0}, "distinct"),
    ({"0": 6, "1": 7, "2": True}, "distinct"),
    ({"0": 6, "1": 7}, "other classes"),
    (ROWS | {"3": 9}, "other classes"),
    ({"0": 6, "1": 7, "3": 8}, "other classes"),
    ({}, "other classes"),
]


@pytest.mark.parametrize(("outputs", "reason"), OUTPUTS)
def test_outputs_at_other_rows(forge: Forge, outputs: dict[str, Any], reason: str) -> None:
    """The manifest and the certificate agree on them, and no digest tells."""
    place = forge("classes")
    in_both(
        place,
        lambda m: m.update(outputs=outputs),
        lambda c: c["readout"].update(classes=outputs) if outputs else c["readout"].pop("classes"),
    )
    if not outputs:
        edit_json(place / "certificate.json", lambda c: c.update(claim=claim("all-words", c["method"], c["readout"])))
    rejected(place, reason)


@pytest.mark.parametrize("outputs", [outputs for outputs, _ in OUTPUTS])
def test_such_manifests_are_refused_or_refuted(forge: Forge, outputs: dict[str, Any]) -> None:
    place = forge("classes")
    edit_json(place / "scancraft.json", lambda m: m.update(outputs=outputs))
    try:
        found = scancraft.certify(place)
    except (CheckpointError, ReadoutError):
        return
    assert isinstance(found, Refuted)


def test_only_one_of_the_files_names_other_rows(forge: Forge) -> None:
    place = forge("classes")
    edit_json(place / "certificate.json", set_at("readout", "classes", "0", value=9))
    rejected(place, "readout: classes")
    place = forge("classes")
    edit_json(place / "scancraft.json", set_at("outputs", "0", value=9))
    rejected(place, "readout: classes")


def test_the_order_of_classes_means_nothing_where_rows_are_named(forge: Forge) -> None:
    place = forge("classes")
    edit_json(place / "scancraft.json", lambda m: m.update(outputs=dict(reversed(ROWS.items()))))
    accepted(place)
    assert isinstance(scancraft.certify(place), Certificate)
    assert scancraft.check(place, words=20).agrees


LANGUAGES: list[tuple[Callable[[Content], object], str]] = [
    (lambda m: m["outputs"].update({"0": "1", "1": "0"}), "read-out"),
    (lambda m: m["outputs"].update({"0": "3"}), "no class"),
    (lambda m: m["outputs"].update({"0": 0}), "no class"),
    (lambda m: m["outputs"].pop("0"), "other states"),
    (lambda m: m["outputs"].update(more="0"), "other states"),
    (lambda m: m.update(classes=["0", "1", "1", "2"]), "twice"),
    (lambda m: m.update(classes=["0", "1"]), "no class"),
    (lambda m: m.update(classes=["1", "0", "2"]), ""),
    (lambda m: m.update(classes=[f"{n}" for n in range(1000)]), "other classes"),
    (lambda m: m.update(alphabet=["<class:0>", "-", "0"]), ""),
    (lambda m: m.update(more=1), "unknown keys"),
    (lambda m: m["transitions"]["0"].update({"+": "0"}), ""),
    (lambda m: m["transitions"]["0"].pop("+"), "lacks transitions"),
    (lambda m: m.update(initial="1"), ""),
    (lambda m: m.update(initial=["0"]), ""),
]


@pytest.mark.parametrize(("edit", "reason"), LANGUAGES)
def test_another_machine(forge: Forge, edit: Edit, reason: str) -> None:
    place = forge("classes")
    machine = machine_of(place)
    edit(machine)
    claim_language(place, {"moore_machine": machine})
    if machine.get("classes") == ["1", "0", "2"]:  # the same machine, since rows are named
        accepted(place)
    else:
        rejected(place, reason)


def test_a_machine_that_also_says_what_may_come_next_of_which_nothing_is_claimed(forge: Forge) -> None:
    """That the classes are right is still true; the checkpoint is not loaded."""
    place = forge("classes")
    claim_language(place, {"moore_machine": {**machine_of(place), "accepting": ["0"]}})
    assert "allowed" not in accepted(place).claim
    with pytest.raises(CheckpointError):
        scancraft.load(place)


def test_a_machine_and_a_language(forge: Forge) -> None:
    place = forge("classes")
    dfa = language_to_json(MACHINE.domain)
    edit_json(place / "scancraft.json", lambda m: m["language"].update(dfa))
    rejected(place, "names two")
    with pytest.raises(scancraft.LanguageFormatError):
        scancraft.load(place)


def test_a_language_in_the_place_of_the_machine(forge: Forge) -> None:
    """The contract outputs of a language would promise nothing at all."""
    place = forge("classes")
    about = language_to_json(MACHINE.domain)["dfa"]
    claim_language(place, {"dfa": about})
    stated = {**about, "states": list(about["transitions"])}
    edit_json(place / "certificate.json", lambda c: c.update(language=stated))
    edit_json(place / "scancraft.json", lambda m: m.update(outputs={}))

    def nothing(content: Content) -> None:
        content["readout"].pop("classes")
        content["claim"] = claim("all-words", content["method"], content["readout"])

    edit_json(place / "certificate.json", nothing)
    rejected(place)
    with pytest.raises(CheckpointError):
        scancraft.load(place)


@pytest.mark.parametrize("contract", ["all-words", "live-prefixes", "recognise"])
def test_another_contract(forge: Forge, contract: str) -> None:
    place = forge("classes")
    edit_json(place / "scancraft.json", lambda m: m.update(contract=contract))
    rejected(place, "readout")
    with pytest.raises((CheckpointError, ReadoutError)):
        scancraft.load(place)
    place = forge("beside")
    edit_json(place / "scancraft.json", lambda m: m.update(contract="outputs"))
    rejected(place, "readout")
    with pytest.raises(CheckpointError):
        scancraft.load(place)


def test_what_comes_next_of_a_machine_that_does_not_say(forge: Forge) -> None:
    """The rows of symbols are never positive, and every word is right: a threshold would make it look so."""
    place = forge("classes")
    tokens = json.loads((place / "scancraft.json").read_text())["tokens"]
    following = {s: tokens[s] for s in MACHINE.alphabet}
    edit_json(place / "scancraft.json", lambda m: m.update(contract="all-words"))

    def more(content: Content) -> None:
        content["readout"].update(accept=tokens["<eos>"], next_symbol=following)
        content["claim"] = claim("all-words", content["method"], content["readout"])

    edit_json(place / "certificate.json", more)
    rejected(place, "does not say what may come next")


@pytest.mark.parametrize("name", ["classes", "beside"])
def test_a_claim_about_less_or_more(forge: Forge, name: str) -> None:
    for readout in ({"next_symbol": {"a": 3}, "accept": 2}, {"next_symbol": {}, "accept": None, "classes": {"0": 3}}):
        place = forge(name)
        says = claim("all-words", "block by block", readout)
        content = json.loads((place / "certificate.json").read_text())
        if content["claim"] != says:
            edit_json(place / "certificate.json", set_at("claim", value=says))
            rejected(place, "claim")


def rows_of(place: Path, change: Callable[[torch.Tensor], None]) -> None:
    def edit(weights: dict[str, torch.Tensor]) -> None:
        change(weights["lm_head.weight"])

    edit_weights(place, edit)


def test_scores_that_tie(forge: Forge) -> None:
    place = forge("classes")
    rows_of(place, lambda head: head[6:9].zero_())
    rejected(place, "read-out")
    assert not right(place)


def test_a_class_that_is_always_ahead(forge: Forge) -> None:
    place = forge("classes")

    def ahead(head: torch.Tensor) -> None:
        head[7, 0] = 64.0

    rows_of(place, ahead)
    rejected(place, "read-out")
    assert not right(place)


def test_all_scores_moved_alike_are_as_right(forge: Forge) -> None:
    """Only the greatest score counts, and the margin is the lead."""
    place = forge("classes")

    def lower(head: torch.Tensor) -> None:
        head[6:9, 0] -= 256.0

    rows_of(place, lower)
    rejected(place, "sums: the detail")  # how large sums get has changed
    found = scancraft.certify(place)
    assert isinstance(found, Certificate)
    assert found.margin == 32.0
    found.save(place)
    accepted(place)
    assert right(place)


def test_a_smaller_lead_is_a_smaller_margin(forge: Forge) -> None:
    place = forge("classes")

    def halve(head: torch.Tensor) -> None:
        head[6:9] /= 2

    rows_of(place, halve)
    rejected(place, "margin")
    edit_json(place / "certificate.json", set_at("margin", value=16.0))
    accepted(place)
    found = scancraft.certify(place)
    assert isinstance(found, Certificate)
    assert found.margin == 16.0


def test_a_wrong_model_gets_a_shortest_word() -> None:
    other = corridor(2)
    model = scancraft.compile(corridor(3))
    wrong = Moore.from_table(other.alphabet, other.table, other.outputs, classes=MACHINE.classes)
    found = scancraft.certify(model, wrong)
    assert isinstance(found, Refuted)
    assert found.shortest
    assert found.word == ("+", "+")
    assert (found.model, found.right) == ({"<class:2>"}, {"<class:1>"})
    assert found.word == scancraft.check(model, wrong).shortest.prefix  # type: ignore[union-attr]


def test_readouts_that_do_not_fit() -> None:
    model = scancraft.compile(MACHINE)
    readout = model.readout
    tokens = dict(readout.tokens)
    for other in (
        scancraft.Readout(tokens, bos=1, accept=None, next_symbol={}),
        scancraft.Readout(tokens, bos=1, accept=None, next_symbol={}, classes={"0": 6, "1": 7}),
        scancraft.Readout(tokens, bos=1, accept=2, next_symbol={}, classes=ROWS),
        scancraft.Readout(tokens, bos=1, accept=None, classes={"0": 9, "1": 10, "2": 11}),
    ):
        for judge in (scancraft.check, scancraft.certify):
            with pytest.raises(ReadoutError):
                judge(model.model(), MACHINE, readout=other)
    with pytest.raises(ReadoutError, match="shares its score"):
        scancraft.Readout(tokens, bos=1, accept=6, next_symbol={}, classes=ROWS)
    with pytest.raises(ReadoutError):
        scancraft.certify(model.model(), "(a|b)*", readout=readout)


@pytest.mark.parametrize("machine", [corridor(3), depth(2)])
def test_the_checkers_own_reader(machine: Moore) -> None:
    found = read_moore(language_to_json(machine)["moore_machine"])
    assert found.table.tolist() == [list(row) for row in machine.table]
    assert [found.classes[n] for n in found.outputs] == list(machine.outputs)
    assert found.predicts == machine.predicts
    for bad in ({}, [], {"alphabet": []}, None):
        with pytest.raises((RejectedError, TypeError, KeyError)):
            read_moore(bad)
