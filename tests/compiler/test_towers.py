"""Groups of tiles as levels of reflections: factors, towers, cascades and circuits of languages that have groups."""

from __future__ import annotations

import itertools
import pickle
import random
from math import factorial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maps import Map, closed, cyc, then
from oracle import may_follow, states_along

import scancraft
from scancraft import Dfa
from scancraft.automata.budget import Budget
from scancraft.automata.decide.classification import GateClass, classify
from scancraft.automata.errors import BudgetExceededError
from scancraft.compiler.architecture import architecture
from scancraft.compiler.cascade.cascade import decompose
from scancraft.compiler.cascade.pipeline import GroupTooLargeError, pipeline_of
from scancraft.compiler.cascade.reflections import are_reflections, carried_out, factors, sides
from scancraft.compiler.cascade.rules import tabulate
from scancraft.compiler.cascade.tower_search import TowerSearch
from scancraft.compiler.circuits.circuit import Circuit
from scancraft.compiler.circuits.levels import cascade_circuit
from scancraft.compiler.circuits.memories import signs
from scancraft.compiler.circuits.pipeline import cases


def rotation(n: int) -> Map:
    return cyc(n, range(n))


def symmetric(n: int) -> list[Map]:
    """All permutations of n points but the identity."""
    return list(itertools.permutations(range(n)))[1:]


def regular(n: int, generators: list[Map], *, every: bool = False) -> tuple[int, list[Map]]:
    """The group on its own elements: multiplied with its generators, or with every element."""
    elements = closed(generators, n)
    number = {element: i for i, element in enumerate(elements)}
    letters = elements[1:] if every else generators
    return len(elements), [tuple(number[then(e, g)] for e in elements) for g in letters]


def with_letters(n: int, letters: list[Map], accepting: tuple[int, ...] = (0,)) -> Dfa:
    table = [[letter[q] for letter in letters] for q in range(n)]
    return Dfa.from_table([f"l{i}" for i in range(len(letters))], table, 0, accepting)


# -- factors -----------------------------------------------------------------------------------------------------------


def test_factors_are_as_few_as_there_can_be() -> None:
    """Every permutation of up to five labels, for all sizes of the two sides; the distances by breadth-first search."""
    for n in range(2, 6):
        for side in sides(n):
            pairs = [(i, j) for i, j in itertools.combinations(range(n), 2) if (i in side) != (j in side)]
            assert signs(range(n), pairs) is not None
            exchanges = [cyc(n, pair) for pair in pairs]
            distance = {tuple(range(n)): 0}
            for perm in (queue := [tuple(range(n))]):
                for exchange in exchanges:
                    if (image := then(perm, exchange)) not in distance:
                        distance[image] = distance[perm] + 1
                        queue.append(image)
            assert len(distance) == factorial(n)
            for perm, least in distance.items():
                found = factors(perm, side)
                assert set(found) <= set(pairs)
                assert carried_out(n, found) == perm
                assert len(found) == least


# -- towers ------------------------------------------------------------------------------------------------------------


@st.composite
def groups(draw: st.DrawFn) -> tuple[int, list[Map]]:
    n = draw(st.integers(2, 4))
    perms = draw(st.lists(st.permutations(range(n)), min_size=1, max_size=3))
    return n, [perm for p in perms if (perm := tuple(p)) != tuple(range(n))]


@given(groups())
@settings(max_examples=60, deadline=None)
def test_a_tower_carries_every_group_on_at_most_four_labels(case: tuple[int, list[Map]]) -> None:
    n, events = case
    tower = TowerSearch(Budget()).tower(n, events)
    tower.check()
    for number, node in itertools.product(range(len(tower.events)), range(len(tower.children))):
        assert are_reflections([tower.turn(number, node)])


@pytest.mark.parametrize(
    ("name", "case", "levels"),
    [
        *((f"Z{n}", (n, [rotation(n)]), levels) for n, levels in enumerate((1, 2, 2, 3, 3, 4, 3, 4, 4, 5, 4), start=2)),
        ("D4", (4, [rotation(4), (0, 3, 2, 1)]), 2),
        ("D5", (5, [rotation(5), (0, 4, 3, 2, 1)]), 4),
        ("S3, all", (3, symmetric(3)), 2),
        ("A4, all", regular(4, [(1, 2, 0, 3), (1, 0, 3, 2)], every=True), 4),
        ("S4, all", (4, symmetric(4)), 5),
        ("Q8", regular(8, [(1, 2, 3, 0, 5, 6, 7, 4), (4, 7, 6, 5, 2, 1, 0, 3)]), 3),
        ("S5, a star", (5, [cyc(5, (0, i)) for i in range(1, 5)]), 1),
        ("S5, a square", (4, [cyc(4, (i, (i + 1) % 4)) for i in range(4)]), 1),
    ],
)
def test_levels_of_known_groups(name: str, case: tuple[int, list[Map]], levels: int) -> None:
    tower = TowerSearch(Budget()).tower(*case)
    tower.check()
    assert tower.height == levels, name
    for rank in range(1, levels + 1):
        assert tower.stages[rank - 1].kind == "reflections"


def test_a_group_that_is_too_large_is_named() -> None:
    with pytest.raises(GroupTooLargeError, match=r"11 products of letters in A5 \(order 60, on 5 tiles\)") as caught:
        TowerSearch(Budget(items=10)).tower(5, [rotation(5), cyc(5, (0, 1, 2))])
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_budget_of_nodes() -> None:
    with pytest.raises(BudgetExceededError, match="nodes of towers"):
        TowerSearch(Budget(items=50)).tower(11, [rotation(11)])


WORD_PROBLEMS = {
    "Q8": (regular(8, [(1, 2, 3, 0, 5, 6, 7, 4), (4, 7, 6, 5, 2, 1, 0, 3)], every=True), 3),
    "A4, all": (regular(4, [(1, 2, 0, 3), (1, 0, 3, 2)], every=True), 4),
    "S4, all": (regular(4, symmetric(4), every=True), 5),
    "S4": (regular(4, [rotation(4), cyc(4, (0, 1))]), 4),
    "A5": (regular(5, [rotation(5), cyc(5, (0, 1, 2))]), 5),
    "S5": (regular(5, [rotation(5), cyc(5, (0, 1))]), 6),
    "S5, a star": (regular(5, [cyc(5, (0, i)) for i in range(1, 5)]), 6),
}


@pytest.mark.parametrize("name", WORD_PROBLEMS)
def test_towers_of_groups_on_their_own_elements(name: str) -> None:
    case, levels = WORD_PROBLEMS[name]
    tower = TowerSearch(Budget()).tower(*case)
    tower.check()
    assert tower.height == levels
    assert ("pipeline" in {stage.kind for stage in tower.stages}) == (name in ("A5", "S5"))


# -- pipelines ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "n", "events", "period"),
    [
        ("A5", 5, [rotation(5), cyc(5, (0, 1, 2))], 4),
        ("S4, all", 4, symmetric(4), 4),
        ("S5", 5, [rotation(5), cyc(5, (0, 1))], 6),
        ("7:3", 7, [rotation(7), tuple(2 * i % 7 for i in range(7))], 6),
        ("PSL(2,7)", 7, [rotation(7), cyc(7, (1, 2), (4, 5))], 6),
    ],
)
def test_pipelines(name: str, n: int, events: list[Map], period: int) -> None:
    pipeline = pipeline_of(n, events, Budget())
    pipeline.check()
    assert pipeline.period == period, name
    assert signs(range(n), pipeline.pairs) is not None


@st.composite
def maps(draw: st.DrawFn) -> dict[Map, int]:
    n = draw(st.integers(1, 4))
    images = st.lists(st.integers(0, n - 1), min_size=n, max_size=n).map(tuple)
    return draw(st.dictionaries(images, st.integers(0, 2), min_size=1, max_size=12))


@given(maps())
@settings(max_examples=50, deadline=None)
def test_cases_of_maps_exclude_each_other_and_leave_none_out(values: dict[Map, int]) -> None:
    found = cases(values)
    for images, value in values.items():
        assert [v for literals, v in found if all(images[i] == k for i, k in literals)] == [value]


# -- languages ---------------------------------------------------------------------------------------------------------


def compiled(dfa: Dfa) -> Circuit:
    rules = tabulate(decompose(dfa, groups="any"))
    assert rules.verify() > 0
    return cascade_circuit(rules, dfa)


def right_on(circuit: Circuit, dfa: Dfa, words: int, length: int, seed: int = 0) -> None:
    """Compare what may come next with the language, on random words; and every memory's exchanges must have signs."""
    for block in circuit.blocks:
        for register in block.registers:
            assert signs(register.labels, register.swaps) is not None
    rng = random.Random(seed)
    for _ in range(words):
        word = rng.choices(dfa.alphabet, k=length)
        expected = [frozenset(may_follow(dfa, q)) for q in states_along(dfa, word)]
        assert [allowed for _, allowed in circuit.run(word)] == expected


@st.composite
def languages(draw: st.DrawFn) -> Dfa:
    """Automata of up to four states, most of whose letters are permutations."""
    n = draw(st.integers(2, 4))
    letters = []
    for _ in range(draw(st.integers(1, 3))):
        anything = st.lists(st.integers(0, n - 1), min_size=n, max_size=n)
        letters.append(tuple(draw(st.permutations(range(n)) if draw(st.integers(0, 3)) else anything)))
    accepting = draw(st.sets(st.integers(0, n - 1)))
    return with_letters(n, letters, tuple(accepting))


@given(languages(), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_circuits_of_languages_with_groups(dfa: Dfa, seed: int) -> None:
    cascade = decompose(dfa, groups="any")
    word = random.Random(seed).choices(dfa.alphabet, k=30)
    assert [cascade.state(c) for c in cascade.run(word)] == states_along(dfa, word)
    right_on(compiled(dfa), dfa, 2, 30, seed)


@pytest.mark.parametrize("p", [3, 5, 9, 12])
def test_multiples(p: int) -> None:
    dfa = with_letters(p, [rotation(p)])
    right_on(compiled(dfa), dfa, 1, 4 * p)


def test_the_word_problem_of_s5_is_one_block_for_a_star() -> None:
    dfa = with_letters(5, [cyc(5, (0, i)) for i in range(1, 5)])
    circuit = compiled(dfa)
    assert circuit.n_blocks == 1
    right_on(circuit, dfa, 3, 300)


PIPED = {
    "A5": with_letters(5, [rotation(5), cyc(5, (0, 1, 2))]),
    "Z5, all, and resets": with_letters(5, [*(tuple((i + k) % 5 for i in range(5)) for k in range(5)), (3,) * 5]),
    "F20": with_letters(5, [rotation(5), (0, 2, 4, 1, 3)], (0, 1)),
}


@pytest.mark.parametrize("name", PIPED)
def test_pipelines_of_languages(name: str) -> None:
    dfa = PIPED[name]
    circuit = compiled(dfa)
    assert any("present block" in block.title for block in circuit.blocks)
    right_on(circuit, dfa, 1, 80)


def random_language(seed: int) -> Dfa:
    """A random minimal DFA over two letters with 4 to 6 states."""
    rng = random.Random(seed)
    n = 4 + seed % 3
    while True:
        table = [[rng.randrange(n) for _ in "ab"] for _ in range(n)]
        dfa = Dfa.from_table("ab", table, 0, [q for q in range(n) if rng.random() < 0.5])
        if dfa.n_states == n:
            return dfa


@pytest.mark.parametrize("seed", [*range(30, 42), 244])
def test_random_languages(seed: int) -> None:
    """At a level of the last one two orbits have a different number of labels."""
    dfa = random_language(seed)
    right_on(compiled(dfa), dfa, 2, 40)


@pytest.mark.parametrize(
    ("dfa", "said"),
    [
        (with_letters(1, [(0,)]), "architecture: mamba, at most 1 block (a cascade)"),
        (with_letters(3, [rotation(3)]), "architecture: olmo_hybrid, 3 layers, for 2 blocks (a cascade)"),
        (PIPED["A5"], "architecture: olmo_hybrid, 11 layers, for 10 blocks (a cascade, 1 of its levels as pipeline)"),
    ],
)
def test_what_a_language_takes(dfa: Dfa, said: str) -> None:
    found = architecture(dfa, classify(dfa).gates)
    assert str(found) == said
    assert found.as_json()["architecture"] == found.name
    assert found.blocks == compiled(dfa).n_blocks


def test_a_language_that_takes_too_much() -> None:
    found = architecture(PIPED["A5"], GateClass.UNSOLVABLE, Budget(items=20))
    assert found.blocks is None
    assert "products of letters in A5" in str(found)


@pytest.mark.parametrize("p", [3, 5])
def test_multiples_are_compiled_to_a_model_that_ships(p: int) -> None:
    model = scancraft.compile(with_letters(p, [rotation(p)]))
    assert model.manifest.target == "olmo_hybrid"
    assert model.check(words=5, max_length=40, short=50).agrees
