"""``scancraft refute``: words on which a Mamba is wrong, and the check of what was saved about them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ..automata.languages import as_automaton, language_from_json
from ..models.checkpoints.quiet import quiet_transformers
from .io import ArgumentError, note, show, status
from .languages import LanguageOptions, budget_of, compared
from .options import ContractName, Json, ModelDtype

LONGEST_ID = 9
"""Digits of a token id."""

EXIT_CODES = {"refuted": 0, "counterexample": 0, "not applicable": 1, "undecided": 3}


@compared
def refute(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A checkpoint: ours, or any Mamba that transformers loads.")
    ],
    language: LanguageOptions,
    tokens: Annotated[
        str | None, typer.Option(metavar="a=3,b=4", help="Token ids of the symbols, where MODEL does not name them.")
    ] = None,
    bos: Annotated[
        str | None, typer.Option(metavar="ID", help="The token that begins every word, or none. Default: 1.")
    ] = None,
    accept: Annotated[
        str | None,
        typer.Option(metavar="ID", help="The score that says that the word may end, or none. Default: 2."),
    ] = None,
    contract: Annotated[
        ContractName | None, typer.Option(help="Count all words as wrong, or only those that can be completed.")
    ] = None,
    dtype: Annotated[
        ModelDtype | None, typer.Option(help="Run the model in this dtype; default: ours float32, others their own.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="Save a refutation here.")] = None,
    check: Annotated[
        Path | None, typer.Option("--check", metavar="FILE", help="Verify a saved refutation, without searching.")
    ] = None,
    budget: Annotated[int | None, typer.Option(metavar="N", min=1, help="Give up after N tokens.")] = None,
    seconds: Annotated[float | None, typer.Option(metavar="S", min=0, help="Give up after S seconds.")] = None,
    json: Json = False,
) -> None:
    """Show that a Mamba is wrong: on infinitely many words of a language that is not star-free, or on a word it misses.

    A word w that permutes states of the minimal DFA is fed to the model again and again until its recurrent state
    repeats bit for bit; from there on its answers cannot follow the language. Of a star-free language short words,
    random words and words x w^n y over the DFA's loops are tried. Exit code 0: refuted; 1: not applicable (no model is
    excluded and none of these words is wrong), with what certify says; 3: undecided. Without
    --tokens a checkpoint that names no tokens is read as scancraft numbers them: <bos> 1, <eos> 2, the symbols 3, 4,
    and so on. With --check: 0 if the saved refutation holds, 1 if not, 3 if the budget does not suffice to say.
    """
    quiet_transformers()
    if check is not None:
        if any(value is not None for value in (tokens, bos, accept, contract, dtype, out)):
            raise ArgumentError("--check verifies a saved refutation, which names tokens and dtype; drop the rest")
        raise typer.Exit(_validate(check, model, language, (budget, seconds), as_json=json))
    import torch

    from ..compiler.checkpoints import default_readout
    from ..refute.models import own_binding
    from ..refute.refute import REFUTE_BUDGET, Counterexample, Refutation
    from ..refute.refute import refute as search

    own_language, own_readout = own_binding(model)
    changes = _changes(tokens, bos, accept, contract)
    symbols = changes.get("tokens") or (None if own_language is None else own_language.alphabet)
    wanted = language.read_if_given(None if symbols is None else tuple(symbols))
    readout = None
    if changes:
        about = own_language if wanted is None else wanted
        if about is None:
            raise ArgumentError(f"{model} names no language; give one with --named, --regex or --language")
        readout = replace(own_readout or default_readout(about), **changes)
    limits = budget_of(budget, seconds, REFUTE_BUDGET)
    with status("refuting") as say:
        chosen = None if dtype is None else getattr(torch, dtype.value)
        verdict = search(model, wanted, readout, budget=limits, dtype=chosen, note=say)
    kept = verdict if isinstance(verdict, (Refutation, Counterexample)) else None
    if out is not None and kept is not None:
        kept.save(out)
    show(verdict, as_json=json)
    if out is not None:
        note("nothing to save" if kept is None else f"{kept.kind} written to {out}")
    raise typer.Exit(EXIT_CODES[verdict.verdict])


def _changes(tokens: str | None, bos: str | None, accept: str | None, contract: ContractName | None) -> dict[str, Any]:
    """What the options say about the readout, by its attributes."""
    found: dict[str, Any] = {}
    if tokens is not None:
        found |= {"tokens": _token_map(tokens), "next_symbol": None}
    if bos is not None:
        found["bos"] = _id(bos, "--bos")
    if accept is not None:
        found["accept"] = _id(accept, "--accept")
    if contract is not None:
        found["contract"] = contract.value
    return found


def _id(text: str, option: str) -> int | None:
    if text == "none":
        return None
    if not _is_id(text):
        raise ArgumentError(f"{option} {text!r} is no token id; give a whole number, or none")
    return int(text)


def _is_id(text: str) -> bool:
    return text.isdecimal() and len(text) <= LONGEST_ID


def _token_map(text: str) -> dict[str, int]:
    """``a=3,b=4`` as a map."""
    found: dict[str, int] = {}
    for part in text.split(","):
        symbol, _, number = part.strip().rpartition("=")
        if not symbol or not _is_id(number) or symbol in found:
            raise ArgumentError(f"--tokens {text!r} is not of the form a=3,b=4, each symbol once")
        found[symbol] = int(number)
    return found


def _whose(own: bool) -> str:
    return "the checkpoint's own" if own else "not the checkpoint's own"


def _validate(
    check: Path,
    model: Path,
    language: LanguageOptions,
    limits: tuple[int | None, float | None],
    *,
    as_json: bool,
) -> int:
    """Check a saved refutation; print what came of it and return the exit code."""
    from ..certify.binding import readout_json
    from ..refute.checker.refutation import BUDGET, check_refutation
    from ..refute.models import own_binding
    from ..refute.results import load_saved

    saved = load_saved(check)
    own_language, own_readout = own_binding(model)
    given = language.read_if_given(saved.alphabet)
    wanted = None if given is None else as_automaton(given)
    budget, seconds = limits
    with status("checking the refutation") as told:
        checked = check_refutation(
            saved,
            model,
            wanted,
            budget=BUDGET if budget is None else budget,
            seconds=math.inf if seconds is None else seconds,
            note=told,
        )
    if checked.accepted and own_language is not None and own_readout is not None:
        own = {**readout_json(own_readout), "contract": own_readout.contract}
        checked = replace(
            checked,
            language=f"{checked.language}; {_whose(language_from_json(saved.content['language']) == own_language)}",
            readout=f"{checked.readout}; {_whose(saved.content['readout'] == own)}",
        )
    show(checked, as_json=as_json)
    return 0 if checked.accepted else 3 if checked.undecided else 1
