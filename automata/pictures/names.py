"""What is written into a picture: short names of states, sets and edges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from ..alphabet import class_name


def short_names(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """What to write into states of these names, and the lines of a legend: long names are replaced by numbers."""
    if all(len(name) <= 5 for name in names):
        return list(names), []
    return [str(q) for q in range(len(names))], [f"{q} = {cut(name, 40)}" for q, name in enumerate(names)]


def cut(text: str, longest: int) -> str:
    """Its first characters."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def set_name(members: Iterable[int], names: Sequence[str]) -> str:
    """A set of states, numbers first; runs of numbers are shortened to ``first..last``.

    >>> set_name([0, 1, 2, 3, 6], ["0", "1", "dead", "2", "3", "4", "5"])
    '{0..2,5,dead}'
    """
    chosen = [names[q] for q in members]
    numbers = sorted(int(name) for name in chosen if _is_number(name))
    pieces = []
    for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        run = [str(number) for _, number in group]
        pieces += [f"{run[0]}..{run[-1]}"] if len(run) > 2 else run
    return "{" + ",".join([*pieces, *(name for name in chosen if not _is_number(name))]) + "}"


def _is_number(name: str) -> bool:
    return name.isdecimal() and name == str(int(name))


def wrapped(name: str, width: int = 14) -> str:
    """A set's name, broken after commas and bars into lines of about ``width`` characters, at most three."""
    lines = [""]
    for piece in name.replace(",", ",\0").replace("|", "|\0").split("\0"):
        if lines[-1] and len(lines[-1]) + len(piece) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(lines if len(lines) <= 3 else [*lines[:2], f"… ({name.count(',') + name.count('|') + 1} parts)"])


def edge_label(letters: Sequence[str], alphabet: Sequence[str]) -> str:
    """The symbols of an edge, in short.

    >>> edge_label(["a", "c", "d", "e", "f"], "abcdef")
    'all but b'
    >>> edge_label([c for c in "abcdefghijklm" if c not in "di"], "abcdefghijklmnop")
    '[a-ce-hj-m] (11)'
    """
    there = set(letters)
    others = [s for s in alphabet if s not in there]
    if len(letters) > 3 and len(others) <= 2:
        return "all but " + ",".join(others) if others else "all"
    return ",".join(letters) if len(letters) <= 6 else f"{class_name(letters)} ({len(letters):,})"
