"""What deterministic automata have in common: states from an initial one on, and what is to be said in each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cached_property
from typing import Self

from .alphabet import EOS, Word
from .budget import Meter
from .errors import LanguageFormatError
from .minimise import letter_classes, minimise
from .search import leading_to, shortest
from .semiautomaton import Semiautomaton


class Deterministic(ABC):
    """A minimal complete automaton with initial state 0: a :class:`~.dfa.Dfa`, or a machine with outputs.

    Attributes:
        semiautomaton: states and transitions.
        initial: 0.
        accepting: the states in which a word may end.
        names: a name for each state, for people.
        classes: the outputs that states have; none of a language.
    """

    semiautomaton: Semiautomaton
    initial: int
    accepting: frozenset[int]
    names: tuple[str, ...]
    classes: tuple[str, ...] = ()

    def _canonical(self, answers: Sequence[Hashable], clock: Meter | None = None) -> tuple[int, ...]:
        """Make this the canonical minimal automaton with these answers; per state the least one merged into it.

        Raises:
            LanguageFormatError: a state number out of range, or names that do not match the states.
            BudgetExceededError: the time of the clock is over.
        """
        given, names = self.semiautomaton, self.names
        if names and len(names) != given.n_states:
            raise LanguageFormatError(f"{len(names)} names for {given.n_states} states; give one per state")
        for q in {self.initial, *self.accepting}:
            if not 0 <= q < given.n_states:
                raise LanguageFormatError(f"state {q} is outside 0..{given.n_states - 1}")
        table, origin = minimise(given.table, self.initial, answers, clock)
        object.__setattr__(self, "semiautomaton", Semiautomaton(given.alphabet, table))
        object.__setattr__(self, "initial", 0)
        object.__setattr__(self, "accepting", frozenset(q for q, old in enumerate(origin) if old in self.accepting))
        kept = (names[q] for q in origin) if names else map(str, range(len(table)))
        object.__setattr__(self, "names", tuple(kept))
        return origin

    @property
    def alphabet(self) -> tuple[str, ...]:
        """The symbols, in order."""
        return self.semiautomaton.alphabet

    @property
    def table(self) -> tuple[tuple[int, ...], ...]:
        """``table[q][a]`` is the state that letter number ``a`` leads to from state ``q``."""
        return self.semiautomaton.table

    @property
    def n_states(self) -> int:
        """Number of states of the minimal complete automaton, a dead one included."""
        return self.semiautomaton.n_states

    @cached_property
    def letter_classes(self) -> tuple[tuple[str, ...], ...]:
        """The symbols that act alike, leading every state to the same one, together. O(states * letters)."""
        return tuple(tuple(self.alphabet[a] for a in letters) for letters in letter_classes(self.table))

    @cached_property
    def distinct(self) -> Self:
        """The same with the first only of symbols that act alike: the same states, fewer letters."""
        return self.with_letters({letters[0]: letters[0] for letters in self.letter_classes})

    def with_letters(self, letters: Mapping[str, str]) -> Self:
        """The same with some of its letters only, under other names. O(states * letters).

        Args:
            letters: from names to letters, one of each class at least, so that states stay as they are.
        """
        if [*letters] == [*letters.values()] == [*self.alphabet]:
            return self
        columns = [self.semiautomaton.letter_index[symbol] for symbol in letters.values()]
        table = tuple(tuple([row[a] for a in columns]) for row in self.table)
        return self._over(Semiautomaton(tuple(letters), table))

    @abstractmethod
    def _over(self, semiautomaton: Semiautomaton) -> Self:
        """The same with other transitions."""

    def run(self, word: Word) -> int:
        """The state after ``word``; :class:`UnknownSymbolError` for a foreign symbol."""
        return self.semiautomaton.run(0, word)

    def path(self, start: int, goal: Callable[[int], bool]) -> tuple[str, ...] | None:
        """A shortest word from ``start`` to a state that satisfies ``goal``, or None. O(states * letters)."""
        return shortest(start, lambda q: zip(self.alphabet, self.table[q], strict=True), goal)

    @cached_property
    def live(self) -> frozenset[int]:
        """States from which some accepting state can be reached. O(states * letters)."""
        edges = ((q, target) for q, row in enumerate(self.table) for target in row)
        return frozenset(leading_to(self.accepting, edges))

    @property
    def dead(self) -> int | None:
        """A state from which nothing is accepted, or None; of a language there is one at most, since it is minimal."""
        return next((q for q in range(self.n_states) if q not in self.live), None)

    def next_symbols(self, state: int) -> frozenset[str]:
        """The symbols after which the word can still be completed: the labels of predictive modelling."""
        row = self.semiautomaton.table[state]
        return frozenset(s for s, target in zip(self.alphabet, row, strict=True) if target in self.live)

    def _following(self, state: int) -> frozenset[str]:
        """:meth:`next_symbols`, and ``<eos>`` in an accepting state."""
        return self.next_symbols(state) | ({EOS} if state in self.accepting else frozenset())

    @property
    def labels(self) -> tuple[str, ...]:
        """What a picture calls the states."""
        return self.names

    @property
    def ends(self) -> frozenset[int]:
        """The states in which a word may end, if anything is said of that; else none."""
        return self.accepting

    @property
    @abstractmethod
    def tokens(self) -> tuple[str, ...]:
        """The tokens of which a model says after each prefix whether they are right."""

    @abstractmethod
    def allowed(self, state: int) -> frozenset[str]:
        """Those of :attr:`tokens` that are right in a state."""

    @abstractmethod
    def answer(self, state: int) -> Hashable:
        """What tells states apart: no two from which all words lead to equal answers are kept."""
