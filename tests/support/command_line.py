"""Running the command line in the tests' own process."""

from __future__ import annotations

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
