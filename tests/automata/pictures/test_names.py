"""What is written into pictures."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from scancraft import Dfa, parse_regex
from scancraft.automata.pictures.names import edge_label, set_name, short_names, wrapped


@given(st.sets(st.integers(0, 30), min_size=1))
def test_set_names_can_be_read_back(states: set[int]) -> None:
    found: list[int] = []
    for piece in set_name(sorted(states), [str(q) for q in range(31)])[1:-1].split(","):
        first, _, last = piece.partition("..")
        found += range(int(first), int(last or first) + 1)
    assert found == sorted(states)


def test_set_names_keep_other_names_apart() -> None:
    names = ["1", "q", "2", "3", "dead", "05"]
    assert set_name(range(6), names) == "{1..3,q,dead,05}"
    assert set_name([0, 2], names) == "{1,2}"


@given(st.sets(st.sampled_from("abcdefgh"), min_size=1), st.sampled_from(["abcdefgh", "abcdefghij"]))
def test_edge_labels_say_which_letters(letters: set[str], alphabet: str) -> None:
    label = edge_label(sorted(letters), alphabet)
    if label.startswith("all"):
        excepted = label.removeprefix("all").removeprefix(" but ")
        assert set(alphabet) - set(excepted.replace(",", "")) == letters
    elif label.startswith("["):
        pieces, _, count = label[1:].partition("] ")
        assert {c for c in alphabet if re.fullmatch(f"[{pieces}]", c)} == letters
        assert count == f"({len(letters)})"
    else:
        assert set(label.split(",")) == letters


@given(st.lists(st.integers(0, 999), min_size=1, max_size=40, unique=True))
def test_wrapping_loses_nothing_or_says_so(states: list[int]) -> None:
    name = "{" + ",".join(map(str, states)) + "}"
    lines = wrapped(name).split("\n")
    assert len(lines) <= 3
    if "…" in lines[-1]:
        assert f"({len(states)} parts)" in lines[-1]
    else:
        assert "".join(lines) == name
        assert all(len(line) <= 15 for line in lines)


def test_long_names_go_to_a_legend() -> None:
    dfa = parse_regex("ab")
    assert short_names(dfa.names) == (list(dfa.names), [])
    long = Dfa(dfa.semiautomaton, 0, dfa.accepting, tuple(f"state {q}" * 9 for q in range(dfa.n_states)))
    names, legend = short_names(long.names)
    assert names == ["0", "1", "2", "3"]
    assert len(legend) == 4
    assert all(len(line) < 50 for line in legend)
