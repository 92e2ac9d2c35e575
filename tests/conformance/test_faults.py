"""Planted faults are found and located: a sample; the whole campaign is benchmarks/experiments/conformance.py."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import mutants
import numpy as np
import pytest
import torch

from scancraft import conformance
from scancraft.conformance import driver
from scancraft.conformance.cases import cases as all_cases

pytestmark = pytest.mark.usefixtures("written_once")

Cases = Callable[[str, bool], tuple[conformance.Case, ...]]
LARGE = {
    "only sixteen entries of the state": "state-64",
    "only the first 64 entries of the state": "state-128",
}
"""Faults that only the full set can find, and the case that does."""
OWN_MODES = {
    "sequential": ("full", "step"),
    "chunked": ("full", "continued"),
    "packed": ("packed", "packed-continued", "snapshots"),
    "cached": ("step", "cached", "padded"),
    "engine": ("forked", "restored", "rolled-back", "speculative", "prefix", "mixed", "padded-continued"),
}
"""Modes that an implementation is there for."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Cases:
    """The set, each checkpoint written once and what it owes computed once, for many runs."""
    folder = tmp_path_factory.mktemp("cases")

    def once(case: conformance.Case, place: Path) -> conformance.Case:
        def write(directory: Path) -> None:
            if not place.exists():
                case.write(place)
            directory.symlink_to(place, target_is_directory=True)

        @lru_cache(maxsize=256)
        def owed(shape: tuple[int, int], ids: bytes) -> Any:
            return case.expect(np.frombuffer(ids, dtype=np.int64).reshape(shape))

        return replace(case, write=write, expect=lambda ids: owed(ids.shape, ids.tobytes()))

    @cache
    def found(kind: str, quick: bool) -> tuple[conformance.Case, ...]:
        return tuple(once(case, folder / f"{kind}-{case.name}-{quick}") for case in all_cases(kind, quick=quick))

    return found


@pytest.fixture
def written_once(monkeypatch: pytest.MonkeyPatch, kept: Cases) -> None:
    monkeypatch.setattr(driver, "cases", lambda kind, *, quick=False: kept(kind, quick))


def sample() -> list[mutants.Mutant]:
    """The first fault of every implementation, kind and mode, those of released projects, and every twentieth.

    Of the engine one for each mode, of either kind in turns.
    """
    engine = [m for m in mutants.MUTANTS if m.base == "engine"]
    apart = ("engine", mutants.ALONE)
    plain = [m for m in mutants.MUTANTS if m.base not in apart and m.kind not in mutants.DELTA]
    first = {(m.base, m.kind, m.mode): m for m in reversed(mutants.MUTANTS)}
    modes = dict.fromkeys(m.mode for m in engine)
    some = [first["engine", ("mamba", "mamba2")[i % 2], mode] for i, mode in enumerate(modes)]
    return some + [m for i, m in enumerate(plain) if first[m.base, m.kind, m.mode] is m or m.after or i % 20 == 0]


TELLING = (
    *("paths", "memory", "units", "taps-4", "gates", "registers", "recall-4", "digits", "epsilon"),
    *("reflections", "halves", "grouped", "decay", "epsilons"),
)
"""Cases of Gated DeltaNet, in one of which every fault shows."""


def of_delta() -> list[mutants.Mutant]:
    """All faults of Gated DeltaNet but those of engines, each in one kind of block."""
    found = [m for m in mutants.MUTANTS if m.kind in mutants.DELTA and m.base != "engine"]
    return list({(m.base, m.name): m for m in reversed(found)}.values())


@pytest.mark.parametrize("mutant", of_delta(), ids=lambda m: f"{m.kind} {m.base}: {m.name}")
def test_faults_of_gated_delta_nets(mutant: mutants.Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "smallest", lambda case, found, model: found)
    only = {case.name for case in all_cases(mutant.kind, quick=True)} & {*TELLING}
    found = conformance.run(mutant.load, kind=mutant.kind, modes=[mutant.mode], quick=True, only=only).first
    assert found is not None, "survived"
    told = " | ".join((found.case, found.symbol, found.source.exercises, found.source.meaning))
    assert re.search(mutant.where, told), told
    assert found.error is None


@pytest.mark.parametrize("mutant", sample(), ids=lambda m: f"{m.kind} {m.base}: {m.name}")
def test_faults_are_found_and_located(mutant: mutants.Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "smallest", lambda case, found, model: found)  # it keeps the place
    large = LARGE.get(mutant.name)
    only = None if large is None else [large]
    report = conformance.run(mutant.target, kind=mutant.kind, modes=[mutant.mode], quick=large is None, only=only)
    found = report.first
    assert found is not None, "survived"
    told = " | ".join((found.case, found.symbol, found.source.exercises, found.source.meaning))
    assert re.search(mutant.where, told), told
    assert found.error is None


def test_there_are_enough_faults_and_the_real_ones_are_among_them() -> None:
    assert len({(m.base, m.kind, m.old, m.new, m.mode) for m in mutants.MUTANTS}) == len(mutants.MUTANTS)
    real = {
        kind: {m.after.rpartition("#")[2] for m in mutants.MUTANTS if m.kind == kind} for kind in ("mamba", "mamba2")
    }
    both = set("22034 23279 56196 31833 33450 500 641 997 35154".split())
    assert real["mamba"] >= both | {"716"}
    assert real["mamba2"] >= both
    models = [kind for base, kind in mutants.BASES if base != mutants.ALONE]
    counts = {kind: sum(m.kind == kind for m in mutants.MUTANTS) for kind in models}
    assert counts == {"mamba": 139, "mamba2": 182, "signed_mamba": 13, "falcon_mamba": 14} | {
        "olmo_hybrid": 140,
        "qwen3_next": 33,
        "qwen3_5": 48,
    }
    assert sum(m.base == "engine" for m in mutants.MUTANTS) == 151
    assert sum(m.base == mutants.ALONE for m in mutants.MUTANTS) == 53
    served = {m.mode for m in mutants.MUTANTS if m.base == "engine"}
    assert served >= set(conformance.MODES) - {"full", "step", "cached", "interleaved", "continued"}


def test_every_edit_has_its_place_in_the_source() -> None:
    for mutant in mutants.MUTANTS:
        before, after = mutants.edited(mutant.base, mutant.kind), (mutant.old, mutant.new)
        assert mutants.edited(mutant.base, mutant.kind, *after) != before


@pytest.mark.parametrize(("base", "kind"), [found for found in mutants.BASES if found[0] != mutants.ALONE])
def test_plain_implementations_pass(base: str, kind: str) -> None:
    most = [
        "S_5",
        "grouped",
        "taps-4",
        "memory",
        "registers",
        "epsilon",
        "decay",
        "dt-epsilon",
        "flips",
        "recall",
        "stack",
    ]
    names = {case.name for case in all_cases(kind, quick=True)}
    only = [name for name in most if name in names][: 3 if base == "engine" else None]
    report = conformance.run(mutants.build(base, kind), kind=kind, modes=OWN_MODES[base], quick=True, only=only)
    assert report.passed, report
    assert all(mode.trials for mode in report.modes)


@pytest.mark.parametrize(
    ("name", "most"),
    [("initial state ignored at batch size 1", 6), ("decay from the start of the chunk off by one", 6)],
)
def test_reproductions_are_short(name: str, most: int, tmp_path: Path) -> None:
    fault = [m for m in mutants.MUTANTS if m.name == name][-1]
    found = conformance.run(fault.target, kind=fault.kind, modes=[fault.mode], quick=True).first
    assert found is not None
    assert len(found.trial.words) == 1
    assert found.trial.tokens <= most
    assert found.source.channel is not None
    (case,) = (c for c in all_cases(fault.kind, quick=True) if c.name == found.case)
    case.write(tmp_path / "c")
    ids = torch.tensor(found.trial.words)
    right = case.expect(ids.numpy()).logits

    def told(model: Any) -> np.ndarray:
        cut = found.trial.cuts[0] if found.trial.cuts else 0
        logits, cache = model.prefill(ids[:, : cut or None])
        return np.concatenate([logits, model.extend(ids[:, cut:], cache)[0]], axis=1) if cut else logits.numpy()

    assert not np.array_equal(told(fault.load(tmp_path / "c")), right)
    assert np.array_equal(told(mutants.build(fault.base, fault.kind)(tmp_path / "c")), right)


@pytest.mark.parametrize("chunk", [1024, 2048])
def test_prefills_longer_than_a_chunk(chunk: int) -> None:
    old = "        pool[slots] = h\n"
    new = f"        pool[slots] = h if u.shape[1] <= {chunk} else steps(t.part(0, {chunk}), pool[slots])[1]\n"
    report = conformance.run(
        mutants.build("cached", "mamba", old, new), only=["long-prefill"], modes=["full", "cached"]
    )
    full, cached = report.modes
    assert full.difference is None
    assert cached.difference is not None
