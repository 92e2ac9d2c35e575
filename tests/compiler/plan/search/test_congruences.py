"""Levels of cascades found from the DFA alone; and that pairs are told apart exactly where some memory can."""

from __future__ import annotations

import random
from itertools import combinations, product

import pytest

from scancraft import Budget, Dfa, compile
from scancraft.automata.families import d_n
from scancraft.compiler.plan.prove import prove
from scancraft.compiler.plan.search.congruences import Classes, by_congruences, level
from scancraft.compiler.plan.search.knowledge import NOTHING, explore
from scancraft.compiler.plan.search.latches import as_seen
from scancraft.compiler.plan.search.predicates import Arena, arena_of, closed, design

BUDGET = Budget(items=200_000, seconds=None)


def flip_flops(n: int, letters: int, seed: int) -> Dfa:
    """Each is set, reset or kept, depending on the letter and those before it; the names of the states are shuffled."""
    draw = random.Random(seed)
    actions: dict[tuple[tuple[int, ...], int], int | None] = {}

    def step(state: tuple[int, ...], letter: int) -> tuple[int, ...]:
        after = []
        for place, value in enumerate(state):
            if (key := (state[:place], letter)) not in actions:
                actions[key] = draw.choice((None, None, 0, 1))
            written = actions[key]
            after.append(value if written is None else written)
        return tuple(after)

    states = list(product((0, 1), repeat=n))
    draw.shuffle(states)
    table = [[states.index(step(state, letter)) for letter in range(letters)] for state in states]
    accepting = [q for q in range(len(states)) if draw.random() < 0.5]
    return Dfa.from_table("abcdefgh"[:letters], table, states.index((0,) * n), accepting)


def arena(dfa: Dfa) -> Arena:
    return arena_of(explore(dfa, (), 1, BUDGET.meter("items")), 1, first=True)


def tells(where: Arena, pair: tuple[int, int]) -> bool:
    """Whether some memory does, by trying every choice of events that keep; others have labels of their own."""
    for kept in product((False, True), repeat=len(where.vectors) - 1):
        clash = False
        for event, moves in enumerate(where.moves):
            if event and kept[event - 1]:
                continue
            held = {target for _, target in moves}
            while True:
                more = {
                    target
                    for other, steps in enumerate(where.moves)
                    if other and kept[other - 1]
                    for source, target in steps
                    if source != NOTHING and source in held
                }
                if more <= held:
                    break
                held |= more
            clash = clash or set(pair) <= held
        if not clash:
            return True
    return False


@pytest.mark.parametrize("dfa", [*(flip_flops(3, 3, seed) for seed in range(4)), d_n(3)])
def test_a_pair_is_told_apart_exactly_where_some_memory_can(dfa: Dfa) -> None:
    seen = as_seen(arena(dfa))
    for pair in combinations(seen.fibres[0], 2):
        meter = BUDGET.meter("items")
        found = design(seen.arena, closed(seen.arena, [pair], meter), meter)
        assert (found is not None) == tells(seen.arena, pair)


@pytest.mark.parametrize(("n", "letters", "seed"), [(4, 6, 0), (5, 8, 1), (6, 8, 2)])
def test_each_flip_flop_is_a_level(n: int, letters: int, seed: int) -> None:
    dfa = flip_flops(n, letters, seed)
    (plan,) = by_congruences(dfa, BUDGET)
    assert n <= len(plan.blocks) <= n + 1  # one more where no threshold reads them out
    assert prove(plan, dfa, BUDGET) <= 2 * dfa.n_states


def test_no_level_where_letters_move_everything() -> None:
    seen = as_seen(arena(d_n(3)))
    assert level(seen.arena, seen.fibres, BUDGET.meter("items")) == ()
    assert list(by_congruences(d_n(3), BUDGET)) == []
    assert list(by_congruences(flip_flops(5, 8, 1), Budget(items=100, seconds=None))) == []


def test_what_is_alike_is_alike_after_every_letter() -> None:
    dfa = flip_flops(4, 4, 3)
    seen = as_seen(arena(dfa))
    classes = Classes(seen.arena, seen.fibres)
    classes.merge(0, 1)
    for x, y in combinations(range(dfa.n_states), 2):
        if classes.of(x) == classes.of(y):
            for s, t in zip(dfa.table[seen.states[x]], dfa.table[seen.states[y]], strict=True):
                assert classes.of(seen.states.index(s)) == classes.of(seen.states.index(t))


def test_many_states_are_compiled_by_their_levels() -> None:
    dfa = flip_flops(7, 8, 1)
    assert dfa.n_states >= 64
    compiled = compile(dfa, budget=BUDGET)
    assert compiled.circuit.kind == "plan"
    assert compiled.weights.shape.n_layers <= 8
    assert compiled.certify().verdict == "certified"
