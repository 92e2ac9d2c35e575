"""``scancraft targets``: the kinds of models that there are."""

from __future__ import annotations

import typer

from .io import console, show_json
from .options import Json

EPILOG = "Example: scancraft targets; scancraft compile --regex '(ab)*' --target falcon_mamba -o out/ab"


def targets(json: Json = False) -> None:
    """List the kinds of models that languages are compiled to, for ``compile --target``."""
    from ..compiler.targets import TARGETS

    if json:
        show_json([target.as_json() for target in TARGETS.values()])
        return
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("target", "model type", "gates", "dtypes", "blocks per level", "d_conv", "circuits"):
        table.add_column(name, overflow="fold")
    for target in TARGETS.values():
        table.add_row(
            target.name,
            target.model_type,
            target.gates,
            " ".join(target.dtypes),
            str(target.blocks_per_level),
            " ".join(map(str, target.d_conv)),
            "no" if target.lower_circuit is None else "yes",
        )
    console().print(table)
    typer.echo("circuits: the paper's own constructions (flip-flop, bounded Dyck, counters)")
