"""Members of a past formula whose DFA is too large: words that begin at random and are steered to their ends."""

from __future__ import annotations

import numpy as np

from ..acceptor import Bools
from ..errors import EmptyLanguageError
from ..logic.past import And, Not, Or, PastAcceptor, PastLtl
from .draw import Ints, Symbols, spell

ROUNDS = 8
"""How often as many words as are wanted are tried."""


def steered(language: PastLtl, count: int, shortest: int, longest: int, rng: np.random.Generator) -> list[Symbols]:
    """Members with lengths in a range: arbitrary letters, and then those that make most parts of the formula true.

    O(rounds * count * longest * letters * nodes).

    Raises:
        EmptyLanguageError: so many were not found.
    """
    words: list[Symbols] = []
    for _ in range(ROUNDS if language.alphabet else 0):
        lengths = rng.integers(shortest, longest + 1, size=count)
        codes, members = _tried(language, lengths, rng)
        found = np.flatnonzero(members)
        words += [spell(language.alphabet, codes[n, : lengths[n]]) for n in found]
        if len(words) >= count:
            return words[:count]
    raise EmptyLanguageError(f"no {count} words with a length from {shortest} to {longest} were found in the language")


def _tried(language: PastLtl, lengths: Ints, rng: np.random.Generator) -> tuple[Ints, Bools]:
    """Words of these lengths as letter numbers, and whether each is a member."""
    truth, k, words = PastAcceptor(language), len(language.alphabet), len(lengths)
    wanted, parts = _parts(language)
    codes = rng.integers(k, size=(words, int(lengths.max(initial=0))))
    steering = rng.integers(lengths + 1)  # from where on
    values = [value[:, None] for value in truth.begin((words,))]
    members = values[-1][:, 0].copy()
    for i in range(codes.shape[1]):
        if (turned := np.flatnonzero((steering <= i) & (i < lengths))).size:
            after = truth.step(np.arange(k), [value[turned] for value in values], first=i == 0)
            holding = np.sum([after[part] == wanted for part in parts], axis=0) + len(parts) * after[-1]
            codes[turned, i] = (holding + rng.random(holding.shape)).argmax(axis=1)
        values = truth.step(codes[:, i : i + 1], values, first=i == 0)
        members = np.where(i < lengths, values[-1][:, 0], members)
    return codes, members


def _parts(language: PastLtl) -> tuple[bool, tuple[int, ...]]:
    """The nodes that the formula joins, and whether they should hold."""
    root, wanted = len(language.nodes) - 1, True
    while isinstance(node := language.nodes[root], Not):
        root, wanted = node.of, not wanted
    return wanted, node.of if isinstance(node, And | Or) else (root,)
