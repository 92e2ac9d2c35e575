"""Semiautomata: states and letters that act on them, with no initial or accepting states."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .alphabet import Word, check_alphabet
from .errors import LanguageFormatError, UnknownSymbolError


@dataclass(frozen=True, slots=False)
class Semiautomaton:
    """A complete deterministic semiautomaton (Q, Sigma, delta).

    Args:
        alphabet: the symbols, in the order of the columns of ``table``.
        table: ``table[q][a]`` is the state that letter number ``a`` leads to from state ``q``.

    Raises:
        AlphabetError: an unusable symbol.
        LanguageFormatError: no state, a ragged table, or a target out of range.
    """

    alphabet: tuple[str, ...]
    table: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "alphabet", check_alphabet(self.alphabet))
        object.__setattr__(self, "table", tuple(tuple(int(t) for t in row) for row in self.table))
        if not self.table:
            raise LanguageFormatError("an automaton needs at least one state")
        for q, row in enumerate(self.table):
            if len(row) != len(self.alphabet):
                raise LanguageFormatError(
                    f"state {q} has {len(row)} transitions for {len(self.alphabet)} symbols; give one per symbol"
                )
            if row and not (0 <= min(row) and max(row) < len(self.table)):
                raise LanguageFormatError(f"state {q} has a transition to a state outside 0..{len(self.table) - 1}")

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.table)

    @property
    def n_letters(self) -> int:
        """Number of letters."""
        return len(self.alphabet)

    @cached_property
    def letter_index(self) -> dict[str, int]:
        """From symbol to the number of its column."""
        return {symbol: i for i, symbol in enumerate(self.alphabet)}

    @cached_property
    def array(self) -> NDArray[np.intp]:
        """The table as a read-only array of shape (states, letters)."""
        array = np.array(self.table, dtype=np.intp).reshape(self.n_states, self.n_letters)
        array.setflags(write=False)
        return array

    def index_of(self, symbol: str) -> int:
        """The number of a letter; :class:`UnknownSymbolError` if it is not in the alphabet."""
        try:
            return self.letter_index[symbol]
        except KeyError:
            raise UnknownSymbolError(
                f"symbol {symbol!r} is not in the alphabet {{{', '.join(self.alphabet)}}}"
            ) from None

    def run(self, state: int, word: Word) -> int:
        """The state after reading ``word`` from ``state``. O(|word|)."""
        for symbol in word:
            state = self.table[state][self.index_of(symbol)]
        return state

    def __str__(self) -> str:
        width = max([1, *(len(s) for s in self.alphabet)], default=1) + 1
        width = max(width, len(str(self.n_states)) + 1)
        head = " " * 6 + "".join(s.rjust(width) for s in self.alphabet)
        rows = [f"{q:>5} " + "".join(str(t).rjust(width) for t in row) for q, row in enumerate(self.table)]
        return "\n".join([head, *rows])
