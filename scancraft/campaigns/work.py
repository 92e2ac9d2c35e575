"""The work on one file: from a task to a row, whatever happens on the way. This is what workers run."""

from __future__ import annotations

import math
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import torch

from ..automata.budget import DEFAULT_BUDGET, Budget
from ..automata.decide.aperiodic import NotStarFreeError
from ..automata.decide.classification import classify
from ..automata.dfa import Dfa
from ..automata.errors import BudgetExceededError, LanguageFormatError, ScancraftError
from ..automata.formats.registry import read_automaton
from ..automata.languages import Language, as_dfa, as_language
from ..automata.moore import Moore
from ..certify.certify import CERTIFY_BUDGET, Certificate, Open, certify
from ..certify.check import check
from ..certify.checker.certificate import check_certificate
from ..compiler.checkpoints import load
from ..compiler.compile import compile
from ..memory import out_of_memory
from ..models.checkpoints.quiet import quiet_transformers
from .task import Outcome, Row, Task, digest_of

AGAIN = 30.0
"""Seconds after which an alarm that somebody swallowed goes off again."""


class _OutOfTime(BaseException):
    """The seconds are spent. No handler of ours takes it for an error of the input."""


@dataclass
class _Found:
    """What is known so far."""

    facts: dict[str, Any] = field(default_factory=dict)
    stage: str = "read"
    seconds: dict[str, float] = field(default_factory=dict)


def run(task: Task) -> Row:
    """Decide, compile, certify and check the language in a file.

    The checkpoint, with its certificate, is written to ``task.directory / task.model``; its bytes depend on the task
    alone, and not on when or where this runs: where a search was cut short by the clock, no model is kept. torch runs
    in one thread. Whatever goes wrong becomes a row; only interruptions are raised.
    """
    found = _Found()
    error: dict[str, Any] | None = None
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        quiet_transformers()
        with _alarm(task.seconds):
            outcome, error = _worked(task, found)
    except _OutOfTime:
        outcome, error = _out_of_time(task, found)
    except NotStarFreeError as why:  # and GateClassError, which is one
        outcome, error = "excluded", why.as_json()
    except BudgetExceededError as why:
        outcome = "out of time" if why.what.startswith("seconds") else "undecided"
        error = why.as_json()
    except ScancraftError as why:
        outcome = "unreadable" if found.stage == "read" else "uncompilable"
        outcome, error = "undecided" if why.exit_code == 3 else outcome, why.as_json()
    except OSError as why:
        outcome, error = "uncompilable", {"error": "file access", "message": str(why)}
    except (OverflowError, RecursionError) as why:
        outcome, error = "undecided", {"error": "too large", "message": f"too large or too deep: {why}"}
    except Exception as why:
        if out_of_memory(why):
            outcome, error = "out of memory", {"error": "out of memory", "message": f"{type(why).__name__}: {why}"}
        else:
            outcome, error = "bug", {"error": type(why).__name__, "message": traceback.format_exc()}
    finally:
        torch.set_num_threads(threads)
    return Row(task.file, task.digest, outcome, found.stage, **found.facts, error=error, seconds=found.seconds)


def warm_up() -> None:
    """Import what is imported late, in seconds, so that no file has to wait for it."""
    quiet_transformers()
    certify(compile(Dfa.from_table("a", [[0]], 0, [0])))


def _worked(task: Task, found: _Found) -> tuple[Outcome, dict[str, Any] | None]:
    choices, facts, place = task.choices, found.facts, task.directory / task.model
    started = time.monotonic()
    # One clock for all searches: what one of them was refused, `stage` notices, and then there is no model.
    limits = Budget(DEFAULT_BUDGET.items if choices.items is None else choices.items, task.seconds, started)

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        begun = time.monotonic()
        found.stage = name
        try:
            yield
        finally:
            found.seconds[name] = round(time.monotonic() - begun, 4)
        if task.seconds is not None and time.monotonic() - started > task.seconds:
            raise _OutOfTime

    with stage("read"):
        language = _language(task, limits)
        facts["letters"] = len(language.alphabet)
    if isinstance(language, (Dfa, Moore)):
        facts["states"] = language.n_states
        with stage("decide"):
            decided = classify(language, limits)
            facts |= {"star_free": decided.star_free, "gates": decided.gates.value}
    with stage("compile"):
        compiled = compile(
            language, budget=limits, gates=choices.gates, target=choices.target, optimise=choices.optimise
        )
        shape = compiled.weights.shape
        facts |= {"construction": compiled.circuit.kind, "blocks": shape.n_layers, "d_model": shape.d_model}
        facts["parameters"] = compiled.weights.n_parameters
    with stage("write"):
        compiled.save(place)
        facts["model"] = task.model
    with stage("certify"):
        items = CERTIFY_BUDGET.items if choices.items is None else choices.items
        verdict = certify(place, budget=Budget(items, task.seconds, started))
    if isinstance(verdict, Certificate):
        facts |= {"scope": verdict.scope, "margin": verdict.margin if math.isfinite(verdict.margin) else None}
    elif not isinstance(verdict, Open):
        return "disagreement", verdict.as_json() | {"error": "counterexample", "message": str(verdict)}
    with stage("check"):
        if not _same(load(place).language, language, limits):
            return "disagreement", {"error": "another language", "message": f"{place} is of another language"}
        report = check(place, language, words=choices.words)
        facts |= {"words": report.words, "prefixes": report.prefixes, "wrong": report.wrong}
        if not report.agrees:
            return "disagreement", report.as_json() | {"error": "disagreement", "message": str(report)}
        if isinstance(verdict, Open):
            return "undecided", {"error": "not certified", "message": verdict.reason}
        verdict.save(place)  # kept only if it is within the time, and read back
        accepted = check_certificate(place)
    if not accepted.accepted:
        return "disagreement", {"error": "certificate rejected", "message": str(accepted)}
    return "certified", None


def _same(compiled: Language, language: Language, limits: Budget) -> bool:
    """Whether a model is of the language in the file; what has no automaton may have been compiled by one."""
    return compiled == language or (isinstance(compiled, Dfa) and as_dfa(language, limits) == compiled)


def _language(task: Task, limits: Budget) -> Language:
    try:
        digest = digest_of(task.path, task.choices, version("scancraft"))
    except OSError as error:
        raise LanguageFormatError(f"{task.path}: cannot be read ({error.strerror}); check the path") from None
    if digest != task.digest:
        raise LanguageFormatError(
            f"{task.path} is not as it was when it was listed, or the worker has another scancraft; run again"
        )
    if task.choices.format is None:
        return as_language(task.path, limits)
    found = read_automaton(task.path, format=task.choices.format, budget=limits)
    return found.told("file", task.path.name)


def _out_of_time(task: Task, found: _Found) -> tuple[Outcome, dict[str, Any]]:
    """Which stage took most of the time, and how much there was to do."""
    longest = max(found.seconds, key=lambda stage: found.seconds[stage], default=found.stage)
    sizes = [f"{found.facts[what]:,} {what}" for what in ("states", "letters", "blocks") if found.facts.get(what)]
    spent = f", {found.seconds.get(longest, 0.0):.1f} of them for the stage {longest}" + (
        f" ({', '.join(sizes)})" if sizes else ""
    )
    return "out of time", {"error": "out of time", "message": f"{task.seconds:g} s are over{spent}; raise --seconds"}


@contextmanager
def _alarm(seconds: float | None) -> Iterator[None]:
    """Raise :class:`_OutOfTime` once the seconds are over, where signals can be had: in the main thread.

    Searches look at the clock themselves; this is for what does not.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: object) -> None:
        raise _OutOfTime

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-6), AGAIN)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
