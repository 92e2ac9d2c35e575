"""All patterns of Dwyer, Avrunin and Corbett have past formulas that say the same, and so have their combinations."""

from __future__ import annotations

from itertools import product

import pytest
from patterns import CASES

import scancraft
from scancraft.automata.logic.future import future_dfa
from scancraft.automata.logic.ltl import ltl
from scancraft.automata.logic.parser import parse_formula
from scancraft.automata.logic.past import PastLtl, Since
from scancraft.automata.logic.truth import accepts

LETTERS = "pqrsx"
WORDS = [word for n in range(6) for word in product(LETTERS, repeat=n)][::7]


@pytest.mark.parametrize(("kind", "scope", "text"), CASES)
def test_a_past_formula_says_the_same(kind: str, scope: str, text: str) -> None:
    language, formula = ltl(text, LETTERS), parse_formula(text)
    assert isinstance(language, PastLtl), (kind, scope)
    assert [language.accepts(word) for word in WORDS] == [accepts(formula, [{a} for a in w], "first") for w in WORDS]
    letters = {name: frozenset({name}) for name in "pqrs"}
    assert language.dfa() == future_dfa(formula, LETTERS, letters)
    assert sum(isinstance(node, Since) for node in language.nodes) <= 6
    with_sets = ltl(text, propositions="pqrs")
    sets = {name: frozenset(s for s in with_sets.alphabet if name in s) for name in "pqrs"}
    assert scancraft.as_dfa(with_sets) == future_dfa(formula, with_sets.alphabet, sets)


@pytest.mark.parametrize(("kind", "scope", "text"), CASES)
def test_models_of_patterns_are_certified(kind: str, scope: str, text: str) -> None:
    model = scancraft.compile(ltl(text, LETTERS), contract="recognise")
    assert model.weights.shape.n_layers <= 4, (kind, scope)
    certificate = model.certify()
    assert (certificate.verdict, certificate.scope) == ("certified", "every-implementation")


def test_combinations_of_patterns() -> None:
    texts = [text for _, _, text in CASES]
    for one, other in zip(texts, texts[7:] + texts[:7], strict=True):
        for text in (f"({one}) & ({other})", f"({one}) | !({other})", f"({one}) <-> ({other})"):
            language = ltl(text, LETTERS)
            assert isinstance(language, PastLtl)
            formula = parse_formula(text)
            for word in WORDS[::9]:
                assert language.accepts(word) == accepts(formula, [{letter} for letter in word], "first")


def test_past_as_it_may_be_nested() -> None:
    language = ltl("!p W (p W (!p W (p W G !p)))", LETTERS)
    assert isinstance(language, PastLtl)
    two = scancraft.parse_regex("[^p]*(p+[^p]*){0,2}", LETTERS)
    assert language.dfa() == two
