"""Languages of other people on the command line: files of other tools, expressions of other dialects, odd symbols."""

from pathlib import Path

import pytest
from command_line import answer, invoke, refused, written
from written_files import LEARNLIB, MATA, RABIT


def test_expressions_of_other_dialects(tmp_path: Path) -> None:
    command = ("compile", "-o", tmp_path / "out", "--json", "--regex")
    assert answer(invoke(*command, r"^a+?b$", "--dialect", "python"))["states"] == 4
    assert invoke("run", tmp_path / "out", "aab").exit_code == 0
    assert (
        answer(invoke("decide", "--regex", "(open+close)*", "--dialect", "pyformlang", "--json"))["star_free"] is True
    )
    done = invoke("decide", "--regex", "(aa)*+", "--dialect", "python")
    assert (done.exit_code, "possessive" in done.stderr, "at position 5" in done.stderr) == (2, True, True)
    assert "--dialect goes with --regex" in refused(invoke("decide", "D-2", "--dialect", "python"))
    assert invoke("decide", "--regex", "a", "--dialect", "perl").exit_code == 2


def test_files_of_other_tools(tmp_path: Path) -> None:
    place = written(tmp_path / "learned", LEARNLIB)
    assert answer(invoke("compile", place, "-o", tmp_path / "out", "--json"))["states"] == 2
    assert "not XML" in refused(invoke("decide", place, "--format", "jflap"))
    assert answer(invoke("decide", place, "--format", "dot", "--json"))["star_free"] is True
    assert "--format goes with a file" in refused(invoke("decide", "D-2", "--format", "dot"))
    assert (
        answer(invoke("check", tmp_path / "out", "--language", place, "--words", 20, "--json"))["verdict"] == "agrees"
    )
    assert "cannot be read" in refused(invoke("decide", "no.mata"))
    nfa = written(tmp_path / "x.mata", MATA + "q0 b q1\n")
    assert "subset states" in refused(invoke("decide", nfa, "--budget", "1"), 3)
    assert answer(invoke("decide", written(tmp_path / "x.ba", RABIT), "--alphabet", "b a c", "--json"))["states"] == 3


def test_a_language_without_a_word_is_told(tmp_path: Path) -> None:
    table = {
        "alphabet": ["0E", "0L"],
        "initial": "p",
        "accepting": [],
        "transitions": {"p": {"0E": "q"}, "q": {"0L": "p"}},
    }
    done = invoke("compile", written(tmp_path / "x.json", table), "-o", tmp_path / "out")
    assert done.exit_code == 0
    assert "warning" in done.stderr
    assert "accepts no word" in done.stderr


@pytest.mark.parametrize(("regex", "alphabet"), [("a b", r"a b \x20"), (r"\t*", r"\t \n"), ("'[^ ]'", r"\x20 ' a")])
def test_symbols_that_cannot_be_typed(regex: str, alphabet: str, tmp_path: Path) -> None:
    found = answer(invoke("decide", "--regex", regex, "--alphabet", alphabet, "--dialect", "python", "--json"))
    assert found["star_free"] is True
