"""Formulas of temporal logic as languages: a past formula that says the same where one is known, else a DFA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ..alphabet import check_alphabet
from ..budget import DEFAULT_BUDGET, Budget
from ..dfa import Dfa
from ..errors import AlphabetError, LtlSyntaxError, UnknownSymbolError
from ..regex.parser import located
from .future import future_dfa
from .parser import parse_formula
from .past import PastLtl
from .translate import NotPastError, is_past, past_ltl
from .tree import FUTURE, PAST, Atom, Formula, Operation, walk

Position = Literal["first", "last"]


def ltl(
    text: str,
    alphabet: Sequence[str] | None = None,
    budget: Budget = DEFAULT_BUDGET,
    *,
    at: Position | None = None,
) -> Dfa | PastLtl:
    """The language of a formula of LTLf or past LTL, whose atoms are the letters of the alphabet.

    A word is in it if the formula holds at its first position, or, if the formula has past operators and no future
    ones, at its last. (On the empty word see :mod:`.truth`.)

    Args:
        text: the formula (:func:`.parse_formula`).
        alphabet: the letters; without it, those that the formula names, sorted.
        budget: for the automaton, and for the search of a past formula.
        at: "first" or "last" insists on where the formula is judged.

    Returns:
        A :class:`.PastLtl`, which is compiled directly, where a past formula that says the same is known; else the DFA.

    Raises:
        LtlSyntaxError: no formula, or a future operator inside a past one.
        UnknownSymbolError: an atom that is no letter.
        AlphabetError: no alphabet is given, and no atom.
        BudgetExceededError: there is only the DFA, and it is too large.

    >>> print(ltl("G(request -> F grant)", ["request", "grant", "other"]))
    !(!grant S request)
    """
    formula = parse_formula(text)
    _check_mixture(formula, text)
    names = sorted({part.name for part in walk(formula) if isinstance(part, Atom)})
    if alphabet is None and not names:
        raise AlphabetError("the formula names no letter; give an alphabet")
    symbols = check_alphabet(names if alphabet is None else alphabet)
    for name in names:
        if name not in symbols:
            raise UnknownSymbolError(
                f"the formula names the letter {name!r}, which is not in the alphabet {{{', '.join(symbols)}}}; add it "
                "to the alphabet or remove it from the formula"
            )
    letters = {name: frozenset({name}) for name in names}
    judged = at or judged_at(formula)
    try:
        return past_ltl(formula, symbols, letters, judged, budget).told("ltl", text)
    except NotPastError:
        return future_dfa(formula, symbols, letters, budget).told("ltl", text)


def parse_ltl(
    text: str, alphabet: Sequence[str] | None = None, budget: Budget = DEFAULT_BUDGET, *, at: Position | None = None
) -> Dfa:
    """The language of a formula as its minimal DFA; see :func:`ltl`.

    >>> parse_ltl("G(a -> F b)").n_states, parse_ltl("a S b").accepts("aba")
    (2, True)

    Raises:
        BudgetExceededError: the DFA is too large.
        ScancraftError: see :func:`ltl`.
    """
    language = ltl(text, alphabet, budget, at=at)
    return language if isinstance(language, Dfa) else language.dfa(budget)


def judged_at(formula: Formula) -> Position:
    """Where a formula is judged: at the last position if it looks back and not ahead, else at the first."""
    looks_back = any(isinstance(part, Operation) and part.operator in PAST for part in walk(formula))
    return "last" if looks_back and is_past(formula) else "first"


def _check_mixture(formula: Formula, text: str) -> None:
    """Raise :class:`LtlSyntaxError` at a future operator inside a past one."""
    for part in walk(formula):
        if isinstance(part, Operation) and part.operator in PAST and not is_past(part):
            inner = next((p for p in walk(part) if isinstance(p, Operation) and p.operator in FUTURE), part)
            name = FUTURE.get(inner.operator, "last")
            reason = f"{name!r} inside {PAST[part.operator]!r}: a future operator inside a past one is not supported"
            raise LtlSyntaxError(located(text, max(0, inner.column - 1), reason))
