"""``scancraft.refute``: show that a Mamba is wrong, on infinitely many words if the language is not star-free.

What a refutation asserts, and why one always exists in principle, is told in docs/refutation.md; so is what is looked
for where the language is star-free and a model may be right.
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import chain
from os import PathLike
from typing import Any

import torch

from ..automata.bounded_dyck import BoundedDyck
from ..automata.budget import DEFAULT_BUDGET, Budget
from ..automata.copying.language import Copying
from ..automata.counters.machine import CounterMachine
from ..automata.decide.aperiodic import Witness, star_free_witness
from ..automata.dfa import Dfa
from ..automata.errors import BudgetExceededError, ScancraftError
from ..automata.languages import Language, Recognised, language_to_json
from ..automata.moore import Moore
from ..automata.nested.language import NestedLanguage
from ..certify.binding import dtype_name, implementation_of, readout_json
from ..certify.certify import CERTIFY_BUDGET, Certificate, Open, Refuted, certify
from ..certify.search.prove import Judge
from ..compiler.language_model import LanguageModel
from ..models.errors import ReadoutError
from ..models.mamba import SIGNED_MAMBA, model_type_of
from ..models.olmo_hybrid import OLMO_HYBRID
from ..models.readout import Readout
from ..models.run.stepper import ALIGNMENT
from ..models.run.threads import one_thread
from .checker.claims import VERSION, claim, state_digest, weights_digest
from .models import resolve
from .pumping.counterexample import find_counterexample
from .results import Counterexample, NotApplicable, Refutation, Unsettled
from .search import Note, Search, Verdict
from .trajectories import Trajectories
from .words import questions

__all__ = ["REFUTE_BUDGET", "Counterexample", "NotApplicable", "Refutation", "Trajectories", "Unsettled", "refute"]

REFUTE_BUDGET = Budget(items=20_000_000, seconds=120.0)
"""Tokens read, and seconds."""


def refute(
    target: Any,
    language: Any = None,
    readout: Readout | None = None,
    *,
    budget: Budget = REFUTE_BUDGET,
    dtype: torch.dtype | None = None,
    note: Note = lambda _: None,
    trajectories: Trajectories | None = None,
) -> Refutation | Counterexample | NotApplicable | Unsettled:
    """Show that a model is wrong: on infinitely many words, or, of a star-free language, on one and perhaps a pattern.

    Args:
        target: a checkpoint, its directory (ours, or any Mamba, Falcon-Mamba or Mamba-2 that ``transformers`` loads),
            what ``scancraft.compile`` returned, or such a model (then give ``language`` and ``readout``).
        language: whatever ``as_language`` reads; by default the checkpoint's own.
        readout: how the model is bound to the language; by default the checkpoint's own, and for a directory without
            any the tokens as scancraft numbers them: ``<bos>`` 1, ``<eos>`` 2, the symbols from 3 on. Its contract is
            honoured: under "live-prefixes" only words are counted that can still be completed.
        budget: tokens to read, and seconds, which are those of every other step as well.
        dtype: run a checkpoint in this dtype; by default ours in float32, others in their own. A model in memory is
            taken as it is.
        note: told now and then what is going on.
        trajectories: what is known of the model from earlier calls; it must have been made of ``target``, a model in
            memory.

    Returns:
        :class:`Refutation`, if the theorem excludes the model. Else, of a regular language, :class:`Counterexample` if
        one is found in half of the time; if not, :class:`NotApplicable` with what ``certify`` says, or
        :class:`Unsettled` if that says nothing, or the budget is spent.

    Raises:
        ReadoutError: no language or readout, or one that does not fit.
        BudgetExceededError: the language is a combination whose product is too large.
        CheckpointError: the directory cannot be loaded.
        WeightsError: a weight is NaN or infinite.

    Cost: some ten thousand steps of the model for weights as ``transformers`` draws them, more for trained ones.

    >>> import scancraft
    >>> from scancraft.refute.refute import refute
    >>> found = refute(scancraft.compile("(a|b)*"), "(aa|b)*")
    >>> found.w, found.period, found.word
    (('a',), 2, ('a',))
    """
    started, budget = time.perf_counter(), budget.running()
    model, wanted, bound = resolve(target, language, readout, dtype)
    if isinstance(wanted, Recognised):
        wanted = wanted.dfa(_in_time(DEFAULT_BUDGET, budget))
    training = model.training
    model.eval()
    try:
        with one_thread():
            try:
                witness = _witness(model, wanted, _in_time(DEFAULT_BUDGET, budget))
            except BudgetExceededError as error:
                reason = f"whether the language is star-free: {error}"
                return Unsettled(reason, None, frozenset(), frozenset(), 0, time.perf_counter() - started)
            if isinstance(witness, str):
                found = None
                if isinstance(wanted, (Dfa, Moore)) and model_type_of(model) != OLMO_HYBRID:
                    found = find_counterexample(model, wanted, bound, _in_time(budget, budget.half()), note)
                if isinstance(found, Counterexample):
                    return found
                note("certifying instead")
                left = _in_time(CERTIFY_BUDGET, budget)
                certified = _certified(target if language is None else model, wanted, bound, dtype, note, left)
                seconds = time.perf_counter() - started
                if found is not None and isinstance(certified, Open):
                    return replace(
                        found, reason=f"{witness}; {found.reason}; certify: {certified.reason}", seconds=seconds
                    )
                return NotApplicable(witness, certified, seconds)
            assert isinstance(wanted, (Dfa, Moore))
            known = Trajectories(model) if trajectories is None else trajectories
            if known.model is not model:
                raise ScancraftError("the trajectories are of another model; leave them out, or give that model")
            judge = Judge(wanted, bound)
            search = Search(known, judge, budget.meter("tokens"), note)
            before = known.tokens_read
            asked = questions(judge, witness)
            first = next(asked, None)
            if first is None:
                raise ReadoutError(
                    "nothing that the readout sees, and its contract promises, tells apart the states that a word "
                    "permutes; give it accept or classes, or the contract all-words"
                )
            try:
                verdict = search.run(chain([first], asked))
                limit = "no word is left to try"
            except BudgetExceededError as error:
                verdict, limit = None, f"past {error.reached:,g} {error.what}, the budget being {error.limit:,g}"
            tokens_read = known.tokens_read - before
            if verdict is None:
                return _unsettled(search, limit, tokens_read, time.perf_counter() - started)
            content = _content(verdict, known, judge, tokens_read)
            return Refutation({**content, "seconds": round(time.perf_counter() - started, 3)})
    finally:
        model.train(training)


def _in_time(items: Budget, time_of: Budget) -> Budget:
    """So many items as one budget has, in the time of the other."""
    return replace(time_of, items=items.items)


def _witness(model: Any, language: Language, budget: Budget) -> Witness | str:
    """Why no model without negative gates follows the language; or, in words, why the theorem says nothing here."""
    if isinstance(language, BoundedDyck):
        return "a bounded Dyck language is star-free, so the theorem excludes no Mamba"
    if isinstance(language, NestedLanguage):
        return "the theorem excludes a nested language by its automaton only; give that (`.dfa()`)"
    if isinstance(language, Copying):
        return "copying at most so many letters is star-free, so the theorem excludes no Mamba"
    if isinstance(language, CounterMachine):
        return "a counter language is not given as a regular language, and the theorem is about regular ones"
    assert isinstance(language, (Dfa, Moore)), "a combination is judged by its product"
    if model_type_of(model) == OLMO_HYBRID:
        return "the model's layers multiply their states with matrices, and the theorem is about nonnegative gates"
    witness = star_free_witness(language, budget)
    if witness is None:
        return "the language is star-free, so the theorem excludes no Mamba"
    if model_type_of(model) == SIGNED_MAMBA:
        return "the model's gates may be negative, and the theorem is about nonnegative ones"
    return witness


def _certified(
    target: Any, language: Language, readout: Readout, dtype: torch.dtype | None, note: Note, budget: Budget
) -> Certificate | Refuted | Open:
    """What ``certify`` says; what it cannot look at is undecided."""
    try:
        if isinstance(target, (str, PathLike, LanguageModel)):
            return certify(target, readout=readout, dtype=dtype, note=note, budget=budget)
        return certify(target, language, readout=readout, note=note, budget=budget)
    except ScancraftError as error:
        return Open(str(error), 0.0)


def _unsettled(search: Search, limit: str, tokens_read: int, seconds: float) -> Unsettled:
    tried = [f"w = {w!r}: {reason}" for w, reason in search.reasons.items()]
    more = [f"and {len(tried) - 3} more"] if len(tried) > 3 else []
    reason = "; ".join([f"no state has repeated ({limit})", *tried[:3], *more])
    if search.wrong is None:
        return Unsettled(reason, None, frozenset(), frozenset(), tokens_read, seconds)
    word = search.wrong.word
    right = search.judge.right[search.judge.dfa.run(word)]
    return Unsettled(reason, word, search.wrong.model, right, tokens_read, seconds)


def _content(verdict: Verdict, trajectories: Trajectories, judge: Judge, tokens_read: int) -> dict[str, Any]:
    """The JSON of a refutation: docs/refutation.md says what the keys mean."""
    question, model, readout = verdict.question, trajectories.model, judge.readout
    start = verdict.trajectory.settled
    assert start is not None
    return {
        "verdict": Refutation.verdict,
        "x": list(question.x),
        "w": list(question.w),
        "y": list(question.y),
        "period": question.period,
        "N": start,
        "word": list(verdict.wrong.word),
        "state_period": 1,
        "joint_period": question.period,
        "offsets": list(verdict.offsets),
        "claim": claim(start, question.observed, question.period, verdict.offsets),
        "observed": question.observed,
        "answers": [sorted(verdict.answer)],
        "model": sorted(verdict.wrong.model),
        "right": sorted(judge.right[judge.dfa.run(verdict.wrong.word)]),
        "state": state_digest(verdict.trajectory.state.double().numpy()),
        "dtype": dtype_name(model),
        "batch": trajectories.stepper.batch,
        "threads": 1,
        "alignment": ALIGNMENT,
        "implementation": implementation_of(model),
        "readout": {**readout_json(readout), "contract": readout.contract},
        "language": language_to_json(judge.dfa),
        "weights": weights_digest(model),
        "leaps": [list(leap) for leap in verdict.trajectory.leaps],
        "tokens_read": tokens_read,
        "schema_version": VERSION,
    }
