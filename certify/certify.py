"""``scancraft.certify``: prove that a model is right on every word of every length, or refute it.

What a certificate asserts, and under which assumptions, is told in docs/certificates.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..automata.alphabet import format_word
from ..automata.budget import Budget
from ..automata.counters.acceptor import CounterAcceptor
from ..automata.counters.machine import CounterMachine
from ..automata.dfa import Dfa
from ..automata.formats.formats import to_json_dict
from ..automata.languages import Language, language_to_json
from ..automata.words.mixtures import mixture_of
from ..compiler.circuits.counting import FLOAT_BITS, machine_limits
from ..compiler.compile import CompiledModel
from ..models.checkpoints.checkpoint import write_certificate
from ..models.errors import CheckpointError, ReadoutError
from ..models.mamba import model_type_of
from ..models.readout import Readout, logits_of
from ..models.run.runner import Runner
from ..models.run.stepper import STEPPED, Stepper
from .binding import check_finite, check_ids, dtype_name, implementation_of, readout_json, resolve
from .check import compare
from .search.circuit import CircuitProof, prove_circuit
from .search.evidence import (
    SCHEMA_VERSION,
    content_digest,
    description_digest,
    evidence,
    language_digest,
    tensors_digest,
)
from .search.explore import Stage, WordGraph
from .search.prove import BATCH, Counterexample, Judge, Proof, Undecided, prove

if TYPE_CHECKING:
    from torch import Tensor

CERTIFY_BUDGET = Budget(items=100_000, seconds=60.0)
"""Events per stage, seconds per stage."""

SAMPLED = 400
"""Words tried when the searches end undecided."""

Note = Callable[[str], None]


@dataclass(frozen=True)
class Certificate:
    """A proof, for every word of every length, with what it rests on.

    Attributes:
        content: what ``certificate.json`` says: ``verdict``, ``claim``, ``method``, ``scope``, ``contract``,
            ``margin``, ``dtype``, ``batch``, ``implementation``, ``sha256``, ``readout``, ``language``, ``counts``,
            ``obligations``, and for counters their ``limits``.
        evidence: the tensors of ``certificate.safetensors`` (``compiler.evidence``).
        seconds: how long it took, loading not counted.
    """

    content: dict[str, Any]
    evidence: dict[str, Tensor] = field(repr=False)
    seconds: float

    verdict = "certified"

    @property
    def scope(self) -> str:
        """ "every-implementation" or "step"."""
        return str(self.content["scope"])

    @property
    def margin(self) -> float:
        """The smallest |score - threshold| over all reachable read-outs."""
        return float(self.content["margin"])

    def save(self, directory: str | PathLike[str]) -> None:
        """Write the certificate into a checkpoint directory."""
        write_certificate(Path(directory), self.content, self.evidence)

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return {**self.content, "seconds": round(self.seconds, 3)}

    def __str__(self) -> str:
        content, counts = self.content, self.content["counts"]
        checked = [f"{counts['transitions']:,} transitions"] if counts["transitions"] else []
        checked += [f"{counts['readouts']:,} cases"] if "limits" in content else []
        limits = ", ".join(f"{name} {limit:,}" for name, limit in content.get("limits", {}).items())
        held = sum(o["holds"] for o in content["obligations"])
        return (
            f"certified, scope {self.scope}: {content['claim']}\n"
            f"{content['method']}: {' and '.join(checked)} checked, smallest |score| {self.margin:g}, "
            f"{held} of {len(content['obligations'])} obligations hold, {content['dtype']}, {self.seconds:.2f} s"
            + (f"\nlimits: {limits}" if limits else "")
        )


@dataclass(frozen=True)
class Refuted:
    """A word after which the model is wrong.

    Attributes:
        word: the symbols read.
        model: the tokens that the model allows next (``<eos>``: it accepts).
        right: the tokens that the language allows.
        shortest: whether every shorter word is known to be right.
        seconds: how long it took.
    """

    word: tuple[str, ...]
    model: frozenset[str]
    right: frozenset[str]
    shortest: bool
    seconds: float

    verdict = "counterexample"

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "verdict": self.verdict,
            "scope": None,
            "margin": None,
            "word": list(self.word),
            "model": sorted(self.model),
            "right": sorted(self.right),
            "shortest": self.shortest,
            "seconds": round(self.seconds, 3),
        }

    def __str__(self) -> str:
        kind = "a shortest counterexample" if self.shortest else "a counterexample (perhaps not a shortest one)"
        word = format_word(self.word, self.word)
        return f"{kind} is {word!r}: the model allows {sorted(self.model)}, the language {sorted(self.right)}"


@dataclass(frozen=True)
class Open:
    """Undecided: neither proved nor refuted within the budget.

    Attributes:
        reason: how far each attempt got.
        seconds: how long it took.
    """

    reason: str
    seconds: float

    verdict = "undecided"

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "verdict": self.verdict,
            "scope": None,
            "margin": None,
            "word": None,
            "reason": self.reason,
            "seconds": round(self.seconds, 3),
        }

    def __str__(self) -> str:
        return f"undecided: {self.reason}"


def certify(
    target: Any,
    language: Any = None,
    *,
    readout: Readout | None = None,
    budget: Budget = CERTIFY_BUDGET,
    dtype: torch.dtype | None = None,
    note: Note = lambda _: None,
) -> Certificate | Refuted | Open:
    """Prove or refute that a model predictively models a language, at every prefix of every word.

    A counter language is proved for all words along which the counters keep within what the dtype holds exactly.

    Args:
        target: a checkpoint directory, what ``scancraft.compile`` returned, or a ``transformers`` ``MambaForCausalLM``
            or ``SignedMambaForCausalLM`` (then give ``language`` and ``readout``).
        language: anything that ``as_language`` reads; by default the checkpoint's own.
        readout: how the model is bound to the language; by default the checkpoint's own. Its contract is honoured:
            under "live-prefixes" the claim is about prefixes that can still be completed.
        budget: events and seconds per stage of a search.
        dtype: run a checkpoint in this dtype (float32 unless told otherwise); a model in memory is taken as it is.
        note: told now and then what is going on.

    Raises:
        ReadoutError: no readout, one over other symbols than the language's, or one without ``bos``.
        WeightsError: a weight is NaN or infinite.
        CheckpointError: the directory cannot be loaded.
    """
    compiled = isinstance(target, (str, PathLike, CompiledModel)) and language is None
    model, wanted, readout, manifest = resolve(target, language, readout, dtype)
    started = time.perf_counter()
    _check_readout(model, wanted, readout)
    check_finite(model, "nothing can be certified")
    training = model.training
    model.eval()
    try:
        verdict: Proof | CircuitProof | Counterexample | Undecided
        if isinstance(wanted, Dfa):
            verdict = prove(model, wanted, readout, budget, compiled=compiled, note=note)
        else:
            limits = _limits(model, wanted)
            verdict = prove_circuit(model, wanted, readout, limits, budget, note=note)
        if isinstance(verdict, Undecided):
            note("sampled words")
            verdict = _sampled(model, wanted, readout) or verdict
        seconds = time.perf_counter() - started
        if isinstance(verdict, Proof):
            assert isinstance(wanted, Dfa)
            return _certificate(verdict, model, wanted, readout, seconds)
        if isinstance(verdict, CircuitProof):
            if manifest is not None and language is None:
                _check_watched(manifest, verdict, dtype_name(model))
            return _circuit_certificate(verdict, model, wanted, readout, seconds)
    finally:
        model.train(training)
    if isinstance(verdict, Counterexample):
        return Refuted(verdict.word, verdict.model, verdict.right, verdict.shortest, seconds)
    return Open(verdict.reason, seconds)


def _check_watched(manifest: dict[str, Any], proof: CircuitProof, dtype: str) -> None:
    """Raise :class:`CheckpointError` unless the manifest's counters are where the proof found them, with its limits."""
    listed = {entry["name"]: entry for entry in manifest["counters"]}
    for name, places in proof.places.items():
        entry = listed[f"counter {name}"]
        place = tuple(entry.get(key) for key in ("block", "channel", "state"))
        limits = entry.get("limits")
        if (places and place not in places) or not isinstance(limits, dict) or limits.get(dtype) != proof.limits[name]:
            raise CheckpointError(
                f"the manifest says that counter {name!r} is at (block, channel, state) {place} with the limits "
                f"{limits}; the weights hold it at {places}, exact to {proof.limits[name]:,} in {dtype}: "
                "compile the language again"
            )


def _limits(model: Any, language: Language) -> list[int]:
    """What the counters of a machine may reach in the model's dtype."""
    if not isinstance(language, CounterMachine):
        return []
    name = dtype_name(model)
    limits = machine_limits(language)
    exact = [dtype for dtype in FLOAT_BITS if all(dtype in by_dtype for by_dtype in limits)]
    if name not in exact:
        raise ReadoutError(f"these counters are not exact in {name}; run the model in {' or '.join(exact)}")
    return [by_dtype[name] for by_dtype in limits]


def _check_readout(model: Any, language: Language, readout: Readout) -> None:
    """Raise :class:`ReadoutError` unless the readout fits the model and the language, as a certificate needs it."""
    readout.check_alphabet(language.alphabet)
    if readout.bos is None:
        raise ReadoutError("a certificate needs a readout with a bos token: every word starts from the same state")
    if readout.head is not logits_of:
        raise ReadoutError("a certificate is about the model's own logits; give a readout without a head of its own")
    if readout.contract == "live-prefixes" and isinstance(language, Dfa) and language.is_empty():
        raise ReadoutError(
            "the language is empty, so under live-prefixes nothing is promised and nothing can be certified"
        )
    if model_type_of(model) not in STEPPED:
        return  # the stepper says what is wrong with it
    check_ids(model, language, readout)


def _sampled(model: Any, language: Language, readout: Readout) -> Counterexample | None:
    """A wrong prefix of a sampled word, if there is one."""
    words: list[tuple[str, ...]] = mixture_of(language, SAMPLED, 0, 100, np.random.default_rng(0))
    if isinstance(language, CounterMachine):  # nothing is claimed, so nothing refuted, past the limits
        codes, lengths = (truth := CounterAcceptor(language)).encode(words)
        within = (np.abs(truth.values(codes, lengths)) <= np.array(_limits(model, language))).all(axis=2)
        cut = within.cumprod(axis=1).sum(axis=1) - 1
        words = [word[: max(0, int(n))] for word, n in zip(words, cut, strict=True)]
    try:
        # The runner is fast and may round otherwise; what it finds is tried on the model itself.
        suspect = compare(Runner(model), language, readout, words).shortest
        words = [] if suspect is None else [suspect.prefix]
    except ReadoutError:
        pass
    found = compare(model, language, readout, words).shortest if words else None
    return None if found is None else Counterexample(found.prefix, found.model, found.right, shortest=False)


def _certificate(proof: Proof, model: Any, dfa: Dfa, readout: Readout, seconds: float) -> Certificate:
    language = to_json_dict(dfa)
    facts = {
        "scope": proof.scope,
        "method": proof.method,
        "margin": proof.margin,
        "extent": "of any length",
        "language": {**language, "states": list(language["transitions"])},
        "digest": language_digest(dfa),
        "readouts": len(proof.graph),
        "obligations": proof.obligations,
    }
    inputs = Judge(model, dfa, readout).inputs(Stepper(model, BATCH))
    return _content(facts, proof.stages, inputs, model, readout, seconds)


def _circuit_certificate(
    proof: CircuitProof, model: Any, language: Language, readout: Readout, seconds: float
) -> Certificate:
    about = language_to_json(language)
    facts = {
        "scope": proof.scope,
        "method": proof.method,
        "margin": proof.margin,
        "extent": "as long as no counter exceeds its limit" if proof.method == "counters" else "of any length",
        "language": about,
        "digest": description_digest(about),
        "readouts": proof.cases,
        "obligations": proof.obligations,
        "limits": dict(proof.limits),
    }
    return _content(facts, proof.stages, proof.inputs, model, readout, seconds)


def _content(
    facts: dict[str, Any], stages: Sequence[Stage], inputs: WordGraph, model: Any, readout: Readout, seconds: float
) -> Certificate:
    tensors = evidence(stages, inputs)
    every = "prefix of every word" if readout.contract == "all-words" else "live prefix"
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "verdict": "certified",
        "claim": (
            f"after every {every}, {facts['extent']}, each token is allowed by the model iff the language allows it"
        ),
        "method": facts["method"],
        "scope": facts["scope"],
        "contract": readout.contract,
        "margin": facts["margin"],
        "word": None,
        "dtype": dtype_name(model),
        "batch": BATCH,
        "implementation": implementation_of(model),
        "readout": readout_json(readout),
        "language": facts["language"],
        "counts": {
            "stages": len(stages),
            "events": sum(len(s.events) for s in stages),
            "transitions": sum(len(s.transitions) for s in stages),
            "own_states": sum(len(s.states) for s in stages),
            "readouts": facts["readouts"],
        },
        "obligations": [o.as_json() for o in facts["obligations"]],
        "sha256": {
            "weights": tensors_digest(model.state_dict()),
            "language": facts["digest"],
            "evidence": tensors_digest(tensors),
        },
    }
    if "limits" in facts:
        content["limits"] = facts["limits"]
    content["sha256"]["content"] = content_digest(content)
    return Certificate(content, tensors, seconds)
