"""``scancraft convert``, and languages of other tools on the command line."""

from pathlib import Path

import pytest
from command_line import answer, invoke, refused, written
from written_files import LEARNLIB, LEARNLIB_MEALY, MATA, OPENFST

from scancraft.automata.formats.registry import read_automaton
from scancraft.automata.regex.regex import parse_regex


def test_a_file_of_one_tool_becomes_one_of_another(tmp_path: Path) -> None:
    source = written(tmp_path / "x.dot", LEARNLIB)
    for name in ("x.json", "x.jff", "x.hoa", "x.mata", "x.tmb", "x.ba", "x.att", "y.gv"):
        found = answer(invoke("convert", source, tmp_path / name, "--json"))
        assert (found["states"], found["letters"], found["empty"]) == (2, 2, False)
        assert read_automaton(tmp_path / name) == parse_regex("(a|b)*a")
    assert found["files"] == [str(tmp_path / "y.gv")]
    done = invoke("convert", tmp_path / "x.att", tmp_path / "z.fst.txt")
    assert done.stdout == f"written to {tmp_path / 'z.fst.txt'}, {tmp_path / 'z.syms'}: 2 states, 2 letters\n"


def test_names_and_checkpoints_are_converted_too(d2: Path, tmp_path: Path) -> None:
    for source in ("D-2", d2):
        assert invoke("convert", source, tmp_path / "x.dot", "--force").exit_code == 0
        assert read_automaton(tmp_path / "x.dot") == parse_regex("(a(ab)*b)*")


def test_nothing_of_the_users_is_replaced(tmp_path: Path) -> None:
    source = written(tmp_path / "x.dot", LEARNLIB)
    beside = written(tmp_path / "y.syms", "mine")
    assert "y.syms exists; choose another name, or --force" in refused(invoke("convert", source, tmp_path / "y.att"))
    assert beside.read_text() == "mine"
    assert not (tmp_path / "y.att").exists()
    assert invoke("convert", source, tmp_path / "y.att", "--force").exit_code == 0
    assert "x.dot exists" in refused(invoke("convert", source, source))
    (tmp_path / "dir.dot").mkdir()
    assert "not a regular file" in refused(invoke("convert", source, tmp_path / "dir.dot", "--force"))
    assert "no/x.dot" in refused(invoke("convert", source, tmp_path / "no" / "x.dot"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dir.dot", "x.dot", "y.att", "y.syms"]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (LEARNLIB, ("--from", "jflap"), "not XML"),
        (LEARNLIB, ("--from", "x"), "there is no format 'x'"),
        (LEARNLIB, ("--to", "fsm"), "the format fsm is only read"),
        (LEARNLIB_MEALY, ("--to", "jflap"), "holds no outputs here; those that do are json, dot"),
        (MATA, ("--budget", "1"), "subset states"),
        (OPENFST, ("--symbols", "no.syms"), "no.syms: cannot be read"),
    ],
)
def test_refusals(text: str, options: tuple[str, ...], message: str, tmp_path: Path) -> None:
    source = written(tmp_path / "x", text)
    assert message in refused(
        invoke("convert", source, tmp_path / "y.json", *options), 3 if "--budget" in options else 2
    )


def test_outputs_and_symbol_tables(tmp_path: Path) -> None:
    source = written(tmp_path / "x", LEARNLIB_MEALY)
    answer(invoke("convert", source, tmp_path / "y.json", "--accepting-output", "1", "--json"))
    assert read_automaton(tmp_path / "y.json") == parse_regex("(a|b)*a")
    numbers, table = written(tmp_path / "n.att", "0 1 1\n1\n"), written(tmp_path / "t.txt", "<eps> 0\ngo 1\n")
    answer(invoke("convert", numbers, tmp_path / "z.json", "--symbols", table, "--json"))
    assert read_automaton(tmp_path / "z.json") == parse_regex("'go'")
    nothing = written(tmp_path / "e.att", "0\t0\ta\n")
    assert "warning: no word is accepted" in invoke("convert", nothing, tmp_path / "e.json").stdout


def test_other_commands_read_them_too(tmp_path: Path) -> None:
    assert answer(invoke("decide", written(tmp_path / "x.mata", MATA), "--json"))["star_free"] is True
