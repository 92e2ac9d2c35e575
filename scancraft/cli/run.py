"""``scancraft run`` and ``scancraft generate``: what a model says of words, and words from the model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..automata.alphabet import format_word, parse_word, shown_text
from ..automata.words.mixtures import members_of
from ..models.checkpoints.quiet import quiet_transformers
from .io import ArgumentError, console, note, say, show_json, status
from .languages import read_words
from .options import MOST, Directory, Json, Seed

if TYPE_CHECKING:
    from rich.table import Table

    from ..compiler.answers import Verdicts
    from ..compiler.checkpoints import Checkpoint

HEAD, TAIL = 24, 8
"""Rows of a long word that are shown, unless all are asked for."""


def run(
    directory: Directory,
    words: Annotated[list[str] | None, typer.Argument(help="Words; default: from standard input.")] = None,
    file: Annotated[Path | None, typer.Option("--file", metavar="F", help="A file of words, one a line.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Show every row of long words.")] = False,
    json: Json = False,
) -> None:
    """Run the model over words: after each prefix, is it accepted, and which tokens may come next, or which class?

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
    lengths: Annotated[
        str | None,
        typer.Option("--lengths", metavar="A-B", help="Draw words of these lengths (or one), all lengths alike."),
    ] = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Sample words with transformers' generate(); a word that was cut off ends in an ellipsis.

    With --lengths words are drawn from the checkpoint's language, each length as likely as the others, and the model is
    asked about each of them; exit code 1 if it rejects one. Into a pipe one word a line is written, the empty word as
    an empty line and words that were cut off as they are, so that `scancraft run` reads them.
    """
    from ..compiler.checkpoints import load

    checkpoint = load(directory)
    alphabet = checkpoint.language.alphabet
    start = parse_word(prompt, alphabet)
    if lengths is not None:
        if start:
            raise ArgumentError("--prompt is for words that the model continues; drop it, or --lengths")
        _drawn(checkpoint, count, _range(lengths), seed, as_json=json)
        return
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
        _say_word(s.word, alphabet, "" if s.complete else " …")
    cut = sum(not s.complete for s in samples)
    if cut and not sys.stdout.isatty():
        note(f"{cut} of {count} words were cut off at --max-length {max_length}")


def _say_word(word: tuple[str, ...], alphabet: tuple[str, ...], end: str = "") -> None:
    """A word for people; in a pipe, one that can be read back, unless a symbol of it breaks the line."""
    text = format_word(word, alphabet)
    if sys.stdout.isatty() or len(text.splitlines()) > 1 or text != text.strip("\r\n"):
        text = (shown_text(text) or "(the empty word)") + end
    say(text)


def _range(text: str) -> tuple[int, int]:
    """``A-B`` or ``A`` as the least and the greatest length."""
    first, dash, last = text.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()) or not int(first) <= int(last or first) <= MOST:
        raise ArgumentError(f"--lengths {text!r} is no range of lengths up to {MOST:,}; give 20, or 10-30")
    return int(first), int(last or first)


def _drawn(checkpoint: Checkpoint, count: int, lengths: tuple[int, int], seed: int, *, as_json: bool) -> None:
    import numpy as np

    from ..compiler.answers import verdicts

    quiet_transformers()
    language = checkpoint.language
    with status("drawing"):
        words = members_of(language, count, *lengths, np.random.default_rng(seed))
        found = verdicts(checkpoint, words)
    if as_json:
        show_json([{"word": list(v.word), "complete": v.accepts} for v in found])
    else:
        for verdict in found:
            _say_word(verdict.word, language.alphabet)
    if wrong := [verdict for verdict in found if not verdict.accepts]:
        note(f"the model rejects {len(wrong)} of these members of its language; one is {wrong[0]}")
        raise typer.Exit(1)


def table(verdicts: Verdicts, *, full: bool) -> Table:
    """A row per prefix; the middle of a long word is left out unless ``full``."""
    from rich.table import Table
    from rich.text import Text

    heads = (("so far", "may come next") if verdicts.foretells else ()) + (("class",) if verdicts.classes else ())
    found = Table("", "symbol", *heads, box=None, header_style="dim", pad_edge=False)
    for t in _rows(len(verdicts.word) + 1, full):
        if t is None:
            left = f"({len(verdicts.word) + 1 - HEAD - TAIL:,} rows; --full shows them)"
            found.add_row("…", "…", *["…"] * (len(heads) - 1), left)
            continue
        symbol = Text("<bos>", style="dim") if t == 0 else Text(verdicts.word[t - 1])
        cells = []
        if verdicts.foretells:
            yes = bool(verdicts.accepted[t])
            cells.append(Text("accepted", style="green") if yes else Text("rejected", style="red"))
            cells.append(Text(" ".join(verdicts.tokens(t)) or "-"))
        if verdicts.classes:
            cells.append(Text(shown_text(verdicts.classes[t] or "-")))
        found.add_row(str(t), symbol, *cells)
    return found


def _rows(rows: int, full: bool) -> list[int | None]:
    if full or rows <= HEAD + TAIL + 1:
        return list(range(rows))
    return [*range(HEAD), None, *range(rows - TAIL, rows)]
