"""Text -> formula: the grammar is in ``ltl.lark``; here are its actions and the messages of syntax errors."""

from __future__ import annotations

import re
from functools import cache

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, UnexpectedToken, v_args

from ..errors import LtlSyntaxError
from ..regex.parser import located
from .tree import DEEPEST, FUTURE, PAST, Atom, Constant, Formula, Operation


def parse_formula(text: str) -> Formula:
    """Parse a formula. O(length).

    The spellings are those of SPOT, LTLf2DFA and the literature:

    ========================  =====================================================================
    ``! & | -> <-> ^``        also ``~``, ``&&``, ``||``, ``=>``, ``<=>``, ``not and or implies iff xor``
    ``X N F G``               next, weak next, eventually, always; also ``X[!]``, ``WX``, ``<>``, ``[]``
    ``U R W M``               until, release, weak until, strong release
    ``Y Z O H``               yesterday, weak yesterday, once, historically
    ``S T``                   since, triggered (its dual)
    ``true false first last`` also ``tt``, ``ff``
    ========================  =====================================================================

    and in words: ``always (request implies eventually grant)``. All else is an atom; one that would be read as an
    operator or is no word is quoted: ``'X'``, ``"("``.

    >>> print(parse_formula("G(p -> Fq) && historically !'('"))
    G (p -> F q) & H !'('

    Raises:
        LtlSyntaxError: the text is no formula, or operators stand too deeply inside each other; the message has the
            position (counted from 0), a caret under the place, and what could stand there.
    """
    try:
        formula = _parser().parse(text)
    except _LocatedError as error:
        raise LtlSyntaxError(located(text, error.position, str(error))) from None
    except UnexpectedInput as error:
        at_end = isinstance(error, UnexpectedToken) and error.token.type == "$END"
        position = len(text) if at_end else error.pos_in_stream or 0
        raise LtlSyntaxError(located(text, position, _complaint(text, position, error))) from None
    assert isinstance(formula, Constant | Atom | Operation)
    return formula


class _LocatedError(Exception):
    """What is wrong at a place in the text."""

    def __init__(self, reason: str, token: Token) -> None:
        super().__init__(reason)
        self.position = token.start_pos or 0


_SIGNS = {
    **{"NOT": "!", "AND": "&", "OR": "|", "XOR": "^", "IMPLIES": "->", "IFF": "<->"},
    **{name.upper().replace(" ", "_"): sign for sign, name in (FUTURE | PAST).items()},
    "TRIGGERED": "T",
}
_CONTROL = {"t": "\t", "n": "\n", "r": "\r"}


@v_args(inline=True)
class _ToFormula(Transformer[Token, Formula]):
    """Builds the formula while parsing, one method per rule of the grammar."""

    def constant(self, token: Token) -> Formula:
        return Constant(token.type.lower())

    def symbol(self, token: Token) -> Formula:
        if token.type == "NAME":
            return Atom(str(token))
        name = re.sub(r"\\(.)", lambda e: _CONTROL.get(e[1], e[1]), token[1:-1], flags=re.DOTALL)
        if not name:
            raise _LocatedError("a quoted symbol is empty", token)
        return Atom(name)

    def unary(self, token: Token, inner: Formula) -> Formula:
        return _operation(token, (inner,))

    def binary(self, left: Formula, token: Token, right: Formula) -> Formula:
        return _operation(token, (left, right))

    def disjunction(self, *items: Formula | Token) -> Formula:
        return _nary(items)

    conjunction = disjunction


def _nary(items: tuple[Formula | Token, ...]) -> Formula:
    tokens = [item for item in items if isinstance(item, Token)]
    return _operation(tokens[0], tuple(item for item in items if not isinstance(item, Token)))


def _operation(token: Token, parts: tuple[Formula, ...]) -> Operation:
    found = Operation(_SIGNS[token.type], parts, (token.start_pos or 0) + 1)
    if found.depth > DEEPEST:
        raise _LocatedError(f"operators stand more than {DEEPEST} deep inside each other", token)
    return found


@cache
def _parser() -> Lark:
    return Lark.open("ltl.lark", rel_to=__file__, parser="lalr", transformer=_ToFormula())


_CAPITAL = re.compile(r"[FGHMNORSTUWXYZ]")


def _complaint(text: str, position: int, error: UnexpectedInput) -> str:
    """What is wrong at ``position``, and what could stand there."""
    if not text.strip():
        return "the formula is empty; write true for all words or false for none"
    found = text[position : position + 1]
    wanted: set[str] = set()
    if isinstance(error, UnexpectedToken):
        wanted = error.accepts or set()
    elif isinstance(error, UnexpectedCharacters):
        wanted = set(error.allowed or ())
        if found in "'\"":
            return f"the quote {found} is not closed"
    is_open = text[:position].count("(") > text[:position].count(")")
    close = "')'" if is_open else "the end"
    expected = "a formula" if "NAME" in wanted else f"an operator between two formulas or {close}"
    hint = ""
    if _CAPITAL.match(found):
        hint = f"; {found} is an operator, for the symbol write '{found}'"
    elif found == ")" and "NAME" not in wanted:
        hint = "; no '(' is open here"
    elif found and not found.isalnum() and "NAME" in wanted:
        hint = f"; for the symbol itself write '{found}'"
    what = f"unexpected {found!r}" if found else "unexpected end of the formula"
    return f"{what}: expected {expected}{hint}"
