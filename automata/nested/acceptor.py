"""Ground truth for nested languages: an explicit stack of states per word, pushed and popped symbol by symbol.

What may be opened is computed here by itself, so that no code is shared with what it is used to judge: a level may be
opened where the shortest document inside it fits into the depth that is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..acceptor import Acceptor, Codes, Index
from ..alphabet import Word
from .language import NestedLanguage


class NestedAcceptor:
    """Runs batches of words. O(symbols)."""

    def __init__(self, language: NestedLanguage) -> None:
        self.language = language
        self.alphabet = language.alphabet
        self._letters = Acceptor(self.alphabet, [[0] * len(self.alphabet)], 0, [0])
        self._height = _heights(language)
        self._rows: dict[tuple[str, int], int] = {}
        self._masks: list[list[bool]] = [[False] * (len(self.alphabet) + 1)]  # of a dead word

    def encode(self, words: Sequence[Word]) -> tuple[Codes, Index]:
        """Letter numbers, padded with 0, and the lengths; :class:`UnknownSymbolError` for a foreign symbol."""
        return self._letters.encode(words)

    def next_masks(self, codes: ArrayLike, lengths: ArrayLike) -> NDArray[np.bool_]:
        """Which symbols may come next after every prefix, then whether the word may end: (words, longest + 1, k + 1).

        All false after a dead prefix; what stands behind the end of a word is meaningless.
        """
        letters = np.asarray(codes)
        rows = np.zeros((len(letters), letters.shape[1] + 1), dtype=np.intp)
        for row, word in zip(rows, letters.tolist(), strict=True):
            stack = [self.language.root]
            row[0] = self._row(stack[0], 0)
            for place, letter in enumerate(word):
                if not self._masks[row[place]][letter]:
                    break
                symbol = self.alphabet[letter]
                if symbol in self.language.returns:
                    stack.pop()
                else:
                    stack[-1] = self.language.steps[stack[-1]][symbol]
                    if symbol in self.language.opens:
                        stack.append(self.language.opens[symbol])
                row[place + 1] = self._row(stack[-1], len(stack) - 1)
        found: NDArray[np.bool_] = np.array(self._masks, dtype=np.bool_)[rows]
        return found

    def _row(self, state: str, depth: int) -> int:
        """The number of what may come next in a state of the level at this depth."""
        known = self._rows.get((state, depth))
        if known is None:
            known = self._rows[state, depth] = len(self._masks)
            language, row = self.language, self.language.steps.get(state, {})
            mask = [
                symbol in language.closes.get(state, ()) and depth > 0
                if symbol in language.returns
                else symbol in row
                and (symbol not in language.opens or depth + self._height[language.opens[symbol]] < language.depth)
                for symbol in self.alphabet
            ]
            self._masks.append([*mask, depth == 0 and state in language.accepting])
        return known


def _heights(language: NestedLanguage) -> dict[str, float]:
    """For each state how many levels there must be inside a level in it, before that can be closed: one round for each
    level more, until nothing changes. O(steps * height)."""
    names = {*language.steps, *language.closes, *(target for row in language.steps.values() for target in row.values())}
    heights = {state: 0.0 if language.closes.get(state) else inf for state in {*names, *language.opens.values()}}
    while True:
        now = dict(heights)
        for state, row in language.steps.items():
            for symbol, target in row.items():
                opened = language.opens.get(symbol)
                inside = 0.0 if opened is None else 1 + heights[opened]
                now[state] = min(now[state], max(inside, heights[target]))
        if now == heights:
            return heights
        heights = now
