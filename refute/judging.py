"""Certified, wrong on a word, or undecided: what there is to say of a model and a language, whoever made the model."""

from __future__ import annotations

import time
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from ..automata.budget import Budget
from ..automata.dfa import Dfa
from ..automata.errors import BudgetExceededError
from ..automata.languages import Recognised
from ..automata.moore import Moore
from ..certify.certify import CERTIFY_BUDGET, Certificate, Note, Open, Refuted, certify
from ..compiler.checkpoints import opened
from ..compiler.language_model import LanguageModel
from ..models.readout import Readout
from ..models.run.threads import one_thread
from .models import has_own_readout, resolve
from .pumping.counterexample import find_counterexample
from .refute import REFUTE_BUDGET
from .results import Counterexample

FIRST = 64
"""Events per stage of a first look at a model that was not compiled: boxes need none, and short words come later."""

PLAIN = 12
"""Letters of a shortest wrong word that needs no pattern to be understood."""


def certified_or_wrong(
    target: Any,
    language: Any = None,
    *,
    readout: Readout | None = None,
    budget: Budget = CERTIFY_BUDGET,
    dtype: torch.dtype | None = None,
    note: Note = lambda _: None,
) -> Certificate | Counterexample | Refuted | Open:
    """``certify``, and a search for a counterexample where that is undecided, or for the pattern of a long word.

    Args:
        target, language, readout, dtype, note: as ``certify`` takes them; a directory may have ``readout.json`` in the
            place of a manifest.
        budget: events per stage of the proof's search, seconds of everything. A model that was compiled for the
            language is certified first; of others few states are explored before counterexamples are looked for.

    Raises:
        ReadoutError, WeightsError, CheckpointError: as ``certify`` does.
    """
    started, budget = time.perf_counter(), budget.running()
    if isinstance(target, (str, PathLike)) and has_own_readout(Path(target)):
        target, language, readout = resolve(target, language, readout, dtype)  # of somebody else
    source = opened(target)
    compiled = isinstance(source, LanguageModel) and language is None and source.manifest.kind != "trained"
    share = budget if compiled else replace(budget.half(), items=min(FIRST, budget.items))
    found = certify(source, language, readout=readout, budget=share, dtype=dtype, note=note)
    plain = isinstance(found, Refuted) and found.shortest and (compiled or len(found.word) <= PLAIN)
    if plain or isinstance(found, Certificate) or budget.over:
        return found
    model, wanted, bound = resolve(source, language, readout, dtype)
    try:
        wanted = wanted.dfa(budget) if isinstance(wanted, Recognised) else wanted
    except BudgetExceededError:
        return found
    if not isinstance(wanted, (Dfa, Moore)):
        return found
    training = model.training
    model.eval()
    try:
        with one_thread():
            left = replace(budget, items=REFUTE_BUDGET.items)
            known = found.word if isinstance(found, Refuted) and found.shortest else None
            word = find_counterexample(model, wanted, bound, left, note, known=known)
    finally:
        model.train(training)
    if isinstance(word, Counterexample):
        return Counterexample({**word.content, "seconds": round(time.perf_counter() - started, 3)})
    if isinstance(found, Refuted):
        return found
    if not compiled and not budget.over and budget.items > FIRST:
        found = certify(source, language, readout=readout, budget=budget, dtype=dtype, note=note)
    if isinstance(found, Open):
        found = replace(found, reason=f"{found.reason}; {word.reason}", seconds=time.perf_counter() - started)
    return found
