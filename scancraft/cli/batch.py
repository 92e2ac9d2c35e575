"""``scancraft batch``: a folder of languages to a table of certified models."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..automata.formats.registry import FORMATS
from ..campaigns.batch import Report
from ..campaigns.batch import batch as run
from ..memory import bytes_of
from .compile import GatesName, OptimiseName
from .io import ArgumentError, console, note, progress_bar, say, show_json
from .options import MOST, Items, Json

if TYPE_CHECKING:
    from rich.table import Table


def batch(
    files: Annotated[
        list[str], typer.Argument(metavar="FILES...", help="Files in any format, folders of them, or patterns.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where results and checkpoints go.")],
    jobs: Annotated[int | None, typer.Option(metavar="N", min=1, help="Processes; default: one per processor.")] = None,
    executor: Annotated[
        str | None, typer.Option(metavar="dask://HOST:PORT", help="A cluster of dask.distributed instead of processes.")
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="S", min=0, help="Give a file up after S seconds; 0: never.")
    ] = 300,
    memory: Annotated[
        str | None, typer.Option("--memory", metavar="SIZE", help="What each process may hold, as in 2GiB.")
    ] = None,
    budget: Items = None,
    gates: Annotated[
        GatesName, typer.Option("--gates", help="The strongest gates allowed; nonnegative: a real Mamba or none.")
    ] = GatesName.reflections,
    optimise: Annotated[
        OptimiseName | None, typer.Option("--optimise", help="Fewest blocks, or fewest parameters (default).")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="NAME", help="The kind of model (see scancraft targets).")
    ] = None,
    format: Annotated[
        str | None,
        typer.Option("--format", metavar="FORMAT", help=f"Insist on a format: {', '.join(f.name for f in FORMATS)}."),
    ] = None,
    words: Annotated[int, typer.Option(metavar="N", min=0, max=MOST, help="Words to check each model on.")] = 400,
    retry: Annotated[
        bool, typer.Option("--retry", help="Do files again that are undecided, out of time or memory, or lost.")
    ] = False,
    json: Json = False,
) -> None:
    """Decide, compile, certify and check each of many files; a line each in DIR/results.jsonl as they end.

    A file that has a line there is not done again, unless it, its symbol table or the options have changed. Checkpoints
    are in DIR/models. Exit code 0: each is certified, or excluded by a witness; 1: a model is wrong somewhere; 2: a
    file cannot be read or compiled (the others are done); 3: some are undecided, or spent their time or memory.
    """
    limit = None if memory is None else bytes_of(memory)
    if executor is not None and (jobs, memory) != (None, None):
        raise ArgumentError("--jobs and --memory go with processes; a cluster has workers and limits of its own")
    with progress_bar("files") as tick:
        report = run(
            files,
            out,
            executor=executor,
            jobs=jobs,
            seconds=seconds or None,
            memory=limit,
            budget=budget,
            gates=gates.value,
            optimise=None if optimise is None else optimise.value,
            target=target,
            format=format,
            words=words,
            retry=retry,
            progress=tick,
        )
    if json:
        show_json(report.as_json())
    else:
        console().print(summary(report))
        say(f"{report}\nwritten to {out}")
    for row in report.rows:
        if row.outcome in ("unreadable", "uncompilable", "bug") and row.error is not None and not json:
            told = str(row.error["message"]).strip().splitlines()[-1]
            note(f"scancraft: {told}" if row.file in told else f"scancraft: {row.file}: {told}")
    raise typer.Exit(report.exit_code)


def summary(report: Report) -> Table:
    """A line for each file, named from the folder that holds all."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("file", overflow="fold")
    table.add_column("outcome", no_wrap=True)
    for name in ("letters", "states", "gates", "blocks", "parameters", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("certificate", no_wrap=True)
    folder = os.path.commonpath([os.path.dirname(os.path.abspath(row.file)) for row in report.rows])
    for row in report.rows:
        name = os.path.relpath(row.file, folder)
        numbers = [row.letters, row.states, row.gates, row.blocks, row.parameters]
        cells = ["-" if n is None else f"{n:,}" if isinstance(n, int) else n for n in numbers]
        cells.append(f"{sum(row.seconds.values()):.2f}" if row.seconds else "-")
        table.add_row(*map(Text, [name, row.outcome, *cells, row.scope or "-"]))
    return table
