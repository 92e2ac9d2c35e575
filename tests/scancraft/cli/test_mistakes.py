"""Natural mistakes, ten and more per command: each is answered by one line that names the remedy, and exit code 2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
from command_line import invoke, refused

from scancraft import parse_regex
from scancraft.automata.formats.formats import to_json_dict
from scancraft.cli.app import EXAMPLES

LANGUAGE = {
    "two ways": ("--regex a --named D-2", "give exactly one of"),
    "a name that is none": ("--named D-5", "there are Parity"),
    "unbalanced": ("--regex (ab", "expected"),
    "another dialect": ("--regex a+?", "'+'|'?'|^"),
    "symbols outside": ("--regex abc --alphabet ab", "alphabet"),
    "alphabet of a name": ("--named D-2 --alphabet abc", "drop it|bring their own"),
    "one number": ("--dyck 8", "as in 8,10"),
    "no kinds": ("--dyck 0,3", "at least 1"),
    "half a pair": ("--dyck 1,3 --alphabet (", "in pairs"),
    "option misspelt": ("--regx a", "--regex"),
    "name misspelt": ("--name D-2", "--named"),
    "no value": ("--regex", "requires an argument"),
}
"""What goes wrong with the options of the language, in every command that has them."""

PLACES = {
    "an expression in its place": ("a*b", "--regex"),
    "no such file": ("machine.json", "check the path"),
    "a folder": ("there", "scancraft"),
    "two of them": ("D-2 D-3", "--help"),
}
"""What goes wrong with the argument of commands that are about a language."""

DIRECTORIES = {
    "none": ("", "DIR"),
    "no such place": ("nowhere", "written by `scancraft compile`"),
    "a file": ("file", "written by `scancraft compile`"),
    "a folder without a model": ("there", "written by `scancraft compile`"),
    "an unknown option": ("MODEL --verbos", "--help"),
}
"""What goes wrong with the directory of commands that are about a checkpoint."""

OWN = {
    "decide": {
        "a budget of nothing": ("--regex a --budget 0", "greater than or equal to 1"),
        "no number": ("--regex a --seconds soon", "number"),
    },
    "depth": {
        "too wide": ("--regex a --window 9", "less than or equal to 4"),
        "not star-free": ("--named Parity", "star-free"),
    },
    "compile": {
        "no place": ("--regex a", "--out"),
        "no such target": ("--regex a -o x --target mamba3", "mamba2"),
        "no such gates": ("--regex a -o x --gates complex", "signed"),
        "what is there": ("--regex a -o there", "there"),
    },
    "train": {
        "no time": ("--regex a --budget soon", "60s"),
        "lengths": ("--regex a --shortest 9 --longest 3", "in order"),
        "no words": ("--regex [] --budget 1s", "give others"),
        "what is there": ("--regex a --budget 1s -o there", "choose another directory"),
    },
    "check": {
        "nothing to try": ("MODEL --words 0 --short 0", "raise one"),
        "other symbols": ("MODEL --regex x", "alphabet"),
        "negative": ("MODEL --words -3", "greater than or equal to 0"),
        "no number": ("MODEL --seed one", "integer"),
        "far too many": ("MODEL --words 9999999999", "less than or equal to 1000000"),
    },
    "certify": {
        "a language beside --check": ("MODEL --check --regex a", "drop the language"),
        "no such dtype": ("MODEL --dtype half", "bfloat16"),
        "other symbols": ("MODEL --regex x", "alphabet"),
        "no budget": ("MODEL --budget 0", "greater than or equal to 1"),
        "negative time": ("MODEL --seconds -1", "greater than or equal to 0"),
    },
    "run": {
        "other symbols": ("MODEL abc", "alphabet"),
        "both ways": ("MODEL ab --file file", "not both"),
        "no file": ("MODEL --file words.txt", "check the path"),
        "quoted twice": ("MODEL 'ab'", "alphabet"),
        "misspelt": ("MODEL ab --ful", "--full"),
        "a language": ("D-2 ab", "`scancraft compile 'D-2' -o DIR` makes one"),
    },
    "generate": {
        "lengths": ("MODEL --lengths ten", "10-30"),
        "backwards": ("MODEL --lengths 9-3", "10-30"),
        "no words": ("MODEL -n 0", "greater than or equal to 1"),
        "long prompt": ("MODEL --prompt abab --max-length 2", "raise that"),
        "both": ("MODEL --prompt ab --lengths 4", "drop it"),
        "other symbols": ("MODEL --prompt x", "alphabet"),
        "a prompt that is dead": ("MODEL --prompt bb", "give the beginning of a word"),
        "no word so long": ("MODEL --lengths 3", "give others"),
    },
    "explain": {
        "no such stage": ("MODEL --stage magic", "cascade"),
        "no such block": ("MODEL --block 99", "numbered"),
        "no suffix": ("MODEL --picture out", ".svg"),
        "word without picture": ("MODEL --word ab", "--picture"),
        "memories without word": ("MODEL --picture a.svg --of memories", "--word"),
    },
    "convert": {
        "one file": ("machine.json", "OUT"),
        "no such file": ("machine.json out.dot", "check the path"),
        "no such format": ("file out.dot --from nfa", "formats are"),
        "no format": ("file out.dot", "format"),
        "a folder": ("there out.dot", "written by `scancraft compile`"),
        "no such name": ("D-5 out.dot", "the suite has Parity"),
        "an expression": ("(ab)* out.dot", "--regex"),
        "no such place": ("dfa.json none/out.dot", "check the place"),
        "what is there": ("dfa.json dfa.json", "--force"),
        "a suffix": ("dfa.json out.pdf", "(.dot .gv)"),
        "a format for the suffix": ("dfa.json out.dot --to gv", "the formats are json"),
        "a third": ("dfa.json out.dot more.dot", "--help"),
    },
    "export": {
        "nothing": ("", "DIR"),
        "no format": ("MODEL -o out", "--to"),
        "no such format": ("MODEL --to pickle -o out", "gguf"),
        "nowhere": ("MODEL --to mlx", "--out"),
        "no such place": ("nowhere --to mlx -o out", "nowhere"),
        "a dtype of GGUF": ("MODEL --to mlx --dtype float16 -o out", "--to gguf"),
        "no such dtype": ("MODEL --to gguf --dtype int8 -o out", "bfloat16"),
        "what is there": ("MODEL --to onnx -o dfa.json", "choose another name"),
        "another directory": ("MODEL --to mlx -o there", "there"),
        "no such shape": ("MODEL --to mlx --shape square -o out", "standard"),
        "two": ("MODEL MODEL --to mlx -o out", "--help"),
    },
    "refute": {
        "no language": ("MODEL --tokens a=3,a=4", "each symbol once"),
        "no id": ("MODEL --bos first", "whole number"),
        "no place": ("nowhere --named Parity", "nowhere"),
        "too much": ("MODEL --check file --tokens a=3", "drop the rest"),
    },
    "suite": {
        "a name that is none": ("--only D-5", "there are Parity"),
        "no names": ("--only ;", "semicolons"),
        "check of nothing": ("--check --no-certificates", "drop --no-certificates"),
        "suffix": ("--plot a.gif", ".svg"),
        "trained alone": ("--trained there", "--plot"),
        "words": ("--words 0", "greater than or equal to 1"),
        "commas": ("--only D-2,D-4", "semicolons"),
        "an argument": ("D-2", "--help"),
        "misspelt": ("--chek", "--check"),
        "no jobs": ("--jobs 0", "greater than or equal to 1"),
        "no number": ("--far-words many", "integer"),
    },
    "batch": {
        "no place": ("dfa.json", "--out"),
        "no file": ("-o out", "FILES"),
        "no jobs": ("dfa.json -o out --jobs 0", "greater than or equal to 1"),
        "no number": ("dfa.json -o out --seconds soon", "number"),
        "negative time": ("dfa.json -o out --seconds -1", "greater than or equal to 0"),
        "no amount": ("dfa.json -o out --memory lots", "as in 2GiB"),
        "no memory": ("dfa.json -o out --memory 0GiB", "as in 2GiB"),
        "no address": ("dfa.json -o out --executor localhost:8786", "dask://HOST:PORT"),
        "limits of a cluster": ("dfa.json -o out --executor dask://a:1 --jobs 2", "limits of its own"),
        "no such target": ("dfa.json -o out --target mamba3", "mamba2"),
        "no such format": ("dfa.json -o out --format nfa", "formats are"),
        "nothing there": ("there -o out", "name files"),
        "a file in its place": ("dfa.json -o dfa.json", "choose another directory"),
    },
    "conformance": {
        "none": ("", "--list"),
        "unknown": ("mamba3", "transformers"),
        "misspelt": ("--modes full", "--mode"),
        "capitals": ("Transformers", "did you mean transformers?"),
        "no such module": ("nosuch:load", "give module:function"),
        "no such function": ("os:nosuch", "give module:function"),
        "another function": ("os:getcwd --quick", "must take a checkpoint directory"),
        "no such mode": ("transformers --mode fast", "choose from full, step"),
        "no such case": ("transformers --case none", "scancraft conformance --list"),
        "two": ("transformers scancraft", "--help"),
        "a kind of its own": ("transformers --kind signed_mamba", "leave the kind out"),
    },
    "bench": {
        "no such method": ("D-2 --method magic", "known are probe, patching, attribution"),
        "two at once": ("D-2 --method probe,patching", "repeat --method"),
        "no such module": ("D-2 --method nosuch:m", "give module:function"),
        "a function of something else": ("D-2 --method os:getcwd", "takes a task and gives scores"),
        "noise alone": ("D-2 --noise 0.3", "--variant"),
        "too much noise": ("D-2 --variant --noise 3", "less than or equal to 1"),
        "a variant of a checkpoint": ("MODEL --variant", "variants and targets are for languages"),
        "a variant of Mamba-2": ("D-2 --variant --target mamba2", "only of Mamba"),
        "what counts": ("--named Dyck-1", "do not count"),
        "no such folder": ("D-2 --leaderboard none/board.json", "make it"),
        "another file": ("D-2 --leaderboard dfa.json", "give another file"),
    },
    "targets": {
        "an argument": ("mamba", "--help"),
        "two": ("mamba mamba2", "--help"),
        "a model": ("MODEL", "--help"),
        "misspelt": ("--jsn", "--json"),
        "of compile": ("--target mamba", "--help"),
        "a list": ("--list", "--help"),
        "a short one": ("-l", "--help"),
        "verbose": ("--verbose", "--help"),
        "a value": ("--json=yes", "--help"),
        "more help": ("--helpme", "--help"),
    },
}

ABOUT = ("decide", "compile", "depth", "train", "bench")
COMPARED = ("check", "certify", "refute")
OPENED = ("check", "certify", "run", "generate", "explain")
BEFORE = {"compile": "-o out ", **dict.fromkeys(COMPARED, "MODEL ")}
"""What else a command needs."""

CASES = [
    *((c, BEFORE.get(c, "") + a, w, name) for c in ABOUT + COMPARED for name, (a, w) in LANGUAGE.items()),
    *((c, BEFORE.get(c, "") + a, w, name) for c in ABOUT for name, (a, w) in PLACES.items()),
    *((c, a, w, name) for c in OPENED for name, (a, w) in DIRECTORIES.items()),
    *((c, a, w, name) for c, rows in OWN.items() for name, (a, w) in rows.items()),
]


@pytest.mark.parametrize(
    ("command", "arguments", "remedy"), [row[:3] for row in CASES], ids=[f"{row[0]}: {row[3]}" for row in CASES]
)
def test_one_line_names_the_remedy(
    command: str, arguments: str, remedy: str, d2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "thesis.tex").write_text("")
    (tmp_path / "file").write_text("no automaton\n")
    (tmp_path / "dfa.json").write_text(json.dumps(to_json_dict(parse_regex("ab"))))
    monkeypatch.chdir(tmp_path)
    result = invoke(command, *(str(d2) if a == "MODEL" else a for a in arguments.split()), stdin="")
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    line = result.stderr
    assert line.startswith("scancraft: ")
    assert line.count("\n") == 1 or line.rstrip().endswith("^")  # an expression with a caret under the place
    assert any(part in line for part in remedy.split("|")), line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [command.__name__ for command in EXAMPLES])
def test_there_are_ten_per_command(command: str) -> None:
    assert sum(row[0] == command for row in CASES) >= 10


BEFORE_A_COMMAND = {
    "a command misspelt": ("compil --regex a", "Did you mean 'compile'?"),
    "no such command": ("help", "there are compile, check"),
    "a language": ("D-2", "there are compile, check"),
    "an option of commands": ("--regex a", "goes behind a command (compile, check"),
    "an option misspelt": ("--versoin", "--version"),
    "no such option": ("--verbose", "--help"),
    "no command": ("--", "there are compile, check"),
}


@pytest.mark.parametrize("case", BEFORE_A_COMMAND)
def test_one_line_before_there_is_a_command(case: str) -> None:
    arguments, remedy = BEFORE_A_COMMAND[case]
    result = invoke(*arguments.split())
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert remedy in result.stderr
    if arguments != "--":
        told = json.loads(invoke(*arguments.split(), "--json").stdout)
        assert told["error"] == "Usage"
        assert remedy in told["message"]


def test_no_arguments_show_the_commands() -> None:
    assert "Compile a language" in invoke().stdout
    assert invoke().exit_code == 2


def test_a_worker_that_was_ended_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(*_: object, **__: object) -> None:
        raise BrokenProcessPool("a process was terminated abruptly")

    monkeypatch.setattr("scancraft.suite.suite.run_suite", ended)
    result = invoke("suite", "--only", "D-2")
    assert (result.exit_code, result.stderr.count("\n")) == (3, 1)
    assert "ask for something smaller" in result.stderr


def test_usage_errors_are_json_too() -> None:
    result = invoke("decide", "--regx", "a", "--json")
    assert (result.exit_code, result.stderr) == (2, "")
    assert json.loads(result.stdout) == {
        "error": "Usage",
        "message": "No such option: --regx (Possible options: --regex); see scancraft decide --help",
    }
    assert "Did you mean 'decide'" in refused(invoke("decid", "--regex", "a"))


def test_drawn_words_can_be_run(d2: Path) -> None:
    drawn = invoke("generate", d2, "--lengths", "0-12", "-n", 40)
    assert drawn.exit_code == 0
    lines = drawn.stdout.splitlines()
    assert len(lines) == 40
    assert {len(line) for line in lines} == {0, 2, 4, 6, 8, 10, 12}
    answers = json.loads(invoke("run", d2, "--json", stdin=drawn.stdout).stdout)
    assert [len(answer["word"]) for answer in answers] == [len(line) for line in lines]
    assert all(answer["accepted"] for answer in answers)
    walked = invoke("generate", d2, "-n", 20).stdout
    assert len(json.loads(invoke("run", d2, "--json", stdin=walked).stdout)) == 20


def test_the_shell_completes_commands() -> None:
    told = {"_SCANCRAFT_COMPLETE": "complete_bash", "COMP_WORDS": "scancraft dec", "COMP_CWORD": "1"}
    command = [sys.executable, "-m", "scancraft.cli.entry"]
    found = subprocess.run(command, env={**os.environ, **told}, capture_output=True, text=True, check=False)
    assert found.stdout.split() == ["decide"]
