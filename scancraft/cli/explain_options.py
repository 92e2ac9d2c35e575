"""The options of ``scancraft explain`` that write files; imported without torch."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class PictureOf(StrEnum):
    """What ``explain --picture`` draws."""

    cascade = "cascade"
    weights = "weights"
    memories = "memories"


Page = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write one page that runs the model on words you type instead."),
]
Picture = Annotated[
    Path | None, typer.Option("--picture", metavar="FILE", help="Write a picture (.png, .svg, .pdf) instead.")
]
Of = Annotated[
    PictureOf | None,
    typer.Option(
        "--of",
        help="What the picture shows: the DFA and its cascade (default), the weights of --block N (default 0), or the "
        "memories while --word W is read.",
    ),
]
WordToRead = Annotated[str | None, typer.Option("--word", metavar="W", help="The word for --of memories.")]
