"""Languages that look at the last letters only, and finite ones: small circuits without a cascade of their states."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scancraft
from scancraft.automata.decide.aperiodic import star_free_witness
from scancraft.automata.decide.locality import Pattern, definite_window, pattern_of
from scancraft.automata.dfa import Dfa
from scancraft.automata.nfa import NfaBuilder
from scancraft.compiler.alternatives import NoPlanError
from scancraft.compiler.circuits.circuit import Circuit
from scancraft.compiler.circuits.patterns import pattern_circuit
from scancraft.compiler.circuits.unrolled import unrolled_circuit

SETS = st.lists(st.sets(st.sampled_from("abc"), min_size=1), min_size=1, max_size=5)


def met(sets: list[set[str]], where: str) -> Dfa:
    """The words with the pattern, by the subset construction."""
    nfa = NfaBuilder(("a", "b", "c"))
    states = [nfa.state() for _ in range(len(sets) + 1)]
    for a in range(3):
        nfa.link(states[0], a, states[0])
        if where == "anywhere":
            nfa.link(states[-1], a, states[-1])
    for place, symbols in enumerate(sets):
        for symbol in symbols:
            nfa.link(states[place], "abc".index(symbol), states[place + 1])
    return Dfa.determinised(nfa, states[0], [states[-1]])


def agrees(dfa: Dfa, circuit: Circuit, words: list[str]) -> None:
    for word in words:
        said = [allowed for _, allowed in circuit.run(word)]
        assert said == [dfa.allowed(dfa.run(word[:n])) for n in range(len(word) + 1)], word


WORDS = st.lists(st.text("abc", max_size=14), min_size=4, max_size=8)


@settings(max_examples=80, deadline=None)
@given(SETS, st.sampled_from(["end", "anywhere"]), WORDS)
def test_the_circuit_of_a_pattern_says_what_its_automaton_says(
    sets: list[set[str]], where: str, words: list[str]
) -> None:
    pattern = Pattern(tuple(map(frozenset, sets)), where)
    agrees(met(sets, where), pattern_circuit(met(sets, where), pattern), words)


@settings(max_examples=80, deadline=None)
@given(SETS, WORDS)
def test_patterns_at_the_end_are_found_again(sets: list[set[str]], words: list[str]) -> None:
    dfa = met(sets, "end").distinct
    found = pattern_of(dfa)
    if all(len(symbols) == 3 for symbols in sets):
        return  # all words that are long enough
    assert found is not None
    assert definite_window(dfa) == len(found.sets) <= len(sets)
    agrees(dfa, pattern_circuit(dfa, found), [w for w in words if set(w) <= set(dfa.alphabet)])


@settings(max_examples=80, deadline=None)
@given(st.text("ab", min_size=1, max_size=9), WORDS)
def test_a_word_anywhere_is_found_again(word: str, words: list[str]) -> None:
    dfa = met([{ch} for ch in word], "anywhere").distinct
    assert pattern_of(dfa) == Pattern(tuple(frozenset({ch}) for ch in word), "anywhere")
    assert pattern_of(~dfa) is None


@settings(max_examples=80, deadline=None)
@given(st.sets(st.text("abc", max_size=6), min_size=1, max_size=12), WORDS)
def test_a_finite_language_is_unrolled(members: set[str], words: list[str]) -> None:
    dfa = Dfa.from_words("abc", sorted(members))
    circuit = unrolled_circuit(dfa)
    assert len(circuit.blocks) == max(map(len, members))
    agrees(dfa, circuit, [*words, *sorted(members), *(word + "a" for word in sorted(members))])


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 6), st.integers(1, 3), st.randoms(use_true_random=False))
def test_definite_windows(n: int, k: int, draw: random.Random) -> None:
    dfa = Dfa.from_table("abc"[:k], [[draw.randrange(n) for _ in range(k)] for _ in range(n)], 0, [0])
    window = definite_window(dfa)
    images = [frozenset(range(dfa.n_states))]
    longest = 0
    while any(len(image) > 1 for image in images) and longest <= 40:
        images = list({frozenset(dfa.table[q][a] for q in image) for image in images for a in range(k)})
        longest += 1
    assert window == (longest if longest <= 40 else None)
    assert window is None or star_free_witness(dfa) is None


def test_the_letter_twelve_from_the_end_needs_no_states() -> None:
    """4,096 states: before, 554 million parameters for eleven from the end, and no answer for twelve."""
    compiled = scancraft.compile("(a|b)*a" + "(a|b)" * 11)
    assert compiled.dfa.n_states == 4_096
    assert (compiled.manifest.kind, compiled.weights.shape.n_layers) == ("pattern", 5)
    assert compiled.weights.n_parameters < 10_000
    assert compiled.certify().verdict == "certified"


def test_a_word_of_a_hundred_letters_anywhere() -> None:
    draw = random.Random(0)
    word = "".join(draw.choices("ab", k=100))
    compiled = scancraft.compile(f"(a|b)*{word}(a|b)*")
    assert (compiled.manifest.kind, compiled.weights.shape.n_layers) == ("pattern", 36)
    assert compiled.weights.n_parameters < 50_000
    assert compiled.certify().verdict == "certified"
    assert compiled.accepts("ab" + word + "b")
    assert not compiled.accepts(word[:-1])


def test_a_hundred_keywords() -> None:
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(3, 8))) for _ in range(100)]
    compiled = scancraft.compile(Dfa.from_words("abcdefghijklmnopqrstuvwxyz", words))
    assert (compiled.manifest.kind, compiled.weights.shape.n_layers) == ("finite", 8)
    assert compiled.weights.n_parameters < 1_000_000
    assert compiled.certify().verdict == "certified"
    assert all(map(compiled.accepts, words[:5]))


def test_these_constructions_can_be_asked_for() -> None:
    small = scancraft.compile("(a|b)*ab", construction="pattern")
    assert small.manifest.kind == "pattern"
    assert small.certify().verdict == "certified"
    finite = scancraft.compile("a|bc", construction="finite")
    assert finite.manifest.kind == "finite"
    assert finite.certify().verdict == "certified"
    with pytest.raises(NoPlanError, match="no such construction, finite"):
        scancraft.compile("(ab)*", construction="finite")
    with pytest.raises(NoPlanError, match="pattern"):
        scancraft.compile("a|bc", construction="pattern", target="mamba2")
