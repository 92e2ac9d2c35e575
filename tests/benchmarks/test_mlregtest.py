"""The languages of the classes of MLRegTest are what they are called, and a campaign makes a table of them."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from campaigning import Threads

import scancraft
from scancraft.certify.check import check


@pytest.fixture(scope="module")
def classes(run: Any) -> Any:
    from experiments import subregular_classes

    return subregular_classes


@pytest.fixture(scope="module")
def checks(run: Any) -> Any:
    from experiments import subregular_checks

    return subregular_checks


def expression(glance: Any) -> str:
    """A literal as an expression of Python's ``re``, which knows nothing of automata of ours."""
    places = ["[" + re.escape("".join(sorted(place))) + "]" for place in glance.places]
    if glance.kind == "subsequence":
        return ".*".join(places)
    text = "".join(places)
    return {"factor": f"(?={text})", "first": f"^{text}", "last": f"{text}$"}[glance.kind]


def contains(definition: Any, word: str) -> bool:
    """Whether a word is in a language, by its definition."""
    kind = type(definition).__name__
    if kind == "Testable":
        seen = "".join(letter for letter in word if letter in definition.tier)
        values = tuple(min(g.most, len(re.findall(expression(g), seen))) for g in definition.literals)
        return values in definition.accepted
    if kind == "Between":
        pieces = re.split("[" + re.escape(definition.markers) + "]", word)
        return all(contains(definition.piece, piece) for piece in pieces)
    if kind == "Counting":
        return len(re.findall("[" + re.escape(definition.counted) + "]", word)) % definition.modulus in (
            definition.remainders
        )
    a, b = contains(definition.first, word), contains(definition.second, word)
    return {"and": a and b, "or": a or b, "xor": a is not b}[definition.how]


def words_for(definition: Any, rng: np.random.Generator) -> list[str]:
    """All short words over few letters; long ones of letters that matter, mostly."""
    letters = list(definition.alphabet)
    found = ["".join(w) for n in range(5 if len(letters) == 4 else 2) for w in product(letters, repeat=n)]
    inner = getattr(definition, "piece", getattr(definition, "second", definition))
    places = [sorted(place) for g in getattr(inner, "literals", ()) for place in g.places]
    for _ in range(150):
        word: list[str] = []
        for _ in range(int(rng.integers(0, 6))):
            if places and rng.random() < 0.8:
                start = int(rng.integers(len(places)))
                word += [str(rng.choice(place)) for place in places[start : start + int(rng.integers(1, 8))]]
            else:
                word += rng.choice(letters, int(rng.integers(1, 4))).tolist()
        found.append("".join(word))
    return found


@pytest.mark.parametrize("letters", [4, 16, 64])
def test_languages_are_what_their_definitions_say(classes: Any, checks: Any, letters: int) -> None:
    rng = np.random.default_rng(letters)
    tested = set()
    for name in classes.names(1, [letters]):
        drawn = classes.drawn(name)
        assert classes.parse_name(str(name)) == name
        if letters == 4:  # the name is the seed
            assert drawn.dfa == classes.drawn(name).dfa
        assert 1 < drawn.dfa.n_states <= classes.MOST_STATES
        words = words_for(drawn.definition, rng)
        assert [w for w in words if drawn.dfa.accepts(w) is not contains(drawn.definition, w)] == []
        tier = getattr(drawn.definition, "tier", drawn.dfa.alphabet)
        within = checks.in_class(name.kind, drawn.dfa, tier, name.k)
        assert within is not False, str(name)
        if within:
            tested.add(name.kind)
    assert tested >= set(classes.CLASSES) - {"LTT", "TLTT"}


IN_CLASS = {
    # An expression, and the classes it is in, by the literature; over a and b.
    "(a|b)*": {"SL", "coSL", "SP", "coSP", "LT", "LTT", "PT", "SF"},
    "(~(.*aa.*))": {"SL", "LT", "LTT", "SF"},
    ".*aa.*": {"coSL", "LT", "LTT", "SF"},
    ".*a.*a.*": {"coSP", "LTT", "PT", "SF"},
    "b*(ab*)?": {"SP", "LTT", "PT", "SF"},
    "(ab)*": {"SL", "LT", "LTT", "SF"},
    "a(a|b)*": {"SL", "coSL", "LT", "LTT", "SF"},
    "b*ab*": {"LTT", "PT", "SF"},
    "a*b*": {"SL", "SP", "LT", "LTT", "PT", "SF"},
    "(b*ab*a)*b*": set(),
    "(a(ab)*b)*": {"SF"},
}


@pytest.mark.parametrize("expression", IN_CLASS)
def test_the_tests_of_classes_tell_known_languages_apart(checks: Any, expression: str) -> None:
    dfa = scancraft.parse_regex(expression, "ab")
    kinds = ("SL", "coSL", "SP", "coSP", "LT", "LTT", "PT", "SF")
    assert {kind for kind in kinds if checks.in_class(kind, dfa, "ab", 2)} == IN_CLASS[expression]
    assert checks.in_class("Zp", dfa, "ab", 2) is (expression == "(b*ab*a)*b*")
    assert checks.in_class("Reg", dfa, "ab", 2) is not ("SF" in IN_CLASS[expression])


def test_letters_outside_a_tier_do_nothing(checks: Any) -> None:
    on_tier = scancraft.parse_regex("c*(ac*bc*)*", "abc")
    assert checks.in_class("TSL", on_tier, "ab", 2)
    assert not checks.in_class("SL", on_tier, "abc", 2)
    assert not checks.in_class("TSL", scancraft.parse_regex("(ab)*", "abc"), "ab", 2)


def test_a_campaign(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scancraft.campaigns.batch.Processes", Threads)
    monkeypatch.setattr(
        "scancraft.campaigns.work.check", lambda place, language, words: check(place, language, words=20, short=100)
    )
    command = ["mlregtest", "--numbers", "1", "--alphabets", "4", "--classes", "SL", "TLT", "--jobs", "1"]
    assert run.main([*command, "--out", str(tmp_path), "--rows", "--write", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "| all |" in shown
    assert len(list((tmp_path / "languages").glob("*.att"))) == len(list((tmp_path / "languages").glob("*.syms"))) == 6
    page = (tmp_path / "benchmarks.md").read_text()
    assert "6 languages of the classes" in page
    assert "6 in the class that they were drawn for and 0 not" in " ".join(page.split())
    assert "| strictly local: none of some factors occurs |" in page
    # The files of somebody else, and a run that was there before.
    given = ["mlregtest", "--folder", str(tmp_path / "languages"), "--jobs", "1", "--out", str(tmp_path)]
    assert run.main(given) == 0
    assert "6 of 6" in capsys.readouterr().out
    wrong = tmp_path / "others"
    wrong.mkdir()
    (wrong / "04.04.SL.2.1.0.att").write_text("0\t1\ta\n1\t0\ta\n0\n")
    (wrong / "notes.att").write_text("nothing of MLRegTest's")
    assert run.main(["mlregtest", "--folder", str(wrong), "--jobs", "1"]) == 1
    assert "0 of 1" in capsys.readouterr().out
