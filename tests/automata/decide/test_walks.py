"""Walks: which languages count, and what says that others do not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from clocks import Clock
from examples import dfa, dfas
from hypothesis import given, settings
from hypothesis import strategies as st
from walking import shuffled

from scancraft.automata.budget import Budget
from scancraft.automata.decide.aperiodic import star_free_witness
from scancraft.automata.decide.walks import NoWalk, NoWalkError, Walk, fewer, walk_of
from scancraft.automata.dfa import Dfa
from scancraft.automata.errors import BudgetExceededError
from scancraft.automata.families import d_n, mod_length


@pytest.mark.parametrize("depth", [1, 2, 12, 128])
def test_d_n_walks_up_and_down(depth: int) -> None:
    language = d_n(depth)
    walk = walk_of(language)
    assert isinstance(walk, Walk)
    assert walk.check(language)
    assert walk.steps == ((1,), (-1,))
    assert sorted(walk.places.values()) == [(n,) for n in range(depth + 1)]


@pytest.mark.parametrize("depths", [(2, 2), (3, 1), (1, 1, 1)])
def test_a_shuffle_walks_in_as_many_dimensions(depths: tuple[int, ...]) -> None:
    language = shuffled(*depths)
    walk = walk_of(language)
    assert isinstance(walk, Walk)
    assert walk.check(language)
    assert walk.dimension == len(depths)
    flat = next(fewer(walk))
    assert flat.dimension == 1
    assert flat.check(language)


@pytest.mark.parametrize("name", dfas())
def test_every_example_walks_or_has_a_witness(name: str) -> None:
    language = dfa(name)
    found = walk_of(language)
    assert found.check(language)
    if isinstance(found, Walk):
        assert star_free_witness(language) is None


@pytest.mark.parametrize("modulus", [2, 3, 6])
def test_a_group_is_named(modulus: int) -> None:
    found = walk_of(mod_length(modulus))
    assert isinstance(found, NoWalk)
    assert found.check(mod_length(modulus))
    assert found.multiple == min(p for p in (2, 3) if modulus % p == 0)
    assert f"modulo {found.multiple}" in str(NoWalkError(found))


def test_states_that_no_counter_tells_apart() -> None:
    found = walk_of(Dfa.from_words("ab", ["ab", "ba"]))  # the two ways to ab come together
    assert isinstance(found, Walk)
    found = walk_of(dfa("Tomita-7"))
    assert isinstance(found, NoWalk)
    assert found.multiple == 1
    assert "in no counter at all" in str(found)


def test_a_dead_letter_has_no_step() -> None:
    found = walk_of(Dfa.from_words("abz", ["ab"]))
    assert isinstance(found, Walk)
    assert found.steps[2] is None


def test_no_states_and_one_state() -> None:
    assert walk_of(Dfa.empty("ab")) == Walk({}, (None, None))
    assert walk_of(Dfa.universal("ab")) == Walk({0: ()}, ((), ()))


def test_what_is_no_walk_does_not_pass() -> None:
    language = d_n(3)
    walk = walk_of(language)
    assert isinstance(walk, Walk)
    assert not replace(walk, steps=((1,), (1,))).check(language)
    assert not replace(walk, places={**walk.places, 0: (1,)}).check(language)
    assert not replace(walk, places={0: (0,)}).check(language)
    assert not walk.check(d_n(4))
    parity = mod_length(2)
    witness = walk_of(parity)
    assert isinstance(witness, NoWalk)
    assert not replace(witness, multiple=1).check(parity)
    assert not replace(witness, circulation={}).check(parity)
    assert not replace(witness, words=((), ())).check(parity)
    assert not witness.check(mod_length(3))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("abc", max_size=5), min_size=1, max_size=6))
def test_finite_languages(words: list[str]) -> None:
    language = Dfa.from_words("abc", words)
    assert walk_of(language).check(language)


@pytest.mark.parametrize("language", [d_n(20), dfa("Tomita-7"), Dfa.from_words("abcdefghij", [*"abcdefghij"])])
def test_it_looks_at_the_clock(clock: Clock, language: Dfa) -> None:
    walk_of(language, Budget(seconds=10_000))
    assert clock.looks > 10
    with pytest.raises(BudgetExceededError, match="seconds"):
        walk_of(language, Budget(seconds=clock.looks // 2))
