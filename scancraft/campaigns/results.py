"""``results.jsonl``: a line for each file, in the order in which they end; what a campaign goes on from."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ..automata.errors import ScancraftError
from .task import SCHEMA, Row

NAME = "results.jsonl"
_BEGINS = f'{{"schema": {SCHEMA}, "file": '.encode()


class CampaignError(ScancraftError):
    """A campaign cannot be run, or not there."""


@contextmanager
def opened(directory: Path) -> Iterator[tuple[list[Row], Callable[[Row], None]]]:
    """The rows that are there, and what appends one; meanwhile no other campaign writes there.

    A row is one write to the end of the file, so that a reader sees whole lines. A line that a crash cut short is
    taken away.

    Raises:
        CampaignError: the directory cannot be written, holds a file of this name that is not ours, or is being written.
    """
    path = directory / NAME
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            raise CampaignError(f"{path} is no regular file; choose another directory")
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    except OSError as error:
        raise CampaignError(f"{path} cannot be written ({error.strerror}); choose another directory") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CampaignError(f"{directory} is being written by another batch; wait, or choose another") from None

        def append(row: Row) -> None:
            os.write(handle, (json.dumps(row.as_json()) + "\n").encode("ascii"))

        yield _rows(path, handle), append
    finally:
        os.close(handle)


def _rows(path: Path, handle: int) -> list[Row]:
    whole, newline, rest = path.read_bytes().rpartition(b"\n")
    if rest:
        if not (rest.startswith(_BEGINS) or _BEGINS.startswith(rest)):
            raise _foreign(path, whole.count(b"\n") + 2 if newline else 1)
        os.truncate(handle, len(whole) + len(newline))
    rows = []
    for number, line in enumerate(whole.split(b"\n") if whole else [], 1):
        try:
            rows.append(msgspec.json.decode(line, type=Row))
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise _foreign(path, number) from None
        if rows[-1].schema != SCHEMA:
            raise _foreign(path, number)
    return rows


def _foreign(path: Path, number: int) -> CampaignError:
    return CampaignError(f"{path}, line {number} is no row of this version of scancraft; choose another directory")
