"""``scancraft bench``: methods of interpretability, scored on circuits that are known."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from ..compiler.compile import compile as compiled
from ..models.checkpoints.quiet import quiet_transformers
from .io import ArgumentError, say, show_json, status
from .languages import budget_of, choose_language
from .options import Alphabet, Items, Json, Regex, Seconds, Seed


def bench(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="DIR|FILE.json", help="A checkpoint, or a language as JSON."),
    ] = None,
    regex: Regex = None,
    named: Annotated[
        str | None, typer.Option("--named", metavar="NAME", help="A language of the suite: D-12, Tomita-7, ...")
    ] = None,
    alphabet: Alphabet = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="M",
            help="probe, patching, attribution, or module:function from a task to scores (repeat for several); "
            "default: the first three.",
        ),
    ] = None,
    variant: Annotated[
        bool, typer.Option("--variant", help="Hide the circuit: rotate, permute, split, add decoys.")
    ] = False,
    noise: Annotated[
        float, typer.Option("--noise", metavar="F", min=0, max=1, help="In a variant: share of the margin, below 1.")
    ] = 0.0,
    seed: Seed = 0,
    leaderboard: Annotated[
        Path | None, typer.Option("--leaderboard", metavar="FILE.json", help="Add the results to this file.")
    ] = None,
    budget: Items = None,
    seconds: Seconds = None,
    json: Json = False,
) -> None:
    """Score methods on a compiled model: which of its nodes or edges matter is worked out by exact ablation.

    An edge matters if some context and some continuation exist for which resetting it to what it is in another context
    changes what the model allows. A method gets the model, words, and what is right, but no labels. The seed is that of
    the variant and of the words.
    """
    quiet_transformers()
    from ..compiler.checkpoints import load
    from ..interp.bench.leaderboard import add, read
    from ..interp.bench.score import bench as benched
    from ..interp.variants import variant as variant_of

    limits = budget_of(budget, seconds)
    methods = {name: _method(name) for name in method or ("probe", "patching", "attribution")}
    if leaderboard is not None:
        read(leaderboard)  # what cannot be added to is told before the work
    if file is not None and file.is_dir():
        if variant or regex is not None or named is not None or alphabet is not None:
            raise ArgumentError("a checkpoint is scored as it is; variants are made of languages")
        subject: Any = load(file)
        name, what = str(file), "checkpoint"
    else:
        name = named or regex or str(file)
        language = choose_language(file, regex, named, None, alphabet, limits)
        with status("compiling"):
            subject = compiled(language, budget=limits)
            what = "as compiled"
            if variant:
                subject, what = variant_of(subject, noise=noise, seed=seed), f"variant, noise {noise:g}, seed {seed}"
    with status("ablating every edge, and running the methods"):
        results = benched(subject, methods, language=name, variant=what, seed=seed, budget=limits)
    if leaderboard is not None:
        add(leaderboard, results)
    if json:
        show_json([result.as_json() for result in results])
    else:
        say("\n".join(map(str, results)))


def _method(name: str) -> Any:
    """A method by its name, or module:function.

    Raises:
        BenchError: there is none.
    """
    from ..interp.bench.methods import METHODS
    from ..interp.errors import BenchError

    if name in METHODS:
        return METHODS[name]
    module, colon, function = name.partition(":")
    if not colon:
        raise BenchError(f"there is no method {name}; known are {', '.join(METHODS)}, or give module:function")
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does: a module in the current folder
    try:
        found = getattr(import_module(module), function)
    except (Exception, SystemExit) as error:  # whatever the module does when it is imported
        raise BenchError(
            f"{name} cannot be imported ({type(error).__name__}: {error}); give module:function"
        ) from error
    if not callable(found):
        raise BenchError(f"{name} is not callable; it must take a task and give scores")
    return found
