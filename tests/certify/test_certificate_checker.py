"""The checker of saved certificates: accepts genuine ones, rejects forged ones, whatever the forger recomputes."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import scancraft
from scancraft.automata.budget import Budget
from scancraft.automata.dfa import Dfa
from scancraft.automata.families import d_n, flip_flop, tomita
from scancraft.certify.certify import Refuted
from scancraft.certify.checker.certificate import CheckedCertificate, check_certificate
from scancraft.certify.checker.parts import content_digest, tensors_digest, text_digest
from scancraft.certify.search.evidence import evidence
from scancraft.certify.search.explore import explore
from scancraft.certify.search.prove import BATCH, Judge
from scancraft.models.run.stepper import Stepper

Content = dict[str, Any]
Tensors = dict[str, torch.Tensor]
Edit = Callable[[Content, Tensors], None]

FILES = ["certificate.json", "certificate.safetensors", "model.safetensors", "config.json", "scancraft.json"]


@pytest.fixture(scope="module")
def tomita_4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small certified checkpoint, with more states and taps than needed."""
    place = tmp_path_factory.mktemp("tomita") / "model"
    scancraft.compile(tomita(4), place, d_state=2, d_conv=4)
    saved(scancraft.certify(place), place)
    return place


@pytest.fixture
def forged(tomita_4: Path, tmp_path: Path) -> Path:
    """A copy to tamper with."""
    return Path(shutil.copytree(tomita_4, tmp_path / "forged"))


def saved(certificate: Any, place: Path) -> Any:
    assert isinstance(certificate, scancraft.Certificate), certificate
    certificate.save(place)
    return certificate


def edit_json(path: Path, edit: Callable[[Content], object]) -> None:
    """Edit a JSON file; a forger who edits a certificate also recomputes its own digest."""
    content = json.loads(path.read_text())
    edit(content)
    if path.name == "certificate.json" and isinstance(content.get("sha256"), dict):
        content["sha256"]["content"] = content_digest(content)
    path.write_text(json.dumps(content))


def edit_evidence(place: Path, edit: Callable[[Tensors], object]) -> None:
    """Change the evidence, and everything in the certificate that follows from it, as a forger would."""
    tensors = load_file(place / "certificate.safetensors")
    edit(tensors)
    save_file({name: t.contiguous() for name, t in tensors.items()}, place / "certificate.safetensors")

    def follow(content: Content) -> None:
        content["sha256"]["evidence"] = tensors_digest(tensors)
        for key, part in (("events", "events"), ("transitions", "transitions"), ("own_states", "states")):
            found = [t for name, t in tensors.items() if name.endswith(f".{part}")]
            content["counts"][key] = sum(len(t) for t in found)
        content["counts"]["readouts"] = len(tensors.get("final.nodes", ()))
        content["counts"]["stages"] = sum(name.endswith(".blocks") for name in tensors)

    edit_json(place / "certificate.json", follow)


def edit_weights(place: Path, edit: Callable[[Tensors], object], *, follow: bool = False) -> None:
    weights = load_file(place / "model.safetensors")
    edit(weights)
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    if follow:
        digest = tensors_digest(weights)
        edit_json(place / "certificate.json", lambda c: c["sha256"].update(weights=digest))


def rejected(place: Path, reason: str = "") -> CheckedCertificate:
    checked = check_certificate(place)
    assert not checked.accepted, "accepted a forgery"
    assert checked.reason
    assert reason in checked.reason
    assert checked.scope == ""
    assert checked.obligations == ()
    return checked


def accepted(place: Path, scope: str = "every-implementation") -> CheckedCertificate:
    checked = check_certificate(place)
    assert checked.accepted, checked.reason
    assert checked.reason == ""
    assert checked.scope == scope
    return checked


# -- genuine ones -------------------------------------------------------------------------------------------------

LANGUAGES = {
    "D-3": d_n(3),
    "flip-flop": flip_flop(),
    "tomita-1": tomita(1),
    "empty": Dfa.empty("ab"),
    "universal": Dfa.universal("a"),
    "finite": Dfa.from_words("abc", ["abc", "ca", ""]),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", LANGUAGES)
def test_accepts_what_the_search_found(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    scancraft.compile(LANGUAGES[name], tmp_path / "m")
    certificate = saved(scancraft.certify(tmp_path / "m", dtype=dtype), tmp_path / "m")
    checked = accepted(tmp_path / "m", certificate.scope)
    assert checked.transitions == certificate.content["counts"]["transitions"]
    assert 0 < checked.steps <= checked.transitions + certificate.content["counts"]["stages"]
    assert checked.obligations == ("gates", "sums", "functions", "rmsnorm")
    assert json.loads(json.dumps(checked.as_json()))["accepted"] is True


def test_accepts_more_taps_and_states(tomita_4: Path) -> None:
    accepted(tomita_4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_accepts_a_whole_model_certificate(dtype: torch.dtype, forged: Path) -> None:
    checkpoint = scancraft.load(forged)
    certificate = scancraft.certify(checkpoint.model(dtype), checkpoint.dfa, readout=checkpoint.readout)
    saved(certificate, forged)
    assert isinstance(certificate, scancraft.Certificate)
    assert certificate.content["method"] == "whole model"
    accepted(forged)
    edit_json(forged / "certificate.json", lambda c: c.update(method="block by block"))
    rejected(forged, "several blocks")


def test_live_prefixes_must_be_what_the_manifest_promises(forged: Path) -> None:
    checkpoint = scancraft.load(forged)
    readout = replace(checkpoint.readout, contract="live-prefixes")
    saved(scancraft.certify(checkpoint.model(), checkpoint.dfa, readout=readout), forged)
    rejected(forged, "contract: 'live-prefixes'")
    edit_json(forged / "scancraft.json", lambda m: m.update(contract="live-prefixes"))
    accepted(forged)
    # Live prefixes are less than all words: the same evidence cannot carry the other claim.
    edit_json(forged / "scancraft.json", lambda m: m.update(contract="all-words"))
    claim = (
        "after every prefix of every word, of any length, each token is allowed by the model iff the language allows it"
    )
    edit_json(forged / "certificate.json", lambda c: c.update(contract="all-words", claim=claim))
    rejected(forged, "nothing for letter")


def test_states_of_the_manifest_may_have_other_names_and_missing_transitions(forged: Path) -> None:
    def rename(manifest: Content) -> None:
        dfa = manifest["language"]["dfa"]
        rows = {f"q{q}": {s: f"q{t}" for s, t in row.items()} for q, row in dfa["transitions"].items()}
        dead = next(q for q, row in rows.items() if set(row.values()) == {q} and q[1:] not in dfa["accepting"])
        rows = {q: {s: t for s, t in row.items() if t != dead} for q, row in rows.items() if q != dead}
        dfa.update(initial=f"q{dfa['initial']}", accepting=[f"q{q}" for q in dfa["accepting"]], transitions=rows)

    edit_json(forged / "scancraft.json", rename)
    accepted(forged)


# -- forged ones --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_rejects_missing_and_truncated_files(name: str, forged: Path) -> None:
    whole = (forged / name).read_bytes()
    for size in (0, 1, 9, len(whole) // 2, len(whole) - 4):
        (forged / name).write_bytes(whole[:size])
        rejected(forged, name)
    (forged / name).unlink()
    rejected(forged, f"{name} is missing")


def test_rejects_an_empty_directory(tmp_path: Path) -> None:
    rejected(tmp_path, "certificate.json is missing")
    rejected(tmp_path / "nowhere", "certificate.json is missing")


def test_rejects_every_flipped_bit_of_a_weight(forged: Path) -> None:
    rng = np.random.default_rng(1)
    whole = (forged / "model.safetensors").read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    for place in rng.integers(start, len(whole), 40):
        changed = bytearray(whole)
        changed[place] ^= 1 << int(rng.integers(8))
        (forged / "model.safetensors").write_bytes(changed)
        rejected(forged, "model.safetensors")


def test_rejects_swapped_and_bad_weights(forged: Path) -> None:
    name = "backbone.layers.0.mixer.in_proj.weight"
    original = load_file(forged / "model.safetensors")
    row = int((original[name] != 0).sum(1).argmax())
    a, b = int(original[name][row].argmax()), int(original[name][row].argmin())
    assert original[name][row, a] != original[name][row, b]

    def swap(weights: Tensors) -> None:
        weights[name][row, [a, b]] = weights[name][row, [b, a]]

    edit_weights(forged, swap)
    rejected(forged, "not the weights")
    for bad in (float("nan"), float("inf")):
        edit_weights(forged, lambda w, bad=bad: w[name].__setitem__((row, a), bad), follow=True)  # type: ignore[misc]
        rejected(forged, f"{name} holds a NaN or an infinity")
    edit_weights(forged, lambda w: w.pop(name))
    rejected(forged, "does not fit config.json")


def test_a_rehashed_mutant_is_rejected_or_right(forged: Path) -> None:
    """The forger may recompute every digest: then only the recomputed steps stand in the way."""
    rng = np.random.default_rng(2)
    original = load_file(forged / "model.safetensors")
    dfa = scancraft.load(forged).dfa
    refused = 0
    for _ in range(40):
        save_file(original, forged / "model.safetensors", metadata={"format": "pt"})
        name = str(rng.choice(sorted(original)))
        places = original[name].nonzero()
        if not len(places):
            continue
        place = tuple(places[int(rng.integers(len(places)))].tolist())
        factor = float(rng.choice([-1.0, 0.0, 1 + 2.0**-4, 2.0]))
        edit_weights(forged, lambda w, n=name, p=place, f=factor: w[n].__setitem__(p, w[n][p] * f), follow=True)  # type: ignore[misc]
        if check_certificate(forged).accepted:
            report = scancraft.check(forged, dfa)
            assert report.agrees, (name, place, factor)
        else:
            refused += 1
    assert refused > 10


def set_at(*path: Any, value: Any) -> Callable[[Content], None]:
    def edit(content: Content) -> None:
        for key in path[:-1]:
            content = content[key]
        assert content[path[-1]] != value
        content[path[-1]] = value

    return edit


WORDS = {
    "schema": (set_at("schema_version", value=2), "schema_version"),
    "verdict": (set_at("verdict", value="proved"), "verdict"),
    "no verdict": (lambda c: c.pop("verdict"), "verdict"),
    "claim": (set_at("claim", value="right always"), "claim"),
    "one more claim": (set_at("method", value="magic"), "method"),
    "method": (set_at("method", value="whole model"), "whole model"),
    "scope": (set_at("scope", value="all"), "scope"),
    "contract": (set_at("contract", value="live-prefixes"), "claim"),
    "margin up": (set_at("margin", value=1e9), "margin"),
    "margin down": (set_at("margin", value=1e-9), "margin"),
    "no margin": (set_at("margin", value=None), "margin"),
    "word": (set_at("word", value=["1"]), "word"),
    "dtype": (set_at("dtype", value="float64"), "dtype"),
    "other dtype": (set_at("dtype", value="float16"), "model.safetensors"),
    "batch": (set_at("batch", value=0), "batch"),
    "class": (set_at("implementation", "model", value="mine"), "implementation"),
    "token": (set_at("readout", "tokens", "0", value=7), "readout: tokens"),
    "bos": (set_at("readout", "bos", value=0), "readout: bos"),
    "accept": (set_at("readout", "accept", value=0), "readout: accept"),
    "threshold": (set_at("readout", "threshold", value=-17.0), "readout: threshold"),
    "column": (set_at("readout", "next_symbol", "0", value=2), "readout: next_symbol"),
    "one more readout": (lambda c: c["readout"].update(head="first"), "readout: head"),
    "language": (set_at("language", "accepting", value=[]), "language: scancraft.json"),
    "language digest": (set_at("sha256", "language", value="0" * 64), "sha256 of the language"),
    "weights digest": (set_at("sha256", "weights", value="0" * 64), "not the weights"),
    "evidence digest": (set_at("sha256", "evidence", value="0" * 64), "sha256"),
    "events": (lambda c: c["counts"].update(events=10**6), "counts"),
    "transitions": (lambda c: c["counts"].update(transitions=0), "counts"),
    "read-outs": (lambda c: c["counts"].update(readouts=99), "counts"),
    "one more count": (lambda c: c["counts"].update(words=10**9), "counts"),
    "stages": (lambda c: c["counts"].update(stages=2), "evidence"),
    "stages as text": (lambda c: c["counts"].update(stages="3"), "stage"),
    "fewer obligations": (lambda c: c["obligations"].pop(), "obligations"),
    "other obligation": (set_at("obligations", 0, "name", value="termination"), "obligations"),
    "one does not hold": (set_at("obligations", 1, "holds", value=False), "sums does not hold"),
    "more instances": (set_at("obligations", 1, "checked", value=10**9), "sums: 1000000000 instances claimed"),
    "tighter bound": (
        set_at("obligations", 1, "detail", value="largest sum |t| / (2^24 q) = 1e-09"),
        "sums: the detail",
    ),
    "more text": (set_at("obligations", 2, "detail", value="in float64 too"), "functions: the detail"),
    "more keys": (lambda c: c["obligations"][0].update(formally_verified=True), "gates: unknown keys"),
    "unknown key": (lambda c: c.update(audited=True), "audited"),
    "list": (lambda c: c.update(obligations={}), ""),
    "types": (lambda c: c.update(language=[1], readout=3), "malformed"),
}


@pytest.mark.parametrize("name", WORDS)
def test_rejects_other_words(name: str, forged: Path) -> None:
    edit, reason = WORDS[name]
    edit_json(forged / "certificate.json", edit)
    rejected(forged, reason)


def test_rejects_a_certificate_whose_own_digest_is_another(forged: Path) -> None:
    path = forged / "certificate.json"
    content = json.loads(path.read_text())
    content["implementation"]["torch"] = "9"
    path.write_text(json.dumps(content))
    rejected(forged, "its own sha256")


@pytest.mark.parametrize(("key", "value"), [("dtype", "float16"), ("tie_word_embeddings", True)])
def test_rejects_a_configuration_under_which_the_model_is_another(key: str, value: object, forged: Path) -> None:
    edit_json(forged / "config.json", lambda c: c.update({key: value}))
    rejected(forged, "config.json")


def test_accepts_the_empty_alphabet(tmp_path: Path) -> None:
    for accepting in ([], [0]):
        place = tmp_path / str(len(accepting))
        scancraft.compile(Dfa.from_table((), [[]], 0, accepting), place)
        saved(scancraft.certify(place), place)
        accepted(place)


def test_rejects_a_key_that_occurs_twice(forged: Path) -> None:
    path = forged / "certificate.json"
    path.write_text(path.read_text().replace('"scope"', '"scope": "step", "scope"', 1))
    rejected(forged, "twice")


def test_rejects_another_language_in_the_manifest(forged: Path) -> None:
    path = forged / "scancraft.json"
    original = json.loads(path.read_text())
    dfa = original["language"]["dfa"]
    states = list(dfa["transitions"])
    variants = []
    for state in states:
        variants.append({**dfa, "accepting": sorted({*dfa["accepting"]} ^ {state})})
        for symbol in dfa["alphabet"]:
            target = next(q for q in states if q != dfa["transitions"][state][symbol])
            variant = copy.deepcopy(dfa)
            variant["transitions"][state][symbol] = target
            variants.append(variant)
    variants.append({**dfa, "alphabet": [*dfa["alphabet"], "2"]})
    variants.append({**dfa, "initial": states[1]})
    for variant in variants:
        path.write_text(json.dumps({**original, "language": {"dfa": variant}}))
        rejected(forged, "language: scancraft.json")


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (set_at("tokens", "0", value=9), "readout: tokens"),
        (set_at("special_tokens", "eos", value="<pad>"), ""),
        (set_at("contract", value="live-prefixes"), "contract"),
        (lambda m: m.pop("tokens"), "malformed"),
    ],
)
def test_rejects_another_manifest(edit: Any, reason: str, forged: Path) -> None:
    edit_json(forged / "scancraft.json", edit)
    rejected(forged, reason)


def test_rejects_another_language_everywhere(forged: Path) -> None:
    """The forger claims the complement, in both files, with the right digest: the read-out is wrong."""
    dfa = scancraft.load(forged).dfa
    other = Dfa.from_table(
        dfa.alphabet, dfa.semiautomaton.table, 0, set(range(dfa.n_states)) - dfa.accepting, dfa.names
    )

    table = [list(row) for row in other.semiautomaton.table]
    value = {"alphabet": list(other.alphabet), "table": table, "accepting": sorted(other.accepting)}
    digest = text_digest(value, ordered=True)

    def claim(language: Content) -> None:
        language["accepting"] = [other.names[q] for q in sorted(other.accepting)]

    edit_json(forged / "scancraft.json", lambda m: claim(m["language"]["dfa"]))
    edit_json(
        forged / "certificate.json",
        lambda c: (claim(c["language"]), c["sha256"].update(language=digest)),
    )
    rejected(forged, "read-out")


def test_rejects_every_altered_number_of_the_evidence(forged: Path) -> None:
    rng = np.random.default_rng(3)
    original = load_file(forged / "certificate.safetensors")
    words = (forged / "certificate.json").read_text()
    for name, tensor in original.items():
        flat = range(tensor.numel())
        for place in flat if len(flat) <= 6 else rng.choice(flat, 6, replace=False):
            changed = {n: t.clone() for n, t in original.items()}
            if tensor.is_floating_point():
                changed[name].view(-1)[place] += 1.0 if rng.random() < 0.5 else 2.0**-10
                if torch.equal(changed[name], tensor):  # a number so large that nothing was added
                    changed[name].view(-1)[place] *= 2
            else:
                top = int(tensor.max()) + 1
                changed[name].view(-1)[place] = (int(tensor.view(-1)[place]) + rng.integers(1, top + 1)) % (top + 1)
            assert not torch.equal(changed[name], tensor)
            (forged / "certificate.json").write_text(words)
            edit_evidence(forged, lambda t, c=changed: t.update(c))  # type: ignore[misc]
            rejected(forged)


def test_rejects_every_missing_or_repeated_row_of_the_evidence(forged: Path) -> None:
    rng = np.random.default_rng(4)
    original = load_file(forged / "certificate.safetensors")
    words = (forged / "certificate.json").read_text()
    for name, tensor in original.items():
        if name.endswith(".blocks"):
            continue
        for row in rng.choice(len(tensor), min(3, len(tensor)), replace=False):
            keep = torch.arange(len(tensor)) != int(row)
            for rows in (tensor[keep], torch.cat([tensor, tensor[row : row + 1]])):
                (forged / "certificate.json").write_text(words)
                edit_evidence(forged, lambda t, n=name, r=rows: t.update({**original, n: r}))  # type: ignore[misc]
                rejected(forged)


def test_names_what_is_wrong_with_the_evidence(forged: Path) -> None:
    original = load_file(forged / "certificate.safetensors")
    words = (forged / "certificate.json").read_text()

    def without(name: str, row: int) -> Tensors:
        return {name: torch.cat([original[name][:row], original[name][row + 1 :]])}

    def altered(name: str, place: tuple[int, int], value: float) -> Tensors:
        tensor = original[name].clone()
        tensor[place] = value
        return {name: tensor}

    last_block = int(original["stage2.blocks"][1])
    cases: list[tuple[Tensors, str]] = [
        (without("stage1.transitions", 3), "stage 1: the list is not closed"),
        (altered("stage0.events", (1, 0), -1), "stage0.events: column 0 has a number outside"),
        (altered("stage0.vectors", (0, 0), 5.0), "stage 0: event 0"),
        (altered("inputs", (0, 0), 5.0), "inputs"),
        (altered("final.nodes", (0, 0), 0), "final.nodes"),
        ({"stage2.blocks": torch.tensor([2, last_block + 1])}, "stage 2: blocks"),
        ({"stage1.blocks": torch.tensor([0, 1])}, "stage 1: blocks"),
        ({"stage1.states": original["stage1.states"][:, 1:]}, "stage1.states: rows of the wrong length"),
        ({"stage1.states": original["stage1.states"] + float("nan")}, "stage1.states"),
        ({"stage1.events": original["stage1.events"].float()}, "stage1.events: has dtype"),
        ({"stage1.events": original["stage1.events"][:, :2]}, "stage1.events: has shape"),
        ({"extra": torch.zeros(1)}, "evidence: missing or unknown ['extra']"),
    ]
    for change, reason in cases:
        (forged / "certificate.json").write_text(words)
        edit_evidence(forged, lambda t, c=change: (t.clear(), t.update({**original, **c})))  # type: ignore[misc]
        rejected(forged, reason)


def test_rejects_a_dropped_stage(forged: Path) -> None:
    def drop_last(tensors: Tensors) -> None:
        tensors["final.nodes"] = tensors["stage2.nodes"]
        for key in ("blocks", "nodes", "events", "transitions", "states", "vectors"):
            del tensors[f"stage2.{key}"]

    edit_evidence(forged, drop_last)
    rejected(forged, "the stages end at block 2, the model at 3")


# -- forgers who run the search's own machinery ---------------------------------------------------------------------


def honest_evidence_of(model: Any, dfa: Dfa, readout: Any) -> Tensors:
    """What the search writes about a model, without looking at whether the model is right."""
    stepper = Stepper(model, BATCH)
    graph = inputs = Judge(model, dfa, readout).inputs(stepper)
    stages = []
    for block in range(len(stepper.blocks)):
        stage, graph = explore(stepper, block, block + 1, graph, Budget(20_000, 30.0).meter("events"))
        stages.append(stage)
    return evidence(stages, inputs)


def test_rejects_the_closed_evidence_of_a_wrong_model(forged: Path) -> None:
    checkpoint = scancraft.load(forged)
    rng = np.random.default_rng(5)
    original = load_file(forged / "model.safetensors")
    seen = 0
    for _ in range(30):
        save_file(original, forged / "model.safetensors", metadata={"format": "pt"})
        name = f"backbone.layers.{rng.integers(3)}.mixer.in_proj.weight"
        places = original[name].nonzero()
        place = tuple(places[int(rng.integers(len(places)))].tolist())
        edit_weights(forged, lambda w, n=name, p=place: w[n].__setitem__(p, -w[n][p]), follow=True)  # type: ignore[misc]
        model = checkpoint.model()
        if not isinstance(scancraft.certify(model, checkpoint.dfa, readout=checkpoint.readout), Refuted):
            continue
        seen += 1
        found = honest_evidence_of(model, checkpoint.dfa, checkpoint.readout)
        edit_evidence(forged, lambda t, f=found: (t.clear(), t.update(f)))  # type: ignore[misc]
        rejected(forged, "read-out")
        if seen == 3:
            return
    pytest.fail("no mutant was wrong")


def promote(content: Content) -> None:
    content["scope"] = "every-implementation"
    for entry in content["obligations"]:
        entry.update(holds=True, checked=1, detail="")


def test_a_step_certificate_stays_one(forged: Path) -> None:
    """A model whose signs are right but whose sums round somewhere is certified for this step function only."""
    rng = np.random.default_rng(6)
    original = load_file(forged / "model.safetensors")
    seen = 0
    for _ in range(60):
        save_file(original, forged / "model.safetensors", metadata={"format": "pt"})
        name = str(rng.choice([n for n in sorted(original) if "lm_head" not in n]))
        places = original[name].nonzero()
        if not len(places):
            continue
        place = tuple(places[int(rng.integers(len(places)))].tolist())
        factor = float(rng.choice([1.1, 0.7, 3.3]))
        edit_weights(forged, lambda w, n=name, p=place, f=factor: w[n].__setitem__(p, w[n][p] * f))  # type: ignore[misc]
        certificate = scancraft.certify(forged)
        if not isinstance(certificate, scancraft.Certificate) or certificate.scope != "step":
            continue
        seen += 1
        certificate.save(forged)
        assert accepted(forged, "step").obligations == ()
        edit_json(forged / "certificate.json", promote)
        assert rejected(forged).reason.startswith(("obligation", "read-out: exact", "stage"))
        certificate.save(forged)
        edit_json(forged / "certificate.json", set_at("implementation", "torch", value="1.0"))
        rejected(forged, "scope step: certified with")
    assert seen >= 3
