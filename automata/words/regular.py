"""Uniform words of a regular language, from how many words of each length lead from each state to acceptance.

Counts are kept as logarithms, so that nothing overflows or is lost. The words drawn are uniform up to a total variation
of about length^2 * 2^-50.

A :class:`Table` keeps a row for every length and goes letter by letter; a choice in proportion to numbers with
logarithms w_i is the i with the greatest w_i + g_i, for independent Gumbel variables g_i. Where states are few,
:class:`Halves` keeps the numbers of paths whose length is a power of two only, draws the state in the middle first,
then those between, and so on; all pieces of one length are halved at once.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..dfa import Dfa
from ..errors import EmptyLanguageError
from .draw import Floats, Ints, Rng, Symbols, generator_of, spell

MOST_STATES = 64
"""Live states up to which words are drawn by halving."""


class RegularWords:
    """Draws words of a given length uniformly from a regular language.

    Args:
        dfa: the language; n of its states are live.
        max_length: the largest length that will be asked for. O(n^3 * log(max_length)) time and floats where n is
            at most ``MOST_STATES``, else O(max_length * n * letters) time and O(max_length * n) floats.

    >>> RegularWords(Dfa.from_words(("a", "b"), ["ab"]), 3).word(2, np.random.default_rng(0))
    ('a', 'b')
    """

    def __init__(self, dfa: Dfa, max_length: int) -> None:
        if max_length < 0:
            raise ValueError(f"max_length is {max_length}; give a length of 0 or more")
        self.dfa, self.max_length = dfa, max_length

    @cached_property
    def _counts(self) -> Halves | Table:
        return (Halves if len(self.dfa.live) <= MOST_STATES else Table)(self.dfa, self.max_length)

    @cached_property
    def _has(self) -> NDArray[np.bool_]:
        """Whether there is a word of each length; the sets of states that have one soon come round again."""
        table = self.dfa.semiautomaton.array
        now: NDArray[np.bool_] = np.zeros(self.dfa.n_states, dtype=np.bool_)
        now[list(self.dfa.accepting)] = True
        seen: dict[bytes, int] = {}
        found: list[bool] = []
        while len(found) <= self.max_length and now.tobytes() not in seen:
            seen[now.tobytes()] = len(found)
            found.append(bool(now[self.dfa.initial]))
            now = np.logical_or.reduce(now[table], axis=1)
        lengths = np.arange(self.max_length + 1)
        first = seen.get(now.tobytes(), 0)
        period = len(found) - first
        return np.array(found)[np.where(lengths < len(found), lengths, first + (lengths - first) % period)]

    def lengths(self, shortest: int, longest: int) -> list[int]:
        """The lengths in this range of which there are words."""
        return (shortest + np.flatnonzero(self._has[shortest : longest + 1])).tolist()

    def word(self, length: int, rng: Rng) -> Symbols:
        """A word of this length, uniformly.

        Raises:
            EmptyLanguageError: the language has no word of this length.
        """
        if not 0 <= length <= self.max_length:
            raise ValueError(f"length {length} is outside 0..{self.max_length}, the range of this sampler")
        if not self._has[length]:
            raise EmptyLanguageError(f"the language has no word of length {length}; .lengths() tells those it has")
        return spell(self.dfa.alphabet, self._counts.letters(length, generator_of(rng)))


class Table:
    """``rows[l, q]``: the logarithm of the number of words of length l that lead from q to acceptance."""

    def __init__(self, dfa: Dfa, max_length: int) -> None:
        self.table, self.initial = dfa.semiautomaton.array, dfa.initial
        self.rows: Floats = np.full((max_length + 1, dfa.n_states), -np.inf)
        self.rows[0, list(dfa.accepting)] = 0.0
        for shorter, row in zip(self.rows, self.rows[1:], strict=False):
            np.logaddexp.reduce(shorter[self.table], axis=1, initial=-np.inf, out=row)

    def letters(self, length: int, generator: np.random.Generator) -> Ints:
        """The letter numbers of a word of this length, of which there must be one; shape (length,)."""
        found, state = np.zeros(length, dtype=np.int64), self.initial
        noise = generator.gumbel(size=(length, self.table.shape[1]))
        for place in range(length):
            targets = self.table[state]
            letter = (self.rows[length - 1 - place, targets] + noise[place]).argmax()
            found[place], state = letter, targets[letter]
        return found


class Halves:
    """Paths whose length is a power of two.

    ``paths[j][s, e]`` is the logarithm of the number of paths of length 2^j between two live states, and
    ``middles[j][s, e]`` the probabilities that a path of length 2^(j + 1) is in states 0..m in its middle, for every m.
    """

    def __init__(self, dfa: Dfa, max_length: int) -> None:
        live = sorted(dfa.live)
        number, n = {q: i for i, q in enumerate(live)}, len(live)
        self.final = np.where(np.isin(live, list(dfa.accepting)), 0.0, -np.inf)
        # arrows[s, e]: the letters that lead from s to e, then zeros; choices[s, e]: how many they are.
        self.choices: Ints = np.zeros((n, n), dtype=np.int64)
        self.arrows: Ints = np.zeros((n, n, len(dfa.alphabet)), dtype=np.int64)
        for s, q in enumerate(live):
            for letter, target in enumerate(dfa.semiautomaton.table[q]):
                if target in number:
                    e = number[target]
                    self.arrows[s, e, self.choices[s, e]] = letter
                    self.choices[s, e] += 1
        with np.errstate(divide="ignore"):
            self.paths: list[Floats] = [np.log(self.choices)]
        self.middles: list[Floats] = []
        while 2 << (len(self.paths) - 1) <= max_length:
            ways = self.paths[-1][:, None, :] + self.paths[-1].T[None, :, :]  # by start, end and middle
            total = np.logaddexp.reduce(ways, axis=2)
            shares = np.exp(ways - np.where(total > -np.inf, total, 0.0)[..., None])
            sums = shares.cumsum(axis=2)
            self.middles.append(sums / np.maximum(sums[..., -1:], 1e-300))
            self.paths.append(total)

    def letters(self, length: int, generator: np.random.Generator) -> Ints:
        """The letter numbers of a word of this length, of which there must be one; shape (length,). O(length * n)."""
        # Pieces of falling length 2^j, and the states at their ends: first how well each state goes on after them,
        # from the last piece back, then one state after the other.
        powers = [j for j in range(length.bit_length() - 1, -1, -1) if length >> j & 1]
        onward = [self.final]
        for j in reversed(powers):
            onward.append(np.logaddexp.reduce(self.paths[j] + onward[-1], axis=1))
        states = np.zeros(length + 1, dtype=np.int64)  # the initial state is the first of the live ones
        begins, start = {}, 0
        for j, after in zip(powers, onward[-2::-1], strict=True):
            begins[j] = start
            states[start + (1 << j)] = _choose(self.paths[j][states[start]] + after, generator)
            start += 1 << j
        starts = np.zeros(0, dtype=np.int64)
        for j in range(length.bit_length() - 1, 0, -1):
            if j in begins:
                starts = np.append(starts, begins[j])
            middles = starts + (1 << (j - 1))
            shares = self.middles[j - 1][states[starts], states[starts + (1 << j)]]
            states[middles] = (shares <= generator.random((len(starts), 1))).sum(axis=1)
            starts = np.concatenate([starts, middles])
        before, after = states[:-1], states[1:]
        pick = (generator.random(length) * self.choices[before, after]).astype(np.int64)
        found: Ints = self.arrows[before, after, pick]
        return found


def _choose(weights: Floats, generator: np.random.Generator) -> NDArray[np.intp]:
    """An index along the last axis, with probability in proportion to exp of its weight."""
    chosen: NDArray[np.intp] = (weights + generator.gumbel(size=weights.shape)).argmax(axis=-1)
    return chosen
