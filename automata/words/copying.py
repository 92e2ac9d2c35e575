"""Random words of copying: a word of uniform letters, and its copy."""

from __future__ import annotations

from ..copying.language import Copying
from .draw import Rng, Symbols, Walks, arbitrary, generator_of


class Copies(Walks):
    """Members: of a target length t the word has (t - 1) / 2 letters, rounded down, but no more than there may be."""

    def __init__(self, language: Copying) -> None:
        self.language = language

    def walk(self, target: int, rng: Rng) -> Symbols | None:
        """A member of at most this length; None if that is 0. O(target)."""
        if target < 1:
            return None
        letters = min((target - 1) // 2, self.language.longest)
        word = arbitrary(self.language.letters, letters, generator_of(rng))
        return (*word, self.language.separator, *word)

    def distance(self, length: int) -> int:
        """A word of so many letters is ended by the separator and as many letters; a longer one is half copied."""
        return min(length, self.language.longest) + 1
