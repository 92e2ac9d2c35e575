"""``scancraft convert``: an automaton in a file of one tool to a file of another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from ..automata.dfa import Dfa
from ..automata.formats.reading import Options
from ..automata.formats.registry import FORMATS, load_symbols, read_machine, written
from ..automata.languages import as_automaton
from ..automata.moore import Moore
from ..models.checkpoints.files import replace_file
from .io import ArgumentError, FileAccessError, show, status
from .languages import budget_of, is_file, language_at
from .options import Items, Json, Seconds

NAMES = ", ".join(known.name for known in FORMATS)


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN", help="An automaton in any of the formats, a name of the suite, or a checkpoint of a DFA."
        ),
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Where to write it; the suffix says the format.")],
    read_as: Annotated[
        str | None, typer.Option("--from", "--format", metavar="FORMAT", help=f"Insist on a format of IN: {NAMES}.")
    ] = None,
    write_as: Annotated[str | None, typer.Option("--to", metavar="FORMAT", help="Insist on a format of OUT.")] = None,
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            "--accepting-output",
            metavar="O",
            help="Read a Mealy or Moore machine as the words whose last output is O (may be given again).",
        ),
    ] = None,
    symbols: Annotated[
        Path | None,
        typer.Option("--symbols", metavar="FILE", help="Symbol table of an OpenFST file (default: beside it)."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    budget: Items = None,
    seconds: Seconds = None,
    json: Json = False,
) -> None:
    """Convert an automaton: read it, make it deterministic and minimal, and write it.

    The format of IN is recognised by its content. Nondeterministic automata are determinised within the budget.
    """
    options = Options(None if not outputs else frozenset(outputs), None if symbols is None else load_symbols(symbols))
    limits = budget_of(budget, seconds)
    with status("converting"):
        if is_file(source) and not source.is_dir():
            dfa = read_machine(source, format=read_as, options=options, budget=limits)
        else:
            dfa = as_automaton(language_at(str(source), read_as, limits), limits)
    files = written(dfa, target, write_as)
    present = [path for path in files if path.exists() or path.is_symlink()]
    if present and not force:
        raise ArgumentError(f"{present[0]} exists; choose another name, or --force to replace it")
    for path, text in files.items():
        try:
            with replace_file(path) as fresh:
                fresh.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
        except OSError as error:
            raise FileAccessError(f"{path} cannot be written ({error.strerror}); check the place") from None
    show(Converted(dfa, tuple(files)), as_json=json)


@dataclass(frozen=True)
class Converted:
    """What was written, and where."""

    dfa: Dfa | Moore
    files: tuple[Path, ...]

    def as_json(self) -> dict[str, object]:
        """The facts."""
        return {
            "files": [str(path) for path in self.files],
            "states": self.dfa.n_states,
            "letters": len(self.dfa.alphabet),
            **({"empty": self.dfa.is_empty()} if isinstance(self.dfa, Dfa) else {"classes": len(self.dfa.classes)}),
        }

    def __str__(self) -> str:
        size = f"{self.dfa.n_states:,} states, {len(self.dfa.alphabet):,} letters"
        if isinstance(self.dfa, Moore):
            size += f", {len(self.dfa.classes):,} classes"
        warning = "; warning: no word is accepted" if isinstance(self.dfa, Dfa) and self.dfa.is_empty() else ""
        return f"written to {', '.join(map(str, self.files))}: {size}{warning}"
