"""``scancraft explain``: what the parts of a checkpoint stand for: as tables, stages, pictures, or one page."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer
from msgspec.structs import replace

from ..automata.alphabet import parse_word
from ..automata.dfa import Dfa
from ..automata.languages import as_automaton
from ..automata.letters import quotient
from ..automata.logic.past import PastLtl
from ..automata.moore import Moore
from ..compiler.compile import compile
from ..compiler.compiled import CompiledModel
from ..compiler.constructions import flip_flop
from ..compiler.manifest import Regular
from ..compiler.plan.plan import Plan
from ..compiler.tokenized import renumbered
from ..explain.cascade_picture import draw_cascade
from ..explain.count_text import counting_argument
from ..explain.plan_text import argument, past_argument
from ..models.checkpoints.quiet import quiet_transformers
from ..models.errors import CheckpointError
from .io import ArgumentError, console, note, say, show_json, status
from .options import Directory, Json

if TYPE_CHECKING:
    from ..compiler.checkpoints import Checkpoint


class Stage(StrEnum):
    """A stage of the compiler: an attribute of what it returns."""

    language = "language"
    dfa = "dfa"
    cascade = "cascade"
    rules = "rules"
    plan = "plan"
    program = "program"
    circuit = "circuit"
    weights = "weights"


class PictureOf(StrEnum):
    """What ``explain --picture`` draws."""

    cascade = "cascade"
    weights = "weights"
    memories = "memories"
    scores = "scores"


def explain(
    directory: Directory,
    block: Annotated[int | None, typer.Option(metavar="N", min=0, help="Only this block.")] = None,
    stage: Annotated[Stage | None, typer.Option(help="Print a stage of the compiler instead.")] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write one page that runs the model on words you type instead."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Write a picture (.png, .svg, .pdf) instead.")
    ] = None,
    of: Annotated[
        PictureOf | None,
        typer.Option(
            "--of",
            help="What the picture shows: the DFA and its cascade (default), the weights of --block N (default 0), the "
            "memories while --word W is read, or between what numbers the scores lie at each state of the language.",
        ),
    ] = None,
    word: Annotated[str | None, typer.Option("--word", metavar="W", help="The word for --of memories.")] = None,
    json: Json = False,
) -> None:
    """Show what each block, memory, channel and dimension of a checkpoint stands for."""
    if (of is not None or word is not None) and picture is None:
        raise ArgumentError("--of and --word say what a picture shows; give --picture FILE too")
    if (word is None) != (of is not PictureOf.memories):
        raise ArgumentError("--word goes with --of memories only, which needs one; give both, as in --word abab")
    drawn = picture is None or of is PictureOf.weights
    if block is not None and (stage is not None or html is not None or not drawn):
        raise ArgumentError("--block goes with the table or with --of weights, not with what else was asked for")
    from ..compiler.checkpoints import load
    from ..explain.text import explanation, tables

    checkpoint = load(directory)
    shown: dict[str, object] = {}
    if stage is not None:
        with status("compiling again"):
            text = _said(checkpoint, _stage(checkpoint, stage.value), stage is Stage.plan)
        shown |= {"stage": stage.value, "text": text}
    if picture is not None:
        from ..certify.scores import score_ranges
        from ..explain.pictures import draw_memories, draw_weights
        from ..explain.scores_picture import draw_scores

        quiet_transformers()
        with status("drawing"):
            if of is PictureOf.weights:
                draw_weights(checkpoint, block or 0, picture)
            elif of is PictureOf.scores:
                ranges = score_ranges(checkpoint)
                draw_scores(ranges, picture)
                shown["scores"] = [known.as_json() for known in ranges]
            elif word is not None:
                draw_memories(checkpoint, parse_word(word, checkpoint.language.alphabet), picture)
            else:
                draw_cascade(_stage(checkpoint, "cascade"), picture)
        shown["picture"] = str(picture)
    if html is not None:
        from ..explain.page import write_page

        with status("writing the page"):
            shown["html"] = str(write_page(checkpoint, html))
    if not shown:
        facts = explanation(checkpoint)
        if block is not None:
            facts |= {"blocks": [_block(facts["blocks"], block)]}
        if json:
            show_json(facts)
        else:
            console().print(*tables(facts, blocks_only=block is not None), sep="\n")
    elif json:
        show_json(shown)
    else:
        if stage is not None:
            say(text)
        for what, path in (("picture", picture), ("page", html)):
            if path is not None:
                note(f"{what} written to {path}")


def _block(blocks: Sequence[Any], number: int) -> Any:
    if number >= len(blocks):
        known = f"from 0 to {len(blocks) - 1}" if blocks else "not at all: its one Mamba block is empty"
        raise ArgumentError(f"there is no block {number}; the checkpoint's blocks are numbered {known}")
    return blocks[number]


def _said(checkpoint: Checkpoint, found: Any, is_plan: bool) -> str:
    """A stage as text; a plan, and what counts in the place of one, as an argument."""
    language = checkpoint.language
    if isinstance(found, Plan) and isinstance(language, PastLtl):
        return past_argument(found, language.quotient.dfa)
    if isinstance(found, Plan):
        return argument(found, quotient(as_automaton(language)).dfa)
    if is_plan and isinstance(language, Dfa):
        return counting_argument(found, language)
    return str(found)


def _stage(checkpoint: Checkpoint, name: str) -> Any:
    """A stage by its name, from the checkpoint's language compiled again: a checkpoint does not keep them.

    Raises:
        ArgumentError: this way of compiling has no such stage.
    """
    compiled = _recompiled(checkpoint)
    machine = name == Stage.dfa and isinstance(checkpoint.language, Moore)
    found = checkpoint.language if machine else getattr(compiled, name, None)
    if name == Stage.plan and compiled.manifest.kind == "walk":
        return compiled.circuit
    if name == Stage.plan and checkpoint.manifest.kind == "cascade" and found is None:
        raise ArgumentError("this checkpoint was compiled by its cascade; compile --construction plan, or walk")
    if found is None:
        known = ", ".join(stage for stage in Stage if getattr(compiled, stage, None) is not None)
        raise ArgumentError(f"this construction has no stage {name}; it has {known}")
    return found


def _recompiled(checkpoint: Checkpoint) -> CompiledModel:
    """The checkpoint's language compiled again.

    Says so on standard error if the result differs from the checkpoint (another version wrote it).

    Raises:
        CheckpointError: ``config.json`` cannot be read.
        ScancraftError: the language cannot be compiled.
    """
    if checkpoint.manifest.kind == "trained":
        raise ArgumentError("this model was trained, not compiled, so there are no stages to show")
    path = checkpoint.directory / "config.json"
    language, manifest = checkpoint.language, checkpoint.manifest
    contract = "recognise" if isinstance(language, PastLtl) else checkpoint.readout.contract
    compiled: CompiledModel
    try:
        config = json_module.loads(path.read_text(encoding="utf-8"))
        d_state, d_conv = int(config.get("state_size", 1)), int(config.get("conv_kernel", 0))
        d_conv = d_conv or int(config["linear_conv_kernel_dim"])
        if manifest.kind == "flip-flop":
            compiled = flip_flop(contract=checkpoint.readout.contract, d_conv=d_conv, target=manifest.target)
            if compiled.language != language:
                raise CheckpointError(f"{checkpoint.directory} is of no language that has a construction of its own")
        else:
            kind = manifest.kind
            again = kind in get_args(Regular) and (kind != "plan" or contract != "recognise")
            compiled = compile(
                language,
                d_state=d_state,
                d_conv=d_conv,
                contract=contract,
                target=manifest.target,
                optimise=manifest.optimise,
                construction=cast(Regular, kind) if again else None,
            )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is not the configuration that scancraft writes ({error})") from None
    if compiled.manifest.tokens != manifest.tokens and set(compiled.manifest.tokens) == set(manifest.tokens):
        compiled = renumbered(compiled, manifest.tokens)  # a tokenizer's ids
    if replace(compiled.manifest, alternatives=(), source=None) != replace(manifest, alternatives=(), source=None):
        note("scancraft: this version compiles the language otherwise than the checkpoint was; its own stages follow")
    return compiled
