"""What every benchmark shares: timing, the machine it ran on, and the shape of a result."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import torch

from scancraft.automata.dfa import Dfa
from scancraft.automata.families import order_preserving

Value = TypeVar("Value")

Tick = Callable[[int, int, str], None]
"""Called with (steps done, steps in all, what comes next)."""


@dataclass(frozen=True)
class Environment:
    """What the figures depend on besides the code."""

    python: str
    torch: str
    transformers: str
    numpy: str
    system: str
    cpu: str
    cores: int
    torch_threads: int


def environment() -> Environment:
    return Environment(
        platform.python_version(),
        version("torch"),
        version("transformers"),
        version("numpy"),
        f"{platform.system()} {platform.machine()}",
        _cpu_model(),
        os.cpu_count() or 1,
        torch.get_num_threads(),
    )


def _cpu_model() -> str:
    """The processor's name; Linux tells it only in /proc/cpuinfo."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown")


def best_of(repeats: int, work: Callable[[], Value]) -> tuple[float, Value]:
    """The shortest of several wall-clock times of ``work()``, and what its last run returned."""
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        value = work()
        best = min(best, time.perf_counter() - started)
    return best, value


def o_n(points: int) -> Dfa:
    """O_n as a language: the words that take point 1 back to point 1. All n states are distinguishable."""
    return Dfa(order_preserving(points), 0, frozenset({0}))


def stepped(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """The logits, token by token through the cache."""
    cache, columns = None, []
    for token in ids.split(1, dim=1):
        output = model(token, cache_params=cache, use_cache=True)
        cache = output.cache_params
        columns.append(output.logits)
    return torch.cat(columns, dim=1)
