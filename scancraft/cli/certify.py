"""``scancraft certify``: the proof, its verdict in words, and the check of a saved certificate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from ..automata.alphabet import format_word
from ..automata.budget import Budget
from ..automata.languages import Language
from ..certify.certify import CERTIFY_BUDGET, Certificate, Open, Refuted, certify
from ..models.checkpoints.quiet import quiet_transformers
from .io import show_json, status

EXIT_CODES = {"certified": 0, "counterexample": 1, "undecided": 3}


def prove(
    directory: Path, language: Language | None, dtype: str, budget: Budget = CERTIFY_BUDGET
) -> Certificate | Refuted | Open:
    """Certify a checkpoint; a certificate for its own language is saved beside the weights."""
    import torch

    quiet_transformers()
    with status("certifying") as note:
        verdict = certify(directory, language, budget=budget, dtype=getattr(torch, dtype), note=note)
    if isinstance(verdict, Certificate) and language is None:
        verdict.save(directory)
    return verdict


def told(verdict: Certificate | Refuted | Open, alphabet: Sequence[str]) -> str:
    """The verdict in words."""
    if isinstance(verdict, Open):
        return f"undecided: {verdict.reason}"
    if isinstance(verdict, Refuted):
        word = format_word(verdict.word, alphabet)
        kind = "a shortest counterexample" if verdict.shortest else "a counterexample (perhaps not a shortest one)"
        return f"{kind} is {word!r}: the model allows {sorted(verdict.model)}, the language {sorted(verdict.right)}"
    content = verdict.content
    counts = content["counts"]
    checked = f"{counts['transitions']:,} transitions" if counts["transitions"] else ""
    if "limits" in content:
        checked = " and ".join([*([checked] if checked else []), f"{counts['readouts']:,} cases"])
    limits = ", ".join(f"{name} {limit:,}" for name, limit in content.get("limits", {}).items())
    held = sum(o["holds"] for o in content["obligations"])
    return (
        f"certified, scope {verdict.scope}: {content['claim']}\n"
        f"{content['method']}: {checked} checked, smallest |score| {verdict.margin:g}, "
        f"{held} of {len(content['obligations'])} obligations hold, {content['dtype']}, {verdict.seconds:.2f} s"
        + (f"\nlimits: {limits}" if limits else "")
    )


def validate(directory: Path, *, as_json: bool) -> int:
    """Check a saved certificate; print what came of it and return the exit code."""
    from ..certify.checker.certificate import check_certificate

    with status("checking the certificate"):
        checked = check_certificate(directory)
    if as_json:
        show_json(checked.as_json())
    elif checked.accepted:
        typer.echo("the certificate is valid")
    else:
        typer.echo(f"the certificate is not valid: {checked.reason}")
    return 0 if checked.accepted else 1
