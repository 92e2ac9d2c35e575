"""Regular expressions, with complement and intersection: text -> syntax tree -> minimal DFA.

Syntax, loosest first (white space outside quotes means nothing)::

    r|s     either                          r&s     both
    rs      one after the other             ~r      the words over the alphabet that are not in r
    r* r+ r?  r{3} r{2,} r{,3} r{2,3}       repetition; + and ? do not follow one (no lazy forms), r** is (r*)*

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

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..alphabet import check_alphabet
from ..budget import DEFAULT_BUDGET, Budget, Meter
from ..dfa import Dfa
from ..errors import AlphabetError, UnknownSymbolError
from ..nfa import NfaBuilder
from .anchors import ANCHORS, without_anchors
from .dialects import parse_in
from .tree import (
    Alternation,
    Anchor,
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

T = TypeVar("T")


def parse_regex(
    text: str, alphabet: Sequence[str] | None = None, budget: Budget = DEFAULT_BUDGET, dialect: str = "scancraft"
) -> Dfa:
    r"""The language of an expression: :func:`parse_in`, then :func:`to_dfa`, which see for the errors.

    Args:
        text: the expression.
        alphabet: the symbols, in order; see :func:`to_dfa`.
        budget: see :func:`to_dfa`.
        dialect: one of ``dialects.Dialect``: scancraft (the syntax above), python (that of ``re``, for the words that
            ``re.fullmatch`` accepts), greenery, pyformlang.

    >>> parse_regex(r"^\w+ \w+?$", "ab _", dialect="python").accepts("a_ b")
    True
    >>> parse_regex("~(~∅ '0' '0' '0' ~∅)", "01").n_states
    4
    """
    return to_dfa(parse_in(dialect, text), alphabet, budget)


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
    symbols = named_alphabet(ast, budget) if alphabet is None else check_alphabet(alphabet)
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


def named_alphabet(ast: Regex, budget: Budget) -> tuple[str, ...]:
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
        if any(isinstance(part, Anchor) for part in node.walk()):
            nfa, entry, leave = without_anchors(nfa, entry, leave, self.meter)
        self.meter.check_time()
        return Dfa.determinised(nfa, entry, [leave], self.budget)

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
                first, leave = nfa.embed(dfa.table, dfa.accepting, dfa.live)
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
            case Anchor(where):
                target = self._state(nfa)
                nfa.link(entry, len(self.alphabet) + ANCHORS.index(where), target)
                return target
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
            return node.allows(symbol)
        case CharClass(items, negated):
            return any(_allows(item, symbol) for item in items) != negated
    raise TypeError(f"{type(node).__name__} does not stand for one symbol")
