"""Planted faults: in certificates, manifests, configurations, evidence and weights, whatever a forger recomputes.

Each is rejected, or harmless: then ``transformers`` finds the model right on every short word.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forgery import (
    ORIGINALS,
    Content,
    Edit,
    Tensors,
    accepted,
    certified,
    checked_with_its_margin,
    claim_language,
    edit_evidence,
    edit_json,
    edit_weights,
    promote,
    rejected,
    right,
    set_at,
)
from safetensors.torch import load_file, save_file

import scancraft
from scancraft.automata.budget import Budget
from scancraft.certify.certify import Refuted
from scancraft.certify.checker.certificate import check_certificate, claim
from scancraft.certify.checker.configuration import KEYS
from scancraft.certify.checker.parts import text_digest
from scancraft.certify.search.evidence import evidence
from scancraft.certify.search.explore import explore
from scancraft.certify.search.prove import BATCH, Judge
from scancraft.models.errors import CheckpointError
from scancraft.models.run.stepper import Stepper

Forge = Callable[[str], Path]

# -- what the certificate says --------------------------------------------------------------------------------------

WORDS: list[tuple[str, Edit, str]] = [
    ("regular", set_at("schema_version", value=2), "schema_version"),
    ("regular", set_at("verdict", value="proved"), "verdict"),
    ("regular", lambda c: c.pop("verdict"), "verdict"),
    ("regular", set_at("claim", value="right always"), "claim"),
    ("regular", set_at("method", value="magic"), "method"),
    ("regular", set_at("method", value="whole model"), "whole model"),
    ("regular", set_at("scope", value="all"), "scope"),
    ("regular", set_at("contract", value="live-prefixes"), "claim"),
    ("regular", set_at("margin", value=1e9), "margin"),
    ("regular", set_at("margin", value=1e-9), "margin"),
    ("regular", set_at("margin", value=None), "margin"),
    ("regular", set_at("word", value=["1"]), "word"),
    ("regular", set_at("dtype", value="float64"), "dtype"),
    ("regular", set_at("dtype", value="float16"), "model.safetensors"),
    ("regular", set_at("batch", value=0), "batch"),
    ("regular", set_at("batch", value=True), "batch"),
    ("regular", set_at("implementation", "model", value="mine"), "implementation: model"),
    ("regular", set_at("implementation", "model", value="transformers.Mamba2ForCausalLM"), "config.json about"),
    ("regular", set_at("implementation", "torch", value="any, exactly"), "implementation: torch"),
    ("regular", set_at("implementation", "device", value="every device"), "implementation: device"),
    ("regular", set_at("implementation", "scancraft", value=["1"]), "implementation: scancraft"),
    ("regular", lambda c: c["implementation"].update(kernel="all"), "implementation: not exactly"),
    ("regular", lambda c: c["implementation"].pop("device"), "implementation: not exactly"),
    ("regular", set_at("readout", "tokens", "0", value=7), "readout: tokens"),
    ("regular", set_at("readout", "bos", value=0), "readout: bos"),
    ("regular", set_at("readout", "accept", value=0), "readout: accept"),
    ("regular", set_at("readout", "threshold", value=-17.0), "readout: threshold"),
    ("regular", set_at("readout", "next_symbol", "0", value=2), "readout: next_symbol"),
    ("regular", lambda c: c["readout"].update(head="first"), "readout: head"),
    ("regular", set_at("language", "accepting", value=[]), "language: scancraft.json"),
    ("regular", set_at("sha256", "language", value="0" * 64), "sha256 of the language"),
    ("regular", set_at("sha256", "weights", value="0" * 64), "not the weights"),
    ("regular", set_at("sha256", "evidence", value="0" * 64), "certificate.safetensors: its sha256"),
    ("regular", lambda c: c["sha256"].update(signature="ours"), "sha256: missing or unknown"),
    ("regular", lambda c: c["counts"].update(events=10**6), "counts"),
    ("regular", lambda c: c["counts"].update(transitions=0), "counts"),
    ("regular", lambda c: c["counts"].update(readouts=99), "counts"),
    ("regular", lambda c: c["counts"].update(words=10**9), "counts"),
    ("regular", lambda c: c["counts"].update(stages=2), "counts"),
    ("regular", lambda c: c["obligations"].pop(), "obligations"),
    ("regular", set_at("obligations", 0, "name", value="termination"), "obligations"),
    ("regular", set_at("obligations", 1, "holds", value=False), "sums does not hold"),
    ("regular", set_at("obligations", 1, "checked", value=10**9), "sums: 1000000000 instances claimed"),
    ("regular", set_at("obligations", 1, "checked", value=-1), "sums: malformed"),
    ("regular", set_at("obligations", 1, "checked", value=1.0), "sums: malformed"),
    ("regular", set_at("obligations", 1, "detail", value="largest sum |t| / (2^24 q) = 1e-09"), "sums: the detail"),
    ("regular", set_at("obligations", 2, "detail", value="in float64 too"), "functions: the detail"),
    ("regular", set_at("obligations", 2, "detail", value=None), "functions: malformed"),
    ("regular", lambda c: c["obligations"][0].update(formally_verified=True), "gates: unknown keys"),
    ("regular", lambda c: c.update(audited=True), "audited"),
    ("regular", lambda c: c.update(obligations={}), ""),
    ("regular", lambda c: c.update(language=[1], readout=3), "malformed"),
    ("live", set_at("claim", value=claim("live-prefixes", "slots")), "claim"),
    ("live", set_at("claim", value=claim("all-words", "counters")), "claim"),
    ("slots", set_at("claim", value=claim("live-prefixes", "counters")), "claim"),
    ("live", set_at("method", value="slots"), "claim"),
    ("live", set_at("method", value="block by block"), "keys ['limits']"),
    ("live", set_at("scope", value="step"), "scope"),
    ("live", set_at("limits", "depth", value=2**24 + 1), "too high"),
    ("live", set_at("limits", "depth", value=0), "too low"),
    ("live", set_at("limits", "depth", value=255.0), "too low"),
    ("live", set_at("limits", "depth", value=1000), "another limit"),
    ("live", set_at("limits", value={"depth": 256, "n": 1}), "limits"),
    ("live", lambda c: c.pop("limits"), "keys ['limits']"),
    ("slots", set_at("limits", value={"depth": 1}), "limits"),
    ("live", set_at("margin", value=32.0), "margin"),
    ("slots", set_at("margin", value=1.0), "margin"),
    ("live", set_at("counts", "readouts", value=7), "counts"),
    ("live", set_at("counts", "stages", value=1), "counts"),
    ("control", set_at("counts", "events", value=1), "counts"),
    ("live", set_at("obligations", 1, "holds", value=False), "sums does not hold"),
    ("live", set_at("obligations", 1, "checked", value=-1), "malformed"),
    ("live", set_at("obligations", 1, "detail", value=None), "malformed"),
    ("live", set_at("dtype", value="float16"), "model.safetensors"),
    ("live", set_at("sha256", "language", value="0" * 64), "sha256 of the language"),
    ("slots", set_at("sha256", "weights", value="0" * 64), "weights"),
    ("live", lambda c: c["language"]["counter_machine"].update(accepting={"q": {}}), "scancraft.json names another"),
    ("slots", set_at("word", value=["("]), "word"),
]

MANIFEST: list[tuple[str, Edit, str]] = [
    ("regular", set_at("tokens", "0", value=9), "readout: tokens"),
    ("regular", set_at("special_tokens", "eos", value="<pad>"), ""),
    ("regular", set_at("contract", value="live-prefixes"), "contract"),
    ("regular", lambda m: m.pop("tokens"), "malformed"),
    ("regular", lambda m: m["language"]["dfa"].update(alphabet=["0", "1", "2"]), "language: scancraft.json"),
    ("live", lambda m: m["language"]["counter_machine"].update(accepting={"q": {}}), "scancraft.json names another"),
    ("live", set_at("language", "counter_machine", "counters", "depth", "initial", value=False), "names another"),
    ("all", set_at("counters", 0, "block", value=1), "scancraft.json: it says that counter 'depth' is at"),
    ("all", set_at("counters", 0, "channel", value=0), "scancraft.json: it says"),
    ("all", set_at("counters", 0, "channel", value=4.5), "scancraft.json: it says"),
    ("all", set_at("counters", 0, "state", value=1), "scancraft.json: it says"),
    ("all", set_at("counters", 0, "state", value=False), "scancraft.json: it says"),
    ("all", set_at("counters", 0, "name", value="counter n"), "scancraft.json: it says"),
    ("all", lambda m: m["counters"].append(m["counters"][0]), "does not list each counter once"),
    ("all", lambda m: m["counters"].clear(), "does not list each counter once"),
    ("all", lambda m: m["counters"][0].update(unit=1000), "units of 1"),
    ("all", set_at("counters", 0, "limits", "float32", value=2**24 - 1), "another limit"),
    ("all", set_at("counters", 0, "limits", "float32", value=float(2**24)), "another limit"),
    ("all", set_at("counters", 0, "limits", value={}), "another limit"),
]


@pytest.mark.parametrize("number", range(len(WORDS)))
def test_rejects_other_words(number: int, forge: Forge) -> None:
    which, edit, reason = WORDS[number]
    place = forge(which)
    edit_json(place / "certificate.json", edit)
    rejected(place, reason)


@pytest.mark.parametrize("number", range(len(MANIFEST)))
def test_rejects_another_manifest(number: int, forge: Forge) -> None:
    which, edit, reason = MANIFEST[number]
    place = forge(which)
    edit_json(place / "scancraft.json", edit)
    rejected(place, reason)


WRONG: dict[str, list[Any]] = {
    "number": [None, True, "1e-05", -1e-5, 0, 0.0, 1e300, [], float("nan"), float("inf")],
    "size": [None, False, True, 0, -1, 2.0, "16", 1 << 40, [16], {}],
    "switch": [None, 0, 1, "true", []],
}


@pytest.mark.parametrize("which", ["regular", "mamba2", "falcon", "signed"])
def test_rejects_every_other_configuration(which: str, forge: Forge) -> None:
    """Every key with values of other types and out of range, keys that are missing, and keys that are not known."""
    place = forge(which)
    original = json.loads((place / "config.json").read_text())
    faults: list[tuple[str, Any]] = [(key, "gone") for key in ("vocab_size", "tie_word_embeddings", "model_type")]
    for key, value in original.items():
        kind = "switch" if type(value) is bool else "size" if type(value) is int else "number"
        if type(value) in (bool, int, float) and not key.endswith("token_id"):
            faults += [(key, wrong) for wrong in WRONG[kind]]
    faults += [(key, value) for key, value in (("hidden_act", "relu"), ("hidden_act", "swish"), ("dtype", "float16"))]
    faults += [("tie_word_embeddings", True), ("architectures", []), ("model_type", "llama"), ("pad_token_id", "0")]
    for key in ("torch_dtype", "transformers_weights", "configuration_files", "auto_map", "quantization_config", "n"):
        faults.append((key, "float16"))
    faults += [("rescale_prenorm_residual", True), ("num_hidden_layers", original["num_hidden_layers"] + 1)]
    for key, value in faults:
        changed = {k: v for k, v in {**original, key: value}.items() if v != "gone"}
        (place / "config.json").write_text(json.dumps(changed))
        assert not check_certificate(place).accepted, (key, value)
    (place / "config.json").write_text(json.dumps(original))
    accepted(place)
    assert len(faults) > 60
    assert set(original) <= set(KEYS[original["model_type"]])


ODD: tuple[Any, ...] = (
    *(None, True, 0, 3, -1, 1e-45, 2.0, 5000, "bfloat16", [0.0, {"__float__": "Infinity"}], [0.0, 5000.0], "gone"),
)
MORE = ("_name_or_path", "output_attentions", "id2label", "problem_type", "rms_norm", "time_step_scale", "torch_dtype")


@pytest.mark.parametrize("name", ["regular", "mamba2", "falcon", "signed"])
def test_load_and_the_checker_read_a_configuration_alike(name: str, forge: Forge) -> None:
    """Neither takes what the other refuses to read; the one exception is a chunk too long for what is argued."""
    place = forge(name)
    original = json.loads((place / "config.json").read_text())
    for number, key in enumerate((*original, *MORE)):
        for value in ODD[number % 2 :: 2]:  # benchmarks/experiments/attack.py draws more
            changed = {k: v for k, v in {**original, key: value}.items() if v != "gone"}
            (place / "config.json").write_text(json.dumps(changed))
            reason = check_certificate(place).reason
            try:
                scancraft.load(place).model()
            except CheckpointError:
                assert reason, f"load refuses {key} {value!r}, and the checker accepts"
            else:
                assert not reason.startswith("config.json") or "chunk_size" in reason, (key, value, reason)


@pytest.mark.parametrize("name", ["regular", "mamba2", "falcon", "signed"])
def test_what_transformers_saves_again_is_still_certified(name: str, forge: Forge) -> None:
    from transformers import AutoModelForCausalLM

    place = forge(name)
    scancraft.load(place)  # our own class is known then
    AutoModelForCausalLM.from_pretrained(place).save_pretrained(place)
    accepted(place)
    assert scancraft.load(place).model() is not None


@pytest.mark.parametrize("name", ["certificate.json", "certificate.safetensors", "model.safetensors", "config.json"])
def test_rejects_missing_and_truncated_files(name: str, forge: Forge) -> None:
    place = forge("regular")
    whole = (place / name).read_bytes()
    for size in (0, 1, 9, len(whole) // 2, len(whole) - 4):
        (place / name).write_bytes(whole[:size])
        rejected(place, name)
    (place / name).unlink()
    rejected(place, f"{name} is missing")
    rejected(place / "nowhere", "is no directory")


def test_rejects_a_digest_that_is_another_and_a_key_that_occurs_twice(forge: Forge) -> None:
    path = forge("regular") / "certificate.json"
    content = path.read_text()
    path.write_text(content.replace('"batch": 256', '"batch": 255'))
    rejected(path.parent, "its own sha256")
    path.write_text(content.replace('"scope"', '"scope": "step", "scope"', 1))
    rejected(path.parent, "twice")
    for key in json.loads(content):
        path.write_text(json.dumps({k: v for k, v in json.loads(content).items() if k != key}))
        rejected(path.parent)


# -- other languages and contracts ----------------------------------------------------------------------------------


def test_rejects_another_language_in_the_manifest(forge: Forge) -> None:
    place = forge("regular")
    original = json.loads((place / "scancraft.json").read_text())
    dfa = original["language"]["dfa"]
    states = list(dfa["transitions"])
    variants = [{**dfa, "initial": states[1]}]
    for state in states:
        variants.append({**dfa, "accepting": sorted({*dfa["accepting"]} ^ {state})})
        for symbol in dfa["alphabet"]:
            variants.append(copy.deepcopy(dfa))
            target = next(q for q in states if q != dfa["transitions"][state][symbol])
            variants[-1]["transitions"][state][symbol] = target
    for variant in variants:
        (place / "scancraft.json").write_text(json.dumps({**original, "language": {"dfa": variant}}))
        rejected(place, "language: scancraft.json")


def test_the_manifest_may_name_states_otherwise_and_leave_out_dead_ones(forge: Forge) -> None:
    def rename(manifest: Content) -> None:
        dfa = manifest["language"]["dfa"]
        rows = {f"q{q}": {s: f"q{t}" for s, t in row.items()} for q, row in dfa["transitions"].items()}
        dead = next(q for q, row in rows.items() if set(row.values()) == {q} and q[1:] not in dfa["accepting"])
        rows = {q: {s: t for s, t in row.items() if t != dead} for q, row in rows.items() if q != dead}
        dfa.update(initial=f"q{dfa['initial']}", accepting=[f"q{q}" for q in dfa["accepting"]], transitions=rows)

    place = forge("regular")
    edit_json(place / "scancraft.json", rename)
    accepted(place)


def test_rejects_the_complement_everywhere(forge: Forge) -> None:
    """In both files, with the right digest: the read-out is wrong."""
    place = forge("regular")
    dfa = scancraft.load(place).dfa
    accepting = set(range(dfa.n_states)) - dfa.accepting
    table = [list(row) for row in dfa.semiautomaton.table]
    value = {"alphabet": list(dfa.alphabet), "table": table, "accepting": sorted(accepting)}
    names = [dfa.names[q] for q in sorted(accepting)]
    edit_json(place / "scancraft.json", lambda m: m["language"]["dfa"].update(accepting=names))
    digest = text_digest(value, ordered=True)
    edit_json(
        place / "certificate.json",
        lambda c: (c["language"].update(accepting=names), c["sha256"].update(language=digest)),
    )
    rejected(place, "read-out")


LANGUAGES: list[Edit] = [
    lambda m: m.update(accepting={"q": {"depth": "positive"}}),
    lambda m: m.update(accepting={"q": {}}),
    lambda m: m["transitions"]["q"][")"].update(when={"depth": "nonzero"}, add={}),
    lambda m: m["transitions"]["q"]["("].update(add={"depth": 2}),
    lambda m: m["transitions"]["q"]["("].update(when={"depth": "zero"}),
    lambda m: m["transitions"]["q"][")"].update(when={}),
    lambda m: m["counters"]["depth"].update(initial=1),
    lambda m: m["counters"].update(other={"initial": 0, "signed": False}) or m["accepting"].update(q={"other": "zero"}),
    lambda m: m["transitions"]["q"].pop(")"),
    lambda m: m["transitions"]["q"]["("].update(to="p"),
    lambda m: m.update(alphabet=[")", "("]),
    lambda m: m.update(initial="p"),
]
PAIRS = [["(", ")"], ["[", "]"]]


def test_rejects_other_languages_than_those_of_dfas(forge: Forge) -> None:
    """Claimed in both files, with the right digests: only the mathematics can reject them."""
    honest = json.loads((forge("live") / "certificate.json").read_text())["language"]
    for edit in LANGUAGES:
        wrong = copy.deepcopy(honest)
        edit(wrong["counter_machine"])
        claim_language(place := forge("live"), wrong)
        rejected(place)
    for brackets, depth in ((PAIRS, 2), (PAIRS, 4), ([["(", "]"], ["[", ")"]], 3), ([[")", "("], PAIRS[1]], 3)):
        claim_language(place := forge("deep"), {"bounded_dyck": {"brackets": brackets, "depth": depth}})
        rejected(place)
    for which, about in (("live", honest), ("deep", {"bounded_dyck": {"brackets": PAIRS, "depth": 3}})):
        claim_language(place := forge(which), about)
        accepted(place)


@pytest.mark.parametrize(
    ("which", "contract"),
    [("regular", "live-prefixes"), ("live", "all-words"), ("slots", "all-words"), ("all", "live-prefixes")],
)
def test_contracts_cannot_be_exchanged(which: str, contract: str, forge: Forge) -> None:
    place = forge(which)
    edit_json(place / "scancraft.json", lambda m: m.update(contract=contract))
    rejected(place, "contract")
    method = json.loads((place / "certificate.json").read_text())["method"]
    edit_json(place / "certificate.json", lambda c: c.update(contract=contract, claim=claim(contract, method)))
    rejected(place)


def test_a_lower_limit_is_a_weaker_claim(forge: Forge) -> None:
    place = forge("all")
    edit_json(place / "certificate.json", set_at("limits", "depth", value=1000))
    edit_json(place / "scancraft.json", set_at("counters", 0, "limits", "float32", value=1000))
    accepted(place)


# -- the evidence ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["regular", "live", "slots"])
def test_rejects_altered_evidence(which: str, forge: Forge) -> None:
    """Numbers that are others, and rows that are missing or occur twice."""
    place, rng = forge(which), np.random.default_rng(3)
    original = load_file(place / "certificate.safetensors")
    changes: list[Tensors] = []
    for name, tensor in original.items():
        for spot in rng.choice(tensor.numel(), min(3, tensor.numel()), replace=False):
            changed = tensor.clone().view(-1)
            if tensor.is_floating_point():
                changed[spot] = 3.0 * changed[spot] + (1.0 if rng.random() < 0.5 else 2.0**-10)
            else:
                top = int(tensor.max()) + 1
                changed[spot] = (int(changed[spot]) + rng.integers(1, top + 1)) % (top + 1)
            changes.append({name: changed.view(tensor.shape)})
        if not name.endswith(".blocks"):
            row = int(rng.integers(len(tensor)))
            keep = torch.arange(len(tensor)) != row
            changes += [{name: tensor[keep]}, {name: torch.cat([tensor, tensor[row : row + 1]])}]
    for change in changes:
        edit_evidence(place, lambda t, c=change: t.update({**original, **c}))  # type: ignore[misc]
        assert not check_certificate(place).accepted, list(change)
    edit_evidence(place, lambda t: t.update(original))
    accepted(place)


def test_names_what_is_wrong_with_the_evidence(forge: Forge) -> None:
    place = forge("regular")
    original = load_file(place / "certificate.safetensors")

    def altered(name: str, spot: tuple[int, int], value: float) -> Tensors:
        tensor = original[name].clone()
        tensor[spot] = value
        return {name: tensor}

    rows = original["stage1.transitions"]
    cases: list[tuple[Tensors, str]] = [
        ({"stage1.transitions": torch.cat([rows[:3], rows[4:]])}, "stage 1: the list is not closed"),
        (altered("stage0.events", (1, 0), -1), "stage0.events: column 0 has a number outside"),
        (altered("stage0.vectors", (0, 0), 5.0), "stage 0: event 0"),
        (altered("inputs", (0, 0), 5.0), "inputs"),
        (altered("final.nodes", (0, 0), 0), "final.nodes"),
        ({"stage2.blocks": torch.tensor([2, int(original["stage2.blocks"][1]) + 1])}, "stage 2: blocks"),
        ({"stage1.blocks": torch.tensor([0, 1])}, "stage 1: blocks"),
        ({"stage1.states": original["stage1.states"][:, 1:]}, "stage1.states: rows of the wrong length"),
        ({"stage1.states": original["stage1.states"] + float("nan")}, "stage1.states"),
        ({"stage1.events": original["stage1.events"].float()}, "stage1.events: has dtype"),
        ({"stage1.events": original["stage1.events"][:, :2]}, "stage1.events: has shape"),
        ({"extra": torch.zeros(1)}, "evidence: missing or unknown ['extra']"),
    ]
    for change, reason in cases:
        edit_evidence(place, lambda t, c=change: (t.clear(), t.update({**original, **c})))  # type: ignore[misc]
        rejected(place, reason)

    def drop_last(tensors: Tensors) -> None:
        tensors.clear()
        tensors.update({k: v for k, v in original.items() if not k.startswith("stage2.")})
        tensors["final.nodes"] = original["stage2.nodes"]

    edit_evidence(place, drop_last)
    rejected(place, "the stages end at block 2, the model at 3")


def test_rejects_the_closed_evidence_of_a_wrong_model(forge: Forge) -> None:
    """A forger who runs the search's own machinery, without looking at whether the model is right."""
    place, rng, seen = forge("regular"), np.random.default_rng(5), 0
    original = load_file(place / "model.safetensors")
    checkpoint = scancraft.load(place)
    while seen < 2:
        name = f"backbone.layers.{rng.integers(3)}.mixer.in_proj.weight"
        spots = original[name].nonzero()
        spot = tuple(spots[int(rng.integers(len(spots)))].tolist())
        changed = {**original, name: original[name].clone()}
        changed[name][spot] *= -1
        edit_weights(place, lambda w, c=changed: w.update(c))  # type: ignore[misc]
        model, dfa, readout = scancraft.load(place).model(), checkpoint.dfa, checkpoint.readout
        if not isinstance(scancraft.certify(model, dfa, readout=readout), Refuted):
            continue
        seen += 1
        stepper = Stepper(model, BATCH)
        graph = inputs = Judge(dfa, readout).inputs(stepper)
        stages = []
        for block in range(3):
            stage, graph = explore(stepper, block, block + 1, graph, Budget(20_000, 30.0).meter("events"))
            stages.append(stage)
        found = evidence(stages, inputs)
        edit_evidence(place, lambda t, f=found: (t.clear(), t.update(f)))  # type: ignore[misc]
        rejected(place, "read-out")


# -- the weights ----------------------------------------------------------------------------------------------------

FACTORS = (0.0, -1.0, 2.0, 1.5, 1 + 2.0**-7, 0.5)


@pytest.mark.parametrize("which", ORIGINALS)
def test_changed_weights_are_rejected_or_harmless(which: str, forge: Forge) -> None:
    """The forger recomputes digests, and the margin if only that is wrong."""
    place, rng = forge(which), np.random.default_rng(len(which))
    original = load_file(place / "model.safetensors")
    words, listed = (place / "certificate.json").read_bytes(), (place / "certificate.safetensors").read_bytes()
    assert right(place)
    refused = 0
    for n in range(5 if which == "mamba2" else 12):  # transformers takes long over chunks
        name = sorted(original)[int(rng.integers(len(original)))]
        spots = original[name].nonzero().tolist()
        zero = n % 4 == 3 or not spots  # zeros become something, and everything else something else
        spot = (
            tuple(int(rng.integers(s)) for s in original[name].shape)
            if zero
            else tuple(spots[rng.integers(len(spots))])
        )
        changed = {key: t.clone() for key, t in original.items()}
        new = float(rng.choice([-1024.0, 2.0**-10, 1.0, 1024.0])) if zero else 0.0
        changed[name][spot] = new + changed[name][spot] * FACTORS[n % len(FACTORS)]
        (place / "certificate.json").write_bytes(words)
        (place / "certificate.safetensors").write_bytes(listed)
        edit_weights(place, lambda w, c=changed: w.update(c))  # type: ignore[misc]
        checked = checked_with_its_margin(place)
        if checked.accepted:
            assert right(place), (name, spot)
        else:
            refused += 1
    assert refused > 1


def test_rejects_weights_that_are_none_or_not_these(forge: Forge) -> None:
    place, name = forge("regular"), "backbone.layers.0.mixer.in_proj.weight"
    whole = (place / "model.safetensors").read_bytes()
    start, rng = 8 + int.from_bytes(whole[:8], "little"), np.random.default_rng(1)
    for byte in rng.integers(start, len(whole), 20):
        changed = bytearray(whole)
        changed[byte] ^= 1 << int(rng.integers(8))
        (place / "model.safetensors").write_bytes(changed)
        rejected(place, "model.safetensors")
    for bad in (float("nan"), float("inf")):
        (place / "model.safetensors").write_bytes(whole)
        edit_weights(place, lambda w, b=bad: w[name].__setitem__((0, 0), b))  # type: ignore[misc]
        rejected(place, f"{name} holds a NaN or an infinity")
    edit_weights(place, lambda w: w.pop(name))
    rejected(place, "does not fit config.json")
    (place / "model.safetensors").write_bytes(whole)
    edit_weights(place, lambda w: w.update({"backbone.embedding.weight": w["backbone.embeddings.weight"] + 0}))
    rejected(place, "does not fit config.json: backbone.embedding.weight")


def test_names_what_is_wrong_with_the_weights(forge: Forge) -> None:
    layer = "backbone.layers.{}.mixer.{}".format
    residual = json.loads((forge("all") / "scancraft.json").read_text())["residual"]
    labels = [dimension["name"] for dimension in residual]
    depth, letter = labels.index("counter depth"), labels.index("letter (")

    def put(name: str, spot: Any, value: float) -> Edit:
        return lambda w: w[name].__setitem__(spot, value)

    cases: list[tuple[Edit, str]] = [
        (put(layer(0, "conv1d.weight"), (0, 0, 0), 1024.0), "block 0: the convolution sees the past"),
        (put(layer(0, "A_log"), (5, 0), -10.0), "obligation functions"),
        (put(layer(0, "x_proj.weight"), (2, 0), 2.0**-29), "adds up what no counter"),
        (put(layer(0, "in_proj.weight"), (16 + 5, letter), 1024.0), "counter 0 is read differently"),
        (put(layer(1, "in_proj.weight"), (16 + 1, depth), 1024.0), "block 1: the gate branch reads a counter"),
        (put(layer(1, "out_proj.weight"), (depth + 1, 1), 0.0), "more than the sign"),
        (put(layer(2, "in_proj.weight"), (0, depth), 1.0), "block 2: a channel reads a counter itself"),
        (put(layer(2, "conv1d.weight"), (1, 0, 0), 1024.0), "block 2: a channel reads both taps"),
        (put("lm_head.weight", (3, depth), -1.0), "a score depends on a counter itself"),
        (lambda w: w["lm_head.weight"][:, labels.index("error")].zero_(), "although the error latch is set"),
    ]
    for edit, reason in cases:
        place = forge("all")
        edit_weights(place, edit)
        rejected(place, reason)


def test_a_step_certificate_stays_one(forge: Forge) -> None:
    """A model whose signs are right but whose sums round somewhere is certified for this step function only."""
    place, rng, seen = forge("regular"), np.random.default_rng(6), 0
    original = load_file(place / "model.safetensors")
    while seen < 2:
        name = str(rng.choice([n for n in sorted(original) if "lm_head" not in n]))
        spots = original[name].nonzero()
        if not len(spots):
            continue
        spot = tuple(spots[int(rng.integers(len(spots)))].tolist())
        changed = {**original, name: original[name].clone()}
        changed[name][spot] *= float(rng.choice([1.1, 0.7, 3.3]))
        save_file(changed, place / "model.safetensors", metadata={"format": "pt"})
        certificate = scancraft.certify(place)
        if not isinstance(certificate, scancraft.Certificate) or certificate.scope != "step":
            continue
        seen += 1
        certificate.save(place)
        assert accepted(place, "step").obligations == ()
        edit_json(place / "certificate.json", promote)
        assert rejected(place).reason.startswith("obligation ")
        certificate.save(place)
        edit_json(place / "certificate.json", set_at("implementation", "torch", value="1.0"))
        rejected(place, "scope step: certified with")


def test_genuine_ones_are_accepted(forge: Forge) -> None:
    for which in ORIGINALS:
        checked = accepted(forge(which))
        assert checked.steps > 0
        assert json.loads(json.dumps(checked.as_json()))["accepted"] is True
        said = str(checked)
        assert said.startswith("the certificate is valid, scope every-implementation: after every ")
        assert all(part in said for part in (checked.claim, checked.contract, checked.dtype, checked.language))
    limited = accepted(certified_in_bfloat16(forge("all")))
    assert (limited.dtype, limited.limits) == ("bfloat16", {"depth": 256})
    assert "depth at most 256" in str(limited)


def certified_in_bfloat16(place: Path) -> Path:
    certified(place, dtype=torch.bfloat16)
    return place
