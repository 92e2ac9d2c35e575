"""Conjunctions that are looked at together say what each of them says alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scancraft.compiler.plan.conjunctions import Conjunctions

PLACES = ("x", "y", "z")
VALUES = st.one_of(st.none(), st.integers(0, 3))
LITERALS = st.dictionaries(st.sampled_from(PLACES), st.frozensets(st.integers(0, 3)))


@given(st.lists(LITERALS, max_size=6), st.fixed_dictionaries(dict.fromkeys(PLACES, VALUES)))
def test_a_conjunction_holds_where_all_its_literals_do(asked, at):
    one_by_one = [all(at[place] in values for place, values in literals.items()) for literals in asked]
    mask = Conjunctions(asked).holding(at.__getitem__)
    assert [bool(mask >> n & 1) for n in range(len(asked))] == one_by_one
    assert mask < 1 << len(asked)
