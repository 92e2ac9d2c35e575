"""``scancraft depth``: how many blocks a language needs, from above and from below."""

from __future__ import annotations

from typing import Annotated

import typer

from ..blocks_needed import depth as depth_of
from .io import show, status
from .languages import LanguageOptions, about, budget_of
from .options import Items, Json, Seconds


@about
def depth(
    language: LanguageOptions,
    window: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=2, max=4, help="Letters that a block sees at a time; default: as many as it takes."
        ),
    ] = None,
    budget: Items = None,
    seconds: Seconds = None,
    json: Json = False,
) -> None:
    """How many blocks a star-free language needs: a model from above, two words that fewer blocks confuse from below.

    The lower bound is about gates 0 and 1 that write nothing where they hold (docs/walkthroughs/how_many_blocks.md).
    """
    limits = budget_of(budget, seconds)
    with status("compiling, and looking for words that fewer blocks confuse"):
        found = depth_of(language.read(limits), window=window, budget=limits)
    show(found, as_json=json)
