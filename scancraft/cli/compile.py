"""``scancraft compile`` and ``scancraft targets``: a language to a checkpoint, and the kinds of models there are."""

from __future__ import annotations

import time
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from msgspec.structs import asdict

from ..automata.bounded_dyck import BoundedDyck
from ..automata.budget import Budget
from ..automata.copying.language import Copying
from ..automata.dfa import Dfa
from ..automata.families import flip_flop as flip_flop_dfa
from ..automata.languages import Language, Recognised
from ..automata.moore import Moore
from ..automata.nested.language import NestedLanguage
from ..compiler.compile import compile as compile_language
from ..compiler.compiled import Compiled, CompiledModel, Constructed
from ..compiler.constructions import flip_flop
from ..compiler.targets import TARGETS
from ..models.mamba import SIGNED_MAMBA
from ..models.olmo_hybrid import OLMO_HYBRID
from .check import EXIT_CODES, prove
from .io import ArgumentError, console, say, show_json, status
from .languages import LanguageOptions, about, budget_of
from .options import ContractName, Items, Json, ModelDtype, ModelShape, PadVocabulary, PadWidth, Parameters, Seconds


class GatesName(StrEnum):
    """The strongest gates that a compiled model may use."""

    nonnegative = "nonnegative"
    signed = "signed"
    reflections = "reflections"


class OptimiseName(StrEnum):
    """What matters first in the choice between the cascade and plans."""

    depth = "depth"
    size = "size"


class ConstructionName(StrEnum):
    """How a regular language is compiled."""

    cascade = "cascade"
    plan = "plan"
    walk = "walk"
    pattern = "pattern"
    finite = "finite"
    side_by_side = "side-by-side"


@about
def compile(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where to write the checkpoint.")],
    language: LanguageOptions,
    contract: Annotated[
        ContractName | None,
        typer.Option(
            help="Right on all words, or on those that can still be completed; of a formula or a combination (& or ~ "
            "on top) also: recognise, only the end of the word."
        ),
    ] = None,
    general: Annotated[
        bool, typer.Option("--general", help="Use the general compiler where the paper has its own construction.")
    ] = False,
    budget: Items = None,
    seconds: Seconds = None,
    parameters: Parameters = None,
    d_state: Annotated[int, typer.Option(metavar="N", min=1, max=4096, help="States per channel; one is enough.")] = 1,
    d_conv: Annotated[
        int | None, typer.Option(metavar="N", min=2, max=4, help="Convolution taps; by default as few as it takes.")
    ] = None,
    optimise: Annotated[
        OptimiseName | None,
        typer.Option("--optimise", help="Fewest blocks, or fewest parameters (default) and then fewest blocks."),
    ] = None,
    construction: Annotated[
        ConstructionName | None,
        typer.Option(
            "--construction", help="Insist on the cascade, a plan, a walk (counters), or (& or ~ on top) side-by-side."
        ),
    ] = None,
    gates: Annotated[
        GatesName, typer.Option("--gates", help="The strongest gates allowed; nonnegative: a real Mamba or none.")
    ] = GatesName.reflections,
    target: Annotated[
        str | None, typer.Option("--target", metavar="NAME", help="The kind of model (see scancraft targets).")
    ] = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            "--tokenizer",
            metavar="DIR",
            help="Read the language, over characters, by the tokens of this tokenizer.json (or the directory of one).",
        ),
    ] = None,
    dtype: Annotated[
        ModelDtype, typer.Option("--dtype", help="A format in which it must be exact; float16 has its own constants.")
    ] = ModelDtype.float32,
    shape: Annotated[
        ModelShape,
        typer.Option("--shape", help="standard: padded, exactly, to what runtimes have built in."),
    ] = ModelShape.smallest,
    vocabulary: PadVocabulary = 8,
    width: PadWidth = 8,
    certify: Annotated[bool, typer.Option("--certify", help="Prove the result, and keep the certificate.")] = False,
    json: Json = False,
) -> None:
    """Compile a language to a Mamba checkpoint that transformers and mamba_ssm load.

    A star-free language (theorem 4 of the paper), a bounded Dyck language (theorem 6), or a counter language (theorem
    5; FILE.json with counters). The flip-flop language, by name, has a construction of its own too (theorem 1). A
    regular language that is not star-free (PARITY) becomes an OLMo Hybrid, which transformers loads too; if it has
    only 2-groups, --target signed_mamba makes a Mamba with signed gates of it, which scancraft itself loads.
    """
    limits = budget_of(budget, seconds)
    if parameters is not None:
        limits = replace(limits, parameters=parameters)
    with status("compiling"):
        wanted = language.read(limits)
        chosen, own_flip_flop = _way(wanted, language.name is not None, general, limits, d_state)
        promised: Any = None if contract is None else contract.value
        started = time.perf_counter()
        compiled: CompiledModel
        if own_flip_flop and tokenizer is None:
            compiled = flip_flop(contract=promised or "all-words", d_conv=d_conv or 2, target=target, dtype=dtype)
        else:
            compiled = compile_language(
                chosen,
                budget=limits,
                d_state=d_state,
                d_conv=d_conv,
                contract=promised,
                gates=gates.value,
                target=target,
                dtype=dtype,
                optimise=None if optimise is None else optimise.value,
                construction=None if construction is None else construction.value,
                tokenizer=tokenizer,
                shape=shape.value,
            )
        if shape is ModelShape.standard:
            compiled = compiled.standard(vocabulary=vocabulary, width=width)
        elapsed = time.perf_counter() - started  # without writing, which imports torch
        compiled.named(wanted.source).save(out)
    verdict = None
    if certify:
        from ..certify.certify import CERTIFY_BUDGET  # imports torch

        left = CERTIFY_BUDGET if seconds is None else replace(limits, items=CERTIFY_BUDGET.items)
        verdict = prove(out, budget=left)
    facts = {**_facts(compiled), "seconds": round(elapsed, 3)}
    if json:
        found = {} if verdict is None else verdict.as_json()
        proof = {key: found[key] for key in ("verdict", "scope", "margin", "word") if found}
        show_json({"directory": str(out), **facts, **proof} | ({"certificate": found} if found else {}))
    else:
        from ..explain.text import facts_table

        reason = facts.pop("reason", None)
        if isinstance(alternatives := facts.pop("alternatives", None), list) and len(alternatives) > 1:
            facts["alternatives"] = "; ".join(
                f"{size['construction']} of {size['blocks']} with {size['parameters']:,} parameters"
                for size in alternatives
            )
        if isinstance(exact := facts.get("exact_to"), dict):
            facts["exact_to"] = ", ".join(f"{name} {limit:,}" for name, limit in exact.items())
        console().print(facts_table(facts))
        if compiled.manifest.target == SIGNED_MAMBA:
            say(f"a signed Mamba, which scancraft.load(...).model() builds: {reason}")
        elif compiled.manifest.target == OLMO_HYBRID and target is None:
            say(f"an OLMo Hybrid, which transformers has: {reason}")
        say(f"written to {out}")
        if verdict is not None:
            say(str(verdict))
    if verdict is not None:
        raise typer.Exit(EXIT_CODES[verdict.verdict])


def _way(language: Language, named: bool, general: bool, budget: Budget, d_state: int) -> tuple[Language, bool]:
    """The language to compile, and whether by the flip-flop language's own construction.

    The paper's own construction is used where it has one, unless the general compiler is asked for. The flip-flop
    language gets its own only if it was named, so that a DFA always goes the same way.

    Raises:
        ArgumentError: ``d_state`` where a construction decides it, or the general compiler for counters.
    """
    if general and isinstance(language, (BoundedDyck, Copying, Recognised, NestedLanguage)):
        language = language.dfa(budget)
    elif general and not isinstance(language, (Dfa, Moore)):
        raise ArgumentError("--general compiles star-free languages; counters have one construction only")
    own_flip_flop = not general and named and language == flip_flop_dfa()
    if d_state != 1 and (own_flip_flop or not isinstance(language, (Dfa, Recognised, Moore))):
        raise ArgumentError("--d-state goes with the general compiler; this construction decides it itself")
    return language, own_flip_flop


def _facts(compiled: CompiledModel) -> dict[str, object]:
    """What the command prints."""
    shape = compiled.weights.shape
    facts: dict[str, object] = {}
    if isinstance(compiled, Compiled):
        facts |= {
            "gates": compiled.classification.gates.value,
            "reason": compiled.classification.reason,
            "states": compiled.language.n_states,
            **({"classes": len(compiled.manifest.outputs)} if compiled.manifest.outputs else {}),
        }
        if compiled.decomposed is not None:
            cascade = compiled.decomposed.cascade
            facts |= {"image_sets": len(cascade.parts.sets), "height": cascade.height}
        if compiled.plan is not None:
            facts["plan"] = f"{len(compiled.plan.memories)} memories in {len(compiled.plan.blocks)} blocks"
        facts["alternatives"] = [asdict(size) for size in compiled.manifest.alternatives]
    elif isinstance(compiled, Constructed):
        facts |= {
            "construction": compiled.circuit.construction,
            "contract": compiled.circuit.contract,
            "memories": compiled.manifest.memories,
        }
        if isinstance(compiled.language, (BoundedDyck, Copying)):
            facts["lower_bound_bits"] = round(compiled.language.lower_bound, 3)
        if limits := {c.name: c.limits["float32"] for c in compiled.manifest.counters}:
            facts["exact_to"] = limits
    facts |= {
        "target": compiled.manifest.target,
        "blocks": shape.n_layers,
        "d_model": shape.d_model,
        "d_inner": shape.d_inner,
        "d_state": shape.d_state,
        "d_conv": shape.d_conv,
    }
    if isinstance(compiled, Constructed):
        entries = compiled.manifest.state_entries
        facts |= {"state_entries": entries.used, "state_entries_allocated": entries.allocated}
    return facts | {"parameters": compiled.weights.n_parameters, "nonzero": compiled.weights.n_nonzero}


def targets(json: Json = False) -> None:
    """List the kinds of models that languages are compiled to, for ``compile --target``."""
    from rich.table import Table

    if json:
        show_json([target.as_json() for target in TARGETS.values()])
        return
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("target", "model type", "gates", "dtypes", "blocks per level", "d_conv", "circuits"):
        table.add_column(name, overflow="fold")
    for target in TARGETS.values():
        table.add_row(
            target.name,
            target.model_type,
            target.gates,
            " ".join(target.dtypes),
            str(target.blocks_per_level),
            " ".join(map(str, target.d_conv)),
            "yes" if target.circuits else "no",
        )
    console().print(table)
    say("circuits: the paper's own constructions (flip-flop, bounded Dyck, counters)")
