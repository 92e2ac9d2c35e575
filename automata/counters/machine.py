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
from ..cards import brief
from ..errors import CounterLanguageError
from ..told import Told
from .control import TESTS as TESTS
from .control import Configuration as Configuration
from .control import Counter as Counter
from .control import CountingAutomaton
from .control import Step as Step
from .trim import Strategy, prove


@dataclass(frozen=True)
class CounterMachine(CountingAutomaton, Told):
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

    def __repr__(self) -> str:
        counters = ", ".join(counter.name for counter in self.counters)
        return f"<CounterMachine: counters {brief(counters)} over {{{brief(', '.join(self.alphabet))}}}>"

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
    if not isinstance(data, Mapping) or set(data) != set(KEYS):
        keys = list(data) if isinstance(data, Mapping) else type(data).__name__
        raise CounterLanguageError(f"a counter language has exactly the keys {list(KEYS)}, not {keys}")
    symbols, given = data["alphabet"], data["counters"]
    for name, value in (("alphabet", symbols), ("counters", given)):
        if isinstance(value, str) or not isinstance(value, Collection):
            raise CounterLanguageError(f'"{name}" is {value!r}; give a list of strings')
    where = "counters"
    try:
        counters = [Counter(c, **given[c]) if isinstance(given, Mapping) else Counter(c) for c in given]
        transitions: dict[str, dict[str, Step]] = {}
        for state, row in data["transitions"].items():
            transitions[state] = {}
            for symbol, step in row.items():
                where = f"state {state!r} on {symbol!r}"
                if isinstance(step, list):
                    raise CounterLanguageError(
                        f"{where}: several transitions; tests cannot choose between them, since counters never steer"
                    )
                transitions[state][symbol] = Step(**step)
        where = "accepting"
        return CounterMachine(tuple(symbols), tuple(counters), data["initial"], transitions, data["accepting"], budget)
    except (TypeError, AttributeError, ValueError) as error:
        problem = f"{where}: {error}; see scancraft.automata.counters.machine for the format"
        raise CounterLanguageError(problem) from None
