"""What the readers of files come to: a nondeterministic automaton as a value, with names for states."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..alphabet import check_alphabet
from ..budget import DEFAULT_BUDGET, Budget
from ..dfa import Dfa
from ..errors import LanguageFormatError
from ..nfa import NfaBuilder
from ..search import leading_to
from .tables import Delta, assemble, sorted_symbols

Move = tuple[str, str | None, str]
"""Source, symbol (None: epsilon), target."""


@dataclass(frozen=True)
class Nfa:
    """A finite automaton with any number of initial states, moves and epsilon moves; states are named by strings.

    Args:
        alphabet: the symbols, in order.
        states: the names of the states, in the order of the description.
        initial: where words begin; none of them: the empty language.
        accepting: where they may end.
        moves: the transitions.

    Raises:
        LanguageFormatError: a state that is not among the states, or a symbol outside the alphabet.
        AlphabetError: a symbol that cannot be used.
    """

    alphabet: tuple[str, ...]
    states: tuple[str, ...]
    initial: tuple[str, ...]
    accepting: frozenset[str]
    moves: tuple[Move, ...]

    def __post_init__(self) -> None:
        check_alphabet(self.alphabet)
        states, symbols = set(self.states), {None, *self.alphabet}
        for name in (*self.initial, *sorted(self.accepting), *(q for s, _, t in self.moves for q in (s, t))):
            if name not in states:
                raise LanguageFormatError(f"{name!r} is used as a state, but is none of those that are declared")
        for source, symbol, target in self.moves:
            if symbol not in symbols:
                raise LanguageFormatError(
                    f"the transition from {source!r} to {target!r} reads {symbol!r}, which is not in the alphabet"
                )

    @classmethod
    def of(
        cls,
        initial: Iterable[str],
        accepting: Iterable[str],
        moves: Iterable[Move],
        *,
        states: Iterable[str] = (),
        alphabet: Iterable[str] | None = None,
    ) -> Nfa:
        """From parts: every name that occurs is a state, and by default every symbol that occurs is in the alphabet.

        Args:
            states: names that come first in the order, whether they occur or not.
            alphabet: the symbols in order; by default those that occur, sorted.
        """
        kept, first, last = tuple(dict.fromkeys(moves)), tuple(dict.fromkeys(initial)), tuple(accepting)
        order = dict.fromkeys((*states, *first, *(q for s, _, t in kept for q in (s, t)), *last))
        if alphabet is None:
            alphabet = sorted_symbols(symbol for _, symbol, _ in kept if symbol is not None)
        return cls(tuple(alphabet), tuple(order), first, frozenset(last), kept)

    @property
    def deterministic(self) -> bool:
        """Whether there is one initial state, no epsilon move, and at most one move per state and symbol."""
        pairs = {(source, symbol) for source, symbol, _ in self.moves}
        return (
            len(self.initial) == 1 and len(pairs) == len(self.moves) and all(symbol is not None for _, symbol in pairs)
        )

    def dfa(self, budget: Budget = DEFAULT_BUDGET) -> Dfa:
        """The language; a deterministic automaton keeps the names of its states.

        Raises:
            BudgetExceededError: more subsets of states than the budget allows (up to 2^n for n states).
        """
        if self.deterministic:
            budget.meter("kilobytes of transitions").tick(len(self.states) * len(self.alphabet) >> 7)
            delta: Delta = {q: {} for q in self.states}
            for source, symbol, target in self.moves:
                assert symbol is not None
                delta[source][symbol] = target
            return assemble(delta, self.initial[0], sorted(self.accepting), self.alphabet)
        # Only states that lie on a way to acceptance matter, and subsets are masks over all states.
        useful = leading_to(self.accepting, ((s, t) for s, _, t in self.moves))
        kept = [q for q in self.states if q in useful]
        nfa, letter = NfaBuilder(self.alphabet), {symbol: a for a, symbol in enumerate(self.alphabet)}
        start = nfa.state()
        number = {q: nfa.state() for q in kept}
        for q in self.initial:
            if q in number:
                nfa.jump(start, number[q])
        for source, symbol, target in self.moves:
            if source in number and target in number:
                if symbol is None:
                    nfa.jump(number[source], number[target])
                else:
                    nfa.link(number[source], letter[symbol], number[target])
        return Dfa.determinised(nfa, start, [number[q] for q in sorted(self.accepting)], budget)

    def __str__(self) -> str:
        lines = [
            f"Nfa over {{{', '.join(self.alphabet)}}}, {len(self.states)} states, "
            f"initial {', '.join(self.initial) or 'none'}, accepting {', '.join(sorted(self.accepting)) or 'none'}"
        ]
        return "\n".join([*lines, *(f"  {s} -{'ε' if a is None else a}-> {t}" for s, a, t in self.moves)])
