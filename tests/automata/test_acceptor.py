"""The vectorised acceptor, against a loop over symbols."""

import itertools
import random

import numpy as np
import pytest
from examples import dfa, dfas
from hypothesis import given, settings
from hypothesis import strategies as st

from scancraft.automata.acceptor import Acceptor
from scancraft.automata.dfa import Dfa
from scancraft.automata.errors import AlphabetError, LanguageFormatError, UnknownSymbolError


def random_acceptor(n: int, k: int, seed: int) -> Acceptor:
    rng = np.random.default_rng(seed)
    accepting = np.flatnonzero(rng.random(n) < 0.4)
    return Acceptor([f"s{a}" for a in range(k)], rng.integers(0, n, size=(n, k)), int(rng.integers(n)), accepting)


def trace(acceptor: Acceptor, word: list[int]) -> list[int]:
    states = [acceptor.initial]
    for letter in word:
        states.append(acceptor.table.item(states[-1], letter))
    return states


def agrees(acceptor: Acceptor, words: list[list[int]], codes: np.ndarray, lengths: np.ndarray | None) -> None:
    traces = [trace(acceptor, word) for word in words]
    accepting = acceptor.accepting.tolist()
    assert acceptor.final_states(codes, lengths).tolist() == [states[-1] for states in traces]
    assert acceptor.accepts(codes, lengths).tolist() == [accepting[states[-1]] for states in traces]
    width = codes.shape[1]
    held = [states + [states[-1]] * (width + 1 - len(states)) for states in traces]
    assert acceptor.states(codes, lengths).tolist() == held


SHAPES = [(1, 1), (2, 1), (3, 2), (5, 3), (4, 4), (9, 5), (6, 16), (5, 17), (40, 31), (3, 255), (3, 256), (300, 3)]


@pytest.mark.parametrize(("n", "k"), [*SHAPES, (2, 300), (70_000, 2)])
def test_random_batches(n: int, k: int) -> None:
    acceptor = random_acceptor(n, k, seed=n * 1000 + k)
    rng = np.random.default_rng(n + k)
    for batch, width in [(1, 0), (0, 5), (3, 1), (50, 7), (20, 8), (30, 61), (7, 1003)]:
        codes = rng.integers(0, k, size=(batch, width))
        agrees(acceptor, codes.tolist(), codes.astype(np.uint16), None)
        lengths = rng.integers(0, width + 1, size=batch)
        words = [row[:length] for row, length in zip(codes.tolist(), lengths, strict=True)]
        # Whatever stands behind the end of a word must not matter.
        behind = np.arange(width) >= lengths[:, None]
        agrees(acceptor, words, np.where(behind, rng.integers(-9, 999, size=codes.shape), codes), lengths)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_words_of_any_shape(data: st.DataObject) -> None:
    n, k = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 5))
    table = data.draw(st.lists(st.lists(st.integers(0, n - 1), min_size=k, max_size=k), min_size=n, max_size=n))
    acceptor = Acceptor("abcde"[:k], table, data.draw(st.integers(0, n - 1)), data.draw(st.sets(st.integers(0, n - 1))))
    words = data.draw(st.lists(st.text("abcde"[:k], max_size=40), max_size=8))
    codes, lengths = acceptor.encode(words)
    agrees(acceptor, [["abcde".index(s) for s in word] for word in words], codes, lengths)
    assert acceptor.accepts(words).tolist() == acceptor.accepts(codes, lengths).tolist()
    assert acceptor.states([list(word) for word in words]).tolist() == acceptor.states(words).tolist()


@pytest.mark.parametrize("name", dfas(random=False))
def test_all_short_words_of_the_examples(name: str) -> None:
    language = dfa(name)
    depth = 4 if len(language.alphabet) > 2 else 8
    words = [word for length in range(depth + 1) for word in itertools.product(language.alphabet, repeat=length)]
    assert Acceptor.of(language).accepts(words).tolist() == [language.accepts(word) for word in words]


@pytest.mark.parametrize("seed", range(30))
def test_next_symbols_by_enumeration(seed: int) -> None:
    rng = random.Random(seed)
    n, k = rng.randint(1, 5), rng.randint(1, 3)
    table = [[rng.randrange(n) for _ in range(k)] for _ in range(n)]
    accepting = {q for q in range(n) if rng.random() < 0.3}
    acceptor = Acceptor("abc"[:k], table, 0, accepting)

    def completable(state: int) -> bool:
        layer = {state}
        for _ in range(n):  # a shortest completion has fewer than n letters
            if layer & accepting:
                return True
            layer = {target for q in layer for target in table[q]}
        return False

    assert acceptor.live.tolist() == [completable(q) for q in range(n)]
    expected = [[*(completable(target) for target in table[q]), q in accepting] for q in range(n)]
    assert acceptor.next_symbol_mask(range(n)).tolist() == expected
    grid = np.array([[0, n - 1], [n - 1, 0]], dtype=np.uint8)
    assert acceptor.next_symbol_mask(grid).shape == (2, 2, k + 1)
    assert acceptor.next_symbol_mask(grid)[1, 0].tolist() == expected[n - 1]


def test_encode() -> None:
    acceptor = Acceptor("aé🙂", [[0, 0, 0]], 0, [0])
    codes, lengths = acceptor.encode(["", "a🙂é", "é"])
    assert codes.tolist() == [[0, 0, 0], [0, 2, 1], [1, 0, 0]]
    assert codes.dtype == np.uint8
    assert lengths.tolist() == [0, 3, 1]
    long = Acceptor(["push", "a"], [[0, 0]], 0, [0])
    assert long.encode([("push", "a"), "aaa"])[0].tolist() == [[0, 1, 0], [1, 1, 1]]
    assert Acceptor([f"s{i}" for i in range(300)], [[0] * 300], 0, []).encode([["s299"]])[0].dtype == np.uint16
    assert acceptor.encode([])[0].shape == (0, 0)


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["ab", "", "abxa"], "'x' at position 2 of word number 2"),
        (["é"], "'é' at position 0 of word number 0"),
        (["a", "b\ud800"], "position 1 of word number 1"),
        ([("a", "ab")], "'ab' at position 1 of word number 0"),
        ([("a",), ("b", 3)], "3 at position 1 of word number 1"),
    ],
)
def test_unknown_symbols_are_located(words: list, place: str) -> None:
    with pytest.raises(UnknownSymbolError, match=place):
        Acceptor("ab", [[0, 0]], 0, [0]).accepts(words)


def test_bad_codes_and_lengths() -> None:
    acceptor = Acceptor("ab", [[0, 0]], 0, [0])
    with pytest.raises(UnknownSymbolError, match="number 2 at position 1 of word number 1"):
        acceptor.accepts(np.array([[0, 1], [0, 2]]))
    with pytest.raises(UnknownSymbolError, match="number -1 at position 0 of word number 0"):
        acceptor.states(np.array([[-1]]))
    for codes, lengths in [
        (np.zeros(3, dtype=int), None),
        (np.zeros((2, 2)), None),
        (np.zeros((2, 2), dtype=int), [1]),
        (np.zeros((2, 2), dtype=int), [1, 3]),
        (np.zeros((2, 2), dtype=int), [-1, 1]),
    ]:
        with pytest.raises(ValueError, match=r"give integers|one per word"):
            acceptor.accepts(codes, lengths)
    with pytest.raises(ValueError, match="list of words"):
        acceptor.accepts("ab")
    with pytest.raises(AlphabetError, match="twice"):
        Acceptor("aa", [[0, 0]], 0, [])
    with pytest.raises(ValueError, match="plain words"):
        acceptor.accepts(["ab"], [2])


@pytest.mark.parametrize(
    ("table", "initial", "accepting"),
    [
        ([], 0, []),
        ([[0]], 0, []),
        ([[0, 1], [0]], 0, []),
        ([[0, 2], [0, 0]], 0, []),
        ([[0, -1], [0, 0]], 0, []),
        ([[0.0, 1.0], [0.0, 0.0]], 0, []),
        ([[0, 0]], 1, []),
        ([[0, 0]], 0, [3]),
    ],
)
def test_bad_tables(table: list, initial: int, accepting: list) -> None:
    with pytest.raises(LanguageFormatError, match=r"table|state"):
        Acceptor("ab", table, initial, accepting)


def test_the_empty_alphabet() -> None:
    acceptor = Acceptor.of(Dfa.from_words((), [()]))
    assert acceptor.accepts(["", ()]).tolist() == [True, True]
    assert acceptor.states([""]).tolist() == [[0]]
    assert acceptor.next_symbol_mask([0]).tolist() == [[True]]
    with pytest.raises(UnknownSymbolError, match="'a' at position 0"):
        acceptor.accepts(["a"])


@pytest.mark.parametrize("alphabet", ["ab", "ba", "~\x7f", "()[]", "wri01", "é", "aé", "", "\x00\x01"])
def test_every_ascii_character(alphabet: str) -> None:
    """Alphabets with and without gaps: each character is read as its letter, or refused."""
    acceptor = Acceptor(alphabet, [[0] * len(alphabet)], 0, [0])
    for point in range(256):
        if chr(point) in alphabet:
            codes, _ = acceptor.encode([alphabet, chr(point)])
            assert codes[:, 0].tolist() == [0, alphabet.index(chr(point))]
            codes[:] = 0  # the caller's own
        else:
            with pytest.raises(UnknownSymbolError, match=f"position {len(alphabet)} of word number 1"):
                acceptor.encode(["", alphabet + chr(point)])
