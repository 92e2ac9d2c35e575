"""Random words, against enumeration."""

import itertools
import os
import random
import subprocess
import sys
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scancraft.automata.dfa import Dfa
from scancraft.automata.errors import AlphabetError, EmptyLanguageError
from scancraft.automata.families import SUITE, d_n, dyck, flip_flop, mod_length
from scancraft.automata.words import uniform as sampling
from scancraft.automata.words.uniform import UniformSampler, arbitrary, count_words, edit, live_word, mixture

RNGS = [lambda seed: random.Random(seed), lambda seed: np.random.default_rng(seed)]


@st.composite
def dfas(draw: st.DrawFn) -> Dfa:
    n, k = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    row = st.lists(st.integers(0, n - 1), min_size=k, max_size=k)
    table = draw(st.lists(row, min_size=n, max_size=n))
    return Dfa.from_table("abc"[:k], table, 0, draw(st.sets(st.integers(0, n - 1))))


def members(dfa: Dfa, length: int) -> list[tuple[str, ...]]:
    return [word for word in itertools.product(dfa.alphabet, repeat=length) if dfa.accepts(word)]


def chi_square(counts: Counter, cells: int, total: int) -> float:
    """Normalised to mean 0 and variance 1; deterministic, since the seeds are fixed."""
    assert len(counts) <= cells
    expected = total / cells
    statistic = sum((c - expected) ** 2 / expected for c in counts.values()) + (cells - len(counts)) * expected
    return (statistic - (cells - 1)) / (2 * (cells - 1)) ** 0.5


@settings(max_examples=80, deadline=None)
@given(dfa=dfas())
def test_counts(dfa: Dfa) -> None:
    exact, scaled = UniformSampler(dfa, 6), UniformSampler(dfa, 6, exact=False)
    counts = [len(members(dfa, length)) for length in range(7)]
    assert [count_words(dfa, length) for length in range(7)] == counts
    assert exact.lengths() == scaled.lengths() == [length for length, count in enumerate(counts) if count]


def test_large_counts_are_exact() -> None:
    assert count_words(Dfa.universal("abc"), 500) == 3**500
    catalan = [count_words(d_n(300), 2 * n) for n in (1, 2, 3, 4, 5, 200)]
    assert catalan[:5] == [1, 2, 5, 14, 42]
    assert catalan[5] == int(np.prod([Fraction(200 + i, i) for i in range(2, 201)], dtype=object))


@settings(max_examples=40, deadline=None)
@given(dfa=dfas(), length=st.integers(0, 5))
def test_each_word_belongs_to_one_number(dfa: Dfa, length: int) -> None:
    """Uniform numbers give uniform words: the numbers 0..count-1 are in bijection with the words."""
    expected = members(dfa, length)
    sampler = UniformSampler(dfa, 5)
    with pytest.MonkeyPatch.context() as patch:
        found = []
        for rank in range(len(expected)):
            patch.setattr(sampling, "_below", lambda bound, rng, rank=rank: rank if bound == len(expected) else -1)
            found.append(sampler.word(length, random.Random(0)))
    assert found == expected


@pytest.mark.parametrize("make", RNGS)
@pytest.mark.parametrize("exact", [True, False])
def test_words_are_uniform(make, exact: bool) -> None:
    dfa, rng = dyck(2, 3), make(5)
    words = members(dfa, 6)
    sampler = UniformSampler(dfa, 8, exact=exact)
    counts = Counter(sampler.batch(40 * len(words), rng, length=6))
    assert set(counts) == set(words)
    assert abs(chi_square(counts, len(words), 40 * len(words))) < 4


@pytest.mark.parametrize("make", RNGS)
@pytest.mark.parametrize("bound", [1, 2, 3, 5, 255, 256, 257, 1000])
def test_integers_are_uniform(make, bound: int) -> None:
    rng = make(bound)
    counts = Counter(sampling._below(bound, rng) for _ in range(20 * bound))
    assert set(counts) <= set(range(bound))
    assert bound == 1 or abs(chi_square(counts, bound, 20 * bound)) < 4


@pytest.mark.parametrize("make", RNGS)
def test_huge_integers_use_all_their_bits(make) -> None:
    rng = make(1)
    drawn = [sampling._below(3**400, rng) for _ in range(200)]
    assert all(0 <= number < 3**400 for number in drawn)
    assert all(0 < sum(number >> bit & 1 for number in drawn) < 200 for bit in range(630))


@settings(max_examples=60, deadline=None)
@given(dfa=dfas())
def test_float_counts_follow_the_exact_ones(dfa: Dfa) -> None:
    exact, scaled = UniformSampler(dfa, 40)._counts, UniformSampler(dfa, 40, exact=False)._scaled
    for length, q in itertools.product(range(40), range(dfa.n_states)):
        sums = list(itertools.accumulate(exact[length][target] for target in dfa.semiautomaton.table[q]))
        floats = scaled.cumulative[length, q].tolist()
        assert bool(sums[-1]) == bool(floats[-1])
        for a, b in zip(sums, floats, strict=True):
            if sums[-1]:
                assert abs(a / sums[-1] - b / floats[-1]) < 1e-13


def test_float_counts_neither_overflow_nor_underflow() -> None:
    # One word of each even length beside 3^(n - 1) of each odd length: the smaller count must not be lost.
    even_a = mod_length(2).over("abc")
    odd = Dfa.from_table("abc", [[1, 1, 1], [0, 0, 0]], 0, [1])
    sampler = UniformSampler(even_a | odd, 3001)
    assert not sampler.exact
    assert sampler.lengths() == list(range(3002))
    assert sampler.word(3000, random.Random(0)) == ("a",) * 3000
    assert len(set(sampler.word(3001, random.Random(0)))) == 3


@pytest.mark.parametrize("language", SUITE, ids=lambda language: language.name)
@pytest.mark.parametrize("make", RNGS)
def test_long_members(language, make) -> None:
    dfa, rng = language.build(), make(3)
    sampler = UniformSampler(dfa, 500)
    lengths = sampler.lengths()
    for word in sampler.batch(5, rng):
        assert len(word) in lengths
        assert dfa.accepts(word)
    assert {len(word) for word in sampler.batch(3, rng, length=lengths[-1])} == {lengths[-1]}


def test_what_a_sampler_refuses() -> None:
    sampler = UniformSampler(mod_length(2), 10)
    with pytest.raises(EmptyLanguageError, match="length 3"):
        sampler.word(3, random.Random(0))
    with pytest.raises(ValueError, match=r"0\.\.10"):
        sampler.word(11, random.Random(0))
    empty = UniformSampler(Dfa.empty("ab"), 10)
    assert empty.lengths() == []
    assert empty.batch(0, random.Random(0)) == []
    with pytest.raises(EmptyLanguageError, match="up to 10"):
        empty.batch(1, random.Random(0))
    with pytest.raises(ValueError, match="-1"):
        UniformSampler(Dfa.empty("ab"), -1)


def neighbours(word: str, alphabet: str) -> set[str]:
    """All words at edit distance one."""
    found = {word[:i] + word[i + 1 :] for i in range(len(word))}
    found |= {word[:i] + s + word[i:] for i in range(len(word) + 1) for s in alphabet}
    found |= {word[:i] + s + word[i + 1 :] for i in range(len(word)) for s in alphabet}
    return found - {word}


@pytest.mark.parametrize("make", RNGS)
@pytest.mark.parametrize(("word", "alphabet"), [("", "ab"), ("a", "a"), ("abca", "abc"), ("bb", "ab"), ("aa", "")])
def test_edits_reach_exactly_the_neighbours(make, word: str, alphabet: str) -> None:
    rng = make(2)
    found = {"".join(edit(word, alphabet, rng)) for _ in range(600)}
    assert found == neighbours(word, alphabet)


def test_no_edit_is_possible() -> None:
    with pytest.raises(AlphabetError, match="no edit"):
        edit("", "", random.Random(0))


@pytest.mark.parametrize("make", RNGS)
def test_arbitrary_words(make) -> None:
    rng = make(4)
    counts = Counter(arbitrary(("a", "bb", "c"), 3, rng) for _ in range(1000))
    assert set(counts) == set(itertools.product(("a", "bb", "c"), repeat=3))
    assert abs(chi_square(counts, 27, 1000)) < 4
    assert arbitrary((), 0, rng) == ()
    with pytest.raises(AlphabetError, match="length 1"):
        arbitrary((), 1, rng)


def live_prefixes(dfa: Dfa, word: tuple[str, ...]) -> bool:
    states = itertools.accumulate(word, lambda q, s: dfa.semiautomaton.run(q, [s]), initial=0)
    return all(dfa.path(q, dfa.accepting.__contains__) is not None for q in states)


@settings(max_examples=100, deadline=None)
@given(dfa=dfas(), length=st.integers(0, 6), seed=st.integers(0, 3))
def test_live_words_exist_exactly_when_they_should(dfa: Dfa, length: int, seed: int) -> None:
    possible = [word for word in itertools.product(dfa.alphabet, repeat=length) if live_prefixes(dfa, word)]
    if possible:
        assert live_word(dfa, length, random.Random(seed)) in possible
    else:
        with pytest.raises(EmptyLanguageError, match=f"length {length}"):
            live_word(dfa, length, random.Random(seed))


def test_every_live_word_can_come() -> None:
    dfa = Dfa.from_words("ab", ["aab", "b", "bab", "ab"])
    possible = {word for word in itertools.product("ab", repeat=3) if live_prefixes(dfa, word)}
    rng = random.Random(0)
    assert {live_word(dfa, 3, rng) for _ in range(100)} == possible


@pytest.mark.parametrize("make", RNGS)
@pytest.mark.parametrize("build", [flip_flop, lambda: d_n(12), lambda: dyck(2, 5)])
def test_very_long_live_words(make, build) -> None:
    dfa = build()
    word = live_word(dfa, 100_000, make(1))
    assert len(word) == 100_000
    assert dfa.run(word) in dfa.live


@pytest.mark.parametrize("make", RNGS)
def test_mixture(make) -> None:
    dfa = d_n(3)
    words = mixture(dfa, 101, 20, make(1))
    assert len(words) == 101
    assert all(len(word) <= 20 for word in words)
    assert all(dfa.accepts(word) for word in words[:51])
    assert not any(dfa.accepts(word) for word in words[51:76])  # an edit changes the parity of the length, or a balance
    assert all(any(dfa.accepts(other) for other in neighbours("".join(word), "ab")) for word in words[51:76])
    assert len({len(word) for word in words[:51]}) > 5


@pytest.mark.parametrize("dfa", [Dfa.empty("ab"), Dfa.from_words("ab", [""]), Dfa.from_words((), [()]), Dfa.empty(())])
@pytest.mark.parametrize("max_length", [0, 1, 4])
def test_mixture_of_small_languages(dfa: Dfa, max_length: int) -> None:
    words = mixture(dfa, 40, max_length, random.Random(0))
    assert len(words) == 40
    assert all(len(word) <= max_length and set(word) <= set(dfa.alphabet) for word in words)
    if not dfa.is_empty():
        assert words[:20] == [()] * 20


SCRIPT = """
import random
import numpy as np
from scancraft.automata.families import SUITE
from scancraft.automata.words.uniform import live_word, mixture
for make in (random.Random, np.random.default_rng):
    rng = make(11)
    for language in SUITE:
        print(mixture(language.build(), 8, 30, rng), live_word(language.build(), 30, rng))
"""


def test_words_do_not_depend_on_the_hash_seed() -> None:
    outputs = set()
    for seed in ("0", "1", "4242"):
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        outputs.add(run.stdout)
    assert len(outputs) == 1
    assert len(outputs.pop()) > 1000
