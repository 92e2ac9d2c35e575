"""The sentences that say why a language needs the gates it needs."""

from __future__ import annotations

from collections.abc import Sequence

from ..shown import shown_cycle
from .aperiodic import Witness


def star_free() -> str:
    """Why nonnegative gates suffice."""
    return (
        "no word permutes states of the minimal DFA, so the language is star-free, and gates in [0, 1] suffice "
        "(Sarrof, Veitsman and Hahn 2024, theorem 4)"
    )


def signed(witness: Witness, alphabet: Sequence[str]) -> str:
    """Why nonnegative gates do not suffice and gates of -1, 0 and 1 do."""
    return (
        f"{shown_cycle(witness.word, witness.names, alphabet)}, so the language is not star-free, and gates in [0, 1] "
        "do not suffice (Sarrof, Veitsman and Hahn 2024, theorem 4); but all groups in its syntactic monoid are "
        "2-groups, so gates in {-1, 0, 1} do (Krohn and Rhodes 1965: a cascade of memories and negations)"
    )


def complex_gates(witness: Witness, alphabet: Sequence[str]) -> str:
    """Why real gates do not suffice and complex ones do."""
    return (
        f"{shown_cycle(witness.word, witness.names, alphabet)}, and gates in [-1, 1] count modulo powers of two only "
        "(Grazzi et al. 2024, arXiv 2411.12537); but all groups in its syntactic monoid are solvable, so complex "
        "gates, 0 or roots of unity, suffice (Krohn and Rhodes 1965; Shakerinava et al. 2026, arXiv 2603.01959)"
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
