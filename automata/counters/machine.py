"""Counter languages: a star-free control whose transitions add to counters and may test them for zero.

This is the general form of theorem 5 of Sarrof, Veitsman and Hahn (2024). The *control* is a deterministic automaton
that moves on letters alone; a transition may be guarded by tests of the counters' signs and adds a constant to each
counter. Where no transition leads on, or a test fails, the word has died. So counters never steer the control, which
is what a stack of state-space layers can do: each layer reads only layers below it.

A machine is also *trim*: wherever a live word can lead, some continuation is accepted (``automata.trim`` proves it when
the machine is made). Hence a symbol may come next iff its transition exists and its tests hold.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..alphabet import EOS, Word, check_alphabet, check_word
from ..budget import DEFAULT_BUDGET, Budget
from ..errors import CounterLanguageError

if TYPE_CHECKING:
    from .trim import Strategy

TESTS: Mapping[str, frozenset[int]] = MappingProxyType(
    {
        "zero": frozenset({0}),
        "nonzero": frozenset({-1, 1}),
        "positive": frozenset({1}),
        "negative": frozenset({-1}),
    }
)
"""The tests, and the signs under which each holds."""


@dataclass(frozen=True)
class Counter:
    """One counter.

    Args:
        name: for transitions and for people.
        initial: its value after the empty word.
        signed: whether it may be negative; if not, whatever takes 1 from it must test that it is positive.
    """

    name: str
    initial: int = 0
    signed: bool = False


@dataclass(frozen=True)
class Step:
    """A transition.

    Args:
        to: the control state it leads to.
        add: from counters to what is added; others keep their value.
        when: from counters to the tests (``zero``, ``nonzero``, ``positive``, ``negative``) that must hold before.
    """

    to: str
    add: Mapping[str, int] = field(default_factory=dict)
    when: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "add", MappingProxyType({c: n for c, n in self.add.items() if n != 0}))
        object.__setattr__(self, "when", MappingProxyType(dict(self.when)))


Configuration = tuple[str, tuple[int, ...]]
"""A control state and the values of the counters."""


@dataclass(frozen=True)
class CounterMachine:
    """A counter language.

    Args:
        alphabet: the symbols in order.
        counters: the counters in order, as :class:`Counter` or just names.
        initial: the control state that words begin in.
        transitions: ``transitions[state][symbol]`` is a :class:`Step`; where there is none the word dies.
        accepting: from accepting control states to the tests that must hold at the end of a word.

    Raises:
        CounterLanguageError: an unknown state, counter or test; a test that can never hold; a counter that could
            become negative without being signed; a configuration from which no word is known to be accepted.
        AlphabetError: an unusable symbol.

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

    alphabet: tuple[str, ...]
    counters: tuple[Counter, ...]
    initial: str
    transitions: Mapping[str, Mapping[str, Step]]
    accepting: Mapping[str, Mapping[str, str]]
    budget: Budget = field(default=DEFAULT_BUDGET, repr=False, compare=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "alphabet", check_alphabet(self.alphabet))
        put(self, "counters", tuple(Counter(c) if isinstance(c, str) else c for c in self.counters))
        rows = {q: MappingProxyType(dict(row)) for q, row in self.transitions.items()}
        put(self, "transitions", MappingProxyType(rows))
        put(self, "accepting", MappingProxyType({q: MappingProxyType(dict(t)) for q, t in self.accepting.items()}))
        self._check_counters()
        self._check_states()
        for state, symbol, step in self.steps():
            self._check_step(f"state {state!r} on {symbol!r}", step)
        for state, tests in self.accepting.items():
            self._check_tests(f"the acceptance of state {state!r}", tests)
        _ = self.strategy  # raises if there is none

    # -- validation ----------------------------------------------------------------------------------------------

    def _check_counters(self) -> None:
        names = [c.name for c in self.counters]
        if not names:
            raise CounterLanguageError("a counter language needs at least one counter; without one give a Dfa")
        if len(set(names)) != len(names):
            raise CounterLanguageError(f"two counters share a name in {names}; give each its own")
        for c in self.counters:
            if not isinstance(c.name, str) or type(c.initial) is not int:
                raise CounterLanguageError(f"counter {c.name!r} has no name or no whole number to begin with")
            if c.initial < 0 and not c.signed:
                raise CounterLanguageError(f"counter {c.name!r} begins at {c.initial}; declare it signed")

    def _check_states(self) -> None:
        known = {self.initial, *self.accepting, *self.transitions}
        for state, symbol, step in self.steps():
            if symbol not in self.alphabet:
                raise CounterLanguageError(
                    f"state {state!r} has a transition on {symbol!r}, which is not in the alphabet "
                    f"{{{', '.join(self.alphabet)}}}"
                )
            if step.to not in known:
                raise CounterLanguageError(
                    f"state {state!r} on {symbol!r} leads to {step.to!r}, which has no transitions and does not "
                    "accept; name it under transitions or accepting, or leave the transition out"
                )
        if not self.accepting:
            raise CounterLanguageError("no state accepts, so the language is empty; give an accepting state")

    def _check_step(self, where: str, step: Step) -> None:
        for name, amount in step.add.items():
            self._find(where, name)
            if type(amount) is not int:
                raise CounterLanguageError(f"{where}: {amount!r} is added to counter {name!r}; give a whole number")
        self._check_tests(where, step.when)
        for c in self.counters:
            amount = step.add.get(c.name, 0)
            if not c.signed and amount < 0:
                if step.when.get(c.name) not in ("positive", "nonzero"):
                    raise CounterLanguageError(
                        f"{where}: {-amount} is taken from counter {c.name!r} without the test that it is positive; "
                        f'add when={{{c.name!r}: "positive"}}, or declare the counter signed'
                    )
                if amount < -1:
                    raise CounterLanguageError(
                        f"{where}: {-amount} is taken from counter {c.name!r}, but tests compare with zero only; "
                        "take 1 at a time, or declare the counter signed"
                    )

    def _check_tests(self, where: str, tests: Mapping[str, str]) -> None:
        for name, test in tests.items():
            counter = self._find(where, name)
            if test not in TESTS:
                raise CounterLanguageError(
                    f"{where}: the test {test!r} of counter {name!r} is not allowed; counters can only be tested for "
                    f"zero: {', '.join(TESTS)}"
                )
            if test == "negative" and not counter.signed:
                raise CounterLanguageError(
                    f"{where}: counter {name!r} is not signed and never negative; declare it signed or drop the test"
                )

    def _find(self, where: str, name: str) -> Counter:
        found = next((c for c in self.counters if c.name == name), None)
        if found is None:
            raise CounterLanguageError(f"{where}: no counter {name!r}; there are {[c.name for c in self.counters]}")
        return found

    @cached_property
    def strategy(self) -> Strategy:
        """Why every live configuration can be completed."""
        from .trim import find_strategy

        return find_strategy(self, self.budget)

    # -- reading -------------------------------------------------------------------------------------------------

    def steps(self) -> Iterator[tuple[str, str, Step]]:
        """Every transition: state, symbol, step."""
        for state, row in self.transitions.items():
            for symbol, step in row.items():
                yield state, symbol, step

    @cached_property
    def states(self) -> tuple[str, ...]:
        """The control states that can be reached, the initial one first. O(states * letters)."""
        found = [self.initial]
        for state in found:
            row = self.transitions.get(state, {})
            found += [t for t in dict.fromkeys(row[a].to for a in self.alphabet if a in row) if t not in found]
        return tuple(found)

    @property
    def start(self) -> Configuration:
        """The configuration after the empty word."""
        return self.initial, tuple(c.initial for c in self.counters)

    def holds(self, tests: Mapping[str, str], values: Sequence[int]) -> bool:
        """Whether every test holds of these values."""
        signs = {c.name: (v > 0) - (v < 0) for c, v in zip(self.counters, values, strict=True)}
        return all(signs[name] in TESTS[test] for name, test in tests.items())

    def step(self, configuration: Configuration | None, symbol: str) -> Configuration | None:
        """The configuration after one more symbol; None is the dead one."""
        if configuration is None:
            return None
        state, values = configuration
        found = self.transitions.get(state, {}).get(symbol)
        if found is None or not self.holds(found.when, values):
            return None
        moved = (v + found.add.get(c.name, 0) for c, v in zip(self.counters, values, strict=True))
        return found.to, tuple(moved)

    def run(self, word: Word) -> Iterator[Configuration | None]:
        """The configuration after each prefix, the empty one first."""
        check_word(word, self.alphabet)
        configuration: Configuration | None = self.start
        yield configuration
        for symbol in word:
            configuration = self.step(configuration, symbol)
            yield configuration

    def allowed(self, configuration: Configuration | None) -> frozenset[str]:
        """The symbols that may come next, ``<eos>`` among them if the word may end."""
        if configuration is None:
            return frozenset()
        state, values = configuration
        row = self.transitions.get(state, {})
        found = {a for a, step in row.items() if self.holds(step.when, values)}
        if state in self.accepting and self.holds(self.accepting[state], values):
            found.add(EOS)
        return frozenset(found)

    def accepts(self, word: Word) -> bool:
        """Whether the word is in the language; :class:`UnknownSymbolError` for a foreign symbol."""
        *_, last = self.run(word)
        return EOS in self.allowed(last)

    __contains__ = accepts

    def __str__(self) -> str:
        signed = {True: " (signed)", False: ""}
        lines = ["counters " + ", ".join(f"{c.name} := {c.initial}{signed[c.signed]}" for c in self.counters)]
        for state in self.states:
            for symbol, step in self.transitions.get(state, {}).items():
                tests = " and ".join(f"{c} {t}" for c, t in step.when.items())
                adds = ", ".join(f"{c} {n:+d}" for c, n in step.add.items())
                lines.append(
                    f"    {state} --{symbol}--> {step.to}" + (f"  if {tests}" if tests else "") + f"  {adds}".rstrip()
                )
            if state in self.accepting:
                tests = " and ".join(f"{c} {t}" for c, t in self.accepting[state].items())
                lines.append(f"    {state} accepts" + (f" if {tests}" if tests else ""))
        return f"counter machine, begins in {self.initial}: " + "\n".join(lines)


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
