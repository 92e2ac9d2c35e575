"""Composition factors of a permutation group.

The group is taken apart along normal subgroups until what is left is solvable or simple:

1. The solvable residual D, the last term of the derived series, leaves the prime factors of |G : D|. D is perfect.
2. If D has several orbits, it has the factors of its action on one of them and those of the kernel of that action.
3. If D is transitive and has blocks, it has the factors of its action on the blocks and those of the kernel.
4. If D is primitive of degree n and contains the alternating group, it is A_n, since it is perfect.
5. If D is primitive and has a regular normal subgroup N, then D = N D_0 for the stabiliser D_0 of a point, and N meets
   D_0 trivially. So D / N is isomorphic to D_0, and the factors are those of N and of D_0.
6. Otherwise D is simple, if n < 3125. By the theorem of O'Nan and Scott (Liebeck, Praeger and Saxl 1988) the socle of
   D is T^k for a simple group T; where it is not regular, T is not abelian. If k = 1 then D / T is a group of outer
   automorphisms of T, solvable by Schreier's conjecture (a theorem since the classification), and hence trivial, D
   being perfect. If k > 1 then D acts on the k factors; it is not trivial there if D is primitive without a regular
   normal subgroup, and D is perfect, so k >= 5. The degree is at least 5^5 for an action on a product and 60^4 for a
   diagonal one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import factorial

from ..errors import BudgetExceededError
from .permutation_group import PermutationGroup, prime_factors
from .stabiliser_chain import Perm, StabiliserChain, product

PRIMITIVE_DEGREE = 5**5
"""From this degree on a primitive perfect group without a regular normal subgroup need not be simple."""


@dataclass(frozen=True)
class CompositionFactors:
    """The composition factors of a group.

    Args:
        primes: the orders of the abelian ones, ascending, with multiplicity.
        simple: the others, each as a permutation group isomorphic to it, with multiplicity.
    """

    primes: tuple[int, ...]
    simple: tuple[PermutationGroup, ...]


def composition_factors(group: PermutationGroup) -> CompositionFactors:
    """The composition factors of a permutation group, by the steps above.

    Raises:
        BudgetExceededError: the group's clock has run out, or step 6 would be needed for a degree of 3125 or more.

    Cost: a stabiliser chain for each step, of which there are at most as many as points and composition factors.
    """
    primes: list[int] = []
    simple: list[PermutationGroup] = []
    waiting = [group]
    while waiting:
        whole = waiting.pop()
        if whole.is_giant:
            primes += prime_factors(2 * whole.order // factorial(whole.degree))
            simple.append(_alternating(whole))
            continue
        core = whole.solvable_residual()
        primes += prime_factors(whole.order // core.order)
        if core.order > 1:
            parts = _split(core)
            waiting += parts
            if not parts:
                simple.append(core.restricted(core.orbits[0]))
    return CompositionFactors(tuple(sorted(primes)), tuple(simple))


def _alternating(giant: PermutationGroup) -> PermutationGroup:
    """The alternating group on the points of a giant."""
    n = giant.degree
    turn = (*range(1, n), 0) if n % 2 else (0, *range(2, n), 1)
    return PermutationGroup(n, ((1, 2, 0, *range(3, n)), turn), giant.clock)


def _split(perfect: PermutationGroup) -> list[PermutationGroup]:
    """Groups with together the composition factors of a nontrivial perfect group; none if it is simple."""
    orbit, *others = perfect.orbits
    if others:
        image = perfect.restricted(orbit)
        return [image, perfect.fixing(orbit)] if image.order < perfect.order else [image]
    if len(orbit) < perfect.degree:
        perfect = perfect.restricted(orbit)
    blocks = perfect.blocks()
    if blocks is not None:
        image = perfect.on_blocks(blocks)
        return [image, perfect.fixing_blocks(blocks)] if image.order < perfect.order else [image]
    if 2 * perfect.order == factorial(perfect.degree):
        return []
    normal = regular_normal_subgroup(perfect)
    if normal is not None:
        return [normal, perfect.fixing([0])]
    if perfect.degree >= PRIMITIVE_DEGREE:
        raise BudgetExceededError("points of a primitive group", perfect.degree, PRIMITIVE_DEGREE - 1)
    return []


def regular_normal_subgroup(group: PermutationGroup) -> PermutationGroup | None:
    """A regular normal subgroup of a primitive group of degree >= 2, or None if it has none.

    Let H fix the points 0 and 1. A regular normal subgroup N has exactly one element t that carries 0 to 1. If h is in
    H, then h^-1 t h is in N and carries 0 to 1 as well, so h^-1 t h = t. So t is among the elements of the group that
    carry 0 to 1, move every point and commute with H; these are found by backtracking along a stabiliser chain, where
    the image of one point of an orbit of H settles the orbit. N contains the normal closure of t, which is transitive,
    as all nontrivial normal subgroups of a primitive group are, and so it is N; its order is the degree.

    Raises:
        BudgetExceededError: the group's clock has run out.
    """
    chain = StabiliserChain(group.degree, group.generators, group.clock, (0, 1))
    fixing = chain.generators[2] if len(chain.base) > 2 else []
    for candidate in _commuting(chain, fixing, group):
        normal = group.normal_closure([candidate], group.degree)
        if normal is not None and normal.order == group.degree:
            return normal
    return None


def _commuting(chain: StabiliserChain, fixing: list[Perm], group: PermutationGroup) -> Iterator[Perm]:
    """The elements that carry 0 to 1, move every point and commute with ``fixing``; the chain's base begins 0, 1."""

    def search(level: int, element: Perm, settled: dict[int, int]) -> Iterator[Perm]:
        group.clock.check_time()
        if level == len(chain.base):
            moves = all(i != image for i, image in enumerate(element))
            if moves and all(product(h, element) == product(element, h) for h in fixing):
                yield element
            return
        point = chain.base[level]
        for target, representative in chain.orbits[level].items():
            if settled.get(point, element[target]) == element[target]:
                further = _settle(settled, point, element[target], fixing)
                if further is not None:
                    yield from search(level + 1, product(representative, element), further)

    start = _settle({}, 0, 1, fixing)
    if start is not None:
        yield from search(1, chain.orbits[0][1], start)


def _settle(settled: dict[int, int], point: int, image: int, fixing: list[Perm]) -> dict[int, int] | None:
    """A partial map that commutes with ``fixing``, with point -> image added; None if it cannot be or fixes a point."""
    settled = dict(settled)
    queue = [(point, image)]
    for p, q in queue:
        if p == q or settled.get(p, q) != q:
            return None
        if p not in settled:
            settled[p] = q
            queue.extend((h[p], h[q]) for h in fixing)
    return settled
