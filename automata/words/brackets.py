"""Random words of bounded Dyck languages: uniform of a length, and live walks.

The depths of a word are a path between 0 and h; the kinds of its brackets are free, so that of paths of one length
each belongs to equally many words, K^(length / 2). Hence the path is drawn first, then the kinds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..bounded_dyck import BoundedDyck
from ..errors import EmptyLanguageError
from .draw import Floats, Ints, Rng, Symbols, generator_of, spell


class BracketWords:
    """Draws words of a given length uniformly from a bounded Dyck language.

    A table of how likely a uniform word opens a bracket, by depth and letters to come. Its rows soon repeat every two
    letters, bit for bit (after some h^2 letters); no more than that is stored. Counts are floats, scaled row by row:
    each word's probability is right up to a factor of about 1 + length * 2^-50.

    Args:
        language: the language.
        max_length: the largest length that will be asked for. O(min(max_length, h^2) * h) time and memory.
    """

    def __init__(self, language: BoundedDyck, max_length: int) -> None:
        if max_length < 0:
            raise ValueError(f"max_length is {max_length}; give a length of 0 or more")
        self.language, self.max_length = language, max_length
        top = max(1, min(language.depth, max_length // 2))
        paths: Floats = np.zeros(top + 3)  # of one length from each depth to 0, between two zeros
        paths[1] = 1.0
        before: Floats = np.zeros(0)
        # _opening[r][d]: the probability that with r letters to come at depth d the next one opens a bracket.
        self._opening: list[list[float]] = [[0.0] * (top + 1)]
        for _ in range(max_length):
            total = paths[:-2] + paths[2:]
            self._opening.append(np.divide(paths[2:], total, out=np.zeros(top + 1), where=total > 0).tolist())
            after = np.zeros(top + 3)
            after[1:-1] = total / total.max()
            if np.array_equal(after, before):
                break
            before, paths = paths, after

    def lengths(self, shortest: int, longest: int) -> Sequence[int]:
        """The lengths from ``shortest`` to ``longest`` of which there are words: the even ones."""
        return range(shortest + shortest % 2, longest + 1, 2)

    def word(self, length: int, rng: Rng) -> Symbols:
        """A word of this length, uniformly. O(length).

        Raises:
            EmptyLanguageError: the length is odd.
        """
        if not 0 <= length <= self.max_length:
            raise ValueError(f"length {length} is outside 0..{self.max_length}, the range of this sampler")
        if length % 2:
            raise EmptyLanguageError(f"{self.language.name} has no word of length {length}; give an even one")
        generator = generator_of(rng)
        rows, last, depth, opens = self._opening, len(self._opening) - 1, 0, []
        for rest, u in zip(range(length, 0, -1), generator.random(length).tolist(), strict=True):
            opened = u < rows[rest if rest <= last else last - (rest - last) % 2][depth]
            opens.append(opened)
            depth += 1 if opened else -1
        return spell(self.language.alphabet, _with_kinds(opens, self.language.kinds, generator))


def live_bracket_word(language: BoundedDyck, length: int, rng: Rng, opening: float = 0.5) -> Symbols:
    """A word of exactly this length that can be completed: a random walk of its depth. O(length).

    Args:
        language: the language.
        length: at least 0.
        rng: where randomness comes from.
        opening: the probability of an opening bracket (of a uniform kind) wherever both kinds of step are possible.
    """
    if length < 0:
        raise ValueError(f"length {length} is negative; give a length of 0 or more")
    generator = generator_of(rng)
    depth, most, opens = 0, language.depth, []
    for u in generator.random(length).tolist():
        opened = depth == 0 or (depth < most and u < opening)
        opens.append(opened)
        depth += 1 if opened else -1
    completed = opens + [False] * depth
    return spell(language.alphabet, _with_kinds(completed, language.kinds, generator)[:length])


def _with_kinds(opens: Sequence[bool], kinds: int, generator: np.random.Generator) -> Ints:
    """The letter numbers of a balanced word with these opening brackets, the kinds drawn uniformly. O(length)."""
    opening: NDArray[np.bool_] = np.asarray(opens, dtype=np.bool_)
    # A bracket and its partner lie at the same level, and at one level opening and closing brackets alternate.
    level = np.cumsum(np.where(opening, 1, -1)) + ~opening
    narrow = level.astype(np.int16) if level.max(initial=0) < 2**15 else level  # sorted faster
    order = np.argsort(narrow, kind="stable")
    kind = np.empty(len(opening), dtype=np.int64)
    kind[order[0::2]] = generator.integers(kinds, size=len(opening) // 2)
    kind[order[1::2]] = kind[order[0::2]]
    return 2 * kind + ~opening
