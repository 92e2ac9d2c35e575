"""The gates that languages need: against the enumerated transition monoid, and on languages whose groups are known."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from examples import dfa, dfas, example
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from maps import Map, closed, cyc, then

from scancraft import (
    Budget,
    BudgetExceededError,
    Classification,
    Dfa,
    GateClass,
    Semiautomaton,
    classify,
    star_free_witness,
)
from scancraft.automata.decide import odd_periods as _odd_periods
from scancraft.automata.decide import permutations as _permutations
from scancraft.automata.decide.classification import classify_by_groups, gates_of
from scancraft.automata.decide.permutations import components
from scancraft.automata.decide.permutators import permutators
from scancraft.automata.families import d_n, mod_length, order_preserving, parity, repetition, tomita

LETTERS = "abcdefghijklmnopqrstuvwxyz"
NONNEGATIVE, SIGNED, COMPLEX, UNSOLVABLE = GateClass

# -- the plain way, on the enumerated monoid -------------------------------------------------------------------------


def columns_of(semiautomaton: Semiautomaton) -> list[Map]:
    return [tuple(column) for column in zip(*semiautomaton.table, strict=True)]


def maximal_subgroups(monoid: Sequence[Map]) -> Iterator[tuple[Map, frozenset[Map]]]:
    """Each idempotent e with the units of eMe."""
    for e in monoid:
        if then(e, e) == e:
            image = set(e)
            local = {then(then(e, s), e) for s in monoid}
            yield e, frozenset(s for s in local if {s[q] for q in image} == image)


def order_of(p: Map, e: Map) -> int:
    power, order = p, 1
    while power != e:
        power, order = then(power, p), order + 1
    return order


def is_solvable(group: frozenset[Map], e: Map) -> bool:
    """The derived series, with all commutators."""
    while len(group) > 1:
        inverse = {p: next(q for q in group if then(p, q) == e) for p in group}
        commutators = [then(then(inverse[p], inverse[q]), then(p, q)) for p in group for q in group]
        derived = {then(c, e) for c in closed(list(set(commutators)), len(e))[1:]} | {e}
        if len(derived) == len(group):
            return False
        group = frozenset(derived)
    return True


def plain_gates(monoid: Sequence[Map]) -> GateClass:
    """The definition, taken literally: the worst of all maximal subgroups."""
    worst = NONNEGATIVE
    judged: dict[int, set[frozenset[Map]]] = {}
    for e, group in maximal_subgroups(monoid):
        if len(group) == 1 or group in judged.setdefault(len(group), set()):
            continue
        judged[len(group)].add(group)
        orders = {order_of(p, e) for p in group}
        if all(order in (1, 2, 4, 8, 16, 32) for order in orders):
            gates = SIGNED
        else:
            gates = COMPLEX if is_solvable(group, e) else UNSOLVABLE
        worst = max(worst, gates)
    return worst


def permutations_of(states: Sequence[int], monoid: Sequence[Map]) -> set[Map]:
    """All permutations of the states that elements of the monoid induce."""
    return {tuple(s[q] for q in states) for s in monoid if {s[q] for q in states} == set(states)}


def gates_of_permutations(images: set[Map]) -> GateClass:
    """The definition again, for permutations of a set of states given by the images of its states, ascending."""
    states = sorted(next(iter(images)))
    perms = frozenset(tuple(states.index(q) for q in image) for image in images)
    e = tuple(range(len(states)))
    if len(perms) == 1:
        return NONNEGATIVE
    if all(order_of(p, e) in (1, 2, 4, 8) for p in perms):
        return SIGNED
    return COMPLEX if is_solvable(perms, e) else UNSOLVABLE


def reaches(dfa: Dfa, source: int, target: int) -> bool:
    return dfa.path(source, target.__eq__) is not None


def judge(dfa: Dfa, monoid: Sequence[Map], found: Classification) -> None:
    """Everything a classification says, against the monoid, by naive code."""
    assert found.gates is plain_gates(monoid)
    assert found.check(dfa)
    json.dumps(found.as_json())
    if found.gates is NONNEGATIVE:
        assert found.witness is None
        assert found.group is None
        return
    witness, group = found.witness, found.group
    assert witness is not None
    assert group is not None
    walked = [dfa.semiautomaton.run(witness.states[0], witness.word * i) for i in range(witness.period + 1)]
    assert walked == [*witness.states, witness.states[0]]
    assert len(set(witness.states)) == witness.period >= 2
    assert (witness.period & (witness.period - 1) == 0) == (found.gates is SIGNED)
    assert dfa.run(witness.access) == witness.states[0]
    told = [dfa.semiautomaton.run(q, witness.distinguish) in dfa.accepting for q in witness.states[:2]]
    assert told[0] != told[1]
    # The group is all permutations of its states, generated by the words shown.
    everything = permutations_of(group.states, monoid)
    place = {q: i for i, q in enumerate(group.states)}
    perms = [tuple(place[q] for q in g.images) for g in group.generators]
    for g in group.generators:
        assert tuple(dfa.semiautomaton.run(q, g.word) for q in group.states) == g.images
    assert {tuple(place[q] for q in images) for images in everything} == set(closed(perms, group.degree))
    assert group.order == len(everything)
    assert group.names == tuple(dfa.names[q] for q in group.states)
    assert bool(group.simple) == (found.gates is UNSOLVABLE)
    # No larger image set of its component has such a group.
    part = {q for q in range(dfa.n_states) if reaches(dfa, q, group.states[0]) and reaches(dfa, group.states[0], q)}
    for larger in {frozenset(s[q] for q in part) & part for s in monoid}:
        if len(larger) > group.degree:
            assert gates_of_permutations(permutations_of(sorted(larger), monoid)) < found.gates
    # It is what a maximal subgroup of the monoid does to these states.
    assert any(
        set(group.states) <= set(e) and {tuple(s[q] for q in group.states) for s in units} == everything
        for e, units in maximal_subgroups(monoid)
    )


# -- all small languages, and random ones ----------------------------------------------------------------------------


def test_all_languages_of_up_to_three_states_over_two_letters() -> None:
    counts = dict.fromkeys(GateClass, 0)
    gates: dict[tuple[tuple[int, ...], ...], GateClass] = {}
    for n in (1, 2, 3):
        for flat in itertools.product(range(n), repeat=2 * n):
            table = list(zip(flat[::2], flat[1::2], strict=True))
            for bits in itertools.product((False, True), repeat=n):
                dfa = Dfa.from_table("ab", table, 0, [q for q in range(n) if bits[q]])
                if dfa.semiautomaton.table != tuple(table):
                    continue  # not minimal, or another numbering of one that comes up as well
                found = classify(dfa)
                counts[found.gates] += 1
                if dfa.semiautomaton.table not in gates:
                    judge(dfa, closed(columns_of(dfa.semiautomaton), n), found)
                    gates[dfa.semiautomaton.table] = found.gates
                assert found.gates is gates[dfa.semiautomaton.table]
    assert sum(counts.values()) == 2 + 24 + 1028  # how many regular languages have 1, 2, 3 states over two letters
    assert counts[UNSOLVABLE] == 0
    assert min(counts[NONNEGATIVE], counts[SIGNED], counts[COMPLEX]) > 50


@st.composite
def languages(draw: st.DrawFn, max_states: int = 5, max_letters: int = 3) -> Dfa:
    """Minimal DFAs whose letters are uniform maps, permutations, and permutations with one entry changed."""
    n, k = draw(st.integers(1, max_states)), draw(st.integers(1, max_letters))
    states = st.integers(0, n - 1)
    columns = []
    for _ in range(k):
        kind = draw(st.sampled_from(("uniform", "permutation", "almost")))
        if kind == "uniform":
            columns.append(draw(st.lists(states, min_size=n, max_size=n)))
        else:
            columns.append(list(draw(st.permutations(range(n)))))
            if kind == "almost":
                columns[-1][draw(states)] = draw(states)
    accepting = draw(st.frozensets(states))
    return Dfa.from_table(LETTERS[:k], list(zip(*columns, strict=True)), 0, accepting)


@settings(max_examples=80, deadline=None)
@given(languages())
def test_random_languages(dfa: Dfa) -> None:
    judge(dfa, closed(columns_of(dfa.semiautomaton), dfa.n_states), classify(dfa))


@settings(max_examples=40, deadline=None)
@given(languages(max_states=3, max_letters=2), languages(max_states=3, max_letters=2))
def test_languages_with_several_components(one: Dfa, other: Dfa) -> None:
    """The first two letters start one machine or the other; only the first machine is ever left for the other."""
    width = max(len(one.alphabet), len(other.alphabet))
    start_one, start_other = 1, 1 + one.n_states
    table = [[start_one, start_other, *([0] * width)]]
    for each, start, restart in ((one, start_one, start_one), (other, start_other, start_other)):
        for row in each.semiautomaton.table:
            table.append([restart, start_other, *(start + row[a % len(row)] for a in range(width))])
    accepting = [1 + q for q in one.accepting] + [1 + one.n_states + q for q in other.accepting]
    union = Dfa.from_table(LETTERS[: 2 + width], table, 0, accepting)
    monoid = closed(columns_of(union.semiautomaton), union.n_states, 3000)
    assume(monoid)
    judge(union, monoid, classify(union))


@settings(max_examples=40, deadline=None)
@given(languages(max_states=5))
def test_all_groups_of_image_sets(dfa: Dfa) -> None:
    """Every group that is found is all permutations of its states; sets come by size, one of each class."""
    monoid = closed(columns_of(dfa.semiautomaton), dfa.n_states)
    for part in components(dfa.semiautomaton):
        found = list(permutators(part, Budget().meter("image sets"), lambda: 2))
        images = {frozenset(s[q] for q in part.states) & frozenset(part.states) for s in monoid}
        nontrivial = [r for r in images if len(r) > 1 and len(permutations_of(sorted(r), monoid)) > 1]
        classes = {frozenset(r2 for r2 in images if mutually_reachable(r, r2, monoid)) for r in nontrivial}
        assert len(found) == len(classes)
        assert {c for c in classes for p in found if frozenset(p.states) in c} == classes
        sizes = [len(p.states) for p in found]
        assert sizes == sorted(sizes, reverse=True)
        for p in found:
            assert p.group.order == len(permutations_of(p.states, monoid))


def mutually_reachable(r: frozenset[int], r2: frozenset[int], monoid: Sequence[Map]) -> bool:
    there = any({s[q] for q in r} == r2 for s in monoid)
    return there and any({s[q] for q in r2} == r for s in monoid)


@pytest.mark.parametrize("n", [8, 11])
def test_groups_behind_long_words(n: int) -> None:
    """Uniform maps: the sets that are permuted come up deep in the graph of image sets, and so do their words."""
    chance = random.Random(n)
    longest = 0
    for _ in range(25):
        dfa = on_points(*(tuple(chance.choices(range(n), k=n)) for _ in range(chance.randint(2, 3))))
        found = classify(dfa)
        assert found.check(dfa)
        if found.group is not None:
            for part in components(dfa.semiautomaton):
                groups = permutators(part, Budget().meter("image sets"), lambda: 2)
                degrees = [len(p.states) for p in groups if gates_of(p.group) is found.gates]
                if degrees:
                    assert found.group.degree == max(degrees)
                    break
        if found.group is not None and found.group.order <= 720:
            columns = columns_of(dfa.semiautomaton)
            start = found.group.states
            tuples, seen = [start], {start}  # what words make of the states in their order, all different
            for states in tuples:
                for column in columns:
                    image = tuple(column[q] for q in states)
                    if len(set(image)) == len(start) and image not in seen:
                        seen.add(image)
                        tuples.append(image)
            assert sum(set(image) == set(start) for image in seen) == found.group.order
            longest = max(longest, *(len(g.word) for g in found.group.generators))
    assert longest > n / 2


# -- languages by name -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", dfas(states=9))
def test_the_examples(name: str) -> None:
    language = dfa(name)
    monoid = closed(columns_of(language.semiautomaton), language.n_states, 400)
    if monoid:
        judge(language, monoid, classify(language))


@pytest.mark.parametrize("period", [2, 3, 4, 6, 9, 12, 64, 105, 1000])
def test_cycles(period: int) -> None:
    found = classify(mod_length(period))
    assert found.gates is (SIGNED if period & (period - 1) == 0 else COMPLEX)
    assert found.witness is not None
    assert found.group is not None
    assert (found.witness.word, found.witness.period) == (("a",), period)
    assert (found.group.name, found.group.order) == (f"Z{period}", period)


def on_points(*letters: Map) -> Dfa:
    """Words that take point 0 to point 0."""
    return Dfa.from_table(LETTERS[: len(letters)], list(zip(*letters, strict=True)), 0, [0])


def word_problem(*letters: Map) -> Dfa:
    """Words whose product is the identity."""
    elements = closed(letters, len(letters[0]))
    table = [[elements.index(then(p, g)) for g in letters] for p in elements]
    return Dfa.from_table(LETTERS[: len(letters)], table, 0, [0])


KNOWN = {
    # an example: its group, its factors
    "D4": ("2-group of order 8", "Z2 Z2 Z2"),
    "Q8": ("2-group of order 8", "Z2 Z2 Z2"),
    "S3": ("S3", "Z2 Z3"),
    "A4": ("A4", "Z2 Z2 Z3"),
    "S4": ("S4", "Z2 Z2 Z2 Z3"),
    "A5": ("A5", "A5"),
    "S5": ("S5", "A5 Z2"),
    "PSL(2,7)": ("PSL(2,7)", "PSL(2,7)"),
    "Tomita-6": ("Z3", "Z3"),
    "(aaaa)*": ("Z4", "Z2 Z2"),
    "Tomita-5": ("2-group of order 4", "Z2 Z2"),
}


@pytest.mark.parametrize("name", KNOWN)
def test_word_problems(name: str) -> None:
    """The examples on points, and the words whose product is the identity: the same group, on itself."""
    isomorphic, factors = KNOWN[name]
    letters = columns_of(example(name).language.semiautomaton)  # type: ignore[union-attr]
    for build in (on_points, word_problem):
        found = classify(build(*letters))
        assert found.group is not None
        assert (found.gates, found.group.factors) == (example(name).gates, tuple(factors.split()))
        assert build is word_problem or found.group.name == isomorphic
        assert found.witness is not None
        assert (found.witness.period & (found.witness.period - 1) == 0) == (found.gates is SIGNED)


def test_a_group_behind_a_collapse() -> None:
    """A5 on five points of eight, the others collapsing to them: the set of states is found."""
    letters = [(*letter, 0, 1, 5) for letter in columns_of(dfa("A5").semiautomaton)]
    letters.append((0, 1, 2, 3, 4, 7, 5, 6))  # and a cycle of the others, outside of the component
    language = Dfa.from_table("abc", list(zip(*letters, strict=True)), 7, [0, 6])
    found = classify(language)
    assert found.group is not None
    assert (found.gates, found.group.name, found.group.degree) == (UNSOLVABLE, "A5", 5)
    assert found.check(language)


def test_full_transformation_monoids() -> None:
    """2^n image sets; the group is found on the first one."""
    for n in (5, 12, 30):
        letters = [cyc(n, range(n)), cyc(n, (0, 1)), (1, 1, *range(2, n))]
        found = classify(on_points(*letters), Budget(1000))
        assert found.group is not None
        assert (found.gates, found.group.name) == (UNSOLVABLE, f"S{n}")
        assert found.group.simple == (f"A{n}",)


# -- witnesses -------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(languages())
def test_witnesses_without_short_words(dfa: Dfa) -> None:
    """The search through the group gives witnesses too, and shortening makes none longer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_odd_periods, "SHORT_WORDS", 0)
        found = classify(dfa)
        patch.setattr(_permutations, "SHORTENING", 0)
        unshortened = classify(dfa)
    short = classify(dfa)
    for one in (found, unshortened):
        assert (one.gates, one.group) == (short.gates, short.group)
        assert one.check(dfa)
    if short.gates > SIGNED:
        lengths = [len(one.witness.word) for one in (short, found, unshortened) if one.witness is not None]
        assert lengths == sorted(lengths)
        for one in (found, unshortened):
            assert one.witness is not None
            assert one.witness.period & (one.witness.period - 1)


def test_check_rejects_changed_facts() -> None:
    language = dfa("S5")
    found = classify(language)
    assert found.check(language)
    witness, group = found.witness, found.group
    assert witness is not None
    assert group is not None
    first, *rest = group.generators
    for changed in (
        replace(group, order=60),
        replace(group, generators=(first,)),
        replace(group, generators=(replace(first, word=(*first.word, "a")), *rest)),
        replace(group, generators=(replace(first, word=("?",)), *rest)),
        replace(group, generators=(replace(first, images=first.images[::-1]), *rest)),
        replace(group, states=(*group.states[:-1], 7)),
        replace(group, names=("?", *group.names[1:])),
    ):
        assert not changed.check(language)
        assert not replace(found, group=changed).check(language)
    assert not replace(found, witness=replace(witness, word=(*witness.word, "b"))).check(language)
    assert not replace(found, witness=None).check(language)
    assert not replace(found, gates=NONNEGATIVE).check(language)
    assert not found.check(parity())
    star_free = classify(d_n(2))
    assert star_free.check(d_n(2))
    assert not replace(star_free, gates=SIGNED).check(d_n(2))


# -- what is shown ---------------------------------------------------------------------------------------------------


def test_json_and_text() -> None:
    found = classify(on_points(cyc(3, (0, 1)), cyc(3, (1, 2))))
    assert json.loads(json.dumps(found.as_json())) == {
        "gates": "complex",
        "reason": found.reason,
        "witness": {"word": ["a", "b"], "states": ["0", "2", "1"], "period": 3, "access": [], "distinguish": []},
        "group": {
            "name": "S3",
            "order": 6,
            "degree": 3,
            "states": ["0", "1", "2"],
            "generators": [{"word": ["a"], "images": ["1", "0", "2"]}, {"word": ["b"], "images": ["0", "2", "1"]}],
            "composition_factors": {"Z2": 1, "Z3": 1},
        },
    }
    text = str(found)
    for part in (
        "gates: complex",
        'the word "ab" permutes the states 0 -> 2 -> 1 -> 0 with period 3',
        "arXiv 2411.12537",
        "S3 (order 6, on 3 states); composition factors Z2, Z3",
        '"b" takes them to 0, 2, 1',
    ):
        assert part in text
    star_free = classify(repetition("ab"))
    assert star_free.as_json() == {"gates": "nonnegative", "reason": star_free.reason, "witness": None, "group": None}
    assert "theorem 4" in str(star_free)


def test_reasons_name_what_decides() -> None:
    assert NONNEGATIVE < SIGNED <= SIGNED < COMPLEX < UNSOLVABLE
    with pytest.raises(TypeError):
        assert SIGNED < "complex"
    assert "2-groups" in classify(parity()).reason
    assert "{-1, 0, 1}" in classify(parity()).reason
    unsolvable = classify(dfa("S5")).reason
    assert "S5 (order 120, on 5 states), which is not solvable, having the composition factor A5" in unsolvable
    assert "TC0 = NC1" in unsolvable
    for found in map(classify, (parity(), tomita(6), dfa("A5"), d_n(2))):
        assert "\n" not in found.reason


def test_text_stays_short_for_a_large_group() -> None:
    n = 150
    chance = random.Random(0)
    found = classify(on_points(*(tuple(chance.sample(range(n), n)) for _ in range(2))))
    assert found.gates is UNSOLVABLE
    assert all(len(line) < 1000 for line in str(found).splitlines())
    assert "order about 10^262" in str(found)
    spaced = Dfa.from_table(("push", "pop"), [[1, 2], [2, 0], [0, 1]], 0, [0])
    assert '"push" takes them to' in str(classify(spaced))


# -- limits ----------------------------------------------------------------------------------------------------------


def wide_language() -> Dfa:
    """O_14 beside a letter that only counts modulo 2: not star-free, with 2^14 sets of points and more as images."""
    maps = columns_of(order_preserving(14))
    n = len(maps[0])
    table = [[q + n * (1 - b), *(m[q] + n * b for m in maps)] for b in (0, 1) for q in range(n)]
    return Dfa.from_table(LETTERS + "A", table, 0, [0])


def test_budgets() -> None:
    dfa = wide_language()
    witness = star_free_witness(dfa)
    assert witness is not None
    with pytest.raises(BudgetExceededError) as caught:
        classify(dfa, Budget(1000))
    assert (caught.value.what, caught.value.reached, caught.value.exit_code) == ("image sets", 1001, 3)
    with pytest.raises(BudgetExceededError, match="seconds"):
        classify_by_groups(dfa, witness, Budget(10**9, seconds=-1.0).meter("image sets"))
    found = classify_by_groups(dfa, witness, Budget().meter("image sets"))
    assert found.gates is SIGNED
    assert found.check(dfa)
