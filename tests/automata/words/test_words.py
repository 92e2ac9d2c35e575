"""Random words, against enumeration."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping

import numpy as np
import pytest
from examples import EXAMPLES, Example, bounded, dfa, machine, machines
from hypothesis import given, settings
from hypothesis import strategies as st
from random_machines import random_machines

from scancraft import BoundedDyck, CounterMachine, Dfa, live_word_of, members_of, mixture_of
from scancraft.automata.errors import AlphabetError, EmptyLanguageError
from scancraft.automata.families import dyck, flip_flop, mod_length
from scancraft.automata.languages import Language
from scancraft.automata.words import regular
from scancraft.automata.words.brackets import BracketWords, live_bracket_word
from scancraft.automata.words.draw import arbitrary, edit_within
from scancraft.automata.words.regular import RegularWords
from scancraft.automata.words.walks import CompletedWalks
from scancraft.suite.published_words import flip_flop_word
from scancraft.testing import dfas

Word = tuple[str, ...]
RNGS = [random.Random, np.random.default_rng]
RANDOM = list(random_machines(25, 7))


@pytest.fixture(params=[0, 64], ids=["table", "halves"])
def most_states(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to draw words of regular languages."""
    monkeypatch.setattr(regular, "MOST_STATES", request.param)


def members(language: Language, length: int) -> list[Word]:
    return [w for w in itertools.product(language.alphabet, repeat=length) if language.accepts(w)]


def is_live(language: Language, word: Word) -> bool:
    if isinstance(language, Dfa):
        return language.run(word) in language.live
    return None not in list(language.run(word))


def live_words(language: Language, length: int) -> set[Word]:
    return {w for w in itertools.product(language.alphabet, repeat=length) if is_live(language, w)}


def chi_square(counts: Counter[object], weights: Mapping[object, float]) -> float:
    """Normalised to mean 0 and variance 1; deterministic, since the seeds are fixed."""
    assert set(counts) <= set(weights)
    expected = {w: counts.total() * p / sum(weights.values()) for w, p in weights.items()}
    statistic = sum((counts[w] - e) ** 2 / e for w, e in expected.items())
    return (statistic - (len(weights) - 1)) / (2 * (len(weights) - 1)) ** 0.5


def assert_uniform(draw: Callable[[], object], outcomes: Collection[object], each: int = 40) -> None:
    counts = Counter(draw() for _ in range(each * len(outcomes)))
    assert abs(chi_square(counts, dict.fromkeys(outcomes, 1.0))) < 4


# -- regular languages -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [0, 64])
@settings(max_examples=40, deadline=None)
@given(language=dfas(5), seed=st.integers(0, 5))
def test_regular_words_are_those_that_there_are(most: int, language: Dfa, seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regular, "MOST_STATES", most)
        sampler, rng = RegularWords(language, 40), np.random.default_rng(seed)
        lengths = sampler.lengths(0, 40)
        assert [n for n in lengths if n <= 4] == [n for n in range(5) if members(language, n)]
        assert sampler.lengths(5, 200) == [n for n in lengths if n >= 5]
        for length in {*lengths[:3], *lengths[-4:]}:
            word = sampler.word(length, rng)
            assert len(word) == length
            assert language.accepts(word)
        for length in sorted(set(range(41)) - set(lengths))[:2]:
            with pytest.raises(EmptyLanguageError, match=f"length {length}"):
                sampler.word(length, rng)


@pytest.mark.usefixtures("most_states")
@pytest.mark.parametrize("make", RNGS)
@pytest.mark.parametrize(("name", "length"), [("D-3", 12), ("Flip-flop", 6), ("all words", 7), ("Tomita-6", 6)])
def test_regular_words_are_uniform(make: Callable[[int], object], name: str, length: int) -> None:
    sampler, rng = RegularWords(dfa(name), 20), make(3)
    assert_uniform(lambda: sampler.word(length, rng), members(dfa(name), length))


@pytest.mark.usefixtures("most_states")
def test_counts_neither_overflow_nor_underflow() -> None:
    # One word of each even length beside 3^(n - 1) of each odd length: the smaller count must not be lost.
    odd = Dfa.from_table("abc", [[1, 1, 1], [0, 0, 0]], 0, [1])
    sampler = RegularWords(mod_length(2).over("abc") | odd, 3_001)
    assert sampler.word(3_000, random.Random(0)) == ("a",) * 3_000
    assert len(set(sampler.word(3_001, random.Random(0)))) == 3
    # Counts that grow like a polynomial: the place of the divider is uniform.
    once, rng = RegularWords(Dfa.from_table("ab", [[0, 1], [1, 2], [2, 2]], 0, [1]), 64), random.Random(1)
    assert_uniform(lambda: once.word(50, rng).index("b"), range(50), 10)


def test_languages_with_many_states() -> None:
    language = dyck(2, 5)
    assert len(language.live) == 63
    wide = dyck(2, 6)
    assert len(wide.live) > regular.MOST_STATES
    for each in (language, wide):
        assert all(each.accepts(w) for w in members_of(each, 3, 990, 1_000, random.Random(0)))
        assert is_live(each, live_word_of(each, 501, random.Random(0)))


# -- brackets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", RNGS)
@pytest.mark.parametrize(("kinds", "depth", "length"), [(1, 3, 10), (2, 2, 6), (2, 3, 6), (3, 1, 4), (1, 9, 8)])
def test_bracket_words_are_uniform(make: Callable[[int], object], kinds: int, depth: int, length: int) -> None:
    language, rng = BoundedDyck(kinds, depth), make(1)
    sampler = BracketWords(language, 12)
    assert_uniform(lambda: sampler.word(length, rng), members(language, length), 60)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 12), st.integers(0, 60), st.integers(0, 9))
def test_bracket_words_belong(kinds: int, depth: int, half: int, seed: int) -> None:
    language = BoundedDyck(kinds, depth)
    word = BracketWords(language, 130).word(2 * half, np.random.default_rng(seed))
    assert len(word) == 2 * half
    assert language.accepts(word)
    live = live_bracket_word(language, half, random.Random(seed))
    assert len(live) == half
    assert is_live(language, live)


def test_long_bracket_words_are_uniform_in_depth() -> None:
    assert {live_bracket_word(BoundedDyck(1, 4), 4, random.Random(n), opening=1.0) for n in range(9)} == {tuple("((((")}
    assert live_bracket_word(BoundedDyck(1, 9), 100, random.Random(0), opening=0.0) == ("(", ")") * 50
    """The table repeats after h^2 letters: at depth 2 a word is (OC | O(OC)*C)..., so each pair inside is free."""
    words = [BracketWords(BoundedDyck(1, 2), 2_000).word(2_000, random.Random(n)) for n in range(20)]
    free = Counter(symbol for word in words for symbol in word[1:-1:2])
    assert abs(free["("] - free[")"]) < 4 * free.total() ** 0.5


# -- counters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", [*machines().values(), *RANDOM], ids=str)
def test_walks_are_members_and_their_prefixes_live(language: CounterMachine) -> None:
    walks, rng = CompletedWalks(language), np.random.default_rng(5)
    for target in (0, 1, 3, 20, 100):
        word = walks.walk(target, rng)
        assert word is None or (len(word) <= target and language.accepts(word))
    assert walks.walk(walks.distance(0), rng) is not None
    for length in range(4):
        possible = live_words(language, length)
        if not possible:
            with pytest.raises(EmptyLanguageError):
                walks.live_word(length, rng)
        elif len(possible) < 60:
            found = {walks.live_word(length, rng) for _ in range(10 * len(possible))}
            assert found <= possible
            assert 2 * len(found) >= min(4, len(possible))


@pytest.mark.parametrize("name", ["Dyck-1", "Shuffle-2", "Boolean-3", "as many a as b", "two for one", "twins"])
def test_walks_differ(name: str) -> None:
    words = members_of(machine(name), 40, 40, 60, np.random.default_rng(0))
    assert all(40 <= len(w) <= 60 and machine(name).accepts(w) for w in words)
    assert len(set(words)) > 30


# -- any language ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("example", [e for e in EXAMPLES if not e.random], ids=str)
def test_words_of_every_example(example: Example) -> None:
    language, make = example.language, np.random.default_rng
    words = mixture_of(language, 21, 0, 24, make(1))
    assert words == mixture_of(language, 21, 0, 24, make(1))
    assert len(words) == 21
    assert all(len(w) <= 24 and set(w) <= set(language.alphabet) for w in words)
    if not (isinstance(language, Dfa) and language.is_empty()):
        assert all(language.accepts(w) for w in words[:11])
    finite = (isinstance(language, Dfa) and language.is_finite()) or "by counting" in example.name
    if not finite:
        shortest = 500 if example.name == "busy" else 990  # where most walks end early
        for longest in (1_000, *([100_000] if example.name in ("Dyck_{8,10}", "Dyck-1", "D-12") else [])):
            low = longest - 1_000 + shortest
            long = members_of(language, 2, low, longest, make(2))
            assert all(low <= len(w) <= longest and language.accepts(w) for w in long)
        live = live_word_of(language, 300, make(3))
        assert len(live) == 300
        assert is_live(language, live)
    else:
        with pytest.raises(EmptyLanguageError):
            members_of(language, 1, 990, 1_000, make(2))
        with pytest.raises(EmptyLanguageError):
            live_word_of(language, 300, make(3))


@pytest.mark.parametrize("make", RNGS)
@pytest.mark.parametrize("name", ["finite", "D-2", "Tomita-3"])
def test_live_words_of_regular_languages_are_uniform(make: Callable[[int], object], name: str) -> None:
    rng = make(2)
    assert_uniform(lambda: live_word_of(dfa(name), 2, rng), live_words(dfa(name), 2), 50)


def test_lengths_are_uniform_over_those_with_words() -> None:
    rng = np.random.default_rng(2)
    for language in (bounded("Dyck_{2,3}"), dfa("D-2")):
        counts: Counter[object] = Counter(len(w) for w in members_of(language, 800, 4, 11, rng))
        assert abs(chi_square(counts, dict.fromkeys((4, 6, 8, 10), 1.0))) < 4


def neighbours(word: Word, alphabet: Collection[str]) -> set[Word]:
    """All words at edit distance one."""
    found = {word[:i] + word[i + 1 :] for i in range(len(word))}
    found |= {(*word[:i], s, *word[i:]) for i in range(len(word) + 1) for s in alphabet}
    found |= {(*word[:i], s, *word[i + 1 :]) for i in range(len(word)) for s in alphabet}
    return found - {word}


@pytest.mark.parametrize("make", RNGS)
@pytest.mark.parametrize(
    ("word", "alphabet", "low", "high"),
    [
        ("", "ab", 0, 1),
        ("a", "a", 0, 2),
        ("abca", "abc", 4, 4),
        ("abca", "abc", 3, 4),
        ("bb", "ab", 2, 3),
        ("aa", "", 0, 9),
    ],
)
def test_edits_stay_in_the_range(make: Callable[[int], object], word: str, alphabet: str, low: int, high: int) -> None:
    rng = make(2)
    found = {edit_within(tuple(word), alphabet, low, high, rng) for _ in range(600)}
    assert found == {w for w in neighbours(tuple(word), alphabet) if low <= len(w) <= high}


def test_no_edit_is_in_the_range() -> None:
    assert edit_within(("a",), ("a",), 1, 1, random.Random(0)) is None
    assert edit_within((), (), 0, 5, random.Random(0)) is None
    assert mixture_of(mod_length(2), 8, 2, 2, random.Random(0)) == [("a", "a")] * 8


@pytest.mark.parametrize("make", RNGS)
def test_arbitrary_words(make: Callable[[int], object]) -> None:
    rng = make(4)
    assert_uniform(lambda: arbitrary(("a", "bb", "c"), 3, rng), list(itertools.product(("a", "bb", "c"), repeat=3)))
    assert arbitrary((), 0, rng) == ()
    with pytest.raises(AlphabetError, match="length 1"):
        arbitrary((), 1, rng)


def test_a_mixture_is_members_edits_and_arbitrary_words() -> None:
    for language in (bounded("Dyck_{2,3}"), machine("Dyck-1"), dfa("D-3")):
        words = mixture_of(language, 41, 4, 9, random.Random(5))
        assert all(4 <= len(w) <= 9 for w in words)
        assert all(map(language.accepts, words[:21]))
        assert all(any(map(language.accepts, neighbours(w, language.alphabet))) for w in words[21:31])
        assert len({len(w) for w in words[31:]}) > 3


def test_ranges_without_words() -> None:
    rng = random.Random(0)
    for language, low, high in (
        (BoundedDyck(2, 3), 7, 7),
        (machine("a^n b^n c^n"), 1, 2),
        (machine("a^n b^n c^n"), 4, 5),
        (machine("Boolean-3"), 0, 0),
        (mod_length(2), 1, 1),
        (machine("{ab, aabb} by counting"), 3, 3),
        (Dfa.empty("ab"), 0, 5),
        (Dfa.from_words("ab", ["aab"]), 4, 9),
    ):
        with pytest.raises(EmptyLanguageError):
            members_of(language, 1, low, high, rng)
        assert members_of(language, 0, low, high, rng) == []
        words = mixture_of(language, 20, low, high, rng)
        assert len(words) == 20
        assert all(low <= len(w) <= high for w in words)
    # Live words take the place of members, as far as there are any.
    live = mixture_of(machine("a^n b^n c^n"), 20, 1, 2, rng)[:10]
    assert all(w in {("a",), ("a", "a"), ("a", "b")} for w in live)
    assert mixture_of(Dfa.from_words((), [()]), 9, 0, 4, rng) == [()] * 9


def test_what_is_refused() -> None:
    rng = random.Random(0)
    for language in (dfa("D-2"), BoundedDyck(2, 2), machine("Dyck-1")):
        with pytest.raises(ValueError, match="-1"):
            live_word_of(language, -1, rng)
        for low, high in ((-1, 3), (4, 3)):
            with pytest.raises(ValueError, match="no range"):
                members_of(language, 1, low, high, rng)
            with pytest.raises(ValueError, match="no range"):
                mixture_of(language, 1, low, high, rng)
        with pytest.raises(ValueError, match="-2"):
            members_of(language, -2, 0, 4, rng)
    for sampler in (BracketWords(BoundedDyck(1, 1), 4), RegularWords(dfa("D-2"), 4)):
        with pytest.raises(EmptyLanguageError, match="length 3"):
            sampler.word(3, rng)
        for length in (-1, 5):
            with pytest.raises(ValueError, match=f"length {length}"):
                sampler.word(length, rng)
    for build in (BracketWords, RegularWords):
        with pytest.raises(ValueError, match="-1"):
            build(BoundedDyck(1, 1) if build is BracketWords else dfa("D-2"), -1)
    with pytest.raises(ValueError, match="-1"):
        live_bracket_word(BoundedDyck(1, 1), -1, rng)
    with pytest.raises(AlphabetError, match="length 1"):
        mixture_of(Dfa.empty(()), 1, 1, 1, rng)
    for length in (2, 511):
        with pytest.raises(ValueError, match=str(length)):
            flip_flop_word(rng, length=length)


@pytest.mark.parametrize("make", RNGS)
@pytest.mark.parametrize("ignore", [0.8, 0.98, 0.1])
def test_flip_flop_words(make: Callable[[int], object], ignore: float) -> None:
    rng, language = make(7), flip_flop()
    words = [flip_flop_word(rng, ignore) for _ in range(40)]
    assert all(len(w) == 512 and language.accepts(w) and w[0] == "w" and w[-2] == "r" for w in words)
    instructions = Counter(s for w in words for s in w[2:-2:2])
    n = sum(instructions.values())
    for symbol, share in (("i", ignore), ("w", (1 - ignore) / 2), ("r", (1 - ignore) / 2)):
        assert abs(instructions[symbol] - n * share) < 5 * (n * share) ** 0.5
    free = [bit for w in words for kind, bit in zip(w[::2], w[1::2], strict=True) if kind != "r"]
    assert abs(free.count("1") / len(free) - 0.5) < 5 / len(free) ** 0.5
