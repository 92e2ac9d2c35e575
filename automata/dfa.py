"""Deterministic automata as values: complete, minimal, canonical, with the operators of a textbook."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import InitVar, dataclass, field
from functools import singledispatch
from typing import Any

from .alphabet import EOS, Word, check_alphabet, class_name
from .budget import DEFAULT_BUDGET, Budget, Meter
from .cards import brief, card, folded, picture, table
from .deterministic import Deterministic
from .errors import AlphabetError, EmptyLanguageError, LanguageFormatError
from .images import strong_components
from .nfa import NfaBuilder
from .pictures.dfa import MOST_STATES, dfa_svg
from .pictures.svg import Pictured
from .search import numbered
from .semiautomaton import Semiautomaton
from .told import Told

MOST_LISTED = 40
"""Symbols of an alphabet that are listed one by one."""


@singledispatch
def operand(value: Any, alphabet: Sequence[str]) -> Dfa:
    """The other side of an operator: a DFA, or what ``languages`` reads as one, over this alphabet if it names none."""
    if isinstance(value, Dfa):
        return value
    raise LanguageFormatError(f"a {type(value).__name__} is no DFA; give as_dfa(...) of it")


@dataclass(frozen=True, eq=False)
class Dfa(Deterministic, Pictured, Told):
    """A regular language, as its complete minimal DFA.

    Whatever automaton is given, the value holds the canonical one: unreachable states dropped, equivalent
    states merged, states numbered breadth first from the initial state 0. Two values are equal iff they have the
    same alphabet (in any order) and the same language.

    Args:
        semiautomaton: states and transitions (complete).
        initial: number of the initial state.
        accepting: numbers of the accepting states.
        names: a name for each state, for people; a merged state keeps the name of its first member. By default states
            are named by their numbers in the canonical automaton.
        clock: ends the minimisation when its time is over; by default it takes the time it takes.

    Raises:
        LanguageFormatError: a state number out of range, or names that do not match the states.
        BudgetExceededError: the time is over.

    >>> even = Dfa.from_table(("0", "1"), [[0, 1], [1, 0]], 0, [0])
    >>> even.accepts("0110"), even.n_states, (~even).accepts("1")
    (True, 2, True)
    """

    semiautomaton: Semiautomaton
    initial: int
    accepting: frozenset[int]
    names: tuple[str, ...] = field(default=())
    clock: InitVar[Meter | None] = None

    def __post_init__(self, clock: Meter | None) -> None:
        object.__setattr__(self, "accepting", frozenset(int(q) for q in self.accepting))
        self._canonical([q in self.accepting for q in range(self.semiautomaton.n_states)], clock)

    # -- constructors ------------------------------------------------------------------------------------------

    @classmethod
    def from_table(
        cls,
        alphabet: Sequence[str],
        table: Sequence[Sequence[int]],
        initial: int,
        accepting: Iterable[int],
        names: Sequence[str] = (),
        clock: Meter | None = None,
    ) -> Dfa:
        """From a complete table of state numbers: ``table[q][a]``."""
        rows = tuple(tuple(row) for row in table)
        return cls(Semiautomaton(tuple(alphabet), rows), initial, frozenset(accepting), tuple(names), clock)

    @classmethod
    def empty(cls, alphabet: Sequence[str]) -> Dfa:
        """The empty language."""
        return cls.from_table(alphabet, [[0] * len(alphabet)], 0, [])

    @classmethod
    def universal(cls, alphabet: Sequence[str]) -> Dfa:
        """All words over the alphabet."""
        return cls.from_table(alphabet, [[0] * len(alphabet)], 0, [0])

    @classmethod
    def from_words(cls, alphabet: Sequence[str], words: Iterable[Word]) -> Dfa:
        """A finite language, given by its words (a trie, minimised)."""
        letters = Semiautomaton(tuple(alphabet), ((0,) * len(alphabet),))
        trie: list[list[int]] = [[0] * len(alphabet), [0] * len(alphabet)]  # state 0 is dead, 1 the root
        accepting = set()
        for word in words:
            state = 1
            for symbol in word:
                a = letters.index_of(symbol)
                if trie[state][a] == 0:
                    trie.append([0] * len(alphabet))
                    trie[state][a] = len(trie) - 1
                state = trie[state][a]
            accepting.add(state)
        return cls.from_table(alphabet, trie, 1, accepting)

    @classmethod
    def determinised(
        cls, nfa: NfaBuilder, initial: int, accepting: Iterable[int], budget: Budget = DEFAULT_BUDGET
    ) -> Dfa:
        """The language of an NFA; see :meth:`NfaBuilder.determinise` for cost and errors."""
        clock = budget.meter("subset states")
        table, final = nfa.determinise(initial, accepting, budget)
        return cls.from_table(nfa.alphabet, table, 0, final, clock=clock)

    def dfa(self, budget: Budget = DEFAULT_BUDGET) -> Dfa:
        """Itself: what describes a regular language has a method ``dfa``."""
        return self

    def _over(self, semiautomaton: Semiautomaton) -> Dfa:
        return Dfa(semiautomaton, 0, self.accepting, self.names)

    # -- reading words -----------------------------------------------------------------------------------------

    def accepts(self, word: Word) -> bool:
        """Whether ``word`` is in the language."""
        return self.run(word) in self.accepting

    __contains__ = accepts

    @property
    def tokens(self) -> tuple[str, ...]:
        """The symbols, and ``<eos>``."""
        return (*self.alphabet, EOS)

    def allowed(self, state: int) -> frozenset[str]:
        """The tokens that may come next: :meth:`next_symbols`, and ``<eos>`` in an accepting state."""
        return self._following(state)

    def answer(self, state: int) -> bool:
        """Whether the state accepts."""
        return state in self.accepting

    # -- facts about the language ------------------------------------------------------------------------------

    def is_empty(self) -> bool:
        """Whether the language has no word."""
        return not self.accepting

    def is_finite(self) -> bool:
        """Whether the language has finitely many words: no live state lies on a cycle. O(states * letters)."""
        targets = [[t for t in row if q in self.live and t in self.live] for q, row in enumerate(self.table)]
        component = strong_components(targets)
        return not any(component[q] == component[t] for q, row in enumerate(targets) for t in row)

    def shortest_word(self) -> tuple[str, ...]:
        """A shortest word, first in the order of the alphabet; :class:`EmptyLanguageError` if there is none."""
        path = self.path(0, self.accepting.__contains__)
        if path is None:
            raise EmptyLanguageError("the empty language has no shortest word")
        return path

    def words(self, max_length: int) -> Iterator[tuple[str, ...]]:
        """The words of the language up to ``max_length``, by length, then in the order of the alphabet."""
        layer: list[tuple[tuple[str, ...], int]] = [((), 0)]
        for length in range(max_length + 1):
            layer = [(word, q) for word, q in layer if q in self.live]
            yield from (word for word, q in layer if q in self.accepting)
            if length < max_length:
                table, symbols = self.semiautomaton.table, self.alphabet
                layer = [((*w, s), table[q][a]) for w, q in layer for a, s in enumerate(symbols)]

    # -- equality and Boolean operations -----------------------------------------------------------------------

    def over(self, alphabet: Sequence[str]) -> Dfa:
        """The same words seen as a language over a larger (or reordered) alphabet.

        Words that use a new symbol are not in it.

        Raises:
            AlphabetError: ``alphabet`` misses a symbol of this language.
        """
        alphabet = check_alphabet(alphabet)
        missing = [s for s in self.alphabet if s not in alphabet]
        if missing:
            raise AlphabetError(f"the new alphabet misses the symbols {missing} of the language")
        column = self.semiautomaton.letter_index
        dead = self.n_states
        table = [[row[column[s]] if s in column else dead for s in alphabet] for row in self.semiautomaton.table]
        table.append([dead] * len(alphabet))
        return Dfa.from_table(alphabet, table, 0, self.accepting, (*self.names, "dead"))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Dfa):
            return NotImplemented
        if set(self.alphabet) != set(other.alphabet):
            return False
        other = self._aligned(other)
        return self.semiautomaton == other.semiautomaton and self.accepting == other.accepting

    def __hash__(self) -> int:
        return hash((frozenset(self.alphabet), self.n_states, len(self.accepting)))

    def _aligned(self, other: Any) -> Dfa:
        """The other language over this alphabet, in its order; :class:`AlphabetError` if the symbols differ."""
        other = operand(other, self.alphabet)
        if set(self.alphabet) != set(other.alphabet):
            raise AlphabetError(
                f"the alphabets {{{', '.join(self.alphabet)}}} and {{{', '.join(other.alphabet)}}} differ; "
                "bring both languages over one alphabet with .over(...)"
            )
        found: Dfa = other if self.alphabet == other.alphabet else other.over(self.alphabet)
        return found

    def product(self, other: Any, accept: Callable[[bool, bool], bool], budget: Budget = DEFAULT_BUDGET) -> Dfa:
        """The words on which ``accept(in self, in other)`` holds. O(n * m * k) for n and m states.

        Like every operator it takes what ``as_dfa`` reads; an expression is one over this alphabet.

        Raises:
            AlphabetError: the alphabets differ (use :meth:`over` first).
            BudgetExceededError: more reachable pairs than the budget allows.
        """
        other = self._aligned(other)
        meter = budget.meter("product states")
        pairs, table = numbered((0, 0), lambda pq: zip(self.table[pq[0]], other.table[pq[1]], strict=True), meter)
        accepting = [i for i, (p, q) in enumerate(pairs) if accept(p in self.accepting, q in other.accepting)]
        return Dfa.from_table(self.alphabet, table, 0, accepting, clock=meter)

    def __and__(self, other: Any) -> Dfa:
        return self.product(other, lambda p, q: p and q)

    def __or__(self, other: Any) -> Dfa:
        return self.product(other, lambda p, q: p or q)

    def __sub__(self, other: Any) -> Dfa:
        return self.product(other, lambda p, q: p and not q)

    def __xor__(self, other: Any) -> Dfa:
        return self.product(other, lambda p, q: p != q)

    def __rsub__(self, other: Any) -> Dfa:
        return self.product(other, lambda p, q: q and not p)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __invert__(self) -> Dfa:
        everything = frozenset(range(self.n_states))
        return Dfa(self.semiautomaton, 0, everything - self.accepting, self.names)

    def __le__(self, other: Any) -> bool:
        return bool((self - other).is_empty())

    def __lt__(self, other: Any) -> bool:
        return self <= other and not (other - self).is_empty()

    def __ge__(self, other: Any) -> bool:
        return bool((other - self).is_empty())

    def __gt__(self, other: Any) -> bool:
        return self >= other and not self <= other

    # -- concatenation and iteration ---------------------------------------------------------------------------

    def then(self, other: Any, budget: Budget = DEFAULT_BUDGET) -> Dfa:
        """The words u v with u in this language and v in the other; exponential in the worst case.

        Raises:
            AlphabetError: the alphabets differ (use :meth:`over` first).
            BudgetExceededError: more subsets of states than the budget allows.
        """
        other = self._aligned(other)
        nfa = NfaBuilder(self.alphabet)
        entry, middle = nfa.embed(self.table, self.accepting, self.live)
        onward, leave = nfa.embed(other.table, other.accepting, other.live)
        nfa.jump(middle, onward)
        return Dfa.determinised(nfa, entry, [leave], budget)

    def __add__(self, other: Any) -> Dfa:
        return self.then(other)

    def __radd__(self, other: Any) -> Dfa:
        return operand(other, self.alphabet).then(self)

    def star(self, budget: Budget = DEFAULT_BUDGET) -> Dfa:
        """The Kleene star of the language; exponential in the worst case."""
        nfa = NfaBuilder(self.alphabet)
        entry, leave = nfa.embed(self.table, self.accepting, self.live)
        nfa.jump(leave, entry)
        start = nfa.state()
        nfa.jump(start, entry)
        return Dfa.determinised(nfa, start, [start, leave], budget)

    @property
    def _listed(self) -> tuple[Sequence[str], Sequence[Sequence[int]]]:
        """What is listed for each state: its letters, in a large alphabet only one of each class; and the targets."""
        if len(self.alphabet) <= MOST_LISTED:
            return self.alphabet, self.table
        return list(map(class_name, self.letter_classes)), self.distinct.table

    def __repr__(self) -> str:
        return f"<Dfa: {self.n_states} states over {{{brief(', '.join(self.alphabet))}}}>"

    def _repr_html_(self) -> str:
        names, moves = self._listed
        heads = ("state", *names, "")
        marks = ["accepting" * (q in self.accepting) + "dead" * (q not in self.live) for q in range(self.n_states)]
        rows = (
            (self.names[q], *(self.names[t] for t in row), mark)
            for q, (row, mark) in enumerate(zip(moves, marks, strict=True))
        )
        facts = {"alphabet": " ".join(names), "initial": self.names[self.initial]}
        shown = (picture(self.svg()), folded("transitions", table(heads, rows)))
        return card(f"minimal DFA, {self.n_states:,} states", facts, *shown)

    def svg(self) -> str | None:
        """The states and transitions; None if there are more than two dozen states."""
        n, title = self.n_states, f"minimal DFA with {self.n_states} state{'s' * (self.n_states != 1)}"
        return dfa_svg(self, title) if n <= MOST_STATES else None

    def __str__(self) -> str:
        names, table = self._listed
        lines = [f"Dfa over {{{', '.join(names)}}}, {self.n_states} states, initial 0"]
        for q, row in enumerate(table):
            mark = "*" if q in self.accepting else " "
            moves = "  ".join(f"{name}->{t}" for name, t in zip(names, row, strict=True))
            label = "" if self.names[q] == str(q) else f"  [{self.names[q]}]"
            dead = "  (dead)" if q not in self.live else ""
            lines.append(f" {mark}{q:>4}: {moves}{label}{dead}")
        return "\n".join(lines)
