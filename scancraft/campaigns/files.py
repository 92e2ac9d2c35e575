"""Which files a campaign is about."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from glob import glob, has_magic
from pathlib import Path

from ..automata.formats.registry import format_of_name
from ..models.checkpoints.closed import MANIFEST

Place = str | os.PathLike[str]


def listed(places: Iterable[Place], out: Path) -> list[str]:
    """Files, named as they were given, each once.

    A folder stands for the files in it, and in its folders, whose names end like a format that is known, in order of
    their names; not for hidden ones, checkpoints, or what is below ``out``. Where there is no such file, a name with
    ``*``, ``?`` or ``[`` stands for what it matches. What is not there is listed all the same.
    """
    found: dict[Path, str] = {}
    for place in places:
        for name in _meant(os.fspath(place), out.resolve()):
            found.setdefault(Path(name).absolute(), name)
    return list(found.values())


def _meant(name: str, out: Path) -> Iterator[str]:
    path = Path(name)
    if path.is_dir():
        yield from _below(path, out)
    elif not path.exists() and has_magic(name) and (matches := sorted(glob(name, recursive=True))):
        for match in matches:
            yield from _below(Path(match), out) if Path(match).is_dir() else [match]
    else:
        yield name


def _below(folder: Path, out: Path) -> Iterator[str]:
    for place, inner, names in os.walk(folder):
        here = Path(place)
        if here.resolve() == out or MANIFEST in names:
            inner.clear()
            continue
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and format_of_name(name) is not None:
                yield os.fspath(here / name)
