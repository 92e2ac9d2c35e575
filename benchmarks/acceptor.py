"""Symbols per second of the vectorised acceptor beside a per-symbol Python loop, on the same batch in the same run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from measure import Tick, best_of
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

    ``first`` is the rate of the first call of a new acceptor, its construction and tables included.
    """

    language: str
    states: int
    letters: int
    task: str
    loop: float
    first: float
    acceptor: float

    @property
    def ratio(self) -> float:
        return self.acceptor / self.loop


@dataclass(frozen=True)
class Result:
    rates: tuple[Rate, ...]


def measure(size: Size, tick: Tick) -> Result:
    named = [("Tomita-4", tomita(4)), ("D-12", d_n(12)), ("Flip-flop", flip_flop()), ("Dyck_{2,7}", dyck(2, 7))]
    rates = []
    for done, (name, dfa) in enumerate(named):
        tick(done, len(named), name)
        rates += _language(name, dfa, size)
    return Result(tuple(rates))


def _language(name: str, dfa: Dfa, size: Size) -> list[Rate]:
    rng = np.random.default_rng(size.seed)
    codes = rng.integers(len(dfa.alphabet), size=(size.words, size.length)).astype(np.uint8)
    numbers: list[list[int]] = codes.tolist()
    strings = ["".join(dfa.alphabet[a] for a in word) for word in numbers]
    table, accepting = dfa.semiautomaton.table, dfa.accepting
    moves = [dict(zip(dfa.alphabet, row, strict=True)) for row in table]
    tasks: list[tuple[str, Callable[[], Any], Callable[[Acceptor], Any]]] = [
        ("accepts, encoded words", lambda: loop_accepts(table, accepting, numbers), lambda a: a.accepts(codes)),
        ("states, encoded words", lambda: loop_states(table, numbers), lambda a: a.states(codes)),
        ("accepts, plain strings", lambda: loop_accepts(moves, accepting, strings), lambda a: a.accepts(strings)),
    ]
    rates = []
    for task, loop, vectorised in tasks:
        loop_seconds, expected = best_of(size.loop_repeats, loop)
        first_seconds, _ = best_of(1, partial(_first_call, dfa, vectorised))
        seconds, found = best_of(size.repeats, partial(vectorised, Acceptor.of(dfa)))
        if found.tolist() != expected:
            raise RuntimeError(f"the acceptor and the loop disagree on {name} ({task})")
        times = (codes.size / t for t in (loop_seconds, first_seconds, seconds))
        rates.append(Rate(name, dfa.n_states, len(dfa.alphabet), task, *times))
    return rates


def _first_call(dfa: Dfa, run: Callable[[Acceptor], Any]) -> Any:
    return run(Acceptor.of(dfa))


def loop_accepts(table: Sequence[Any], accepting: frozenset[int], words: Sequence[Sequence[Any]]) -> list[bool]:
    """The plain way: one look-up per symbol. The initial state is 0."""
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
