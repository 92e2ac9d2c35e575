"""Nested languages: words with brackets, at most h deep, and an automaton that reads what lies between two brackets.

A *level* is what lies between an opening symbol and the symbol that closes it, without what lies deeper; the outermost
level is the whole word. Each level has a state. A symbol that neither opens nor closes changes the state of the level
that it is in. An opening symbol begins a new level, whose first state it determines; once that is closed, in a state
that allows the closing symbol, the level around it is in the state that its own state and the opening symbol determine.
So these are visibly pushdown languages (Alur and Madhusudan, STOC 2004) of bounded depth. Bounded Dyck languages, JSON
over tokens, and XML with a content model for each element are such languages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

from ..alphabet import EOS, Word, check_alphabet, check_word
from ..budget import DEFAULT_BUDGET, Budget
from ..cards import brief
from ..dfa import Dfa
from ..errors import LanguageFormatError
from ..search import leading_to, numbered
from ..told import Told

Stack = tuple[str, ...]
"""The states of the levels that are open, the outermost first; a level around another one in its state after that."""

DEEPEST = 10_000
"""A greater depth is refused."""

OUTER = ""
"""Stands for the symbol that opens the outermost level, which there is not."""


@dataclass(frozen=True)
class NestedLanguage(Told):
    """A language of nested words.

    Attributes:
        alphabet: the symbols.
        depth: h, how many levels there may be inside the outermost one; at least 1.
        root: the first state of the outermost level.
        opens: for each opening symbol the first state of the level that it opens.
        steps: for each state, where the symbols lead that may come in it: for an opening symbol, the state after the
            level that it opens is closed. Closing symbols are not among them.
        closes: for each state the closing symbols that may end a level in this state.
        accepting: states of the outermost level in which the word may end.

    Raises:
        LanguageFormatError: symbols or states that are named nowhere; a symbol that opens and closes; a level that can
            never be closed; or a place from which no word can be completed: the message says which.

    >>> lists = NestedLanguage.of(
    ...     2, "start", {"[": "empty"}, {"start": {"[": "done"}, "empty": {"x": "item", "[": "item"},
    ...     "item": {",": "comma"}, "comma": {"x": "item", "[": "item"}}, {"empty": "]", "item": "]"}, ["done"])
    >>> lists.accepts("[x,[x],[]]"), lists.accepts("[x,]"), lists.accepts("[[[]]]")
    (True, False, False)
    >>> sorted(lists.allowed(("start", "item")))
    [',', ']']
    """

    alphabet: tuple[str, ...]
    depth: int
    root: str
    opens: Mapping[str, str]
    steps: Mapping[str, Mapping[str, str]]
    closes: Mapping[str, frozenset[str]]
    accepting: frozenset[str]

    @staticmethod
    def of(
        depth: int,
        root: str,
        opens: Mapping[str, str],
        steps: Mapping[str, Mapping[str, str]],
        closes: Mapping[str, Iterable[str]],
        accepting: Iterable[str],
        alphabet: Sequence[str] | None = None,
    ) -> NestedLanguage:
        """A language from plain mappings; the alphabet is by default that of the symbols that occur, sorted."""
        ending = {state: frozenset(symbols) for state, symbols in closes.items()}
        symbols = {
            *opens,
            *(a for row in steps.values() for a in row),
            *(r for found in ending.values() for r in found),
        }
        rows = {state: MappingProxyType(dict(row)) for state, row in steps.items()}
        return NestedLanguage(
            tuple(alphabet) if alphabet is not None else tuple(sorted(symbols)),
            depth,
            root,
            MappingProxyType(dict(opens)),
            MappingProxyType(rows),
            MappingProxyType(ending),
            frozenset(accepting),
        )

    def __post_init__(self) -> None:
        check_alphabet(self.alphabet)
        if type(self.depth) is not int or not 1 <= self.depth <= DEEPEST:
            raise LanguageFormatError(f"a depth of {self.depth!r} is none; give a whole number from 1 to {DEEPEST:,}")
        used = {*self.opens, *self.returns, *(a for row in self.steps.values() for a in row)}
        if unknown := used - {*self.alphabet}:
            raise LanguageFormatError(f"the symbol {min(unknown)!r} is not in the alphabet")
        if both := {*self.opens} & self.returns:
            raise LanguageFormatError(f"the symbol {min(both)!r} opens and closes; give two symbols")
        if not self.opens:
            raise LanguageFormatError("no symbol opens a level; a language without levels is an automaton")
        for state, row in self.steps.items():
            for symbol in sorted(self.returns & row.keys()):
                raise LanguageFormatError(f"{symbol!r} closes levels, so state {state!r} has no step on it")
        self._complete()

    @cached_property
    def returns(self) -> frozenset[str]:
        """The symbols that close a level."""
        return frozenset(symbol for symbols in self.closes.values() for symbol in symbols)

    @cached_property
    def states(self) -> tuple[str, ...]:
        """The states, those of the outermost level first, as they are come across."""
        found = dict.fromkeys([self.root, *self.opens.values()])
        todo = list(found)
        for state in todo:
            for target in self.steps.get(state, {}).values():
                if target not in found:
                    found[target] = None
                    todo.append(target)
        return tuple(found)

    @cached_property
    def deepest(self) -> Mapping[str, int]:
        """For each opening symbol the greatest depth of a level that it opens and that can be closed."""
        return self._reached[0]

    @cached_property
    def reachable(self) -> tuple[Mapping[str, frozenset[str]], ...]:
        """For each depth, the states of a level by the symbol that opened it (:data:`OUTER` at depth 0)."""
        return self._reached[1]

    @cached_property
    def _reached(self) -> tuple[dict[str, int], tuple[dict[str, frozenset[str]], ...]]:
        """O(depth * steps), from the deepest level outwards."""
        deepest = dict.fromkeys(self.opens, 0)
        levels: list[dict[str, frozenset[str]]] = []
        for depth in range(self.depth, -1, -1):
            edges = self._edges(depth, deepest)
            alive = leading_to(self._ends(depth), edges)
            found: dict[str, frozenset[str]] = {}
            for symbol, first in self.opens.items() if depth else ((OUTER, self.root),):
                if first in alive:
                    found[symbol] = frozenset(leading_to([first], [(after, before) for before, after in edges]))
                    if depth:
                        deepest[symbol] = max(deepest[symbol], depth)
            levels.append(found)
        return deepest, tuple(reversed(levels))

    def _edges(self, depth: int, deepest: Mapping[str, int]) -> list[tuple[str, str]]:
        """Where a level of this depth gets by a symbol, or by a level inside it."""
        return [
            (state, target)
            for state, row in self.steps.items()
            for symbol, target in row.items()
            if symbol not in self.opens or depth < deepest[symbol]
        ]

    def _ends(self, depth: int) -> set[str]:
        """The states in which a level of this depth may end."""
        return {*self.accepting} if not depth else {state for state, symbols in self.closes.items() if symbols}

    def _complete(self) -> None:
        """Raise :class:`LanguageFormatError` if some live prefix could not be completed: what may come next is then
        not known from the state of the level and the depth."""
        for symbol, depth in self.deepest.items():
            if not depth:
                raise LanguageFormatError(
                    f"within depth {self.depth} a level that {symbol!r} opens can never be closed"
                )
        if not self.reachable[0]:
            raise LanguageFormatError(f"no word is in the language: {self.root!r} leads to no accepting state")
        for depth, levels in enumerate(self.reachable):
            alive = leading_to(self._ends(depth), self._edges(depth, self.deepest))
            for opening, states in levels.items():
                if stuck := states - alive:
                    where = f"a level that {opening!r} opens" if depth else "the outermost level"
                    raise LanguageFormatError(
                        f"from state {min(stuck)!r} of {where}, at depth {depth} of {self.depth}, no word can be "
                        "completed; remove the steps to it, or allow more depth"
                    )

    # -- words ---------------------------------------------------------------------------------------------------------

    def step(self, stack: Stack | None, symbol: str) -> Stack | None:
        """The states of the open levels after a symbol; None if no word begins so."""
        if stack is None or symbol not in self.allowed(stack):
            return None
        if symbol in self.returns:
            return stack[:-1]
        after = (*stack[:-1], self.steps[stack[-1]][symbol])
        return (*after, self.opens[symbol]) if symbol in self.opens else after

    def allowed(self, stack: Stack | None) -> frozenset[str]:
        """The symbols that may come next, ``<eos>`` among them if the word may end."""
        if stack is None:
            return frozenset()
        state, depth = stack[-1], len(stack) - 1
        found = {a for a in self.steps.get(state, ()) if a not in self.opens or depth < self.deepest[a]}
        if depth:
            return frozenset(found | self.closes.get(state, frozenset()))
        return frozenset(found | {EOS}) if state in self.accepting else frozenset(found)

    def run(self, word: Word) -> Iterator[Stack | None]:
        """The states of the open levels after each prefix, the empty one first; None once no word begins so.

        Raises:
            UnknownSymbolError: a symbol that is not in the alphabet.
        """
        check_word(word, self.alphabet)
        stack: Stack | None = (self.root,)
        yield stack
        for symbol in word:
            stack = self.step(stack, symbol)
            yield stack

    def accepts(self, word: Word) -> bool:
        """Whether the word is in the language; :class:`UnknownSymbolError` for a foreign symbol."""
        *_, last = self.run(word)
        return EOS in self.allowed(last)

    __contains__ = accepts

    def dfa(self, budget: Budget = DEFAULT_BUDGET) -> Dfa:
        """The minimal DFA; its states are stacks of states, so there may be very many.

        Raises:
            BudgetExceededError: more states than the budget allows.
        """
        start: Stack | None = (self.root,)
        stacks, table = numbered(start, lambda s: [self.step(s, a) for a in self.alphabet], budget.meter("states"))
        return Dfa.from_table(self.alphabet, table, 0, [n for n, s in enumerate(stacks) if EOS in self.allowed(s)])

    def __repr__(self) -> str:
        return f"<NestedLanguage: {brief(str(self))}>"

    def __str__(self) -> str:
        symbols = " ".join(self.alphabet[:16]) + (" ..." if len(self.alphabet) > 16 else "")
        return f"nested words over {symbols}, at most {self.depth} deep, {len(self.states)} states of a level"

    def __reduce__(self) -> tuple[Any, ...]:
        steps = {state: dict(row) for state, row in self.steps.items()}
        plain = (self.depth, self.root, dict(self.opens), steps, dict(self.closes), self.accepting, self.alphabet)
        return NestedLanguage.of, plain

    def __hash__(self) -> int:
        return hash((self.alphabet, self.depth, self.root, self.states, self.accepting))
