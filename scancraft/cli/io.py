"""What the commands share: what they print, on standard output and beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import typer

from ..automata.errors import ScancraftError

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions

UNPRINTABLE = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]"
)
"""Control characters, marks of direction, and halves of characters, which no terminal can be sent."""

PIPE_WIDTH = 160
"""Columns of a table that goes to a file or a pipe."""


class ArgumentError(ScancraftError):
    """Arguments of the command line that do not go together."""


class UsageError(ScancraftError):
    """A command line that has no such command or option, or lacks one."""


class FileAccessError(ScancraftError):
    """The operating system refused a file."""


class ResourceError(ScancraftError):
    """The memory of the machine does not suffice; nothing was decided."""

    exit_code = 3


class Result(Protocol):
    """What a command comes to: ``str`` of it is for people."""

    def as_json(self) -> dict[str, object]:
        """The same for machines."""


def printable(text: str) -> str:
    r"""Text for a terminal: control characters, of which symbols and labels may be made, as escapes.

    Line breaks and tabs stay, and so does everything that can be seen. Marks that turn the direction of writing are
    escaped as well.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def say(text: str) -> None:
    """A line on standard output."""
    typer.echo(printable(text))


def show(result: Result, *, as_json: bool) -> None:
    """A result on standard output, for people or for machines."""
    if as_json:
        show_json(result.as_json())
    else:
        say(str(result))


def show_json(value: object) -> None:
    """One JSON value on standard output, in ASCII, so that no terminal or locale can spoil it."""
    typer.echo(json.dumps(value, indent=2))


def console(*, stderr: bool = False) -> Console:
    """A rich console that prints text as it is: no markup, no highlighting, and wide where no terminal is."""
    from rich.console import Console
    from rich.segment import Segment

    class Plain(Console):
        def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Iterator[Segment]:
            """What is printed, without control characters but our own."""
            for segment in super().render(renderable, options):
                yield segment if segment.control else Segment(printable(segment.text), segment.style)

        def on_broken_pipe(self) -> None:
            """Leave it to the command line, which has an exit code for it."""
            raise BrokenPipeError

    plain = Plain(stderr=stderr, markup=False, highlight=False, emoji=False, soft_wrap=True)
    if not plain.is_terminal:
        plain.width = PIPE_WIDTH
    return plain


def note(text: str) -> None:
    """A line on standard error."""
    typer.echo(printable(text), err=True)


@contextmanager
def status(what: str) -> Iterator[Callable[[str], None]]:
    """A spinner on standard error, where that is a terminal; call it with a few words about where the work is."""
    err = console(stderr=True)
    if not err.is_terminal:
        yield lambda _: None
        return
    with err.status(what) as spinner:
        yield lambda where: spinner.update(f"{what}: {where}")


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[..., None]]:
    """A bar on standard error, where that is a terminal; call it with (done, in all) and a few words, if any."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    err = console(stderr=True)
    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def tick(done: float, total: float, where: str = "") -> None:
            bar.update(task, completed=done, total=total, description=where)

        yield tick


def fail(error: ScancraftError, *, as_json: bool) -> NoReturn:
    """Print an error and leave with its exit code."""
    if as_json:
        show_json(error.as_json())
    else:
        note(f"scancraft: {one_line(str(error))}")
    raise typer.Exit(error.exit_code)


def one_line(message: str) -> str:
    """A message with its line breaks folded, except that an expression with a caret under it stays as it is."""
    lines = message.split("\n")
    if len(lines) == 3 and lines[-1].strip() == "^":
        return message
    return " ".join(line.strip() for line in lines if line.strip())
