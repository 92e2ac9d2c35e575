"""Formulas of temporal logic as languages: a past formula that says the same where one is known, else a DFA."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from ..alphabet import check_alphabet
from ..budget import DEFAULT_BUDGET, Budget
from ..dfa import Dfa
from ..errors import AlphabetError, BudgetExceededError, LtlSyntaxError, UnknownSymbolError
from ..regex.parser import located
from .future import future_dfa
from .parser import parse_formula
from .past import PastLtl
from .propositions import Propositions, propositions_of
from .translate import NotPastError, past_ltl
from .tree import FUTURE, PAST, Atom, Formula, Operation, looks_ahead, walk

Position = Literal["first", "last"]

MOST_STEPS = 20_000
"""Of the search of a past formula that says the same as a future one, before it goes by the automaton."""


def ltl(
    text: str,
    alphabet: Sequence[str] | None = None,
    budget: Budget = DEFAULT_BUDGET,
    *,
    propositions: Sequence[str] | Propositions | None = None,
    at: str | None = None,
) -> Dfa | PastLtl:
    """The language of a formula of LTLf or past LTL.

    A word is in it if the formula holds at its first position, or, if the formula has past operators and no future
    ones, at its last. (On the empty word see :mod:`.truth`.)

    Args:
        text: the formula (:func:`.parse_formula`).
        alphabet: the letters, which are the atoms: exactly one is true at a position. Without it, those that the
            formula names, sorted.
        budget: for the automaton, and for the search of a past formula.
        propositions: instead of an alphabet: the atoms are propositions, of which any may be true at a position;
            letters are sets of them, ``{p,q}``. An empty list takes those that the formula names. With more than ten
            the letters are one for each kind that the formula tells apart (:mod:`.propositions`).
        at: "first" or "last" insists on where the formula is judged.

    Returns:
        A :class:`.PastLtl`, which is compiled directly, where a past formula that says the same is known; else the DFA.

    Raises:
        LtlSyntaxError: no formula, or a future operator inside a past one.
        UnknownSymbolError: an atom that is no letter, or no proposition.
        AlphabetError: no alphabet is given, and no atom; an alphabet and propositions; unusable names.
        BudgetExceededError: there is only the DFA, and it is too large; or too many letters.

    >>> print(ltl("G(request -> F grant)", ["request", "grant", "other"]))
    !(!grant S request)
    >>> ltl("G(p -> F q)", propositions=[]).alphabet
    ('{}', '{p}', '{q}', '{p,q}')
    """
    formula = parse_formula(text)
    _check_mixture(formula, text)
    if at not in (None, "first", "last"):
        raise LtlSyntaxError(f"a formula is judged at the first or at the last position, not at {at!r}")
    symbols, letters = _letters(formula, alphabet, propositions, budget)
    few = replace(budget, items=min(budget.items, MOST_STEPS))
    try:
        return past_ltl(formula, symbols, letters, at or judged_at(formula), few).told("ltl", text)
    except (NotPastError, BudgetExceededError):
        return future_dfa(formula, symbols, letters, budget).told("ltl", text)


def parse_ltl(
    text: str,
    alphabet: Sequence[str] | None = None,
    budget: Budget = DEFAULT_BUDGET,
    *,
    propositions: Sequence[str] | Propositions | None = None,
    at: str | None = None,
) -> Dfa:
    """The language of a formula as its minimal DFA; see :func:`ltl`.

    >>> parse_ltl("G(a -> F b)").n_states, parse_ltl("a S b").accepts("aba")
    (2, True)

    Raises:
        BudgetExceededError: the DFA is too large.
        ScancraftError: see :func:`ltl`.
    """
    language = ltl(text, alphabet, budget, propositions=propositions, at=at)
    return language if isinstance(language, Dfa) else language.dfa(budget).told("ltl", text)


def judged_at(formula: Formula) -> Position:
    """Where a formula is judged: at the last position if it looks back and not ahead, else at the first."""
    looks_back = any(isinstance(part, Operation) and part.operator in PAST for part in walk(formula))
    return "last" if looks_back and not looks_ahead(formula) else "first"


def _letters(
    formula: Formula,
    alphabet: Sequence[str] | None,
    propositions: Sequence[str] | Propositions | None,
    budget: Budget,
) -> tuple[tuple[str, ...], Mapping[str, frozenset[str]]]:
    """The symbols, and for each atom those at which it is true."""
    names = sorted({part.name for part in walk(formula) if isinstance(part, Atom)})
    if propositions is not None:
        if alphabet is not None:
            raise AlphabetError("give an alphabet or propositions, not both")
        known = propositions
        if not isinstance(known, Propositions):
            known = propositions_of(formula, known or None, budget)
        known.check(formula)
        return known.alphabet, {name: known.symbols(name) for name in names}
    if alphabet is None and not names:
        raise AlphabetError("the formula names no letter; give an alphabet")
    symbols = check_alphabet(names if alphabet is None else alphabet)
    for name in names:
        if name not in symbols:
            raise UnknownSymbolError(
                f"the formula names the letter {name!r}, which is not in the alphabet {{{', '.join(symbols)}}}; add it "
                "to the alphabet, or say that atoms are propositions"
            )
    return symbols, {name: frozenset({name}) for name in names}


def _check_mixture(formula: Formula, text: str) -> None:
    """Raise :class:`LtlSyntaxError` at a future operator inside a past one."""
    for part in walk(formula):
        if isinstance(part, Operation) and part.operator in PAST and looks_ahead(part):
            inner = next((p for p in walk(part) if isinstance(p, Operation) and p.operator in FUTURE), part)
            name = FUTURE.get(inner.operator, "last")
            reason = f"{name!r} inside {PAST[part.operator]!r}: a future operator inside a past one is not supported"
            raise LtlSyntaxError(located(text, max(0, inner.column - 1), reason))
