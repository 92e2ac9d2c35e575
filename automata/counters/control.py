"""Machines that count: a control whose transitions add to counters and may test their signs.

Any machine that is well formed; :mod:`.machine` has those that are languages here, which are trim as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from ..alphabet import EOS, Word, check_alphabet, check_word
from ..errors import CounterLanguageError
from ..search import numbered

TESTS: Mapping[str, frozenset[int]] = MappingProxyType(
    {
        "zero": frozenset({0}),
        "nonzero": frozenset({-1, 1}),
        "positive": frozenset({1}),
        "negative": frozenset({-1}),
    }
)
"""The tests, and the signs under which each holds."""


def signs_of(values: Sequence[int]) -> tuple[int, ...]:
    """-1, 0 or 1 for each number."""
    return tuple([(v > 0) - (v < 0) for v in values])


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
class CountingAutomaton:
    """A well-formed machine, trim or not.

    Args:
        alphabet: the symbols in order.
        counters: the counters in order, as :class:`Counter` or just names.
        initial: the control state that words begin in.
        transitions: ``transitions[state][symbol]`` is a :class:`Step`; where there is none the word dies.
        accepting: from accepting control states to the tests that must hold at the end of a word.

    Raises:
        CounterLanguageError: an unknown state, counter or test; a test that can never hold; a counter that could
            become negative without being signed.
        AlphabetError: an unusable symbol.
    """

    alphabet: tuple[str, ...]
    counters: tuple[Counter, ...]
    initial: str
    transitions: Mapping[str, Mapping[str, Step]]
    accepting: Mapping[str, Mapping[str, str]]

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

    # -- validation ----------------------------------------------------------------------------------------------

    def _check_counters(self) -> None:
        names = [c.name for c in self.counters]
        if not names:
            raise CounterLanguageError("a counter language needs at least one counter; without one give a Dfa")
        if len(set(names)) != len(names):
            raise CounterLanguageError(f"two counters share a name in {names}; give each its own")
        for c in self.counters:
            if not isinstance(c.name, str) or type(c.initial) is not int or type(c.signed) is not bool:
                raise CounterLanguageError(
                    f"counter {c.name!r}: give a name, a whole number to begin with, and true or false for signed"
                )
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

    # -- reading -------------------------------------------------------------------------------------------------

    def steps(self) -> Iterator[tuple[str, str, Step]]:
        """Every transition: state, symbol, step."""
        for state, row in self.transitions.items():
            for symbol, step in row.items():
                yield state, symbol, step

    @cached_property
    def states(self) -> tuple[str, ...]:
        """The control states that can be reached, the initial one first. O(states * letters)."""
        rows = self.transitions
        found, _ = numbered(self.initial, lambda q: [rows[q][a].to for a in self.alphabet if a in rows.get(q, {})])
        return tuple(found)

    @property
    def start(self) -> Configuration:
        """The configuration after the empty word."""
        return self.initial, tuple(c.initial for c in self.counters)

    def holds(self, tests: Mapping[str, str], values: Sequence[int]) -> bool:
        """Whether every test holds of these values."""
        signs = {c.name: sign for c, sign in zip(self.counters, signs_of(values), strict=True)}
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
