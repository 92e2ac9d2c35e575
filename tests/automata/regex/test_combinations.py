"""Expressions as combinations: what counts as written on top, and that the language is the same."""

from __future__ import annotations

import pytest

from scancraft.automata.combination import Combination
from scancraft.automata.dfa import Dfa
from scancraft.automata.errors import UnknownSymbolError
from scancraft.automata.regex.combinations import regex
from scancraft.automata.regex.regex import parse_regex


@pytest.mark.parametrize(
    ("text", "operator", "leaves"),
    [
        ("(a|b)*a & ~(ab)*", "all", 2),
        ("~(a|b)", "not", 1),
        ("~~(a)", "not", 1),
        ("a* | (b* & ~b)", "any", 3),
        ("a* & (b*|a) & .*", "all", 3),
    ],
)
def test_booleans_on_top_are_kept(text: str, operator: str, leaves: int) -> None:
    found = regex(text)
    assert isinstance(found, Combination)
    assert (found.operator, len(found.leaves)) == (operator, leaves)
    assert found.dfa() == parse_regex(text)


@pytest.mark.parametrize("text", ["(a|b)*", "a|b", "(~a)b", "(a&b)*", "ε", "~" * 150 + "a"])
def test_others_are_automata(text: str) -> None:
    found = regex(text, "ab")
    assert isinstance(found, Dfa)
    assert found == parse_regex(text, "ab")


def test_a_symbol_outside_the_alphabet_is_refused() -> None:
    with pytest.raises(UnknownSymbolError):
        regex("a & ~c", "ab")
