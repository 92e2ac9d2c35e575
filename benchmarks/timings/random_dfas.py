"""Seeded random minimal DFAs with an exact number of states.

- *order-preserving*: each letter is a uniformly random map of the points 0..n-1, sorted. Products of monotone maps are
  monotone, and a monotone map permutes nothing, so the language is star-free.
- *reset cascade*: coordinates of 2 or 3 values; a coordinate's action depends on the letter and the coordinates above
  it, and is the identity (half of the time) or a reset to a random value. Star-free by Krohn and Rhodes.
- *turning cascade*: the same, but one action in twenty adds 1 to the coordinate, modulo its number of values. Not
  star-free as a rule, with witnesses that need the right context.
- *uniform*: every entry of the table is uniformly random. Hardly ever star-free.

Every state accepts with probability 1/2. A draw is kept iff its minimal complete DFA has exactly as many states as
asked for; the first state is the start, except that order-preserving draws start at a random point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count, product
from math import prod

import numpy as np

from scancraft.automata.dfa import Dfa

Table = list[list[int]]
Draw = tuple[Table, int]
"""A table and its initial state."""

TURNS = 1 / 20


def order_preserving_letters(states: int, letters: int, rng: np.random.Generator) -> Draw:
    maps = np.sort(rng.integers(states, size=(letters, states)), axis=1)
    return maps.T.tolist(), int(rng.integers(states))


def uniform(states: int, letters: int, rng: np.random.Generator) -> Draw:
    return rng.integers(states, size=(states, letters)).tolist(), 0


def reset_cascade(states: int, letters: int, rng: np.random.Generator, turns: float = 0.0) -> Draw:
    """Reachable product states are numbered breadth first; actions are drawn when they are first needed."""
    widths: list[int] = []
    while prod(widths) < states:
        widths.append(int(rng.integers(2, 4)))
    if rng.random() < 0.5:  # room to spare, since not every product state is reachable and distinguishable
        widths.append(2)
    actions: dict[tuple[tuple[int, ...], int], Callable[[int], int]] = {}

    def action(width: int) -> Callable[[int], int]:
        kind, value = rng.random(), int(rng.integers(width))
        if kind < turns:
            return lambda x: (x + 1) % width
        return (lambda x: x) if kind < (1 + turns) / 2 else (lambda x: value)

    def step(state: tuple[int, ...], letter: int) -> tuple[int, ...]:
        after = []
        for level, width in enumerate(widths):
            context = (state[:level], letter)
            if context not in actions:
                actions[context] = action(width)
            after.append(actions[context](state[level]))
        return tuple(after)

    start = (0,) * len(widths)
    number, queue, table = {start: 0}, [start], []
    for state in queue:
        row = []
        for letter in range(letters):
            target = step(state, letter)
            if target not in number:
                number[target] = len(queue)
                queue.append(target)
            row.append(number[target])
        table.append(row)
    return table, 0


def turning_cascade(states: int, letters: int, rng: np.random.Generator) -> Draw:
    return reset_cascade(states, letters, rng, TURNS)


GENERATORS: dict[str, Callable[[int, int, np.random.Generator], Draw]] = {
    "order-preserving": order_preserving_letters,
    "reset cascade": reset_cascade,
    "turning cascade": turning_cascade,
    "uniform": uniform,
}

STAR_FREE = ("order-preserving", "reset cascade")
"""The generators whose languages are star-free by construction."""


def random_dfa(generator: str, states: int, letters: int, seed: int) -> Dfa:
    """The first kept draw of the generator with this seed."""
    rng = np.random.default_rng([sorted(GENERATORS).index(generator), states, letters, seed])
    draw = GENERATORS[generator]
    for _ in count():
        table, initial = draw(states, letters, rng)
        accepting = np.flatnonzero(rng.random(len(table)) < 0.5).tolist()
        # Reachability is checked first: it is cheap, and most draws fail it.
        if _reachable(table, initial) >= states:
            dfa = Dfa.from_table("abcdefgh"[:letters], table, initial, accepting)
            if dfa.n_states == states:
                return dfa
    raise AssertionError("unreachable")


def star_free_dfas(states: Iterable[int], seeds: int) -> Iterator[tuple[str, str, int, Dfa]]:
    """Name, generator, number of states, and DFA: so many seeds each, over 2 and 3 letters in turn."""
    for generator, n, seed in product(STAR_FREE, states, range(seeds)):
        yield f"{generator}, {n} states, seed {seed}", generator, n, random_dfa(generator, n, 2 + seed % 2, seed)


def _reachable(table: Table, initial: int) -> int:
    """How many states can be reached."""
    queue, seen = [initial], {initial}
    for q in queue:
        fresh = set(table[q]) - seen
        seen |= fresh
        queue.extend(sorted(fresh))
    return len(queue)
