"""Seeded random subregular languages: strictly local, strictly piecewise, locally and piecewise testable, tier-based.

A draw has an alphabet of 2 to 8 letters and up to four *patterns* of up to 4 letters. As factors they are
looked for side by side, as subsequences with letters in between, on a *tier* with the letters outside it left out.
Strictly local, piecewise and tier-based languages forbid the patterns; testable ones accept by which patterns have
occurred, by a random Boolean function. A draw is kept iff its minimal DFA has 2 to 40 states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import NamedTuple

import numpy as np

from scancraft.automata.dfa import Dfa
from scancraft.automata.search import numbered

KINDS = ("strictly local", "strictly piecewise", "locally testable", "piecewise testable", "tier-based")
MOST_STATES = 40


class State(NamedTuple):
    last: str  # the last letters, of the tier where there is one
    seen: tuple[int, ...]  # of each pattern the letters matched so far (subsequences), or whether it occurred (factors)


def _step(kind: str, patterns: tuple[str, ...], tier: str) -> Callable[[State, str], State | None]:
    longest = max(map(len, patterns))

    def factors(state: State, symbol: str) -> State | None:
        if symbol not in tier:
            return state
        text = state.last + symbol
        seen = tuple(int(s or text.endswith(p)) for s, p in zip(state.seen, patterns, strict=True))
        if kind != "locally testable" and any(seen):
            return None
        return State(text[-(longest - 1) :] if longest > 1 else "", seen)

    def subsequences(state: State, symbol: str) -> State | None:
        pairs = zip(state.seen, patterns, strict=True)
        seen = tuple(n + (n < len(p) and p[n] == symbol) for n, p in pairs)
        if kind == "strictly piecewise" and any(n == len(p) for n, p in zip(seen, patterns, strict=True)):
            return None
        return State("", seen)

    return subsequences if "piecewise" in kind else factors


def _draw(kind: str, rng: np.random.Generator) -> Dfa:
    alphabet = "abcdefgh"[: int(rng.integers(2, 9))]
    n, longest = int(rng.integers(1, 5)), int(rng.integers(2, 5))
    if "testable" in kind:
        n, longest = min(n, 3), min(longest, 3 if len(alphabet) > 3 else 4)
    tier = alphabet
    if kind == "tier-based":
        tier = "".join(a for a in alphabet if rng.random() < 0.6) or alphabet[0]
    patterns = tuple("".join(rng.choice(list(tier), int(rng.integers(1, longest + 1)))) for _ in range(n))
    accepted = rng.random(2**n) < 0.5

    def accepts(state: State) -> bool:
        if "testable" not in kind:
            return True
        done = [s == len(p) if "piecewise" in kind else bool(s) for s, p in zip(state.seen, patterns, strict=True)]
        return bool(accepted[sum(1 << i for i, hit in enumerate(done) if hit)])

    step = _step(kind, patterns, tier)
    start: State | None = State("", (0,) * n)
    states, table = numbered(start, lambda state: [None if state is None else step(state, a) for a in alphabet])
    goals = [i for i, state in enumerate(states) if state is not None and accepts(state)]
    return Dfa.from_table(alphabet, table, 0, goals)


def subregular(kind: str, seed: int) -> Dfa:
    """The first kept draw of the kind with this seed."""
    rng = np.random.default_rng([KINDS.index(kind), seed])
    for _ in count():
        dfa = _draw(kind, rng)
        if 2 <= dfa.n_states <= MOST_STATES:
            return dfa
    raise AssertionError("unreachable")


def subregular_languages(seeds: int) -> Iterator[tuple[str, str, Dfa]]:
    """Name, kind, and DFA: so many seeds of each kind."""
    for kind in KINDS:
        for seed in range(seeds):
            yield f"{kind}, seed {seed}", kind, subregular(kind, seed)
