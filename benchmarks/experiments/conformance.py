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

import mutants
import torch
from page.table import NOTHING, Column, Json, code, table
from page.targets import Target, every
from selective_scan_stand_in import FOLDER
from timings.measure import Measured, Tick

from scancraft import conformance
from scancraft.automata.errors import ScancraftError

SHARE = 0.98
"""The target: at least 49 faults of 50 are found."""
PACKAGES = (
    "torch",
    "transformers",
    "llama-cpp-python",
    "mlx",
    "mlx-lm",
    "onnxruntime",
    "mambapy",
    "mamba-ssm",
    "causal-conv1d",
    "triton",
    "einops",
    "kernels",
)
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
    """How much is measured."""

    quick: bool = False  # whether only the quick subset of checkpoints is used
    # the implementations
    subjects: tuple[Subject, ...] = (*(Subject(name, name) for name in conformance.KNOWN), *STAND_INS)
    modes: tuple[str, ...] | None = None  # only these; None: all that they support
    mutants: int = 1000  # at most so many faults of each kind of block
    sound: bool = True  # whether the plain implementations are run without faults too
    jobs: int = 2  # processes


FULL = Size()
QUICK = Size(
    quick=True,
    subjects=(
        Subject("transformers", "transformers", cases=("registers",)),
        Subject("scancraft", "scancraft", cases=("registers",)),
        Subject("not there", "no_such_module:load"),
    ),
    modes=("full", "continued"),
    mutants=1,
    sound=False,
    jobs=1,
)


@dataclass(frozen=True)
class Planted:
    """Faults for one kind of block, and the plain implementations of it."""

    kind: str
    bases: tuple[str, ...]
    faults: tuple[mutants.Mutant, ...]


def planted(most: int) -> Iterable[Planted]:
    """The faults of tests/support/faults, by kind of block."""
    for kind in dict.fromkeys(kind for _, kind in mutants.BASES):
        bases = tuple(base for base, of in mutants.BASES if of == kind)
        yield Planted(kind, bases, tuple(m for m in mutants.MUTANTS if m.kind == kind)[:most])


def measure(size: Size, tick: Tick) -> Measured:
    started = time.perf_counter()
    groups = list(planted(size.mutants))
    tasks: list[tuple[str, Callable[[], Json]]] = [(s.name, partial(_run, s, size)) for s in size.subjects]
    if size.sound:
        tasks += [(f"{g.kind}, {base}", partial(_sound, base, g.kind)) for g in groups for base in g.bases]
    tasks += [(mutant.name, partial(_fault, mutant)) for g in groups for mutant in g.faults]
    done = list(_done(tasks, size.jobs, tick))
    first, last = len(size.subjects), len(tasks) - sum(len(g.faults) for g in groups)
    runs, sound, faults = done[:first], done[first:last], done[last:]
    result = {"runs": [_brief(run) for run in runs], "differences": differences(runs), **summary(faults, sound)}
    result |= {"versions": versions(), "seconds": round(time.perf_counter() - started, 1)}
    return Measured(result, {"runs": runs, "faults": faults})


def _done(tasks: list[tuple[str, Callable[[], Json]]], jobs: int, tick: Tick) -> Iterator[Json]:
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


def _run(subject: Subject, size: Size) -> Json:
    """One implementation: the command that does the same, and its modes, or why it cannot run here (``missing``)."""
    known = conformance.KNOWN.get(subject.target)
    quick = size.quick or subject.quick
    run: Json = {"implementation": subject.name, "kind": subject.kind or (known.kind if known else "mamba")}
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
        return run | {"missing": f"{error}"}
    command = " ".join(["scancraft conformance", subject.target, *options])
    run |= {"command": f"PYTHONPATH=tests/support {command}" if ":" in subject.target else command}
    run |= {"checkpoints": len(report.cases), "seconds": round(report.seconds, 2), "note": report.note}
    return run | {"missing": "", "modes": {result.mode: _mode(result) for result in report.modes}}


def _mode(result: conformance.ModeResult) -> Json:
    """The verdict ("pass", "differs" or "not tried"), and the first difference with its shortest words, if any."""
    mode = {"verdict": "not tried", "trials": result.trials, "tokens": result.tokens}
    if result.skipped is not None or not result.trials:
        return mode | {"difference": result.skipped or ""}
    if result.difference is None:
        return mode | {"verdict": "pass", "difference": ""}
    found = result.difference
    return mode | {"verdict": "differs", "difference": str(found), "reproduction": found.reproduction}


def _sound(base: str, kind: str) -> Json:
    """Whether a plain implementation passes without a fault."""
    passed = conformance.run(mutants.build(base, kind), quick=True, kind=kind).passed
    return {"kind": kind, "base": base, "sound": passed}


def _fault(mutant: mutants.Mutant) -> Json:
    """Whether a fault was found (the quick set first, then the full one) and located: what is told fits its pattern."""
    torch.set_num_threads(1)
    facts = {"name": mutant.name, "kind": mutant.kind, "base": mutant.base, "mode": mutant.mode, "after": mutant.after}
    for quick in (True, False):
        found = conformance.run(mutant.target, modes=[mutant.mode], quick=quick, kind=mutant.kind).first
        if found is not None:
            told = " | ".join((found.case, found.symbol, found.source.exercises, found.source.meaning))
            return facts | {"found": True, "located": re.search(mutant.where, told) is not None, "told": told}
    return facts | {"found": False, "located": False, "told": "survived"}


def versions() -> dict[str, str]:
    """Of the packages that matter, here and in the folder where the tests keep ``mamba_ssm``."""
    found = {d.metadata["Name"].lower(): d.version for d in distributions(path=[*sys.path, str(FOLDER)])}
    return {name: found.get(name, found.get(name.replace("-", "_"), "not installed")) for name in PACKAGES}


def summary(faults: list[Json], sound: list[Json]) -> Json:
    """Faults counted by plain implementation; one by one those that were missed and those of released projects."""
    passed = {(row["kind"], row["base"]): row["sound"] for row in sound}
    groups = []
    for kind, base in dict.fromkeys((fault["kind"], fault["base"]) for fault in faults):
        some = [fault for fault in faults if (fault["kind"], fault["base"]) == (kind, base)]
        groups.append({"kind": kind, "base": base, "sound": passed.get((kind, base)), **_counts(some)})
    shown = [fault for fault in faults if fault["after"] or not fault["located"]]
    return {"planted": groups, "total": _counts(faults), "faults": shown}


def _counts(faults: list[Json]) -> Json:
    return {"faults": len(faults)} | {key: sum(fault[key] for fault in faults) for key in ("found", "located")}


def differences(runs: list[Json]) -> list[Json]:
    """Reports of first differences, each with the implementations and modes that share it."""
    found: dict[str, list[str]] = {}
    for run in runs:
        for name, mode in run.get("modes", {}).items():
            if mode["verdict"] == "differs":
                found.setdefault(mode["difference"], []).append(f"{run['implementation']} ({name})")
    return [{"in": who, "report": report} for report, who in found.items()]


def _brief(run: Json) -> Json:
    """A run without the words of its differences."""
    if run["missing"]:
        return run
    modes = {name: {key: mode[key] for key in ("verdict", "trials", "tokens")} for name, mode in run["modes"].items()}
    return run | {"modes": modes}


# -- the page --------------------------------------------------------------------------------------------------------

MISSING = ("implementation", Column("why", "missing"))
SIGNS = {"pass": "pass", "differs": "**differs**", "not tried": "-"}
PLANTED = (
    "kind",
    Column("plain implementation", "base"),
    Column("passes without a fault", "sound"),
    *("faults", "found", "located"),
)
MISSED = (Column("fault", "name"), Column("in", "base"), "mode", Column("what was told", "told"))
RELEASED = ("after", Column("fault", "name"), "mode", Column("what was told: case, token, parameter, channel", "told"))
NOTES = ("implementation", "note", Column("command", show=code))


def _sign(name: str) -> Column:
    return Column(name, lambda row: SIGNS[row["modes"][name]["verdict"]] if name in row["modes"] else "-")


def _sum(key: str) -> Column:
    return Column(key, lambda row: sum(mode[key] for mode in row["modes"].values()))


def targets(size: Json, result: Json) -> list[Target]:
    count, found, located = (result["total"][key] for key in ("faults", "found", "located"))
    ran = [run for run in result["runs"] if not run["missing"]]
    verdicts = [m["verdict"] for run in ran for m in run["modes"].values() if m["verdict"] != "not tried"]
    passed = verdicts.count("pass")
    shown = sum(len(difference["in"]) for difference in result["differences"])
    what = f"planted faults found, of {count} in simple implementations"
    conform = f"implementations ({len(ran)}) times ways of calling them that conform"
    told = f"{passed} of {len(verdicts)}; {shown} shown"
    return [
        Target(what, f"at least {SHARE:.0%}", f"{found} of {count}", found >= SHARE * count),
        every("of those, the report points at the right place", located, found),
        Target(conform, "all, or the fault is shown", told, passed + shown == len(verdicts)),
    ]


def parts(size: Json, result: Json) -> Json:
    ran = [run for run in result["runs"] if not run["missing"]]
    special = [run for run in ran if run["note"] or run["command"] != f"scancraft conformance {run['implementation']}"]
    modes = list(dict.fromkeys(name for run in ran for name, mode in run["modes"].items() if mode["trials"]))
    runs = ("implementation", "kind", "checkpoints", *map(_sign, modes), _sum("trials"), _sum("tokens"), "seconds")
    total = {"kind": "**all**", "base": "", "sound": None} | result["total"]
    reports = [f"{', '.join(d['in'])}:\n\n```text\n{d['report']}\n```" for d in result["differences"]]
    return {
        "which": "quick" if size["quick"] else "full",
        "packages": ", ".join(f"{name} {version}" for name, version in result["versions"].items()),
        "runs": table(ran, runs),
        "missing": table((run for run in result["runs"] if run["missing"]), MISSING),
        "notes": table(special, NOTES),
        "differences": "\n\n".join(reports) or NOTHING,
        "planted": table((*result["planted"], total), PLANTED),
        "missed": table((fault for fault in result["faults"] if not fault["located"]), MISSED),
        "released": table((fault for fault in result["faults"] if fault["after"]), RELEASED),
    }
