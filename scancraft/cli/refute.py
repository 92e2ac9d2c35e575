"""``scancraft refute``: infinitely many words on which a Mamba is wrong, and the check of a saved refutation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..automata.alphabet import format_word
from ..models.checkpoints.quiet import quiet_transformers
from .io import ArgumentError, note, read_language, show_json, status
from .options import Alphabet, ContractName, Json

if TYPE_CHECKING:
    from ..automata.languages import Language
    from ..models.readout import Readout
    from ..refute.refute import NotApplicable, Refutation, Unsettled

EPILOG = (
    "Example: scancraft refute my-mamba --language Parity --tokens 0=3,1=4 --bos 1 --accept 2 -o parity.json; "
    "scancraft refute my-mamba --check parity.json"
)
EXIT_CODES = {"refuted": 0, "not applicable": 1, "undecided": 3}
SHOWN = 60
"""Symbols of a word that are printed."""


class AnyDtype(StrEnum):
    """Number formats that ``refute`` runs a checkpoint in."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"
    float64 = "float64"


def refute(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A checkpoint: ours, or any Mamba that transformers loads.")
    ],
    language: Annotated[
        str | None,
        typer.Option("--language", metavar="NAME", help="The language: a name of the suite, or a FILE.json."),
    ] = None,
    regex: Annotated[str | None, typer.Option("--regex", metavar="R", help="Or a regular expression.")] = None,
    alphabet: Alphabet = None,
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
        AnyDtype | None, typer.Option(help="Run the model in this dtype; default: ours float32, others their own.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="Save a refutation here.")] = None,
    check: Annotated[
        Path | None, typer.Option("--check", metavar="FILE", help="Verify a saved refutation, without searching.")
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Verify with a shorter step that has the same bits: four times as fast.")
    ] = False,
    budget: Annotated[int | None, typer.Option(metavar="N", min=1, help="Give up after N tokens.")] = None,
    seconds: Annotated[float | None, typer.Option(metavar="S", min=0, help="Give up after S seconds.")] = None,
    json: Json = False,
) -> None:
    """Show that a Mamba is wrong on infinitely many words of a language that is not star-free.

    A word w that permutes states of the minimal DFA is fed to the model again and again until its recurrent state
    repeats bit for bit; from there on its answers cannot follow the language. Exit code 0: refuted; 1: not applicable
    (the language is star-free or not regular, or gates may be negative), with what certify says; 3: undecided. Without
    --tokens a checkpoint that names no tokens is read as scancraft numbers them: <bos> 1, <eos> 2, the symbols 3, 4,
    and so on. With --check: 0 if the saved refutation holds, 1 if not.
    """
    if language is not None and regex is not None:
        raise ArgumentError("give at most one of --language and --regex")
    quiet_transformers()
    if check is not None:
        given = [tokens, bos, accept, contract, dtype, out, budget, seconds]
        if any(value is not None for value in given):
            raise ArgumentError("--check verifies a saved refutation, which names tokens and dtype; drop the rest")
        raise typer.Exit(_validate(check, model, language, regex, alphabet, plain=plain, as_json=json))
    if plain:
        raise ArgumentError("--plain goes with --check")
    verdict = _search(model, language, regex, alphabet, tokens, bos, accept, contract, dtype, budget, seconds)
    if out is not None and verdict.verdict == "refuted":
        verdict.save(out)  # type: ignore[union-attr]
    if json:
        show_json(verdict.as_json())
    else:
        typer.echo(told(verdict))
    if out is not None:
        note(f"refutation written to {out}" if verdict.verdict == "refuted" else "nothing to save")
    raise typer.Exit(EXIT_CODES[verdict.verdict])


def _search(
    model: Path,
    language: str | None,
    regex: str | None,
    alphabet: str | None,
    tokens: str | None,
    bos: str | None,
    accept: str | None,
    contract: ContractName | None,
    dtype: AnyDtype | None,
    budget: int | None,
    seconds: float | None,
) -> Refutation | NotApplicable | Unsettled:
    import torch

    from ..automata.budget import Budget
    from ..refute.models import own_binding
    from ..refute.refute import REFUTE_BUDGET
    from ..refute.refute import refute as search

    limits = Budget(
        REFUTE_BUDGET.items if budget is None else budget, REFUTE_BUDGET.seconds if seconds is None else seconds
    )
    own_language, own_readout = own_binding(model)
    named = None if tokens is None else _token_map(tokens)
    symbols = None if alphabet is None else alphabet.split()
    if symbols is None and (named is not None or own_language is not None):
        symbols = list(named) if named is not None else list(own_language.alphabet) if own_language else None
    wanted = _language(language, regex, symbols)
    readout = None
    if any(value is not None for value in (named, bos, accept, contract)):
        about = own_language if wanted is None else wanted
        if about is None:
            raise ArgumentError(f"{model} names no language; give --language or --regex")
        readout = _readout(about, own_readout, named, bos, accept, contract)
    with status("refuting") as say:
        chosen = None if dtype is None else getattr(torch, dtype.value)
        return search(model, wanted, readout, budget=limits, dtype=chosen, note=say)


def _language(name: str | None, regex: str | None, symbols: Sequence[str] | None) -> Language | None:
    """The language that the options name."""
    from .io import budget_of

    if regex is not None:
        return read_language(None, regex, None if symbols is None else " ".join(symbols), budget_of(None, None))
    if name is None:
        return None
    if name.endswith(".json") or Path(name).is_file():
        from ..automata.languages import as_language

        return as_language(Path(name))
    from ..suite.languages import suite_language

    return suite_language(name).language


def _readout(
    language: Language,
    own: Readout | None,
    tokens: dict[str, int] | None,
    bos: str | None,
    accept: str | None,
    contract: ContractName | None,
) -> Readout:
    """The model's own readout, or scancraft's numbering, with what the options say instead."""
    from ..refute.models import default_readout

    base = own if own is not None else default_readout(language.alphabet)
    changes: dict[str, Any] = {}
    if tokens is not None:
        changes |= {"tokens": tokens, "next_symbol": None}
    if bos is not None:
        changes["bos"] = _id(bos, "--bos")
    if accept is not None:
        changes["accept"] = _id(accept, "--accept")
    if contract is not None:
        changes["contract"] = contract.value
    found: Readout = replace(base, **changes)
    return found


def _id(text: str, option: str) -> int | None:
    if text == "none":
        return None
    if not text.isdecimal():
        raise ArgumentError(f"{option} {text!r} is no token id; give a whole number, or none")
    return int(text)


def _token_map(text: str) -> dict[str, int]:
    """``a=3,b=4`` as a map."""
    found: dict[str, int] = {}
    for part in text.split(","):
        symbol, _, number = part.strip().rpartition("=")
        if not symbol or not number.isdecimal() or symbol in found:
            raise ArgumentError(f"--tokens {text!r} is not of the form a=3,b=4, each symbol once")
        found[symbol] = int(number)
    return found


def _validate(
    check: Path,
    model: Path,
    language: str | None,
    regex: str | None,
    alphabet: str | None,
    *,
    plain: bool,
    as_json: bool,
) -> int:
    """Check a saved refutation; print what came of it and return the exit code."""
    from ..automata.dfa import Dfa
    from ..refute.checker.refutation import check_refutation
    from ..refute.refute import Refutation

    saved = Refutation.load(check)
    symbols = saved.content["language"]["dfa"]["alphabet"] if alphabet is None else alphabet.split()
    wanted = _language(language, regex, symbols)
    if wanted is not None and not isinstance(wanted, Dfa):
        raise ArgumentError("a refutation is about a regular language; give one")
    with status("checking the refutation") as say:
        checked = check_refutation(saved, model, wanted, replay="plain" if plain else "transformers", note=say)
    if as_json:
        show_json(checked.as_json())
    elif checked.accepted:
        typer.echo(f"the refutation holds ({checked.tokens:,} tokens read again): {saved.content['claim']}")
    else:
        typer.echo(f"the refutation does not hold: {checked.reason}")
    return 0 if checked.accepted else 1


def told(verdict: Refutation | NotApplicable | Unsettled) -> str:
    """The verdict in words."""
    from ..refute.refute import NotApplicable, Unsettled

    if isinstance(verdict, NotApplicable):
        found = verdict.certified.as_json()
        certified = f"{found['verdict']}" + (f", {found['reason']}" if found.get("reason") else "")
        if found.get("word") is not None:
            certified += f", after {_shown(found['word'])}"  # type: ignore[arg-type]
        return f"not applicable: {verdict.reason}\ncertify says: {certified}"
    if isinstance(verdict, Unsettled):
        wrong = "" if verdict.word is None else f"\n{_wrong(verdict.word, verdict.model, verdict.right)}"
        return f"undecided: {verdict.reason}{wrong}"
    content = verdict.content
    period = content["state_period"]
    back = "every w" if period == 1 else f"every {period} w"
    return (
        f"refuted: {content['claim']}\n"
        f"x = {_shown(verdict.x)}, w = {_shown(verdict.w)}, y = {_shown(verdict.y)}: after x w^{verdict.start} the "
        f"recurrent state comes back with {back}, and the right answer has period {verdict.period}\n"
        f"{_wrong(verdict.word, content['model'], content['right'])}\n"
        f"{content['dtype']}, one token at a time; {content['tokens_read']:,} tokens read, {verdict.seconds:.2f} s"
    )


def _wrong(word: Sequence[str], model: Sequence[str] | frozenset[str], right: Sequence[str] | frozenset[str]) -> str:
    return (
        f"the shortest wrong word seen is {_shown(word)}: the model allows {sorted(model)}, the language "
        f"{sorted(right)}"
    )


def _shown(word: Sequence[str]) -> str:
    """A word for people, cut off if it is long."""
    if len(word) <= SHOWN:
        return repr(format_word(word, word))
    return f"{format_word(word[:SHOWN], word)!r}... ({len(word):,} symbols)"
