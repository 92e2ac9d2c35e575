"""Workers that run the scancraft of a commit, or of this checkout, in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = Path(__file__).resolve().parent / "worker.py"


@contextmanager
def checkout(commit: str | None) -> Iterator[Path]:
    """The root of a commit, in a temporary worktree of git; of this checkout, changes and all, for None.

    Raises:
        subprocess.CalledProcessError: git does not know the commit.
    """
    if commit is None:
        yield ROOT
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "checkout"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(place), commit], check=True)
        try:
            yield place
        finally:
            subprocess.run([*git, "remove", "--force", str(place)], check=True)


class Worker:
    """A process that imports scancraft from the root of a checkout; a context manager."""

    def __init__(self, root: Path) -> None:
        self._folder = tempfile.TemporaryDirectory()
        # Only the package is on the path, not the root: its folders have names that others have, too.
        os.symlink(root / "scancraft", Path(self._folder.name) / "scancraft")
        environment = os.environ | {"PYTHONPATH": self._folder.name, "OMP_NUM_THREADS": "1"}
        environment["TRANSFORMERS_VERBOSITY"] = "error"
        command = [sys.executable, "-P", str(SCRIPT)]
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        found = Path(self._answer())
        if not found.is_relative_to(self._folder.name):
            raise RuntimeError(f"{root} was to be run, but scancraft was found at {found}")

    def ask(self, **request: Any) -> Any:
        """The answer of ``worker.py``.

        Raises:
            RuntimeError: the process has ended; its traceback is on stderr.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker ended with exit code {self._process.wait()}")
        return json.loads(line)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.terminate()
        self._process.wait()
        self._process.stdout.close()
        self._folder.cleanup()


@contextmanager
def worker(commit: str | None) -> Iterator[Worker]:
    """A worker on a commit, or on this checkout."""
    with checkout(commit) as root, Worker(root) as started:
        yield started
