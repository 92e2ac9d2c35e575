"""``scancraft run`` and ``scancraft generate``: what a model says of words, and words from the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..automata.alphabet import EOS, format_word, parse_word, shown_text
from ..automata.languages import truth_of
from ..models.checkpoints.quiet import quiet_transformers
from .io import ArgumentError, console, say, show_json, status
from .languages import read_words
from .options import MOST, Directory, Json, Seed

if TYPE_CHECKING:
    from rich.table import Table

    from ..automata.acceptor import Bools
    from ..compiler.checkpoints import Checkpoint

HEAD, TAIL = 24, 8
"""Rows of a long word that are shown, unless all are asked for."""

TITLE = 60
"""Characters of a word that are shown in one piece."""


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
        out.print(verdict.table(full=full))
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


@dataclass(frozen=True)
class Verdicts:
    """What a model says of one word.

    Attributes:
        word: the word.
        alphabet: the symbols.
        accepted: whether each prefix is accepted, shape (1 + length,), the empty prefix first.
        following: whether each symbol may come next, shape (1 + length, symbols), or (1 + length, 0) if the model does
            not say.
    """

    word: tuple[str, ...]
    alphabet: tuple[str, ...]
    accepted: Bools
    following: Bools

    def tokens(self, position: int) -> list[str]:
        """The tokens that may come next after so many symbols, ``<eos>`` last."""
        following = self.following[position]
        found = [s for s, yes in zip(self.alphabet, following, strict=True) if yes] if len(following) else []
        return [*found, EOS] if self.accepted[position] else found

    def as_json(self) -> dict[str, object]:
        """For machines; ``next`` holds ``<eos>`` where the prefix is accepted."""
        prefixes = [
            {"symbol": symbol, "accepted": bool(self.accepted[t]), "next": self.tokens(t)}
            for t, symbol in enumerate((None, *self.word))
        ]
        return {"word": list(self.word), "accepted": bool(self.accepted[-1]), "prefixes": prefixes}

    def __str__(self) -> str:
        """One line: the word, shortened, and whether it is accepted."""
        shown = shown_text(format_word(self.word, self.alphabet)) or "(the empty word)"
        if len(shown) > TITLE:
            shown = f"{shown[: TITLE - 20]} … {shown[-15:]} ({len(self.word):,} symbols)"
        return f"{shown}: {'accepted' if self.accepted[-1] else 'rejected'}"

    def table(self, *, full: bool) -> Table:
        """A row per prefix; the middle of a long word is left out unless ``full``."""
        from rich.table import Table
        from rich.text import Text

        table = Table("", "symbol", "so far", "may come next", box=None, header_style="dim", pad_edge=False)
        for t in self._rows(full):
            if t is None:
                table.add_row("…", "…", "…", f"({len(self.word) + 1 - HEAD - TAIL:,} rows; --full shows them)")
                continue
            symbol = Text("<bos>", style="dim") if t == 0 else Text(self.word[t - 1])
            yes = bool(self.accepted[t])
            verdict = Text("accepted", style="green") if yes else Text("rejected", style="red")
            table.add_row(str(t), symbol, verdict, Text(" ".join(self.tokens(t)) or "-"))
        return table

    def _rows(self, full: bool) -> list[int | None]:
        rows = len(self.word) + 1
        if full or rows <= HEAD + TAIL + 1:
            return list(range(rows))
        return [*range(HEAD), None, *range(rows - TAIL, rows)]


def verdicts(checkpoint: Checkpoint, words: Sequence[tuple[str, ...]]) -> list[Verdicts]:
    """Run the checkpoint's model over words. The language is used only to number the symbols.

    Under the contract "live-prefixes" a model may say anything once a symbol came that it had ruled out; from there on
    the verdict is "rejected", with nothing to come.

    Raises:
        ScancraftError: the model cannot be loaded, or its scores cannot be read.
    """
    import numpy as np

    from ..models.run.batches import batches, prefix_scores

    model = checkpoint.runner()
    alphabet, readout = checkpoint.language.alphabet, checkpoint.readout
    codes, lengths = truth_of(checkpoint.language).encode(words)
    found: dict[int, Verdicts] = {}
    for rows in batches(lengths):
        scores = prefix_scores(model, readout, codes[rows], lengths[rows], alphabet)
        said = (scores > readout.threshold).numpy()
        for row, yes in zip(rows.tolist(), said, strict=True):
            length = int(lengths[row])
            yes = yes[: length + 1].copy()
            if readout.contract == "live-prefixes":
                ruled_out = ~yes[np.arange(length), codes[row, :length]]
                dead = np.concatenate([[False], np.logical_or.accumulate(ruled_out)])
                yes[dead] = False
            found[row] = Verdicts(tuple(words[row]), alphabet, yes[:, -1], yes[:, :-1])
    return [found[row] for row in range(len(words))]
