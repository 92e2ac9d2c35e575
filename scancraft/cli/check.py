"""``scancraft check`` and ``scancraft certify``: whether a checkpoint is right, on words tried and on all words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..models.checkpoints.quiet import quiet_transformers
from .io import ArgumentError, progress_bar, show, status
from .languages import LanguageOptions, budget_of, compared
from .options import MOST, Directory, Dtype, Items, Json, Seconds, Seed

if TYPE_CHECKING:
    from ..automata.budget import Budget
    from ..automata.languages import Language
    from ..certify.certify import Certificate, Open, Refuted
    from ..models.readout import Readout
    from ..refute.results import Counterexample

EXIT_CODES = {"certified": 0, "counterexample": 1, "undecided": 3}


@compared
def check(
    directory: Directory,
    language: LanguageOptions,
    words: Annotated[int, typer.Option(metavar="N", min=0, max=MOST, help="Words to sample.")] = 400,
    max_length: Annotated[int, typer.Option(metavar="L", min=0, max=MOST, help="Their greatest length.")] = 200,
    short: Annotated[int, typer.Option(metavar="N", min=0, help="Try all short words, if at most N.")] = 20_000,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Compare a checkpoint with its language, at every prefix of sampled and of all short words.

    A Mamba from elsewhere needs a readout.json beside its weights and a language. Exit code 1 if they disagree.
    Agreement is evidence on the words tried, not a proof.
    """
    if words == 0 and short == 0:
        raise ArgumentError("--words 0 and --short 0 leave nothing to try; raise one of them")
    import torch

    from ..certify.check import check as compare
    from ..refute.models import resolve

    other, readout = _asked(directory, language)
    quiet_transformers()
    target: Any = directory
    if readout is not None:
        target, other, _ = resolve(directory, other, readout, torch.float32)
    options = {"words": words, "max_length": max_length, "short": short, "seed": seed}
    with progress_bar("checking words") as progress:
        report = compare(target, other, readout=readout, progress=progress, **options)
    show(report, as_json=json)
    raise typer.Exit(0 if report.agrees else 1)


@compared
def certify(
    directory: Directory,
    language: LanguageOptions,
    dtype: Annotated[Dtype, typer.Option(help="Run the checkpoint in this dtype.")] = Dtype.float32,
    check: Annotated[bool, typer.Option("--check", help="Validate the saved certificate, without searching.")] = False,
    budget: Items = None,
    seconds: Seconds = None,
    json: Json = False,
) -> None:
    """Prove that a checkpoint is right on every word of every length, or find a word on which it is wrong.

    A proof for the checkpoint's own language is saved beside the weights. A Mamba from elsewhere needs a readout.json
    beside its weights and a language. Where there is none, counterexamples are
    looked for as `scancraft refute` does. Exit code 0: certified; 1: a counterexample; 3: undecided. With --check: 0 if
    the saved certificate is valid, 1 if not. --budget (events) holds for each stage of the search, --seconds for all of
    them together.
    """
    from ..certify.certify import CERTIFY_BUDGET
    from ..certify.checker.certificate import check_certificate
    from ..compiler.checkpoints import load

    quiet_transformers()
    if check:
        if language != LanguageOptions():
            raise ArgumentError(
                "--check validates a saved certificate, which names its own language; drop the language"
            )
        if not directory.is_dir():
            load(directory)  # says so
        with status("checking the certificate"):
            checked = check_certificate(directory)
        show(checked, as_json=json)
        raise typer.Exit(0 if checked.accepted else 1)
    other, readout = _asked(directory, language)
    verdict = prove(directory, other, dtype, budget_of(budget, seconds, CERTIFY_BUDGET), readout)
    show(verdict, as_json=json)
    raise typer.Exit(EXIT_CODES[verdict.verdict])


def _asked(directory: Path, language: LanguageOptions) -> tuple[Language | None, Readout | None]:
    """The language that the options give, and how a model is read that says so in ``readout.json``, with its own."""
    from ..compiler.checkpoints import load
    from ..refute.models import has_own_readout, own_binding

    if not has_own_readout(directory):
        return language.read_if_given(load(directory).language.alphabet), None
    own, readout = own_binding(directory)
    assert readout is not None
    given = language.read_if_given(tuple(readout.tokens))
    return own if given is None else given, readout


def prove(
    directory: Path,
    language: Language | None = None,
    dtype: str = "float32",
    budget: Budget | None = None,
    readout: Readout | None = None,
) -> Certificate | Counterexample | Refuted | Open:
    """Certify a checkpoint; a certificate for its own language is saved beside the weights."""
    import torch

    from ..certify.certify import CERTIFY_BUDGET, Certificate
    from ..refute.judging import certified_or_wrong as search

    quiet_transformers()
    with status("certifying") as note:
        chosen = getattr(torch, dtype)
        verdict = search(directory, language, readout=readout, budget=budget or CERTIFY_BUDGET, dtype=chosen, note=note)
    if isinstance(verdict, Certificate) and language is None:
        verdict.save(directory)
    return verdict
