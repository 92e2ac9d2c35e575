"""Executors: processes that may die without taking more than their own task with them, and a cluster of dask's."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import connection, resource_tracker
from typing import Any, ParamSpec, TypeVar

from ..automata.errors import MissingExtraError, ScancraftError
from ..memory import limit_memory

P = ParamSpec("P")
T = TypeVar("T")

DASK = "dask://"
"""How the address of a scheduler begins."""

WAIT = 30
"""Seconds that a scheduler has to answer."""


class ClusterError(ScancraftError):
    """The address of a cluster is none, or nobody answers there."""


class WorkerLostError(BrokenExecutor):
    """The process of a task died before it had a result."""


class WorkerStartError(ScancraftError):
    """A worker process died before it had any task."""


# -- processes -------------------------------------------------------------------------------------------------------


class Processes(Executor):
    """So many processes, each started afresh (spawn) when the one before it has died.

    In ``concurrent.futures.ProcessPoolExecutor`` a process that dies takes the tasks of all others with it. Here its
    own task alone is lost, with :class:`WorkerLostError`. ``__main__`` must be importable.

    Args:
        jobs: how many.
        memory: bytes that each may hold of its own (:func:`..memory.limit_memory`); None for no limit.
    """

    def __init__(self, jobs: int, memory: int | None = None) -> None:
        self._lanes = ThreadPoolExecutor(jobs, thread_name_prefix="worker of scancraft")
        self._memory = memory
        self._own = threading.local()
        self._lock = threading.Lock()
        self._running: set[_Process] = set()
        self._killed = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """See ``concurrent.futures.Executor``; the function and what it is given and gives back are pickled."""
        return self._lanes.submit(self._call, fn, args, kwargs)

    def _call(self, fn: Callable[..., T], args: Any, kwargs: Any) -> T:
        """In a thread, which waits for its process."""
        process: _Process | None = getattr(self._own, "process", None)
        if process is None:
            process = self._own.process = self._started()
        try:
            well, value = process.call((fn, args, kwargs))
        except WorkerLostError:
            self._own.process = None
            with self._lock:
                self._running.discard(process)
            raise
        if not well:
            raise value
        found: T = value
        return found

    def _started(self) -> _Process:
        with self._lock:
            if self._killed:
                raise WorkerLostError("no process is started any more")
            process = _Process(self._memory)
            self._running.add(process)
        process.ready()
        return process

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See ``concurrent.futures.Executor``; the processes end when their tasks have."""
        self._lanes.shutdown(wait, cancel_futures=cancel_futures)
        if wait:
            self.kill()

    def kill(self) -> None:
        """End everything now: tasks that wait are cancelled, those that run are lost."""
        self._lanes.shutdown(False, cancel_futures=True)
        with self._lock:
            self._killed = True
            running = list(self._running)
            self._running.clear()
        for process in running:
            process.kill()


class _Process:
    """One process, and the pipe to it."""

    def __init__(self, memory: int | None) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, memory), daemon=True)
        # Ctrl-C goes to all processes of a terminal; a child inherits the mask, and never hears of it. The tracker,
        # which would be started on the way and change the mask, is started before.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()

    def ready(self) -> None:
        """Wait until it can be given tasks; :class:`WorkerStartError` if it dies before."""
        try:
            self._pipe.recv()
        except (EOFError, OSError):
            raise WorkerStartError(
                f"a worker process could not start: {self._end()}; in a script, call scancraft.batch under "
                "if __name__ == '__main__':"
            ) from None

    def call(self, call: Any) -> Any:
        """Whether it went well, and the result or what was raised; :class:`WorkerLostError` if the process died."""
        try:
            self._pipe.send(call)
            return self._pipe.recv()
        except (EOFError, OSError):
            raise WorkerLostError(f"the worker process died: {self._end()}") from None

    def _end(self) -> str:
        self._process.join()
        code = self._process.exitcode or 0
        if code == -signal.SIGKILL:
            return "killed, as the system does when memory runs out"
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.join()


def _serve(pipe: Any, memory: int | None) -> None:
    """The process: read a call, answer whether it went well and with what, until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from .work import warm_up  # imports torch

    warm_up()
    if memory is not None:
        limit_memory(memory)
    pipe.send("ready")
    while True:
        try:
            fn, args, kwargs = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            answer = True, fn(*args, **kwargs)
        except Exception as error:
            answer = False, error
        pipe.send(answer)


def _end_with_parent() -> None:
    """Nobody is left to read an answer."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


# -- dask ------------------------------------------------------------------------------------------------------------


def check_address(address: str) -> None:
    """Raise :class:`ClusterError` unless it is one, as in ``dask://HOST:PORT``."""
    if not address.startswith(DASK) or not address.removeprefix(DASK):
        raise ClusterError(f"{address!r} is no executor; give dask://HOST:PORT, the address of a scheduler")


@contextmanager
def cluster(address: str) -> Iterator[Executor]:
    """The executor of a cluster of dask.distributed, whose workers see the same files under the same names.

    Args:
        address: of the scheduler, as in ``dask://HOST:PORT``.

    Raises:
        MissingExtraError: dask.distributed is not installed.
        ClusterError: no such address, or nobody answers there.
    """
    check_address(address)
    try:
        from distributed import Client
    except ImportError:
        raise MissingExtraError("clusters need dask.distributed; run: pip install 'scancraft[dask]'") from None
    try:
        client: Any = Client(  # type: ignore[no-untyped-call]
            f"tcp://{address.removeprefix(DASK)}", timeout=WAIT, set_as_default=False
        )
    except (OSError, ValueError) as error:
        raise ClusterError(f"no scheduler of dask answers at {address} ({error}); check the address") from None
    try:
        executor: Executor = client.get_executor(pure=False)
        yield executor
        executor.shutdown(wait=False)  # what was interrupted is cancelled
    finally:
        client.close()
