"""Symbols per second of the vectorised acceptor beside three plain ways, on the same batch in the same run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from page.table import Column, Json, code, short, table, yes
from page.targets import Target
from timings.measure import Measured, Tick, best_of, each

from scancraft.automata.acceptor import Acceptor
from scancraft.automata.dfa import Dfa
from scancraft.automata.families import d_n, dyck, flip_flop, tomita

RATIO = 50.0
"""The target: so many times as fast as each plain way."""


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


def measure(size: Size, tick: Tick) -> Measured:
    named = [("Tomita-4", tomita(4)), ("D-12", d_n(12)), ("Flip-flop", flip_flop()), ("Dyck_{2,7}", dyck(2, 7))]
    rates: list[Json] = []
    dead = {}
    for name, dfa in each(named, tick):
        found, dead[name] = _language(name, dfa, size)
        rates += found
    return Measured({"rates": rates, "dead": dead})


def _language(name: str, dfa: Dfa, size: Size) -> tuple[list[Json], float]:
    """Symbols per second for each task, and the share of the words that end in the dead state."""
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
        facts = {"language": name, "states": dfa.n_states, "letters": len(dfa.alphabet), "task": task}
        facts |= {"numbers_loop": loop, "strings_loop": strings_loop, "dfa": of_dfa}
        first, _ = rate(1, partial(_first_call, dfa, run), expected)
        again, _ = rate(size.repeats, partial(run, Acceptor.of(dfa)), expected)
        rates.append(facts | {"first": first, "acceptor": again})
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


# -- the page --------------------------------------------------------------------------------------------------------

PAIRINGS = (
    ("accepts, encoded words", "numbers_loop", "(a), the loop over numbers"),
    ("accepts, plain strings", "strings_loop", "(b), the loop over strings"),
    ("accepts, plain strings", "dfa", "(c), `Dfa.accepts`"),
    ("states, encoded words", "numbers_loop", "(a), the loop over numbers, keeping states"),
)
"""Task of the acceptor, plain way with the same input, and its description."""

WAYS = {"numbers_loop": "(a)", "strings_loop": "(b)", "dfa": "(c)"}


def _millions(rate: float) -> str:
    return short(rate / 1e6)


def _times(way: str) -> Callable[[Json], float]:
    return lambda row: float(row["acceptor"] / row[way])


RATES = (
    Column("language", show=code),
    *("states", "letters", "task"),
    *(Column(head, way, _millions) for way, head in WAYS.items()),
    Column("first call", "first", _millions),
    Column("acceptor", show=_millions),
    *(Column(f"/ {head}", _times(way)) for way, head in WAYS.items()),
)


def _ratios(result: Json, task: str, way: str) -> dict[str, float]:
    return {row["language"]: _times(way)(row) for row in result["rates"] if row["task"] == task}


def targets(size: Json, result: Json) -> list[Target]:
    found = []
    for task, way, description in PAIRINGS:
        ratios = sorted((ratio, name) for name, ratio in _ratios(result, task, way).items())
        told = " to ".join(f"{short(ratio)} times ({code(name)})" for ratio, name in (ratios[0], ratios[-1]))
        what = f"acceptor ({task}) against {description}"
        found.append(Target(what, f"at least {RATIO:g} times", told, ratios[0][0] >= RATIO))
    return found


def parts(size: Json, result: Json) -> Json:
    pairings = [
        {"pairing": f"{task}, against {description}"} | _ratios(result, task, way)
        for task, way, description in PAIRINGS
    ]
    ratio = partial(Column, show=lambda value: f"{short(value)}: {yes(value >= RATIO)}")
    return {
        "target": RATIO,
        "dead": ", ".join(f"{code(name)} {share:.0%}" for name, share in result["dead"].items()),
        "pairings": table(pairings, ("pairing", *(ratio(code(name), name) for name in result["dead"]))),
        "rates": table(result["rates"], RATES),
    }
