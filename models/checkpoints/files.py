"""Writing directories and files so that nothing half-written is left behind."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import CheckpointError


@contextmanager
def replace_directory(target: Path, marker: str) -> Iterator[Path]:
    """Give a temporary directory beside ``target`` to write into; at the end it takes ``target``'s place.

    On any error (Ctrl-C included) the temporary directory is removed and ``target`` is as it was.

    Raises:
        CheckpointError: ``target`` exists and is neither empty nor marked as ours by a file named ``marker``.
    """
    if target.exists() and not target.is_dir():
        raise CheckpointError(f"{target} exists and is not a directory; choose another place")
    if target.is_dir() and any(target.iterdir()) and not (target / marker).is_file():
        raise CheckpointError(f"{target} is not empty and holds no {marker}; choose another directory or remove it")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise CheckpointError(f"cannot write beside {target}: {error.strerror}") from error
    try:
        yield fresh
        fresh.chmod(0o755)
        if target.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
            os.rename(target, old / "old")
            os.rename(fresh, target)
            shutil.rmtree(old)
        else:
            os.rename(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


@contextmanager
def replace_file(target: Path) -> Iterator[Path]:
    """Give a temporary name beside ``target`` to write to; at the end it takes ``target``'s place, or is removed."""
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        yield fresh
        os.replace(fresh, target)
    finally:
        fresh.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON with a fixed layout: equal content gives equal bytes."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    # A lone surrogate (in the name of a state, say) becomes its JSON escape.
    path.write_bytes(text.encode("utf-8", "backslashreplace"))
