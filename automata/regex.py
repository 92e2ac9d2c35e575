"""Regular expressions, with complement and intersection: text -> syntax tree -> minimal DFA.

Syntax, loosest first (white space outside quotes means nothing)::

    r|s     either                          r&s     both
    rs      one after the other             ~r      the words over the alphabet that are not in r
    r* r+ r?  r{3} r{2,} r{,3} r{2,3}       repetition; the whole bound is read, there are no lazy forms

    a       the symbol a                    'push' "pop"   symbols of any length
    \\*      the symbol *                    .       any one symbol of the alphabet
    (r)     grouping                        () ε    the empty word
    [] ∅    the empty set                   [ab'push']  [a-z]  [^ab]    classes
    \\d \\w   ASCII digits; ASCII letters, digits and _ (also inside classes)      \\D \\W   all other symbols

A postfix operator binds tighter than ``~``: ``~a*`` is ``~(a*)``, and ``~ab`` is ``(~a)b``. The whole word has to
match, so there are no anchors; ``\\^`` and ``\\$`` are the symbols.

Nothing here recurses on the depth of an expression: trees are walked with explicit stacks.
"""

from __future__ import annotations

import string
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, UnexpectedToken, v_args

from .alphabet import check_alphabet
from .budget import DEFAULT_BUDGET, Budget, Meter
from .dfa import Dfa
from .errors import AlphabetError, RegexSyntaxError, ScancraftError, UnknownSymbolError
from .nfa import NfaBuilder

T = TypeVar("T")

_OUTSIDE_META = frozenset("|&~*+?{}()[].\\'\"ε∅^$")
_CLASS_META = frozenset("[]\\'\"ε∅-^")
_DIGITS = frozenset(string.digits)
_WORD = frozenset(string.ascii_letters + string.digits + "_")


# -- the syntax tree ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class Regex:
    """A node of the syntax tree; ``str`` prints it as an expression that parses back to an equal tree.

    Two trees are equal iff they print alike (the printed form says everything). O(size) to print or compare.
    """

    @property
    def children(self) -> tuple[Regex, ...]:
        """The direct subexpressions."""
        return ()

    @property
    def binding(self) -> int:
        """How tightly the outermost operator binds: 0 for ``|`` up to 5 for an atom."""
        return 5

    def pieces(self) -> list[str | Regex]:
        """What to print, from left to right: text and subexpressions."""
        raise NotImplementedError

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
class Empty(Regex):
    """The empty set, ``∅``."""

    def pieces(self) -> list[str | Regex]:
        """See the base class."""
        return ["∅"]


@dataclass(frozen=True, eq=False, repr=False)
class Epsilon(Regex):
    """The empty word, ``()``."""

    def pieces(self) -> list[str | Regex]:
        """See the base class."""
        return ["()"]


@dataclass(frozen=True, eq=False, repr=False)
class AnySymbol(Regex):
    """Any one symbol of the alphabet, ``.``."""

    def pieces(self) -> list[str | Regex]:
        """See the base class."""
        return ["."]


@dataclass(frozen=True, eq=False, repr=False)
class Symbol(Regex):
    """One symbol; :class:`AlphabetError` if its name cannot be used."""

    name: str

    def __post_init__(self) -> None:
        check_alphabet((self.name,))

    def pieces(self) -> list[str | Regex]:
        """See the base class."""
        return [_quote(self.name, _OUTSIDE_META)]


@dataclass(frozen=True, eq=False, repr=False)
class Shorthand(Regex):
    """One of the classes ``\\d``, ``\\w``, ``\\D``, ``\\W``; ``letter`` is the letter after the backslash."""

    letter: str

    def __post_init__(self) -> None:
        if self.letter not in ("d", "w", "D", "W"):
            raise RegexSyntaxError(f"there is no class \\{self.letter}; the classes are \\d, \\w, \\D and \\W")

    @property
    def members(self) -> frozenset[str]:
        """The characters of ``\\d`` or ``\\w``, which ``\\D`` and ``\\W`` leave out."""
        return _DIGITS if self.letter in "dD" else _WORD

    @property
    def negated(self) -> bool:
        """Whether the members are left out."""
        return self.letter in "DW"

    def pieces(self) -> list[str | Regex]:
        """See the base class."""
        return ["\\" + self.letter]


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

    def pieces(self) -> list[str | Regex]:
        """See the base class."""
        inside = [_quote(item.name, _CLASS_META) if isinstance(item, Symbol) else str(item) for item in self.items]
        return ["[^" if self.negated else "[", *inside, "]"]


@dataclass(frozen=True, eq=False, repr=False)
class _Nary(Regex):
    """An operator with at least two operands, kept flat so that long expressions are not deep."""

    parts: tuple[Regex, ...]

    def __post_init__(self) -> None:
        if len(self.parts) < 2:
            raise RegexSyntaxError(f"{type(self).__name__} needs at least two parts, not {len(self.parts)}")

    @property
    def children(self) -> tuple[Regex, ...]:
        """See the base class."""
        return self.parts

    @property
    def operator(self) -> str:
        """What stands between two parts."""
        raise NotImplementedError

    def pieces(self) -> list[str | Regex]:
        """See the base class."""
        out = self._child(self.parts[0], self.binding + 1)
        for part in self.parts[1:]:
            out.append(self.operator)
            out.extend(self._child(part, self.binding + 1))
        return out


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

    @property
    def children(self) -> tuple[Regex, ...]:
        """See the base class."""
        return (self.inner,)

    def pieces(self) -> list[str | Regex]:
        """See the base class."""
        return ["~", *self._child(self.inner, self.binding)]


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

    @property
    def children(self) -> tuple[Regex, ...]:
        """See the base class."""
        return (self.inner,)

    def pieces(self) -> list[str | Regex]:
        """See the base class."""
        least, most = self.least, self.most
        short = {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((least, most))
        if short is None:
            short = f"{{{least}}}" if least == most else f"{{{least},{'' if most is None else most}}}"
        return [*self._child(self.inner, self.binding), short]


def _quote(name: str, meta: frozenset[str]) -> str:
    """A symbol as it is written where the characters of ``meta`` mean something."""
    if len(name) == 1:
        return "\\" + name if name in meta else name
    return "'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'"


# -- text to tree ------------------------------------------------------------------------------------------------


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
        raise type(error.cause)(_located(text, error.position, str(error.cause))) from error.cause
    except UnexpectedInput as error:
        position = _position(text, error)
        raise RegexSyntaxError(_located(text, position, _complaint(text, position, error))) from None
    assert isinstance(ast, Regex)
    return ast


class _LocatedError(Exception):
    """An error of a node's constructor, with the place in the text."""

    def __init__(self, cause: ScancraftError, token: Token) -> None:
        self.cause, self.position = cause, token.start_pos or 0


@v_args(inline=True)
class _ToAst(Transformer[Token, Any]):
    """Builds the tree while parsing, one method per rule of the grammar."""

    def alternation(self, *parts: Regex) -> Regex:
        return Alternation(parts)

    def intersection(self, *parts: Regex) -> Regex:
        return Intersection(parts)

    def concat(self, *parts: Regex) -> Regex:
        return Concat(parts)

    def complement(self, inner: Regex) -> Regex:
        return Complement(inner)

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

    def epsilon(self) -> Regex:
        return Epsilon()

    def empty(self) -> Regex:
        return Empty()

    def any_symbol(self) -> Regex:
        return AnySymbol()

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


def _name(token: Token) -> str:
    """The symbol that a token stands for."""
    if token.type == "ESCAPE":
        return token[1]
    if token.type != "QUOTED":
        return str(token)
    out, inside = [], iter(token[1:-1])
    for ch in inside:
        if ch == "\\" and (ch := next(inside)) not in "\\'\"":
            raise _LocatedError(
                RegexSyntaxError(f"unknown escape \\{ch} in a quoted symbol; only \\\\, \\' and \\\" are used there"),
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


def _located(text: str, position: int, complaint: str) -> str:
    """The message, the stretch of the expression around the position, and a caret under it."""
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


# -- tree to automaton -------------------------------------------------------------------------------------------


def parse_regex(text: str, alphabet: Sequence[str] | None = None, budget: Budget = DEFAULT_BUDGET) -> Dfa:
    """The language of an expression: :func:`parse_ast`, then :func:`to_dfa`, which see for the errors.

    >>> parse_regex("~(~∅ '0' '0' '0' ~∅)", "01").n_states
    4
    """
    return to_dfa(parse_ast(text), alphabet, budget)


def to_dfa(ast: Regex, alphabet: Sequence[str] | None = None, budget: Budget = DEFAULT_BUDGET) -> Dfa:
    """The language of a syntax tree, as its minimal DFA.

    Each largest subtree without ``~`` and ``&`` becomes one NFA and goes through the subset construction once;
    ``~`` and ``&`` act on minimal DFAs, which are copied into the NFA above them. Linear in the size of the
    expression (with repetitions written out) for the NFAs, exponential for each subset construction, so a tower
    of exponentials for nested complements, in the worst case.

    Args:
        ast: the expression.
        alphabet: the symbols, in order. Without it: every symbol that the expression names (ranges, ``\\d`` and
            ``\\w`` written out), sorted. Ranges and ``\\d``, ``\\w`` mean only those of their characters that
            are symbols.
        budget: limits the NFA states and moves of the whole expression together, and each subset construction
            and each product by itself.

    Raises:
        UnknownSymbolError: the expression names a symbol that is not in the given alphabet.
        AlphabetError: no alphabet is given and the expression needs one, or the alphabet cannot be used.
        BudgetExceededError: more states or time than the budget allows.
    """
    symbols = _named_alphabet(ast, budget) if alphabet is None else check_alphabet(alphabet)
    known = set(symbols)
    for node in ast.walk():
        for name in _literals(node):
            if name not in known:
                raise UnknownSymbolError(
                    f"the expression names the symbol {name!r}, which is not in the alphabet {{{', '.join(symbols)}}}; "
                    "add it to the alphabet or remove it from the expression"
                )
    return _run(_Construction(symbols, budget, budget.meter("NFA states and moves")).dfa(ast))


def _literals(node: Regex) -> list[str]:
    """The symbols that a node names one by one."""
    items = node.items if isinstance(node, CharClass) else (node,)
    return [item.name for item in items if isinstance(item, Symbol)]


def _named_alphabet(ast: Regex, budget: Budget) -> tuple[str, ...]:
    """Every symbol that the expression names, sorted."""
    meter = budget.meter("symbols in ranges")
    names: set[str] = set()
    relative: Regex | None = None
    for node in ast.walk():
        names.update(_literals(node))
        for item in node.items if isinstance(node, CharClass) else (node,):
            if isinstance(item, Range):
                meter.tick(ord(item.last) - ord(item.first) + 1)
                names.update(map(chr, range(ord(item.first), ord(item.last) + 1)))
            elif isinstance(item, Shorthand) and not item.negated:
                names.update(item.members)
            elif isinstance(item, Shorthand | AnySymbol | Complement):
                relative = relative or item
        if isinstance(node, CharClass) and node.negated:
            relative = relative or node
    if relative is not None and not names:
        shown = "~" if isinstance(relative, Complement) else str(relative)
        raise AlphabetError(f"{shown} depends on the alphabet, and the expression names no symbol; give an alphabet")
    return check_alphabet(sorted(names))


Task = Generator["Task[Any]", Any, T]
"""A recursive computation: it yields the computations it needs and is sent their results."""


def _run(task: Task[T]) -> T:
    """Run a task with an explicit stack in the place of Python's own."""
    stack: list[Task[Any]] = [task]
    result: Any = None
    while True:
        try:
            needed = stack[-1].send(result)
        except StopIteration as done:
            stack.pop()
            result = done.value
            if not stack:
                value: T = result
                return value
        else:
            stack.append(needed)
            result = None


@dataclass
class _Construction:
    """One run of :func:`to_dfa`."""

    alphabet: tuple[str, ...]
    budget: Budget
    meter: Meter
    boolean: dict[int, Dfa] = field(default_factory=dict)  # by id: a copy in a repetition is not computed again
    letters: dict[int, list[int]] = field(default_factory=dict)

    def dfa(self, node: Regex) -> Task[Dfa]:
        """The language of ``node``."""
        if isinstance(node, Complement | Intersection):
            if id(node) not in self.boolean:
                self.boolean[id(node)] = yield self._boolean(node)
            return self.boolean[id(node)]
        nfa = NfaBuilder(self.alphabet)
        entry = self._state(nfa)
        leave = yield self._fragment(nfa, node, entry)
        self.meter.check_time()
        return nfa.determinise(entry, [leave], self.budget)

    def _boolean(self, node: Complement | Intersection) -> Task[Dfa]:
        first: Dfa = yield self.dfa(node.children[0])
        if isinstance(node, Complement):
            return ~first
        for part in node.parts[1:]:
            other: Dfa = yield self.dfa(part)
            self.meter.check_time()
            first = first.product(other, lambda p, q: p and q, self.budget)
        return first

    def _fragment(self, nfa: NfaBuilder, node: Regex, entry: int) -> Task[int]:
        """Add paths for ``node`` from ``entry`` to a state that is returned.

        Every move that is added leads to a state that is added, never back to ``entry``: so fragments may share
        their entry, and a path that has left one of them for another cannot come back into it.
        """
        match node:
            case Epsilon():
                return entry
            case Complement() | Intersection():
                dfa: Dfa = yield self.dfa(node)
                self.meter.tick(dfa.n_states * (1 + len(self.alphabet)))
                first, leave = nfa.embed(dfa)
                self._jump(nfa, entry, first)
                return leave
            case Concat():
                for part in node.parts:
                    entry = yield self._fragment(nfa, part, entry)
                return entry
            case Alternation():
                join = self._state(nfa)
                for part in node.parts:
                    end: int = yield self._fragment(nfa, part, entry)
                    self._jump(nfa, end, join)
                return join
            case Repeat():
                end = yield self._repeat(nfa, node, entry)
                return end
            case _:
                target = self._state(nfa)
                letters = self._letters(node)
                self.meter.tick(len(letters))
                for letter in letters:
                    nfa.link(entry, letter, target)
                return target

    def _repeat(self, nfa: NfaBuilder, node: Repeat, entry: int) -> Task[int]:
        """``least`` copies, then a loop or a way out after each of the optional copies."""
        inner, least, most = node.inner, node.least, node.most
        # r{m,} with m > 0 ends in a loop around its last copy; a further copy would double nested pluses.
        for _ in range(least if most is not None else max(least - 1, 0)):
            self.meter.tick()  # a copy of () adds no state, and there may be very many of them
            entry = yield self._fragment(nfa, inner, entry)
        if most is None:
            loop = self._state(nfa)
            self._jump(nfa, entry, loop)
            end: int = yield self._fragment(nfa, inner, loop)
            self._jump(nfa, end, loop)
            return end if least else loop
        if most == least:
            return entry
        join = self._state(nfa)
        for _ in range(most - least):
            self._jump(nfa, entry, join)
            entry = yield self._fragment(nfa, inner, entry)
        self._jump(nfa, entry, join)
        return join

    def _state(self, nfa: NfaBuilder) -> int:
        self.meter.tick()
        return nfa.state()

    def _jump(self, nfa: NfaBuilder, source: int, target: int) -> None:
        self.meter.tick()
        nfa.jump(source, target)

    def _letters(self, node: Regex) -> list[int]:
        """The numbers of the letters that a node for one symbol allows."""
        if id(node) not in self.letters:
            self.letters[id(node)] = [i for i, symbol in enumerate(self.alphabet) if _allows(node, symbol)]
        return self.letters[id(node)]


def _allows(node: Regex | Range, symbol: str) -> bool:
    """Whether a node for one symbol, or an item of a class, allows ``symbol``."""
    match node:
        case Empty():
            return False
        case AnySymbol():
            return True
        case Symbol(name):
            return symbol == name
        case Range(first, last):
            return len(symbol) == 1 and first <= symbol <= last
        case Shorthand():
            return (symbol in node.members) != node.negated
        case CharClass(items, negated):
            return any(_allows(item, symbol) for item in items) != negated
    raise TypeError(f"{type(node).__name__} does not stand for one symbol")
