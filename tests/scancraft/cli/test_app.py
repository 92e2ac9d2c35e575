"""The program as a whole: help, exit codes, interruptions, errors of the system and of ours."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import answer, invoke, refused

import scancraft
from scancraft.cli.app import EXAMPLES
from scancraft.cli.io import one_line

COMMANDS = [command.__name__ for command in EXAMPLES]


def python(*args: str, cwd: Path) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(Path(scancraft.__file__).parent.parent)}
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, *args], cwd=cwd, env=env, stdout=pipe, stderr=pipe, text=True)


def test_outside_of_the_tests_standard_output_is_pure_json_and_standard_error_silent(d2: Path, tmp_path: Path) -> None:
    shown, errors = python(
        "-m", "scancraft.cli.app", "check", str(d2), "--words", "9", "--json", cwd=tmp_path
    ).communicate()
    assert (json.loads(shown)["verdict"], errors) == ("agrees", "")


def test_a_closed_pipe_ends_the_program_quietly(tmp_path: Path) -> None:
    with python("-m", "scancraft.cli.app", "decide", "--regex", "a*", "--json", cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    result = invoke(command, "--help")
    assert result.exit_code == 0
    shown = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout)
    assert f"Example: scancraft {command}" in shown
    assert "--json" in shown


@pytest.mark.parametrize(
    "args",
    [
        ("no-such-command",),
        ("compile", "--regex", "a"),  # no -o
        ("decide", "--regex", "a", "--budget", "0"),
        ("check", "x", "--words", "many"),
        ("compile", "--dyck", "2,2", "--contract", "most-words", "-o", "x"),
        ("explain", "x", "--stage", "tensors"),
    ],
)
def test_usage_errors_exit_with_2(args: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "scancraft: interrupted\n"),
        (OSError(28, "No space left on device"), 2, "No space left"),
        (KeyError("a bug"), 70, "this is a bug of scancraft"),
    ],
)
def test_what_is_raised_becomes_an_exit_code(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def compile(*_: object, **__: object) -> Any:
        raise error

    monkeypatch.setattr("scancraft.cli.compile.compile_language", compile)
    result = invoke("compile", "--regex", "a", "-o", tmp_path / "x")
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr
    if isinstance(error, OSError):
        assert answer(invoke("compile", "--regex", "a", "-o", tmp_path / "x", "--json"), 2)["error"] == "FileAccess"


def test_messages_are_folded_except_below_a_caret() -> None:
    assert one_line("one\n    two\n\n three ") == "one two three"
    assert one_line("bad\n    (a\n     ^") == "bad\n    (a\n     ^"


def test_directories_that_are_no_checkpoints(tmp_path: Path) -> None:
    for command in ("run", "check", "generate", "explain", "certify"):
        assert "not a directory" in refused(invoke(command, tmp_path / "none"))
        assert "holds no scancraft.json" in refused(invoke(command, tmp_path))
    assert "not a directory" in refused(invoke("certify", "--check", tmp_path / "none"))
    assert answer(invoke("run", tmp_path, "--json"), 2)["error"] == "Checkpoint"
