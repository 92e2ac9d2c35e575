"""``scancraft train``: a trained baseline for one language, with its accuracy length by length."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..automata.named import BEYOND
from ..models.checkpoints.quiet import quiet_transformers
from ..suite.languages import Bin, suite_language
from .check import EXIT_CODES
from .io import ArgumentError, console, progress_bar, say, show_json, status
from .languages import LanguageOptions, about
from .options import Json, Seed

if TYPE_CHECKING:
    from rich.table import Table

    from ..automata.languages import Language
    from ..training.training import Settings, Trained

DEFAULT_BUDGET = "60s"
UNBOUNDED = 1e9
"""Seconds."""

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


class Goal(StrEnum):
    """What training may go on for."""

    certified = "certified"


@about
def train(
    language: LanguageOptions,
    budget: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Time: 60s, 2m, or a number of seconds. Default: 60s; with --steps none."),
    ] = None,
    seed: Seed = 0,
    layers: Annotated[int, typer.Option(metavar="N", min=1, max=256, help="Blocks of the model.")] = 2,
    d_model: Annotated[int, typer.Option(metavar="N", min=1, max=8192, help="Width of its residual stream.")] = 32,
    shortest: Annotated[
        int | None, typer.Option(metavar="L", min=0, help="Shortest word of training; default: as published, else 1.")
    ] = None,
    longest: Annotated[
        int | None, typer.Option(metavar="L", min=0, help="Longest word of training; default: as published, else 50.")
    ] = None,
    until: Annotated[
        Goal | None, typer.Option(help="Train, certify, learn from the counterexample, and so on, until this holds.")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Steps of training: with --until, of its first round, later ones half."),
    ] = None,
    rounds: Annotated[int, typer.Option(metavar="N", min=1, help="At most so many rounds, with --until.")] = 100,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="Keep the trained model here.")] = None,
    json: Json = False,
) -> None:
    """Train a small Mamba on a language, on the CPU, to compare with a compiled one.

    It learns which tokens may come next after each prefix of sampled words. The table says how many fresh words it gets
    right after every prefix, for the lengths of training and for longer words. Words and initial weights follow from
    the seed; how many steps fit into the time depends on the machine. Ctrl-C ends the training; with --out, what was
    learned until then is kept.

    With --until certified it goes on in rounds: train, certify, and where the model is wrong learn from the word, its
    pattern and words near them. The exit code is then that of certify.
    """
    seconds = seconds_of(budget or DEFAULT_BUDGET) if budget or steps is None else UNBOUNDED
    subject = chosen(language).over(shortest, longest)
    with status("starting"):
        from ..training.training import Settings, check_place
        from ..training.training import train as train_model

        quiet_transformers()
        if out is not None:
            check_place(out)  # now rather than after the training
    settings = Settings(layers=layers, d_model=d_model)
    if until is not None:
        raise typer.Exit(_until_certified(subject, seconds, steps, rounds, seed, settings, out, as_json=json))
    with progress_bar("steps" if steps else "seconds") as bar:

        def progress(elapsed: float, done: int, loss: float) -> None:
            bar(*((done, steps) if steps else (min(elapsed, seconds), seconds)), f"step {done:,}, loss {loss:.4f}")

        trained = train_model(
            subject.language,
            seconds=seconds,
            bins=subject.bins,
            seed=seed,
            settings=settings,
            max_steps=steps,
            progress=progress,
            keep_interrupted=out is not None,
        )
    if out is not None:
        trained.save(out)
    if json:
        show_json({"name": subject.name, "directory": None if out is None else str(out)} | trained.as_json())
    else:
        say(f"{subject.name}: {trained}")
        if trained.accuracy:
            console().print(accuracy_table(trained))
        if out is not None:
            say(f"written to {out}")
    if trained.interrupted:
        raise KeyboardInterrupt


def _until_certified(
    subject: Subject,
    seconds: float,
    steps: int | None,
    rounds: int,
    seed: int,
    settings: Settings,
    out: Path | None,
    *,
    as_json: bool,
) -> int:
    """Train until certified, show and keep what came of it; return the exit code."""
    from ..certify.certify import Certificate
    from ..training.until import train_until_certified

    with status(f"training on {subject.name}") as told:
        found = train_until_certified(
            subject.language,
            seconds=seconds,
            round_steps=steps,
            rounds=rounds,
            bins=subject.bins,
            seed=seed,
            settings=settings,
            note=told,
        )
    if out is not None:
        found.trained.save(out)
        if isinstance(found.verdict, Certificate):
            found.verdict.save(out)
    if as_json:
        show_json({"name": subject.name, "directory": None if out is None else str(out)} | found.as_json())
    else:
        say(f"{subject.name}: {found}")
        console().print(accuracy_table(found.trained))
        if out is not None:
            say(f"written to {out}")
    return EXIT_CODES[found.verdict.verdict]


# -- what to train on ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Subject:
    """A language, what to call it, and ranges of lengths, those of training first."""

    name: str
    language: Language
    bins: tuple[Bin, ...]

    def over(self, shortest: int | None, longest: int | None) -> Subject:
        """With other lengths of training; of the later ranges those stay that begin behind them.

        Where there are none, words up to twice and three times as long take their place.

        Raises:
            ArgumentError: the shortest word is longer than the longest.
        """
        if shortest is None and longest is None and len(self.bins) > 1:
            return self
        first, *later = self.bins
        high = first.longest if longest is None else longest
        low = (first.shortest if first.ignore is None else high) if shortest is None else shortest
        if low > high:
            raise ArgumentError(f"no word has a length in {low}..{high}; give --shortest and --longest in order")
        later = [part for part in later if part.shortest > high or part.ignore is not None]
        later = later or [Bin(i * max(1, high) + 1, (i + 1) * max(1, high)) for i in (1, 2)]
        return Subject(self.name, self.language, (Bin(low, high, ignore=first.ignore), *later))


def chosen(options: LanguageOptions) -> Subject:
    """The language that the options name; one of the suite with the published lengths.

    Raises:
        ScancraftError: see :meth:`LanguageOptions.read`.
    """
    language = options.read()
    if options.name is not None and options.name not in BEYOND:
        return Subject(options.name, language, suite_language(options.name).bins)
    title = options.name or options.regex or options.dyck or Path(str(options.place)).stem
    return Subject(title, language, (Bin(1, 50),))


def seconds_of(text: str) -> float:
    """Seconds from ``60s``, ``2m``, ``1h``, or a bare number of seconds.

    Raises:
        ArgumentError: it is none of these, or no time at all.

    >>> seconds_of("90"), seconds_of("60s"), seconds_of("1.5m")
    (90.0, 60.0, 90.0)
    """
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+) *([smh]?)", text.strip())
    seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
    if not 0 < seconds < math.inf:
        raise ArgumentError(f"--budget {text!r} is no time; give 60s, 2m, 1h or a number of seconds above 0")
    return seconds


# -- what is shown ---------------------------------------------------------------------------------------------------


def accuracy_table(trained: Trained) -> Table:
    """A row per range of lengths."""
    from rich.table import Table

    table = Table("lengths", box=None, header_style="dim", pad_edge=False)
    for heading in ("words", "strings right", "positions right"):
        table.add_column(heading, justify="right")
    for i, found in enumerate(trained.accuracy):
        label = f"{found.bin.label} (training)" if i == 0 else found.bin.label
        table.add_row(label, f"{found.words:,}", f"{found.strings:.2f}%", f"{found.positions:.2f}%")
    return table
