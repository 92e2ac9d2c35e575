"""The vectorised acceptor: runs a batch of words through an automaton with NumPy, as ground truth.

It is built from raw tables and computes liveness by itself, so that it shares no code with what it is used to judge.
One gather moves all words of a batch by one letter. A column is added to the table for what stands behind the end of
a word: it keeps the state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .alphabet import Word, check_alphabet
from .dfa import Dfa
from .errors import LanguageFormatError, UnknownSymbolError
from .moore import Moore

Codes = NDArray[np.unsignedinteger[Any]]
Index = NDArray[np.intp]
Bools = NDArray[np.bool_]


NARROW = 16
"""Up to so many words, one after the other is faster than a letter of each at a time."""


class Acceptor:
    """Runs batches of words through a complete deterministic automaton.

    A batch is given as plain words, or already encoded as an array of letter numbers of shape (words, max_length)
    with the lengths of the words; what stands behind the end of a word is ignored.

    Args:
        alphabet: the symbols, in the order of the columns of ``table``.
        table: ``table[q][a]`` is the state that letter number ``a`` leads to from state ``q``.
        initial: number of the initial state.
        accepting: numbers of the accepting states.

    Raises:
        AlphabetError: an unusable symbol.
        LanguageFormatError: a table of the wrong shape, or a state number out of range.

    >>> even = Acceptor(("0", "1"), [[0, 1], [1, 0]], 0, [0])
    >>> even.accepts(["0110", "1", ""]).tolist()
    [True, False, True]
    """

    def __init__(self, alphabet: Iterable[str], table: ArrayLike, initial: int, accepting: Iterable[int]) -> None:
        self.alphabet = check_alphabet(alphabet)
        k = len(self.alphabet)
        try:
            given = np.asarray(table)
        except ValueError:
            raise LanguageFormatError("the rows of the table differ in length; give one entry per symbol") from None
        n = len(given) if given.ndim else 0
        if n == 0 or given.shape != (n, k) or (k and given.dtype.kind not in "iu"):
            raise LanguageFormatError(
                f"the table has shape {given.shape} and type {given.dtype}; "
                f"give state numbers, one row per state with {k} entries"
            )
        chosen = sorted({int(q) for q in accepting})
        for q in (int(initial), *chosen, *((int(given.min()), int(given.max())) if k else ())):
            if not 0 <= q < n:
                raise LanguageFormatError(f"state {q} is outside 0..{n - 1}")
        self.initial = int(initial)
        self.table: Index = given.astype(np.intp)
        self.accepting: Bools = np.zeros(n, dtype=np.bool_)
        self.accepting[chosen] = True
        self.live: Bools = _live(self.table, self.accepting)
        self._next: Bools = np.column_stack([self.live[self.table], self.accepting])
        self._letter = {symbol: a for a, symbol in enumerate(self.alphabet)}
        self._code_type = _unsigned(k)
        self._state_type = _unsigned(n - 1)
        # Rows end to end, a last column that keeps the state, and states times the row length: a step is one addition.
        self._steps: Index = np.column_stack([self.table, np.arange(n)]).reshape(-1) * (k + 1)
        self._steps_list: list[int] = self._steps.tolist()
        for array in (self.table, self.accepting, self.live, self._next):
            array.setflags(write=False)

    @classmethod
    def of(cls, dfa: Dfa) -> Acceptor:
        """The acceptor of a :class:`Dfa`, with the same state numbers."""
        return cls(dfa.alphabet, dfa.semiautomaton.array, dfa.initial, dfa.accepting)

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.table)

    # -- words to numbers --------------------------------------------------------------------------------------

    def encode(self, words: Sequence[Word]) -> tuple[Codes, Index]:
        """Letter numbers, padded with 0 to shape (words, longest), and the lengths. O(symbols).

        Plain strings over an alphabet of single characters are read without a Python loop over symbols.

        Raises:
            UnknownSymbolError: with the number of the word and the position in it.
        """
        lengths: Index = np.fromiter(map(len, words), dtype=np.intp, count=len(words))
        flat = self._encode_flat(words, int(lengths.sum()))
        if flat.size and flat.max() >= len(self.alphabet):
            bad = np.flatnonzero(flat >= len(self.alphabet))
            ends = np.cumsum(lengths)
            number = int(np.searchsorted(ends, bad[0], side="right"))
            position = int(bad[0] - (ends[number] - lengths[number]))
            self._refuse(repr(words[number][position]), number, position)
        longest = int(lengths.max(initial=0))
        codes: Codes = np.zeros((len(words), longest), dtype=self._code_type)
        codes[_inside(lengths, longest)] = flat
        return codes, lengths

    def _encode_flat(self, words: Sequence[Word], total: int) -> Codes:
        """All letters of all words in a row; a symbol outside the alphabet becomes the number k."""
        k = len(self.alphabet)
        plain = all(issubclass(kind, str) for kind in set(map(type, words)))
        if not plain or any(len(symbol) > 1 for symbol in self.alphabet):
            letters = map(self._letter.get, chain.from_iterable(words), repeat(k))
            return np.fromiter(letters, dtype=self._code_type, count=total)
        text = "".join(words)  # type: ignore[arg-type]
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
        top = int(points.max(initial=0)) + 1
        lookup: Codes = np.full(top, k, dtype=self._code_type)
        for a, symbol in enumerate(self.alphabet):
            if ord(symbol) < top:
                lookup[ord(symbol)] = a
        codes: Codes = lookup[points]
        return codes

    def _refuse(self, what: str, number: int, position: int) -> None:
        raise UnknownSymbolError(
            f"symbol {what} at position {position} of word number {number} (both from 0) "
            f"is not in the alphabet {{{', '.join(self.alphabet)}}}"
        )

    def _letters(self, words: ArrayLike | Sequence[Word], lengths: ArrayLike | None) -> Codes:
        """Checked letter numbers, padded with k; shape (words, max_length)."""
        k = len(self.alphabet)
        if isinstance(words, str):
            raise ValueError(f"give a list of words, not the one string {words!r}")
        if not _is_array(words):
            if lengths is not None:
                raise ValueError("lengths go with encoded words only; plain words have their own")
            codes, ends = self.encode(words)  # type: ignore[arg-type]
            return np.where(_inside(ends, codes.shape[1]), codes, k).astype(self._code_type)
        if words.ndim != 2 or (words.size and words.dtype.kind not in "iu"):
            raise ValueError(
                f"codes have shape {words.shape} and type {words.dtype}; give integers of shape (words, max_length)"
            )
        batch, width = words.shape
        ends = np.full(batch, width) if lengths is None else np.asarray(lengths).astype(np.intp)
        if ends.shape != (batch,) or (batch and not (0 <= ends.min() and ends.max() <= width)):
            raise ValueError(f"lengths must be {batch} numbers in 0..{width}, one per word")
        inside = _inside(ends, width)
        wrong = inside & ((words < 0) | (words >= k))
        if wrong.any():
            number, position = (int(i) for i in np.argwhere(wrong)[0])
            self._refuse(f"number {int(words[number, position])}", number, position)
        return np.where(inside, words, k).astype(self._code_type)

    # -- running -----------------------------------------------------------------------------------------------

    def _run(self, letters: Codes) -> Iterator[Index]:
        """The states of all words, times the row length: before the first letter and after each."""
        state: Index = np.full(len(letters), self.initial * (len(self.alphabet) + 1), dtype=np.intp)
        yield state
        for column in np.ascontiguousarray(letters.T):
            state = self._steps.take(state + column)
            yield state

    def final_states(self, words: ArrayLike | Sequence[Word], lengths: ArrayLike | None = None) -> Index:
        """The state after each word; shape (words,). O(symbols).

        Raises:
            UnknownSymbolError: with the number of the word and the position in it.
        """
        *_, last = self._run(self._letters(words, lengths))
        return last // (len(self.alphabet) + 1)

    def accepts(self, words: ArrayLike | Sequence[Word], lengths: ArrayLike | None = None) -> Bools:
        """Whether each word is in the language; shape (words,). See :meth:`final_states` for errors and cost."""
        return self.accepting[self.final_states(words, lengths)]

    def states(self, words: ArrayLike | Sequence[Word], lengths: ArrayLike | None = None) -> Codes:
        """The state after every prefix, the empty one first; shape (words, max_length + 1). O(symbols).

        Behind the end of a word its last state is repeated.

        Raises:
            UnknownSymbolError: with the number of the word and the position in it.
        """
        letters = self._letters(words, lengths)
        if 0 < len(letters) <= NARROW:
            walks = np.array([self._walk(row) for row in letters.tolist()], dtype=np.intp)
            return (walks // (len(self.alphabet) + 1)).astype(self._state_type)
        visited: Codes = np.empty((letters.shape[1] + 1, len(letters)), dtype=self._state_type)
        for row, state in zip(visited, self._run(letters), strict=True):
            row[:] = state // (len(self.alphabet) + 1)
        return np.ascontiguousarray(visited.T)

    def _walk(self, letters: list[int]) -> list[int]:
        """The states of one word, times the row length: what :meth:`_run` gives, faster where there are few words."""
        steps, state = self._steps_list, self.initial * (len(self.alphabet) + 1)
        return [state, *(state := steps[state + letter] for letter in letters)]

    def next_symbol_mask(self, states: ArrayLike) -> Bools:
        """For each state, which symbols may come next for the word to remain completable; shape (..., k + 1).

        The last column is the end of string: whether the state is accepting.
        """
        return self._next[np.asarray(states, dtype=np.intp)]

    def next_masks(self, words: ArrayLike | Sequence[Word], lengths: ArrayLike | None = None) -> Bools:
        """:meth:`next_symbol_mask` after every prefix, the empty one first; shape (words, max_length + 1, k + 1)."""
        return self.next_symbol_mask(self.states(words, lengths))


class MooreRunner(Acceptor):
    """The same for a machine with outputs: which class each prefix has, read from raw tables as well.

    Args:
        machine: the machine.
    """

    def __init__(self, machine: Moore) -> None:
        super().__init__(machine.alphabet, machine.semiautomaton.array, machine.initial, machine.accepting)
        self.class_names = machine.classes
        number = {name: c for c, name in enumerate(machine.classes)}
        self.outputs: Index = np.array([number[name] for name in machine.outputs], dtype=np.intp)
        following = self._next if machine.predicts else np.zeros_like(self._next)
        self._next = np.column_stack([following, self.outputs[:, None] == np.arange(len(machine.classes))])

    def classes(self, words: ArrayLike | Sequence[Word], lengths: ArrayLike | None = None) -> Index:
        """The number of the class after every prefix, the empty one first; shape (words, max_length + 1)."""
        return self.outputs[self.states(words, lengths)]


def _is_array(words: object) -> TypeGuard[NDArray[Any]]:
    return isinstance(words, np.ndarray)


def _unsigned(largest: int) -> np.dtype[Any]:
    """The smallest unsigned type that holds ``largest``."""
    return next(np.dtype(t) for t in (np.uint8, np.uint16, np.uint32) if largest <= np.iinfo(t).max)


def _inside(lengths: Index, width: int) -> Bools:
    """Shape (words, width): which positions lie inside each word."""
    inside: Bools = np.arange(width) < lengths[:, None]
    return inside


def _live(table: Index, accepting: Bools) -> Bools:
    """States from which an accepting one can be reached: backward closure, at most n rounds of O(n k)."""
    live = accepting.copy()
    while True:
        grown = live | live[table].any(axis=1)
        if (grown == live).all():
            return live
        live = grown
