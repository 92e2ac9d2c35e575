"""Permutation groups: against sympy, against plain enumeration, and on groups whose factors are in the textbooks."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sympy.combinatorics import Permutation as SympyPermutation
from sympy.combinatorics import PermutationGroup as SympyGroup

from scancraft.automata.budget import Budget
from scancraft.automata.errors import BudgetExceededError
from scancraft.automata.groups import generating as _generating
from scancraft.automata.groups import permutation_group as groups
from scancraft.automata.groups import stabiliser_chain as _stabiliser_chain
from scancraft.automata.groups.composition import composition_factors, regular_normal_subgroup
from scancraft.automata.groups.generating import generated_by
from scancraft.automata.groups.names import factor_names, group_name
from scancraft.automata.groups.permutation_group import PermutationGroup
from scancraft.automata.groups.simple_groups import names_of_order

Perm = tuple[int, ...]
Perms = Sequence[Perm]

# -- material, and the plain way of doing things -----------------------------------------------------------------------


def cyc(degree: int, *cycles: Sequence[int]) -> Perm:
    perm = list(range(degree))
    for cycle in cycles:
        for a, b in zip(cycle, [*cycle[1:], cycle[0]], strict=True):
            perm[a] = b
    return tuple(perm)


def then(p: Perm, q: Perm) -> Perm:
    return tuple(q[i] for i in p)


def undone(p: Perm) -> Perm:
    return tuple(p.index(i) for i in range(len(p)))


def closure(degree: int, generators: Iterable[Perm]) -> set[Perm]:
    generators, identity = list(generators), tuple(range(degree))
    seen, queue = {identity}, [identity]
    for p in queue:
        for g in generators:
            product = then(p, g)
            if product not in seen:
                seen.add(product)
                queue.append(product)
    return seen


def normal_closure(elements: set[Perm], one: Perm) -> set[Perm]:
    return closure(len(one), {then(then(undone(g), one), g) for g in elements})


def brute_factors(elements: set[Perm]) -> Counter[int]:
    """The orders of the composition factors, along normal closures of single elements and groups of cosets."""
    if len(elements) == 1:
        return Counter()
    smallest, done = elements, set()
    for element in elements:
        if element not in done and element != tuple(range(len(element))):
            normal = normal_closure(elements, element)
            done |= {then(then(undone(g), element), g) for g in elements}
            if len(normal) < len(smallest):
                smallest = normal
    if smallest == elements:
        return Counter([len(elements)])
    cosets: dict[Perm, int] = {}
    for element in elements:
        if element not in cosets:
            number = len(set(cosets.values()))
            cosets |= {then(n, element): number for n in smallest}
    chosen = {number: element for element, number in cosets.items()}
    quotient = {tuple(cosets[then(chosen[i], g)] for i in range(len(chosen))) for g in elements}
    return brute_factors(smallest) + brute_factors(quotient)


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


@settings(max_examples=150, deadline=None)
@given(generated(), st.data())
def test_against_sympy(generators: list[Perm], data: st.DataObject) -> None:
    group, other = group_of(generators), sympy_of(generators)
    n = group.degree
    assert group.order == other.order()
    assert group.is_abelian() == other.is_abelian
    assert group.is_solvable() == other.is_solvable
    assert group.derived().order == other.derived_subgroup().order()
    assert set(group.orbits) == {tuple(sorted(o)) for o in other.orbits() if len(o) > 1}
    assert group.is_transitive() == (n == 1 or other.is_transitive())
    residual = other
    while residual.derived_subgroup().order() < residual.order():
        residual = residual.derived_subgroup()
    assert group.solvable_residual().order == residual.order()
    points = data.draw(st.lists(st.integers(0, n - 1), max_size=3, unique=True))
    assert group.fixing(points).order == (other.pointwise_stabilizer(points).order() if points else other.order())
    perm = tuple(data.draw(st.permutations(range(n))))
    assert (perm in group) == other.contains(SympyPermutation(list(perm)))
    normal = group.normal_closure(generators[:1])
    assert normal is not None
    assert normal.order == other.normal_closure(sympy_of(generators[:1])).order()
    if group.is_transitive() and n > 1:
        assert (group.blocks() is None) == other.is_primitive()


@settings(max_examples=100, deadline=None)
@given(generated(max_degree=6))
def test_elements_and_generators(generators: list[Perm]) -> None:
    n = len(generators[0])
    group = group_of(generators)
    assume(group.order <= 2000)
    elements = list(group.elements())
    assert elements[0] == tuple(range(n))
    assert len(elements) == group.order
    assert set(elements) == closure(n, generators)
    shuffled = random.Random(0).sample(elements, len(elements))
    few = generated_by(n, shuffled, Budget().meter("x"))
    assert few.order == group.order
    assert set(few.elements()) == set(elements)
    assert 2 ** len(few.generators) <= group.order
    assert [p for p in shuffled if p in few.generators] == list(few.generators)


@settings(max_examples=100, deadline=None)
@given(generated())
def test_blocks_and_kernels(generators: list[Perm]) -> None:
    group = group_of(generators)
    blocks = group.blocks() if group.is_transitive() else None
    if blocks is None:
        return
    sizes = set(map(len, blocks))
    assert len(sizes) == 1
    assert sorted(itertools.chain(*blocks)) == list(range(group.degree))
    assert 1 < len(blocks) < group.degree
    for g in generators:
        assert {tuple(sorted(g[i] for i in block)) for block in blocks} == set(blocks)
    kernel, image = group.fixing_blocks(blocks), group.on_blocks(blocks)
    assert kernel.order * image.order == group.order
    assert all({g[i] for i in block} == set(block) for g in kernel.generators for block in blocks)


def test_no_permutation() -> None:
    for wrong in ((0, 0), (1, 2), (0, 1, 2), (0,)):
        with pytest.raises(ValueError, match=r"no permutation of 0\.\.1"):
            PermutationGroup(2, ((1, 0), wrong))


def test_trivial_groups() -> None:
    for degree in (0, 1, 2, 5):
        group = PermutationGroup(degree, ())
        assert (group.order, group.is_solvable(), group.orbits) == (1, True, ())
        factors = composition_factors(group)
        assert (factors.primes, factors.simple, factor_names(factors)) == ((), (), ())
        assert group_name(group, factors) == "the trivial group"


# -- shortcuts give what the chain gives -----------------------------------------------------------------------------


@pytest.mark.parametrize("n", [20, 23, 24, 31])
def test_giants(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for generators, order in ((symmetric(n), math.factorial(n)), (alternating(n), math.factorial(n) // 2)):
        group = group_of(generators)
        assert group.is_giant
        assert "chain" not in group.__dict__
        assert group.order == order
        assert not group.is_solvable()
        perms = generated_by(n, generators, group.clock)
        assert perms.order == order
        assert set(perms.generators) <= set(generators)
        factors = composition_factors(group)
        letter = "S" if order == math.factorial(n) else "A"
        assert group_name(group, factors) == f"{letter}{n}"
        assert factor_names(factors) == ((f"A{n}", "Z2") if letter == "S" else (f"A{n}",))
        assert composition_factors(factors.simple[0]).primes == ()
        monkeypatch.setattr(groups, "GIANT_DEGREE", 1000)
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
        linear(5, 2, affine=True),
        linear(2, 5, affine=True),
    ):
        group = group_of(generators)
        assert group.degree >= groups.GIANT_DEGREE
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
    assert "chain" not in group.__dict__
    assert group.order == n * m == len(closure(n * m, turns))
    assert "chain" not in group.__dict__
    assert group_name(group, composition_factors(group)) == "Z3 x Z36"
    monkeypatch.setattr(_generating, "ABELIAN_DEGREE", 10**6)
    assert generated_by(n * m, turns, clock).chain.order == n * m
    # One permutation that does not commute, at the end, is not overlooked.
    swap = cyc(n * m, (0, 1))
    monkeypatch.undo()
    assert swap in generated_by(n * m, [*turns, swap], clock)


# -- composition factors ---------------------------------------------------------------------------------------------


@settings(max_examples=120, deadline=None)
@given(generated(max_degree=6))
def test_composition_factors_of_small_groups(generators: list[Perm]) -> None:
    elements = closure(len(generators[0]), generators)
    assume(len(elements) <= 400)
    factors = composition_factors(group_of(generators))
    assert Counter([*factors.primes, *(s.order for s in factors.simple)]) == brute_factors(elements)


KNOWN: dict[str, tuple[list[Perm], int, str, str | None]] = {
    # name: generators, order, composition factors, name up to isomorphism
    "S3": (symmetric(3), 6, "Z2 Z3", "S3"),
    "S3 regular": (regular(symmetric(3)), 6, "Z2 Z3", "S3"),
    "A4 regular": (regular(alternating(4)), 12, "Z2 Z2 Z3", "A4"),
    "S4 on pairs": (on_pairs(symmetric(4)), 24, "Z2 Z2 Z2 Z3", "S4"),
    "S5 on pairs": (on_pairs(symmetric(5)), 120, "A5 Z2", "S5"),
    "S4 regular": (regular(symmetric(4)), 24, "Z2 Z2 Z2 Z3", "S4"),
    "D4": ([cyc(4, range(4)), cyc(4, (0, 2))], 8, "Z2 Z2 Z2", "D4"),
    "D5": ([cyc(5, range(5)), cyc(5, (0, 4), (1, 3))], 10, "Z2 Z5", "D5"),
    "D6": (beside(symmetric(3), symmetric(2)), 12, "Z2 Z2 Z3", "D6"),
    "Q8": (Q8, 8, "Z2 Z2 Z2", "Q8"),
    "SL(2,3)": ([*Q8, cyc(8, (1, 4, 5), (3, 6, 7))], 24, "Z2 Z2 Z2 Z3", None),
    "Z2 wr Z4": (wreath(symmetric(2), [cyc(4, range(4))]), 64, "Z2 " * 6, "2-group of order 64"),
    "Z3 wr Z3": (wreath([cyc(3, range(3))], [cyc(3, range(3))]), 81, "Z3 " * 4, "3-group of order 81"),
    "Z3 wr S4": (wreath([cyc(3, range(3))], symmetric(4)), 1944, "Z2 Z2 Z2 " + "Z3 " * 5, None),
    "Z6": (beside([cyc(3, range(3))], [cyc(2, range(2))]), 6, "Z2 Z3", "Z6"),
    "Z2 x Z4": (beside([cyc(4, range(4))], [cyc(2, range(2))]), 8, "Z2 Z2 Z2", "Z2 x Z4"),
    "A5": (alternating(5), 60, "A5", "A5"),
    "A5 regular": (regular(alternating(5)), 60, "A5", "A5"),
    "A5 as PSL(2,5)": (projective_line(5), 60, "A5", "A5"),
    "S5": (symmetric(5), 120, "A5 Z2", "S5"),
    "S5 regular": (regular(symmetric(5)), 120, "A5 Z2", "S5"),
    "SL(2,5)": (linear(5, 2, affine=False), 120, "A5 Z2", None),
    "A5 x Z2": (beside(alternating(5), symmetric(2)), 120, "A5 Z2", "A5 x Z2"),
    "A5 x Z3": (beside(alternating(5), [cyc(3, range(3))]), 180, "A5 Z3", None),
    "A5 wr Z2": (wreath(alternating(5), symmetric(2)), 7200, "A5 A5 Z2", None),
    "A5 wr A5": (wreath(alternating(5), alternating(5)), 60**6, "A5 " * 6, None),
    "A5 on both sides": (regular(alternating(5), both_sides=True), 3600, "A5 A5", None),
    "A6": (alternating(6), 360, "A6", "A6"),
    "S6": (symmetric(6), 720, "A6 Z2", "S6"),
    "S6 regular": (regular(symmetric(6)), 720, "A6 Z2", "S6"),
    "A7": (alternating(7), 2520, "A7", "A7"),
    "PSL(2,7)": (projective_line(7), 168, "PSL(2,7)", "PSL(2,7)"),
    "GL(3,2)": (nonzero(linear(2, 3, affine=False)), 168, "PSL(2,7)", "PSL(2,7)"),
    "GL(3,2) regular": (regular(nonzero(linear(2, 3, affine=False))), 168, "PSL(2,7)", "PSL(2,7)"),
    "AGL(3,2)": (linear(2, 3, affine=True), 1344, "PSL(2,7) Z2 Z2 Z2", None),
    "GL(4,2)": (nonzero(linear(2, 4, affine=False)), 20160, "A8", "A8"),
    "AGL(4,2)": (linear(2, 4, affine=True), 322560, "A8 Z2 Z2 Z2 Z2", None),
    "AGL(5,2)": (linear(2, 5, affine=True), 319979520, "PSL(5,2) Z2 Z2 Z2 Z2 Z2", None),
    "ASL(2,3)": (linear(3, 2, affine=True), 216, "Z2 Z2 Z2 Z3 Z3 Z3", None),
    "ASL(2,5)": (linear(5, 2, affine=True), 3000, "A5 Z2 Z5 Z5", None),
    "ASL(2,7)": (linear(7, 2, affine=True), 16464, "PSL(2,7) Z2 Z7 Z7", None),
    "ASL(3,3)": (linear(3, 3, affine=True), 151632, "PSL(3,3) Z3 Z3 Z3", None),
    "PSL(2,11)": (projective_line(11), 660, "PSL(2,11)", "PSL(2,11)"),
    "PSL(2,13)": (projective_line(13), 1092, "PSL(2,13)", "PSL(2,13)"),
    "PSL(2,31)": (projective_line(31), 14880, "PSL(2,31)", "PSL(2,31)"),
    "M11": (M11, 7920, "M11", "M11"),
    "M12": (M12, 95040, "M12", "M12"),
    "S8 x S8": (beside(symmetric(8), symmetric(8)), 40320**2, "A8 A8 Z2 Z2", None),
    "S3 wr S3": (wreath(symmetric(3), symmetric(3)), 1296, "Z2 Z2 Z2 Z2 Z3 Z3 Z3 Z3", None),
    "S4 wr S3": (wreath(symmetric(4), symmetric(3)), 82944, "Z2 " * 10 + "Z3 " * 4, None),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_groups(name: str) -> None:
    generators, order, expected, isomorphic = KNOWN[name]
    group = group_of(generators)
    assert group.order == order
    factors = composition_factors(group)
    assert factor_names(factors) == tuple(expected.split())
    assert group_name(group, factors) == isomorphic
    assert math.prod([*factors.primes, *(simple.order for simple in factors.simple)]) == order
    assert group.is_solvable() == (not factors.simple)
    for simple in dict.fromkeys(factors.simple):
        if simple.order <= 100_000:
            assert is_simple(simple)


def test_another_group_over_a6() -> None:
    """M10, the stabiliser of a point in M11, has A6 as a subgroup of index 2, and is not S6."""
    group = group_of(M11).fixing([0])
    factors = composition_factors(group)
    assert (group.order, factor_names(factors), group_name(group, factors)) == (720, ("A6", "Z2"), None)


def is_simple(group: PermutationGroup) -> bool:
    """Whether the normal closure of one element of each conjugacy class is the whole group, by sympy."""
    other = sympy_of(group.generators)
    assert other.order() == group.order
    left = closure(group.degree, group.generators) - {tuple(range(group.degree))}
    assert len(left) == group.order - 1
    while left:
        one = left.pop()
        kind = [one]
        for element in kind:
            for g in group.generators:
                conjugate = then(then(undone(g), element), g)
                if conjugate in left:
                    left.remove(conjugate)
                    kind.append(conjugate)
        if other.normal_closure(SympyGroup([SympyPermutation(list(one))])).order() != group.order:
            return False
    return True


def test_simplicity_can_fail() -> None:
    assert not is_simple(group_of(symmetric(5)))
    assert not is_simple(group_of(beside(alternating(5), alternating(5))))
    assert not is_simple(group_of(linear(2, 3, affine=True)))


@pytest.mark.parametrize(
    ("generators", "order"),
    [
        (linear(2, 3, affine=True), 8),
        (linear(5, 2, affine=True), 25),
        (linear(3, 3, affine=True), 27),
        (regular(alternating(5), both_sides=True), 60),
        (alternating(6), None),
        (projective_line(7), None),
        (projective_line(13), None),
        (M11, None),
        (M12, None),
    ],
)
def test_regular_normal_subgroups(generators: list[Perm], order: int | None) -> None:
    group = group_of(generators)
    assert group.blocks() is None
    normal = regular_normal_subgroup(group)
    assert (normal and normal.order) == order
    if normal is not None:
        assert normal.is_transitive()
        for g, h in itertools.product(generators, normal.generators):
            assert then(then(undone(g), h), g) in normal


# -- simple groups by order ------------------------------------------------------------------------------------------

ORDERS_OF_SIMPLE_GROUPS = """60 168 360 504 660 1092 2448 2520 3420 4080 5616 6048 6072 7800 7920 9828 12180 14880 20160
25308 25920 29120 32736 34440 39732 51888 58800 62400 74412 95040 102660 113460 126000 150348 175560 178920 181440
194472 246480 262080 265680 285852 352440 372000 443520 456288 515100 546312 604800 612468 647460 721392 885720
976500 979200"""
"""All orders of nonabelian simple groups below a million, from the literature (OEIS A001034)."""


def test_simple_groups_by_order() -> None:
    orders = [int(order) for order in ORDERS_OF_SIMPLE_GROUPS.split()]
    # Such an order is divisible by 4, and by 3 or 5 (Feit and Thompson; Suzuki).
    tried = {order for order in range(4, 200_000, 4) if order % 3 == 0 or order % 5 == 0} | set(orders)
    found = {order: names for order in sorted(tried) if (names := names_of_order(order))}
    assert list(found) == orders
    assert {order: names for order, names in found.items() if len(names) > 1} == {20160: ("A8", "PSL(3,4)")}
    assert sum(map(len, found.values())) == 56


@pytest.mark.parametrize(
    ("order", "names"),
    [
        (25_920, ("PSp(4,3)",)),
        (1_451_520, ("PSp(6,2)",)),
        (4_585_351_680, ("PSp(6,3)", "POmega(7,3)")),
        (9_999_360, ("PSL(5,2)",)),
        (174_182_400, ("POmega+(8,2)",)),
        (197_406_720, ("POmega-(8,2)",)),
        (4_245_696, ("G2(3)",)),
        (211_341_312, ("3D4(2)",)),
        (17_971_200, ("2F4(2)'",)),
        (10_073_444_472, ("R(27)",)),
        (32_537_600, ("Sz(32)",)),
        (986_880, ()),  # what the formula of the Suzuki groups gives for a field of 16 elements
        (244_823_040, ("M24",)),
        (math.factorial(15) // 2, ("A15",)),
        (61, ()),
        (1, ()),
    ],
)
def test_larger_simple_groups(order: int, names: tuple[str, ...]) -> None:
    assert names_of_order(order) == names


def test_two_simple_groups_of_order_20160() -> None:
    field = [(0, 0), (1, 0), (0, 1), (1, 1)]  # 0, 1, w, w + 1 with w^2 = w + 1

    def times(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        low, middle, high = a[0] * b[0], a[0] * b[1] + a[1] * b[0], a[1] * b[1]
        return (low + high) % 2, (middle + high) % 2

    def plus(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        return (a[0] + b[0]) % 2, (a[1] + b[1]) % 2

    def scaled(vector: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        first = next(x for x in vector if x != (0, 0))
        factor = next(x for x in field if times(x, first) == (1, 0))
        return tuple(times(factor, x) for x in vector)

    points = sorted({scaled(v) for v in itertools.product(field, repeat=3) if any(x != (0, 0) for x in v)})
    place = {v: i for i, v in enumerate(points)}
    perms = []
    for i, j in itertools.permutations(range(3), 2):
        for c in field[1:]:
            image = (tuple(plus(x, times(c, v[i])) if k == j else x for k, x in enumerate(v)) for v in points)
            perms.append(tuple(place[scaled(v)] for v in image))
    group = group_of(perms)
    assert (group.degree, group.order) == (21, 20160)
    assert group_name(group, composition_factors(group)) == "PSL(3,4)"


# -- limits ----------------------------------------------------------------------------------------------------------


def test_time_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    late = Budget(seconds=-1.0).meter("x")
    monkeypatch.setattr(groups, "GIANT_DEGREE", 1000)
    with pytest.raises(BudgetExceededError, match="seconds"):
        _ = PermutationGroup(20, tuple(symmetric(20)), late).order
    with pytest.raises(BudgetExceededError, match="seconds"):
        PermutationGroup(20, tuple(symmetric(20)), late).blocks()


def test_memory_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stabiliser_chain, "MAX_ENTRIES", 100)
    with pytest.raises(BudgetExceededError, match="entries of a stabiliser chain"):
        _ = group_of(symmetric(10)).order
    assert group_of(symmetric(5)).order == 120


def test_the_same_generators_give_the_same_chain() -> None:
    first, second = group_of(M12), group_of(M12)
    assert first == second
    assert first.chain.base == second.chain.base
    assert first.chain.generators == second.chain.generators
