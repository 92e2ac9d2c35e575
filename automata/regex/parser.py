"""Text -> syntax tree: the grammar is in ``regex.lark``; here are its actions and the messages of syntax errors."""

from __future__ import annotations

from functools import cache
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, UnexpectedToken, v_args

from ..errors import AlphabetError, RegexSyntaxError, ScancraftError
from .tree import (
    Alternation,
    AnySymbol,
    CharClass,
    Complement,
    Concat,
    Empty,
    Epsilon,
    Intersection,
    Range,
    Regex,
    Repeat,
    Shorthand,
    Symbol,
)


def parse_ast(text: str) -> Regex:
    """Parse an expression. O(length).

    >>> parse_ast("a (b|'push')* & ~∅")
    parse_ast("a(b|'push')*&~∅")

    Raises:
        RegexSyntaxError: the text is not an expression; the message has the position (counted from 0), a caret
            under the place, and what could stand there.
        AlphabetError: a quoted symbol has a name that cannot be used.
    """
    try:
        ast = _parser().parse(text)
    except _LocatedError as error:
        raise type(error.cause)(located(text, error.position, str(error.cause))) from error.cause
    except UnexpectedInput as error:
        position = _position(text, error)
        raise RegexSyntaxError(located(text, position, _complaint(text, position, error))) from None
    assert isinstance(ast, Regex)
    return ast


class _LocatedError(Exception):
    """An error of a node's constructor, with the place in the text."""

    def __init__(self, cause: ScancraftError, token: Token) -> None:
        self.cause, self.position = cause, token.start_pos or 0


@v_args(inline=True)
class _ToAst(Transformer[Token, Any]):
    """Builds the tree while parsing, one method per rule of the grammar."""

    complement, epsilon, empty, any_symbol = Complement, Epsilon, Empty, AnySymbol

    def alternation(self, *parts: Regex) -> Regex:
        return Alternation(parts)

    def intersection(self, *parts: Regex) -> Regex:
        return Intersection(parts)

    def concat(self, *parts: Regex) -> Regex:
        return Concat(parts)

    def star(self, inner: Regex) -> Regex:
        return Repeat(inner, 0, None)

    def plus(self, inner: Regex) -> Regex:
        return Repeat(inner, 1, None)

    def optional(self, inner: Regex) -> Regex:
        return Repeat(inner, 0, 1)

    def exactly(self, inner: Regex, count: Token) -> Regex:
        return Repeat(inner, _bound(count), _bound(count))

    def at_least(self, inner: Regex, least: Token) -> Regex:
        return Repeat(inner, _bound(least), None)

    def at_most(self, inner: Regex, most: Token) -> Regex:
        return Repeat(inner, 0, _bound(most))

    def between(self, inner: Regex, least: Token, most: Token) -> Regex:
        try:
            return Repeat(inner, _bound(least), _bound(most))
        except RegexSyntaxError as error:
            raise _LocatedError(error, least) from None

    def shorthand(self, token: Token) -> Regex:
        return Shorthand(token[1])

    def symbol(self, token: Token) -> Symbol:
        try:
            return Symbol(_name(token))
        except AlphabetError as error:
            raise _LocatedError(error, token) from None

    def range(self, first: Token, last: Token) -> Range:
        try:
            return Range(_name(first), _name(last))
        except ScancraftError as error:
            raise _LocatedError(error, first) from None

    def char_class(self, *items: Token | Symbol | Range | Shorthand) -> Regex:
        negated = bool(items) and isinstance(items[0], Token) and items[0].type == "FIRST_CARET"
        members = tuple(self.symbol(item) if isinstance(item, Token) else item for item in items[negated:])
        return CharClass(members, negated) if members or negated else Empty()


@cache
def _parser() -> Lark:
    return Lark.open("regex.lark", rel_to=__file__, parser="lalr", transformer=_ToAst())


_CONTROL = {"t": "\t", "n": "\n", "r": "\r"}
"""What letters after a backslash stand for."""


def _name(token: Token) -> str:
    """The symbol that a token stands for."""
    if token.type == "ESCAPE":
        return _CONTROL.get(token[1], token[1])
    if token.type != "QUOTED":
        return str(token)
    out, inside = [], iter(token[1:-1])
    for ch in inside:
        if ch == "\\" and (ch := _CONTROL.get(letter := next(inside), letter)) not in "\\'\"\t\n\r":
            raise _LocatedError(
                RegexSyntaxError(
                    f"unknown escape \\{ch} in a quoted symbol; \\\\, \\', \\\", \\t, \\n and \\r are used there"
                ),
                token,
            )
        out.append(ch)
    if not out:
        raise _LocatedError(RegexSyntaxError("a quoted symbol is empty; write () for the empty word"), token)
    return "".join(out)


def _bound(token: Token) -> int:
    # Python refuses to read numbers of thousands of digits; nothing past 20 digits fits any budget anyway.
    if len(token.lstrip("0")) > 20:
        raise _LocatedError(RegexSyntaxError(f"the repetition bound has {len(token)} digits; use a smaller one"), token)
    return int(token)


# -- syntax errors -----------------------------------------------------------------------------------------------

_STARTERS = {"CHAR", "ESCAPE", "QUOTED", "SHORTHAND", "LPAR", "LSQB", "DOT", "TILDE"}
_PHRASES = {"INT": "a number", "COMMA": "','", "RBRACE": "'}'", "RPAR": "')'", "RSQB": "']'"}
_PHRASES |= {"VBAR": "'|'", "STAR": "a repetition (* + ? {m,n})", "$END": "the end"}


def _position(text: str, error: UnexpectedInput) -> int:
    at_end = isinstance(error, UnexpectedToken) and error.token.type == "$END"
    return len(text) if at_end else error.pos_in_stream or 0


def located(text: str, position: int, complaint: str) -> str:
    """The message with the position, the stretch of the expression around the position, and a caret under it."""
    start = max(0, position - 40)
    window = "".join(" " if ch.isspace() else ch for ch in text[start : position + 30])
    return f"{complaint} (at position {position})\n    {window}\n    {' ' * (position - start)}^"


def _complaint(text: str, position: int, error: UnexpectedInput) -> str:
    """What is wrong at ``position`` and what could stand there."""
    if not text.strip():
        return "the expression is empty; write () for the empty word or [] for the empty set"
    found = text[position : position + 1]
    if isinstance(error, UnexpectedCharacters):
        # The lexer falls back on all terminals at once, so only these two cannot be read anywhere.
        if found == "\\":
            escape = text[position : position + 2].rstrip()
            return f"unknown escape {escape}; a backslash goes before d, w, D, W or before a character such as * or ("
        return f"the quote {found} is not closed"
    if found in ("+", "?") and text[:position].rstrip()[-1:] in ("*", "+", "?", "}"):
        return (
            f"{found!r} after a repetition: in Python's re that is a lazy or possessive form; put the inner repetition "
            'in a group, (r*)?, or say dialect="python"'
        )
    wanted = error.accepts if isinstance(error, UnexpectedToken) else set()
    expected = [phrase for name, phrase in _PHRASES.items() if name in wanted]
    in_class = "CLASS_CHAR" in wanted
    if in_class:
        expected.insert(0, "a symbol")
    elif wanted >= _STARTERS:
        expected.insert(0, "an expression")
    what = f"unexpected {found!r}" if found else "unexpected end of the expression"
    hint = ""
    if in_class and found:
        hint = f"; for the symbol itself write \\{found}"
    elif found in ("^", "$"):
        hint = f"; there are no anchors, the whole word has to match; for the symbol itself write \\{found}"
    elif found == ")" and wanted == {"$END"}:
        hint = "; no '(' is open here; for the symbol itself write \\)"
    return f"{what}: expected {_either(expected)}{hint}"


def _either(phrases: list[str]) -> str:
    return " or ".join([", ".join(phrases[:-1]), phrases[-1]] if len(phrases) > 1 else phrases)
