"""The languages, words and budgets that the options of a command name."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..automata.alphabet import parse_word
from ..automata.bounded_dyck import BoundedDyck
from ..automata.budget import Budget
from ..automata.dfa import Dfa
from ..automata.errors import ScancraftError, UnknownSymbolError
from ..automata.languages import Language, as_language
from ..automata.regex.combinations import parse_combination
from ..automata.regex.regex import parse_regex
from ..compiler.manifest import Source, source
from ..suite.languages import SuiteLanguage, suite_language
from .io import ArgumentError, note


class WordsFileError(ScancraftError):
    """A file of words cannot be read."""


def budget_of(items: int | None, seconds: float | None, default: Budget | None = None) -> Budget:
    """The budget that the options name; what is not named is that of ``default``."""
    default = Budget() if default is None else default
    return Budget(default.items if items is None else items, default.seconds if seconds is None else seconds)


def read_language(file: Path | None, regex: str | None, alphabet: str | None, budget: Budget | None = None) -> Dfa:
    """A regular language: a JSON file or a regular expression.

    Raises:
        ArgumentError: none or both of ``file`` and ``regex``, or the language of the file is not regular.
        ScancraftError: the language cannot be read.
    """
    if (file is None) == (regex is None):
        raise ArgumentError("give exactly one of a JSON file and --regex")
    symbols = None if alphabet is None else alphabet.split()
    if regex is not None:
        return parse_regex(regex, symbols, budget or Budget())
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
    if sum(value is not None for value in (file, regex, named, dyck)) != 1:
        raise ArgumentError("give exactly one of a JSON file, --regex, --named and --dyck")
    if alphabet is not None and (named is not None or dyck is not None):
        raise ArgumentError("--alphabet goes with a JSON file or --regex; other languages bring their own")
    if named is not None:
        return suite_language(named).language
    if dyck is not None:
        return BoundedDyck(*_two_numbers(dyck))
    if file is not None and alphabet is None:
        return as_language(file)
    if regex is not None:
        return parse_combination(regex, None if alphabet is None else alphabet.split(), budget)
    return read_language(file, regex, alphabet, budget)


def source_of(file: Path | None, regex: str | None, named: str | None) -> Source | None:
    """How the options of ``compile`` name a language; None for a bounded Dyck language, which has a name of its own."""
    if named is not None:
        return source("suite", suite_language(named).name)
    if regex is not None:
        return source("regex", regex)
    return None if file is None else source("file", file.name)


def by_name(name: str) -> SuiteLanguage | Language:
    """A language of the suite, or the one in a JSON file: whatever is a file or ends like one.

    Raises:
        ScancraftError: the suite has none of this name, or the file cannot be read.
    """
    if name.endswith(".json") or Path(name).is_file():
        return as_language(Path(name))
    return suite_language(name)


def compared_language(file: Path | None, regex: str | None, alphabet: Sequence[str]) -> Language | None:
    """The language that ``--language`` or ``--regex`` names instead of a checkpoint's own; None if neither does.

    Raises:
        ArgumentError: both do.
        ScancraftError: the language cannot be read.
    """
    if file is not None and regex is not None:
        raise ArgumentError("give at most one of --language and --regex")
    if file is not None:
        return as_language(file)
    return None if regex is None else read_language(None, regex, " ".join(alphabet))


def _two_numbers(text: str) -> tuple[int, int]:
    try:
        first, second = (int(part) for part in text.split(","))
    except ValueError:
        raise ArgumentError(
            f"--dyck {text!r} is not K,h; give the kinds of brackets and the depth, as in 8,10"
        ) from None
    return first, second


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
