"""Expressions as pyformlang's ``Regex`` writes them: textbook operators over symbols of any length.

``a b`` and ``a.b`` one after the other, ``a|b`` and ``a+b`` either, ``a*`` repetition, ``epsilon`` and ``$`` the empty
word; blanks part symbols, so ``ab`` is one symbol. A backslash before a symbol takes its first character as it is.
"""

from __future__ import annotations

from functools import cache

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, UnexpectedToken, v_args

from ..errors import AlphabetError, RegexSyntaxError
from .parser import located
from .tree import Alternation, Concat, Epsilon, Regex, Repeat, Symbol

_GRAMMAR = r"""
?start: union
?union: concat (("|" | "+") concat)*
?concat: factor ("."? factor)*
?factor: atom | factor "*" -> star
?atom: "(" union ")" | EPSILON -> epsilon | SYMBOL -> symbol
EPSILON.2: /(epsilon(?![^ .|+*()$])|\$)/
SYMBOL: /(\\[\s\S]|[^ .|+*()$\\])[^ .|+*()$\\]*(?!\\)/
%ignore / +/
"""


@v_args(inline=True)
class _ToTree(Transformer[Token, Regex]):
    """Builds the tree while parsing."""

    def union(self, *parts: Regex) -> Regex:
        return Alternation(parts)

    def concat(self, *parts: Regex) -> Regex:
        return Concat(parts)

    def star(self, inner: Regex) -> Regex:
        return Repeat(inner, 0, None)

    def epsilon(self, _: Token) -> Regex:
        return Epsilon()

    def symbol(self, token: Token) -> Regex:
        return Symbol(token[1:] if token[0] == "\\" else str(token))


@cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", transformer=_ToTree())


def parse_pyformlang(text: str) -> Regex:
    """Parse an expression in pyformlang's dialect. O(length).

    >>> parse_pyformlang("push (a+b)* . $")
    parse_ast("'push'(a|b)*()")

    Raises:
        RegexSyntaxError: no expression of this dialect; the message has the position.
        AlphabetError: a symbol has a name that cannot be used.
    """
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        ended = isinstance(error, UnexpectedToken) and error.token.type == "$END"
        position = len(text) if ended else error.pos_in_stream or 0
        found = f"unexpected {text[position : position + 1]!r}" if position < len(text) else "unexpected end"
        hint = "; a backslash stands before a whole symbol" if isinstance(error, UnexpectedCharacters) else ""
        raise RegexSyntaxError(located(text, position, f"{found} of the expression{hint}")) from None
    except AlphabetError as error:
        raise AlphabetError(f"{error} (in {text[:60]!r})") from None
    assert isinstance(tree, Regex)
    return tree
