"""Workers that run the scancraft of a commit, or of this checkout, in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = Path(__file__).resolve().parent / "worker.py"
Ask = Callable[..., Any]
"""The answer of ``worker.py`` to a request given by keywords; RuntimeError if the process has ended (see stderr)."""


@contextmanager
def checkout(commit: str | None) -> Iterator[Path]:
    """The root of a commit, in a temporary worktree of git; of this checkout, changes and all, for None.

    Raises:
        subprocess.CalledProcessError: git does not know the commit.
    """
    if commit is None:
        yield ROOT
        return
    with TemporaryDirectory() as folder:
        place = Path(folder) / "checkout"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(place), commit], check=True)
        try:
            yield place
        finally:
            subprocess.run([*git, "remove", "--force", str(place)], check=True)


@contextmanager
def worker(commit: str | None) -> Iterator[Ask]:
    """A process that imports the scancraft of a commit, or of this checkout for None."""
    pipe = subprocess.PIPE
    with checkout(commit) as root, TemporaryDirectory() as folder:
        # Only the package is on the path, not the root: its folders have names that others have, too.
        os.symlink(root / "scancraft", Path(folder) / "scancraft")
        settings = {"PYTHONPATH": folder, "OMP_NUM_THREADS": "1", "TRANSFORMERS_VERBOSITY": "error"}
        command = [sys.executable, "-P", str(SCRIPT)]
        with subprocess.Popen(command, env=os.environ | settings, stdin=pipe, stdout=pipe, text=True) as process:
            given, told = process.stdin, process.stdout
            assert given is not None
            assert told is not None

            def answer() -> Any:
                if not (line := told.readline()):
                    raise RuntimeError(f"the worker ended with exit code {process.wait()}")
                return json.loads(line)

            def ask(**request: Any) -> Any:
                print(json.dumps(request), file=given, flush=True)
                return answer()

            try:
                if not (found := Path(answer())).is_relative_to(folder):
                    raise RuntimeError(f"{root} was to be run, but scancraft was found at {found}")
                yield ask
            finally:
                process.terminate()
