"""Boolean combinations that are not multiplied out, against their product automata."""

from __future__ import annotations

from itertools import product
from random import Random

import numpy as np
import pytest
from examples import random_dfa
from hypothesis import given
from hypothesis import strategies as st

import scancraft
from scancraft.automata.alphabet import EOS
from scancraft.automata.budget import Budget
from scancraft.automata.combination import Combination, combination_from_json, combination_to_json
from scancraft.automata.dfa import Dfa
from scancraft.automata.errors import BudgetExceededError, EmptyLanguageError, LanguageFormatError, NotRegularError
from scancraft.automata.languages import all_of, any_of, as_language, language_to_json, none_of, truth_of
from scancraft.automata.words.mixtures import live_word_of, members_of, mixture_of

WORDS = [word for length in range(6) for word in product("ab", repeat=length)]


def expressions(leaf: st.SearchStrategy[Dfa]) -> st.SearchStrategy[Dfa | Combination]:
    """Combinations of two-letter automata."""
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.tuples(st.sampled_from(["all", "any"]), st.lists(inner, min_size=1, max_size=3)),
            st.tuples(st.just("not"), st.lists(inner, min_size=1, max_size=1)),
        ).map(lambda drawn: Combination(drawn[0], tuple(drawn[1]))),
        max_leaves=5,
    )


combinations = expressions(st.integers(0, 40).map(lambda seed: random_dfa(3, 2, seed))).filter(
    lambda found: isinstance(found, Combination)
)


def brute(language: Dfa | Combination, word: tuple[str, ...]) -> bool:
    """By the definition."""
    if isinstance(language, Dfa):
        return language.accepts(word)
    answers = [brute(part, word) for part in language.parts]
    return {"all": all(answers), "any": any(answers), "not": not answers[0]}[language.operator]


@given(combinations)
def test_a_combination_is_what_its_expression_says(language: Combination) -> None:
    dfa, truth = language.dfa(), truth_of(language)
    codes, lengths = truth.encode(WORDS)
    ends = truth.next_masks(codes, lengths)[np.arange(len(WORDS)), lengths]
    for word, mask in zip(WORDS, ends, strict=True):
        right = brute(language, word)
        assert language.accepts(word) == dfa.accepts(word) == mask[-1] == right
        known = {symbol for symbol, yes in zip("ab", mask, strict=False) if yes}
        assert known == (dfa.next_symbols(dfa.run(word)) if language.is_union else set())
    assert combination_from_json(combination_to_json(language)) == language
    assert as_language(language_to_json(language)) == language


@given(combinations)
def test_what_may_come_next_is_foreseen_iff_the_product_says_so(language: Combination) -> None:
    dfa = language.dfa()
    combined = all(
        (EOS in dfa.allowed(dfa.run(word))) == brute(language, word)
        and all(
            (symbol in dfa.next_symbols(dfa.run(word)))
            == bool(language.value([symbol in leaf.next_symbols(leaf.run(word)) for leaf in language.leaves]))
            for symbol in "ab"
        )
        for word in WORDS
    )
    if language.foresees():
        assert combined
    elif combined:  # it must fail on some longer word; these automata are small
        assert dfa.n_states > 5


def test_intersections_whose_parts_exclude_each_other_are_not_foreseen() -> None:
    exclusive = all_of(["(a|b)*a", "(a|b)*b"])
    assert not exclusive.foresees()
    assert all_of(["(a|b)*a", "(b|a)*aa"]).foresees()
    assert any_of(["(a|b)*a", "(ab)*"]).foresees(Budget(items=1))
    assert not all_of(["(a|b)*a(a|b)(a|b)", "(a|b)*b(a|b)*"]).foresees(Budget(items=2))


def test_parts_over_other_alphabets_are_seen_over_all_symbols() -> None:
    language = all_of(["a*b", "~(c)"])
    assert language.alphabet == ("a", "b", "c")
    assert language.accepts("aab")
    assert not language.accepts("c")
    assert none_of(["a", "b"]).accepts("ab")
    assert str(none_of(["a", "b"])) == "not (any of (a DFA with 3 states, a DFA with 3 states))"


def test_words_are_drawn_where_the_product_is_small_and_found_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    language = all_of(["(a|b)*a(a|b)*", "~((a|b)*bb(a|b)*)"])
    for most in (20_000, 1):
        monkeypatch.setattr("scancraft.automata.words.mixtures.SMALL", Budget(items=most))
        members = members_of(language, 20, 2, 6, Random(1))
        assert len(members) == 20
        assert all(language.accepts(word) and 2 <= len(word) <= 6 for word in members)
        assert members == members_of(language, 20, 2, 6, Random(1))
        assert len(mixture_of(language, 12, 0, 5, Random(0))) == 12
        assert len(live_word_of(language, 9, Random(0))) == 9
        with pytest.raises(EmptyLanguageError):
            members_of(all_of(["a*", "b+"]), 1, 0, 3, Random(0))


def test_the_product_is_limited() -> None:
    parts = [f"(a|b)*a{'(a|b)' * n}" for n in range(1, 7)]
    with pytest.raises(BudgetExceededError):
        all_of(parts).dfa(Budget(items=20))


@pytest.mark.parametrize(
    "data",
    [
        {"some": []},
        {"all": []},
        {"all": {"dfa": {}}},
        {"not": [{"all": [1]}]},
        {"all": [], "any": []},
        [],
        {"not": [language_to_json(Dfa.empty("ab"))] * 2},
    ],
)
def test_malformed_combinations_are_refused(data: object) -> None:
    with pytest.raises(LanguageFormatError):
        as_language({"combination": data})


def test_deep_combinations_are_refused() -> None:
    data: object = language_to_json(Dfa.empty("ab"))
    for _ in range(5_000):
        data = {"not": [data]}
    with pytest.raises(LanguageFormatError, match="nested"):
        as_language({"combination": data})
    with pytest.raises(NotRegularError, match="CounterMachine"):
        scancraft.all_of([scancraft.suite_language("Dyck-1").language])
