"""The command line: every command of ``scancraft``, and what becomes of what they raise.

Exit codes: 0 the claim holds, 1 a disagreement was found (``decide``: not star-free), 2 bad input or a language that
cannot be compiled, 3 undecided within the budget. torch and transformers are imported by the commands that need them,
so that ``--help`` and ``decide`` are quick.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from inspect import getdoc
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from .. import __version__
from ..automata.errors import ScancraftError
from ..memory import out_of_memory
from .batch import batch
from .bench import bench
from .check import certify, check
from .compile import compile, targets
from .conformance import conformance
from .convert import convert
from .decide import decide
from .depth import depth
from .explain import explain
from .export import export
from .io import FileAccessError, ResourceError, UsageError, fail, note
from .options import JSON
from .refute import refute
from .run import generate, run
from .suite import suite
from .train import train

EXAMPLES: dict[Callable[..., None], str] = {
    compile: "compile --regex '(a(ab)*b)*' -o out/d2; scancraft compile --dyck 8,10 -o out/dyck",
    check: "check out/d2 --words 1000 --max-length 500",
    certify: "certify out/d2; scancraft certify --check out/d2",
    run: "run out/d2 abab aabb ''     (or one word a line: ... < words.txt)",
    generate: "generate out/d2 -n 20 --max-length 30",
    explain: "explain out/d2 --html d2.html; scancraft explain out/d2 --picture w.png --of weights",
    decide: "decide --regex '(aa)*'",
    convert: "convert machine.jff machine.dot; scancraft convert learned.dot dfa.json --accepting-output 1",
    export: "export out/d2 --to gguf --shape standard -o d2.gguf; scancraft export out/d2 --to onnx -o d2.onnx",
    batch: "batch languages/ -o out/campaign --jobs 4; scancraft batch 'MLRegTest/*.att' -o out/mlregtest --seconds 60",
    depth: "depth --regex '(a(ab)*b)*'; scancraft depth --named D-12",
    conformance: (
        "conformance transformers --mode full --mode step; scancraft conformance my_kernel:load --quick; "
        "scancraft conformance --list"
    ),
    bench: "bench D-2; scancraft bench D-2 --variant --noise 0.3 --leaderboard board.json",
    refute: (
        "refute my-mamba --named Parity --tokens 0=3,1=4 --bos 1 --accept 2 -o parity.json; "
        "scancraft refute my-mamba --check parity.json"
    ),
    suite: "suite; scancraft suite --only 'D-12;Dyck-1' --check; scancraft suite --json --plot suite.png",
    targets: "targets; scancraft compile --regex '(ab)*' --target falcon_mamba -o out/ab",
    train: "train D-12 --budget 60s -o out/trained",
}
"""The commands, in the order of ``--help``, each with an example."""

BROKEN_PIPE = 141
INTERRUPTED = 130
INTERNAL_ERROR = 70


def _too_large(error: BaseException) -> str:
    what = "too deeply nested" if isinstance(error, RecursionError) else "too large for the memory of this machine"
    return f"what was asked for is {what} ({type(error).__name__}); ask for something smaller"


def _is_usage(error: Exception) -> bool:
    """Whether typer says so of a command line; its exits and the help are no errors."""
    foreign = type(error).__module__.split(".")[0] in ("click", "typer")
    return foreign and hasattr(error, "format_message") and type(error).__name__ != "NoArgsIsHelpError"


class _Commands(TyperGroup):
    """Turns what commands raise, and what is wrong before there is a command, into one line and an exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = [*args]
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if not _is_usage(error):
                raise
            self._refuse(error, given)

    def _refuse(self, error: Any, arguments: list[str]) -> NoReturn:
        """Say what is wrong with the command line, and what would be right."""
        command = arguments[0] if arguments and arguments[0] in self.commands else ""
        told = error.format_message().replace("Value error, ", "").rstrip(".")
        option = getattr(error, "option_name", None)
        if not command and (owners := [n for n, c in self.commands.items() if any(option in p.opts for p in c.params)]):
            told += f"; it goes behind a command ({', '.join(owners)})"
        elif not command and option is None and not told.endswith("?"):
            told += f"; there are {', '.join(self.commands)}"
        told += f"{'' if told.endswith('?') else ';'} see scancraft {command}{' ' * bool(command)}--help"
        fail(UsageError(told), as_json="--json" in arguments)

    def invoke(self, ctx: Any) -> Any:
        arguments = [*getattr(ctx, "_protected_args", ()), *ctx.args]  # which parsing takes away
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except ScancraftError as error:
            fail(error, as_json=bool(ctx.meta.get(JSON)))
        except KeyboardInterrupt:
            note("scancraft: interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # Whoever read our output has gone; Python must not try to flush the rest at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(BROKEN_PIPE) from None
        except OSError as error:
            fail(FileAccessError(f"{error}; check the place and the space there"), as_json=bool(ctx.meta.get(JSON)))
        except (MemoryError, OverflowError, RecursionError, BrokenExecutor) as error:
            fail(ResourceError(_too_large(error)), as_json=bool(ctx.meta.get(JSON)))
        except Exception as error:
            if out_of_memory(error):
                fail(ResourceError(_too_large(error)), as_json=bool(ctx.meta.get(JSON)))
            if _is_usage(error):
                self._refuse(error, arguments)
            if type(error).__module__.split(".")[0] in ("click", "typer"):
                raise  # typer's own exits
            # A bug: the exit code must not be taken for "a disagreement was found".
            traceback.print_exc()
            note("scancraft: this is a bug of scancraft; please report the lines above")
            raise typer.Exit(INTERNAL_ERROR) from None


app = typer.Typer(
    name="scancraft",
    cls=_Commands,
    help="Compile formal languages to the exact weights of Mamba language models.",
    epilog="Exit codes: 0 the claim holds, 1 a disagreement was found, 2 bad input or not compilable, 3 undecided.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command, _example in EXAMPLES.items():
    # Lines of a docstring are as wide as the source; the terminal has a width of its own.
    _paragraphs = (getdoc(_command) or "").split("\n\n")
    _help = "\n\n".join(" ".join(paragraph.split()) for paragraph in _paragraphs)
    app.command(help=_help, epilog=f"Example: scancraft {_example}")(_command)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"scancraft {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of scancraft itself."""


def main() -> None:
    """The entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A symbol that the terminal's encoding lacks is shown as an escape.
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="scancraft")


if __name__ == "__main__":
    main()
