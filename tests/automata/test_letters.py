"""Letters that act alike: classes, names, and deciding over one of each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scancraft.automata.alphabet import check_alphabet, class_name
from scancraft.automata.decide.aperiodic import star_free_witness
from scancraft.automata.dfa import Dfa
from scancraft.automata.letters import quotient


@st.composite
def tables(draw: st.DrawFn) -> Dfa:
    n, kinds = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    columns = draw(st.lists(st.tuples(*[st.integers(0, n - 1)] * n), min_size=kinds, max_size=kinds))
    picks = draw(st.lists(st.integers(0, kinds - 1), min_size=1, max_size=8))
    table = [[columns[k][q] for k in picks] for q in range(n)]
    accepting = draw(st.frozensets(st.integers(0, n - 1)))
    return Dfa.from_table("abcdefgh"[: len(picks)], table, 0, accepting)


@given(tables(), st.lists(st.integers(0, 7), max_size=8))
def test_a_word_over_classes_is_each_of_its_words(dfa: Dfa, choice: list[int]) -> None:
    classes = quotient(dfa)
    assert sorted(s for letters in classes.members.values() for s in letters) == sorted(dfa.alphabet)
    assert check_alphabet(classes.dfa.alphabet) == tuple(classes.members)
    word = [dfa.alphabet[c % len(dfa.alphabet)] for c in choice]
    name_of = {s: name for name, letters in classes.members.items() for s in letters}
    first = [classes.members[name_of[s]][0] for s in word]
    assert classes.dfa.run([name_of[s] for s in word]) == dfa.run(word) == dfa.distinct.run(first)
    columns = {tuple(row[a] for row in dfa.table) for a in range(len(dfa.alphabet))}
    assert len(classes.members) == len(columns) == len(dfa.distinct.alphabet)


@given(tables())
def test_witnesses_are_words_of_the_language_itself(dfa: Dfa) -> None:
    witness = star_free_witness(dfa)
    assert witness is None or witness.check(dfa)


@pytest.mark.parametrize(
    ("letters", "name"),
    [
        (["q"], "q"),
        (list("abcdeghij"), "[a-eg-j]"),
        (["\t", " "], r"[\t\x20]"),
        (["x", "if"], "{x,if}"),
        ([f"w{n}" for n in range(500)], "{w0,w1,w2,...500}"),
        ([chr(0x100 + 2 * n) for n in range(20)], "[ĀĂĄĆĈĊČĎĐĒĔĖ...20]"),
    ],
)
def test_names(letters: list[str], name: str) -> None:
    assert class_name(letters) == name


def test_a_class_does_not_take_the_name_of_a_letter() -> None:
    # "[ab]" is a letter of its own kind, "a" and "b" act alike.
    dfa = Dfa.from_table(("a", "b", "[ab]"), [[0, 0, 1], [1, 1, 1]], 0, [0])
    assert dict(quotient(dfa).members) == {"[ab]#2": ("a", "b"), "[ab]": ("[ab]",)}


def test_minimal_automata_of_large_alphabets_are_canonical() -> None:
    small = Dfa.from_table("ab", [[1, 2], [1, 3], [1, 2], [3, 3]], 0, [1, 3])
    wide = Dfa.from_table(
        "abcdef", [[row[n % 2] for n in range(6)] for row in [[1, 2], [1, 3], [1, 2], [3, 3]]], 0, [1, 3]
    )
    assert [list(row[:2]) for row in wide.table] == [list(row) for row in small.table]
    assert wide.accepting == small.accepting
    assert wide.names == small.names
    assert wide.letter_classes == (("a", "c", "e"), ("b", "d", "f"))
