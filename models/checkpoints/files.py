"""Reading and writing files so that nothing half-written is left behind, and nothing of the user's is lost."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import signal
import stat
import tempfile
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import CheckpointError

LARGEST_JSON = 1 << 28
"""Bytes of a JSON file."""

DEEPEST_JSON = 100
"""How deep lists and objects may be nested in one."""


# -- reading ---------------------------------------------------------------------------------------------------------


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        CheckpointError: it cannot be read, is too large or nested too deeply, or is not JSON.
    """
    try:
        if not path.is_file():
            raise CheckpointError(f"{path} {'is not a regular file' if path.exists() else 'does not exist'}")
        if path.stat().st_size > LARGEST_JSON:
            raise CheckpointError(f"{path} is larger than {LARGEST_JSON:,} bytes")
        return parse_json(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is not readable JSON ({error})") from error


def parse_json(text: str) -> Any:
    """The value of a JSON text whose keys are distinct and which is not nested too deeply.

    Raises:
        ValueError: it is not one. (Python refuses integers of more than 4,300 digits so as well.)
    """

    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key stands twice in one object")
        return found

    try:
        value = json.loads(text, object_pairs_hook=distinct)
    except RecursionError:
        raise ValueError(f"nested deeper than {DEEPEST_JSON} levels") from None
    level = [value]
    for _ in range(DEEPEST_JSON):
        level = [
            inner
            for outer in level
            if isinstance(outer, (list, dict))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return value
    raise ValueError(f"nested deeper than {DEEPEST_JSON} levels")


# -- writing ---------------------------------------------------------------------------------------------------------


@contextmanager
def replace_directory(target: Path, marker: str, ours: Collection[str]) -> Iterator[Path]:
    """Give a temporary directory beside ``target`` to write into; at the end it takes ``target``'s place, at once.

    On any error (Ctrl-C included) the temporary directory is removed and ``target`` is as it was.

    Args:
        target: the directory; a symbolic link to one is followed.
        marker: a file that marks a directory as written by us.
        ours: the files that we write, as paths inside the directory; all others are the user's.

    Raises:
        CheckpointError: ``target`` is in the way: no directory, the current one, or one that holds anything else than
            what we write.
    """
    place = Path(os.path.realpath(target))
    _check_replaceable(target, place, marker, ours)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=_prefix(place), dir=place.parent))
    except OSError as error:
        raise CheckpointError(f"cannot write beside {target}: {error.strerror}") from error
    swapped = False
    try:
        yield fresh
        fresh.chmod(0o777 & ~_umask())
        _check_replaceable(target, place, marker, ours)  # again: it took a while
        try:
            if place.exists() and any(place.iterdir()):
                swapped = True
                _exchange(fresh, place)
            else:
                os.rename(fresh, place)
        except OSError as error:
            raise CheckpointError(f"cannot write {target}: {error.strerror}") from error
    finally:
        if swapped:
            _remove(fresh, ours)
        else:
            shutil.rmtree(fresh, ignore_errors=True)


def _check_replaceable(target: Path, place: Path, marker: str, ours: Collection[str]) -> None:
    if not os.path.lexists(place):
        return
    if not place.is_dir():
        raise CheckpointError(f"{target} exists and is not a directory; choose another place")
    if Path.cwd().is_relative_to(place) or os.path.ismount(place):
        raise CheckpointError(
            f"{target} is in use (as the current directory, or a mount), and a checkpoint takes the place of the whole "
            "directory; choose another one"
        )
    found = [p.relative_to(place).as_posix() for p in sorted(place.rglob("*")) if not p.is_dir() or p.is_symlink()]
    stray = [name for name in found if name not in ours]
    if stray or (found and marker not in found):
        what = f"holds {stray[0]!r}" if stray else f"is not empty and holds no {marker}"
        raise CheckpointError(
            f"{target} {what}, which scancraft did not write and will not remove; choose another directory"
        )


def _exchange(fresh: Path, place: Path) -> None:
    """Let two directories change places: in one step where the system can, else with no signal between two."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        at_cwd, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
        if libc.renameat2(at_cwd, os.fsencode(fresh), at_cwd, os.fsencode(place), swap) == 0:
            return
    except (OSError, AttributeError):
        pass  # no Linux, or an old one
    with _uninterrupted():
        aside = Path(tempfile.mkdtemp(prefix=_prefix(place), dir=place.parent))
        os.rename(place, aside)
        os.rename(fresh, place)
        os.rename(aside, fresh)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Signals wait."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _remove(directory: Path, ours: Collection[str]) -> None:
    """Remove an old directory of ours, but nothing else that got into it meanwhile."""
    for name in ours:
        (directory / name).unlink(missing_ok=True)
    for inner in sorted({(directory / name).parent for name in ours}, reverse=True):
        try:
            inner.rmdir()
        except OSError:
            continue  # not there, or not empty


@contextmanager
def replace_file(target: Path) -> Iterator[Path]:
    """Give a temporary name beside ``target`` to write to; at the end it takes ``target``'s place, or is removed.

    A symbolic link is followed, and stays. A file that is replaced keeps its permissions.

    Raises:
        OSError: ``target`` is there and is no regular file (a device, a pipe or a directory), or the system refuses.
    """
    place = Path(os.path.realpath(target))
    mode = 0o666 & ~_umask()
    if place.exists():
        mode = place.stat().st_mode
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "not a regular file, and only such are replaced", str(target))
    handle, name = tempfile.mkstemp(prefix=_prefix(place), dir=place.parent)
    os.close(handle)
    fresh = Path(name)
    try:
        yield fresh
        fresh.chmod(stat.S_IMODE(mode))
        os.replace(fresh, place)
    finally:
        fresh.unlink(missing_ok=True)


def _prefix(place: Path) -> str:
    """How temporary names beside a place begin; names may have 255 bytes."""
    return f".{os.fsencode(place.name)[:100].decode('utf-8', 'ignore')}."


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def write_json(path: Path, content: Any) -> None:
    """Write JSON with a fixed layout: equal content gives equal bytes."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    # A lone surrogate (in the name of a state, say) becomes its JSON escape.
    path.write_bytes(text.encode("utf-8", "backslashreplace"))
