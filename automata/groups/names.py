"""What a permutation group is called, as far as that is quick to see: enough to say why no diagonal gates suffice."""

from __future__ import annotations

from math import factorial

from .permutation_group import PermutationGroup, prime_factors

PERFECT = {
    60: "A5",
    168: "PSL(2,7)",
    360: "A6",
    504: "PSL(2,8)",
    660: "PSL(2,11)",
    1092: "PSL(2,13)",
    2448: "PSL(2,17)",
    2520: "A7",
}
"""Orders of which there is one perfect group, a simple one (Holt and Plesken, *Perfect Groups*, 1989)."""


def perfect_name(group: PermutationGroup) -> str:
    """The name of a perfect group: of an alternating group on its points, or of a group that its order settles.

    >>> perfect_name(PermutationGroup(5, ((1, 2, 0, 3, 4), (0, 1, 3, 4, 2))))
    'A5'
    """
    if 2 * group.order == factorial(group.degree):
        return f"A{group.degree}"
    return PERFECT.get(group.order, f"of a perfect group of order {group.order:,}")


def factor_names(group: PermutationGroup) -> tuple[str, ...]:
    """Why a group is solvable or not, in factors of it.

    Of a solvable group, the composition factors with multiplicity: Z2, Z3, ... If it is not solvable then the last term
    D of its derived series is perfect and not trivial; first stands a quotient of D, a simple group wherever it has the
    name of one, then the composition factors above D. The quotient is the action of D on an orbit, on blocks of it, on
    blocks of these, and so on until there are none: perfect, and not trivial since it is transitive.

    Raises:
        BudgetExceededError: the group's clock has run out.

    Cost: the derived series, a stabiliser chain for each term.
    """
    if group.is_giant:
        return (f"A{group.degree}", *["Z2"] * (group.order == factorial(group.degree)))
    if group.is_solvable():
        return tuple(f"Z{p}" for p in prime_factors(group.order))
    core = group.solvable_residual
    above = tuple(f"Z{p}" for p in prime_factors(group.order // core.order))
    core = core.restricted(core.orbits[0])
    while (blocks := core.blocks()) is not None:
        core = core.on_blocks(blocks)
    return (perfect_name(core), *above)


def group_name(group: PermutationGroup) -> str | None:
    """The name of a group up to isomorphism, or None if it is none of those known here.

    Known are cyclic groups, S_n and A_n on n points, p-groups by their order, and perfect groups that it settles.
    """
    if group.order == 1:
        return "the trivial group"
    if group.is_cyclic():
        return f"Z{group.order}"
    if group.order == factorial(group.degree):
        return f"S{group.degree}"
    if 2 * group.order == factorial(group.degree):
        return f"A{group.degree}"
    primes = set(prime_factors(group.order))
    if len(primes) == 1:
        return f"{primes.pop()}-group of order {group.order:,}"
    return PERFECT[group.order] if group.order in PERFECT and group.derived().order == group.order else None
