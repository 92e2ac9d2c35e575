"""Running the command line in the tests' own process, and changing the checkpoints that it reads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from scancraft.cli.app import app


def invoke(*args: object, stdin: str | bytes | None = None) -> Result:
    """Run a command; what it raises besides an exit is an error of the test."""
    result = CliRunner().invoke(app, [str(arg) for arg in args], input=stdin, prog_name="scancraft")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def refused(result: Result, code: int = 2) -> str:
    """The one line of an error."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("scancraft: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def answer(result: Result, code: int = 0) -> Any:
    """What ``--json`` printed."""
    assert (result.exit_code, result.stderr) == (code, ""), result.output
    return json.loads(result.stdout)


def written(path: Path, data: object) -> Path:
    """A file with text, or with data as JSON."""
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def copied(place: Path, tmp_path: Path) -> Path:
    """A checkpoint that may be changed."""
    return Path(shutil.copytree(place, tmp_path / "copy"))


def tampered(place: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of a checkpoint with another manifest."""
    target = copied(place, tmp_path)
    manifest = json.loads((target / "scancraft.json").read_text())
    change(manifest)
    written(target / "scancraft.json", manifest)
    return target
