"""Languages that compare the last two letters: one block, whose certificate holds, however many letters there are."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from random import Random
from typing import Literal

import pytest

import scancraft
from scancraft import parse_regex
from scancraft.automata.alphabet import BOS, EOS
from scancraft.automata.decide.pairs import Comparison, comparisons
from scancraft.automata.dfa import Dfa
from scancraft.compiler.circuits.pairs import pairs_circuit

Relation = Callable[[int, int], bool]

RELATIONS: dict[str, tuple[str, Relation]] = {
    "equal": ("equal", lambda before, now: before == now),
    "different": ("different", lambda before, now: before != now),
    "<bos> counts as the first letter": ("equal", lambda before, now: before == now or (before, now) == (5, 0)),
    "equal modulo 3": ("equal", lambda before, now: before % 3 == now % 3),
    "of another parity": ("different", lambda before, now: before % 2 != now % 2),
    "not less": ("beyond", lambda before, now: before <= now),
    "greater": ("beyond", lambda before, now: before > now),
    "two codes": ("beyond", lambda before, now: before * before <= 3 * now),
    "the one before only": ("beyond", lambda before, now: before in (1, 3)),
    "the last one only": ("beyond", lambda before, now: now > 2),
}
"""Numbers of letters, with that of ``<bos>`` after them as the one before, and the kind that is found."""


def after_two(alphabet: list[str], relation: Relation, *, at_start: bool) -> Dfa:
    """The words whose last two letters, the first of them maybe ``<bos>``, are in the relation."""
    count = len(alphabet)
    known = [(before, now) for now in range(count) for before in range(count + 1)]
    place = {pair: n + 1 for n, pair in enumerate(known)}
    rows = [[place[now, a] for a in range(count)] for now in (count, *(now for _, now in known))]
    accepting = [n for pair, n in place.items() if relation(*pair)]
    return Dfa.from_table(alphabet, rows, 0, [*accepting, *([0] if at_start else [])])


@pytest.mark.parametrize("at_start", [False, True])
@pytest.mark.parametrize("name", RELATIONS)
def test_relations_of_two_letters(name: str, at_start: bool) -> None:
    kind, relation = RELATIONS[name]
    language = after_two([*"abcde"], relation, at_start=at_start)
    told = comparisons(language)
    assert told is not None
    assert told[EOS].kind == kind
    circuit = pairs_circuit(language, told)
    assert circuit is not None
    assert circuit.n_blocks == 1
    for word in product("abcde", repeat=4):
        said = [allowed for _, allowed in circuit.run(word)]
        assert said == [language.allowed(language.run(word[:n])) for n in range(5)], word
        pairs = [(None, BOS), *zip((BOS, *word), word, strict=False)]
        assert [told[EOS].holds(*pair) for pair in pairs] == [EOS in allowed for allowed in said]


def test_what_is_no_comparison() -> None:
    assert comparisons(after_two([*"abcde"], lambda before, now: (before * now) % 5 == 1, at_start=False)) is None
    assert comparisons(parse_regex("(a|b)*a(a|b)(a|b)")) is None  # three letters
    assert comparisons(parse_regex("(aa)*")) is None


@pytest.mark.parametrize("count", [20, 40])
def test_the_last_letter_again(count: int) -> None:
    alphabet = [f"w{n}" for n in range(count)]
    model = scancraft.compile(after_two(alphabet, lambda before, now: before == now, at_start=False))
    assert (model.circuit.kind, model.weights.shape.n_layers, model.weights.shape.d_model) == ("pattern", 1, 16)
    assert model.weights.n_parameters < 1_300 + 33 * count
    assert model.certify().verdict == "certified"
    assert model.check(words=20, max_length=40).agrees


def numbered(count: int, most: int) -> tuple[list[str], dict[str, int]]:
    """So many letters, and codes for them and ``<bos>``."""
    alphabet = [f"w{n}" for n in range(count)]
    return alphabet, {symbol: n % most for n, symbol in enumerate([*alphabet, BOS])}


@pytest.mark.parametrize("kind", ["equal", "different"])
def test_codes_in_digits(kind: Literal["equal", "different"]) -> None:
    alphabet, codes = numbered(300, 290)
    told = {EOS: Comparison(kind, codes, codes, at_start=True)}
    circuit = pairs_circuit(Dfa.universal(alphabet), told)
    assert circuit is not None
    assert len(circuit.blocks[0].channels) == 8
    draw, few = Random(0), [alphabet[n] for n in (0, 1, 255, 256, 257, 289, 290, 299)]
    for word in (tuple(draw.choices(few, k=40)) for _ in range(20)):
        pairs = [(None, BOS), *zip((BOS, *word), word, strict=False)]
        assert [EOS in allowed for _, allowed in circuit.run(word)] == [told[EOS].holds(*pair) for pair in pairs]


def test_codes_that_are_too_large() -> None:
    alphabet, codes = numbered(300, 300)
    told = {EOS: Comparison("beyond", codes, dict.fromkeys(alphabet, 7), at_start=False)}
    assert pairs_circuit(Dfa.universal(alphabet), told) is None
