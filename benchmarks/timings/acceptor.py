"""Symbols per second of the vectorised acceptor beside three plain ways, on the same batch in the same run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from timings.measure import Tick, best_of

from scancraft.automata.acceptor import Acceptor
from scancraft.automata.dfa import Dfa
from scancraft.automata.families import d_n, dyck, flip_flop, tomita


@dataclass(frozen=True)
class Size:
    """Shape of the batch, of uniformly random words, and how often it is run (the best time counts)."""

    words: int = 1_000
    length: int = 1_000
    repeats: int = 30
    loop_repeats: int = 5
    seed: int = 0


FULL = Size()
QUICK = Size(words=20, length=50, repeats=2, loop_repeats=1)


@dataclass(frozen=True)
class Rate:
    """One task on one language, in symbols per second.

    ``numbers_loop``, ``strings_loop`` and ``dfa`` are the three plain ways, measured in the same run; all give
    verdicts, but that beside the task "states" the first keeps all states too. ``first`` is the rate of the first
    call of a new acceptor, its construction and tables included.
    """

    language: str
    states: int
    letters: int
    task: str
    numbers_loop: float
    strings_loop: float
    dfa: float
    first: float
    acceptor: float


@dataclass(frozen=True)
class Result:
    """``dead``: for each language, the share of the words that end in the dead state."""

    rates: tuple[Rate, ...]
    dead: dict[str, float]


def measure(size: Size, tick: Tick) -> Result:
    named = [("Tomita-4", tomita(4)), ("D-12", d_n(12)), ("Flip-flop", flip_flop()), ("Dyck_{2,7}", dyck(2, 7))]
    rates, dead = [], {}
    for done, (name, dfa) in enumerate(named):
        tick(done, len(named), name)
        found, dead[name] = _language(name, dfa, size)
        rates += found
    return Result(tuple(rates), dead)


def _language(name: str, dfa: Dfa, size: Size) -> tuple[list[Rate], float]:
    rng = np.random.default_rng(size.seed)
    codes = rng.integers(len(dfa.alphabet), size=(size.words, size.length)).astype(np.uint8)
    numbers: list[list[int]] = codes.tolist()
    strings = ["".join(dfa.alphabet[a] for a in word) for word in numbers]
    table, accepting = dfa.semiautomaton.table, dfa.accepting
    lists = [list(row) for row in table]
    transitions = {q: dict(zip(dfa.alphabet, row, strict=True)) for q, row in enumerate(table)}

    def rate(repeats: int, work: Callable[[], Any], expected: object = None) -> tuple[float, Any]:
        seconds, found = best_of(repeats, work)
        if expected is not None and (found.tolist() if isinstance(found, np.ndarray) else found) != expected:
            raise RuntimeError(f"two ways disagree on {name}")
        return codes.size / seconds, found

    loops = size.loop_repeats
    numbers_loop, verdicts = rate(loops, lambda: loop_accepts(lists, accepting, numbers))
    strings_loop, _ = rate(loops, lambda: loop_accepts(transitions, accepting, strings), verdicts)
    of_dfa, _ = rate(loops, lambda: [dfa.accepts(word) for word in strings], verdicts)
    states_loop, visited = rate(loops, lambda: loop_states(lists, numbers))
    tasks: list[tuple[str, float, object, Callable[[Acceptor], Any]]] = [
        ("accepts, encoded words", numbers_loop, verdicts, lambda a: a.accepts(codes)),
        ("accepts, plain strings", numbers_loop, verdicts, lambda a: a.accepts(strings)),
        ("states, encoded words", states_loop, visited, lambda a: a.states(codes)),
    ]
    rates = []
    for task, loop, expected, run in tasks:
        first, _ = rate(1, partial(_first_call, dfa, run), expected)
        again, _ = rate(size.repeats, partial(run, Acceptor.of(dfa)), expected)
        rates.append(Rate(name, dfa.n_states, len(dfa.alphabet), task, loop, strings_loop, of_dfa, first, again))
    return rates, sum(states[-1] == dfa.dead for states in visited) / len(visited)


def _first_call(dfa: Dfa, run: Callable[[Acceptor], Any]) -> Any:
    return run(Acceptor.of(dfa))


def loop_accepts(table: Any, accepting: frozenset[int], words: Sequence[Sequence[Any]]) -> list[bool]:
    """One look-up per symbol, in a table by state and symbol: lists, or dicts. The initial state is 0."""
    verdicts = []
    for word in words:
        state = 0
        for symbol in word:
            state = table[state][symbol]
        verdicts.append(state in accepting)
    return verdicts


def loop_states(table: Sequence[Sequence[int]], words: Sequence[Sequence[int]]) -> list[list[int]]:
    """The same, keeping the state after every prefix."""
    visited = []
    for word in words:
        state = 0
        states = [state]
        for letter in word:
            state = table[state][letter]
            states.append(state)
        visited.append(states)
    return visited
