"""Deciding star-freeness: against the monoid, with every witness replayed by naive code."""

from __future__ import annotations

import itertools
import json
import pickle
import random
from collections.abc import Sequence

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from monoid import is_aperiodic_by_monoid, transition_monoid

from scancraft import (
    Budget,
    BudgetExceededError,
    Dfa,
    NotStarFreeError,
    ScancraftError,
    Semiautomaton,
    star_free_witness,
)
from scancraft.automata import images
from scancraft.automata.decide.aperiodic import Permutation, Witness, find_permutation, require_star_free
from scancraft.automata.decide.permutations import Loop, Part, components, shorter
from scancraft.automata.families import d_n, mod_length, order_preserving
from scancraft.automata.images import explore, image_sets, letter_columns, members, strong_components

LETTERS = "abcdefghijklmnopqrstuvwxyz"

# -- material ------------------------------------------------------------------------------------------------------


def from_columns(*columns: Sequence[int]) -> Semiautomaton:
    return Semiautomaton(tuple(LETTERS[: len(columns)]), tuple(zip(*columns, strict=True)))


def times_cycle(semiautomaton: Semiautomaton, p: int, letter: str = "z") -> Semiautomaton:
    """The product with a cycle of length p that a new letter turns; p must be odd for no even period to appear."""
    n = semiautomaton.n_states
    table = [
        [*(t * p + c for t in semiautomaton.table[q]), q * p + (c + 1) % p]  # state (q, c) is number q p + c
        for q in range(n)
        for c in range(p)
    ]
    return Semiautomaton((*semiautomaton.alphabet, letter), tuple(map(tuple, table)))


@st.composite
def semiautomata(draw: st.DrawFn, max_states: int = 6, max_letters: int = 3) -> Semiautomaton:
    """Uniform tables, and order-preserving maps with a few entries changed, which are aperiodic much more often."""
    n, k = draw(st.integers(1, max_states)), draw(st.integers(1, max_letters))
    states = st.integers(0, n - 1)
    columns = draw(st.lists(st.lists(states, min_size=n, max_size=n), min_size=k, max_size=k))
    if draw(st.booleans()):
        columns = [sorted(column) for column in columns]
        for _ in range(draw(st.integers(0, 2))):
            columns[draw(st.integers(0, k - 1))][draw(states)] = draw(states)
    return from_columns(*columns)


def walk(semiautomaton: Semiautomaton, state: int, word: Sequence[str]) -> int:
    for symbol in word:
        state = semiautomaton.table[state][semiautomaton.alphabet.index(symbol)]
    return state


def is_true(permutation: Permutation, semiautomaton: Semiautomaton) -> bool:
    states = permutation.states
    turned = [walk(semiautomaton, q, permutation.word) for q in states]
    return len(set(states)) == len(states) == permutation.period >= 2 and turned == [*states[1:], states[0]]


def agrees(semiautomaton: Semiautomaton, permutation: Permutation | None, aperiodic: bool) -> bool:
    if permutation is None:
        return aperiodic
    return not aperiodic and is_true(permutation, semiautomaton) and permutation.check(semiautomaton)


def every_step_agrees(semiautomaton: Semiautomaton, aperiodic: bool) -> bool:
    """Whether the steps of the search, each alone, decide what they claim to decide."""
    parts = components(semiautomaton)
    meter = Budget(10**6).meter("sets")
    pairs = [part.permuted_subset(2, meter) for part in parts]
    odd = [part.permuted_odd_subset(meter) for part in parts]
    by_images = [part.permuted_image(meter, 2) for part in parts]
    by_large_images = [part.permuted_image(meter, 3) for part in parts]
    for loop in filter(None, (*pairs, *(loop for _, loop in odd), *by_images, *by_large_images)):
        word = [semiautomaton.alphabet[a] for a in loop.letters]
        orbit = [loop.state]
        while (q := walk(semiautomaton, orbit[-1], word)) not in orbit:
            orbit.append(q)
        if q != loop.state or len(orbit) < 2:
            return False
    each = [any(pairs) or any(loop for _, loop in odd), any(by_images), any(pairs) or any(by_large_images)]
    return all(complete for complete, _ in odd) and each == [not aperiodic] * 3


# -- the decision --------------------------------------------------------------------------------------------------


def test_all_two_letter_semiautomata_with_three_states() -> None:
    maps = list(itertools.product(range(3), repeat=3))
    n_aperiodic = 0
    for columns in itertools.product(maps, repeat=2):
        semiautomaton = from_columns(*columns)
        aperiodic = is_aperiodic_by_monoid(semiautomaton)
        n_aperiodic += aperiodic
        assert agrees(semiautomaton, find_permutation(semiautomaton), aperiodic)
        assert agrees(semiautomaton, find_permutation(semiautomaton, short_words=0), aperiodic)
        assert every_step_agrees(semiautomaton, aperiodic)
    assert 0 < n_aperiodic < 729


def test_all_one_letter_semiautomata_with_five_states() -> None:
    for column in itertools.product(range(5), repeat=5):
        semiautomaton = from_columns(column)
        aperiodic = is_aperiodic_by_monoid(semiautomaton)
        assert agrees(semiautomaton, find_permutation(semiautomaton, short_words=0), aperiodic)


@settings(max_examples=100, deadline=None)
@given(semiautomata())
def test_every_step_decides_what_it_claims(semiautomaton: Semiautomaton) -> None:
    assert every_step_agrees(semiautomaton, is_aperiodic_by_monoid(semiautomaton))


@settings(max_examples=100, deadline=None)
@given(semiautomata(), st.sampled_from([0, 1, 5, 1000]))
def test_short_words_change_no_verdict(semiautomaton: Semiautomaton, short_words: int) -> None:
    permutation = find_permutation(semiautomaton, short_words=short_words)
    assert agrees(semiautomaton, permutation, is_aperiodic_by_monoid(semiautomaton))


@settings(max_examples=50, deadline=None)
@given(semiautomata(max_states=5))
def test_a_witness_found_among_short_words_is_shortest(semiautomaton: Semiautomaton) -> None:
    permutation = find_permutation(semiautomaton, short_words=10**6)
    if permutation is None:
        return
    for element in transition_monoid(semiautomaton):
        if len(element.word) < len(permutation.word):
            power = element.action
            for _ in range(5):
                power = tuple(element.action[q] for q in power)
            assert all(element.action[q] == q for q in power)


@pytest.mark.parametrize("short_words", [0, 1000])
@pytest.mark.parametrize(
    ("semiautomaton", "periods"),
    [
        *((mod_length(p).semiautomaton, {p}) for p in (2, 3, 4, 5, 6, 7, 9, 15, 64, 101)),
        (from_columns([1, 0, 2], [1, 2, 0]), {2, 3}),  # the symmetric group S_3
        (from_columns([1, 2, 0, 3, 4], [0, 1, 3, 4, 2]), {2, 3, 5}),  # the alternating group A_5
        (times_cycle(order_preserving(4), 3), {3}),
        (times_cycle(order_preserving(3), 7), {7}),
        (times_cycle(times_cycle(order_preserving(2), 3), 5, "y"), {3, 5, 15}),
        # a 5-cycle that only the word ab turns, a dead state, and a state before it: a and b alone are aperiodic
        (from_columns([5, 6, 7, 8, 9, *[10] * 6, 0], [*[10] * 5, 1, 2, 3, 4, 0, 10, 11]), {5}),
        (times_cycle(order_preserving(6), 13), {13}),  # 78 states
    ],
)
def test_groups(semiautomaton: Semiautomaton, periods: set[int], short_words: int) -> None:
    permutation = find_permutation(semiautomaton, short_words=short_words)
    assert permutation is not None
    assert is_true(permutation, semiautomaton)
    assert permutation.period in periods


def test_large_yardsticks() -> None:
    for n in (2, 3, 6, 12):
        assert find_permutation(order_preserving(n)) is None
    assert find_permutation(order_preserving(9), short_words=0) is None
    assert star_free_witness(d_n(64)) is None
    # One more letter that turns two neighbouring depths over is found, wherever it sits.
    dfa = d_n(64)
    for q in (0, 20, 63):
        swap = {q: q + 1, q + 1: q}
        table = [(*row, swap.get(p, 65)) for p, row in enumerate(dfa.semiautomaton.table)]
        changed = Dfa.from_table(("a", "b", "c"), table, 0, [0])
        witness = star_free_witness(changed)
        assert witness is not None
        assert witness.check(changed)


def test_long_loops_are_shortened() -> None:
    turn = [[(q + 1) % 15 for q in range(15)]]
    assert shorter(turn, Loop((0,) * 16, 4), [(1 << 15) - 1]).letters == (0, 0, 0)  # turns a cycle of five
    assert shorter(turn, Loop((0, 0), 4), [(1 << 15) - 1]).letters == (0, 0)  # shorter than what period 3 or 5 needs
    # Of the pairs of a 6-point chain with a swap at its end, the pair at the end is the one with a short word.
    up, down = [1, 2, 3, 4, 5, 5], [0, 0, 1, 2, 3, 4]
    columns = [up, down, [0, 1, 2, 3, 5, 4]]
    far = (*[0] * 4, 2, *[1] * 4)  # not a loop of every pair, but of (0, 1)
    assert shorter(columns, Loop(far, 0), [0b000011]).letters == far
    assert shorter(columns, Loop(far, 0), [0b000011, 0b110000]).letters == (2,)


def test_trivial_semiautomata() -> None:
    assert find_permutation(Semiautomaton((), ((),))) is None
    assert find_permutation(Semiautomaton((), ((), ()))) is None
    assert find_permutation(Semiautomaton(("a",), ((0,),)), short_words=0) is None


def test_check_rejects_what_is_not_so() -> None:
    semiautomaton = mod_length(3).semiautomaton
    assert Permutation(("a",), (0, 1, 2)).check(semiautomaton)
    assert Permutation(("a", "a"), (0, 2, 1)).check(semiautomaton)
    for word, states in [
        (("a",), (0, 2, 1)),
        (("a",), (0, 1)),
        (("a", "a", "a"), (0,)),
        (("a",), ()),
        (("a",), (0, 1, 2, 0, 1, 2)),
        (("b",), (0, 1, 2)),
        (("a",), (0, 1, 7)),
    ]:
        assert not Permutation(word, states).check(semiautomaton)


# -- budgets -------------------------------------------------------------------------------------------------------


@settings(max_examples=75, deadline=None)
@given(semiautomata(), st.integers(0, 20))
def test_a_small_budget_never_gives_a_wrong_answer(semiautomaton: Semiautomaton, items: int) -> None:
    try:
        permutation, gave_up = find_permutation(semiautomaton, Budget(items), short_words=0), None
    except BudgetExceededError as error:
        permutation, gave_up = None, error
    if gave_up is None:
        assert agrees(semiautomaton, permutation, is_aperiodic_by_monoid(semiautomaton))
    else:
        assert (gave_up.what, gave_up.reached, gave_up.limit) == ("image sets", items + 1, items)


def test_subsets_of_prime_size_decide_where_image_sets_are_too_many() -> None:
    with pytest.raises(BudgetExceededError, match="11 image sets") as caught:
        find_permutation(order_preserving(10), Budget(10))
    assert (caught.value.exit_code, caught.value.what, caught.value.limit) == (3, "image sets", 10)
    # O_8 has 247 image sets of three or more states, but only 56 sets of 3, 56 of 5 and 8 of 7.
    (part,) = components(order_preserving(8))
    assert part.permuted_odd_subset(Budget(60).meter("image sets")) == (True, None)
    assert part.permuted_odd_subset(Budget(50).meter("image sets")) == (False, None)


@settings(max_examples=200, deadline=None)
@given(semiautomata())
def test_where_no_class_of_pairs_runs_in_a_circle_nothing_is_permuted(semiautomaton: Semiautomaton) -> None:
    if all(part.turns_nothing() for part in components(semiautomaton)):
        assert is_aperiodic_by_monoid(semiautomaton)


def test_cascades_and_orders_have_no_circle_of_pairs() -> None:
    """Two flip-flops, x and then y: a and b set and reset x; c and d set and reset y where x is set."""
    states = list(itertools.product((0, 1), repeat=2))
    steps = [lambda x, y: (1, y), lambda x, y: (0, y), lambda x, y: (x, y or x), lambda x, y: (x, y and not x)]
    cascade = from_columns(*([states.index((int(s(*q)[0]), int(s(*q)[1]))) for q in states] for s in steps))
    for semiautomaton in (cascade, order_preserving(6)):
        assert [part.turns_nothing() for part in components(semiautomaton)] == [True]


def test_pairs_in_a_circle() -> None:
    (part,) = components(times_cycle(order_preserving(3), 3))
    assert not part.turns_nothing()


def test_subsets_of_three_states_show_a_period_of_three() -> None:
    semiautomaton = times_cycle(order_preserving(13), 3)  # 8,191 image sets; 9,139 sets of three states
    meter = Budget(100).meter("image sets")
    with pytest.raises(BudgetExceededError):
        explore(letter_columns(semiautomaton), [(1 << 39) - 1], meter)
    (part,) = components(semiautomaton)
    complete, loop = part.permuted_odd_subset(Budget(9_200).meter("image sets"))
    assert complete
    assert loop is not None
    assert loop.letters == (semiautomaton.index_of("z"),)
    assert part.permuted_odd_subset(Budget(9_000).meter("image sets")) == (False, None)


def test_one_undecided_component_does_not_hide_a_witness_in_another() -> None:
    # O_6 beside nine states that its first letter turns: the budget is too small for O_6, not for the cycle.
    o6 = order_preserving(6)
    turn = [(6 + (q + 1) % 9, *[6 + q] * (o6.n_letters - 1)) for q in range(9)]
    both = Semiautomaton(o6.alphabet, (*o6.table, *turn))
    with pytest.raises(BudgetExceededError):
        find_permutation(o6, Budget(5), short_words=0)
    permutation = find_permutation(both, Budget(5), short_words=0)
    assert permutation is not None
    assert is_true(permutation, both)


def test_time_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Part, "turns_nothing", lambda part: False)  # it would settle this at once
    with pytest.raises(BudgetExceededError, match="seconds"):
        find_permutation(order_preserving(16), Budget(10**9, seconds=0.02))
    with pytest.raises(BudgetExceededError, match="seconds"):
        image_sets(order_preserving(16), Budget(10**9, seconds=0.02))


# -- languages -----------------------------------------------------------------------------------------------------


@settings(max_examples=75, deadline=None)
@given(semiautomata(), st.data())
def test_witnesses_of_languages(semiautomaton: Semiautomaton, data: st.DataObject) -> None:
    n = semiautomaton.n_states
    accepting = data.draw(st.frozensets(st.integers(0, n - 1)))
    dfa = Dfa(semiautomaton, data.draw(st.integers(0, n - 1)), accepting, tuple(f"q{q}" for q in range(n)))
    witness = star_free_witness(dfa)
    assert (witness is None) == is_aperiodic_by_monoid(dfa.semiautomaton)
    if witness is None:
        require_star_free(dfa)
        return
    assert witness.check(dfa)
    assert is_true(Permutation(witness.word, witness.states), dfa.semiautomaton)
    assert witness.period == len(witness.states)
    assert witness.names == tuple(dfa.names[q] for q in witness.states)
    assert dfa.run(witness.access) == witness.states[0]
    reached = {0}  # no shorter word reaches any of the states
    for _ in witness.access:
        assert not reached & set(witness.states)
        reached |= {t for q in reached for t in dfa.semiautomaton.table[q]}
    p, q = (walk(dfa.semiautomaton, s, witness.distinguish) in dfa.accepting for s in witness.states[:2])
    assert p != q
    with pytest.raises(NotStarFreeError) as caught:
        require_star_free(dfa)
    assert caught.value.witness == witness


@settings(max_examples=50, deadline=None)
@given(semiautomata(max_states=5), st.data())
def test_witness_check_rejects_changed_witnesses(semiautomaton: Semiautomaton, data: st.DataObject) -> None:
    dfa = Dfa(semiautomaton, 0, frozenset({semiautomaton.n_states - 1}))
    witness = star_free_witness(dfa)
    if witness is None:
        return
    w = witness
    assert not Witness(w.word, w.states[::-1][:1], w.names, w.access, w.distinguish).check(dfa)
    assert not Witness(w.word, (*w.states[1:], w.states[0]), w.names, w.access, w.distinguish).check(dfa)
    assert not Witness(w.word, w.states, ("?",) * w.period, w.access, w.distinguish).check(dfa)
    assert not Witness((*w.word, "?"), w.states, w.names, w.access, w.distinguish).check(dfa)
    assert not Witness(w.word, w.states, w.names, (*w.access, *w.word), w.distinguish).check(dfa)
    assert not Witness(w.word, w.states, w.names, ("?",), w.distinguish).check(dfa)
    other = data.draw(st.lists(st.sampled_from(dfa.alphabet), max_size=4).map(tuple))
    told = {walk(dfa.semiautomaton, q, other) in dfa.accepting for q in w.states[:2]}
    assert Witness(w.word, w.states, w.names, w.access, other).check(dfa) == (len(told) == 2)


def test_error_message_and_json() -> None:
    dfa = Dfa.from_table(("in", "out"), [[1, 1], [2, 1], [1, 2]], 0, [2], ("start", "odd", "even"))
    with pytest.raises(ScancraftError) as caught:
        require_star_free(dfa)
    error = caught.value
    assert isinstance(error, NotStarFreeError)
    assert error.exit_code == 2
    message = str(error)
    assert "\n" not in message
    for part in (
        'the word "in" permutes',
        "odd -> even -> odd",
        "period 2",
        "Theorem 4 of Sarrof, Veitsman and Hahn (NeurIPS 2024)",
        "impossible for Mamba",
        "NONNEGATIVE SSM at finite precision predictively models a regular language iff it is star-free",
    ):
        assert part in message
    assert json.loads(json.dumps(error.as_json())) == {
        "error": "not star-free",
        "message": message,
        "word": ["in"],
        "states": ["odd", "even"],
        "period": 2,
        "access": ["in"],
    }
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.witness) == (message, error.witness)


def test_message_stays_one_line_for_a_long_cycle() -> None:
    dfa = mod_length(200)
    with pytest.raises(NotStarFreeError) as caught:
        require_star_free(dfa)
    assert len(str(caught.value)) < 1000
    assert len(caught.value.as_json()["states"]) == caught.value.witness.period  # type: ignore[arg-type]


# -- the monoid ----------------------------------------------------------------------------------------------------


@settings(max_examples=37, deadline=None)
@given(semiautomata(max_states=4, max_letters=2))
def test_aperiodic_by_monoid_is_the_definition(semiautomaton: Semiautomaton) -> None:
    definition = True
    for element in transition_monoid(semiautomaton):
        powers = [element.action]  # s, s^2, ... until one comes back
        while (product := tuple(element.action[q] for q in powers[-1])) not in powers:
            powers.append(product)
        definition &= product == powers[-1]  # s^n = s^(n+1)
    assert is_aperiodic_by_monoid(semiautomaton) == definition


def test_monoid_sizes_of_order_preserving_maps() -> None:
    """(2n - 1 choose n)."""
    assert [len(transition_monoid(order_preserving(n))) for n in (2, 3, 4, 5, 6)] == [3, 10, 35, 126, 462]


# -- image sets ----------------------------------------------------------------------------------------------------


def naive_closure(
    columns: Sequence[Sequence[int]], starts: Sequence[frozenset[int]], smallest: int
) -> set[frozenset[int]]:
    seen, stack = set(starts), list(starts)
    while stack:
        states = stack.pop()
        for column in columns:
            image = frozenset(column[q] for q in states if column[q] >= 0)
            if len(image) >= smallest and image not in seen:
                seen.add(image)
                stack.append(image)
    return seen


@settings(max_examples=50, deadline=None)
@given(semiautomata(max_states=20))
def test_image_sets(semiautomaton: Semiautomaton) -> None:
    n = semiautomaton.n_states
    graph = image_sets(semiautomaton)
    columns = letter_columns(semiautomaton)
    starts = [frozenset(range(n)), *(frozenset({q}) for q in range(n))]
    assert {frozenset(members(mask)) for mask in graph.sets} == naive_closure(columns, starts, 1)
    assert graph.sets[0] == (1 << n) - 1
    assert graph.index == {mask: i for i, mask in enumerate(graph.sets)}
    assert len(graph.index) == len(graph) == len(graph.successor)
    depth = {0: 0}  # breadth first from Q, then the singletons not yet met
    for i, row in enumerate(graph.successor):
        assert len(row) == semiautomaton.n_letters
        for a, j in enumerate(row):
            assert members(graph.sets[j]) == tuple(sorted({columns[a][q] for q in members(graph.sets[i])}))
            if i in depth:
                depth.setdefault(j, depth[i] + 1)
    reached = [depth[i] for i in range(len(depth))]
    assert reached == sorted(reached)
    assert all(mask.bit_count() == 1 for mask in graph.sets[len(depth) :])


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 20), st.data())
def test_explore_with_partial_letters(n: int, data: st.DataObject) -> None:
    column = st.lists(st.integers(-1, n - 1), min_size=n, max_size=n)
    columns = data.draw(st.lists(column, min_size=0, max_size=3))
    smallest = data.draw(st.integers(1, min(n, 4)))
    states = data.draw(st.lists(st.frozensets(st.integers(0, n - 1), min_size=smallest), min_size=1, max_size=3))
    graph = explore(columns, [sum(1 << q for q in s) for s in states], Budget().meter("sets"), smallest)
    assert {frozenset(members(mask)) for mask in graph.sets} == naive_closure(columns, states, smallest)
    for i, row in enumerate(graph.successor):
        for a, j in enumerate(row):
            image = {columns[a][q] for q in members(graph.sets[i])} - {-1}
            assert (set(members(graph.sets[j])) == image) if j >= 0 else (len(image) < smallest)


def test_images_of_many_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """As arrays: the closure of few states, and of many, is what it is by definition."""
    draw, n = random.Random(1), images.MANY_STATES + 5
    columns = [[draw.randrange(-1, n) for _ in range(n)] for _ in "abc"]
    large = [frozenset(draw.sample(range(n), size)) for size in (1, 9, n - 1, n)]
    action = images.SetAction(columns)
    for states in large:
        mask = sum(1 << q for q in states)
        assert members(mask) == tuple(sorted(states))
        found = [set(members(image)) for image in action.images(mask)]
        assert found == [{column[q] for q in states} - {-1} for column in columns]
    before = image_sets(order_preserving(9))
    monkeypatch.setattr(images, "MANY_STATES", 0)
    assert image_sets(order_preserving(9)) == before


def test_image_set_counts_of_the_theory() -> None:
    assert [len(image_sets(order_preserving(n))) for n in range(2, 12)] == [2**n - 1 for n in range(2, 12)]
    with pytest.raises(BudgetExceededError) as caught:
        image_sets(order_preserving(9), Budget(500))
    assert (caught.value.what, caught.value.reached) == ("image sets", 501)
    assert len(image_sets(order_preserving(9), Budget(511))) == 511


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 15).flatmap(lambda n: st.lists(st.lists(st.integers(-1, n - 1), max_size=4), min_size=n, max_size=n))
)
def test_strong_components(successor: list[list[int]]) -> None:
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(successor)))
    graph.add_edges_from((i, j) for i, row in enumerate(successor) for j in row if j >= 0)
    component = strong_components(successor)
    groups: dict[int, set[int]] = {}
    for node, c in enumerate(component):
        groups.setdefault(c, set()).add(node)
    assert sorted(map(sorted, groups.values())) == sorted(map(sorted, nx.strongly_connected_components(graph)))
    assert sorted(groups) == list(range(len(groups)))
    assert all(component[j] <= component[i] for i, j in graph.edges)
