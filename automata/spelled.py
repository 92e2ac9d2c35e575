"""A language over characters, read by tokens that each spell several: a token acts as all that it spells, in a row.

Everything is done in bytes, since a token may end within a character. States between the bytes of a character are added
and the language is minimised over the tokens; all tokens that lead nowhere act alike then, and are one class.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .budget import DEFAULT_BUDGET, Budget
from .dfa import Dfa
from .errors import AlphabetError, BudgetExceededError, EmptyLanguageError

Units = Literal["characters", "bytes"]

BYTES = 256
MOST_TRANSITIONS = 50_000_000
"""Of all states with all tokens: gigabytes."""


def by_tokens(
    dfa: Dfa, tokens: Mapping[str, bytes], units: Units = "characters", budget: Budget = DEFAULT_BUDGET
) -> Dfa:
    """The words over tokens that together spell a word of a language. O(states * bytes of all tokens).

    Args:
        dfa: over single characters.
        tokens: what each token spells; one that spells nothing leaves every state as it is.
        units: whether the text's characters in UTF-8 are read, or its bytes, each the symbol of that number (U+0000 to
            U+00FF).
        budget: how many states there may be.

    Raises:
        AlphabetError: a symbol of several characters, or past U+00FF for bytes.
        EmptyLanguageError: no row of tokens spells a word of the language.
        BudgetExceededError: too many transitions.

    >>> words = by_tokens(Dfa.from_words("ab", ["ab", "aab"]), {"a": b"a", "ab": b"ab", "ba": b"ba"})
    >>> sorted(words.words(3))
    [('a', 'ab'), ('ab',)]
    """
    table = _over_bytes(dfa, units)
    meter = budget.meter("states")
    if (transitions := dfa.n_states * len(tokens)) > MOST_TRANSITIONS:
        raise BudgetExceededError("transitions of tokens", transitions, MOST_TRANSITIONS)
    after: dict[bytes, NDArray[np.intp]] = {b"": np.arange(len(table))}
    columns = []
    for text in tokens.values():
        meter.check_time()
        columns.append(_walked(table, text, after)[: dfa.n_states])
    # A token that ends within a character leads to a state behind those of the language, where more bytes may come.
    reached = sorted({int(q) for column in columns for q in column if q > dfa.n_states})
    todo, seen = list(reached), set(reached)
    rows = dict(enumerate(np.stack(columns, axis=1).tolist())) if columns else {}
    while todo:
        q = todo.pop()
        meter.tick()
        rows[q] = [int(_walked(table, text, after)[q]) for text in tokens.values()]
        new = {t for t in rows[q] if t > dfa.n_states} - seen
        seen |= new
        todo += new
    dead = dfa.n_states
    rows[dead] = [dead] * len(tokens)
    number = {q: n for n, q in enumerate(rows)}
    found = Dfa.from_table(
        tuple(tokens), [[number[t] for t in row] for row in rows.values()], 0, dfa.accepting, clock=meter
    )
    if found.is_empty() and not dfa.is_empty():
        raise EmptyLanguageError("no tokens of this vocabulary spell a word of the language")
    return found


def _walked(table: NDArray[np.intp], text: bytes, after: dict[bytes, NDArray[np.intp]]) -> NDArray[np.intp]:
    """Where bytes lead each state; what prefixes do is remembered."""
    for end in range(len(text), -1, -1):
        if (states := after.get(text[:end])) is not None:
            break
    assert states is not None, "the empty text leads nowhere else"
    for place in range(end, len(text)):
        states = after[text[: place + 1]] = table[states, text[place]]
    return states


def _over_bytes(dfa: Dfa, units: Units) -> NDArray[np.intp]:
    """The transitions over bytes: the states of the language, a dead one, then those within characters."""
    dead = dfa.n_states
    rows = [[dead] * BYTES for _ in range(dead + 1)]
    inside: dict[tuple[int, bytes], int] = {}
    for a, symbol in enumerate(dfa.alphabet):
        if len(symbol) != 1 or (units == "bytes" and ord(symbol) >= BYTES):
            raise AlphabetError(
                f"symbol {symbol!r} is no {'byte' if units == 'bytes' else 'character'}; tokens spell {units} only"
            )
        spelt = symbol.encode("latin-1" if units == "bytes" else "utf-8")
        for q in range(dead):
            here = q
            for n in range(1, len(spelt)):
                place = q, spelt[:n]
                if place not in inside:
                    inside[place] = len(rows)
                    rows.append([dead] * BYTES)
                    rows[here][spelt[n - 1]] = inside[place]
                here = inside[place]
            rows[here][spelt[-1]] = dfa.table[q][a]
    return np.array(rows, dtype=np.intp)
