"""The language that a command is about: one group of options for all commands; and words and budgets.

A command that takes a language has a parameter ``language: LanguageOptions`` and is decorated with :func:`about` (the
language is an argument) or :func:`compared` (it is an option beside a model that has a language of its own).
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from ..automata.alphabet import parse_alphabet, parse_word
from ..automata.bare import misread
from ..automata.bounded_dyck import BoundedDyck
from ..automata.budget import DEFAULT_BUDGET, Budget
from ..automata.copying.language import copying
from ..automata.dfa import Dfa
from ..automata.errors import ScancraftError, UnknownLanguageError, UnknownSymbolError
from ..automata.formats.registry import FORMATS, format_of_name, read_machine
from ..automata.languages import Language, as_language
from ..automata.logic.ltl import ltl
from ..automata.named import LANGUAGES, name_of, named
from ..automata.regex.combinations import regex
from ..automata.regex.dialects import Dialect
from .io import ArgumentError, note


class WordsFileError(ScancraftError):
    """A file of words cannot be read."""


class Judged(StrEnum):
    """Where a formula is judged."""

    first = "first"
    last = "last"


WAYS = "LANGUAGE, --regex, --ltl, --named, --dyck and --copying"
PANEL = "The language"


@dataclass(frozen=True)
class LanguageOptions:
    """What the options say about the language.

    Attributes:
        place: a file, a name of the suite, or a checkpoint (whose language it is).
        regex: a regular expression.
        ltl: a formula of temporal logic.
        named: a name of the suite.
        dyck: the kinds of brackets and the depth, as in ``8,10``.
        copying: how many letters, and how many of them a word may have, as in ``2,16``.
        alphabet: symbols of an expression or of a file, or brackets in pairs, separated by spaces.
        dialect: whose expression it is; ours by default.
        format: the format of the file; by default it is recognised.
        propositions: of a formula: atoms are these, separated by commas; ``formula`` takes those that it names.
        at: where a formula is judged, if not where its operators say.
    """

    place: str | None = None
    regex: str | None = None
    ltl: str | None = None
    named: str | None = None
    dyck: str | None = None
    copying: str | None = None
    alphabet: str | None = None
    dialect: Dialect | None = None
    format: str | None = None
    propositions: str | None = None
    at: Judged | None = None

    @property
    def name(self) -> str | None:
        """The name of the suite that was given, as the suite has it."""
        if self.place is not None and not is_file(self.place):
            return name_of(self.place)
        return None if self.named is None else name_of(self.named)

    def read(self, budget: Budget = DEFAULT_BUDGET) -> Language:
        """The language.

        Raises:
            ArgumentError: none, or more than one, is named.
            ScancraftError: it cannot be read.
        """
        found = self.read_if_given(budget=budget)
        if found is None:
            raise ArgumentError(f"no language is named; give exactly one of {WAYS}")
        return found

    def read_if_given(self, alphabet: Sequence[str] | None = None, budget: Budget = DEFAULT_BUDGET) -> Language | None:
        """The language, an expression being over ``alphabet`` if no other is given; None if none is named.

        Raises:
            ArgumentError: more than one is named, or an alphabet for a language that brings its own.
            ScancraftError: it cannot be read.
        """
        ways = (self.place, self.regex, self.ltl, self.named, self.dyck, self.copying)
        given = [text for text in ways if text is not None]
        if len(given) > 1:
            raise ArgumentError(f"{' and '.join(map(repr, given))} name two languages; give exactly one of {WAYS}")
        symbols = self.symbols
        if self.ltl is None and (self.propositions, self.at) != (None, None):
            raise ArgumentError("--propositions and --at go with --ltl")
        if self.regex is not None:
            if self.dialect is None and (doubt := misread(self.regex)) is not None:
                note(f"scancraft: warning: {doubt}; --dialect python reads expressions as Python does")
            return regex(self.regex, symbols or alphabet, budget, self.dialect or Dialect.scancraft)
        own = self.place is not None and is_file(self.place)
        if self.ltl is not None and self.dialect is None and self.format is None:
            return self._formula(self.ltl, symbols, alphabet, budget)
        if self.dialect is not None:
            raise ArgumentError("--dialect goes with --regex")
        if self.format is not None and not own:
            raise ArgumentError("--format goes with a file")
        if symbols is not None and not own and self.dyck is None:
            raise ArgumentError("--alphabet goes with --regex, --ltl, --dyck or a file; others bring their own")
        if self.named is not None:
            return named(self.named)
        if self.dyck is not None:
            sizes = _two_numbers(self.dyck, "dyck", "K,h; give the kinds of brackets and the depth, as in 8,10")
            if len(symbols or ()) % 2:
                raise ArgumentError("--alphabet lists brackets in pairs, each opening one before its closing one")
            named_so = tuple(zip((symbols or ())[::2], (symbols or ())[1::2], strict=True))
            return BoundedDyck(*sizes, named_so)
        if self.copying is not None:
            about = "K,n; give how many letters there are, and how many a word may have, as in 2,16"
            return copying(*_two_numbers(self.copying, "copying", about))
        return None if self.place is None else _over(language_at(self.place, self.format, budget), symbols)

    def _formula(
        self, text: str, symbols: Sequence[str] | None, alphabet: Sequence[str] | None, budget: Budget
    ) -> Language:
        at = None if self.at is None else self.at.value
        if self.propositions is None:
            return ltl(text, symbols or alphabet, budget, at=at)
        names = [] if self.propositions == "formula" else self.propositions.split(",")
        return ltl(text, symbols, budget, propositions=names, at=at)

    @property
    def symbols(self) -> tuple[str, ...] | None:
        """The symbols that ``--alphabet`` names."""
        return None if self.alphabet is None else parse_alphabet(self.alphabet)


def is_file(place: str | Path) -> bool:
    """Whether a place is meant as a file or a folder, rather than a name of the suite."""
    place = str(place)
    return "/" in place or format_of_name(place) is not None or Path(place).exists()


def language_at(place: str, format: str | None, budget: Budget) -> Language:
    """The language of the suite with this name, or the one in a file or a checkpoint."""
    if not is_file(place):
        if name_of(place) is None:
            raise UnknownLanguageError(
                f"no file and no language of the suite is called {place!r}; an expression is given with "
                f"--regex, and the suite has {', '.join(LANGUAGES)}"
            )
        return named(place)
    if Path(place).is_dir():
        from ..compiler.checkpoints import load  # imports torch

        return load(place).language.told("file", Path(place).name)
    known = as_language(Path(place), budget) if format is None else None
    language = read_machine(place, format=format, budget=budget) if known is None else known
    if isinstance(language, Dfa) and language.is_empty():
        note(f"scancraft: warning: {place} accepts no word (it has no accepting state that can be reached)")
    return language


def _over(language: Language, symbols: Sequence[str] | None) -> Language:
    """The language over more symbols, or the same in another order."""
    if symbols is None:
        return language
    if not isinstance(language, Dfa):
        raise ArgumentError(f"--alphabet goes with a DFA, and the file has a {type(language).__name__}; drop it")
    larger = language.over(symbols)
    return larger if language.source is None else larger.told(*language.source)


def _two_numbers(text: str, option: str, wanted: str) -> tuple[int, int]:
    try:
        first, second = (int(part) for part in text.split(","))
    except ValueError:
        raise ArgumentError(f"--{option} {text!r} is not {wanted}") from None
    return first, second


# -- the options ---------------------------------------------------------------------------------------------------

PLACE_HELP = "A file (JSON, or an automaton of another tool), a name of the suite, or a checkpoint."
ARGUMENT = Annotated[str | None, typer.Argument(metavar="LANGUAGE", help=PLACE_HELP, show_default=False)]
OPTION = Annotated[
    str | None,
    typer.Option(
        "--language", metavar="LANGUAGE", help=f"Instead of the model's own. {PLACE_HELP}", rich_help_panel=PANEL
    ),
]
SHARED: dict[str, Any] = {
    "regex": Annotated[
        str | None, typer.Option("--regex", metavar="R", help="A regular expression.", rich_help_panel=PANEL)
    ],
    "ltl": Annotated[
        str | None,
        typer.Option(
            "--ltl", metavar="FORMULA", help="A formula of LTLf or past LTL: 'G(p -> F q)'.", rich_help_panel=PANEL
        ),
    ],
    "named": Annotated[
        str | None,
        typer.Option(
            "--named", metavar="NAME", help="A name of the suite: D-12, Shuffle-2, 'a^n b^n'.", rich_help_panel=PANEL
        ),
    ],
    "dyck": Annotated[
        str | None,
        typer.Option("--dyck", metavar="K,h", help="K kinds of brackets, at most h deep.", rich_help_panel=PANEL),
    ],
    "copying": Annotated[
        str | None,
        typer.Option(
            "--copying", metavar="K,n", help="A word over K letters, at most n, and its copy.", rich_help_panel=PANEL
        ),
    ],
    "alphabet": Annotated[
        str | None,
        typer.Option(
            "--alphabet",
            metavar="SYMBOLS",
            help="The symbols of an expression, a formula or a file, or brackets in pairs, separated by spaces; a "
            "blank is written \\x20.",
            rich_help_panel=PANEL,
        ),
    ],
    "dialect": Annotated[
        Dialect | None,
        typer.Option("--dialect", help="Whose expression; python: that of re, the whole word.", rich_help_panel=PANEL),
    ],
    "format": Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help=f"Insist on the format of the file: {', '.join(f.name for f in FORMATS)}.",
            rich_help_panel=PANEL,
        ),
    ],
    "propositions": Annotated[
        str | None,
        typer.Option(
            "--propositions",
            metavar="P,Q",
            help="Of a formula: letters are sets of these, {p,q}; formula: of those that it names.",
            rich_help_panel=PANEL,
        ),
    ],
    "at": Annotated[
        Judged | None,
        typer.Option(
            "--at", help="Where a formula is judged; by default last if it only looks back.", rich_help_panel=PANEL
        ),
    ],
}

Command = Callable[..., None]


def about(command: Command) -> Command:
    """A command about a language, which is its argument or one of the options."""
    return _with_options(command, ARGUMENT)


def compared(command: Command) -> Command:
    """A command about a model, which may be compared with another language than its own."""
    return _with_options(command, OPTION)


def _with_options(command: Command, place: Any) -> Command:
    """The command with an option for each field of :class:`LanguageOptions` in place of its parameter ``language``."""
    kinds: dict[str, Any] = {"place": place} | SHARED
    names = [field.name for field in fields(LanguageOptions)]
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name == "language":
            keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD
            parameters += [inspect.Parameter(n, keyword, default=None, annotation=kinds[n]) for n in names]
        else:
            parameters.append(parameter.replace(annotation=hints[parameter.name]))

    def run(**given: Any) -> None:
        command(language=LanguageOptions(*(given.pop(name) for name in names)), **given)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


# -- words and budgets ---------------------------------------------------------------------------------------------


def budget_of(items: int | None, seconds: float | None, default: Budget | None = None) -> Budget:
    """The budget that the options name; what is not named is that of ``default``. Its time runs from now on."""
    default = Budget() if default is None else default
    limits = Budget(default.items if items is None else items, default.seconds if seconds is None else seconds)
    return limits.running()


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
