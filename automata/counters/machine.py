"""Counter languages: a star-free control whose transitions add to counters and may test them for zero.

This is the general form of theorem 5 of Sarrof, Veitsman and Hahn (2024). The *control* is a deterministic automaton
that moves on letters alone; a transition may be guarded by tests of the counters' signs and adds a constant to each
counter. Where no transition leads on, or a test fails, the word has died. So counters never steer the control, which
is what a stack of state-space layers can do: each layer reads only layers below it.

A machine is also *trim*: wherever a live word can lead, some continuation is accepted (:mod:`.trim` proves it when the
machine is made). Hence a symbol may come next iff its transition exists and its tests hold.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..budget import DEFAULT_BUDGET, Budget
from ..errors import CounterLanguageError
from .control import TESTS as TESTS
from .control import Configuration as Configuration
from .control import Counter as Counter
from .control import CountingAutomaton
from .control import Step as Step
from .trim import Strategy, prove


@dataclass(frozen=True)
class CounterMachine(CountingAutomaton):
    """A counter language: a machine that is trim.

    Args: those of :class:`CountingAutomaton`, and
        budget: of the proof that it is trim.

    Raises:
        CounterLanguageError: as there, or a configuration from which no word is known to be accepted.
        AlphabetError: an unusable symbol.
        BudgetExceededError: the proof needs more than the budget.

    >>> dyck_1 = CounterMachine(
    ...     alphabet=("(", ")"),
    ...     counters=("depth",),
    ...     initial="q",
    ...     transitions={"q": {"(": Step("q", {"depth": 1}), ")": Step("q", {"depth": -1}, {"depth": "positive"})}},
    ...     accepting={"q": {"depth": "zero"}},
    ... )
    >>> dyck_1.accepts("(())()"), dyck_1.accepts("())(")
    (True, False)
    """

    budget: Budget = field(default=DEFAULT_BUDGET, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.strategy  # raises if there is none

    @cached_property
    def strategy(self) -> Strategy:
        """Why every live configuration can be completed."""
        return prove(self, self.budget)


# -- JSON --------------------------------------------------------------------------------------------------------------

KEYS = ("alphabet", "counters", "initial", "transitions", "accepting")
"""The keys of the JSON format, all of them needed."""


def counter_machine_to_json(machine: CounterMachine) -> dict[str, Any]:
    """The JSON format: see :func:`counter_machine_from_json`. Deterministic."""
    return {
        "alphabet": list(machine.alphabet),
        "counters": {c.name: {"initial": c.initial, "signed": c.signed} for c in machine.counters},
        "initial": machine.initial,
        "transitions": {
            q: {a: {"to": s.to, "add": dict(s.add), "when": dict(s.when)} for a, s in row.items()}
            for q, row in machine.transitions.items()
        },
        "accepting": {q: dict(tests) for q, tests in machine.accepting.items()},
    }


def counter_machine_from_json(data: Mapping[str, Any], budget: Budget = DEFAULT_BUDGET) -> CounterMachine:
    """Read the JSON format.

    ``{"alphabet": ["a", "b"], "counters": ["n"], "initial": "A", "transitions": {"A": {"a": {"to": "A", "add":
    {"n": 1}}, "b": {"to": "B", "add": {"n": -1}, "when": {"n": "positive"}}}, "B": {...}}, "accepting": {"B":
    {"n": "zero"}}}``. ``counters`` may also be an object from names to ``{"initial": 0, "signed": false}``.

    Raises:
        CounterLanguageError: a missing or unknown key or a value of another kind; or see :class:`CounterMachine`.
    """
    _need(isinstance(data, Mapping), "the description of a counter language is no object")
    missing, unknown = [k for k in KEYS if k not in data], [k for k in data if k not in KEYS]
    _need(not missing and not unknown, f"missing keys {missing}, unknown keys {unknown}; they are exactly {list(KEYS)}")
    symbols, given, rows = data["alphabet"], data["counters"], data["transitions"]
    _need(_is_list(symbols), '"alphabet" is no list of strings')
    _need(isinstance(data["initial"], str), '"initial" is no string')
    if isinstance(given, Mapping):
        counters = tuple(_read_counter(name, about) for name, about in given.items())
    else:
        _need(_is_list(given), '"counters" is neither a list of names nor an object')
        counters = tuple(map(Counter, given))
    _need(isinstance(rows, Mapping), '"transitions" is no object')
    transitions = {}
    for state, row in rows.items():
        _need(isinstance(row, Mapping), f"the transitions of state {state!r} are no object")
        transitions[state] = {symbol: _read_step(f"state {state!r} on {symbol!r}", s) for symbol, s in row.items()}
    accepting = data["accepting"]
    _need(isinstance(accepting, Mapping), '"accepting" is no object from states to tests')
    for state, tests in accepting.items():
        _need(_is_map_to(tests, str), f"the tests of accepting state {state!r} are no object of strings")
    return CounterMachine(tuple(symbols), counters, data["initial"], transitions, accepting, budget)


def _need(condition: bool, problem: str) -> None:
    if not condition:
        raise CounterLanguageError(f"{problem}; see scancraft.automata.counters.machine for the format")


def _is_list(value: object) -> bool:
    return isinstance(value, Collection) and not isinstance(value, str) and all(isinstance(v, str) for v in value)


def _is_map_to(value: object, kind: type) -> bool:
    return isinstance(value, Mapping) and all(type(v) is kind for v in value.values())


def _read_counter(name: str, about: object) -> Counter:
    good = isinstance(about, Mapping) and set(about) <= {"initial", "signed"}
    _need(good, f'counter {name!r} is no object with the keys "initial" and "signed"')
    assert isinstance(about, Mapping)
    initial, signed = about.get("initial", 0), about.get("signed", False)
    _need(type(initial) is int and type(signed) is bool, f"counter {name!r}: initial is a whole number, signed a truth")
    return Counter(name, initial, signed)


def _read_step(where: str, value: object) -> Step:
    if isinstance(value, list):
        _need(False, f"{where}: several transitions; tests cannot choose between them, since counters never steer")
    good = isinstance(value, Mapping) and "to" in value and set(value) <= {"to", "add", "when"}
    _need(good, f'{where}: no object with the keys "to", "add" and "when"')
    assert isinstance(value, Mapping)
    add, when = value.get("add", {}), value.get("when", {})
    _need(isinstance(value["to"], str), f'{where}: "to" is no string')
    _need(_is_map_to(add, int), f'{where}: "add" is no object from counters to whole numbers')
    _need(_is_map_to(when, str), f'{where}: "when" is no object from counters to tests')
    return Step(value["to"], add, when)
