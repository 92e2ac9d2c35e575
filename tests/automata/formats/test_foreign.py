"""Automata of other libraries as languages: nondeterministic ones, learned ones, and any symbols and states."""

from __future__ import annotations

from itertools import product
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scancraft
from scancraft import Dfa, LanguageFormatError, Moore
from scancraft.automata.budget import Budget
from scancraft.automata.errors import BudgetExceededError
from scancraft.automata.formats.formats import from_aalpy, from_pyformlang
from scancraft.automata.languages import as_dfa, as_language

pyformlang = pytest.importorskip("pyformlang.finite_automaton")


@st.composite
def moves(draw: st.DrawFn) -> tuple[list[int], list[int], list[tuple[int, str, int]]]:
    """Starts, ends and moves between at most five states; the symbol "" is epsilon."""
    state = st.integers(0, draw(st.integers(0, 4)))
    triples = draw(st.lists(st.tuples(state, st.sampled_from(["a", "b", ""]), state), max_size=12))
    return draw(st.lists(state, max_size=2)), draw(st.lists(state, max_size=3)), triples


@given(moves())
def test_nondeterministic_automata_of_pyformlang(
    drawn: tuple[list[int], list[int], list[tuple[int, str, int]]],
) -> None:
    starts, ends, triples = drawn
    for theirs in (pyformlang.EpsilonNFA(), pyformlang.NondeterministicFiniteAutomaton()):
        epsilon = type(theirs).__name__ == "EpsilonNFA"
        for state in starts:
            theirs.add_start_state(state)
        for state in ends:
            theirs.add_final_state(state)
        for source, symbol, target in triples:
            if symbol or epsilon:
                theirs.add_transition(source, symbol or pyformlang.Epsilon(), target)
        dfa = as_dfa(theirs)
        for word in (w for n in range(5) for w in product(dfa.alphabet, repeat=n)):
            assert dfa.accepts(word) == theirs.accepts([pyformlang.Symbol(s) for s in word])


def test_the_budget_is_that_of_the_call() -> None:
    wide = pyformlang.NondeterministicFiniteAutomaton()
    wide.add_start_state(0)
    wide.add_final_state(12)
    wide.add_transitions([(0, s, 0) for s in "ab"] + [(0, "a", 1)])
    wide.add_transitions([(q, s, q + 1) for q in range(1, 12) for s in "ab"])
    with pytest.raises(BudgetExceededError):
        as_dfa(wide, Budget(items=100))
    assert as_dfa(wide).n_states == 1 << 12
    with pytest.raises(LanguageFormatError, match="no finite automaton of pyformlang"):
        from_pyformlang({})


def test_symbols_and_states_are_called_by_their_text() -> None:
    theirs = pyformlang.NondeterministicFiniteAutomaton()
    theirs.add_start_state((0, 1))
    theirs.add_final_state(frozenset({2, 1}))
    theirs.add_transition((0, 1), ("x", 1), frozenset({2, 1}))
    theirs.add_transition((0, 1), ("x", 1), "(0, 1)")
    assert as_dfa(theirs) == Dfa.from_words(["(x, 1)"], [["(x, 1)"]])
    theirs.add_transition((0, 1), "(x, 1)", (0, 1))
    with pytest.raises(LanguageFormatError, match=r"two different symbols are called '\(x, 1\)'"):
        as_dfa(theirs)


# -- AALpy: stand-ins of the same shape, and the library itself where it is installed ---------------------------------


def _class(name: str, **members: Any) -> Any:
    return type(name, (), {"__module__": f"aalpy.automata.{name}", **members})


class State:
    """What states of AALpy have."""

    def __init__(self, state_id: str, **more: Any) -> None:
        self.state_id, self.transitions = state_id, dict[Any, State]()
        self.__dict__ |= more


def machine(kind: str, states: list[State]) -> Any:
    """A machine of one of AALpy's classes."""
    found = _class(kind)()
    found.initial_state, found.states = states[0], states
    return found


def linked(states: list[State]) -> list[State]:
    """Two states: 1 turns over, 0 stays."""
    for q, state in enumerate(states):
        state.transitions = {0: states[q], 1: states[1 - q]}
    return states


def test_learned_machines() -> None:
    accepted = machine("Dfa", linked([State("s0", is_accepting=True), State("s1", is_accepting=False)]))
    assert as_dfa(accepted) == scancraft.as_dfa("(0*10*1)*0*")
    told = machine("MooreMachine", linked([State("s0", output="even"), State("s1", output="odd")]))
    found = as_language(told)
    assert isinstance(found, Moore)
    assert found == scancraft.moore({q: {"0": q, "1": 1 - q} for q in (0, 1)}, 0, {0: "even", 1: "odd"})
    assert found.names == ("s0", "s1")
    both = linked([State("s0", output_fun={0: "even", 1: "odd"}), State("s1", output_fun={0: "odd", 1: "even"})])
    mealy = as_language(machine("MealyMachine", both))
    assert isinstance(mealy, Moore)
    assert mealy.trace("0110") == ("start", "even", "odd", "even", "even")
    with pytest.raises(LanguageFormatError, match="no Dfa, MooreMachine or MealyMachine of AALpy"):
        from_aalpy(machine("Mdp", linked([State("s0"), State("s1")])))


def test_a_learned_machine_with_a_missing_input() -> None:
    told = machine("MooreMachine", linked([State("s0", output="even"), State("s1", output="odd")]))
    del told.states[1].transitions[0]
    with pytest.raises(LanguageFormatError, match="'s1' has no transition on '0'"):
        as_language(told)


def test_the_library_itself() -> None:
    library: ModuleType = pytest.importorskip("aalpy.automata", reason="AALpy is not installed")
    states = [library.MooreState("s0", "even"), library.MooreState("s1", "odd")]
    theirs = library.MooreMachine(states[0], linked(states))
    ours = as_language(theirs)
    assert isinstance(ours, Moore)
    for word in (w for n in range(5) for w in product((0, 1), repeat=n)):
        theirs.reset_to_initial()
        last = theirs.step(None)
        for letter in word:
            last = theirs.step(letter)
        assert ours.output([str(letter) for letter in word]) == last
