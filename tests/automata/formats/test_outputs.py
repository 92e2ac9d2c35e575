"""Machines with outputs in files: drawings of LearnLib and AALpy, our own JSON, and from one to the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import answer, invoke, refused
from hypothesis import assume, given
from moores import moores

import scancraft
from scancraft import LanguageFormatError, Moore
from scancraft.automata.formats.outputs import moore_from_json
from scancraft.automata.formats.registry import read_automaton, read_machine, written
from scancraft.automata.languages import as_language
from scancraft.automata.machines import MACHINES

AALPY_MOORE = """digraph learnedModel {
s0 [label="s0|even", shape=record, style=rounded];
s1 [label="s1|odd", shape=record, style=rounded];
s0 -> s1  [label="1"];
s0 -> s0  [label="0"];
s1 -> s0  [label="1"];
s1 -> s1  [label="0"];
__start0 [shape=none, label=""];
__start0 -> s0  [label=""];
}
"""
LEARNLIB_MEALY = """digraph g {
    s0 [shape="circle" label="0"];
    s1 [shape="circle" label="1"];
    s0 -> s1 [label="1 / odd"];
    s0 -> s0 [label="0 / even"];
    s1 -> s0 [label="1 / even"];
    s1 -> s1 [label="0 / odd"];
    __start0 [label="" shape="none" width="0" height="0"];
    __start0 -> s0;
}
"""
PARITY = scancraft.moore({q: {"0": q, "1": 1 - q} for q in (0, 1)}, 0, {0: "even", 1: "odd"})


def file(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_drawings_of_others(tmp_path: Path) -> None:
    assert as_language(file(tmp_path, "moore.dot", AALPY_MOORE)) == PARITY
    mealy = as_language(file(tmp_path, "mealy.dot", LEARNLIB_MEALY))
    assert isinstance(mealy, Moore)
    assert mealy.trace("0110") == ("start", "even", "odd", "even", "even")
    for name in ("moore.dot", "mealy.dot"):
        with pytest.raises(LanguageFormatError, match="say which of them accept"):
            read_automaton(tmp_path / name)


def jflap(kind: str, body: str) -> str:
    return f"<structure><type>{kind}</type><automaton>{body}</automaton></structure>"


STATES = '<state id="0"><initial/><output>{}</output></state><state id="1"><output>{}</output></state>'
ARC = "<transition><from>{}</from><to>{}</to><read>{}</read><transout>{}</transout></transition>"


def test_machines_of_jflap(tmp_path: Path) -> None:
    turns = "".join(ARC.format(q, t, s, "") for q, t, s in ((0, 0, "0"), (0, 1, "1"), (1, 1, "0"), (1, 0, "1")))
    assert as_language(file(tmp_path, "x.jff", jflap("moore", STATES.format("even", "odd") + turns))) == PARITY
    told = "".join(ARC.format(q, t, s, o) for q, t, s, o in ((0, 1, "[a-b]", "x"), (1, 0, "[a-b]", "y")))
    found = as_language(file(tmp_path, "y.jff", jflap("mealy", STATES.format("", "") + told)))
    assert isinstance(found, Moore)
    assert found.trace("abba") == ("start", "x", "y", "x", "y")
    several = jflap("mealy", STATES.format("", "") + ARC.format(0, 1, "ab", "x"))
    with pytest.raises(LanguageFormatError, match="several letters in a row"):
        as_language(file(tmp_path, "z.jff", several))
    with pytest.raises(LanguageFormatError, match="reads nothing"):
        as_language(file(tmp_path, "e.jff", jflap("moore", STATES.format("x", "y") + ARC.format(0, 1, "", ""))))


@given(moores(symbols="ab/"))
def test_written_and_read_again(tmp_path_factory: Any, machine: Moore) -> None:
    assume(len(set(machine.outputs)) > 1)
    place = tmp_path_factory.mktemp("written")
    for name in ("m.dot", "m.json"):
        ((path, text),) = written(machine, place / name).items()
        path.write_text(text, encoding="utf-8")
        found = read_machine(path)
        assert isinstance(found, Moore)
        only = Moore.from_table(machine.alphabet, machine.table, machine.outputs)
        assert found == (machine if name == "m.json" else only)


BROKEN = {
    "two moves": (AALPY_MOORE.replace('s0 -> s0  [label="0"]', 's0 -> s0  [label="1"]'), "nondeterministic"),
    "epsilon": (AALPY_MOORE.replace('s0 -> s0  [label="0"]', 's0 -> s0  [label="ε"]'), "reads nothing"),
    "missing": (AALPY_MOORE.replace('s0 -> s0  [label="0"];', ""), "'s0' has no transition on '0'"),
    "two starts": (AALPY_MOORE.replace("}\n", "__start0 -> s1;\n}\n"), "two initial states"),
    "one output": (AALPY_MOORE.replace("odd", "even"), "1 classes"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_drawings_that_are_no_machine(name: str, tmp_path: Path) -> None:
    text, message = BROKEN[name]
    with pytest.raises(LanguageFormatError, match=message):
        as_language(file(tmp_path, "m.dot", text))


@pytest.mark.parametrize("output", ["x|y", "{x}", "<f0> x", " x", "a\\", 'a"b', "\n", "é", "\\x41", "z|"])
def test_classes_that_mean_something_in_records(output: str, tmp_path: Path) -> None:
    machine = scancraft.moore({0: {"a": 1}, "a|b": {"a": 0}, 1: {"a": "a|b"}}, 0, {0: output, 1: "z", "a|b": "y"})
    [(path, text)] = written(machine, tmp_path / "m.dot").items()
    path.write_text(text)
    assert as_language(path) == machine


def test_what_a_drawing_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(LanguageFormatError, match="what may come next"):
        written(MACHINES["depth to 3"](), tmp_path / "m.dot")
    with pytest.raises(LanguageFormatError, match="holds no outputs here; those that do are json, dot"):
        written(PARITY, tmp_path / "m.jff")


def test_the_commands(tmp_path: Path) -> None:
    """From a learned machine to a certified model, and back to a file."""
    drawn = file(tmp_path, "learned.dot", AALPY_MOORE)
    assert answer(invoke("convert", drawn, tmp_path / "m.json", "--json"))["classes"] == 2
    assert moore_from_json(json.loads((tmp_path / "m.json").read_text())) == PARITY
    assert invoke("decide", drawn).exit_code == 1  # a group of two
    made = answer(invoke("compile", drawn, "-o", tmp_path / "out", "--certify", "--json"))
    assert (made["classes"], made["states"], made["verdict"], made["margin"]) == (2, 2, "certified", 32.0)
    assert invoke("certify", tmp_path / "out", "--check").exit_code == 0
    assert invoke("check", tmp_path / "out", "--words", "20").exit_code == 0
    (word,) = answer(invoke("run", tmp_path / "out", "0111", "--json"))
    assert (word["class"], word["prefixes"][0]) == ("odd", {"symbol": None, "class": "even"})
    assert "class" in invoke("run", tmp_path / "out", "01").output
    assert "Moore machine" in invoke("explain", tmp_path / "out", "--stage", "language").output
    assert "classes" in refused(invoke("generate", tmp_path / "out"))
    assert invoke("convert", tmp_path / "out", tmp_path / "again.dot").exit_code == 0
    assert as_language(tmp_path / "again.dot") == PARITY
    refused(invoke("compile", drawn, "-o", tmp_path / "no", "--gates", "nonnegative"))


def test_training_by_name(tmp_path: Path) -> None:
    told = invoke("train", "--named", "last letter", "--steps", "3", "-o", tmp_path / "t")
    assert told.exit_code == 0, told.output
    record = json.loads((tmp_path / "t" / "training.json").read_text())
    assert set(record["language"]) == {"moore_machine"}
    with pytest.raises(
        scancraft.UnknownLanguageError, match=r"no language of the suite is called 'last letter'; .*\}$"
    ):
        scancraft.suite_language("last letter")


def test_a_mamba_in_the_suite_of_commands(tmp_path: Path) -> None:
    assert (
        invoke("compile", "--named", "corridor of 5", "-o", tmp_path / "out", "--construction", "plan").exit_code == 0
    )
    told = invoke("explain", tmp_path / "out", "--stage", "plan").output
    assert "tell the class" in told
    assert "The class is 0 if" in told
    assert invoke("explain", tmp_path / "out", "--html", tmp_path / "page.html").exit_code == 0
    assert invoke("explain", tmp_path / "out", "--picture", tmp_path / "cascade.png").exit_code == 0
    drawn = ("--picture", tmp_path / "held.png", "--of", "memories", "--word", "++-")
    assert invoke("explain", tmp_path / "out", *drawn).exit_code == 0
