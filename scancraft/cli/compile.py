"""``scancraft compile``: which construction, and what came of it."""

from __future__ import annotations

from typing import Any

from ..automata.bounded_dyck import BoundedDyck
from ..automata.budget import Budget
from ..automata.dfa import Dfa
from ..automata.families import dyck, flip_flop
from ..automata.languages import Language
from ..compiler import compile as compiler
from ..compiler.compile import Compiled, CompiledModel
from ..compiler.constructions import Constructed
from ..compiler.constructions import flip_flop as compile_flip_flop
from .io import ArgumentError


def compile_language(
    language: Language,
    *,
    named: bool,
    contract: Any,
    general: bool,
    budget: Budget,
    d_state: int,
    d_conv: int,
    gates: Any,
    target: str | None = None,
    dtype: str = "float32",
) -> CompiledModel:
    """The paper's own construction where it has one, unless the general compiler is asked for.

    The flip-flop language gets its own only if it was named, so that a DFA always goes the same way.

    Raises:
        ArgumentError: ``d_state`` where a construction decides it, or the general compiler for counters.
        ScancraftError: the language cannot be compiled.
    """
    if general and isinstance(language, BoundedDyck):
        if language.brackets != BoundedDyck(language.kinds, language.depth).brackets:
            raise ArgumentError("--general compiles bounded Dyck languages over their usual brackets only")
        language = dyck(language.kinds, language.depth, budget)
    elif general and not isinstance(language, Dfa):
        raise ArgumentError("--general compiles star-free languages; counters have one construction only")
    own = not general and (not isinstance(language, Dfa) or (named and language == flip_flop()))
    if own and d_state != 1:
        raise ArgumentError("--d-state goes with the general compiler; this construction decides it itself")
    if own and isinstance(language, Dfa):
        return compiler.fitted(compile_flip_flop(contract=contract or "all-words", d_conv=d_conv, target=target), dtype)
    return compiler.compile(
        language,
        budget=budget,
        d_state=d_state,
        d_conv=d_conv,
        contract=contract,
        gates=gates,
        target=target,
        dtype=dtype,
    )


def facts_of(compiled: CompiledModel) -> dict[str, object]:
    """What the command prints."""
    shape = compiled.weights.shape
    facts: dict[str, object] = {}
    if isinstance(compiled, Compiled):
        facts |= {
            "gates": compiled.classification.gates.value,
            "reason": compiled.classification.reason,
            "states": compiled.dfa.n_states,
            "image_sets": len(compiled.cascade.parts.sets),
            "height": compiled.cascade.height,
        }
    elif isinstance(compiled, Constructed):
        facts |= {
            "construction": compiled.circuit.construction,
            "contract": compiled.circuit.contract,
            "memories": compiled.manifest["memories"],
        }
        if isinstance(compiled.language, BoundedDyck):
            facts["lower_bound_bits"] = round(compiled.language.lower_bound, 3)
        if limits := {c["name"]: c["limits"]["float32"] for c in compiled.manifest["counters"]}:
            facts["exact_to"] = limits
    facts |= {
        "target": compiled.manifest["target"],
        "blocks": shape.n_layers,
        "d_model": shape.d_model,
        "d_inner": shape.d_inner,
        "d_state": shape.d_state,
        "d_conv": shape.d_conv,
    }
    if isinstance(compiled, Constructed):
        entries = compiled.manifest["state_entries"]
        facts |= {"state_entries": entries["used"], "state_entries_allocated": entries["allocated"]}
    return facts | {
        "parameters": compiled.weights.n_parameters,
        "nonzero": compiled.weights.n_nonzero,
    }
