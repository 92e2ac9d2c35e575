"""The dialects in which expressions are written: one syntax tree for all."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from ..errors import RegexSyntaxError
from .parser import parse_ast
from .pyformlang import parse_pyformlang
from .python import parse_greenery, parse_python
from .tree import Regex


class Dialect(StrEnum):
    """Whose expressions: ours (:mod:`.regex`), Python's ``re`` (under ``fullmatch``), greenery's, pyformlang's."""

    scancraft = "scancraft"
    python = "python"
    greenery = "greenery"
    pyformlang = "pyformlang"


PARSERS: dict[Dialect, Callable[[str], Regex]] = {
    Dialect.scancraft: parse_ast,
    Dialect.python: parse_python,
    Dialect.greenery: parse_greenery,
    Dialect.pyformlang: parse_pyformlang,
}


def parse_in(dialect: str, text: str) -> Regex:
    """The syntax tree of an expression.

    Raises:
        RegexSyntaxError: no such dialect, or no expression of it; the message has the position.
        AlphabetError: a symbol has a name that cannot be used.
    """
    if dialect not in PARSERS:
        raise RegexSyntaxError(f"there is no dialect {dialect!r}; the dialects are {', '.join(PARSERS)}")
    return PARSERS[Dialect(dialect)](text)
