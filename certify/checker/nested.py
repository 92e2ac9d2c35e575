"""Languages with a control at each depth, read from JSON: nested languages, and bounded Dyck languages as such."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .languages import Language
from .parts import Bools, Ints, need

DEEPEST = 1 << 20
NOTHING = -1


class NestedLanguage(NamedTuple):
    """A level of the language as an automaton, and how levels are opened and closed; states and symbols are numbers.

    Attributes:
        symbols: the alphabet.
        depth: how many levels there may be inside the outermost one.
        root: the outermost level's first state.
        opened: per symbol the first state of the level that it opens; NOTHING if it opens none.
        table: per state and symbol the level's next state (once the level that is opened is closed); NOTHING if it may
            not come.
        closes: per state and symbol, whether it may close the level.
        accepting: per state, whether the word may end in it, at depth 0.
    """

    symbols: list[str]
    depth: int
    root: int
    opened: Ints
    table: Ints
    closes: Bools
    accepting: Bools

    @property
    def control(self) -> Language:
        """The language of all words: no block looks at a control."""
        alive = np.ones(1, dtype=bool)
        return Language(self.symbols, np.zeros((1, len(self.symbols)), dtype=np.int64), alive, alive)

    @property
    def adds(self) -> Ints:
        """What each symbol adds to the depth."""
        return (self.opened >= 0).astype(np.int64) - self.closes.any(axis=0)

    def completable(self, depth: int, inner: Bools) -> Bools:
        """Per state, whether a level at this depth can be closed from it (at depth 0: the word can be ended).

        O(states^2 * symbols).

        Args:
            depth: the depth.
            inner: the same one level deeper.
        """
        found: Bools = np.array(self.accepting if depth == 0 else self.closes.any(axis=1))
        usable = (self.table >= 0) & ((self.opened < 0) | inner[self.opened])
        while True:
            now: Bools = np.logical_or(found, (usable & found[self.table]).any(axis=1))
            if (now == found).all():
                return found
            found = now

    def allowed(self, depth: int, inner: Bools) -> Bools:
        """Per state, which symbols may come next at this depth, then whether the word may end; arguments as above."""
        inside = (self.table >= 0) & ((self.opened < 0) | inner[self.opened])
        ends = self.accepting & (depth == 0)
        return np.concatenate([inside | (self.closes & (depth > 0)), ends[:, None]], axis=1)


def read_nested(given: Any) -> NestedLanguage:
    """Read the JSON format of ``automata/nested/json.py``."""
    keys = {"alphabet", "depth", "root", "opens", "steps", "closes", "accepting"}
    need(type(given) is dict and set(given) == keys, "language: unknown keys")
    symbols, opens, steps, closes = given["alphabet"], given["opens"], given["steps"], given["closes"]
    need(symbols and all(type(s) is str for s in symbols) and len(set(symbols)) == len(symbols), "language: symbols")
    letter = {symbol: n for n, symbol in enumerate(symbols)}
    names = [given["root"], *opens.values(), *steps, *closes, *given["accepting"]]
    names += [target for row in steps.values() for target in row.values()]
    need(all(type(name) is str for name in names), "language: a state is no text")
    number = {name: n for n, name in enumerate(dict.fromkeys(names))}
    opened = np.full(len(symbols), NOTHING)
    table = np.full((len(number), len(symbols)), NOTHING)
    ends, accepting = np.zeros(table.shape, dtype=bool), np.zeros(len(number), dtype=bool)
    for symbol, state in opens.items():
        opened[letter[symbol]] = number[state]
    for state, row in steps.items():
        for symbol, target in row.items():
            table[number[state], letter[symbol]] = number[target]
    for state, row in closes.items():
        for symbol in row:
            ends[number[state], letter[symbol]] = True
    accepting[[number[state] for state in given["accepting"]]] = True
    return _checked(NestedLanguage(symbols, given["depth"], number[given["root"]], opened, table, ends, accepting))


def read_bounded_dyck(given: Any) -> NestedLanguage:
    """Read the JSON format of ``automata/bounded_dyck.py``: state 0 is the outermost level's, k that of kind k."""
    need(type(given) is dict and set(given) == {"brackets", "depth"}, "language: unknown keys")
    pairs = given["brackets"]
    need(pairs and all(type(p) is list and len(p) == 2 for p in pairs), "language: no pairs of brackets")
    symbols = [symbol for pair in pairs for symbol in pair]
    need(all(type(s) is str for s in symbols) and len(set(symbols)) == len(symbols), "language: a bracket occurs twice")
    kinds = np.arange(len(pairs))
    opened = np.full(len(symbols), NOTHING)
    opened[2 * kinds] = kinds + 1
    table = np.full((len(pairs) + 1, len(symbols)), NOTHING)
    table[:, 2 * kinds] = np.arange(len(pairs) + 1)[:, None]
    closes = np.zeros(table.shape, dtype=bool)
    closes[kinds + 1, 2 * kinds + 1] = True
    accepting = np.arange(len(pairs) + 1) == 0
    return _checked(NestedLanguage(symbols, given["depth"], 0, opened, table, closes, accepting))


def _checked(language: NestedLanguage) -> NestedLanguage:
    depth, closing = language.depth, language.closes.any(axis=0)
    need(type(depth) is int and 1 <= depth <= DEEPEST, f"language: depth {depth!r}")
    need(not (closing & (language.opened >= 0)).any(), "language: a symbol opens and closes")
    need(not (closing & (language.table >= 0).any(axis=0)).any(), "language: a closing symbol is also a step")
    return language
