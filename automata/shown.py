"""Words and states as messages show them."""

from __future__ import annotations

from collections.abc import Sequence

from .alphabet import format_word, is_spaced

MOST_NAMES = 14
"""Longer lists of states are cut in the middle."""

MOST_SYMBOLS = 60
"""Longer words are cut at the end."""


def shown_word(word: tuple[str, ...], alphabet: Sequence[str]) -> str:
    """A word in quotation marks; of a long one the beginning and the length."""
    if len(word) <= MOST_SYMBOLS:
        return f'"{format_word(word, alphabet)}"'
    space = " " if is_spaced(alphabet) else ""
    return f'"{format_word(word[: MOST_SYMBOLS - 20], alphabet)}{space}..." ({len(word):,} symbols)'


def shown_states(names: Sequence[str], between: str = ", ") -> str:
    """Names of states in a row; of many the first and the last ones."""
    few = names if len(names) <= MOST_NAMES else [*names[:6], "...", *names[-6:]]
    return between.join(few)


def shown_cycle(word: tuple[str, ...], names: Sequence[str], alphabet: Sequence[str]) -> str:
    """What a word does to the states that it permutes, in their order."""
    states = shown_states([*names, names[0]], " -> ")
    return f"the word {shown_word(word, alphabet)} permutes the states {states} with period {len(names)}"
