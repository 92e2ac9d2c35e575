"""``scancraft run`` and ``scancraft generate``: what a model says of words, and words from the model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..automata.alphabet import format_word, parse_word, shown_text
from ..models.checkpoints.quiet import quiet_transformers
from .io import ArgumentError, console, say, show_json, status
from .languages import read_words
from .options import MOST, Directory, Json, Seed

if TYPE_CHECKING:
    from rich.table import Table

    from ..compiler.answers import Verdicts

HEAD, TAIL = 24, 8
"""Rows of a long word that are shown, unless all are asked for."""


def run(
    directory: Directory,
    words: Annotated[list[str] | None, typer.Argument(help="Words; default: from standard input.")] = None,
    file: Annotated[Path | None, typer.Option("--file", metavar="F", help="A file of words, one a line.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Show every row of long words.")] = False,
    json: Json = False,
) -> None:
    """Run the model over words: after each prefix, is it accepted, and which tokens may come next?

    A word is symbols separated by spaces if any symbol is longer than one character, else characters. An empty line
    (or '' as an argument) is the empty word.
    """
    from ..compiler.answers import verdicts
    from ..compiler.checkpoints import load

    checkpoint = load(directory)
    wanted = read_words(words, file, checkpoint.language.alphabet)
    quiet_transformers()
    with status("running"):
        found = verdicts(checkpoint, wanted)
    if json:
        show_json([verdict.as_json() for verdict in found])
        return
    out = console()
    for verdict in found:
        out.print(table(verdict, full=full))
        say(f"{verdict}\n")


def generate(
    directory: Directory,
    count: Annotated[int, typer.Option("--count", "-n", metavar="N", min=1, max=MOST, help="How many words.")] = 10,
    prompt: Annotated[str, typer.Option("--prompt", metavar="WORD", help="What they begin with.")] = "",
    max_length: Annotated[int, typer.Option(metavar="L", min=0, max=MOST, help="Cut words off at this length.")] = 60,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Sample words with transformers' generate(); a word that was cut off ends in an ellipsis."""
    from ..compiler.checkpoints import load

    checkpoint = load(directory)
    alphabet = checkpoint.language.alphabet
    start = parse_word(prompt, alphabet)
    if len(start) > max_length:
        raise ArgumentError(f"the prompt has {len(start)} symbols, more than --max-length {max_length}; raise that")
    from ..generating import generate as sample

    quiet_transformers()
    model, runner = checkpoint.model(), checkpoint.runner()
    with status("generating"):
        samples = sample(
            model, checkpoint.readout, count, prompt=start, max_length=max_length, seed=seed, runner=runner
        )
    if json:
        show_json([{"word": list(s.word), "complete": s.complete} for s in samples])
        return
    for s in samples:
        say((shown_text(format_word(s.word, alphabet)) or "(the empty word)") + ("" if s.complete else " …"))


def table(verdicts: Verdicts, *, full: bool) -> Table:
    """A row per prefix; the middle of a long word is left out unless ``full``."""
    from rich.table import Table
    from rich.text import Text

    found = Table("", "symbol", "so far", "may come next", box=None, header_style="dim", pad_edge=False)
    for t in _rows(len(verdicts.word) + 1, full):
        if t is None:
            found.add_row("…", "…", "…", f"({len(verdicts.word) + 1 - HEAD - TAIL:,} rows; --full shows them)")
            continue
        symbol = Text("<bos>", style="dim") if t == 0 else Text(verdicts.word[t - 1])
        yes = bool(verdicts.accepted[t])
        verdict = Text("accepted", style="green") if yes else Text("rejected", style="red")
        found.add_row(str(t), symbol, verdict, Text(" ".join(verdicts.tokens(t)) or "-"))
    return found


def _rows(rows: int, full: bool) -> list[int | None]:
    if full or rows <= HEAD + TAIL + 1:
        return list(range(rows))
    return [*range(HEAD), None, *range(rows - TAIL, rows)]
