"""``scancraft depth``: blocks from above and from below."""

from __future__ import annotations

import pytest
from command_line import answer, invoke, refused

from scancraft.automata.decide.depth import DepthWitness
from scancraft.automata.regex.regex import parse_regex


def test_it_names_two_words_that_fewer_blocks_confuse() -> None:
    facts = answer(invoke("depth", "--regex", "(a(ab)*b)*", "--json"))
    assert (facts["at_least"], facts["window"]) == (2, 2)
    assert facts["at_most"] >= 2
    first, second = map(tuple, facts["words"])
    assert DepthWitness(1, 2, (first, second), facts["differ"]).check(parse_regex("(a(ab)*b)*"))
    text = invoke("depth", "--regex", "(a(ab)*b)*").stdout
    assert "without counting at least 2: 1 block of latches" in text
    assert '"aa" from "aaa"' in text


def test_one_block_is_enough() -> None:
    facts = answer(invoke("depth", "--regex", "(a|b)*a", "--window", 3, "--json"))
    assert (facts["at_most"], facts["at_least"], facts["words"], facts["window"]) == (1, 1, None, 3)
    assert "so 1 block it is" in invoke("depth", "--regex", "(a|b)*a").stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--named", "Parity"), "not star-free"),
        (("--named", "Dyck-1"), "give a regular language"),
        (("--regex", "a", "--named", "D-2"), "exactly one"),
    ],
)
def test_what_it_refuses(args: tuple[str, ...], said: str) -> None:
    assert said in refused(invoke("depth", *args), 2)
