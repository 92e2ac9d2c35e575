"""Counts that never decrease: which languages they tell."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from clocks import Clock
from examples import dfa, dfas
from hypothesis import given, settings
from hypothesis import strategies as st

from scancraft import parse_regex
from scancraft.automata.alphabet import BOS, EOS
from scancraft.automata.budget import Budget
from scancraft.automata.decide.tallies import Tally, tally_of
from scancraft.automata.dfa import Dfa
from scancraft.automata.errors import BudgetExceededError
from scancraft.automata.families import d_n, tomita

TOLD = {
    "b*(a?b*){3}": (1, 3),
    "0*1*0*1*": (2, 1),
    "b*(aa*bb*){0,6}a*": (2, 6),
    "(ab)*": (2, 0),
    "(b|ab)*(aa?(b|ba)*)?a?": (3, 3),
}
"""Expressions, the letters that are looked at, and what is counted at most."""


def right(tally: Tally, language: Dfa, length: int) -> bool:
    """Whether it says the same as the language after all words of this length."""
    return all(
        allowed == language.next_symbols(state) | ({EOS} if state in language.accepting else set())
        for word in product(language.alphabet, repeat=length)
        for n, allowed in enumerate(tally.run(word))
        for state in [language.run(word[:n])]
    )


@pytest.mark.parametrize("expression", TOLD)
def test_languages_that_a_count_tells(expression: str) -> None:
    language, (window, most) = parse_regex(expression), TOLD[expression]
    tally = tally_of(language, window)
    assert tally is not None
    assert tally.check(language)
    assert right(tally, language, 9)
    assert tally.highest == most
    assert window == 1 or tally_of(language, window - 1) is None


@pytest.mark.parametrize("name", dfas())
def test_every_example(name: str) -> None:
    language = dfa(name)
    for window in (1, 2):
        tally = tally_of(language, window)
        if tally is not None:
            assert tally.check(language)
            assert right(tally, language, 4 if len(language.alphabet) > 3 else 7)


def test_languages_that_none_tells() -> None:
    for language in (d_n(2), tomita(4), Dfa.universal("ab"), Dfa.empty("ab"), parse_regex("(a|b)*a")):
        assert tally_of(language, 2) is None
    # At most two of each: a sum of both that stays below a bound at aabb is not above it at aaa and bbb.
    few = parse_regex("b*(a?b*){2}") & parse_regex("a*(b?a*){2}")
    assert all(tally_of(few, window) is None for window in (1, 2))


def test_what_is_wrong_is_not_accepted() -> None:
    language = tomita(7)
    tally = tally_of(language, 2)
    assert tally is not None
    wrong = [
        replace(tally, amounts={}),
        replace(tally, amounts={**tally.amounts, ("0", "0"): 1}),
        replace(tally, amounts={("1", "0"): 2}),
        replace(tally, amounts={("1", "0"): -1}),
        *(
            replace(tally, bounds={**tally.bounds, last: {**row, token: bound + by}})
            for last, row in tally.bounds.items()
            for token, bound in row.items()
            if last != BOS
            for by in (-1, 1)
        ),
    ]
    assert not any(each.check(language) for each in wrong)
    assert not tally.check(parse_regex("0*1*0*"))


def test_the_time_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", Clock().monotonic)
    with pytest.raises(BudgetExceededError):
        tally_of(tomita(7), 2, Budget(seconds=0.5))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_random_languages(data: st.DataObject) -> None:
    states = data.draw(st.integers(2, 4))
    targets = data.draw(st.lists(st.integers(0, states - 1), min_size=2 * states, max_size=2 * states))
    accepting = data.draw(st.sets(st.integers(0, states - 2)))
    rows = [targets[2 * q : 2 * q + 2] for q in range(states - 1)] + [[states - 1] * 2]
    language = Dfa.from_table("ab", rows, 0, accepting)
    for window in (1, 2, 3):
        tally = tally_of(language, window)
        if tally is not None:
            assert tally.check(language)
            assert right(tally, language, 7)
