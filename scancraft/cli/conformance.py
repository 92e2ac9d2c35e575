"""``scancraft conformance``: an implementation of Mamba tried on checkpoints whose outputs are known exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from ..models.checkpoints.quiet import quiet_transformers
from .io import ArgumentError, console, show_json
from .options import Json

if TYPE_CHECKING:
    from ..conformance.implementations import Implementation

EPILOG = (
    "Example: scancraft conformance transformers --mode full --mode step; "
    "scancraft conformance my_kernel:load --quick; scancraft conformance --list"
)


def conformance(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET",
            help="A known implementation, or module:function from a checkpoint directory to a callable.",
        ),
    ] = None,
    mode: Annotated[
        list[str] | None,
        typer.Option("--mode", metavar="MODE", help="Only this way of calling it (repeat for several)."),
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="K", help="The kind of block of module:function; default: mamba.")
    ] = None,
    case: Annotated[
        list[str] | None, typer.Option("--case", metavar="NAME", help="Only this checkpoint (repeat for several).")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A subset that takes seconds.")] = False,
    show: Annotated[bool, typer.Option("--list", help="List implementations, modes and checkpoints instead.")] = False,
    json: Json = False,
) -> None:
    """Compare an implementation of Mamba, bit for bit, with outputs that are known exactly.

    TARGET is run on a set of compiled checkpoints in every mode that it supports. Exit code 0: no difference; 1: a
    difference, with the first token, block and channel, what the channel means, and a shortest reproduction; 2: bad
    input. A module:function takes a checkpoint directory and gives a callable from token ids of shape (batch, time) to
    logits; docs/conformance.md tells which further methods open which modes.
    """
    quiet_transformers()
    from ..conformance import conformance as suite

    if show:
        _list(suite.KNOWN, kind or "mamba", as_json=json)
        return
    if target is None:
        raise ArgumentError("name an implementation, or give --list to see those that are known")
    with _progress() as progress:
        report = suite.run(target, modes=mode or None, kind=kind, quick=quick, only=case or None, progress=progress)
    if not any(result.trials for result in report.modes):
        why = "; ".join(f"{m.mode}: {m.skipped or 'none of the checkpoints has it'}" for m in report.modes)
        raise suite.ConformanceError(f"nothing was tried of {target}: {why}; choose other modes or checkpoints")
    if json:
        show_json(report.as_json())
    else:
        typer.echo(str(report))
    if not report.passed:
        raise typer.Exit(1)


def _list(known: Mapping[str, Implementation], kind: str, *, as_json: bool) -> None:
    from ..conformance.cases import cases
    from ..conformance.trials import MEANING

    checkpoints = {case.name: case.exercises for case in cases(kind)}
    if as_json:
        kinds = {name: implementation.kind for name, implementation in known.items()}
        show_json(
            {"implementations": list(known), "kinds": kinds, "modes": MEANING, "kind": kind, "checkpoints": checkpoints}
        )
        return
    tables = (
        ("implementations", {name: f"runs {i.kind}" + f"; {i.note}" * bool(i.note) for name, i in known.items()}),
        ("modes", MEANING),
        (f"checkpoints of {kind} (--kind for others)", checkpoints),
    )
    for title, rows in tables:
        typer.echo(f"{title}:")
        width = max(map(len, rows))
        for name, text in rows.items():
            typer.echo(f"  {name:<{width}}  {text}")
        typer.echo("")


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar of checkpoints on standard error, where that is a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    err = console(stderr=True)
    columns = (TextColumn("conformance"), BarColumn(), MofNCompleteColumn(), TextColumn("checkpoints"))
    with Progress(*columns, TimeElapsedColumn(), console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
