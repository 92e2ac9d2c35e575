"""``scancraft conformance``: an implementation of Mamba tried on checkpoints whose outputs are known exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..models.checkpoints.quiet import quiet_transformers
from .io import ArgumentError, progress_bar, say, show, show_json
from .options import Json


def conformance(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET",
            help="A known implementation, or module:function from a checkpoint directory to a callable "
            "(with --op the operation itself).",
        ),
    ] = None,
    mode: Annotated[
        list[str] | None,
        typer.Option("--mode", metavar="MODE", help="Only this way of calling it (repeat for several)."),
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="K", help="The kind of block of module:function; default: mamba.")
    ] = None,
    op: Annotated[
        str | None,
        typer.Option("--op", metavar="OP", help="module:function is this operation, such as selective_scan, itself."),
    ] = None,
    case: Annotated[
        list[str] | None, typer.Option("--case", metavar="NAME", help="Only this checkpoint (repeat for several).")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A subset that takes seconds.")] = False,
    show_list: Annotated[
        bool, typer.Option("--list", help="List implementations, modes and checkpoints instead.")
    ] = False,
    corpus: Annotated[
        Path | None,
        typer.Option("--write-corpus", metavar="DIR", help="Write checkpoints and the logits owed as files instead."),
    ] = None,
    json: Json = False,
) -> None:
    """Compare an implementation of Mamba, bit for bit, with outputs that are known exactly.

    TARGET is run on a set of compiled checkpoints in every mode that it supports. Exit code 0: no difference; 1: a
    difference, with the first token, block and channel, what the channel means, and a shortest reproduction; 2: bad
    input. A module:function takes a checkpoint directory and gives a callable from token ids of shape (batch, time) to
    logits; docs/conformance.md tells which further methods open which modes. With --op it is an operation itself, with
    the signature of mamba_ssm's or causal_conv1d's function.
    """
    quiet_transformers()
    from ..conformance.case import ConformanceError
    from ..conformance.driver import run as run_conformance
    from ..conformance.operations import OPERATIONS

    if op is not None:
        if kind is not None:
            raise ArgumentError("--op and --kind exclude each other; drop one")
        if op not in OPERATIONS:
            raise ArgumentError(f"there is no operation {op}; choose from {', '.join(OPERATIONS)}")
        kind = op
    if show_list:
        _list(kind or "mamba", as_json=json)
        return
    if corpus is not None:
        if target is not None:
            raise ArgumentError("--write-corpus takes no implementation; drop one of both")
        from ..conformance.corpus import write_corpus

        show(write_corpus(corpus) if kind is None else write_corpus(corpus, (kind,)), as_json=json)
        return
    if target is None:
        raise ArgumentError("name an implementation, or give --list to see those that are known")
    with progress_bar("trying checkpoints") as progress:
        report = run_conformance(
            target, modes=mode or None, kind=kind, quick=quick, only=case or None, progress=progress
        )
    if not any(result.trials for result in report.modes):
        why = "; ".join(f"{m.mode}: {m.skipped or 'none of the checkpoints has it'}" for m in report.modes)
        raise ConformanceError(f"nothing was tried of {target}: {why}; choose other modes or checkpoints")
    show(report, as_json=json)
    raise typer.Exit(0 if report.passed else 1)


def _list(kind: str, *, as_json: bool) -> None:
    from ..conformance.cases import cases
    from ..conformance.implementations import KNOWN
    from ..conformance.operations import OPERATIONS
    from ..conformance.trials import MEANING

    checkpoints = {case.name: case.exercises for case in cases(kind)}
    if as_json:
        kinds = {name: implementation.kind for name, implementation in KNOWN.items()}
        known = {"implementations": list(KNOWN), "kinds": kinds, "modes": MEANING}
        known["operations"] = {name: operation.signature for name, operation in OPERATIONS.items()}
        show_json({**known, "kind": kind, "checkpoints": checkpoints})
        return
    tables = {
        "implementations": {name: f"runs {i.kind}" + f"; {i.note}" * bool(i.note) for name, i in KNOWN.items()},
        "modes": MEANING,
        "operations (--op)": {name: operation.signature for name, operation in OPERATIONS.items()},
        f"{'cases' if kind in OPERATIONS else 'checkpoints'} of {kind} (--kind, --op for others)": checkpoints,
    }
    for title, rows in tables.items():
        width = max(map(len, rows))
        lines = [f"  {name:<{width}}  {text}" for name, text in rows.items()]
        say("\n".join([f"{title}:", *lines, ""]))
