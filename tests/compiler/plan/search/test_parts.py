"""The parts of the search, each on its own: the product, pairs that are told apart, rules, the read-out."""

import numpy as np
import pytest

from scancraft.automata.alphabet import EOS
from scancraft.automata.budget import Budget
from scancraft.automata.dfa import Dfa
from scancraft.automata.errors import BudgetExceededError
from scancraft.automata.families import ascending_runs, d_n, flip_flop, tomita, zero_then_twos
from scancraft.compiler.plan.prove import prove
from scancraft.compiler.plan.search.blocks import Site, at_once, finishing, narrowed, telling
from scancraft.compiler.plan.search.knowledge import NOTHING, Draft, explore
from scancraft.compiler.plan.search.latches import narrowing
from scancraft.compiler.plan.search.predicates import arena_of, closed, design, doomed, draft
from scancraft.compiler.plan.search.readout import conjunctive, linear
from scancraft.compiler.plan.search.rules import Demands, cover
from scancraft.compiler.plan.search.writing import plan_of


def meter():
    return Budget(items=100_000, seconds=None).meter("items")


def fits(sides, vector):
    """Whether a conjunction holds."""
    return all(side is None or value in side for side, value in zip(sides, vector, strict=True))


def test_without_memories_a_context_is_a_window():
    dfa = tomita(4)
    knowledge = explore(dfa, (), 2, meter())
    assert len(knowledge.contexts) == 1 + 2 + 4  # <bos>, one letter, two letters
    assert {knowledge.nodes[x][1] for x in knowledge.fibres[0]} == {0}
    for node, (context, state) in enumerate(knowledge.nodes):
        for a, target in enumerate(knowledge.table[node]):
            assert knowledge.nodes[target] == (knowledge.steps[context][a].target, dfa.table[state][a])
    assert not knowledge.settled


def test_a_memory_is_followed_and_hidden_from_its_own_block():
    dfa = zero_then_twos()
    memory = Draft(((((frozenset({0})),), 0), ((frozenset({1, 3}),), 1)), 2)
    knowledge = explore(dfa, ((memory,),), 1, meter(), hidden=1)
    assert knowledge.settled
    assert all(len(step.seen) == 1 for step in knowledge.all_steps())
    assert explore(dfa, ((memory,),), 1, meter()).begin.seen == (3, 1, NOTHING)


def test_too_many_contexts():
    with pytest.raises(BudgetExceededError):
        explore(flip_flop(), (), 4, Budget(items=50, seconds=None).meter("items"))


@pytest.mark.parametrize("dfa", [ascending_runs(), tomita(2), zero_then_twos()], ids=["runs", "Tomita-2", "zero"])
def test_one_memory_tells_all_pairs_apart_exactly_as_designed(dfa):
    arena = arena_of(explore(dfa, (), 2, meter()), 2, first=True)
    separation = closed(arena, arena.pairs(verdicts=True), meter())
    found = design(arena, separation, meter())
    memory = draft(arena, found, meter())
    knowledge = explore(dfa, ((memory,),), 2, meter())
    assert knowledge.settled
    for x, others in separation.against.items():
        assert not any(label.held >> x & 1 and label.held & others for label in found.groups)


def test_pairs_that_no_memory_tells_apart():
    """In D-n a letter moves everything: what is kept turns in a circle."""
    arena = arena_of(explore(d_n(3), (), 1, meter()), 1, first=True)
    for pair in arena.pairs(verdicts=False):
        assert design(arena, closed(arena, [pair], meter()), meter()) is None


@pytest.mark.parametrize("dfa", [d_n(3), ascending_runs(), flip_flop()], ids=["D-3", "runs", "flip-flop"])
def test_a_hopeless_pair_dooms_just_those_that_need_it(dfa):
    arena = arena_of(explore(dfa, (), 2, meter()), 2, first=True)
    pairs = arena.pairs(verdicts=False)
    needed = {pair: closed(arena, [pair], meter()).against for pair in pairs}
    for x, y in pairs:
        hopeless: dict[int, int] = {}
        doomed(arena, (x, y), hopeless)
        for (s, t), against in needed.items():
            assert hopeless.get(s, 0) >> t & 1 == against.get(x, 0) >> y & 1


def test_rules_cover_what_is_needed_and_nothing_that_is_not_admissible():
    rng = np.random.default_rng(5)
    vectors = tuple((a, b, m, n) for a in range(3) for b in range(4) for m in range(2) for n in range(2))
    for _ in range(20):
        kinds = rng.integers(0, 4, len(vectors))  # label 0, label 1, either of both if at all, or keep
        masks = [sum(1 << i for i, kind in enumerate(kinds) if kind in (label, 2)) for label in (0, 1)]
        needed = sum(1 << i for i, kind in enumerate(kinds) if kind < 2)
        rules = cover(Demands(vectors, 2, 3, False, needed, tuple(masks)), meter())
        for vector, kind in zip(vectors, kinds, strict=True):
            written = [label for sides, label in rules if fits(sides, vector)]
            assert len(written) <= 1  # disjoint
            assert written == [kind] if kind < 2 else kind == 2 or not written


def test_rules_of_the_first_block_do_not_look_past_the_beginning():
    site = Site(ascending_runs(), (), 2, meter())
    (memory,) = at_once(site)
    bos = len(site.dfa.alphabet)
    for now, before in (sides for sides, _ in memory.rules):
        assert before is None or (bos not in now and (now <= before or not now & before))


def test_a_block_that_narrows_down_where_no_pair_is_told_apart():
    dfa = Dfa.from_table("ab", [[0, 1], [0, 2], [1, 3], [2, 3]], 0, [3])
    site = Site(dfa, (), 1, meter())
    assert telling(site, 8, verdicts=False) == ()
    assert narrowing(site.arena(), dfa.n_states, meter()) is not None
    block = narrowed(site, (), again=False)
    knowledge = site.knowledge(block)
    assert max(len({knowledge.nodes[x][1] for x in fibre}) for fibre in knowledge.fibres) < dfa.n_states


def test_a_read_out_is_right_and_needs_no_block_where_a_threshold_does():
    site = Site(flip_flop(), (telling(Site(flip_flop(), (), 2, meter()), 8, verdicts=False),), 2, meter())
    block = next(finishing(site))
    knowledge = explore(site.dfa, (*site.blocks, block), 2, meter())
    verdicts = linear(knowledge, meter())
    assert prove(plan_of(knowledge, verdicts), site.dfa)
    assert prove(plan_of(knowledge, conjunctive(knowledge, meter()), last=True), site.dfa)
    assert set(verdicts) == {*site.dfa.alphabet, EOS}


def test_no_read_out_of_what_is_not_known():
    knowledge = explore(d_n(2), (), 1, meter())
    with pytest.raises(AssertionError, match="not known"):
        linear(knowledge, meter())
