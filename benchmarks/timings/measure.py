"""What every section shares: the shape of a result, timing, and the machine it ran on."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import scancraft
from scancraft.automata.dfa import Dfa
from scancraft.automata.families import SUITE, order_preserving
from scancraft.compiler.compiled import CompiledModel
from scancraft.models.run.caching import continued
from scancraft.suite.languages import LANGUAGES

Value = TypeVar("Value")

Json = dict[str, Any]

Tick = Callable[[int, int, str], None]
"""Called with (steps done, steps in all, what comes next)."""


@dataclass(frozen=True)
class Measured:
    """What a section found.

    Attributes:
        summary: the rows of its tables, for docs/benchmarks.json.
        raw: everything that they summarise, for ``--raw DIR``; empty where the tables hold all of it.
    """

    summary: Json
    raw: Json = field(default_factory=dict)


def spread(values: Iterable[float]) -> Json:
    """Median and greatest value."""
    known = list(values)
    return {"median": median(known), "most": max(known)}


def best_of(
    repeats: int, work: Callable[[], Value], clock: Callable[[], float] = time.perf_counter
) -> tuple[float, Value]:
    """The shortest of several times of ``work()``, by the wall clock as a rule, and what its last run returned."""
    best = float("inf")
    for _ in range(repeats):
        started = clock()
        value = work()
        best = min(best, clock() - started)
    return best, value


@contextmanager
def progress(name: str) -> Iterator[Tick]:
    """A bar on stderr; it gives the ``tick`` that moves it."""
    columns = (TextColumn(f"{name:12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.description}"), console=Console(stderr=True)) as bars:
        bar = bars.add_task("", total=None)
        yield lambda done, total, what: bars.update(bar, completed=done, total=total, description=what)
        total = bars.tasks[0].total or 1
        bars.update(bar, total=total, completed=total, description="done")


def environment() -> Json:
    """What the figures depend on besides the code."""
    return {
        "python": platform.python_version(),
        "torch": version("torch"),
        "transformers": version("transformers"),
        "numpy": version("numpy"),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 1,
        "torch_threads": torch.get_num_threads(),
    }


def _cpu_model() -> str:
    """The processor's name; Linux tells it only in /proc/cpuinfo."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown")


def o_n(points: int) -> Dfa:
    """O_n as a language: the words that take point 1 back to point 1. All n states are distinguishable."""
    return Dfa(order_preserving(points), 0, frozenset({0}))


def stepped(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """The logits of a ``transformers`` model, token by token through its cache.

    Args:
        model: any of ``transformers``.
        ids: of shape (batch, tokens).
    """
    cache, columns = None, []
    for token in ids.split(1, dim=1):
        output, cache = continued(model, token, cache)
        columns.append(output.logits)
    return torch.cat(columns, dim=1)


Item = TypeVar("Item", bound=tuple[Any, ...])


def each(items: Sequence[Item], tick: Tick) -> Iterator[Item]:
    """The items, each announced by what it begins with."""
    for done, item in enumerate(items):
        tick(done, len(items), str(item[0]))
        yield item


def star_free_suite(most_states: int = 20) -> list[tuple[str, Dfa]]:
    """Names and minimal DFAs of the suite's star-free languages with at most so many states."""
    named = [(language.name, language.build()) for language in SUITE if language.star_free]
    return [entry for entry in named if entry[1].n_states <= most_states]


def suite_models(count: int | None = None) -> Iterator[tuple[str, CompiledModel]]:
    """The first languages of the suite that a Mamba can model (None: all of them), compiled."""
    found = 0
    for language in LANGUAGES:
        if found == count:
            return
        try:
            compiled = scancraft.compile(language.language, gates="nonnegative")
        except scancraft.NotStarFreeError:
            continue
        yield language.name, compiled
        found += 1
