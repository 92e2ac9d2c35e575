"""Random words of every kind of language, against enumeration."""

import itertools
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_machines import random_machines

from scancraft.automata.bounded_dyck import BoundedDyck
from scancraft.automata.budget import Budget
from scancraft.automata.counters import machine as counters
from scancraft.automata.counters.families import ARITIES, boolean, dyck_1, equal_blocks, shuffle
from scancraft.automata.counters.machine import CounterMachine, Step
from scancraft.automata.dfa import Dfa
from scancraft.automata.errors import AlphabetError, BudgetExceededError, EmptyLanguageError
from scancraft.automata.families import d_n, dyck, flip_flop, mod_length
from scancraft.automata.words.balanced import expression, rotated, shuffle_sizes
from scancraft.automata.words.brackets import (
    BracketSampler,
    bracket_word,
    count_bracket_words,
    hewitt_word,
    live_bracket_word,
)
from scancraft.automata.words.counted import (
    BlockWords,
    CountedWords,
    ExpressionWords,
    ShuffleWords,
    family_of,
    live_counter_word,
)
from scancraft.automata.words.halving import HalvingSampler
from scancraft.automata.words.mixtures import edit_within, live_word_of, members_of, mixture_of, sampler_of
from scancraft.automata.words.uniform import UniformSampler
from scancraft.automata.words.walks import CompletedWalks
from scancraft.suite.languages import LANGUAGES
from scancraft.suite.published_words import block_word, boolean_word, d_n_word, flip_flop_word, grammar_word

RNGS = [random.Random, np.random.default_rng]
Words = list[tuple[str, ...]]


def enumerated(language, length: int) -> Words:
    return [word for word in itertools.product(language.alphabet, repeat=length) if language.accepts(word)]


def chi_square(counts: Counter, weights: Mapping[object, float]) -> float:
    """Normalised to mean 0 and variance about 1, against probabilities in proportion to the weights."""
    assert set(counts) <= set(weights)
    total, scale = sum(counts.values()), sum(weights.values())
    statistic = sum((counts[w] - total * p / scale) ** 2 / (total * p / scale) for w, p in weights.items())
    return (statistic - (len(weights) - 1)) / (2 * (len(weights) - 1)) ** 0.5


def assert_uniform(draw, words: Words, times: int = 30) -> None:
    counts = Counter(draw() for _ in range(times * len(words)))
    assert set(counts) <= set(words)
    assert abs(chi_square(counts, dict.fromkeys(words, 1.0))) < 4


def equal_letters(signed: bool = True) -> CounterMachine:
    """As many a as b, in any order: one signed counter."""
    row = {"a": Step("q", {"n": 1}), "b": Step("q", {"n": -1})}
    return CounterMachine(("a", "b"), (counters.Counter("n", signed=signed),), "q", {"q": row}, {"q": {"n": "zero"}})


def finite() -> CounterMachine:
    """{ab, aabb}, where the counter is of no use."""
    rows = {
        "0": {"a": Step("1", {"n": 1})},
        "1": {"a": Step("2", {"n": 1}), "b": Step("end", {"n": -1}, {"n": "positive"})},
        "2": {"b": Step("3", {"n": -1}, {"n": "positive"})},
        "3": {"b": Step("end")},
    }
    return CounterMachine(("a", "b"), (counters.Counter("n"),), "0", rows, {"end": {}})


def two_for_one() -> CounterMachine:
    """c (a b | b a ...)* with a for +2, b for -1 above zero, and d that ends at zero: no family of the suite."""
    row = {
        "a": Step("q", {"n": 2}),
        "b": Step("q", {"n": -1}, {"n": "positive"}),
        "d": Step("end", {}, {"n": "zero"}),
    }
    return CounterMachine(("a", "b", "c", "d"), ("n",), "0", {"0": {"c": Step("q")}, "q": row}, {"end": {}})


# -- membership, without the machines ----------------------------------------------------------------------------------


def is_dyck(word, language: BoundedDyck) -> bool:
    stack, partner = [], {b: a for a, b in language.brackets}
    for symbol in word:
        if symbol not in partner:
            stack.append(symbol)
            if len(stack) > language.depth:
                return False
        elif not stack or stack.pop() != partner[symbol]:
            return False
    return not stack


def is_shuffle(word, alphabet: tuple[str, ...]) -> bool:
    for opening, closing in zip(alphabet[::2], alphabet[1::2], strict=True):
        depths = list(itertools.accumulate((s == opening) - (s == closing) for s in word))
        if depths and (min(depths) < 0 or depths[-1]):
            return False
    return set(word) <= set(alphabet)


def is_expression(word) -> bool:
    due = 1
    for symbol in word:
        if due == 0:
            return False
        due += ARITIES.get(symbol, 0) - 1
    return due == 0


def is_blocks(word, alphabet: tuple[str, ...]) -> bool:
    n = len(word) // len(alphabet)
    return n > 0 and list(word) == [s for s in alphabet for _ in range(n)]


# -- brackets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kinds", "depth"), [(1, 1), (1, 3), (2, 1), (2, 2), (2, 3)])
def test_bracket_counts(kinds: int, depth: int) -> None:
    language = BoundedDyck(kinds, depth)
    for length in range(9 if kinds == 1 else 7):
        assert count_bracket_words(language, length) == len(enumerated(language, length))


@pytest.mark.parametrize("make", RNGS)
@pytest.mark.parametrize(("kinds", "depth", "length"), [(1, 3, 10), (2, 2, 6), (2, 3, 6), (3, 1, 4), (1, 9, 8)])
def test_bracket_words_are_uniform(make, kinds: int, depth: int, length: int) -> None:
    language, rng = BoundedDyck(kinds, depth), make(1)
    sampler = BracketSampler(language, 12)
    assert_uniform(lambda: sampler.word(length, rng), enumerated(language, length), 60)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 12), st.integers(0, 60), st.integers(0, 9))
def test_bracket_words_belong(kinds: int, depth: int, half: int, seed: int) -> None:
    language = BoundedDyck(kinds, depth)
    word = BracketSampler(language, 130).word(2 * half, np.random.default_rng(seed))
    assert len(word) == 2 * half
    assert is_dyck(word, language)
    live = live_bracket_word(language, half, random.Random(seed))
    assert len(live) == half
    assert None not in list(language.run(live))
    inside = bracket_word(language, half, half + 1, random.Random(seed))
    assert half <= len(inside) <= half + 1
    assert is_dyck(inside, language)
    shown = hewitt_word(language, half, half + 7, random.Random(seed))
    assert half <= len(shown) <= half + 7
    assert is_dyck(shown, language)


@pytest.mark.parametrize("depth", [1, 2, 3, 10])
def test_float_counts_of_paths_follow_the_exact_ones(depth: int) -> None:
    rows = BracketSampler(BoundedDyck(8, depth), 10_000)._opening
    assert len(rows) < 1000  # they repeat from there on
    paths = [1, *[0] * (depth + 1)]
    for rest in range(1, 700):
        row = rows[rest if rest < len(rows) else len(rows) - 1 - (rest - len(rows) + 1) % 2]
        up = paths[1:]
        paths = [paths[d + 1] + (paths[d - 1] if d else 0) for d in range(depth + 1)] + [0]
        for d in range(depth + 1):
            assert abs(row[d] - (up[d] / paths[d] if paths[d] else 0)) < 1e-13


def test_every_live_bracket_word_can_come() -> None:
    language = BoundedDyck(2, 2)
    possible = {w for w in itertools.product(language.alphabet, repeat=4) if None not in list(language.run(w))}
    rng = np.random.default_rng(0)
    assert {live_bracket_word(language, 4, rng) for _ in range(1500)} == possible
    assert {live_bracket_word(BoundedDyck(1, 4), 4, rng, opening=1.0) for _ in range(9)} == {("(", "(", "(", "(")}


def test_distribution_of_hewitt() -> None:
    language, rng = BoundedDyck(2, 2), random.Random(3)

    def probability(word) -> float:
        depth, p = 0, 1.0
        for i, symbol in enumerate(word):
            opens = symbol in "(["
            if depth == 0:
                p *= 0.5 if i >= 2 else 1.0  # below the shortest length the end is drawn again
            elif depth < 2:
                p *= 0.5
            p *= 0.5 if opens else 1.0  # its kind
            depth += 1 if opens else -1
        return p * 0.5

    weights = {word: probability(word) for length in (2, 4, 6) for word in enumerated(language, length)}
    counts = Counter(hewitt_word(language, 1, 7, rng) for _ in range(4000))
    assert abs(chi_square(counts, weights)) < 4


# -- the cycle lemma ---------------------------------------------------------------------------------------------------


def test_one_rotation_is_an_expression() -> None:
    for arities in itertools.product(range(4), repeat=6):
        if sum(arities) == 5:
            due = 1 + np.cumsum(rotated(np.array(arities)) - 1)
            assert due[-1] == 0
            assert (due[:-1] > 0).all()


def test_weighted_expressions() -> None:
    weights = [1.0, 2.0, 0.5, 3.0]
    rng = np.random.default_rng(0)
    expected = {}
    for arities in itertools.product(range(4), repeat=5):
        due = 1 + np.cumsum(np.array(arities) - 1)
        if due[-1] == 0 and (due[:-1] > 0).all():
            expected[arities] = float(np.prod([weights[a] for a in arities]))
    counts = Counter(tuple(expression(weights, 5, rng).tolist()) for _ in range(40 * len(expected)))
    assert abs(chi_square(counts, expected)) < 4
    with pytest.raises(ValueError, match="length 0"):
        expression(weights, 0, rng)
    with pytest.raises(ValueError, match="arities 0 and 1"):
        expression([1.0, 0.0, 1.0], 3, rng)


def test_sizes_of_shuffles() -> None:
    rng = np.random.default_rng(1)
    factorial = [1, 1, 2, 6, 24, 120, 720]
    weights = {
        sizes: 1 / np.prod([factorial[m] * factorial[m + 1] for m in sizes])
        for sizes in itertools.product(range(6), repeat=3)
        if sum(sizes) == 5
    }
    counts = Counter(tuple(shuffle_sizes(3, 5, rng)) for _ in range(20_000))
    assert abs(chi_square(counts, weights)) < 4


# -- counters ----------------------------------------------------------------------------------------------------------

MACHINES = {
    "Dyck-1": dyck_1(),
    "Shuffle-2": shuffle(2),
    "Shuffle-6": shuffle(6),
    "Boolean-3": boolean(3),
    "Boolean-5": boolean(5),
    "anbn": equal_blocks("ab"),
    "anbncn": equal_blocks("abc"),
    "equal": equal_letters(),
    "finite": finite(),
    "two for one": two_for_one(),
}


@pytest.mark.parametrize("name", MACHINES)
def test_counter_counts(name: str) -> None:
    machine = MACHINES[name]
    table = CountedWords(machine, 8)
    family = family_of(machine)
    for length in range(9):
        if len(machine.alphabet) ** length <= 20_000:
            words = enumerated(machine, length)
            assert table.count(length) == len(words)
            assert bool(words) == (length in table.lengths(0, 8))
            assert family is None or bool(words) == (length in family.lengths(0, 8))


@pytest.mark.parametrize("make", RNGS)
@pytest.mark.parametrize(
    ("machine", "length"),
    [
        (dyck_1(), 10),
        (shuffle(2), 6),
        (shuffle(3), 4),
        (boolean(1), 5),
        (boolean(3), 4),
        (boolean(5), 3),
        (equal_letters(), 6),
        (finite(), 4),
        (two_for_one(), 8),
    ],
)
def test_counter_words_are_uniform(make, machine: CounterMachine, length: int) -> None:
    rng, words = make(2), enumerated(machine, length)
    assert words
    for sampler in (sampler_of(machine, 10), CountedWords(machine, 10)):
        if len(words) == 1:
            assert sampler.word(length, rng) == words[0]
        else:
            assert_uniform(lambda sampler=sampler: sampler.word(length, rng), words)


def test_families_are_recognised_by_their_shape() -> None:
    assert family_of(shuffle(6)) == ShuffleWords(shuffle(6).alphabet)
    assert family_of(boolean(5)) == ExpressionWords(boolean(5).alphabet)
    assert family_of(equal_blocks("wxyz")) == BlockWords(("w", "x", "y", "z"))
    row = {"up": Step("only", {"c": 1}), "down": Step("only", {"c": -1}, {"c": "positive"})}
    renamed = CounterMachine(("up", "down"), ("c",), "only", {"only": row}, {"only": {"c": "zero"}})
    assert family_of(renamed) == ShuffleWords(("up", "down"))
    swapped = CounterMachine(("down", "up"), ("c",), "only", {"only": row}, {"only": {"c": "zero"}})
    nonzero = CounterMachine(("up", "down"), ("c",), "only", {"only": row}, {"only": {"c": "positive"}})
    for other in (swapped, nonzero, equal_letters(), finite(), two_for_one()):
        assert family_of(other) is None


@pytest.mark.parametrize("length", [1, 2, 6, 31, 32, 500, 10_000])
def test_long_counter_words_belong(length: int) -> None:
    rng = random.Random(length)
    for kinds in (1, 2, 4, 6):
        machine = shuffle(kinds)
        word = members_of(machine, 1, length, length + 1, rng)[0]
        assert len(word) == length + length % 2
        assert is_shuffle(word, machine.alphabet)
    for operators in (1, 3, 5):
        word = members_of(boolean(operators), 1, length, length, rng)[0]
        assert len(word) == length
        assert is_expression(word)
    for symbols in ("ab", "abc", "abcd"):
        word = members_of(equal_blocks(symbols), 1, length, length + 3, rng)[0]
        assert length <= len(word) <= length + 3
        assert is_blocks(word, tuple(symbols))


def live_words(machine: CounterMachine, length: int) -> Words:
    return [w for w in itertools.product(machine.alphabet, repeat=length) if None not in list(machine.run(w))]


@pytest.mark.parametrize("name", MACHINES)
def test_live_counter_words(name: str) -> None:
    machine, rng = MACHINES[name], np.random.default_rng(0)
    for length in range(4):
        possible = live_words(machine, length)
        if len(possible) > 500:
            break
        if possible:
            assert {live_counter_word(machine, length, rng) for _ in range(8 * len(possible))} <= set(possible)
        else:
            with pytest.raises(EmptyLanguageError, match=f"length {length}"):
                live_counter_word(machine, length, rng)
    if name != "finite":
        for seed in range(3):
            word = live_counter_word(machine, 300, random.Random(seed))
            assert len(word) == 300
            assert None not in list(machine.run(word))


def test_live_counter_words_that_are_counted_are_uniform() -> None:
    rng = np.random.default_rng(4)
    for machine, length in ((equal_blocks("abc"), 7), (two_for_one(), 5), (equal_letters(), 5)):
        assert_uniform(lambda m=machine, n=length: live_counter_word(m, n, rng), live_words(machine, length))
    with pytest.raises(EmptyLanguageError):
        live_counter_word(finite(), 5, rng)


def test_every_live_expression_can_come() -> None:
    rng = np.random.default_rng(4)
    assert {live_counter_word(boolean(2), 3, rng) for _ in range(900)} == set(live_words(boolean(2), 3))


@pytest.mark.parametrize("name", MACHINES)
def test_completed_walks(name: str) -> None:
    machine = MACHINES[name]
    walks, rng = CompletedWalks(machine), np.random.default_rng(5)
    low, high = (2, 4) if name == "finite" else (40, 60)
    words = walks.words(30, low, high, rng)
    assert len(words) == 30
    assert all(low <= len(w) <= high and machine.accepts(w) for w in words)
    if name not in ("finite", "anbn", "anbncn"):
        assert len(set(words)) > 15
    with pytest.raises(EmptyLanguageError, match="none of"):
        walks.words(1, 0, 0, rng) if not machine.accepts(()) else CompletedWalks(finite()).words(1, 5, 9, rng)


def test_walks_take_the_place_of_counts_past_the_budget() -> None:
    machine, budget = two_for_one(), Budget(items=2000)
    with pytest.raises(BudgetExceededError, match="entries"):
        CountedWords(machine, 400, budget)
    assert isinstance(sampler_of(machine, 20, budget), CountedWords)
    assert isinstance(sampler_of(machine, 400, budget), CompletedWalks)
    words = mixture_of(machine, 40, 300, 400, random.Random(0), budget)
    assert all(machine.accepts(w) for w in words[:20])
    assert all(300 <= len(w) <= 400 for w in words)
    live = live_word_of(machine, 400, random.Random(0), budget)
    assert len(live) == 400
    assert None not in list(machine.run(live))
    assert len(live_word_of(machine, 20_000, random.Random(0))) == 20_000


def test_words_of_random_machines() -> None:
    rng = np.random.default_rng(0)
    for machine in random_machines(40, 7):
        table, walks = CountedWords(machine, 4), CompletedWalks(machine)
        for length in range(5):
            words = enumerated(machine, length)
            assert table.count(length) == len(words)
            assert not words or table.word(length, rng) in words
            if live_words(machine, length):
                assert live_counter_word(machine, length, rng) in live_words(machine, length)
            else:
                with pytest.raises(EmptyLanguageError):
                    live_counter_word(machine, length, rng)
        for target in (3, 20, 100):
            word = walks.walk(target, rng)
            assert (word is None) == (walks.distance(machine.start) > target)
            assert word is None or (len(word) <= target and machine.accepts(word))
        words = mixture_of(machine, 12, 5, 40, rng, Budget(items=400))
        assert len(words) == 12
        assert all(5 <= len(w) <= 40 for w in words)


# -- long regular words ------------------------------------------------------------------------------------------------


@st.composite
def dfas(draw: st.DrawFn) -> Dfa:
    n, k = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    row = st.lists(st.integers(0, n - 1), min_size=k, max_size=k)
    table = draw(st.lists(row, min_size=n, max_size=n))
    return Dfa.from_table("abc"[:k], table, 0, draw(st.sets(st.integers(0, n - 1))))


@settings(max_examples=80, deadline=None)
@given(dfa=dfas(), seed=st.integers(0, 5))
def test_halving_finds_the_words_that_there_are(dfa: Dfa, seed: int) -> None:
    sampler, rng = HalvingSampler(dfa, 70), random.Random(seed)
    lengths = UniformSampler(dfa, 70).lengths()
    assert sampler.lengths(0, 70) == lengths
    assert sampler.lengths(5, 200) == [n for n in lengths if n >= 5]
    for length in lengths[:3] + lengths[-12:]:
        word = sampler.word(length, rng)
        assert len(word) == length
        assert dfa.accepts(word)
    for length in sorted(set(range(71)) - set(lengths))[:2]:
        with pytest.raises(EmptyLanguageError, match=f"length {length}"):
            sampler.word(length, rng)


@pytest.mark.parametrize("make", RNGS)
@pytest.mark.parametrize(("dfa", "length"), [(dyck(2, 3), 6), (d_n(3), 12), (flip_flop(), 6), (Dfa.universal("ab"), 7)])
def test_halving_is_uniform(make, dfa: Dfa, length: int) -> None:
    sampler, rng = HalvingSampler(dfa, 20), make(3)
    assert_uniform(lambda: sampler.word(length, rng), enumerated(dfa, length))


def test_halving_neither_overflows_nor_underflows() -> None:
    # One word of each even length beside 3^(n - 1) of each odd length: the smaller count must not be lost.
    even_a = mod_length(2).over("abc")
    odd = Dfa.from_table("abc", [[1, 1, 1], [0, 0, 0]], 0, [1])
    sampler = HalvingSampler(even_a | odd, 10_001)
    assert sampler.word(10_000, random.Random(0)) == ("a",) * 10_000
    assert len(set(sampler.word(10_001, random.Random(0)))) == 3
    # Counts that grow like a polynomial: the place of the divider is uniform.
    once = Dfa.from_table("ab", [[0, 1], [1, 2], [2, 2]], 0, [1])
    places = Counter(HalvingSampler(once, 64).word(50, random.Random(i)).index("b") for i in range(500))
    assert abs(chi_square(places, dict.fromkeys(range(50), 1.0))) < 4


# -- published distributions -------------------------------------------------------------------------------------------


def test_grammar_of_dyck_1_and_shuffle() -> None:
    p, q = 0.5, 0.25
    empty = (1 - (1 - 4 * q * (1 - p - q)) ** 0.5) / (2 * q)

    def probability(word: str, kinds: int) -> float:
        if not word:
            return empty
        splits = [i for i in range(2, len(word), 2) if balanced(word[:i]) and balanced(word[i:])]
        total = q * sum(probability(word[:i], kinds) * probability(word[i:], kinds) for i in splits)
        if not splits:
            total += p / kinds * probability(word[1:-1], kinds)
        return total / (1 - 2 * q * empty)  # S -> S S where either is empty

    def balanced(word: str) -> bool:
        return BoundedDyck(2, 9).accepts(word)

    rng = np.random.default_rng(6)
    for kinds, lengths in ((1, (0, 2, 4, 6, 8)), (2, (2, 4))):
        words = ["".join(w) for n in lengths for w in enumerated(BoundedDyck(kinds, 9), n)]
        weights = {word: probability(word, kinds) for word in words}
        low, high = lengths[0] and lengths[0] - 1, lengths[-1] + 1
        counts = Counter("".join(grammar_word(kinds, low, high, rng)) for _ in range(4000))
        assert abs(chi_square(counts, weights)) < 4
    for nest, branch in ((0.9, 0.05), (0.1, 0.8), (0.2, 0.2)):
        word = grammar_word(1, 400, 500, rng, nest, branch)
        assert 400 <= len(word) <= 500
        assert is_shuffle(word, ("(", ")"))
    assert shuffle(6).accepts(grammar_word(6, 150, 200, random.Random(0)))


@pytest.mark.parametrize(("operators", "low", "high"), [(1, 0, 5), (3, 1, 4), (5, 3, 3), (2, 2, 5)])
def test_distribution_of_boolean_words(operators: int, low: int, high: int) -> None:
    machine, rng = boolean(operators), random.Random(1)
    weights = {
        word: float(np.prod([0.5 / operators if s in ARITIES else 0.25 for s in word]))
        for n in range(low, high + 1)
        for word in enumerated(machine, n)
    }
    # Rare words are thrown together, so that the bound of the test holds.
    common = {w for w, p in weights.items() if p > 1e-3 * sum(weights.values())}
    grouped = Counter()
    for word, p in weights.items():
        grouped[word if word in common else ()] += p
    drawn = (boolean_word(operators, low, high, rng) for _ in range(6000))
    counts = Counter(word if word in common else () for word in drawn)
    assert abs(chi_square(counts, grouped)) < 4
    long = boolean_word(operators, 1000, 1100, rng)
    assert 1000 <= len(long) <= 1100
    assert machine.accepts(long)


def test_published_blocks_and_nesting() -> None:
    rng = np.random.default_rng(0)
    counts = Counter(len(block_word("abc", 10, 30, rng)) for _ in range(700))
    assert abs(chi_square(counts, dict.fromkeys(range(12, 31, 3), 1.0))) < 4
    for depth in (2, 3, 4, 12):
        words = [d_n_word(depth, 2, 100, rng) for _ in range(20)]
        assert all(2 <= len(w) <= 100 and d_n(depth).accepts(w) for w in words)
    assert len({len(w) for w in words}) > 5
    with pytest.raises(EmptyLanguageError, match="D_2"):
        d_n_word(2, 1, 1, rng)


@pytest.mark.parametrize("make", RNGS)
@pytest.mark.parametrize("ignore", [0.8, 0.98, 0.1])
def test_flip_flop_words(make, ignore: float) -> None:
    rng, dfa = make(7), flip_flop()
    words = [flip_flop_word(rng, ignore) for _ in range(40)]
    assert all(len(w) == 512 and dfa.accepts(w) and w[0] == "w" and w[-2] == "r" for w in words)
    instructions = Counter(s for w in words for s in w[2:-2:2])
    n = sum(instructions.values())
    for symbol, share in (("i", ignore), ("w", (1 - ignore) / 2), ("r", (1 - ignore) / 2)):
        assert abs(instructions[symbol] - n * share) < 5 * (n * share) ** 0.5
    free = [bit for w in words for kind, bit in zip(w[::2], w[1::2], strict=True) if kind != "r"]
    assert abs(free.count("1") / len(free) - 0.5) < 5 / len(free) ** 0.5


# -- any language ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", LANGUAGES, ids=lambda suite: suite.name)
@pytest.mark.parametrize("make", RNGS)
def test_words_of_the_suite(make, suite) -> None:
    language = suite.language
    words = mixture_of(language, 41, 10, 24, make(1))
    assert len(words) == 41
    assert all(10 <= len(w) <= 24 and set(w) <= set(language.alphabet) for w in words)
    assert all(language.accepts(w) for w in words[:21])
    assert words == mixture_of(language, 41, 10, 24, make(1))
    members = members_of(language, 5, 9_900, 10_000, make(2))
    assert all(9_900 <= len(w) <= 10_000 and language.accepts(w) for w in members)
    live = live_word_of(language, 3_000, make(3))
    assert len(live) == 3_000
    assert live == live_word_of(language, 3_000, make(3))
    if isinstance(language, Dfa):
        assert language.run(live) in language.live
    else:
        assert None not in list(language.run(live))


def test_lengths_are_uniform_over_those_with_words() -> None:
    rng = np.random.default_rng(2)
    for language, lengths in (
        (BoundedDyck(2, 3), range(4, 11, 2)),
        (equal_blocks("ab"), (4, 6, 8, 10)),
        (d_n(2), (4, 6, 8, 10)),
    ):
        counts = Counter(len(w) for w in members_of(language, 800, 4, 11, rng))
        assert abs(chi_square(counts, dict.fromkeys(lengths, 1.0))) < 4


def neighbours(word: tuple[str, ...], alphabet) -> set[tuple[str, ...]]:
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
def test_edits_stay_in_the_range(make, word: str, alphabet: str, low: int, high: int) -> None:
    rng = make(2)
    found = {edit_within(tuple(word), alphabet, low, high, rng) for _ in range(600)}
    assert found == {w for w in neighbours(tuple(word), alphabet) if low <= len(w) <= high}


def test_no_edit_is_in_the_range() -> None:
    assert edit_within(("a",), ("a",), 1, 1, random.Random(0)) is None
    assert edit_within((), (), 0, 5, random.Random(0)) is None
    assert mixture_of(mod_length(2), 8, 2, 2, random.Random(0)) == [("a", "a")] * 8


def test_edits_of_a_mixture_are_edits() -> None:
    language = BoundedDyck(2, 3)
    words = mixture_of(language, 40, 4, 9, random.Random(5))
    for word in words[20:30]:
        assert any(language.accepts(w) for w in neighbours(word, language.alphabet))


def test_ranges_without_words() -> None:
    rng = random.Random(0)
    for language, low, high in (
        (BoundedDyck(2, 3), 7, 7),
        (equal_blocks("abc"), 1, 2),
        (equal_blocks("abc"), 4, 5),
        (boolean(3), 0, 0),
        (mod_length(2), 1, 1),
        (finite(), 3, 3),
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
    live = mixture_of(equal_blocks("abc"), 20, 1, 2, rng)[:10]
    assert all(w in {("a",), ("a", "a"), ("a", "b")} for w in live)
    assert mixture_of(Dfa.from_words((), [()]), 9, 0, 4, rng) == [()] * 9


def test_what_is_refused() -> None:
    rng = random.Random(0)
    for language in (d_n(2), BoundedDyck(2, 2), dyck_1()):
        with pytest.raises(ValueError, match="-1"):
            live_word_of(language, -1, rng)
        for low, high in ((-1, 3), (4, 3)):
            with pytest.raises(ValueError, match="no range"):
                members_of(language, 1, low, high, rng)
            with pytest.raises(ValueError, match="no range"):
                mixture_of(language, 1, low, high, rng)
        with pytest.raises(ValueError, match="-2"):
            members_of(language, -2, 0, 4, rng)
    with pytest.raises(ValueError, match="-1"):
        count_bracket_words(BoundedDyck(1, 1), -1)
    for sampler in (BracketSampler(BoundedDyck(1, 1), 4), CountedWords(dyck_1(), 4), HalvingSampler(d_n(2), 4)):
        with pytest.raises(EmptyLanguageError, match="length 3"):
            sampler.word(3, rng)
        for length in (-1, 5):
            with pytest.raises(ValueError, match=f"length {length}"):
                sampler.word(length, rng)
    for family, length in ((dyck_1(), 3), (boolean(3), 0), (equal_blocks("abc"), 4)):
        with pytest.raises(EmptyLanguageError, match=f"length {length}"):
            family_of(family).word(length, rng)
        with pytest.raises(ValueError, match="-1"):
            family_of(family).word(-1, rng)
    for draw in (bracket_word, hewitt_word):
        with pytest.raises(EmptyLanguageError, match="length 3"):
            draw(BoundedDyck(2, 2), 3, 3, rng)
        with pytest.raises(ValueError, match="no range"):
            draw(BoundedDyck(2, 2), 3, 2, rng)
    with pytest.raises(EmptyLanguageError, match="3 to 3"):
        grammar_word(1, 3, 3, rng)
    with pytest.raises(EmptyLanguageError, match="length 0"):
        boolean_word(3, 0, 0, rng)
    with pytest.raises(EmptyLanguageError, match="1 to 2"):
        block_word("abc", 1, 2, rng)
    for bad in (lambda: grammar_word(1, 0, 2, rng, 0.5, 0.5), lambda: boolean_word(6, 1, 2, rng)):
        with pytest.raises(ValueError, match="no "):
            bad()
    for length in (2, 511):
        with pytest.raises(ValueError, match=str(length)):
            flip_flop_word(rng, length=length)
    with pytest.raises(AlphabetError, match="length 1"):
        mixture_of(Dfa.empty(()), 1, 1, 1, rng)


@pytest.mark.parametrize(
    "language", [BoundedDyck(8, 10), dyck_1(), shuffle(6), boolean(5), equal_blocks("abc"), d_n(12)]
)
def test_very_long_words(language) -> None:
    word = members_of(language, 1, 99_990, 100_000, np.random.default_rng(0))[0]
    assert 99_990 <= len(word) <= 100_000
    assert language.accepts(word)


SCRIPT = """
import random
import numpy as np
from scancraft.suite.languages import LANGUAGES
from scancraft.automata.words.mixtures import live_word_of, mixture_of
for make in (random.Random, np.random.default_rng):
    rng = make(11)
    for suite in LANGUAGES:
        print(mixture_of(suite.language, 8, 10, 30, rng), live_word_of(suite.language, 30, rng))
"""


def test_words_do_not_depend_on_the_hash_seed() -> None:
    outputs = set()
    for seed in ("0", "4242"):
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
