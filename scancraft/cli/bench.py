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
from .languages import LanguageOptions, about, budget_of
from .options import Items, Json, Seconds, Seed


@about
def bench(
    language: LanguageOptions,
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
    target: Annotated[
        str | None, typer.Option("--target", metavar="NAME", help="Compile to mamba, falcon_mamba or mamba2.")
    ] = None,
    leaderboard: Annotated[
        Path | None, typer.Option("--leaderboard", metavar="FILE.json", help="Add the results to this file.")
    ] = None,
    budget: Items = None,
    seconds: Seconds = None,
    json: Json = False,
) -> None:
    """Score methods on a compiled model: which of its nodes and edges matter is worked out by exact ablation.

    LANGUAGE is compiled; a checkpoint is taken as it is.
    An edge matters if some context and some continuation exist for which resetting it to what it is in another context
    changes what the model allows. A method gets the model, words, and what is right, but no labels. The seed is that of
    the variant and of the words.
    """
    quiet_transformers()
    from ..compiler.checkpoints import load
    from ..interp.bench.leaderboard import add, read
    from ..interp.bench.score import bench as benched
    from ..interp.variants import variant as variant_of

    if noise and not variant:
        raise ArgumentError("--noise goes with --variant; give both")
    limits = budget_of(budget, seconds)
    methods = {name: _method(name) for name in method or ("probe", "patching", "attribution")}
    if leaderboard is not None:
        read(leaderboard)  # what cannot be added to is told before the work
    name = language.name or language.regex or language.place or f"brackets {language.dyck}"
    if language.place is not None and Path(language.place).is_dir():
        if variant or target:
            raise ArgumentError("a checkpoint is scored as it is; variants and targets are for languages")
        language.read(limits)  # no other language beside it
        subject: Any = load(language.place)
        what = "checkpoint"
    else:
        with status("compiling"):
            subject, what = compiled(language.read(limits), budget=limits, target=target), "as compiled"
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
        raise BenchError(
            f"there is no method {name}; known are {', '.join(METHODS)} (repeat --method for several), or give "
            "module:function"
        )
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
