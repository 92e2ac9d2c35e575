"""Plans down a chain of states: at most one block fewer than there are states, proved, and exact as models."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

import scancraft
from scancraft.automata.budget import Budget
from scancraft.automata.decide.orders import preserved_order
from scancraft.automata.dfa import Dfa
from scancraft.automata.families import d_n
from scancraft.compiler.plan.circuits import plan_circuit
from scancraft.compiler.plan.prove import prove
from scancraft.compiler.plan.search.chains import WINDOWS, descents
from scancraft.compiler.plan.separate import separated

BUDGET = Budget(items=200_000, seconds=None)

# The letters of a random DFA of ten states: 26 levels of image sets.
LONG = [(0, 0), (0, 2), (0, 3), (0, 4), (1, 5), (2, 6), (4, 7), (7, 8), (7, 9), (8, 9)]


@st.composite
def monotone(draw: st.DrawFn) -> Dfa:
    """Random maps of a chain, sorted; any start, any states accepting."""
    n, letters = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    columns = [sorted(draw(st.lists(st.integers(0, n - 1), min_size=n, max_size=n))) for _ in range(letters)]
    accepting = draw(st.sets(st.integers(0, n - 1)))
    return Dfa.from_table("abc"[:letters], list(zip(*columns, strict=True)), draw(st.integers(0, n - 1)), accepting)


@settings(max_examples=25, deadline=None)
@given(monotone())
@example(Dfa.from_table("ab", LONG, 4, [1, 2, 3, 5, 7, 9]))
def test_monotone_letters_take_a_block_fewer_than_there_are_states(dfa: Dfa) -> None:
    order = preserved_order(dfa.table)
    assert order is not None  # of all states, so of those that are left in the minimal DFA
    found = list(descents(dfa, BUDGET))
    assert len(found) == len(WINDOWS)
    for plan in found:
        assert len(plan.blocks) <= max(1, dfa.n_states - 1)
        assert prove(plan, dfa, BUDGET) > 0
        assert plan_circuit(separated(plan, BUDGET)).n_blocks == max(1, len(plan.blocks))


@settings(max_examples=6, deadline=None)
@given(monotone())
def test_the_fewest_blocks_are_compiled_and_certified(dfa: Dfa) -> None:
    model = scancraft.compile(dfa, optimise="depth", construction="plan", budget=BUDGET)
    assert model.weights.shape.n_layers <= max(1, dfa.n_states - 1)
    certificate = scancraft.certify(model)
    assert (certificate.verdict, certificate.scope) == ("certified", "every-implementation")


def test_fewer_blocks_than_image_sets_have_levels() -> None:
    dfa = Dfa.from_table("ab", LONG, 4, [1, 2, 3, 5, 7, 9])
    levels = scancraft.compile(dfa, construction="cascade").decomposed
    assert levels is not None
    fewest = min(len(plan.blocks) for plan in descents(dfa, BUDGET))
    assert fewest <= 9 < levels.cascade.height


def test_without_an_order_there_is_no_chain() -> None:
    assert preserved_order(d_n(3).table) is None
    assert not list(descents(d_n(3), BUDGET))


def test_a_plan_past_its_budget_is_given_up() -> None:
    dfa = Dfa.from_table("ab", LONG, 4, [1, 2, 3, 5, 7, 9])
    assert not list(descents(dfa, Budget(items=60, seconds=None)))
