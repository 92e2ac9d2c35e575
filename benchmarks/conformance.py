"""Conformance of the implementations at hand, and how many planted faults the set finds and locates."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from measure import Tick

from scancraft import conformance
from scancraft.automata.errors import MissingExtraError, ScancraftError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))
import mutants


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Args:
        quick: whether only the quick subset of checkpoints is used.
        implementations: by name; those that are not installed are listed as such.
        mutants: at most so many faults.
    """

    quick: bool = False
    implementations: tuple[str, ...] = tuple(conformance.KNOWN)
    mutants: int = 1000


FULL = Size()
QUICK = Size(quick=True, implementations=("transformers", "scancraft"), mutants=4)


@dataclass(frozen=True)
class Mode:
    """One implementation in one mode.

    Attributes:
        verdict: "pass", "differs" or "not tried".
        difference: the report of the first difference, or why nothing was tried; "" if it passed.
        reproduction: token symbols of the shortest words found.
    """

    implementation: str
    kind: str
    mode: str
    verdict: str
    trials: int
    tokens: int
    difference: str
    reproduction: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Fault:
    """One planted fault.

    Attributes:
        found: whether any logit of its mode differed.
        located: whether the report matches the pattern that belongs to the fault.
    """

    name: str
    base: str
    mode: str
    after: str
    found: bool
    located: bool
    told: str


@dataclass(frozen=True)
class Result:
    """Implementations (with seconds each; -1 if one cannot run here) and faults."""

    modes: tuple[Mode, ...]
    seconds: dict[str, float]
    missing: dict[str, str]
    faults: tuple[Fault, ...]
    sound: dict[str, bool]


def measure(size: Size, tick: Tick) -> Result:
    chosen = mutants.MUTANTS[: size.mutants]
    total = len(size.implementations) + len(mutants.BASES) + len(chosen)
    modes: list[Mode] = []
    seconds: dict[str, float] = {}
    missing: dict[str, str] = {}
    for done, name in enumerate(size.implementations):
        tick(done, total, name)
        try:
            report = conformance.run(name, quick=size.quick)
        except MissingExtraError as error:
            missing[name] = str(error)
            continue
        except ScancraftError as error:
            missing[name] = f"{type(error).__name__}: {error}"
            continue
        seconds[name] = round(report.seconds, 1)
        modes += [_mode(report, result) for result in report.modes]
    sound = {}
    for done, base in enumerate(mutants.BASES, len(size.implementations)):
        tick(done, total, f"plain {base}")
        sound[base] = conformance.run(mutants.build(base), quick=True).passed
    faults = []
    for done, mutant in enumerate(chosen, total - len(chosen)):
        tick(done, total, mutant.name)
        faults.append(_fault(mutant))
    return Result(tuple(modes), seconds, missing, tuple(faults), sound)


def _mode(report: conformance.Report, result: conformance.ModeResult) -> Mode:
    verdict, told, words = "pass", "", ()
    if result.skipped is not None:
        verdict, told = "not tried", result.skipped
    elif result.difference is not None:
        verdict, told = "differs", str(result.difference)
        words = result.difference.reproduction
    return Mode(report.implementation, report.kind, result.mode, verdict, result.trials, result.tokens, told, words)


def _fault(mutant: mutants.Mutant) -> Fault:
    """The quick set first; the full one if that finds nothing."""
    load = mutants.build(mutant.base, mutant.old, mutant.new)
    found = None
    for quick in (True, False):
        found = conformance.run(load, modes=[mutant.mode], quick=quick).first
        if found is not None:
            break
    if found is None:
        return Fault(mutant.name, mutant.base, mutant.mode, mutant.after, False, False, "")
    told = " | ".join((found.case, found.symbol, found.source.exercises, found.source.meaning))
    located = re.search(mutant.where, told) is not None
    return Fault(mutant.name, mutant.base, mutant.mode, mutant.after, True, located, told)
