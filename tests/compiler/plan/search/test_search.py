"""Plans that the search finds say on words what the DFA says, and are as shallow as is known to be possible."""

import pytest
from examples import dfas
from hypothesis import given, settings
from hypothesis import strategies as st

from scancraft.automata.alphabet import EOS
from scancraft.automata.budget import Budget
from scancraft.automata.dfa import Dfa
from scancraft.automata.families import ascending_runs, d_n, flip_flop, one_divider, tomita, zero_then_twos
from scancraft.automata.regex.regex import parse_regex
from scancraft.compiler.plan.circuits import fits, plan_circuit
from scancraft.compiler.plan.plan import Plan
from scancraft.compiler.plan.prove import prove
from scancraft.compiler.plan.search.blocks import at_least
from scancraft.compiler.plan.search.choose import plans, smallest
from scancraft.compiler.plan.search.cost import cost
from scancraft.compiler.plan.separate import separated

BUDGET = Budget(items=30_000, seconds=None)


def said(dfa: Dfa, word):
    """What may come next after each prefix, as the DFA has it."""
    for length in range(len(word) + 1):
        q = dfa.run(word[:length])
        yield dfa.next_symbols(q) | ({EOS} if q in dfa.accepting else set())


def agree(plan: Plan, dfa: Dfa, words):
    for word in words:
        assert list(plan.run(word)) == list(said(dfa, word)), word


def proved(plan: Plan, dfa: Dfa):
    """The proof shares nothing with the search."""
    assert prove(plan, dfa) > 0
    assert fits(separated(plan)) is None
    assert len(plan.blocks) >= at_least(dfa, plan.window)


def words_up_to(dfa: Dfa, length: int):
    return Dfa.universal(dfa.alphabet).words(length)


KNOWN = {
    "aa*bb*cc*dd*ee*": (ascending_runs(), 1, 3),
    "Tomita-2": (tomita(2), 1, 8),
    "Tomita-4": (tomita(4), 2, 8),
    "Tomita-7": (tomita(7), 3, 8),
    "{a,b}*d{b,c}*": (one_divider(), 2, 4),
    "{0,1,2}*02*": (zero_then_twos(), 1, 5),
    "D-2": (d_n(2), 2, 8),
    "flip-flop": (flip_flop(), 2, 4),
}


@pytest.mark.parametrize("name", KNOWN)
def test_as_few_blocks_as_known_and_right_on_all_short_words(name):
    dfa, blocks, length = KNOWN[name]
    found = list(plans(dfa, BUDGET))
    assert min(len(plan.blocks) for plan in found) <= blocks
    for plan in found:
        agree(plan, dfa, words_up_to(dfa, length))
        proved(plan, dfa)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_what_is_not_looked_for_is_not_there(n):
    """As many blocks as a run of brackets may be long."""
    dfa = d_n(n)
    assert [at_least(dfa, window) for window in (1, 2)] == [n + 1, max(1, n)]
    assert min(len(plan.blocks) for plan in plans(dfa, BUDGET)) == max(1, n)


@pytest.mark.parametrize("name", sorted(dfas(star_free=False)))
def test_no_plan_of_a_language_with_groups(name):
    assert smallest(dfas(star_free=False)[name], Budget(items=5_000, seconds=None), most=3) is None


@settings(max_examples=25, deadline=None)
@given(
    table=st.integers(2, 4).flatmap(
        lambda n: st.lists(st.lists(st.integers(0, n - 1), min_size=2, max_size=2), min_size=n, max_size=n)
    ),
    accepting=st.sets(st.integers(0, 3)),
    word=st.lists(st.sampled_from("ab"), max_size=30),
)
def test_whatever_is_found_is_right(table, accepting, word):
    dfa = Dfa.from_table("ab", table, 0, {q for q in accepting if q < len(table)})
    for plan in plans(dfa, Budget(items=5_000, seconds=None), most=3):
        agree(plan, dfa, [word, *words_up_to(dfa, 4)])
        proved(plan, dfa)


def test_subsequences_take_a_block_for_each_letter():
    """What two subsequences imply, the longest of three letters: three blocks."""
    has = {w: parse_regex("".join(f"(a|b|c|d|e)*{s}" for s in w) + "(a|b|c|d|e)*") for w in ("ab", "cc", "dea")}
    dfa = ~has["ab"] | (has["cc"] & has["dea"])
    plan = next(plans(dfa, Budget(items=80_000, seconds=None)))
    assert (dfa.n_states, len(plan.blocks)) == (31, 3)
    proved(plan, dfa)


def test_the_same_plans_each_time():
    assert [str(plan) for plan in plans(flip_flop(), BUDGET)] == [str(plan) for plan in plans(flip_flop(), BUDGET)]


def test_the_estimate_is_the_size_of_the_circuit():
    plan = smallest(one_divider(), BUDGET)
    circuit = plan_circuit(separated(plan))
    size = cost(plan)
    assert (size.blocks, size.features) == (circuit.n_blocks, len(circuit.features))
    assert size.channels == max(len(block.channels) for block in circuit.blocks)


def test_a_letter_that_moves_everything_takes_fewer_blocks_than_there_are_states():
    """No memory tells two states apart at first: what came last narrows them down."""
    dfa = Dfa.from_table("abc", [[0, 1, 0], [0, 2, 0], [1, 3, 1], [2, 3, 3]], 0, [3])
    assert min(len(plan.blocks) for plan in plans(dfa, BUDGET)) < dfa.n_states
