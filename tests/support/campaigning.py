"""Folders of small languages, and executors that do harm: at the top level of a module, so that processes find them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from scancraft.campaigns.task import Row, Task
from scancraft.campaigns.workers import WorkerLostError

ATT = {
    "ends_in_b.att": "0\t0\ta\n0\t1\tb\n1\t0\ta\n1\t1\tb\n1\n",
    "even.att": "0\t1\ta\n1\t0\ta\n0\n",
    "thrice.att": "0\t1\ta\n1\t2\ta\n2\t0\ta\n0\n",
    "no_bb.att": "0\t0\ta\n0\t1\tb\n1\t0\ta\n0\n1\n",
    "deeper/once.att": "0\t0\t2\n0\t1\t1\n1\t1\t2\n1\n",
}
"""Star-free ones, one that needs signs, and one that needs more."""

SYMBOLS = {"deeper/once.syms": "<eps>\t0\na\t1\nb\t2\n"}


def folder(place: Path, *names: str) -> Path:
    """Files of ``ATT``, all or some."""
    for name, text in (ATT | SYMBOLS).items():
        if not names or name in names:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(text)
    return place


def tree(place: Path) -> dict[str, bytes]:
    """Every file below, and what is in it."""
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def killed_once(work: Callable[[Task], Row], task: Task) -> Row:
    """Kill the process at even.att, the first time."""
    mark = task.directory / "died"
    if task.file.endswith("even.att") and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return work(task)


def lost(work: Callable[[Task], Row], task: Task) -> Row:
    """What a process that was killed looks like from outside, at even.att, each time."""
    if task.file.endswith("even.att"):
        raise WorkerLostError("killed")
    return work(task)


def dead_once(mark: Path) -> str:
    """End the process, the first time."""
    if not mark.exists():
        mark.touch()
        os._exit(1)
    return "alive"


class Threads(ThreadPoolExecutor):
    """In this process, where :class:`scancraft.campaigns.workers.Processes` would start others."""

    def __init__(self, jobs: int, memory: int | None = None) -> None:
        super().__init__(jobs)

    def kill(self) -> None:
        """What waits is cancelled."""
        self.shutdown(cancel_futures=True)


class Harmful(Executor):
    """Another executor, with something in front of the work."""

    def __init__(self, pool: Executor, harm: Callable[..., Any]) -> None:
        self.pool, self.harm = pool, harm
        self.files: list[str] = []
        self.futures: list[Future[Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.files.append(args[0].file)
        self.futures.append(self.pool.submit(self.harm, fn, *args, **kwargs))
        return self.futures[-1]
