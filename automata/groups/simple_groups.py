"""The nonabelian finite simple groups by their orders (Conway et al., *Atlas of Finite Groups*, 1985).

Listed are the alternating and classical groups, the exceptional ones that act on fewer than 3125 points, beyond which
:mod:`._composition` does not go, and the sporadic ones likewise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from math import gcd, prod

from .permutation_group import prime_factors

SPORADIC = {
    "M11": 7_920,
    "M12": 95_040,
    "J1": 175_560,
    "M22": 443_520,
    "J2": 604_800,
    "M23": 10_200_960,
    "2F4(2)'": 17_971_200,
    "HS": 44_352_000,
    "M24": 244_823_040,
    "McL": 898_128_000,
    "He": 4_030_387_200,
    "Suz": 448_345_497_600,
    "Co3": 495_766_656_000,
    "Co2": 42_305_421_312_000,
}
"""Sporadic groups, and the group of Tits."""

NOT_LISTED = frozenset(
    {
        *("PSL(2,2)", "PSL(2,3)", "PSU(3,2)", "PSp(4,2)"),  # not simple
        *("PSL(2,4)", "PSL(2,5)", "PSL(2,9)", "PSL(4,2)"),  # A5, A5, A6, A8
        *("PSL(3,2)", "PSU(4,2)"),  # PSL(2,7), PSp(4,3)
    }
)
"""Members of the families below that are no simple groups, or that have another name here."""


def names_of_order(order: int) -> tuple[str, ...]:
    """The nonabelian simple groups of an order, one name for each.

    There is more than one only for A8 and PSL(3,4), and for PSp(2n,q) and POmega(2n+1,q) with odd q and n >= 3 (Artin
    1955, completed by the classification). O(number of prime powers that divide the order * log order).

    >>> names_of_order(60), names_of_order(168), names_of_order(20160), names_of_order(1000)
    (('A5',), ('PSL(2,7)',), ('A8', 'PSL(3,4)'), ())
    """
    fields = [q for p in sorted(set(prime_factors(order))) for q in _powers(p, order)]
    listed = (*_alternating(order), *_classical(order, fields), *_exceptional(fields), *SPORADIC.items())
    return tuple(name for name, one in listed if one == order and name not in NOT_LISTED)


def _powers(p: int, order: int) -> Iterator[int]:
    """The powers of p, from p on, that divide the order: the field of a simple group is among them."""
    q = p
    while order % q == 0:
        yield q
        q *= p


def _alternating(limit: int) -> Iterator[tuple[str, int]]:
    order = 12
    for degree in count(5):
        order *= degree
        if order > limit:
            return
        yield f"A{degree}", order


def _linear(n: int, q: int) -> tuple[int, int]:
    return q ** (n * (n - 1) // 2) * prod(q**i - 1 for i in range(2, n + 1)), gcd(n, q - 1)


def _unitary(n: int, q: int) -> tuple[int, int]:
    return q ** (n * (n - 1) // 2) * prod(q**i - (-1) ** i for i in range(2, n + 1)), gcd(n, q + 1)


def _symplectic(n: int, q: int) -> tuple[int, int]:
    m = n // 2
    return q ** (m * m) * prod(q ** (2 * i) - 1 for i in range(1, m + 1)), gcd(2, q - 1)


def _orthogonal(n: int, q: int, sign: int) -> tuple[int, int]:
    m = n // 2
    factors = prod(q ** (2 * i) - 1 for i in range(1, m))
    return q ** (m * (m - 1)) * (q**m - sign) * factors, gcd(4, q**m - sign)


Formula = Callable[[int, int], tuple[int, int]]
"""From a dimension and the size of a field: the order of a perfect matrix group, and of its centre."""

CLASSICAL: tuple[tuple[str, Formula, int, int], ...] = (
    ("PSL({n},{q})", _linear, 2, 1),
    ("PSU({n},{q})", _unitary, 3, 1),
    ("PSp({n},{q})", _symplectic, 4, 2),
    ("POmega({n},{q})", _symplectic, 7, 2),  # of odd dimension: the order is that of PSp(n - 1, q), which n // 2 says
    ("POmega+({n},{q})", lambda n, q: _orthogonal(n, q, 1), 8, 2),
    ("POmega-({n},{q})", lambda n, q: _orthogonal(n, q, -1), 8, 2),
)
"""Families: name, formula, least dimension, step of dimensions."""


def _classical(limit: int, fields: list[int]) -> Iterator[tuple[str, int]]:
    for pattern, formula, least, step in CLASSICAL:
        for n in count(least, step):
            if formula(n, 2)[0] > limit * n:  # a centre has at most n elements
                break
            for q in fields:
                if n % 2 and pattern.startswith("POmega") and q % 2 == 0:
                    continue  # of even characteristic it is PSp(n - 1, q)
                whole, centre = formula(n, q)
                if whole // centre <= limit:
                    yield pattern.format(n=n, q=q), whole // centre


def _exceptional(fields: list[int]) -> Iterator[tuple[str, int]]:
    for q in fields:
        exponent = len(prime_factors(q))
        if q >= 3:
            yield f"G2({q})", q**6 * (q**6 - 1) * (q**2 - 1)
        if q % 2 == 0 and exponent % 2 and q >= 8:
            yield f"Sz({q})", q**2 * (q**2 + 1) * (q - 1)
        if q % 3 == 0 and exponent % 2 and q >= 27:
            yield f"R({q})", q**3 * (q**3 + 1) * (q - 1)
        yield f"3D4({q})", q**12 * (q**8 + q**4 + 1) * (q**6 - 1) * (q**2 - 1)
