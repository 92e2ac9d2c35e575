"""Random words: uniform members of a language, one-symbol edits, arbitrary words, long words that stay live.

Every function takes the caller's generator, ``random.Random`` or ``numpy.random.Generator``; equal seeds give equal
words in every process.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..alphabet import Word
from ..dfa import Dfa
from ..errors import AlphabetError, EmptyLanguageError

Rng = random.Random | np.random.Generator
Symbols = tuple[str, ...]

_NO_COUNT = -(2**40)
"""An exponent below all others, of a count of zero."""

EXACT_LENGTH = 1000
"""Up to this maximal length a sampler counts in exact integers by default."""


def count_words(dfa: Dfa, length: int) -> int:
    """How many words of exactly this length the language has. O(length * states * letters) additions, exact.

    >>> count_words(Dfa.universal(("a", "b")), 10)
    1024
    """
    counts = _last_counts(dfa)
    for _ in range(length):
        counts = _next_counts(dfa, counts)
    return counts[dfa.initial]


def _last_counts(dfa: Dfa) -> list[int]:
    return [int(q in dfa.accepting) for q in range(dfa.n_states)]


def _next_counts(dfa: Dfa, counts: list[int]) -> list[int]:
    """From the numbers of completions of each state with l letters to those with l + 1."""
    return [sum([counts[target] for target in row]) for row in dfa.semiautomaton.table]


class UniformSampler:
    """Draws words of a given length uniformly from a language.

    A table of how many words of each length lead from each state to acceptance; a word is drawn letter by letter in
    proportion to the counts of what remains.

    Args:
        dfa: the language.
        max_length: the largest length that will be asked for.
        exact: count in Python integers, so that every word of a length has exactly the same probability: time
            O(max_length * states * letters) additions and memory O(max_length * states) integers of up to
            max_length * log2(letters) bits. If false, count in floats with an exponent of their own for each entry:
            no overflow or underflow, memory O(max_length * states * letters) floats, and each word's probability is
            right up to a factor of about 1 + max_length * letters * 2^-52. By default exact up to ``EXACT_LENGTH``.

    >>> UniformSampler(Dfa.from_words(("a", "b"), ["ab"]), 3).word(2, random.Random(0))
    ('a', 'b')
    """

    def __init__(self, dfa: Dfa, max_length: int, *, exact: bool | None = None) -> None:
        if max_length < 0:
            raise ValueError(f"max_length is {max_length}; give a length of 0 or more")
        self.dfa = dfa
        self.max_length = max_length
        self.exact = max_length <= EXACT_LENGTH if exact is None else exact
        self._counts: list[list[int]] = []
        self._scaled: _ScaledCounts | None = None
        if self.exact:
            self._counts.append(_last_counts(dfa))
            for _ in range(max_length):
                self._counts.append(_next_counts(dfa, self._counts[-1]))
        else:
            self._scaled = _ScaledCounts(dfa, max_length)

    def lengths(self) -> list[int]:
        """The lengths up to ``max_length`` of which the language has words."""
        return [length for length in range(self.max_length + 1) if self._has(length)]

    def _has(self, length: int) -> bool:
        if self._scaled is not None:
            return self._scaled.has(length)
        return self._counts[length][self.dfa.initial] > 0

    def word(self, length: int, rng: Rng) -> Symbols:
        """A word of this length, uniformly. O(length * letters) operations.

        Raises:
            EmptyLanguageError: the language has no word of this length.
        """
        if not 0 <= length <= self.max_length:
            raise ValueError(f"length {length} is outside 0..{self.max_length}, the range of this sampler")
        if not self._has(length):
            raise EmptyLanguageError(f"the language has no word of length {length}; .lengths() lists those it has")
        if self._scaled is not None:
            return self._scaled.word(length, rng)
        table, alphabet = self.dfa.semiautomaton.table, self.dfa.alphabet
        state = self.dfa.initial
        # The words of this length in lexicographic order; draw the number of one of them and find it.
        rank = _below(self._counts[length][state], rng)
        word = []
        for remaining in range(length - 1, -1, -1):
            counts, row, letter = self._counts[remaining], table[state], 0
            while rank >= counts[row[letter]]:
                rank -= counts[row[letter]]
                letter += 1
            word.append(alphabet[letter])
            state = row[letter]
        return tuple(word)

    def batch(self, count: int, rng: Rng, length: int | None = None) -> list[Symbols]:
        """Several words: of the one length given, or each of a length drawn uniformly from :meth:`lengths`.

        Raises:
            EmptyLanguageError: there is no such word (and ``count`` is not 0).
        """
        if length is not None:
            return [self.word(length, rng) for _ in range(count)]
        lengths = self.lengths()
        if count and not lengths:
            raise EmptyLanguageError(f"the language has no word of length up to {self.max_length}")
        return [self.word(lengths[_below(len(lengths), rng)], rng) for _ in range(count)]


class _ScaledCounts:
    """Counts as floats, with an exponent of their own for each state and length."""

    def __init__(self, dfa: Dfa, max_length: int) -> None:
        self.dfa = dfa
        delta = dfa.semiautomaton.array
        mantissa: NDArray[np.float64] = np.zeros(dfa.n_states)
        mantissa[sorted(dfa.accepting)] = 1.0
        exponent: NDArray[np.int64] = np.zeros(dfa.n_states, dtype=np.int64)
        self.initial_mantissas = [float(mantissa[dfa.initial])]
        # cumulative[l, q, a]: how many words of l more letters follow one of the letters 0..a in q, scaled per (l, q).
        self.cumulative: NDArray[np.float64] = np.zeros((max_length, *delta.shape))
        for length in range(max_length):
            known = np.where(mantissa > 0, exponent, _NO_COUNT)[delta]
            top = known.max(axis=1, initial=_NO_COUNT)
            top = np.where(top == _NO_COUNT, 0, top)
            shift = np.clip(known - top[:, None], -2000, 0).astype(np.int32)
            self.cumulative[length] = np.ldexp(mantissa[delta], shift).cumsum(axis=1)
            total = self.cumulative[length, :, -1] if delta.shape[1] else np.zeros(dfa.n_states)
            mantissa, more = np.frexp(total)
            exponent = top + more
            self.initial_mantissas.append(float(mantissa[dfa.initial]))

    def has(self, length: int) -> bool:
        return self.initial_mantissas[length] > 0

    def word(self, length: int, rng: Rng) -> Symbols:
        table, alphabet = self.dfa.semiautomaton.table, self.dfa.alphabet
        state = self.dfa.initial
        word = []
        for rest, u in zip(range(length - 1, -1, -1), _uniforms(length, rng), strict=True):
            weights = self.cumulative[rest, state]
            # Below the total even after rounding; the first entry above it belongs to a letter of positive weight.
            mark = min(u * weights[-1], np.nextafter(weights[-1], 0.0))
            letter = int(weights.searchsorted(mark, side="right"))
            word.append(alphabet[letter])
            state = table[state][letter]
        return tuple(word)


def edit(word: Word, alphabet: Sequence[str], rng: Rng) -> Symbols:
    """A word at edit distance one: a substitution by another symbol, an insertion or a deletion.

    The kind is drawn uniformly from those that are possible, then the place and the symbol.

    Raises:
        AlphabetError: the word and the alphabet are both empty, so that there is no edit.
    """
    return _edit(word, alphabet, rng, may_insert=True)


def _edit(word: Word, alphabet: Sequence[str], rng: Rng, *, may_insert: bool) -> Symbols:
    kinds = []
    if word and any(symbol != word[0] for symbol in alphabet):
        kinds.append("substitute")
    if alphabet and may_insert:
        kinds.append("insert")
    if word:
        kinds.append("delete")
    if not kinds:
        raise AlphabetError("no edit of the empty word is possible; give an alphabet with a symbol to insert")
    kind = kinds[_below(len(kinds), rng)]
    place = _below(len(word) + (kind == "insert"), rng)
    before, after = tuple(word[:place]), tuple(word[place + (kind != "insert") :])
    if kind == "delete":
        return before + after
    symbols = [symbol for symbol in alphabet if kind == "insert" or symbol != word[place]]
    return (*before, symbols[_below(len(symbols), rng)], *after)


def arbitrary(alphabet: Sequence[str], length: int, rng: Rng) -> Symbols:
    """A word of this length, uniform over all words.

    Raises:
        AlphabetError: the alphabet is empty and ``length`` is not 0.
    """
    if length and not alphabet:
        raise AlphabetError(f"there is no word of length {length} over the empty alphabet; give one with symbols")
    k = len(alphabet)
    return tuple(alphabet[int(u * k)] for u in _uniforms(length, rng))


def live_word(dfa: Dfa, length: int, rng: Rng) -> Symbols:
    """A word of exactly this length all of whose prefixes are live: each extends to a word of the language.

    A random walk that only enters states from which a live path of the remaining length leads on; all letters that
    do are equally likely. The word itself need not be in the language. O(length * letters + states * letters).

    Raises:
        EmptyLanguageError: there is no such word (the language is empty, or finite with shorter words only).
    """
    reach = _longest_live_paths(dfa)
    if reach[dfa.initial] < length:
        raise EmptyLanguageError(
            f"no word of length {length} has only live prefixes; the longest has length {reach[dfa.initial]:g}"
            if reach[dfa.initial] >= 0
            else f"no word of length {length} has only live prefixes, since the language is empty"
        )
    n, table, alphabet = dfa.n_states, dfa.semiautomaton.table, dfa.alphabet
    # With n or more letters to go, the states that remain possible are those with unbounded paths.
    steady = [[a for a, target in enumerate(row) if reach[target] == np.inf] for row in table]
    state, word = dfa.initial, []
    for rest, u in zip(range(length - 1, -1, -1), _uniforms(length, rng), strict=True):
        row = table[state]
        options = steady[state] if rest >= n else [a for a, target in enumerate(row) if reach[target] >= rest]
        letter = options[int(u * len(options))]
        word.append(alphabet[letter])
        state = row[letter]
    return tuple(word)


def _longest_live_paths(dfa: Dfa) -> list[float]:
    """For each state the length of the longest path of live states from it: infinite, or -1 from a dead state.

    States whose live successors are all settled are peeled off one by one; what remains reaches a live cycle.
    O(states * letters).
    """
    table = dfa.semiautomaton.table
    longest = [float("inf") if q in dfa.live else -1.0 for q in range(dfa.n_states)]
    open_edges = [sum(target in dfa.live for target in row) for row in table]
    before: dict[int, list[int]] = {}
    for q, row in enumerate(table):
        for target in row:
            before.setdefault(target, []).append(q)
    stack = [q for q in sorted(dfa.live) if open_edges[q] == 0]
    while stack:
        q = stack.pop()
        longest[q] = 1 + max((longest[target] for target in table[q]), default=-1.0)
        for p in before.get(q, ()):
            if p in dfa.live:
                open_edges[p] -= 1
                if open_edges[p] == 0:
                    stack.append(p)
    return longest


def mixture(dfa: Dfa, count: int, max_length: int, rng: Rng) -> list[Symbols]:
    """Test words of length at most ``max_length``: half members, a quarter one-symbol edits of members, the rest
    arbitrary, in this order.

    A member's length is uniform over the lengths that have words, and the word is uniform among those of its length
    (see :class:`UniformSampler` for lengths past ``EXACT_LENGTH``). An arbitrary word's length is uniform. Where the
    language has no word that short, or a member has no edit that short, arbitrary words take the place.
    """
    sampler = UniformSampler(dfa, max_length)
    n_members, n_edits = count - count // 2, count // 4
    lengths = sampler.lengths()
    longest = max_length if dfa.alphabet else 0
    words: list[Symbols] = []
    if lengths:
        words += sampler.batch(n_members, rng)
        for member in sampler.batch(n_edits, rng):
            room = len(member) < max_length
            if member or (room and dfa.alphabet):
                words.append(_edit(member, dfa.alphabet, rng, may_insert=room))
    while len(words) < count:
        words.append(arbitrary(dfa.alphabet, _below(longest + 1, rng), rng))
    return words


# -- the two kinds of generator --------------------------------------------------------------------------------------


def _below(bound: int, rng: Rng) -> int:
    """A uniform integer in 0..bound-1, of any size, by rejection."""
    bits = (bound - 1).bit_length()
    if bits == 0:
        return 0
    n_bytes = (bits + 7) // 8
    while True:
        drawn = rng.randbytes(n_bytes) if isinstance(rng, random.Random) else rng.bytes(n_bytes)
        number = int.from_bytes(drawn, "little") >> (8 * n_bytes - bits)
        if number < bound:
            return number


def _uniforms(count: int, rng: Rng) -> list[float]:
    """Floats in [0, 1)."""
    if isinstance(rng, random.Random):
        return [rng.random() for _ in range(count)]
    drawn: list[float] = rng.random(count).tolist()
    return drawn
