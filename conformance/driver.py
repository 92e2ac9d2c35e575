"""The driver: each case in each mode, until outputs differ; then where."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..automata.errors import ScancraftError
from ..models.run.threads import one_thread
from .case import Case, ConformanceError
from .cases import cases
from .implementations import KNOWN, check_modes, resolve
from .implementations.base import Implementation, Load
from .locate import Difference, difference, smallest
from .operations import OPERATIONS, OperationCase
from .sessions import ModelSession, Session, is_session, session_of
from .trials import MEANING, MODES, NEEDS, trials

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ModeResult:
    """One mode.

    Attributes:
        mode: its name.
        trials: tried, up to and including the first that differs.
        tokens: read in them.
        difference: the first, or None.
        skipped: why nothing was tried, or None.
    """

    mode: str
    trials: int = 0
    tokens: int = 0
    difference: Difference | None = None
    skipped: str | None = None


@dataclass(frozen=True)
class Report:
    """What a conformance test found.

    Attributes:
        implementation: its name.
        kind: of the checkpoints.
        cases: their names.
        modes: one result each.
        seconds: taken.
        note: what is not as published, and what was not tried.
    """

    implementation: str
    kind: str
    cases: tuple[str, ...]
    modes: tuple[ModeResult, ...]
    seconds: float
    note: str = ""

    @property
    def passed(self) -> bool:
        """No difference in any mode that was tried, and at least one was."""
        return all(m.difference is None for m in self.modes) and any(m.trials for m in self.modes)

    @property
    def first(self) -> Difference | None:
        """The first difference, in the order of the modes."""
        return next((m.difference for m in self.modes if m.difference is not None), None)

    def as_json(self) -> dict[str, Any]:
        """The facts."""
        return {
            "implementation": self.implementation,
            "kind": self.kind,
            "note": self.note,
            "passed": self.passed,
            "seconds": round(self.seconds, 2),
            "cases": list(self.cases),
            "modes": [
                {
                    "mode": m.mode,
                    "trials": m.trials,
                    "tokens": m.tokens,
                    "skipped": m.skipped,
                    "difference": None if m.difference is None else m.difference.as_json(),
                }
                for m in self.modes
            ],
        }

    def __str__(self) -> str:
        things = "cases" if self.kind in OPERATIONS else "checkpoints"
        lines = [f"{self.implementation}: {'pass' if self.passed else 'DIFFERS'} ({len(self.cases)} {things})"]
        if self.note:
            lines.append(f"  note: {self.note}")
        for m in self.modes:
            if m.skipped is not None:
                lines.append(f"  {m.mode}: not tried ({m.skipped})")
            else:
                verdict = "pass" if m.difference is None else "DIFFERS"
                lines.append(f"  {m.mode}: {verdict}, {m.trials} trials, {m.tokens:,} tokens")
            if m.difference is not None:
                lines += [f"    {line}" for line in str(m.difference).split("\n")]
        return "\n".join(lines)


def run(
    target: str | Load,
    *,
    modes: Iterable[str] | None = None,
    kind: str | None = None,
    quick: bool = False,
    only: Iterable[str] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Try an implementation on the whole set, and say where it first differs in each mode.

    Args:
        target: a known implementation's name, ``module:function``, or a function from a directory to a model; of an
            operation the function itself.
        modes: those to try; by default those that the implementation documents, or that its methods allow.
        kind: the kind of block (a target of ``scancraft.compile``) or the operation (``operations.OPERATIONS``), for
            implementations that are not known by name.
        quick: a subset that takes seconds.
        only: names of cases, to try no others.
        progress: called with (checkpoints done, in all).

    Raises:
        ConformanceError: unknown target, mode or case, or ``load`` itself fails.
        MissingExtraError: a known implementation's package is not installed.
    """
    started = time.perf_counter()
    implementation = resolve(target, kind)
    wanted = tuple(MODES if modes is None else modes)
    check_modes(wanted)
    if modes is None and implementation.modes is not None:
        wanted = implementation.modes
    chosen = _chosen(implementation, quick, only)
    results = {mode: ModeResult(mode) for mode in wanted}
    # Implementations that are known by name run on the CPU, on tiny tensors; of others we know nothing.
    threads = one_thread() if isinstance(target, str) and target in KNOWN else nullcontext()
    with tempfile.TemporaryDirectory() as folder, threads:
        for number, case in enumerate(chosen):
            if progress is not None:
                progress(number, len(chosen))
            open_modes = [m for m, r in results.items() if r.difference is None and r.skipped is None]
            if not open_modes:
                break
            session = _load(implementation, case, Path(folder) / str(number))
            for mode in open_modes:
                results[mode] = _tried(results[mode], case, session)
    if progress is not None:
        progress(len(chosen), len(chosen))
    names_of = tuple(c.name for c in chosen)
    elapsed = time.perf_counter() - started
    found = tuple(results.values())
    return Report(implementation.name, implementation.kind, names_of, found, elapsed, implementation.note)


def _chosen(implementation: Implementation, quick: bool, only: Iterable[str] | None) -> tuple[Case, ...]:
    chosen = cases(implementation.kind, quick=quick)
    if only is not None:
        names = set(only)
        if unknown := sorted(names - {c.name for c in chosen}):
            raise ConformanceError(f"there is no case {', '.join(unknown)}; see `scancraft conformance --list`")
        chosen = tuple(c for c in chosen if c.name in names)
    elif implementation.cases is not None:
        chosen = tuple(c for c in chosen if c.name in implementation.cases)
    if implementation.longest is not None:
        chosen = tuple(replace(c, words=c.words[:, : implementation.longest]) for c in chosen)
    return chosen


def _load(implementation: Implementation, case: Case, directory: Path) -> Session:
    case.write(directory)
    try:
        model = implementation.load(directory)
    except ScancraftError:
        raise
    except Exception as error:
        raise ConformanceError(
            f"{implementation.name} cannot load the checkpoint of case {case.name} ({type(error).__name__}: {error}); "
            "it must take a checkpoint directory and give a callable or a session"
        ) from error
    if isinstance(case, OperationCase):
        return session_of(OPERATIONS[implementation.kind].model(model, case.given))
    if not callable(model) and not is_session(model):
        raise ConformanceError(
            f"{implementation.name} gave {type(model).__name__} for a checkpoint, which is not callable; it must give "
            "a callable from token ids to logits"
        )
    return session_of(model)


def _tried(result: ModeResult, case: Case, session: Session) -> ModeResult:
    """One case in one mode, added to what was tried before."""
    missing = [name for name in NEEDS[result.mode] if name not in session.offers]
    if missing:
        lacks = "the model has" if isinstance(session, ModelSession) else "the session offers"
        lacks = "the function's parameters allow" if isinstance(case, OperationCase) else lacks
        return ModeResult(result.mode, skipped=f"{lacks} no {' and no '.join(missing)}; {MEANING[result.mode]}")
    tried, tokens = result.trials, result.tokens
    for trial in trials(case, result.mode):
        tried, tokens = tried + 1, tokens + trial.tokens
        found = difference(case, trial, session)
        if found is not None:
            return ModeResult(result.mode, tried, tokens, smallest(case, found, session))
    return ModeResult(result.mode, tried, tokens)
