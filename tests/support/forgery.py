"""Checkpoints with certificates to tamper with, as a forger would: every digest that can follow does."""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from against_truth import at_chunk
from safetensors.torch import load_file, save_file

import scancraft
from scancraft.automata.counters.families import dyck_1, equal_blocks
from scancraft.automata.families import d_n, tomita
from scancraft.automata.logic.ltl import ltl
from scancraft.automata.machines import corridor, depth
from scancraft.certify.check import compare
from scancraft.certify.checker.arithmetic import Obligations
from scancraft.certify.checker.certificate import CheckedCertificate, check_certificate
from scancraft.certify.checker.parts import content_digest, tensors_digest, text_digest
from scancraft.compiler.constructions import walk

Content = dict[str, Any]
Tensors = dict[str, torch.Tensor]
Edit = Callable[[Any], object]

PAST = "(a | Y b) S (c & O (b & Y a)) & !Y (c S b)"
"""A past formula: memories in two blocks, one of them a step late, and letters two steps back."""

ORIGINALS: dict[str, Callable[[Path], object]] = {
    "regular": lambda place: scancraft.compile(tomita(4), place, d_state=2, d_conv=4, construction="cascade"),
    "mamba2": lambda place: scancraft.compile(d_n(2), place, target="mamba2", construction="cascade"),
    "falcon": lambda place: scancraft.compile(d_n(2), place, target="falcon_mamba", construction="cascade"),
    "signed": lambda place: scancraft.compile("(0*10*1)*0*", place, target="signed_mamba"),
    "live": lambda place: scancraft.compile(dyck_1(), place, contract="live-prefixes"),
    "all": lambda place: scancraft.compile(dyck_1(), place),
    "control": lambda place: scancraft.compile(equal_blocks("ab"), place),
    "slots": lambda place: scancraft.dyck(2, 1, place),
    "deep": lambda place: scancraft.dyck(2, 3, place),
    "walk": lambda place: walk(d_n(3), place),
    "formula": lambda place: scancraft.compile(ltl(PAST), place, contract="recognise"),
    "classes": lambda place: scancraft.compile(corridor(3), place),
    "beside": lambda place: scancraft.compile(depth(1), place, construction="cascade"),
    "copies": lambda place: scancraft.compile(scancraft.copying(2, 2), place),
    "live walk": lambda place: walk(d_n(3), place, contract="live-prefixes"),
}
"""Small checkpoints of every kind, method and contract."""


class Forger:
    """Copies of certified checkpoints, made when they are first asked for.

    Args:
        place: an empty directory for the originals.
    """

    def __init__(self, place: Path) -> None:
        self.place = place

    def original(self, name: str) -> Path:
        """A certified checkpoint that nobody changes."""
        made = self.place / name
        if not made.exists():
            ORIGINALS[name](made)
            certified(made)
        return made

    def copy(self, name: str, place: Path) -> Path:
        """One to tamper with; what lies there is overwritten."""
        shutil.rmtree(place, ignore_errors=True)
        return Path(shutil.copytree(self.original(name), place))


def certified(place: Path, **more: Any) -> scancraft.Certificate:
    """Certify a checkpoint and save the certificate beside it."""
    certificate = scancraft.certify(place, **more)
    assert isinstance(certificate, scancraft.Certificate), certificate
    certificate.save(place)
    return certificate


def accepted(place: Path, scope: str = "every-implementation") -> CheckedCertificate:
    """The checker accepts."""
    checked = check_certificate(place)
    assert (checked.accepted, checked.reason, checked.scope) == (True, "", scope), checked.reason
    return checked


def rejected(place: Path, reason: str = "") -> CheckedCertificate:
    """The checker rejects, with this reason, and claims nothing."""
    checked = check_certificate(place)
    assert not checked.accepted, "accepted a forgery"
    assert checked.reason
    assert reason in checked.reason, checked.reason
    assert (checked.scope, checked.obligations, checked.claim) == ("", (), "")
    return checked


def edit_json(path: Path, edit: Edit) -> None:
    """Edit a JSON file; a forger who edits a certificate also recomputes its own digest."""
    content = json.loads(path.read_text())
    edit(content)
    if path.name == "certificate.json" and isinstance(content.get("sha256"), dict):
        content["sha256"]["content"] = content_digest(content)
    path.write_text(json.dumps(content))


def edit_evidence(place: Path, edit: Edit) -> None:
    """Change the evidence, and everything in the certificate that follows from it."""
    tensors = load_file(place / "certificate.safetensors")
    edit(tensors)
    save_file({name: t.contiguous() for name, t in tensors.items()}, place / "certificate.safetensors")

    def follow(content: Content) -> None:
        content["sha256"]["evidence"] = tensors_digest(tensors)
        for key, part in (("events", "events"), ("transitions", "transitions"), ("own_states", "states")):
            content["counts"][key] = sum(len(t) for name, t in tensors.items() if name.endswith(f".{part}"))
        if content["method"] not in ("counters", "slots", "subformula by subformula"):
            content["counts"]["readouts"] = len(tensors.get("final.nodes", ()))
        content["counts"]["stages"] = sum(name.endswith(".blocks") for name in tensors)

    edit_json(place / "certificate.json", follow)


def edit_weights(place: Path, edit: Edit) -> None:
    """Change weights, and the digest and the embedding in the evidence that repeat them."""
    weights = load_file(place / "model.safetensors")
    edit(weights)
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    content = json.loads((place / "certificate.json").read_text())
    rows = [*content["readout"]["tokens"].values(), content["readout"]["bos"]]
    embedded = weights["backbone.embeddings.weight"][rows]
    inputs = load_file(place / "certificate.safetensors").get("inputs")
    if inputs is not None and not torch.equal(inputs, embedded):
        edit_evidence(place, lambda t: t.update(inputs=embedded))
    edit_json(place / "certificate.json", lambda c: c["sha256"].update(weights=tensors_digest(weights)))


def set_at(*path: Any, value: Any) -> Edit:
    """An edit of one entry, which was something else."""

    def edit(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        assert content[path[-1]] != value or type(content[path[-1]]) is not type(value)
        content[path[-1]] = value

    return edit


def promote(content: Content) -> None:
    """Claim that every obligation holds."""
    content["scope"] = "every-implementation"
    for entry in content["obligations"]:
        entry.update(holds=True, checked=1, detail="")


def claim_language(place: Path, about: Content) -> None:
    """Claim another language than a DFA, in both files, with the right digest."""
    kind = json.loads((place / "scancraft.json").read_text())["language"]["class"]
    edit_json(place / "scancraft.json", lambda m: m.update(language={**about, "class": kind}))
    digest = text_digest(about)
    edit_json(place / "certificate.json", lambda c: (c.update(language=about), c["sha256"].update(language=digest)))


def right(place: Path) -> bool:
    """Whether ``transformers`` finds the model right on all words to length 8 (with four letters: to length 5)."""
    from transformers import AutoModelForCausalLM

    import scancraft.models.signed_mamba  # registers the class

    checkpoint = scancraft.load(place)
    model = at_chunk(AutoModelForCausalLM.from_pretrained(place).eval(), 8)
    longest = 8 if len(checkpoint.language.alphabet) < 3 else 5
    return compare(model, checkpoint.language, checkpoint.readout, exhaustive_to=longest).agrees


def checked_with_its_margin(place: Path) -> CheckedCertificate:
    """What becomes of a certificate; if only its margin is wrong, after a forger has set that right."""
    checked = check_certificate(place)
    if checked.reason.startswith("margin: it is "):
        margin = float(checked.reason.split()[3].rstrip(","))
        edit_json(place / "certificate.json", lambda c: c.update(margin=margin))
        checked = check_certificate(place)
    return checked


def switch_off(patch: pytest.MonkeyPatch, name: str, where: str) -> None:
    """The obligation of this name, where the place says so, is not verified any more."""
    need = Obligations.need

    def without(self: Obligations, this: str, good: Any, there: str) -> None:
        if not (this == name and where in there):
            need(self, this, good, there)

    patch.setattr(Obligations, "need", without)


def with_one_weight_changed(
    model: Any, count: int, rng: random.Random
) -> Iterator[tuple[tuple[str, tuple[int, ...]], Any]]:
    """Copies of a model, each with one weight that is not 0, and in no norm, changed; and which one."""
    places = [
        (name, tuple(place))
        for name, tensor in model.named_parameters()
        if "norm" not in name
        for place in torch.nonzero(tensor).tolist()
    ]
    for name, place in rng.sample(places, count):
        mutant = copy.deepcopy(model)
        weight = mutant.get_parameter(name)
        with torch.no_grad():
            old = float(weight[place])
            weight[place] = rng.choice((0.0, -old, 2 * old, old / 2, old + 1))
        yield (name, place), mutant
