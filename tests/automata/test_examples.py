"""The table of examples says the truth about each language."""

from __future__ import annotations

import pytest
from examples import EXAMPLES, Example, bounded_dycks, dfas, machines

from scancraft import CounterMachine, Dfa, GateClass, Semiautomaton, classify


def control(machine: CounterMachine) -> Semiautomaton:
    """What the symbols do to the states, where they are allowed; elsewhere they lead to a dead state."""
    number = {state: n for n, state in enumerate(machine.states)}
    rows = []
    for state in machine.states:
        steps = machine.transitions.get(state, {})
        rows.append(tuple(number[steps[s].to] if s in steps else len(number) for s in machine.alphabet))
    rows.append((len(number),) * len(machine.alphabet))
    return Semiautomaton(machine.alphabet, tuple(rows))


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_words_and_gates(example: Example) -> None:
    language = example.language
    assert all(language.accepts(word) for word in example.inside)
    assert not any(language.accepts(word) for word in example.outside)
    if isinstance(language, Dfa):
        assert classify(language).gates is example.gates
        assert example.star_free == (example.gates is GateClass.NONNEGATIVE)
    elif isinstance(language, CounterMachine):
        semiautomaton = control(language)
        for goal in range(semiautomaton.n_states):
            assert classify(Dfa(semiautomaton, 0, frozenset([goal]))).gates is example.gates


def test_names_and_kinds() -> None:
    names = [example.name for example in EXAMPLES]
    assert len(set(names)) == len(names)
    assert sorted(names) == sorted([*dfas(), *machines(), *bounded_dycks()])
    assert set(dfas(star_free=True)) | set(dfas(star_free=False)) == set(dfas())
    assert "D-12" not in dfas(states=8)
    assert not any(name.startswith("uniform") for name in dfas(random=False))
