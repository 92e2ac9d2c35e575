"""``scancraft.batch``: many files, each decided, compiled, certified and checked; what ended once is not done again."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from queue import SimpleQueue
from statistics import median

from ..automata.cards import brief, card, table
from ..automata.formats.registry import format_named
from ..compiler.alternatives import Optimise, check_choice
from ..compiler.targets import target as target_named
from ..compiler.targets.gates import Gates, check_gates
from .files import Place, listed
from .results import NAME, CampaignError, opened
from .task import CODES, MEANINGS, SETTLED, Choices, Outcome, Row, Task, digest_of
from .workers import Processes, WorkerStartError, check_address, cluster

SECONDS = 300.0
"""For each file, unless told otherwise."""

TRIES = 2
"""A file over which so many workers died is not tried again."""

Tick = Callable[[int, int, str], None]
"""Called with (files done, files in all, the last of them)."""


class ExecutorBrokenError(CampaignError):
    """An executor takes no more work."""

    exit_code = 3


@dataclass(frozen=True)
class Report:
    """What a campaign comes to.

    Attributes:
        directory: where its results are.
        rows: of each file, in the order in which they were named.
        fresh: how many of them this run made.
    """

    directory: Path
    rows: tuple[Row, ...]
    fresh: int

    @property
    def counts(self) -> dict[Outcome, int]:
        """How many files had each outcome, of those that occur."""
        found = Counter(row.outcome for row in self.rows)
        return {outcome: found[outcome] for outcome in MEANINGS if outcome in found}

    @property
    def exit_code(self) -> int:
        """That of the gravest outcome (:data:`.task.CODES`); 0 if every file holds."""
        return next((code for outcome, code in CODES.items() if code and outcome in self.counts), 0)

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "directory": str(self.directory),
            "files": len(self.rows),
            "fresh": self.fresh,
            "outcomes": dict(self.counts),
            "rows": [row.as_json() for row in self.rows],
        }

    def __repr__(self) -> str:
        return f"<Report: {brief(str(self), 200)}>"

    def _repr_html_(self) -> str:
        heads = ["file", "outcome", "states", "blocks", "parameters"]
        shown = ([row.file, row.outcome, row.states, row.blocks, row.parameters] for row in self.rows)
        return card(str(self), {"results": self.directory / NAME}, table(heads, shown))

    def __str__(self) -> str:
        counted = ", ".join(f"{count:,} {outcome}" for outcome, count in self.counts.items())
        times = [sum(row.seconds.values()) for row in self.rows if row.seconds]
        spent = f"; {median(times):.2f} s each (median), {max(times):.1f} s at most" if times else ""
        return f"{len(self.rows):,} files: {counted}{spent}"


def batch(
    files: Place | Iterable[Place],
    out: Place,
    *,
    executor: Executor | str | None = None,
    jobs: int | None = None,
    seconds: float | None = SECONDS,
    memory: int | None = None,
    budget: int | None = None,
    gates: Gates = "reflections",
    optimise: Optimise | None = None,
    target: str | None = None,
    format: str | None = None,
    words: int = 400,
    retry: bool = False,
    progress: Tick = lambda *_: None,
) -> Report:
    """Decide, compile, certify and check the language in each of many files.

    Each file that ends adds a line to ``out/results.jsonl`` (the keys are those of :class:`.task.Row`), its checkpoint
    is in ``out/models``. A file that has a line for its present content and these choices is not done again, so an
    interrupted campaign goes on where it was. Equal input gives equal checkpoints, wherever and beside whatever it ran.

    Args:
        files: files in any format, folders of them, or patterns (see :func:`.files.listed`).
        out: a directory, which may hold other things.
        executor: where to run: an executor of ``concurrent.futures`` whose workers see the same files,
            ``"dask://HOST:PORT"``, or None for processes on this machine, of which each that dies is replaced.
        jobs: how many processes; by default as many as there are processors.
        seconds: wall-clock time for each file; None for no limit.
        memory: bytes that each process may hold; None for no limit. (Other executors have limits of their own.)
        budget: how many things each search may create; None for the defaults of ``compile`` and ``certify``.
        gates: the strongest gates allowed, as for ``scancraft.compile``; so ``optimise`` and ``target``.
        optimise: "depth" or "size".
        target: the kind of model.
        format: the format of the files to insist on.
        words: how many words each model is checked on, besides all short ones.
        retry: do files again that are undecided, out of time or memory, or lost, or whose error was scancraft's own.
        progress: told of each file that ended.

    Raises:
        CampaignError: nothing to do, or ``out`` cannot be used.
        ExecutorBrokenError: the executor takes no more work; what ended is kept.
        WorkerStartError: processes cannot be started.
        ClusterError: nobody answers there.
        ScancraftError: an unknown choice.

    >>> import tempfile, pathlib, scancraft
    >>> place = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (place / "as.att").write_text("0\\t0\\ta\\n0\\n")
    >>> scancraft.batch(place, place / "out", jobs=1).counts
    {'certified': 1}
    """
    choices = Choices(gates, optimise, target, format, budget, words)
    _check(choices)
    if isinstance(executor, str):
        check_address(executor)
    if executor is not None and memory is not None:
        raise CampaignError("a limit of memory goes with processes; give the workers of an executor one of their own")
    directory = Path(out)
    names = listed([files] if isinstance(files, (str, os.PathLike)) else files, directory)
    if not names:
        raise CampaignError("there is no file to work on; name files, or a folder of files whose names say a format")
    with opened(directory) as (before, append):
        known = {(row.file, row.digest): row for row in before}
        rows: dict[str, Row] = {}
        tasks: list[Task] = []
        for name in names:
            found = _task(name, directory, choices, seconds)
            last = None if isinstance(found, Row) else known.get((name, found.digest))
            if isinstance(found, Row):
                rows[name] = found
                append(found)
            elif last is None or (retry and last.outcome not in SETTLED):
                tasks.append(found)
            else:
                rows[name] = last
        fresh = len(names) - len(rows)
        progress(len(rows), len(names), "")
        if tasks:
            with _executor(executor, min(jobs or len(os.sched_getaffinity(0)), len(tasks)), memory) as pool:
                with closing(_ended(pool, tasks)) as ended:
                    for row in ended:
                        append(row)
                        rows[row.file] = row
                        progress(len(rows), len(names), row.file)
    return Report(directory, tuple(rows[name] for name in names), fresh)


def _check(choices: Choices) -> None:
    """Raise what ``compile`` would, before any file is looked at."""
    check_gates(choices.gates)
    check_choice(choices.optimise, None)
    if choices.target is not None:
        target_named(choices.target)
    if choices.format is not None:
        format_named(choices.format)


def _task(name: str, directory: Path, choices: Choices, seconds: float | None) -> Task | Row:
    """What is to be done with a file; or that it cannot be read."""
    path = Path(name).absolute()
    try:
        digest = digest_of(path, choices, version("scancraft"))
    except OSError as error:
        why = {"error": "LanguageFormat", "message": f"{name}: cannot be read ({error.strerror}); check the path"}
        return Row(name, None, "unreadable", "read", error=why)
    return Task(name, path, digest, directory.absolute(), choices, seconds)


@contextmanager
def _executor(given: Executor | str | None, jobs: int, memory: int | None) -> Iterator[Executor]:
    """Where tasks run; our own ends with the campaign, at once if that is interrupted."""
    if isinstance(given, Executor):
        yield given
    elif given is not None:
        with cluster(given) as pool:
            yield pool
    else:
        pool = Processes(jobs, memory)
        try:
            yield pool
        finally:
            pool.kill()


def _ended(pool: Executor, tasks: Sequence[Task]) -> Generator[Row, None, None]:
    """The rows, as they end. A task whose worker was lost is given out once more."""
    from .work import run  # imports torch

    done: SimpleQueue[Future[Row]] = SimpleQueue()
    waiting: dict[Future[Row], Task] = {}
    tries = Counter[Task]()

    def submit(task: Task) -> None:
        try:
            future = pool.submit(run, task)
        except (BrokenExecutor, RuntimeError) as error:
            raise ExecutorBrokenError(
                f"the executor takes no more work ({error}); what ended is kept, and the same call goes on from there"
            ) from error
        tries[task] += 1
        waiting[future] = task
        future.add_done_callback(done.put)

    try:
        for task in tasks:
            submit(task)
        while waiting:
            future = done.get()
            task = waiting.pop(future)
            try:
                yield future.result()
            except WorkerStartError:
                raise
            except (CancelledError, Exception) as error:  # `run` raises nothing: its worker is gone
                if tries[task] < TRIES:
                    submit(task)
                else:
                    why = {"error": type(error).__name__, "message": f"{error} (tried {TRIES} times)"}
                    yield Row(task.file, task.digest, "lost", "read", error=why)
    finally:
        for future in list(waiting):
            future.cancel()
