"""Attacks as data: edits of a certified checkpoint's files, with all that a forger can mend afterwards.

The campaign (``benchmarks/experiments/attack.py``) invents such attacks, and ``tests/certify/attacks`` replays some.
The digests are computed by their definition (docs/certificates.md) and not by the project's code.
"""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

import scancraft
from scancraft.automata.languages import Language, as_language
from scancraft.certify.checker.certificate import claim
from scancraft.certify.checker.judge import BOXES, Findings, judge
from scancraft.certify.search.evidence import evidence
from scancraft.certify.search.prove import Candidate, search
from scancraft.models.readout import Readout

CERTIFICATE, EVIDENCE, WEIGHTS = "certificate.json", "certificate.safetensors", "model.safetensors"
CONFIG, MANIFEST = "config.json", "scancraft.json"
UNREAD = frozenset({CERTIFICATE, EVIDENCE, WEIGHTS, MANIFEST, "training.json"})
"""What does not change which class transformers builds, nor how."""

EMBEDDINGS = ("backbone.embeddings.weight", "model.embed_tokens.weight")
"""What the embedding is called."""

BUDGET = scancraft.Budget(5_000, 5.0)
"""Of the search for new evidence."""

Files = dict[str, bytes]
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Edit:
    """One change of one file, as data.

    Attributes:
        file: its name in the checkpoint.
        place: keys and positions inside JSON, or the tensor's name and the flat position of a number; empty for a file.
        value: what is put there: JSON, a number (as a float's hexadecimal text), or the file's text.
    """

    file: str
    place: tuple[str | int, ...]
    value: Any


@dataclass(frozen=True)
class Step:
    """Edits that are made together.

    Attributes:
        edits: of files.
        anew: whether evidence is then made for the edited model by an honest search.
    """

    edits: tuple[Edit, ...]
    anew: bool = False

    @staticmethod
    def of(content: Mapping[str, Any]) -> Step:
        """From JSON."""
        edits = tuple(Edit(e["file"], tuple(e["place"]), e["value"]) for e in content["edits"])
        return Step(edits, content["anew"])


# -- files -----------------------------------------------------------------------------------------------------------


def read(folder: Path) -> Files:
    """The files of a checkpoint, without those in folders."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def write(files: Files, folder: Path) -> None:
    """A checkpoint's files into an emptied folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def save_tensors(tensors: Tensors) -> bytes:
    """A safetensors file."""
    return bytes(save({n: t.contiguous() for n, t in tensors.items()}, metadata={"format": "pt"}))


def applied(files: Files, edits: Sequence[Edit]) -> Files:
    """The files with edits; digests are not mended yet."""
    files = dict(files)
    for edit in edits:
        if not edit.place:
            files[edit.file] = str(edit.value).encode("utf-8", "surrogatepass")
        elif edit.file.endswith(".json"):
            data = json.loads(files[edit.file])
            inner = data
            for key in edit.place[:-1]:
                inner = inner[key]
            inner[edit.place[-1]] = copy.deepcopy(edit.value)
            files[edit.file] = json.dumps(data).encode()
        else:
            tensors = load(files[edit.file])
            name, place = str(edit.place[0]), int(edit.place[1])
            tensors[name].view(-1)[place] = float.fromhex(edit.value)
            files[edit.file] = save_tensors(tensors)
    return files


# -- forging ---------------------------------------------------------------------------------------------------------


def forged(files: Files) -> Files:
    """Every digest as a forger would have it, and the embeddings that the evidence repeats."""
    content = json.loads(files[CERTIFICATE])
    if not isinstance(content.get("sha256"), dict):
        return files
    dtype = dtype_of(content)
    weights = {n: t.to(dtype) if t.is_floating_point() else t for n, t in load(files[WEIGHTS]).items()}
    tensors = load(files[EVIDENCE])
    content["sha256"]["weights"] = _digest(weights)
    content["sha256"]["evidence"] = _digest(tensors)
    bare = {**content, "sha256": {k: v for k, v in content["sha256"].items() if k != "content"}}
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"))
    content["sha256"]["content"] = hashlib.sha256(text.encode()).hexdigest()
    return {**files, CERTIFICATE: json.dumps(content).encode()}


def dtype_of(content: Mapping[str, Any]) -> torch.dtype:
    """What a certificate says of the format, float32 if it says nothing that is one."""
    found = getattr(torch, str(content.get("dtype")), torch.float32)
    return found if isinstance(found, torch.dtype) else torch.float32


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        kind = "<f8" if tensor.dtype == torch.float64 else "<f4" if tensor.is_floating_point() else "<i8"
        numbers = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
        digest.update(f"{name}{list(tensor.shape)}".encode() + numbers.contiguous().numpy().astype(kind).tobytes())
    return digest.hexdigest()


def repeated_embeddings(files: Files) -> Files:
    """The evidence begins with the embeddings of the tokens, if it has stages: as they are now."""
    content = json.loads(files[CERTIFICATE])
    rows = [*content["readout"]["tokens"].values(), content["readout"]["bos"]]
    tensors = load(files[EVIDENCE])
    if "inputs" not in tensors:
        return files
    weights = load(files[WEIGHTS])
    embedding = next(weights[name] for name in EMBEDDINGS if name in weights)
    tensors["inputs"] = embedding[rows].to(dtype_of(content)).float()
    return {**files, EVIDENCE: save_tensors(tensors)}


def bound(content: Mapping[str, Any]) -> tuple[Language, Readout]:
    """The language that a certificate names, and how the model is read."""
    about = content["language"]
    language = as_language({k: v for k, v in about.items() if k != "states"} if "transitions" in about else about)
    names = {k: v for k, v in content["readout"].items() if k in Readout.__dataclass_fields__}
    return language, Readout(**names, contract=content["contract"])


def searched(files: Files, model: Any) -> Files | None:
    """With evidence that an honest search makes for the model; None if it finds none."""
    content = json.loads(files[CERTIFICATE])
    language, readout = bound(content)
    found = search(model, language, readout, BUDGET, compiled=content["method"] != BOXES)
    if not isinstance(found, Candidate):
        return None
    content |= {"method": found.method, "claim": claim(content["contract"], found.method, content["readout"])}
    tensors = evidence(found.stages, found.inputs) | dict(found.boxes)
    return {**files, CERTIFICATE: json.dumps(content).encode(), EVIDENCE: save_tensors(tensors)}


def believed(files: Files, model: Any) -> tuple[Files, Findings]:
    """With all that the judge finds, and its method's widest scope; what the judge raises if that proves too little."""
    content = json.loads(files[CERTIFICATE])
    found = judge(content, model, load(files[EVIDENCE]))
    entries = [{**entry, "holds": True} for entry in found.obligations]
    if "memories" in content:
        content["memories"] = found.memories
    scope = found.scope if content["method"] == BOXES else "every-implementation"
    content |= {"margin": found.margin, "counts": found.counts, "obligations": entries, "scope": scope}
    return {**files, CERTIFICATE: json.dumps(content).encode()}, found


def loaded(folder: Path, dtype: torch.dtype | str = "auto") -> Any:
    """The model as ``transformers`` loads it."""
    from transformers import AutoModelForCausalLM

    scancraft.SignedMambaForCausalLM, scancraft.LonghornForCausalLM  # noqa: B018  # registers our own classes
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()


def replayed(files: Files, steps: Sequence[Step], folder: Path) -> Files:
    """The files after some steps; the folder is used to load models in between.

    Raises:
        RejectedError: the judge does not believe the evidence of a step, so that no certificate can be forged with it.
    """
    for step in steps:
        files = applied(files, step.edits)
        if any(edit.file == WEIGHTS for edit in step.edits):
            files = repeated_embeddings(files)
            write(files, folder)
            model = loaded(folder, dtype_of(json.loads(files[CERTIFICATE])))
            files = (searched(files, model) if step.anew else None) or files
            files = believed(files, model)[0]
        files = forged(files)
    return files
