"""Dyadic orthogonal matrices: entries are multiples of a power of two, and so are those of the inverse."""

from __future__ import annotations

from functools import reduce

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

HADAMARD = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2.0
"""The Hadamard matrix of size 4, halved: orthogonal."""


def rotation(size: int, rounds: int, rng: np.random.Generator) -> Float64[NDArray[np.float64], "size size"]:
    """A random orthogonal matrix whose entries are multiples of 2^-rounds.

    In each round the axes are shuffled and their signs drawn, and each four of them are turned by a Hadamard matrix of
    size 4 (up to three are left over). After k rounds an axis is spread over up to 4^k others.

    Args:
        size: of the matrix.
        rounds: how often; 0 gives the identity.
        rng: draws.
    """
    return reduce(np.matmul, (_round(size, rng) for _ in range(rounds)), np.eye(size))


def _round(size: int, rng: np.random.Generator) -> Float64[NDArray[np.float64], "size size"]:
    turned = np.eye(size)
    for at in range(0, size - size % 4, 4):
        turned[at : at + 4, at : at + 4] = HADAMARD
    signs = rng.choice([-1.0, 1.0], size)
    return np.asarray(turned[:, rng.permutation(size)] * signs)
