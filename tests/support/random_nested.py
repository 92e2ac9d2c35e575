"""Random nested languages, small enough for all their short words to be tried."""

from __future__ import annotations

import random
from collections.abc import Iterator

from scancraft import LanguageFormatError, NestedLanguage


def random_nested(count: int, seed: int) -> list[NestedLanguage]:
    """Languages with one or two kinds of levels, at most four states and two symbols besides the brackets."""
    rng, found = random.Random(seed), list[NestedLanguage]()
    while len(found) < count:
        found.extend(_attempt(rng))
    return found


def _attempt(rng: random.Random) -> Iterator[NestedLanguage]:
    pairs = ["()", "[]"][: rng.randint(1, 2)]
    inner, states = list("ab")[: rng.randint(0, 2)], [f"s{i}" for i in range(rng.randint(1, 4))]
    opens = {pair[0]: rng.choice(states) for pair in pairs}
    symbols = [*opens, *inner]
    steps = {q: {a: rng.choice(states) for a in symbols if rng.random() < 0.6} for q in states}
    closes = {q: [pair[1] for pair in pairs if rng.random() < 0.5] for q in states}
    accepting = [q for q in states if rng.random() < 0.5]
    try:
        language = NestedLanguage.of(rng.randint(1, 3), states[0], opens, steps, closes, accepting)
    except LanguageFormatError:
        return
    if len(language.states) > 1 or rng.random() < 0.1:
        yield language
