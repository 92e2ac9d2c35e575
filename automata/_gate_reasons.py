"""The sentences that say why a language needs the gates it needs."""

from __future__ import annotations

from collections.abc import Sequence

from .alphabet import format_word, is_spaced
from .aperiodic import Witness

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


def star_free() -> str:
    """Why nonnegative gates suffice."""
    return (
        "no word permutes states of the minimal DFA, so the language is star-free, and gates in [0, 1] suffice "
        "(Sarrof, Veitsman and Hahn 2024, theorem 4)"
    )


def signed(witness: Witness, alphabet: Sequence[str]) -> str:
    """Why nonnegative gates do not suffice and gates of -1, 0 and 1 do."""
    return (
        f"{_permutes(witness, alphabet)}, so the language is not star-free, and gates in [0, 1] do not suffice "
        "(Sarrof, Veitsman and Hahn 2024, theorem 4); but all groups in its syntactic monoid are 2-groups, so gates "
        "in {-1, 0, 1} do (Krohn and Rhodes 1965: a cascade of memories and negations)"
    )


def complex_gates(witness: Witness, alphabet: Sequence[str]) -> str:
    """Why real gates do not suffice and complex ones do."""
    return (
        f"{_permutes(witness, alphabet)}, and gates in [-1, 1] count modulo powers of two only (Grazzi et al. 2024, "
        "arXiv 2411.12537); but all groups in its syntactic monoid are solvable, so complex gates, 0 or roots of "
        "unity, suffice (Krohn and Rhodes 1965; Shakerinava et al. 2026, arXiv 2603.01959)"
    )


def unsolvable(group: str, simple: Sequence[str]) -> str:
    """Why no diagonal gates suffice."""
    factors = " and ".join(dict.fromkeys(simple))
    return (
        f"words generate {group}, which is not solvable, having the composition factor {factors}; no number of layers "
        "with diagonal gates tracks such a group at finite precision (Shakerinava et al. 2026, arXiv 2603.01959), and "
        "none of fixed depth recognises the language unless TC0 = NC1 (Barrington 1989; Merrill, Petty and Sabharwal "
        "2024, arXiv 2404.08819)"
    )


def _permutes(witness: Witness, alphabet: Sequence[str]) -> str:
    states = shown_states([*witness.names, witness.names[0]], " -> ")
    return f"the word {shown_word(witness.word, alphabet)} permutes the states {states} with period {witness.period}"
