"""``scancraft.certify``: prove that a model is right on every word of every length, or refute it.

What a certificate asserts, and under which assumptions, is told in docs/certificates.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..automata.budget import Budget
from ..automata.counters.acceptor import CounterAcceptor
from ..automata.counters.machine import CounterMachine
from ..automata.dfa import Dfa
from ..automata.errors import BudgetExceededError
from ..automata.formats.formats import to_json_dict
from ..automata.languages import Language, Recognised, language_to_json
from ..automata.logic.past import PastLtl
from ..automata.moore import Moore
from ..automata.words.mixtures import mixture_of
from ..compiler.checkpoints import Checkpoint, opened
from ..compiler.circuits.counting import FLOAT_BITS, machine_limits
from ..compiler.language_model import LanguageModel
from ..models.checkpoints.closed import CONFIG
from ..models.checkpoints.files import read_json
from ..models.errors import CheckpointError, ReadoutError
from ..models.mamba import model_type_of
from ..models.readout import Readout
from ..models.run.runner import Runner
from ..models.run.stepper import STEPPED
from .binding import check_provable, dtype_name, implementation_of, readout_json, resolve
from .check import compare
from .checker.certificate import claim
from .checker.configuration import why_not_loaded
from .checker.counters import check_watched
from .checker.judge import AFTER_DEATH, BOXES, CONSTRUCTIONS, SUBFORMULAS, UNTIL_DEATH, judge
from .checker.machine import rounded_weight
from .checker.parts import RejectedError, content_digest, tensors_digest, text_digest
from .search.evidence import evidence
from .search.kinds import kinds_of
from .search.prove import Candidate, batch_of, search
from .search.results import Certificate, Open, Refuted

__all__ = ["CERTIFY_BUDGET", "Certificate", "Open", "Refuted", "certify"]

SCHEMA_VERSION = 1
CERTIFY_BUDGET = Budget(items=100_000, seconds=300.0)
"""Events per stage, seconds for all stages together."""

FARTHEST = 1 << 40
"""How far counters may go once a word has died."""

SAMPLED = 400
"""Words tried when the searches end undecided."""

Note = Callable[[str], None]


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

    A counter language is proved for all words along which the counters keep within what the dtype holds exactly. A past
    formula of which the end of words is promised is proved without its DFA, if each memory holds a subformula.

    Args:
        target: a checkpoint or its directory, what ``scancraft.compile`` returned, or a ``transformers``
            ``MambaForCausalLM`` or ``SignedMambaForCausalLM`` (then give ``language`` and ``readout``).
        language: whatever ``as_language`` reads; by default the checkpoint's own.
        readout: how the model is bound to the language; by default the checkpoint's own. Its contract is honoured:
            under "live-prefixes" the claim is about prefixes that can still be completed.
        budget: events per stage of a search, seconds for all stages together.
        dtype: run a checkpoint in this dtype (float32 unless told otherwise); a model in memory is taken as it is.
        note: told now and then what is going on.

    Raises:
        ReadoutError: no readout, one over other symbols than the language's, or one without ``bos``.
        WeightsError: a weight is NaN or infinite.
        CheckpointError: the directory cannot be loaded.
    """
    source = opened(target)
    compiled = isinstance(source, LanguageModel) and language is None and source.manifest.kind != "trained"
    model, wanted, readout, manifest = resolve(source, language, readout, dtype)
    started, budget = time.perf_counter(), budget.running()
    by_formula = isinstance(wanted, PastLtl) and not readout.next_index
    if isinstance(wanted, Recognised) and not by_formula:
        product = _dfa(wanted, budget)
        if isinstance(product, Open):
            return product
        wanted = product
    check_provable(model, wanted, readout, "nothing can be certified")
    training = model.training
    model.eval()
    try:
        watched = None if manifest is None or language is not None else manifest.to_json()["counters"]

        def proved(language: Language | Open, *, counts: bool = True) -> tuple[str, Certificate | Refuted | Open]:
            if isinstance(language, Open):
                return "", language
            stepped = model_type_of(model) in STEPPED
            kinds = kinds_of(model, language, readout) if stepped and isinstance(language, (Dfa, Moore)) else None
            explored = (language, readout) if kinds is None else (kinds.language, kinds.readout)
            found = search(model, *explored, budget, compiled=compiled, note=note, counts=counts)
            if not isinstance(found, Candidate):
                return "", kinds.of_all(found) if isinstance(found, Refuted) and kinds is not None else found
            note("the checker")
            return found.method, _judged(found, model, language, readout, watched)

        method, verdict = proved(wanted)
        if isinstance(verdict, Open) and method == SUBFORMULAS and not budget.over:  # before a DFA that may be large
            verdict = _sampled(model, wanted, readout) or verdict
        if isinstance(verdict, Open) and (method == UNTIL_DEATH or isinstance(wanted, PastLtl)):
            _, other = proved(_dfa(wanted, budget)) if isinstance(wanted, PastLtl) else proved(wanted, counts=False)
            reason = f"{method or SUBFORMULAS}: {verdict.reason}"
            verdict = Open(f"{reason}; {other.reason}", 0.0) if isinstance(other, Open) else other
        if isinstance(verdict, Certificate) and isinstance(source, Checkpoint):
            verdict = _as_loaded(verdict, source.directory)
        if isinstance(verdict, Open) and not budget.over:
            note("sampled words")
            verdict = _sampled(model, wanted, readout) or verdict
    finally:
        model.train(training)
    return replace(verdict, seconds=time.perf_counter() - started)


def _dfa(language: Any, budget: Budget) -> Dfa | Open:
    """The DFA of a combination or a formula."""
    try:
        return language.dfa(budget)  # type: ignore[no-any-return]
    except BudgetExceededError as error:
        what = "its DFA" if isinstance(language, PastLtl) else "the product of the parts"
        return Open(f"{what}: {error.reached:,g} {error.what}, past {error.limit:,g}", 0.0)


def _as_loaded(found: Certificate, directory: Path) -> Certificate | Open:
    """The certificate, if it speaks of the model in the formats in which transformers can load it."""
    config, stated = read_json(directory / CONFIG), found.content["dtype"]
    if found.scope != "step" and (name := rounded_weight(directory, getattr(torch, stated))):
        return Open(f"{name} has numbers that {stated} does not hold, so in a wider format the model is another", 0.0)
    why = why_not_loaded(found.content["dtype"], found.content["scope"], config)
    return Open(f"{why}; certify it with --dtype {config['dtype']}", 0.0) if why else found


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


def _sampled(model: Any, language: Language, readout: Readout) -> Refuted | None:
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
    return None if found is None else Refuted(found.prefix, found.model, found.right, False, 0.0)


def _judged(candidate: Candidate, model: Any, language: Language, readout: Readout, watched: Any) -> Certificate | Open:
    """What the checker makes of a candidate: a certificate that says just what it found.

    Raises:
        CheckpointError: the manifest's counters (``watched``) are not where the weights hold them.
    """
    tensors = evidence(candidate.stages, candidate.inputs) | dict(candidate.boxes)
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "verdict": "certified",
        "claim": claim(readout.contract, candidate.method, readout_json(readout)),
        "method": candidate.method,
        "scope": "",
        "contract": readout.contract,
        "margin": None,
        "word": None,
        "dtype": dtype_name(model),
        "batch": batch_of(model),
        "implementation": implementation_of(model),
        "readout": readout_json(readout),
        **_described(language),
        "counts": {},
        "obligations": [],
    }
    if candidate.method in CONSTRUCTIONS:
        names = [c.name for c in language.counters] if isinstance(language, CounterMachine) else []
        content["limits"] = dict(zip(names, _limits(model, language), strict=True))
    if candidate.method == UNTIL_DEATH:
        content["limits"] = {AFTER_DEATH: FARTHEST}
    try:
        found = judge(content, model, tensors)
    except RejectedError as error:
        return Open(str(error), 0.0)
    if watched is not None and candidate.method == "counters":
        try:
            check_watched(watched, found.owners, content["limits"], content["dtype"])
        except RejectedError as error:
            raise CheckpointError(f"{error}: compile the language again") from error
    digests = {"weights": tensors_digest(model.state_dict()), "evidence": tensors_digest(tensors)}
    content |= {
        "scope": found.scope,
        "margin": _at_least(found.margin) if candidate.method == BOXES else found.margin,
        "counts": found.counts,
        **({"memories": found.memories} if candidate.method == SUBFORMULAS else {}),
        "obligations": found.obligations,
        "sha256": {**content["sha256"], **digests},
    }
    content["sha256"]["content"] = content_digest(content)
    return Certificate(content, tensors, 0.0)


def _at_least(margin: float) -> float:
    """A little less: float64 may add up the same boxes in another order elsewhere."""
    return margin * (1 - 2.0**-20)


def _described(language: Language) -> dict[str, Any]:
    """The language, as a certificate names it, and its digest."""
    if not isinstance(language, Dfa):
        about: dict[str, Any] = language_to_json(language)
        return {"language": about, "sha256": {"language": text_digest(about)}}
    about = to_json_dict(language)
    table = [list(row) for row in language.semiautomaton.table]
    value = {"alphabet": list(language.alphabet), "table": table, "accepting": sorted(language.accepting)}
    return {
        "language": {**about, "states": list(about["transitions"])},
        "sha256": {"language": text_digest(value, ordered=True)},
    }
