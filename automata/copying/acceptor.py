"""Ground truth for copying: each word is compared with itself, letter by letter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..acceptor import Acceptor, Codes, Index
from ..alphabet import Word
from .language import Copying


class CopyingAcceptor:
    """Runs batches of words. O(symbols * K)."""

    def __init__(self, language: Copying) -> None:
        self.language = language
        self.alphabet = language.alphabet
        self._letters = Acceptor(self.alphabet, [[0] * len(self.alphabet)], 0, [0])

    def encode(self, words: Sequence[Word]) -> tuple[Codes, Index]:
        """Letter numbers, padded with 0, and the lengths; :class:`UnknownSymbolError` for a foreign symbol."""
        return self._letters.encode(words)

    def next_masks(self, codes: ArrayLike, lengths: ArrayLike) -> NDArray[np.bool_]:
        """Which symbols may come next after every prefix, then whether the word may end: (words, longest + 1, k + 1).

        All false after a dead prefix; what stands behind the end of a word is meaningless.
        """
        rows = np.asarray(codes)
        mask = np.zeros((len(rows), rows.shape[1] + 1, len(self.alphabet) + 1), dtype=np.bool_)
        middle, end = len(self.alphabet) - 1, len(self.alphabet)
        for found, word in zip(mask, rows.tolist(), strict=True):
            at = word.index(middle) if middle in word else len(word)
            for place in range(min(at, self.language.longest) + 1):
                found[place, middle] = True
                found[place, :middle] = place < self.language.longest
            if at == len(word) or at > self.language.longest:
                continue
            for place, wanted in enumerate([*word[:at], end]):
                if at + 1 + place > len(word) or word[at + 1 : at + 1 + place] != word[:place]:
                    break
                found[at + 1 + place, wanted] = True
        return mask
