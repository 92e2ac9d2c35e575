"""Letters as sets of propositions: all of them, or one for each kind that a formula tells apart."""

from __future__ import annotations

from itertools import combinations

import pytest
from formulas import BOOLEAN, formulas
from hypothesis import given, settings
from hypothesis import strategies as st

from scancraft.automata.budget import Budget
from scancraft.automata.errors import AlphabetError, BudgetExceededError, UnknownSymbolError
from scancraft.automata.logic import propositions as module
from scancraft.automata.logic.ltl import ltl
from scancraft.automata.logic.parser import parse_formula
from scancraft.automata.logic.propositions import propositions_of
from scancraft.automata.logic.tree import Atom, Formula
from scancraft.automata.logic.truth import accepts

SETS = [frozenset(true) for n in range(5) for true in combinations("pqrs", n)]
plain = formulas(BOOLEAN, st.sampled_from([*map(Atom, "pqrs")]), 4)
temporal = formulas((*BOOLEAN, "X", "F", "G", "U", "W", "N"), plain, 3)


def test_all_sets() -> None:
    language = ltl("G(p -> F q)", propositions=["q", "p"])
    assert language.alphabet == ("{}", "{q}", "{p}", "{q,p}")
    assert language.accepts(["{p}", "{q,p}"])
    assert not language.accepts(["{q}", "{p}"])
    assert ltl("G p", propositions=[]).alphabet == ("{}", "{p}")


@given(temporal, st.lists(st.sampled_from(SETS), max_size=5))
@settings(max_examples=80, deadline=None)
def test_one_letter_for_each_kind(formula: Formula, trace: list[frozenset[str]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_SETS", 0)
        letters = propositions_of(formula, "pqrs")
    assert set(letters.alphabet) == set(map(letters.letter, SETS))
    language = ltl(str(formula), propositions=letters, at="first")
    assert language.accepts([letters.letter(true) for true in trace]) == accepts(formula, trace, "first")
    for true in SETS:
        least = letters.letters[letters.letter(true)]
        same = [other for other in SETS if letters.letter(other) == letters.letter(true)]
        assert len(least) == min(map(len, same))


def test_many_propositions_are_not_listed() -> None:
    some = " | ".join(f"p{n}" for n in range(40))
    letters = propositions_of(parse_formula(f"G(({some}) -> F (q & r))"))
    assert len(letters.alphabet) == 4
    assert letters.letter({"p3", "p17", "q"}) == letters.letter({"p9"})
    independent = " & ".join(f"G(p{n} -> F q{n})" for n in range(30))
    with pytest.raises(BudgetExceededError, match="letters that the formula tells apart"):
        ltl(independent, propositions=[], budget=Budget(items=5_000))


def test_names_that_cannot_be_used() -> None:
    for names in (["p q"], ["p,q"], ["{p}"], ["p", "p"], [""]):
        with pytest.raises(AlphabetError):
            ltl("G true", propositions=names)
    with pytest.raises(UnknownSymbolError, match="'p', which is none of the propositions q, r"):
        ltl("F p", propositions=["q", "r"])
    letters = propositions_of(parse_formula("F p"))
    with pytest.raises(UnknownSymbolError, match="'z' is no proposition"):
        letters.letter({"z"})
    many = propositions_of(parse_formula("F (" + " | ".join(f"p{n}" for n in range(12)) + ")"))
    with pytest.raises(UnknownSymbolError, match="tells fewer apart"):
        ltl("F p1", propositions=many)
