"""A bare string as a language: a regular expression, unless it may be meant as something else.

``"D-2"`` is a language of the suite and a word of three symbols, ``"out/d2.json"`` a file and a word of eleven. A
string that may be more than one thing is refused, with how to write each of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from .budget import DEFAULT_BUDGET, Budget
from .combination import Combination
from .dfa import Dfa
from .errors import AmbiguousLanguageError, ScancraftError
from .named import name_of, named
from .regex.combinations import regex

SET_APART = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\\.|\[(?:\\.|[^][\\])*\]|\{[0-9, ]*\}""")
"""Quoted symbols, escapes, classes and bounds: whatever stands there was written as an expression on purpose."""

FILE = re.compile(r"/|\w\.(json|jff|dot|gv|hoa|mata|vtf|tmb|timbuk|fsm|att|fst|txt|xml)$")
SELDOM = re.compile(r"[-_,;:=<>#@%!]")
TWO_NAMES = re.compile(r"(?<!\w)(\w)(?!\1+\b)\w{2,}\s+(\w)(?!\2+\b)\w{2,}")
"""Two words of three letters or more, not all the same, with a space between them."""
QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")
OPERATORS = frozenset("[]()*+?|")

SPACES = "spaces mean nothing in"


def bare(text: str, alphabet: Sequence[str] | None = None, budget: Budget = DEFAULT_BUDGET) -> Dfa | Combination:
    """The language of a string that is given for one, with nothing that says what it is.

    Raises:
        AmbiguousLanguageError: it is a name of the suite, looks like a path, or has what expressions seldom have.
        ScancraftError: otherwise as :func:`.regex.combinations.regex`.

    >>> bare("(ab)*").accepts("abab")
    True
    """
    plain = SET_APART.sub("", text)
    if (name := name_of(text)) is not None:
        if not _means(text, name):
            _refuse(text, f"{text} is a language of the suite: scancraft.named({_quoted(name)})")
    elif FILE.search(plain):
        _refuse(text, f"{text} looks like a path: pathlib.Path({_quoted(text)})")
    elif found := SELDOM.search(plain):
        _refuse(text, f"{text} has {found[0]!r}, which is seldom in expressions, and is no language of the suite")
    elif TWO_NAMES.search(plain):
        _refuse(text, f"{SPACES} {text}; symbols of several characters stand in quotes: 'push' 'pop'")
    return regex(text, alphabet, budget)


def misread(text: str) -> str | None:
    """What an expression of ours means that somebody may not have meant who knows those of Python's ``re``, if any.

    >>> misread("the cat"), misread("a b")
    ('spaces mean nothing in the cat', None)
    """
    plain = SET_APART.sub("", text)
    if TWO_NAMES.search(plain):
        return f"{SPACES} {text}"
    if plain.startswith("~/"):
        return f"~ is the complement in {text}"
    if QUOTED.fullmatch(text) and OPERATORS & set(text):
        return f"{text} is one symbol, in quotes"
    return None


def _means(text: str, name: str) -> bool:
    """Whether the text, as an expression, is the language of this name, so that nothing depends on what was meant."""
    try:
        return bool(named(name) == regex(text))
    except ScancraftError:
        return False


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _refuse(text: str, what: str) -> None:
    raise AmbiguousLanguageError(f"{what}; as an expression: scancraft.regex({_quoted(text)})")
