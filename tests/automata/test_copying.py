"""Copying as a language: what it says, its acceptor and its DFA agree on all short words, and what is refused."""

from __future__ import annotations

import random
from itertools import product

import pytest

import scancraft
from scancraft import Copying, CopyingLanguageError, copying
from scancraft.automata.copying.acceptor import CopyingAcceptor
from scancraft.automata.languages import language_from_json, language_to_json

SMALL = [copying(1, 1), copying(1, 3), copying(2, 2), copying(3, 1, "|"), Copying(("to", "be"), 2, "or not")]


@pytest.mark.parametrize("language", SMALL, ids=str)
def test_three_ways_to_say_what_may_come_next(language: Copying) -> None:
    dfa, truth = language.dfa(), CopyingAcceptor(language)
    assert dfa.n_states == language.n_states
    tokens = [*language.alphabet, "<eos>"]
    words = [w for n in range(2 * language.longest + 3) for w in product(language.alphabet, repeat=n)]
    for word, mask in zip(words, truth.next_masks(*truth.encode(words)), strict=True):
        state = dfa.initial
        for symbol in word:
            state = dfa.table[state][dfa.alphabet.index(symbol)]
        allowed = language.allowed(word)
        assert {t for t, may in zip(tokens, mask[len(word)], strict=True) if may} == allowed == dfa.allowed(state), word
        assert language.accepts(word) == dfa.accepts(word) == ("<eos>" in allowed)


def test_lengths_are_the_words_with_one_letter_only() -> None:
    """The automaton that knows no letters is that of copying over one letter."""
    one, two = copying(1, 4), copying(2, 4)
    dfa, table = one.dfa(), two.lengths
    for word in scancraft.members_of(one, 20, 1, 9, random.Random(1)):
        state = 0
        for symbol in word:
            state = table[state, 0 if symbol == "a" else 2]
        assert dfa.accepts(word)
        assert state < len(table) - 1
    assert (table[:, 0] == table[:, 1]).all()
    assert len(table) == one.n_states + sum(range(1, 5))  # what is still to come is less than the two lengths


@pytest.mark.parametrize("language", SMALL, ids=str)
def test_as_json(language: Copying) -> None:
    assert (
        language_from_json(language_to_json(language)) == language == scancraft.as_language(language_to_json(language))
    )


def test_words() -> None:
    language, rng = copying(2, 2), random.Random(3)
    members = scancraft.members_of(language, 50, 1, 5, rng)
    assert {len(w) for w in members} == {1, 3, 5}
    assert all(language.accepts(w) for w in members)
    for length in range(6):
        assert language.allowed(scancraft.live_word_of(language, length, rng))
    with pytest.raises(scancraft.EmptyLanguageError):
        scancraft.members_of(language, 1, 6, 9, rng)


@pytest.mark.parametrize(
    "make",
    [
        lambda: copying(0, 3),
        lambda: copying(2, 0),
        lambda: copying("ab", 3, "a"),
        lambda: scancraft.as_language({"copying": {"letters": "ab", "longest": 3}}),
        lambda: scancraft.as_language({"copying": {"letters": [1], "longest": 3, "separator": "#"}}),
        lambda: scancraft.compile(copying(2, 3), contract="all-words"),
        lambda: scancraft.compile(copying(2, 1 << 14)),
    ],
)
def test_what_is_refused(make: object) -> None:
    with pytest.raises((CopyingLanguageError, scancraft.BudgetExceededError)):
        make()  # type: ignore[operator]
