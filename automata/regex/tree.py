"""The syntax trees of regular expressions, which print as expressions that parse back to them."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from ..alphabet import check_alphabet
from ..errors import RegexSyntaxError

_OUTSIDE_META = frozenset("|&~*+?{}()[].\\'\"ε∅^$")
_CLASS_META = frozenset("[]\\'\"ε∅-^")
_ASCII = {
    "d": frozenset(string.digits),
    "w": frozenset(string.ascii_letters + string.digits + "_"),
    "s": frozenset(" \t\n\r\f\v"),
    "n": frozenset("\n"),
}
_UNICODE: dict[str, Callable[[str], bool]] = {
    "d": str.isdecimal,
    "w": lambda ch: ch.isalnum() or ch == "_",
    "s": str.isspace,
}


@dataclass(frozen=True, eq=False, repr=False)
class Regex:
    """A node of the syntax tree; ``str`` prints it as an expression that parses back to an equal tree.

    Two trees are equal iff they print alike (the printed form says everything). O(size) to print or compare.
    """

    binding: ClassVar[int] = 5  # how tightly the outermost operator binds: 0 for ``|`` up to 5 for an atom

    @property
    def children(self) -> tuple[Regex, ...]:
        """The direct subexpressions."""
        match self:
            case _Nary(parts):
                return parts
            case Complement(inner) | Repeat(inner):
                return (inner,)
        return ()

    def pieces(self) -> list[str | Regex]:
        """What to print, from left to right: text and subexpressions."""
        match self:
            case _Sign():
                return [self.sign]
            case Symbol(name):
                return [_quote(name, _OUTSIDE_META)]
            case Shorthand(letter, unicode):
                return [f"(?u:\\{letter})" if unicode else "\\" + letter]
            case Anchor(where):
                return [{"start": "^", "end": "\\Z"}.get(where, "$")]
            case CharClass(items, negated):
                inside = [_quote(item.name, _CLASS_META) if isinstance(item, Symbol) else str(item) for item in items]
                return ["[^" if negated else "[", *inside, "]"]
            case _Nary(parts):
                out = self._child(parts[0], self.binding + 1)
                for part in parts[1:]:
                    out += [self.operator, *self._child(part, self.binding + 1)]
                return out
            case Complement(inner):
                return ["~", *self._child(inner, self.binding)]
            case Repeat(inner, least, most):
                short = {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((least, most))
                if short is None:
                    short = f"{{{least}}}" if least == most else f"{{{least},{'' if most is None else most}}}"
                return [*self._child(inner, self.binding + 1), short]
        raise TypeError(f"{type(self).__name__} is no node of an expression")

    def walk(self) -> Iterator[Regex]:
        """This node and all below it, parents first."""
        stack: list[Regex] = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children))

    def _child(self, child: Regex, least_binding: int) -> list[str | Regex]:
        return [child] if child.binding >= least_binding else ["(", child, ")"]

    def __str__(self) -> str:
        out: list[str] = []
        stack: list[str | Regex] = [self]
        while stack:
            piece = stack.pop()
            if isinstance(piece, str):
                out.append(piece)
            else:
                stack.extend(reversed(piece.pieces()))
        return "".join(out)

    def __repr__(self) -> str:
        return f"parse_ast({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, Regex) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))


@dataclass(frozen=True, eq=False, repr=False)
class _Sign(Regex):
    """A node that is written as one sign."""

    sign: ClassVar[str]


class Empty(_Sign):
    """The empty set, ``∅``."""

    sign = "∅"


class Epsilon(_Sign):
    """The empty word, ``()``."""

    sign = "()"


class AnySymbol(_Sign):
    """Any one symbol of the alphabet, ``.``."""

    sign = "."


@dataclass(frozen=True, eq=False, repr=False)
class Symbol(Regex):
    """One symbol; :class:`AlphabetError` if its name cannot be used."""

    name: str

    def __post_init__(self) -> None:
        check_alphabet((self.name,))


@dataclass(frozen=True, eq=False, repr=False)
class Shorthand(Regex):
    """A class with a letter: digits (d), letters, digits and ``_`` (w), white space (s); capitals: all other symbols.

    Args:
        letter: after the backslash; N is any symbol but a line break. Our own expressions have d, w, D, W only.
        unicode: whether it means all characters that Unicode has of the kind, as Python's ``re`` does; else ASCII's.
    """

    letter: str
    unicode: bool = False

    def __post_init__(self) -> None:
        if self.letter not in tuple("dwsDWSN"):
            raise RegexSyntaxError(f"there is no class \\{self.letter}; the classes are \\d, \\w, \\D and \\W")

    @property
    def members(self) -> frozenset[str]:
        """The ASCII characters of the class, or for a capital those that it leaves out."""
        return _ASCII[self.letter.lower()]

    @property
    def negated(self) -> bool:
        """Whether the members are left out."""
        return self.letter.isupper()

    def allows(self, symbol: str) -> bool:
        """Whether it stands for a symbol; longer ones are no digits, letters or white space."""
        known = symbol in self.members
        if self.unicode and not known and len(symbol) == 1:
            known = _UNICODE[self.letter.lower()](symbol)
        return known != self.negated


@dataclass(frozen=True, eq=False, repr=False)
class Anchor(Regex):
    """The empty word, but only in some places; other dialects have it, our own expressions do not.

    Args:
        where: one of ``anchors.ANCHORS``.
    """

    where: str


@dataclass(frozen=True)
class Range:
    """The characters from ``first`` to ``last`` in code point order, inside a class.

    Raises:
        RegexSyntaxError: an end is not a single character, or the range runs backwards.
    """

    first: str
    last: str

    def __post_init__(self) -> None:
        Symbol(self.first), Symbol(self.last)
        if len(self.first) != 1 or len(self.last) != 1:
            raise RegexSyntaxError(
                f"a range runs between single characters, not from {self.first!r} to {self.last!r}; "
                "list longer symbols one by one, and escape a '-' that is a symbol"
            )
        if self.first > self.last:
            raise RegexSyntaxError(f"the range from {self.first!r} to {self.last!r} runs backwards; swap its ends")

    def __str__(self) -> str:
        return f"{_quote(self.first, _CLASS_META)}-{_quote(self.last, _CLASS_META)}"


@dataclass(frozen=True, eq=False, repr=False)
class CharClass(Regex):
    """One symbol out of ``items``, or, if ``negated``, one symbol of the alphabet that is not among them.

    Raises:
        RegexSyntaxError: no items and not negated; that is :class:`Empty`.
    """

    items: tuple[Symbol | Range | Shorthand, ...]
    negated: bool = False

    def __post_init__(self) -> None:
        if not self.items and not self.negated:
            raise RegexSyntaxError("a class without items is the empty set; write Empty()")


@dataclass(frozen=True, eq=False, repr=False)
class _Nary(Regex):
    """An operator with at least two operands, kept flat so that long expressions are not deep."""

    parts: tuple[Regex, ...]

    def __post_init__(self) -> None:
        if len(self.parts) < 2:
            raise RegexSyntaxError(f"{type(self).__name__} needs at least two parts, not {len(self.parts)}")

    operator: ClassVar[str]  # what stands between two parts


class Alternation(_Nary):
    """The union of the parts, ``r|s``."""

    binding = 0
    operator = "|"


class Intersection(_Nary):
    """The words that are in all parts, ``r&s``."""

    binding = 1
    operator = "&"


class Concat(_Nary):
    """The parts one after the other, ``rs``."""

    binding = 2
    operator = ""


@dataclass(frozen=True, eq=False, repr=False)
class Complement(Regex):
    """The words over the alphabet that are not in ``inner``, ``~r``."""

    inner: Regex
    binding = 3


@dataclass(frozen=True, eq=False, repr=False)
class Repeat(Regex):
    """From ``least`` to ``most`` copies of ``inner``; no upper bound if ``most`` is None.

    Raises:
        RegexSyntaxError: a negative bound, or ``least > most``.
    """

    inner: Regex
    least: int
    most: int | None
    binding = 4

    def __post_init__(self) -> None:
        if self.least < 0 or (self.most is not None and self.most < self.least):
            raise RegexSyntaxError(
                f"the repetition {{{self.least},{self.most}}} has bounds out of order; write {{m,n}} with 0 <= m <= n"
            )


def _quote(name: str, meta: frozenset[str]) -> str:
    """A symbol as it is written where the characters of ``meta`` mean something."""
    if len(name) == 1 and not name.isspace():
        return "\\" + name if name in meta else name
    return "'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'"
