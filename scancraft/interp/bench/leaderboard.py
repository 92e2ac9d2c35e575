"""The file of results: JSON, with a version, that is only ever added to."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from ...models.checkpoints.files import read_json, replace_file, write_json
from ..errors import BenchError
from .score import Result

SCHEMA_VERSION = 1


class _Board(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of the file."""

    schema_version: Annotated[int, msgspec.Meta(ge=1)]
    results: tuple[Result, ...]
    kind: Literal["scancraft bench"] = "scancraft bench"


def read(path: str | PathLike[str]) -> tuple[Result, ...]:
    """The results in a file, in the order in which they were added; none if there is no file.

    Raises:
        BenchError: it is no leaderboard, or of another version.
    """
    place = Path(path)
    if not place.parent.is_dir():
        raise BenchError(f"{place}: there is no such folder; make it, or give another place")
    if not place.exists():
        return ()
    try:
        board = msgspec.convert(read_json(place), _Board)
    except msgspec.ValidationError as error:
        raise BenchError(f"{place} is no leaderboard of scancraft bench ({error}); give another file") from None
    if board.schema_version != SCHEMA_VERSION:
        raise BenchError(f"{place} has schema_version {board.schema_version}, this scancraft writes {SCHEMA_VERSION}")
    return board.results


def add(path: str | PathLike[str], results: Sequence[Result]) -> tuple[Result, ...]:
    """Add results to a file, and return all that it holds now; the file is replaced at once or not at all.

    Raises:
        BenchError: the file is no leaderboard.
    """
    known = read(path)
    board = _Board(SCHEMA_VERSION, (*known, *(r for r in results if r not in known)))
    with replace_file(Path(path)) as fresh:
        write_json(fresh, msgspec.to_builtins(board))
    return board.results
