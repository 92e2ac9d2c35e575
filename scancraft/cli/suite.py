"""``scancraft suite``: every language of the paper in one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..automata.errors import UnknownLanguageError
from ..models.checkpoints.quiet import quiet_transformers
from ..suite.languages import AT_MOST, LANGUAGES, SuiteLanguage, suite_language
from ..suite.plot import draw, read_training
from .io import ArgumentError, console, note, progress_bar, say, show_json
from .options import Json, Seed

if TYPE_CHECKING:
    from rich.table import Table

    from ..suite.suite import Row

PLOTS = (".png", ".svg", ".pdf")


def suite(
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAMES", help="Only these languages, separated by semicolons (or repeat it)."),
    ] = None,
    words: Annotated[int, typer.Option(metavar="N", min=1, help="Words per published range of lengths.")] = 1000,
    far_words: Annotated[int, typer.Option(metavar="N", min=1, help="Words of length 10,000.")] = 100,
    farthest: Annotated[bool, typer.Option(help="Also words of length 100,000.")] = True,
    certificates: Annotated[bool, typer.Option(help="Prove each model right (counters: within their limits).")] = True,
    check: Annotated[bool, typer.Option("--check", help="Let the separate checker validate the certificates.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Keep checkpoints and certificates here.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw accuracy against length (.png, .svg, .pdf).")
    ] = None,
    trained: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="Draw this model of `scancraft train --out DIR` too.")
    ] = None,
    jobs: Annotated[int, typer.Option(metavar="N", min=1, help="Processes to use.")] = 2,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Compile, certify and measure every language of the paper, beside the published figures of trained models.

    Strings right in %, for the published lengths and for 10,000 and 100,000 symbols. Languages that are not star-free
    become OLMo Hybrids; a note says with a witness which theorem excludes Mambas. Exit code 1 if any model is ever
    wrong or not certified.
    """
    from ..suite.suite import Options, run_suite

    if check and not certificates:
        raise ArgumentError("--check validates the certificates; drop --no-certificates")
    if trained and plot is None:
        raise ArgumentError("--trained draws into a plot; give --plot FILE too")
    if plot is not None and plot.suffix.lower() not in PLOTS:
        raise ArgumentError(f"{plot}: a plot is written as {', '.join(PLOTS)}; choose one of these suffixes")
    chosen = chosen_languages(";".join(only) if only else None)
    quiet_transformers()
    options = Options(words, far_words, farthest, certificates, check, seed, out)
    if plot is not None:
        trainings = [read_training(directory) for directory in trained or []]  # before the long run
    with progress_bar("languages") as tick:
        rows = run_suite(options, chosen, tick, jobs=min(jobs, len(chosen)))
    results = [row.as_json() for row in rows]
    if json:
        show_json(results)
    else:
        console().print(suite_table(rows))
        for line in footnotes(rows):
            say(line)
    if plot is not None:
        draw(results, plot, trainings)
        note(f"plot written to {plot}")
    if not all(row.perfect for row in rows):
        raise typer.Exit(1)


def chosen_languages(only: str | None) -> Sequence[SuiteLanguage]:
    """The languages that ``--only`` names; all without it. Names hold commas, so semicolons separate them.

    Raises:
        ArgumentError: no name.
        UnknownLanguageError: the suite has none of a name.
    """
    if only is None:
        return LANGUAGES
    if not only.strip("; "):
        raise ArgumentError("--only names no language; give some, separated by semicolons, or leave it out")
    try:
        chosen = {name: suite_language(name) for name in only.split(";") if name.strip()}
    except UnknownLanguageError as error:
        raise UnknownLanguageError(f"{error}; semicolons separate them") from None
    return list({language.name: language for language in chosen.values()}.values())


def suite_table(rows: Sequence[Row]) -> Table:
    """The table for people: strings right in % per published range of lengths, and far past them."""
    from rich.table import Table
    from rich.text import Text

    far = dict.fromkeys(label for row in rows for label in far_labels(row))
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("language", "theorem", "model"):
        table.add_column(name, no_wrap=True)
    for name in ("blocks", "d_model", "parameters", "state", "seconds"):
        table.add_column(name, justify="right")
    table.add_column("published lengths", no_wrap=True)
    for name in far:
        table.add_column(name, justify="right")
    for name in ("certificate", "trained, published"):
        table.add_column(name, no_wrap=True)
    for row in rows:
        size = row.size
        numbers = [str(size.blocks), str(size.d_model), f"{size.parameters:,}", str(size.state_entries)]
        beyond = [percent(row.scores[label].strings) if label in row.scores else "-" for label in far]
        cells = [
            row.language.name,
            row.language.theorem,
            size.target,
            *numbers,
            f"{row.seconds:.3f}",
            measured(row),
            *beyond,
        ]
        table.add_row(*map(Text, cells), Text(certified(row)), Text(published(row)))
    return table


def far_labels(row: Row) -> list[str]:
    """The lengths past the published ones that were tried."""
    ours = {part.label for part in row.language.bins}
    return [label for label in row.scores if label not in ours]


def measured(row: Row) -> str:
    """Strings right per published range."""
    return " / ".join(percent(row.scores[part.label].strings) for part in row.language.bins)


def percent(value: float) -> str:
    """Two digits, never rounded up to 100."""
    return "100" if value == 100 else f"{int(value * 100) / 100:.2f}"


def certified(row: Row) -> str:
    """The certificate in a word or two."""
    if row.certificate is None:
        return "-"
    found = "certified" if row.certificate["verdict"] == "certified" else str(row.certificate["verdict"])
    if row.certificate.get("scope") == "step":
        found += " (step)"
    checked = row.certificate.get("checked")
    return found + ("" if checked is None else ", checked" if checked else ", REJECTED")


def published(row: Row) -> str:
    """What trained models reach, per published bin."""
    shown = []
    for part in row.language.bins:
        if part.published is not None:
            low, high = part.published
            shown.append(f"{low:g}" if low == high else f"{low:g}-{high:g}")
        elif shown:
            shown.append("-")
    bound = "at most " if row.language.note == AT_MOST else ""
    return bound + " / ".join(shown) if shown else "-"


def footnotes(rows: Sequence[Row]) -> Iterator[str]:
    """What does not fit into the table."""
    for row in rows:
        if row.witness is not None:
            found, theorem = row.witness.witness, row.language.theorem.lower()
            yield (
                f"{row.language.name}: no Mamba models it at every length ({theorem}: {''.join(found.word)} has period "
                f"{found.period})"
            )
        if row.general is not None:
            g, s = row.general, row.size
            yield (
                f"{row.language.name}: {s.blocks} blocks, {s.parameters:,} parameters by the paper's construction; "
                f"{g.blocks} blocks, {g.parameters:,} parameters by the general compiler"
            )
        if row.lower_bound is not None:
            yield (
                f"{row.language.name}: {row.size.memories} memories in {row.size.state_entries} state entries; "
                f"h log2 K = {row.lower_bound:g} bits are needed by any recurrent model (Hewitt et al. 2020)"
            )
        if row.language.note not in ("", AT_MOST):
            yield f"{row.language.name}: {row.language.note}"
    counted = {label: (s.words, s.positions) for row in rows for label, s in row.scores.items()}
    if counted:
        words = sum(s.words for row in rows for s in row.scores.values())
        positions = sum(s.positions for row in rows for s in row.scores.values())
        right = sum(s.right_positions for row in rows for s in row.scores.values())
        total = sum(row.total for row in rows)
        yield f"{words:,} words, {positions:,} positions, {positions - right:,} of them wrong; {total:.1f} s in all"
