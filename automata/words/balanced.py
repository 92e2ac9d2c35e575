"""Uniform prefix expressions, balanced words and interleavings of balanced words, by the cycle lemma.

Of the rotations of a sequence of whole numbers >= -1 with sum -1, exactly one has no negative sum before its end
(Dvoretzky and Motzkin 1947). So a random order of the right numbers of each step, rotated, is a uniform word, in
time linear in its length.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from .uniform import Rng, Symbols

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def generator_of(rng: Rng) -> np.random.Generator:
    """A NumPy generator: the caller's own, or one seeded by 128 bits of the caller's ``random.Random``."""
    return np.random.default_rng(rng.getrandbits(128)) if isinstance(rng, random.Random) else rng


def spell(alphabet: Sequence[str], codes: Ints) -> Symbols:
    """The word of these letter numbers."""
    table = np.empty(len(alphabet), dtype=object)
    table[:] = list(alphabet)
    return tuple(table[codes].tolist())


def rotated(arities: Ints) -> Ints:
    """The one rotation that is an expression in prefix order, of n arities with sum n - 1. O(n).

    >>> rotated(np.array([0, 2, 0])).tolist()
    [2, 0, 0]
    """
    start = int(np.argmin(np.cumsum(arities - 1))) + 1
    return np.concatenate([arities[start:], arities[:start]])


def random_order(counts: Sequence[int] | Ints, generator: np.random.Generator) -> Ints:
    """``counts[i]`` copies of each i, all orders equally likely. O(their number)."""
    return generator.permutation(np.repeat(np.arange(len(counts)), counts))


def balanced(half: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """A balanced word over one pair of brackets, ``half`` of them opening, uniformly; true where one opens. O(half)."""
    # An opening bracket is an operator of two operands, a closing one a value; the last value is left out.
    opens: NDArray[np.bool_] = rotated(random_order([half + 1, 0, half], generator))[:-1] == 2
    return opens


def expression(weights: Sequence[float], length: int, generator: np.random.Generator) -> Ints:
    """The arities of a random expression in prefix order, of this many symbols.

    An expression's probability is in proportion to the product of the weights of its symbols. A sum over all orders:
    the numbers of each arity are multinomial, given that they make an expression; any weights times t^arity give the
    same conditional law, so t is chosen to make success likely, about 1 / sqrt(length). O(length) expected; right up to
    a factor of about 1 + length * 2^-50.

    Args:
        weights: of the symbols of each arity 0, 1, 2, ... together; those of arity 0 and 1 positive.
        length: at least 1.
        generator: where randomness comes from.

    Raises:
        ValueError: no symbol, or arities of which not every length has an expression.
    """
    if length < 1 or len(weights) < 2 or not (weights[0] > 0 and weights[1] > 0):
        raise ValueError(f"no expression of length {length} with weights {weights}; give a length and arities 0 and 1")
    law, arities = tilted(tuple(weights), 1 - 1 / length), np.arange(len(weights))
    while True:
        counts = generator.multinomial(length, law, size=16 + 2 * isqrt(length))
        good = np.flatnonzero(counts @ arities == length - 1)
        if len(good):
            return rotated(random_order(counts[good[0]], generator))


@lru_cache(maxsize=4096)
def tilted(weights: tuple[float, ...], mean: float) -> Floats:
    """The law in proportion to ``weights[a] * t^a`` with this mean, which is below the greatest a. By bisection."""
    base, arities = np.asarray(weights, dtype=np.float64), np.arange(len(weights))
    law: Floats = (arities == 0).astype(np.float64)
    if mean == 0:
        return law
    low, high = -60.0, 60.0
    for _ in range(100):
        middle = (low + high) / 2
        law = base * np.exp(middle * arities - max(0.0, middle * (len(base) - 1)))
        law /= law.sum()
        low, high = (middle, high) if law @ arities < mean else (low, middle)
    law.flags.writeable = False
    return law


def shuffle_sizes(kinds: int, half: int, generator: np.random.Generator) -> list[int]:
    """How many pairs of each kind are in a uniform interleaving of ``kinds`` balanced words with ``half`` pairs.

    There are (2 half)! / prod(m_i! (m_i + 1)!) interleavings of words with m_1, ..., m_k pairs (a multinomial times
    Catalan numbers). So the m_i are independent with weights t^m / (m! (m + 1)!), given their sum: all but one are
    drawn, and the last is accepted with its weight over the greatest weight, about once in sqrt(kinds). O(half) for
    the table; right up to a factor of about 1 + half * 2^-50.
    """
    if kinds == 1 or half == 0:
        return [half] + [0] * (kinds - 1)
    mode = half // kinds
    up, down = np.arange(mode + 1.0, half + 1.0), np.arange(float(mode), 0.0, -1.0)
    t = (mode + 1.0) ** 2
    above, below = np.cumprod(t / (up * (up + 1))), np.cumprod(down * (down + 1) / t)
    weights = np.concatenate([below[::-1], [1.0], above])
    weights /= weights.max()
    sums = np.cumsum(weights)
    sums /= sums[-1]
    while True:
        parts = np.searchsorted(sums, generator.random(kinds - 1), side="right")
        last = half - int(parts.sum())
        if last >= 0 and generator.random() < weights[last]:
            return [*parts.tolist(), last]


def interleaving(kinds: int, half: int, generator: np.random.Generator) -> Ints:
    """A uniform interleaving of balanced words: 2 i for the opening bracket of kind i, 2 i + 1 for the closing one.

    O(kinds * half).
    """
    sizes = shuffle_sizes(kinds, half, generator)
    owners = random_order([2 * size for size in sizes], generator)
    codes = 2 * owners + 1
    for kind, size in enumerate(sizes):
        codes[owners == kind] -= balanced(size, generator)
    return codes
