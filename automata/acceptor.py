"""The vectorised acceptor: runs a batch of words through an automaton with NumPy, as ground truth.

It is built from raw tables and computes liveness by itself, so that it shares no code with what it is used to judge.

How it is fast. One gather moves all words of a batch by r letters at once: r consecutive letters c_0 .. c_{r-1} over
an alphabet of k become the one letter c_0 + c_1 k + .. + c_{r-1} k^(r-1), and a table of n * k^r entries says where
such a letter leads. The letters are combined inside machine words: g letters, one per byte, times the constant
sum_i k^i 256^(g-1-i) have their combined code in the top byte, without a carry if k^g <= 256.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .alphabet import Word, check_alphabet
from .dfa import Dfa
from .errors import LanguageFormatError, UnknownSymbolError

Codes = NDArray[np.unsignedinteger[Any]]
Index = NDArray[np.intp]
Bools = NDArray[np.bool_]

MOST_ENTRIES = 2**18
"""Largest combined transition table: about what a second-level cache holds."""

MOST_LETTERS = 8
"""Most letters that one gather reads."""

PIECE = 2**18
"""How many bytes of encoded words are combined at a time."""


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
        self._powers: dict[int, Index] = {1: self.table}
        self._flat: dict[int, Index] = {}
        self._prefixes: dict[int, NDArray[Any]] = {}
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
        if flat.size == longest * len(words):
            return flat.reshape(len(words), longest), lengths
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
        if text.isascii() and self._code_type.itemsize == 1:
            characters = text.encode("ascii")
            first = ord(self.alphabet[0]) if k else 0
            if first + k <= 128 and [ord(symbol) for symbol in self.alphabet] == list(range(first, first + k)):
                # Neighbours in ASCII: what lies outside wraps round to at least k.
                shifted: Codes = np.frombuffer(characters, dtype=np.uint8) - np.uint8(first)
                return shifted
            numbers = bytes(self._letter.get(chr(point), k) for point in range(256))
            # From a bytearray, so that the array can be written to, like any other.
            return np.frombuffer(bytearray(characters).translate(numbers), dtype=np.uint8)
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

    def _checked(self, codes: ArrayLike, lengths: ArrayLike | None) -> tuple[Codes, Index]:
        """The batch in this acceptor's types; numbers out of range behind the end of a word are replaced by 0."""
        given = np.asarray(codes)
        if given.ndim != 2 or (given.size and given.dtype.kind not in "iu"):
            raise ValueError(
                f"codes have shape {given.shape} and type {given.dtype}; give integers of shape (words, max_length)"
            )
        batch, width = given.shape
        if lengths is None:
            ends = np.full(batch, width, dtype=np.intp)
        else:
            ends = np.asarray(lengths).astype(np.intp)
            if ends.shape != (batch,) or (batch and not (0 <= ends.min() and ends.max() <= width)):
                raise ValueError(f"lengths must be {batch} numbers in 0..{width}, one per word")
        k = len(self.alphabet)
        if given.size and (given.max() >= k or (given.dtype.kind == "i" and given.min() < 0)):
            outside = (given >= k) | (given < 0)
            wrong = outside & _inside(ends, width)
            if wrong.any():
                number, position = (int(i) for i in np.argwhere(wrong)[0])
                self._refuse(f"number {int(given[number, position])}", number, position)
            given = np.where(outside, 0, given)
        return given.astype(self._code_type, copy=False), ends

    def _batch(self, words: ArrayLike | Sequence[Word], lengths: ArrayLike | None) -> tuple[Codes, Index]:
        if _is_array(words):
            return self._checked(words, lengths)
        if isinstance(words, str):
            raise ValueError(f"give a list of words, not the one string {words!r}")
        if lengths is not None:
            raise ValueError("lengths go with encoded words only; plain words have their own")
        return self.encode(words)  # type: ignore[arg-type]

    # -- running -----------------------------------------------------------------------------------------------

    def final_states(self, words: ArrayLike | Sequence[Word], lengths: ArrayLike | None = None) -> Index:
        """The state after each word; shape (words,).

        O(symbols / r) gathers of one entry; tables of at most ``MOST_ENTRIES`` entries are built once and kept.

        Raises:
            UnknownSymbolError: with the number of the word and the position in it.
        """
        codes, ends = self._batch(words, lengths)
        longest, shortest = int(ends.max(initial=0)), int(ends.min(initial=codes.shape[1]))
        r = self._stride(MOST_LETTERS, codes.size, longest)
        steps, k = longest // r, len(self.alphabet)
        flat, size = self._step_table(r), max(1, k**r)
        state: Index = np.full(len(ends), self.initial * size, dtype=np.intp)
        if shortest // r == steps:
            for row in _pack(codes[:, : steps * r], k, r):
                # A mode other than "raise" lets take write straight to ``state``; every index is in range.
                flat.take(np.add(row, state, row), None, state, "wrap")
            return self._finish(state // size, codes, ends, r)
        # The longest words first, so that those still running at a step are the first few of the batch.
        whole: Index = ends // r
        order: Index = np.argsort(-whole, kind="stable")
        running = len(ends) - np.searchsorted(whole[order[::-1]], np.arange(steps), side="right")
        for row, active in zip(_pack(codes[:, : steps * r], k, r, order), running.tolist(), strict=True):
            index, now = row[:active], state[:active]
            flat.take(np.add(index, now, index), None, now, "wrap")
        after: Index = np.empty(len(ends), dtype=np.intp)
        after[order] = state // size
        return self._finish(after, codes, ends, r)

    def _finish(self, state: Index, codes: Codes, ends: Index, r: int) -> Index:
        """Read the last (length mod r) letters of each word: one gather for each binary digit of that number."""
        k = len(self.alphabet)
        while r > 1:
            r //= 2
            rest = np.flatnonzero(ends & r)
            if rest.size:
                start = ends[rest] // (2 * r) * (2 * r)
                if rest.size == len(ends) and (start == start[0]).all():
                    letters = codes[:, start[0] : start[0] + r]
                else:
                    letters = codes[rest[:, None], start[:, None] + np.arange(r)]
                weights = np.array([k**i for i in range(r)], dtype=np.intp)
                state[rest] = self._power(r)[state[rest], letters.astype(np.intp) @ weights]
        return state

    def accepts(self, words: ArrayLike | Sequence[Word], lengths: ArrayLike | None = None) -> Bools:
        """Whether each word is in the language; shape (words,). See :meth:`final_states` for errors and cost."""
        return self.accepting[self.final_states(words, lengths)]

    def states(self, words: ArrayLike | Sequence[Word], lengths: ArrayLike | None = None) -> Codes:
        """The state after every prefix, the empty one first; shape (words, max_length + 1). O(symbols).

        Behind the end of a word its last state is repeated.

        Raises:
            UnknownSymbolError: with the number of the word and the position in it.
        """
        codes, ends = self._batch(words, lengths)
        batch, width = codes.shape
        k, bytes_each = len(self.alphabet), self._state_type.itemsize
        r = self._stride(8 // bytes_each, codes.size, width)
        if width % r:
            wider: Codes = np.zeros((batch, width + r - width % r), dtype=codes.dtype)
            wider[:, :width] = codes
            codes = wider
        visited = _pack(codes, k, r)
        flat = self._step_table(r)
        state: Index = np.full(batch, self.initial * k**r, dtype=np.intp)
        for row in visited:
            flat.take(np.add(row, state, row), None, state, "wrap")
        result: Codes = np.empty((batch, width + 1), dtype=self._state_type)
        result[:, 0] = self.initial
        if width:
            # One entry of the table is the r states passed on the way, side by side in one machine word.
            path = np.take(self._prefix_table(r), visited.T).view(self._state_type)
            result[:, 1:] = path.reshape(batch, codes.shape[1])[:, :width]
        if batch and int(ends.min()) < width:
            last = result[np.arange(batch), ends]
            np.copyto(result, last[:, None], where=~_inside(ends + 1, width + 1))
        return result

    def accept_prefixes(self, words: ArrayLike | Sequence[Word], lengths: ArrayLike | None = None) -> Bools:
        """Whether each prefix is in the language; shape (words, max_length + 1).

        Behind the end of a word its last answer is repeated, as in :meth:`states`.
        """
        return self.accepting[self.states(words, lengths)]

    def next_symbol_mask(self, states: ArrayLike) -> Bools:
        """For each state, which symbols may come next for the word to remain completable; shape (..., k + 1).

        The last column is the end of string: whether the state is accepting.
        """
        return self._next[np.asarray(states, dtype=np.intp)]

    def next_masks(self, words: ArrayLike | Sequence[Word], lengths: ArrayLike | None = None) -> Bools:
        """:meth:`next_symbol_mask` after every prefix, the empty one first; shape (words, max_length + 1, k + 1)."""
        return self.next_symbol_mask(self.states(words, lengths))

    # -- tables ------------------------------------------------------------------------------------------------

    def _stride(self, most: int, symbols: int, longest: int) -> int:
        """How many letters a gather reads: a power of two, its table neither too large nor dearer than the batch."""
        r = 1
        while 2 * r <= min(most, longest):
            entries = self.n_states * len(self.alphabet) ** (2 * r)
            if entries > MOST_ENTRIES or (2 * r not in self._powers and entries > max(symbols, 4096)):
                break
            r *= 2
        return r

    def _power(self, r: int) -> Index:
        """``table[q, c]`` for combined letters ``c`` of r letters each. O(n k^r)."""
        if r not in self._powers:
            half = self._power(r // 2)
            pairs = half[half]  # [state, first half of the letters, second half]
            self._powers[r] = np.ascontiguousarray(pairs.transpose(0, 2, 1)).reshape(self.n_states, -1)
        return self._powers[r]

    def _step_table(self, r: int) -> Index:
        """The same with rows end to end and states multiplied by the row length, so that a step is one addition."""
        if r not in self._flat:
            power = self._power(r)
            self._flat[r] = (power * power.shape[1]).reshape(-1)
        return self._flat[r]

    def _prefix_table(self, r: int) -> NDArray[Any]:
        """For each state and combined letter, the r states after each single letter, as one unsigned integer."""
        if r not in self._prefixes:
            paths = self.table.astype(self._state_type)[..., None]
            s = 1
            while s < r:
                power = self._power(s)
                second = paths[power].swapaxes(1, 2)  # [state, second half, first half, position]
                first = np.broadcast_to(paths[:, None], second.shape)
                paths = np.concatenate([first, second], axis=-1).reshape(self.n_states, -1, 2 * s)
                s *= 2
            merged = np.dtype(f"u{r * self._state_type.itemsize}")
            self._prefixes[r] = np.ascontiguousarray(paths).view(merged).reshape(-1)
        return self._prefixes[r]


def _is_array(words: object) -> TypeGuard[NDArray[Any]]:
    return isinstance(words, np.ndarray)


def _unsigned(largest: int) -> np.dtype[Any]:
    """The smallest unsigned type that holds ``largest``."""
    return next(np.dtype(t) for t in (np.uint8, np.uint16, np.uint32) if largest <= np.iinfo(t).max)


def _pack(codes: Codes, k: int, r: int, order: Index | None = None) -> Index:
    """Combine each r neighbouring letters of a word into one number, the first letter in the lowest digit.

    Returns:
        an array of shape (max_length / r, words); column j is word ``order[j]``.
    """
    batch, width = codes.shape
    rows: Index = np.empty((width // r, batch), dtype=np.intp)
    piece = max(1, PIECE // max(1, width * codes.itemsize))
    for start in range(0, batch, piece):
        some = slice(start, start + piece)
        rows[:, some] = _combine(codes[some] if order is None else codes[order[some]], k, r).T
    return rows


def _combine(codes: Codes, k: int, r: int) -> NDArray[Any]:
    """:func:`_pack` before the transposition: shape (words, max_length / r), some unsigned type."""
    lanes: NDArray[Any] = np.ascontiguousarray(codes)
    base, left = k, r
    if k == 2 and r >= 8 and lanes.itemsize == 1:
        lanes, base, left = np.packbits(lanes, bitorder="little").reshape(len(lanes), -1), 256, r // 8
    while left > 1:
        size = lanes.itemsize
        bits = 8 * size
        group = next((g for g in (8, 4, 2) if left % g == 0 and g * size <= 8 and base**g <= 2**bits), 0)
        if group:
            magic = sum(base**i << bits * (group - 1 - i) for i in range(group))
            lanes = lanes.view(f"<u{size * group}")
            number = lanes.dtype.type
            lanes = lanes * number(magic)
            lanes >>= number(bits * (group - 1))
            base, left = base**group, left // group
            if group > 2:
                # Narrow again, but leave room for the next pair.
                lanes = lanes.astype(_unsigned(base - 1 if left == 1 or base == 256 else base**2 - 1))
        elif base == 2**bits:
            lanes = lanes.view(f"<u{2 * size}")
            base, left = base**2, left // 2
        else:
            lanes = lanes.astype(f"u{2 * size}")
    return lanes


def _inside(lengths: Index, width: int) -> Bools:
    """Shape (words, width): which positions lie inside each word. Compared in the smallest type, for speed."""
    small = _unsigned(width)
    inside: Bools = np.arange(width, dtype=small) < lengths.astype(small)[:, None]
    return inside


def _live(table: Index, accepting: Bools) -> Bools:
    """States from which an accepting one can be reached: backward closure, at most n rounds of O(n k)."""
    live = accepting.copy()
    while True:
        grown = live | live[table].any(axis=1)
        if (grown == live).all():
            return live
        live = grown
