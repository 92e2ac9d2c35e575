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
from ..cards import brief, card, picture
from ..errors import CounterLanguageError
from ..pictures.dfa import MOST_STATES, graph_svg
from ..pictures.layout import Edge
from ..pictures.names import edge_label
from ..pictures.svg import Pictured
from ..told import Told
from .control import TESTS as TESTS
from .control import Configuration as Configuration
from .control import Counter as Counter
from .control import CountingAutomaton
from .control import Step as Step
from .trim import Strategy, prove

SHOWN: Mapping[str, str] = {"zero": "= 0", "nonzero": "≠ 0", "positive": "> 0", "negative": "< 0"}
"""The tests as they are written for people."""


@dataclass(frozen=True)
class CounterMachine(CountingAutomaton, Pictured, Told):
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

    def svg(self) -> str | None:
        """The control, at each edge what is added and under which tests; None for more than two dozen states."""
        if len(self.states) > MOST_STATES:
            return None
        number = {state: q for q, state in enumerate(self.states)}
        alike: dict[Edge, dict[str, list[str]]] = {}
        reached = [(state, symbol, step) for state, symbol, step in self.steps() if state in number]
        for state, symbol, step in reached:
            alike.setdefault((number[state], number[step.to]), {}).setdefault(self._effect(step), []).append(symbol)
        labels = {
            edge: "; ".join(edge_label(symbols, self.alphabet) + effect for effect, symbols in groups.items())
            for edge, groups in alike.items()
        }
        accepting, title = {number[q] for q in self.accepting if q in number}, f"control of {self!r}"
        return graph_svg(self.states, labels, title, initial=0, accepting=accepting, longest=28)

    def _effect(self, step: Step) -> str:
        """What a step adds, and under which tests; of a single counter without its name."""
        named = len(self.counters) > 1
        adds = [f"{f'{c} ' * named}{'+' if n > 0 else '−'}{abs(n)}" for c, n in step.add.items()]
        tests = [f"{f'{c} ' * named}{SHOWN[test]}" for c, test in step.when.items()]
        said = [", ".join(adds), f"if {', '.join(tests)}" * bool(tests)]
        return f": {' '.join(filter(None, said))}" if any(said) else ""

    def _repr_html_(self) -> str:
        counters = ", ".join(counter.name for counter in self.counters)
        ends = "; ".join(
            f"{q}{' if ' * bool(tests)}{', '.join(f'{c} {SHOWN[t]}' for c, t in tests.items())}"
            for q, tests in self.accepting.items()
        )
        facts = {"alphabet": " ".join(self.alphabet), "counters": counters, "a word may end in": ends}
        return card(
            f"counter machine, {len(self.states)} control state{'s' * (len(self.states) != 1)}",
            facts,
            picture(self.svg()),
        )

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
