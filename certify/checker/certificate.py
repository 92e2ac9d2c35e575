"""A small checker of saved certificates: no search, and no code in common with the search.

``certificate.json`` and ``certificate.safetensors`` (format: ``certify/search/evidence.py``) claim that the model
beside them is right on every word. The words of the claim are checked here; what the evidence proves is decided in
``judge``.

Trusted: this folder, ``transformers``' Mamba blocks (``models/signed_mamba.py`` for those with signed gates), torch,
numpy, safetensors and json. Nothing that is read is.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from .arithmetic import FORMATS, NAMES
from .configuration import why_not_loaded
from .counters import check_watched
from .files import check_files
from .formulas import read_formula
from .judge import BOXES, CONSTRUCTIONS, LANGUAGES, METHODS, MOORE, SUBFORMULAS, UNTIL_DEATH, UP_TO_ROUNDING, judge
from .languages import read_dfa, same_language
from .machine import KINDS, load_model, rounded_weight
from .parts import RejectedError, content_digest, need, read_json, read_tensors, same, tensors_digest, text_digest

__all__ = ["CheckedCertificate", "RejectedError", "check_certificate"]

KEYS = {
    *("schema_version", "verdict", "claim", "method", "scope", "contract", "margin", "word", "dtype", "batch"),
    *("implementation", "readout", "language", "counts", "obligations", "sha256"),
}
LARGEST_BATCH = 4096
PREDICTS: Mapping[str, Any] = {"next_symbol": True, "accept": True}
"""A readout that names next symbols and the end."""
SPECIAL = {"bos": "<bos>", "eos": "<eos>", "pad": "<pad>"}
"""How tokens that are no symbols are called, where the manifest does not say."""
IMPLEMENTATION = {
    "model": "|".join(re.escape(kind.name) for kind in KINDS.values()),
    **dict.fromkeys(("torch", "transformers", "scancraft"), r"[0-9][0-9A-Za-z.+!_-]{0,63}"),
    "device": r"cpu|mps|(cuda|xpu)(:[0-9]{1,3})?",
}
"""What may be said of the implementation that was run: these keys, and such values."""


@dataclass(frozen=True)
class CheckedCertificate:
    """What became of a certificate.

    Attributes:
        accepted: whether everything that it claims was verified.
        reason: "" if so, else what failed, and where.
        scope: the scope that was verified, "" if rejected.
        steps: steps of the model that were recomputed.
        transitions: listed transitions that were checked.
        obligations: names of the obligations that were verified again; none for scope "step", where the entries of the
            certificate are notes that nothing rests on.
        seconds: how long it took.
        claim: the sentence that was verified, "" if rejected, like the rest.
        contract: "all-words" or "live-prefixes".
        dtype: the format of the model's numbers.
        limits: the |value| of each counter up to which the claim holds.
        language: of which language, in words.
        method: by which argument.
        memories: of a formula: entries of the recurrent state that were shown to hold a subformula.
    """

    accepted: bool
    reason: str
    scope: str
    steps: int
    transitions: int
    obligations: tuple[str, ...]
    seconds: float
    claim: str = ""
    contract: str = ""
    dtype: str = ""
    limits: dict[str, int] = field(default_factory=dict)
    language: str = ""
    method: str = ""
    memories: int = 0

    def as_json(self) -> dict[str, object]:
        """For machines."""
        verdict = "certified" if self.accepted else "rejected"
        seconds = round(self.seconds, 3)
        return {"verdict": verdict, **vars(self), "obligations": list(self.obligations), "seconds": seconds}

    def __str__(self) -> str:
        """For people: the verdict, and what exactly it is about."""
        if not self.accepted:
            return f"the certificate is not valid: {self.reason}"
        limits = "".join(f", {name} at most {limit:,}" for name, limit in self.limits.items())
        return (
            f"the certificate is valid, scope {self.scope}: {self.claim}\n"
            f"language: {self.language}; contract {self.contract}, {self.dtype}{limits}\n"
            f"proved {self.method}" + (f", entries that hold one each: {self.memories:,}" if self.memories else "")
        )


def check_certificate(directory: str | PathLike[str]) -> CheckedCertificate:
    """Validate the certificate in a checkpoint directory against the weights and the language beside it.

    Whatever is wrong with the files is a rejection with the reason, never an exception. O(transitions) integer work and
    one step of the model per distinct (input vector, own state).
    """
    started = time.perf_counter()
    try:
        found = _check(Path(directory))
    except RejectedError as error:
        reason = str(error)
    except Exception as error:  # files written by an adversary can fail in any way; all of them are rejections
        reason = f"a file is malformed: {type(error).__name__}: {error}"
    else:
        return CheckedCertificate(True, "", **found, seconds=time.perf_counter() - started)
    return CheckedCertificate(False, reason, "", 0, 0, (), time.perf_counter() - started)


def _check(directory: Path) -> dict[str, Any]:
    """What was verified."""
    check_files(directory)
    content, manifest = read_json(directory / "certificate.json"), read_json(directory / "scancraft.json")
    _check_words(content)
    limited = content["method"] in {*CONSTRUCTIONS, UNTIL_DEATH}
    _check_language(content, manifest)
    _check_readout(content, manifest)

    model = load_model(directory, getattr(torch, content["dtype"]))
    _check_tokens(model.config, manifest, directory / "generation_config.json")
    elsewhere = why_not_loaded(content["dtype"], content["scope"], read_json(directory / "config.json"))
    need(not elsewhere, elsewhere)
    named, kind = content["implementation"]["model"], KINDS[model.config.model_type].name
    need(named == kind, f"implementation: the certificate is about {named}, config.json about {kind}")
    weights = tensors_digest(model.state_dict())
    need(content["sha256"]["weights"] == weights, "model.safetensors: these are not the weights that were certified")
    tensors = read_tensors(directory / "certificate.safetensors")
    need(content["sha256"]["evidence"] == tensors_digest(tensors), "certificate.safetensors: its sha256 is another")

    boxes, every = content["method"] == BOXES, content["scope"] == "every-implementation"
    if every or boxes:  # which speaks of wider formats, too
        rounded = rounded_weight(directory, getattr(torch, content["dtype"]))
        need(not rounded, f"model.safetensors: {rounded} has numbers that {content['dtype']} does not hold")
    found = judge(content, model, tensors, obligations=every)
    need(not every or found.scope == content["scope"], found.failure)
    need(same(content["counts"], found.counts), f"counts: the evidence has {found.counts}, not {content['counts']}")
    if content["method"] == SUBFORMULAS:
        need(same(content["memories"], found.memories), "memories: they do not hold what is claimed")
    if boxes:  # float64 may sum in another order here: what is claimed is a bound
        good = type(content["margin"]) is float and 0 < content["margin"] <= found.margin
    else:
        good = same(content["margin"], found.margin)
    need(good, f"margin: it is {found.margin:g}, not {content['margin']!r}")
    for claimed, entry in zip(content["obligations"], found.obligations, strict=False):
        name, checked, detail = entry["name"], claimed["checked"], claimed["detail"]
        need(type(checked) is int and checked >= 0 and type(detail) is str, f"obligation {name}: malformed")
        if not limited:  # there, lower limits than the model's own need fewer instances
            enough = checked <= int(str(entry["checked"]))
            need(enough, f"obligation {name}: {checked} instances claimed, {entry['checked']} verified")
            need(detail == entry["detail"], f"obligation {name}: the detail is not {entry['detail']!r}")
    if content["method"] == "counters":
        check_watched(manifest["counters"], found.owners, content["limits"], content["dtype"])
    return {
        "scope": found.scope,
        "steps": found.steps,
        "transitions": found.counts["transitions"],
        "obligations": tuple(NAMES) if every else (),
        **{key: content[key] for key in ("claim", "contract", "dtype", "method")},
        "memories": len(found.memories),
        "limits": content["limits"] if limited else {},
        "language": _described(content["language"]),
    }


# -- what the certificate says ------------------------------------------------------------------------------------


def _check_words(content: dict[str, Any]) -> None:
    """Everything in ``certificate.json`` that can be judged by itself."""
    need(same(content.get("schema_version"), 1), f"schema_version is {content.get('schema_version')!r}, known is 1")
    limited = content.get("method") in {*CONSTRUCTIONS, UNTIL_DEATH}
    recalls = content.get("method") == SUBFORMULAS
    keys = KEYS | ({"limits"} if limited else set()) | ({"memories"} if recalls else set())
    need(set(content) == keys, f"certificate.json: missing or unknown keys {sorted(set(content) ^ keys)}")
    scopes = ["every-implementation"] if limited or recalls else ["step", "every-implementation"]
    if content["method"] == BOXES:
        scopes = [UP_TO_ROUNDING]
    choices: dict[str, list[Any]] = {
        "verdict": ["certified"],
        "word": [None],
        "scope": scopes,
        "contract": ["all-words", "live-prefixes"],
        "method": list(METHODS),
        "dtype": list(FORMATS),
    }
    for key, known in choices.items():
        need(content[key] in known, f"{key} {content[key]!r} is unknown; known: {known}")
    says = claim(content["contract"], content["method"], content["readout"])
    need(content["claim"] == says, "claim: not what can be proved so")
    batch = content["batch"]
    need(type(batch) is int and 1 <= batch <= LARGEST_BATCH, f"batch is {batch!r}, not in 1..{LARGEST_BATCH}")
    named = content["implementation"]
    need(set(named) == set(IMPLEMENTATION), f"implementation: not exactly {', '.join(IMPLEMENTATION)}")
    for key, pattern in IMPLEMENTATION.items():
        good = type(named[key]) is str and re.fullmatch(pattern, named[key])
        need(good, f"implementation: {key} is {named[key]!r:.100}")
    if content["scope"] == "step":  # such a certificate speaks of one implementation, and we can run only this one
        import transformers

        ours = {"torch": torch.__version__, "transformers": transformers.__version__, "device": "cpu"}
        if named["model"].startswith("scancraft."):
            ours["scancraft"] = version("scancraft")
        theirs = {key: named[key] for key in ours}
        need(theirs == ours, f"scope step: certified with {theirs}, this is {ours}; certify again")
    entries, names = content["obligations"], [] if content["method"] == BOXES else NAMES
    need([e["name"] for e in entries] == names, f"obligations: not exactly {', '.join(names)}")
    for entry in entries:
        need(set(entry) == {"name", "holds", "checked", "detail"}, f"obligation {entry['name']}: unknown keys")
        if content["scope"] == "every-implementation":
            need(entry["holds"] is True, f"obligation {entry['name']} does not hold, which the scope contradicts")
    need(set(content["sha256"]) == {"weights", "language", "evidence", "content"}, "sha256: missing or unknown keys")
    need(content["sha256"]["content"] == content_digest(content), "certificate.json: its own sha256 is another")


def claim(contract: str, method: str, readout: Mapping[str, Any] = PREDICTS) -> str:
    """The sentence that a certificate of a method can support, about what the readout names."""
    every = "prefix of every word" if contract == "all-words" else "live prefix"
    extent = "as long as no counter exceeds its limit" if method == "counters" else "of any length"
    if method == UNTIL_DEATH:
        extent += " (once it has died, as long as no state that adds up exceeds the limit)"
    whose = " of the language" if method == BOXES else ""  # what others score is not looked at there
    said = f"each token{whose} is allowed by the model iff the language allows it"
    if not readout["next_symbol"]:
        said = "the model says that the word may end iff it is in the language"
    if readout.get("classes"):
        classes = "the class with the greatest score is that of the machine"
        said = classes if not readout["next_symbol"] and readout["accept"] is None else f"{said}, and {classes}"
    return f"after every {every}, {extent}, {said}"


def _check_language(content: dict[str, Any], manifest: dict[str, Any]) -> None:
    """The language is the manifest's, and the digest is its own."""
    about, named = content["language"], manifest["language"]
    kinds = {"dfa", "combination", MOORE, *chain(*LANGUAGES.values())}
    need(len(kinds & set(named)) == 1, "language: scancraft.json names two")
    if content["method"] in LANGUAGES or MOORE in about:
        digest = text_digest(about)
        same = text_digest({key: value for key, value in named.items() if key != "class"}) == digest
        need(same, "language: scancraft.json names another")
    else:
        language = read_dfa(about)
        digest = text_digest(language.value, ordered=True)
        same_language(language, named)
    need(content["sha256"]["language"] == digest, "certificate.json: the sha256 of the language is another")


def _check_readout(content: dict[str, Any], manifest: dict[str, Any]) -> None:
    """The readout and the contract are the manifest's."""
    special = manifest.get("special_tokens", SPECIAL)
    tokens = dict(manifest["tokens"])
    bos, eos, pad = (tokens.pop(special[name]) for name in ("bos", "eos", "pad"))
    readout = content["readout"]
    given = manifest["contract"]
    recognises = given == "recognise"  # then nothing is said of the symbols that may come next
    only_classes, classes = given == "outputs", manifest.get("outputs", {})
    following = {} if recognises or only_classes else tokens
    accept = None if only_classes else eos
    says = {"tokens": tokens, "bos": bos, "accept": accept, "next_symbol": following, "threshold": 0.0}
    says |= {"classes": classes} if classes else {}
    for key in [*says, *readout]:
        need(key in says and same(readout.get(key), says[key]), f"readout: {key} is not what scancraft.json says")
    ids = [*tokens.values(), bos, eos, pad, *classes.values()]
    need(all(type(n) is int and n >= 0 for n in ids) and len(set(ids)) == len(ids), "readout: tokens are not distinct")
    promised = "all-words" if recognises or only_classes else given
    need(promised == content["contract"], f"contract: {content['contract']!r}, but scancraft.json says {given!r}")


def _check_tokens(config: Any, manifest: dict[str, Any], generation: Path) -> None:
    """The files by which words are generated number the special tokens as the manifest does."""
    special = manifest.get("special_tokens", SPECIAL)
    for name in SPECIAL:
        given, token = getattr(config, f"{name}_token_id"), manifest["tokens"][special[name]]
        need(given == token, f"config.json: {name}_token_id is {given!r}, but scancraft.json says {token}")
        if generation.exists():
            given = read_json(generation).get(f"{name}_token_id")
            need(same(given, token), f"{generation.name}: {name}_token_id is {given!r}, not {token}")


def _described(about: dict[str, Any]) -> str:
    """The language in a few words."""
    if "bounded_dyck" in about:
        pairs = about["bounded_dyck"]["brackets"]
        return f"brackets of {len(pairs)} kinds, at most {about['bounded_dyck']['depth']} deep"
    if "nested" in about:
        symbols = " ".join(map(ascii, about["nested"]["alphabet"][:20]))
        return f"nested words over {symbols}, at most {about['nested']['depth']} deep"
    if "copying" in about:
        letters = " ".join(map(ascii, about["copying"]["letters"][:20]))
        return f"words over {letters}, at most {about['copying']['longest']} of them, and their copies"
    known = next((about[kind] for kind in ("counter_machine", MOORE, "past_ltl") if kind in about), about)
    symbols = " ".join(map(ascii, known["alphabet"][:20])) + (" ..." if len(known["alphabet"]) > 20 else "")
    if "counter_machine" in about:
        return f"a machine with {len(known['counters'])} counters over {symbols}"
    if MOORE in about:
        sizes = f"{len(known['outputs'])} states and {len(known['classes'])} classes"
        return f"a Moore machine with {sizes} over {symbols}, sha256 {text_digest(about)[:16]}"
    if "past_ltl" in about:
        nodes = read_formula(known).nodes
        return f"a past formula with {len(nodes)} subformulas over {symbols}, sha256 {text_digest(about)[:16]}"
    digest = text_digest(read_dfa(about).value, ordered=True)
    return f"a DFA with {len(known['states'])} states over {symbols}, sha256 {digest[:16]}"
