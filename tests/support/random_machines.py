"""Random counter machines that are trim and have a star-free control, for the tests of counters."""

from __future__ import annotations

import random
from collections.abc import Iterator

from scancraft import Counter, CounterMachine, Step
from scancraft.automata.decide.aperiodic import find_permutation
from scancraft.automata.errors import CounterLanguageError
from scancraft.compiler.circuits.counting import control_of


def random_machines(count: int, seed: int) -> Iterator[CounterMachine]:
    """So many different ones; most draws are not trim, and are drawn again."""
    rng = random.Random(seed)
    seen: set[str] = set()
    while len(seen) < count:
        machine = _draw(rng)
        if machine is None or str(machine) in seen:
            continue
        if find_permutation(control_of(machine).semiautomaton) is not None:
            continue
        seen.add(str(machine))
        yield machine


def _draw(rng: random.Random) -> CounterMachine | None:
    counters = tuple(
        Counter(f"c{i}", rng.choice((0, 0, 1, 2)), signed=rng.random() < 0.4) for i in range(rng.choice((1, 1, 2)))
    )
    states = ["p", "q", "r"][: rng.choice((1, 2, 2, 3))]
    alphabet = tuple("abc"[: rng.choice((2, 3))])
    transitions: dict[str, dict[str, Step]] = {q: {} for q in states}
    for state in states:
        for symbol in alphabet:
            if rng.random() < 0.8:
                transitions[state][symbol] = _step(rng, states, counters)
    accepting = {}
    for state in states:
        if rng.random() < 0.7:
            accepting[state] = {c.name: "zero" for c in counters if rng.random() < 0.7}
    try:
        return CounterMachine(alphabet, counters, states[0], transitions, accepting)
    except CounterLanguageError:
        return None


def _step(rng: random.Random, states: list[str], counters: tuple[Counter, ...]) -> Step:
    add, when = {}, {}
    for c in counters:
        amount = rng.choice((-2, -1, -1, 0, 1, 1, 2) if c.signed else (-1, -1, 0, 1, 1, 2))
        if amount:
            add[c.name] = amount
        if amount < 0 and not c.signed:
            when[c.name] = "positive"
        elif rng.random() < 0.3:
            tests = ("zero", "nonzero", "positive", "negative") if c.signed else ("zero", "nonzero", "positive")
            when[c.name] = rng.choice(tests)
    return Step(rng.choice(states), add, when)
