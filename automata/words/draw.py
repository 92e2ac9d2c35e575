"""What all samplers draw with: the caller's generator, arbitrary words, edits of words."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..alphabet import Word
from ..errors import AlphabetError, EmptyLanguageError

Rng = random.Random | np.random.Generator
Symbols = tuple[str, ...]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

TRIES = 200
"""Walks in a row that may fail before a range of lengths is given up."""


def generator_of(rng: Rng) -> np.random.Generator:
    """A NumPy generator: the caller's own, or one seeded by 128 bits of the caller's ``random.Random``."""
    return np.random.default_rng(rng.getrandbits(128)) if isinstance(rng, random.Random) else rng


def spell(alphabet: Sequence[str], codes: NDArray[np.integer]) -> Symbols:
    """The word of these letter numbers, of shape (length,)."""
    table = np.empty(len(alphabet), dtype=object)
    table[:] = list(alphabet)
    return tuple(table[codes].tolist())


def arbitrary(alphabet: Sequence[str], length: int, rng: Rng) -> Symbols:
    """A word of this length, uniform over all words.

    Raises:
        AlphabetError: the alphabet is empty and ``length`` is not 0.
    """
    if length and not alphabet:
        raise AlphabetError(f"there is no word of length {length} over the empty alphabet; give one with symbols")
    return spell(alphabet, generator_of(rng).integers(len(alphabet), size=length)) if length else ()


def edit_within(word: Word, alphabet: Sequence[str], shortest: int, longest: int, rng: Rng) -> Symbols | None:
    """A word at edit distance one with a length in the range: substitution, insertion or deletion of a symbol.

    The kinds that are possible are equally likely, places and symbols uniform; None where none is possible.
    """
    generator = generator_of(rng)
    kinds = []
    if word and any(symbol != word[0] for symbol in alphabet):
        kinds.append("substitute")
    if alphabet and len(word) < longest:
        kinds.append("insert")
    if len(word) > shortest:
        kinds.append("delete")
    if not kinds:
        return None
    kind = kinds[int(generator.integers(len(kinds)))]
    place = int(generator.integers(len(word) + (kind == "insert")))
    before, after = tuple(word[:place]), tuple(word[place + (kind != "insert") :])
    if kind == "delete":
        return before + after
    symbols = [symbol for symbol in alphabet if kind == "insert" or symbol != word[place]]
    return (*before, symbols[int(generator.integers(len(symbols)))], *after)


def check_range(shortest: int, longest: int) -> None:
    """``ValueError`` unless 0 <= shortest <= longest."""
    if shortest < 0 or longest < shortest:
        raise ValueError(f"lengths {shortest} to {longest} are no range; give 0 <= shortest <= longest")


class Walks(ABC):
    """Words by walks towards a length, which may end before it. Not uniform."""

    @abstractmethod
    def walk(self, target: int, rng: Rng) -> Symbols | None:
        """A member of at most this length, or None."""

    @abstractmethod
    def distance(self, length: int) -> int:
        """Every live word of this length can be ended by so many symbols."""

    def words(self, count: int, shortest: int, longest: int, rng: Rng) -> list[Symbols]:
        """Members with lengths in a range: of walks towards targets uniform in it, those that do not end before it.

        Raises:
            EmptyLanguageError: ``TRIES`` walks in a row ended before the range; there may be words in it all the same.
        """
        found: list[Symbols] = []
        tries, generator = 0, generator_of(rng)
        while len(found) < count:
            word = self.walk(shortest + int(generator.integers(longest - shortest + 1)), generator)
            tries += 1
            if word is not None and len(word) >= shortest:
                found.append(word)
                tries = 0
            elif tries == TRIES:
                raise EmptyLanguageError(
                    f"none of {TRIES} walks gave a word with a length from {shortest} to {longest}; widen the range"
                )
        return found

    def live_word(self, length: int, rng: Rng) -> Symbols:
        """The first ``length`` symbols of a member that may be longer: so it can be completed, as can all its prefixes.

        Raises:
            EmptyLanguageError: no walk went so far.
        """
        return self.words(1, length, length + self.distance(length), rng)[0][:length]
