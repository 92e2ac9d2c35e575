"""Permutation groups: against sympy, against plain enumeration, and on groups that are in the textbooks."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from maps import Map as Perm
from maps import closed, cyc, then
from sympy.combinatorics import Permutation as SympyPermutation
from sympy.combinatorics import PermutationGroup as SympyGroup

from scancraft.automata.budget import Budget
from scancraft.automata.errors import BudgetExceededError
from scancraft.automata.groups import permutation_group, stabiliser_chain
from scancraft.automata.groups.names import factor_names, group_name
from scancraft.automata.groups.permutation_group import PermutationGroup, generated_by, prime_factors

Perms = Sequence[Perm]

# -- material, and the plain way of doing things -----------------------------------------------------------------------


def closure(degree: int, generators: Iterable[Perm]) -> set[Perm]:
    return set(closed(generators, degree))


def symmetric(n: int) -> list[Perm]:
    return [cyc(n, range(n)), cyc(n, (0, 1))]


def alternating(n: int) -> list[Perm]:
    return [cyc(n, (0, 1, k)) for k in range(2, n)]


def beside(first: Perms, second: Perms) -> list[Perm]:
    """The direct product, on the points of both."""
    n, m = len(first[0]), len(second[0])
    return [(*g, *range(n, n + m)) for g in first] + [(*range(n), *(n + i for i in g)) for g in second]


def wreath(bottom: Perms, top: Perms) -> list[Perm]:
    """Copies of the first group, permuted by the second."""
    n, m = len(bottom[0]), len(top[0])
    one_copy = [(*g, *range(n, n * m)) for g in bottom]
    return one_copy + [tuple(t[i // n] * n + i % n for i in range(n * m)) for t in top]


def linear(p: int, dimension: int, *, affine: bool) -> list[Perm]:
    """SL(d, p) on its vectors, the zero vector first; with the translations if ``affine``."""
    vectors = list(itertools.product(range(p), repeat=dimension))
    place = {v: i for i, v in enumerate(vectors)}
    perms = []
    for i, j in itertools.permutations(range(dimension), 2):  # add coordinate i to coordinate j
        perms.append(tuple(place[tuple((x + v[i] * (k == j)) % p for k, x in enumerate(v))] for v in vectors))
    for i in range(dimension if affine else 0):
        perms.append(tuple(place[tuple((x + (k == i)) % p for k, x in enumerate(v))] for v in vectors))
    return perms


def nonzero(perms: Perms) -> list[Perm]:
    return [tuple(i - 1 for i in g[1:]) for g in perms]


def projective_line(p: int) -> list[Perm]:
    """PSL(2, p) on 0, ..., p - 1 and infinity, by x -> x + 1 and x -> -1/x."""
    return [(*((x + 1) % p for x in range(p)), p), (p, *(-pow(x, -1, p) % p for x in range(1, p)), 0)]


def on_pairs(generators: Perms) -> list[Perm]:
    pairs = list(itertools.combinations(range(len(generators[0])), 2))
    return [tuple(pairs.index((min(g[i], g[j]), max(g[i], g[j]))) for i, j in pairs) for g in generators]


def regular(generators: Perms, *, both_sides: bool = False) -> list[Perm]:
    """The group on itself, by multiplication from the right, or from both sides."""
    elements = sorted(closure(len(generators[0]), generators))
    place = {p: i for i, p in enumerate(elements)}
    perms = [tuple(place[then(p, g)] for p in elements) for g in generators]
    return perms + [tuple(place[then(g, p)] for p in elements) for g in generators if both_sides]


M11 = [cyc(11, range(11)), cyc(11, (2, 6, 10, 7), (3, 9, 4, 5))]
M12 = [
    *((*g, 11) for g in M11),
    cyc(12, (0, 11), (1, 10), (2, 5), (3, 7), (4, 8), (6, 9)),
]
Q8 = [cyc(8, (0, 1, 2, 3), (4, 5, 6, 7)), cyc(8, (0, 4, 2, 6), (1, 7, 3, 5))]


def group_of(generators: Perms) -> PermutationGroup:
    return PermutationGroup(len(generators[0]), tuple(generators))


def sympy_of(generators: Perms) -> SympyGroup:
    return SympyGroup([SympyPermutation(list(g)) for g in generators])


@st.composite
def generated(draw: st.DrawFn, max_degree: int = 8) -> list[Perm]:
    """Random permutations, or random elements of a group with structure, so that subgroups of it come up."""
    n = draw(st.integers(1, max_degree))
    if draw(st.booleans()):
        return draw(st.lists(st.permutations(range(n)).map(tuple), min_size=1, max_size=3))
    whole = draw(st.sampled_from(STRUCTURED))
    chance = random.Random(draw(st.integers(0, 10**6)))
    elements = []
    for _ in range(draw(st.integers(1, 3))):
        element = tuple(range(len(whole[0])))
        for _ in range(chance.randrange(1, 20)):
            element = then(element, chance.choice(whole))
        elements.append(element)
    return elements


STRUCTURED = [
    beside(symmetric(4), symmetric(3)),
    wreath(symmetric(3), symmetric(2)),
    wreath(symmetric(2), symmetric(4)),
    wreath(symmetric(2), symmetric(3)),
    wreath(symmetric(3), symmetric(3)),
    linear(2, 3, affine=True),
    linear(3, 2, affine=True),
    nonzero(linear(2, 3, affine=False)),
    beside(alternating(5), symmetric(3)),
    [*Q8, cyc(8, (1, 4, 5), (3, 6, 7))],
    regular(symmetric(3)),
]

# -- against sympy ---------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(generated(), st.data())
def test_against_sympy(generators: list[Perm], data: st.DataObject) -> None:
    group, other = group_of(generators), sympy_of(generators)
    n = group.degree
    assert group.order == other.order()
    assert group.is_abelian() == other.is_abelian
    assert group.is_cyclic() == other.is_cyclic
    assert group.is_solvable() == other.is_solvable
    assert group.derived().order == other.derived_subgroup().order()
    assert set(group.orbits) == {tuple(sorted(o)) for o in other.orbits() if len(o) > 1}
    assert group.is_transitive() == (n == 1 or other.is_transitive())
    residual = other
    while residual.derived_subgroup().order() < residual.order():
        residual = residual.derived_subgroup()
    assert group.solvable_residual.order == residual.order()
    perm = tuple(data.draw(st.permutations(range(n))))
    assert (perm in group) == other.contains(SympyPermutation(list(perm)))
    assert group.normal_closure(generators[:1]).order == other.normal_closure(sympy_of(generators[:1])).order()
    if group.is_transitive() and n > 1:
        assert (group.blocks() is None) == other.is_primitive()


@settings(max_examples=50, deadline=None)
@given(generated(max_degree=6))
def test_few_generators(generators: list[Perm]) -> None:
    n = len(generators[0])
    elements = closure(n, generators)
    assume(len(elements) <= 2000)
    shuffled = random.Random(0).sample(sorted(elements), len(elements))
    few = generated_by(n, shuffled, Budget().meter("x"))
    assert closure(n, few.generators) == elements
    assert 2 ** len(few.generators) <= len(elements)
    assert [p for p in shuffled if p in few.generators] == list(few.generators)


@settings(max_examples=50, deadline=None)
@given(generated())
def test_blocks(generators: list[Perm]) -> None:
    group = group_of(generators)
    blocks = group.blocks() if group.is_transitive() else None
    if blocks is None:
        return
    assert len(set(map(len, blocks))) == 1
    assert sorted(itertools.chain(*blocks)) == list(range(group.degree))
    assert 1 < len(blocks) < group.degree
    for g in generators:
        assert {tuple(sorted(g[i] for i in block)) for block in blocks} == set(blocks)
    assert group.order % group.on_blocks(blocks).order == 0


def test_no_permutation_and_no_generators() -> None:
    for degree in (0, 1, 2, 5):
        group = PermutationGroup(degree, ())
        assert (group.order, group.is_solvable(), group.orbits) == (1, True, ())
        assert (factor_names(group), group_name(group)) == ((), "the trivial group")
    assert [prime_factors(n) for n in (1, 2, 12, 97, 360)] == [[], [2], [2, 2, 3], [97], [2, 2, 2, 3, 3, 5]]
    for wrong in ((0, 0), (1, 2), (0, 1, 2), (0,)):
        with pytest.raises(ValueError, match=r"no permutation of 0\.\.1"):
            PermutationGroup(2, ((1, 0), wrong))


# -- shortcuts give what the chain gives -----------------------------------------------------------------------------


@pytest.mark.parametrize("n", [20, 23])
def test_giants(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for generators, order in ((symmetric(n), math.factorial(n)), (alternating(n), math.factorial(n) // 2)):
        group = group_of(generators)
        assert group.is_giant
        assert not group.is_solvable()
        assert group.order == order
        assert "chain" not in group.__dict__
        few = generated_by(n, generators, group.clock)
        assert few.order == order
        assert set(few.generators) <= set(generators)
        letter = "S" if order == math.factorial(n) else "A"
        assert group_name(group) == f"{letter}{n}"
        assert factor_names(group) == ((f"A{n}", "Z2") if letter == "S" else (f"A{n}",))
        monkeypatch.setattr(permutation_group, "GIANT_DEGREE", 1000)
        plain = group_of(generators)
        assert not plain.is_giant
        assert plain.order == order
        monkeypatch.undo()


def test_an_odd_permutation_after_a_giant() -> None:
    for n in (6, 24):
        even, odd = [cyc(n, (0, 1, 2)), cyc(n, range(1, n))], cyc(n, (0, 1))
        clock = Budget().meter("x")
        assert generated_by(n, even, clock).order == math.factorial(n) // 2
        assert generated_by(n, [*even, odd], clock).order == math.factorial(n)
        assert generated_by(n, [odd, *even], clock).order == math.factorial(n)


def test_transitive_groups_that_are_no_giants() -> None:
    for generators in (
        wreath(symmetric(5), symmetric(4)),
        wreath(symmetric(2), symmetric(12)),
        projective_line(23),
        regular(symmetric(4)),
        linear(2, 5, affine=True),
    ):
        group = group_of(generators)
        assert group.degree >= permutation_group.GIANT_DEGREE
        assert group.is_transitive()
        assert not group.is_giant


def test_abelian_groups_need_no_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    n, m = 12, 9
    turns = [
        tuple((i // m * m + (i % m + a) % m + b * m) % (n * m) for i in range(n * m))
        for a in range(m)
        for b in range(n)
    ]
    clock = Budget().meter("x")
    group = generated_by(n * m, turns, clock)
    assert group.order == n * m == len(closure(n * m, turns))
    assert "chain" not in group.__dict__
    monkeypatch.setattr(permutation_group, "ABELIAN_DEGREE", 10**6)
    assert generated_by(n * m, turns, clock).chain.order == n * m
    # One permutation that does not commute, at the end, is not overlooked.
    swap = cyc(n * m, (0, 1))
    monkeypatch.undo()
    assert swap in generated_by(n * m, [*turns, swap], clock)


def test_budgets(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Budget(seconds=0).meter("products")
    with pytest.raises(BudgetExceededError, match="second"):
        PermutationGroup(64, tuple(wreath(symmetric(4), symmetric(16))), clock).is_solvable()
    monkeypatch.setattr(stabiliser_chain, "MAX_ENTRIES", 100)
    with pytest.raises(BudgetExceededError, match="entries of a stabiliser chain"):
        _ = group_of(wreath(symmetric(4), symmetric(3))).order


# -- names and factors -----------------------------------------------------------------------------------------------

KNOWN: dict[str, tuple[list[Perm], int, tuple[str, ...], str | None]] = {
    # name: generators, order, factors, name up to isomorphism
    "S3": (symmetric(3), 6, ("Z2", "Z3"), "S3"),
    "S3 regular": (regular(symmetric(3)), 6, ("Z2", "Z3"), None),
    "D4": ([cyc(4, range(4)), cyc(4, (0, 2))], 8, ("Z2",) * 3, "2-group of order 8"),
    "Q8": (Q8, 8, ("Z2",) * 3, "2-group of order 8"),
    "SL(2,3)": ([*Q8, cyc(8, (1, 4, 5), (3, 6, 7))], 24, ("Z2", "Z2", "Z2", "Z3"), None),
    "Z3 wr Z3": (wreath([cyc(3, range(3))], [cyc(3, range(3))]), 81, ("Z3",) * 4, "3-group of order 81"),
    "Z6": (beside([cyc(3, range(3))], [cyc(2, range(2))]), 6, ("Z2", "Z3"), "Z6"),
    "Z2 x Z4": (beside([cyc(4, range(4))], [cyc(2, range(2))]), 8, ("Z2",) * 3, "2-group of order 8"),
    "A5": (alternating(5), 60, ("A5",), "A5"),
    "A5 regular": (regular(alternating(5)), 60, ("A5",), "A5"),
    "A5 as PSL(2,5)": (projective_line(5), 60, ("A5",), "A5"),
    "S5 regular": (regular(symmetric(5)), 120, ("A5", "Z2"), None),
    "SL(2,5)": (linear(5, 2, affine=False), 120, ("A5",), None),
    "A5 x Z3": (beside(alternating(5), [cyc(3, range(3))]), 180, ("A5", "Z3"), None),
    "A5 wr Z2": (wreath(alternating(5), symmetric(2)), 7200, ("A5", "Z2"), None),
    "A5 wr A5": (wreath(alternating(5), alternating(5)), 60**6, ("A5",), None),
    "A5 on both sides": (
        regular(alternating(5), both_sides=True),
        3600,
        ("of a perfect group of order 3,600",),
        None,
    ),
    "A7": (alternating(7), 2520, ("A7",), "A7"),
    "PSL(2,7)": (projective_line(7), 168, ("PSL(2,7)",), "PSL(2,7)"),
    "GL(3,2) regular": (regular(nonzero(linear(2, 3, affine=False))), 168, ("PSL(2,7)",), "PSL(2,7)"),
    "AGL(3,2)": (linear(2, 3, affine=True), 1344, ("of a perfect group of order 1,344",), None),
    "GL(4,2)": (nonzero(linear(2, 4, affine=False)), 20160, ("of a perfect group of order 20,160",), None),
    "ASL(2,3)": (linear(3, 2, affine=True), 216, ("Z2", "Z2", "Z2", "Z3", "Z3", "Z3"), None),
    "PSL(2,11)": (projective_line(11), 660, ("PSL(2,11)",), "PSL(2,11)"),
    "M12": (M12, 95040, ("of a perfect group of order 95,040",), None),
    "S8 x S8": (beside(symmetric(8), symmetric(8)), 40320**2, ("A8", "Z2", "Z2"), None),
    "S4 wr S3": (wreath(symmetric(4), symmetric(3)), 82944, ("Z2",) * 10 + ("Z3",) * 4, None),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_groups(name: str) -> None:
    generators, order, factors, isomorphic = KNOWN[name]
    group = group_of(generators)
    assert group.order == order
    assert factor_names(group) == factors
    assert group_name(group) == isomorphic
    assert group.is_solvable() == all(factor.startswith("Z") for factor in factors)
