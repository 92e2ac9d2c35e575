"""Few generators for a group of which many elements are given."""

from __future__ import annotations

from collections.abc import Sequence

from ..budget import Meter
from .permutation_group import GIANT_DEGREE, PermutationGroup
from .stabiliser_chain import Perm, StabiliserChain, is_odd, product

ABELIAN_DEGREE = 64
"""From this degree on it is worth seeing first whether a group is transitive and abelian."""


def generated_by(degree: int, perms: Sequence[Perm], clock: Meter) -> PermutationGroup:
    """The group that some permutations generate, with few of them as generators, the first ones where possible.

    Kept are those that enlarge the group of what stands before them, so at most log2 of the order. Where the first few,
    up to a power of two, are found to generate a giant, these are kept, and one odd permutation.

    Cost: a stabiliser chain, except for giants of degree 20 or more and for transitive abelian groups.

    Raises:
        BudgetExceededError: the clock has run out, or the group is too large to be held.
    """
    if degree >= ABELIAN_DEGREE:
        kept = _transitive_abelian(degree, perms)
        if kept is not None:
            return PermutationGroup(degree, kept, clock)
    number = 2
    while degree >= GIANT_DEGREE and number <= min(2 * degree, 2 * len(perms)):
        giant = PermutationGroup(degree, tuple(perms[:number]), clock)
        if giant.is_giant:
            odd = next((perm for perm in perms[number:] if is_odd(perm)), None)
            if odd is None or any(map(is_odd, giant.generators)):
                return giant
            return PermutationGroup(degree, (*giant.generators, odd), clock)
        number *= 2
    chain = StabiliserChain(degree, (), clock)
    return PermutationGroup.with_chain(chain, [perm for perm in perms if chain.extend(perm)], clock)


def _transitive_abelian(degree: int, perms: Sequence[Perm]) -> tuple[Perm, ...] | None:
    """Few generators of the group of the permutations if it is transitive and abelian, else None.

    Kept are those that enlarge the orbit of point 0. If they commute and are transitive then they generate a regular
    group, and all that commutes with such a group is in it. O(degree) for each kept one and permutation.
    """
    kept: list[Perm] = []
    orbit, reached = [0], {0}
    for perm in perms:
        if not all(product(perm, other) == product(other, perm) for other in kept):
            return None
        if perm[0] in reached:
            continue
        kept.append(perm)
        for point in orbit:  # which grows; what was in it before has its images under the others already
            for other in kept:
                if other[point] not in reached:
                    reached.add(other[point])
                    orbit.append(other[point])
    return tuple(kept) if len(orbit) == degree else None
