"""What the commands share: reading languages and words, printing tables, JSON and errors."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from ..automata.alphabet import parse_word
from ..automata.budget import Budget
from ..automata.errors import ScancraftError, UnknownSymbolError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ..automata.dfa import Dfa
    from ..automata.languages import Language

PIPE_WIDTH = 160
"""Columns of a table that goes to a file or a pipe."""


class ArgumentError(ScancraftError):
    """Arguments of the command line that do not go together."""


class WordsFileError(ScancraftError):
    """A file of words cannot be read."""


class FileAccessError(ScancraftError):
    """The operating system refused a file."""


# -- in --------------------------------------------------------------------------------------------------------------


def read_language(file: Path | None, regex: str | None, alphabet: str | None, budget: Budget) -> Dfa:
    """The language that the options of a command name.

    Raises:
        ArgumentError: none or both of ``file`` and ``regex``.
        ScancraftError: the language cannot be read.
    """
    if (file is None) == (regex is None):
        raise ArgumentError("give exactly one of a JSON file and --regex")
    symbols = None if alphabet is None else alphabet.split()
    if regex is not None:
        from ..automata.regex.regex import parse_regex

        return parse_regex(regex, symbols, budget)
    from ..automata.dfa import Dfa
    from ..automata.languages import as_language

    assert file is not None
    language = as_language(file)
    if not isinstance(language, Dfa):
        raise ArgumentError(f"{file} describes {type(language).__name__}, but a regular language is needed here")
    return language if symbols is None else language.over(symbols)


def choose_language(
    file: Path | None, regex: str | None, named: str | None, dyck: str | None, alphabet: str | None, budget: Budget
) -> Language:
    """The language that the options of ``compile`` name, of any kind.

    Raises:
        ArgumentError: not exactly one of them, or an alphabet for a language that brings its own.
        ScancraftError: the language cannot be read.
    """
    given = [file, regex, named, dyck]
    if sum(value is not None for value in given) != 1:
        raise ArgumentError("give exactly one of a JSON file, --regex, --named and --dyck")
    if alphabet is not None and (named is not None or dyck is not None):
        raise ArgumentError("--alphabet goes with a JSON file or --regex; other languages bring their own")
    if named is not None:
        from ..suite.languages import suite_language

        return suite_language(named).language
    if dyck is not None:
        from ..automata.bounded_dyck import BoundedDyck

        return BoundedDyck(*_two_numbers(dyck))
    if file is not None and alphabet is None:
        from ..automata.languages import as_language

        return as_language(file)
    return read_language(file, regex, alphabet, budget)


def compared_language(file: Path | None, regex: str | None, alphabet: Sequence[str]) -> Language:
    """The language that ``--language`` or ``--regex`` names instead of a checkpoint's own."""
    if file is not None:
        from ..automata.languages import as_language

        return as_language(file)
    return read_language(None, regex, " ".join(alphabet), budget_of(None, None))


def _two_numbers(text: str) -> tuple[int, int]:
    try:
        first, second = (int(part) for part in text.split(","))
    except ValueError:
        raise ArgumentError(
            f"--dyck {text!r} is not K,h; give the kinds of brackets and the depth, as in 8,10"
        ) from None
    return first, second


def budget_of(items: int | None, seconds: float | None) -> Budget:
    """The budget that the options name; what is not named keeps its default."""
    default = Budget()
    return Budget(default.items if items is None else items, default.seconds if seconds is None else seconds)


def read_words(words: list[str] | None, file: Path | None, alphabet: Iterable[str]) -> list[tuple[str, ...]]:
    """Words from the arguments, a file, or standard input: one a line, an empty line is the empty word.

    Raises:
        ArgumentError: both arguments and a file.
        WordsFileError: the file cannot be read, or is not UTF-8.
        UnknownSymbolError: a word holds something that is not a symbol.
    """
    symbols = tuple(alphabet)
    if words and file is not None:
        raise ArgumentError("give words as arguments or with --file, not both")
    if words:
        return [parse_word(text, symbols) for text in words]
    where = "standard input" if file is None else str(file)
    if file is None and sys.stdin.isatty():
        note("reading words, one a line; end with Ctrl-D")
    try:
        raw = sys.stdin.buffer.read() if file is None else file.read_bytes()
        lines = raw.decode("utf-8-sig").split("\n")
    except OSError as error:
        raise WordsFileError(f"{where}: cannot be read ({error.strerror}); check the path") from None
    except UnicodeDecodeError as error:
        raise WordsFileError(f"{where}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    if not lines[-1]:
        lines.pop()  # what follows the last line break is no line
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(parse_word(line, symbols))
        except UnknownSymbolError as error:
            raise UnknownSymbolError(f"{where}, line {number}: {error}") from None
    return found


# -- out -------------------------------------------------------------------------------------------------------------


def console(*, stderr: bool = False) -> Console:
    """A rich console that prints text as it is: no markup, no highlighting, and wide where no terminal is."""
    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            """Leave it to the command line, which has an exit code for it."""
            raise BrokenPipeError

    plain = Plain(stderr=stderr, markup=False, highlight=False, emoji=False, soft_wrap=True)
    if not plain.is_terminal:
        plain.width = PIPE_WIDTH
    return plain


def note(text: str) -> None:
    """A line on standard error."""
    typer.echo(text, err=True)


def busy(what: str) -> AbstractContextManager[Any]:
    """A spinner on standard error while something takes long; nothing where no terminal is."""
    err = console(stderr=True)
    return err.status(what) if err.is_terminal else nullcontext()


@contextmanager
def status(what: str) -> Iterator[Callable[[str], None]]:
    """Like :func:`busy`; call what it gives with a few words about where the work is."""
    err = console(stderr=True)
    if not err.is_terminal:
        yield lambda _: None
        return
    with err.status(what) as spinner:
        yield lambda where: spinner.update(f"{what}: {where}")


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error while words are tried, where that is a terminal; call it with (done, in all)."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    err = console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("words"), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def show_json(value: object) -> None:
    """One JSON value on standard output, in ASCII, so that no terminal or locale can spoil it."""
    typer.echo(json.dumps(value, indent=2))


def facts_table(facts: dict[str, object]) -> Table:
    """Two columns: what, and how much."""
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), Text(f"{value:,}" if isinstance(value, int | float) else str(value)))
    return table


def symbol_list(tokens: Iterable[str]) -> str:
    """Tokens for people; a dash if there are none."""
    return " ".join(tokens) or "-"


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
