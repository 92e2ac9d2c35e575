"""Conformance of the implementations at hand, and how many planted faults the set finds and locates.

Implementations that are not installed are listed as such. ``mamba_ssm`` runs as it is where a GPU is; elsewhere with
torch stand-ins for its extensions, if the folder of tests/support/selective_scan_stand_in.py has the package. For
transformers with mambapy: ``pip install --no-deps --target FOLDER mambapy`` and FOLDER in PYTHONPATH.
"""

from __future__ import annotations

import logging
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import distributions
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from timings.measure import Tick

from scancraft.automata.errors import ScancraftError
from scancraft.conformance import conformance

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "tests" / "support"))
import mutants
import mutants_mamba2
from selective_scan_stand_in import FOLDER

PACKAGES = ("torch", "transformers", "mambapy", "mamba-ssm", "causal-conv1d", "triton", "einops", "kernels")
SOME = ("taps-4", "registers", "state-16", "stack", "language D-2")
"""For what is slow: Triton interpreted."""


@dataclass(frozen=True)
class Subject:
    """An implementation and what it is tried on.

    Attributes:
        name: for people.
        target: of ``scancraft conformance``.
        kind: of the checkpoints, if the target is not known by name.
        cases: only these.
        quick: the quick set, whatever else is run.
    """

    name: str
    target: str
    kind: str | None = None
    cases: tuple[str, ...] | None = None
    quick: bool = False


STAND_INS = (
    Subject("mamba_ssm, stand-ins, fused", "mamba_ssm_on_cpu:load"),
    Subject("mamba_ssm, stand-ins, separate kernels", "mamba_ssm_on_cpu:load_unfused"),
    Subject("mamba_ssm, stand-ins, nn.Conv1d", "mamba_ssm_on_cpu:load_without_convolution"),
    Subject("mamba_ssm, stand-ins, Triton interpreted", "mamba_ssm_on_cpu:load_triton", None, SOME, True),
    Subject(
        "mamba_ssm Mamba-2, stand-ins, Triton interpreted",
        "mamba_ssm_on_cpu:load_triton",
        "mamba2",
        ("language last-letter",),
        True,
    ),
)


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Args:
        quick: whether only the quick subset of checkpoints is used.
        subjects: the implementations.
        modes: only these; None: all that they support.
        mutants: at most so many faults of each kind of block.
        sound: whether the plain implementations are run without faults too.
        jobs: processes.
    """

    quick: bool = False
    subjects: tuple[Subject, ...] = (*(Subject(name, name) for name in conformance.KNOWN), *STAND_INS)
    modes: tuple[str, ...] | None = None
    mutants: int = 1000
    sound: bool = True
    jobs: int = 2


FULL = Size()
QUICK = Size(
    quick=True,
    subjects=(
        Subject("transformers", "transformers", cases=("registers",)),
        Subject("scancraft", "scancraft", cases=("registers",)),
        Subject("not there", "no_such_module:load"),
    ),
    modes=("full", "continued"),
    mutants=2,
    sound=False,
    jobs=1,
)


@dataclass(frozen=True)
class Mode:
    """One implementation in one mode.

    Attributes:
        verdict: "pass", "differs" or "not tried".
        difference: the report of the first difference, or why nothing was tried; "" if it passed.
        case: the checkpoint of the first difference.
        reproduction: token symbols of the shortest words found.
    """

    implementation: str
    mode: str
    verdict: str
    trials: int
    tokens: int
    difference: str
    case: str
    reproduction: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Run:
    """One implementation.

    Attributes:
        missing: why it cannot run here; "" if it did.
        checkpoints: how many it was tried on.
        command: that does the same; "" if it has not run.
    """

    implementation: str
    kind: str
    checkpoints: int
    seconds: float
    note: str
    command: str
    missing: str


@dataclass(frozen=True)
class Fault:
    """One planted fault.

    Attributes:
        found: whether any logit of its mode differed.
        located: whether the report matches the pattern that belongs to the fault.
        told: the case, the token, the parameters tested and the meaning that the report names.
    """

    name: str
    kind: str
    base: str
    mode: str
    after: str
    found: bool
    located: bool
    told: str


@dataclass(frozen=True)
class Result:
    """What was found.

    Attributes:
        runs: one per implementation.
        modes: one per implementation that ran, and mode.
        faults: planted ones.
        sound: of each plain implementation, whether it passes without a fault.
        versions: of packages; "not installed" if so.
        seconds: for everything.
    """

    runs: tuple[Run, ...]
    modes: tuple[Mode, ...]
    faults: tuple[Fault, ...]
    sound: dict[str, bool]
    versions: dict[str, str]
    seconds: float


@dataclass(frozen=True)
class Planted:
    """Faults for one kind of block: the plain implementations, and how one is built with an edit."""

    kind: str
    bases: tuple[str, ...]
    faults: tuple[mutants.Mutant, ...]
    build: Callable[..., Any]


def planted(most: int) -> Iterable[Planted]:
    """The faults of every module in tests/support that has some."""
    for kind in dict.fromkeys(mutants.BASES.values()):
        bases = tuple(base for base, of in mutants.BASES.items() if of == kind)
        faults = tuple(m for m in mutants.MUTANTS if m.base in bases)
        yield Planted(kind, bases, faults[:most], mutants.build)
    yield Planted("mamba2", mutants_mamba2.BASES, mutants_mamba2.MUTANTS[:most], mutants_mamba2.build)


def measure(size: Size, tick: Tick) -> Result:
    started = time.perf_counter()
    groups = list(planted(size.mutants))
    tasks: list[tuple[str, Callable[[], Any]]] = [(s.name, partial(_run, s, size)) for s in size.subjects]
    if size.sound:
        tasks += [(f"{g.kind}, {base}", partial(_sound, g, base)) for g in groups for base in g.bases]
    tasks += [(mutant.name, partial(_fault, mutant, g)) for g in groups for mutant in g.faults]
    done = list(_done(tasks, size.jobs, tick))
    first, last = len(size.subjects), len(tasks) - sum(len(g.faults) for g in groups)
    runs = tuple(run for run, _ in done[:first])
    modes = tuple(mode for _, found in done[:first] for mode in found)
    sound = {name: passed for (name, _), passed in zip(tasks[first:last], done[first:last], strict=True)}
    seconds = round(time.perf_counter() - started, 1)
    return Result(runs, modes, tuple(done[last:]), sound, versions(), seconds)


def _done(tasks: list[tuple[str, Callable[[], Any]]], jobs: int, tick: Tick) -> Iterator[Any]:
    """What the tasks give, in order, from so many processes."""
    if jobs == 1:
        for number, (name, task) in enumerate(tasks):
            tick(number, len(tasks), name)
            yield task()
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(task) for _, task in tasks]
        try:
            for number, ((name, _), future) in enumerate(zip(tasks, futures, strict=True)):
                tick(number, len(tasks), name)
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _sound(group: Planted, base: str) -> bool:
    return conformance.run(group.build(base), quick=True, kind=group.kind).passed


def versions() -> dict[str, str]:
    """Of the packages that matter, here and in the folder where the tests keep ``mamba_ssm``."""
    found = {d.metadata["Name"].lower(): d.version for d in distributions(path=[*sys.path, str(FOLDER)])}
    return {name: found.get(name, found.get(name.replace("-", "_"), "not installed")) for name in PACKAGES}


def _run(subject: Subject, size: Size) -> tuple[Run, list[Mode]]:
    known = conformance.KNOWN.get(subject.target)
    kind = subject.kind or (known.kind if known else "mamba")
    quick = size.quick or subject.quick
    options = [f"--kind {subject.kind}"] if subject.kind else []
    options += ["--quick"] if quick else []
    options += [f'--case "{case}"' for case in subject.cases or ()]
    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy's, of overflow in an interpreted exp that is meant to underflow
            report = conformance.run(
                subject.target, kind=subject.kind, quick=quick, only=subject.cases, modes=size.modes
            )
    except ScancraftError as error:
        return Run(subject.name, kind, 0, 0.0, "", "", f"{error}"), []
    command = " ".join(["scancraft conformance", subject.target, *options])
    command = f"PYTHONPATH=tests/support {command}" if ":" in subject.target else command
    run = Run(subject.name, kind, len(report.cases), round(report.seconds, 2), report.note, command, "")
    return run, [_mode(subject.name, result) for result in report.modes]


def _mode(name: str, result: conformance.ModeResult) -> Mode:
    make = partial(Mode, name, result.mode, trials=result.trials, tokens=result.tokens)
    if result.skipped is not None:
        return make("not tried", difference=result.skipped, case="", reproduction=())
    if result.difference is None:
        return make("pass" if result.trials else "not tried", difference="", case="", reproduction=())
    found = result.difference
    return make("differs", difference=str(found), case=found.case, reproduction=found.reproduction)


def _fault(mutant: mutants.Mutant, group: Planted) -> Fault:
    """The quick set first; the full one if that finds nothing."""
    torch.set_num_threads(1)
    load = group.build(mutant.base, mutant.old, mutant.new)
    facts = partial(Fault, mutant.name, group.kind, mutant.base, mutant.mode, mutant.after)
    for quick in (True, False):
        found = conformance.run(load, modes=[mutant.mode], quick=quick, kind=group.kind).first
        if found is not None:
            told = " | ".join((found.case, found.symbol, found.source.exercises, found.source.meaning))
            return facts(True, re.search(mutant.where, told) is not None, told)
    return facts(False, False, "")
