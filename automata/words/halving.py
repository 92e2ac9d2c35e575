"""Long uniform words of a regular language, by halving: first the state in the middle, then those between, and so on.

``sampling.UniformSampler`` keeps a row of counts for every length and goes letter by letter. Here only the numbers of
paths whose length is a power of two are kept, and all pieces of one length are halved at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..dfa import Dfa
from ..errors import EmptyLanguageError
from .balanced import Floats, Ints, generator_of, spell
from .uniform import _NO_COUNT, Rng, Symbols

Scaled = tuple[Floats, Ints]
"""Mantissas, and for each its power of two (``_NO_COUNT`` for zero)."""


class HalvingSampler:
    """Draws words of a given length uniformly from a regular language.

    Counts are floats with an exponent each, so that nothing overflows or is lost; each word's probability is right up
    to a factor of about 1 + length * 2^-50.

    Args:
        dfa: the language; n of its states are live.
        max_length: the largest length that will be asked for. O(n^3 * log(max_length)) time and memory, and
            O(max_length * n * letters) bit operations at most for the lengths that have words.
    """

    def __init__(self, dfa: Dfa, max_length: int) -> None:
        if max_length < 0:
            raise ValueError(f"max_length is {max_length}; give a length of 0 or more")
        self.dfa, self.max_length = dfa, max_length
        live = sorted(dfa.live)
        number, n = {q: i for i, q in enumerate(live)}, len(live)
        table = [[number.get(target, -1) for target in dfa.semiautomaton.table[q]] for q in live]
        self._accepting = np.array([q in dfa.accepting for q in live], dtype=np.bool_)
        # _letters[s, e]: the letters that lead from s to e, then zeros; _choices[s, e]: how many they are.
        self._choices = np.zeros((n, n), dtype=np.int64)
        self._letters = np.zeros((n, n, len(dfa.alphabet)), dtype=np.int64)
        for s, row in enumerate(table):
            for letter, e in enumerate(row):
                if e >= 0:
                    self._letters[s, e, self._choices[s, e]] = letter
                    self._choices[s, e] += 1
        # _paths[j]: the numbers of paths of length 2^j; _middles[j][s, e, m]: those of 2^(j + 1) through 0..m, scaled.
        self._paths = [_scaled(self._choices.astype(np.float64), np.zeros((n, n), dtype=np.int64))]
        self._middles: list[Floats] = []
        while 2 << len(self._middles) <= max_length and n:
            a, x = self._paths[-1]
            terms, top = _aligned(a[:, None, :] * a.T[None, :, :], x[:, None, :] + x.T[None, :, :])
            self._middles.append(terms.cumsum(axis=2))
            self._paths.append(_scaled(self._middles[-1][:, :, -1], top))
        self._has = _lengths_with_words(table, self._accepting.tolist(), max_length)

    def lengths(self, shortest: int, longest: int) -> Sequence[int]:
        """The lengths in this range of which there are words."""
        return [n for n in range(shortest, min(longest, self.max_length) + 1) if self._has[n]]

    def word(self, length: int, rng: Rng) -> Symbols:
        """A word of this length, uniformly. O(length * n), all but log(length) of it inside NumPy.

        Raises:
            EmptyLanguageError: the language has no word of this length.
        """
        if not 0 <= length <= self.max_length:
            raise ValueError(f"length {length} is outside 0..{self.max_length}, the range of this sampler")
        if not self._has[length]:
            raise EmptyLanguageError(f"the language has no word of length {length}; .lengths() lists those it has")
        generator = generator_of(rng)
        places = [(j, length >> (j + 1) << (j + 1)) for j in range(length.bit_length()) if length >> j & 1]
        places.reverse()  # pieces of falling length 2^j, and where they begin
        # The states at their ends: first how well each state goes on, from the last piece back, then one by one.
        onward = [_scaled(self._accepting.astype(np.float64), np.zeros(len(self._accepting), dtype=np.int64))]
        for j, _ in reversed(places):
            onward.append(self._before(j, onward[-1]))
        states = np.zeros(length + 1, dtype=np.int64)
        for (j, start), (b, y) in zip(places, onward[-2::-1], strict=True):
            (a, x), q = self._paths[j], states[start]
            terms, _ = _aligned(a[q] * b, x[q] + y)
            states[start + (1 << j)] = _choose(terms.cumsum()[None, :], generator)[0]
        starts = np.zeros(0, dtype=np.int64)
        for j in range(length.bit_length() - 1, 0, -1):
            here = [start for i, start in places if i == j]
            starts = np.concatenate([starts, np.array(here, dtype=np.int64)])
            ends = self._middles[j - 1][states[starts], states[starts + (1 << j)]]
            middles = starts + (1 << (j - 1))
            states[middles] = _choose(ends, generator)
            starts = np.concatenate([starts, middles])
        before, after = states[:-1], states[1:]
        pick = (generator.random(length) * self._choices[before, after]).astype(np.int64)
        return spell(self.dfa.alphabet, self._letters[before, after, pick])

    def _before(self, j: int, onward: Scaled) -> Scaled:
        """How well each state goes on with 2^j letters before what ``onward`` counts."""
        (a, x), (b, y) = self._paths[j], onward
        terms, top = _aligned(a * b, x + y)
        return _scaled(terms.sum(axis=1), top)


def _scaled(values: Floats, exponents: Ints) -> Scaled:
    mantissas, more = np.frexp(values)
    return mantissas, np.where(mantissas > 0, exponents + more, _NO_COUNT)


def _aligned(values: Floats, exponents: Ints) -> Scaled:
    """The values with one exponent for each last axis, and that exponent."""
    top = np.where(values > 0, exponents, _NO_COUNT).max(axis=-1, keepdims=True)
    shifts = np.clip(exponents - top, -2000, 0).astype(np.int32)
    return np.ldexp(values, shifts), top[..., 0]


def _choose(sums: Floats, generator: np.random.Generator) -> NDArray[np.intp]:
    """For each row of cumulative weights an index, with probability in proportion to its weight."""
    marks = generator.random(len(sums)) * sums[:, -1]
    chosen: NDArray[np.intp] = (sums <= marks[:, None]).sum(axis=1)
    return chosen


def _lengths_with_words(table: Sequence[Sequence[int]], accepting: Sequence[bool], max_length: int) -> list[bool]:
    """For each length whether state 0 has a word; the sets of such states soon come round again."""
    masks = [sum({1 << e for e in row if e >= 0}) for row in table]
    current = sum(1 << q for q, good in enumerate(accepting) if good)
    seen: dict[int, int] = {}
    sets: list[int] = []
    while len(sets) <= max_length and current not in seen:
        seen[current] = len(sets)
        sets.append(current)
        current = sum(1 << q for q, mask in enumerate(masks) if mask & current)
    found = [bool(s & 1) for s in sets]
    if len(found) <= max_length:
        cycle = found[seen[current] :]
        more = max_length + 1 - len(found)
        found += (cycle * (more // len(cycle) + 1))[:more]
    return found
