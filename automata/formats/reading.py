"""What a reader of files is given beside the text, and what all of them do."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import LanguageFormatError
from .nfa import Move

LARGEST_FILE = 1 << 28
"""Bytes of a file with an automaton."""

MOST_MOVES = 5_000_000
"""Transitions of an automaton: a label may stand for very many letters, an edge for very many edges."""


@dataclass(frozen=True)
class Options:
    """How to read a file where its format leaves a choice.

    Args:
        accepting_outputs: the outputs that accept: a Mealy or Moore machine then accepts the words whose last output
            is one of these. None: such machines are refused.
        symbols: from number to symbol, the symbol table of an OpenFST file; None if there is none.
    """

    accepting_outputs: frozenset[str] | None = None
    symbols: Mapping[int, str] | None = field(default=None, hash=False)


AS_WRITTEN = Options()


def read_text(path: str | os.PathLike[str]) -> str:
    """The text in a file (UTF-8).

    Raises:
        LanguageFormatError: it cannot be read, is no UTF-8, or has more than ``LARGEST_FILE`` bytes; the message names
            the file.
    """
    place = Path(path)
    try:
        if place.is_dir():
            raise LanguageFormatError(f"{place} is a directory; give a file, or scancraft.load(...) of a checkpoint")
        if place.is_file() and place.stat().st_size > LARGEST_FILE:
            raise LanguageFormatError(
                f"{os.fspath(path)}: larger than {LARGEST_FILE:,} bytes; give a smaller automaton"
            )
        return place.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError):
            raise LanguageFormatError(f"{os.fspath(path)}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
        reason = error.strerror if isinstance(error, OSError) else error
        raise LanguageFormatError(f"{os.fspath(path)}: cannot be read ({reason}); check the path") from None


def lines_of(text: str, comment: str | None = None) -> Iterator[tuple[int, str]]:
    """The lines that hold anything, with their numbers; ``comment`` starts one that runs to the end of the line."""
    # Not str.splitlines, which breaks lines at characters that symbols may be made of.
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        kept = line if comment is None else line.partition(comment)[0]
        if kept.strip():
            yield number, kept


def check_moves(count: int) -> None:
    """:class:`LanguageFormatError` if there are more than ``MOST_MOVES``, before they are made."""
    if count > MOST_MOVES:
        raise LanguageFormatError(f"the file stands for more than {MOST_MOVES:,} transitions; give a smaller automaton")


def wrong(number: int, complaint: str) -> LanguageFormatError:
    """The error of a line."""
    return LanguageFormatError(f"line {number}: {complaint}")


def accepted_by_output(
    moves: Iterable[tuple[str, str, str, str]], initial: Iterable[str], options: Options
) -> tuple[list[Move], list[str], list[str]]:
    """A Mealy machine as an acceptor: it accepts the words, not empty, whose last output is an accepting one.

    Args:
        moves: source, symbol, output, target.

    Returns:
        Moves, initial states and accepting states; ``q`` becomes ``q`` (the last output rejects) and ``q!``.

    Raises:
        LanguageFormatError: it was not asked for, or no move has an accepting output.
    """
    machine = list(moves)
    outputs = sorted({output for _, _, output, _ in machine})
    _need_outputs(outputs, options)
    accepting = options.accepting_outputs or frozenset()
    result: list[Move] = []
    goals: dict[str, str] = {}
    taken = {q for source, _, _, target in machine for q in (source, target)} | set(initial)
    for _, _, output, target in machine:
        if output in accepting and target not in goals:
            goals[target] = target + "!"
            while goals[target] in taken:
                goals[target] += "!"
            taken.add(goals[target])
    for source, symbol, output, target in machine:
        end = goals[target] if output in accepting else target
        result.append((source, symbol, end))
        if source in goals:
            result.append((goals[source], symbol, end))
    return result, list(initial), list(goals.values())


def accepting_states(output_of: Mapping[str, str], options: Options) -> list[str]:
    """The states of a Moore machine whose output accepts; errors as for :func:`accepted_by_output`."""
    _need_outputs(sorted(set(output_of.values())), options)
    accepting = options.accepting_outputs or frozenset()
    return [q for q, output in output_of.items() if output in accepting]


def _need_outputs(outputs: list[str], options: Options) -> None:
    shown = ", ".join(map(repr, outputs[:6])) + (", ..." if len(outputs) > 6 else "")
    if options.accepting_outputs is None:
        raise LanguageFormatError(
            f"this is a machine with outputs ({shown}), not an acceptor; say which of them accept (--accepting-output)"
        )
    if not options.accepting_outputs & set(outputs):
        raise LanguageFormatError(
            f"none of the accepting outputs {sorted(options.accepting_outputs)} is an output of the machine: {shown}"
        )
