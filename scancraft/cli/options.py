"""Arguments and options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

JSON = "scancraft.json"
"""Under this key of the click context's ``meta`` stands whether ``--json`` was given."""


def _remember_json(ctx: typer.Context, value: bool) -> bool:
    """Errors are then printed as JSON too."""
    ctx.meta[JSON] = value
    return value


class Dtype(StrEnum):
    """Number formats that ``certify`` runs a checkpoint in."""

    float32 = "float32"
    bfloat16 = "bfloat16"


class ModelDtype(StrEnum):
    """Number formats that ``compile`` makes models for, and that ``refute`` runs them in."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"
    float64 = "float64"


class ModelShape(StrEnum):
    """Sizes of a model."""

    smallest = "smallest"
    standard = "standard"


PadVocabulary = Annotated[
    int,
    typer.Option("--vocabulary", metavar="N", min=1, max=4096, help="In standard shape, round the vocabulary up to N."),
]
PadWidth = Annotated[
    int,
    typer.Option("--width", metavar="N", min=1, max=4096, help="In standard shape, d_model is a multiple of N, 2^k."),
]


class ContractName(StrEnum):
    """What a compiled model promises."""

    all_words = "all-words"
    live_prefixes = "live-prefixes"
    recognise = "recognise"


MOST = 1_000_000
"""Of words, and of symbols in one, that are sampled: more is refused before anything is allocated."""

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A checkpoint written by scancraft compile.")]
Items = Annotated[
    int | None, typer.Option("--budget", metavar="N", min=1, help="Give up after N image sets or the like.")
]
Seconds = Annotated[float | None, typer.Option("--seconds", metavar="S", min=0, help="Give up after S seconds.")]
Parameters = Annotated[
    int | None,
    typer.Option("--parameters", metavar="N", min=1, help="Give up if the model had more than N; by default 2^28."),
]
Seed = Annotated[int, typer.Option("--seed", metavar="S", min=0, help="Of the random numbers.")]
Json = Annotated[
    bool, typer.Option("--json", callback=_remember_json, is_eager=True, help="Print JSON, errors included.")
]
