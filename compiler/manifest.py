"""The manifest: what a checkpoint means, for machines and for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..automata.alphabet import BOS, EOS, PAD
from ..automata.dfa import Dfa
from ..automata.formats.formats import to_json_dict
from ..models.weights import ModelWeights
from .cascade.cascade import Cascade
from .circuits.circuit import Circuit, show
from .circuits.program import Program
from .targets.base import BlockMeaning, Counting, Target
from .targets.layout import channels_of, constants_of
from .targets.lower import CONSTANT_EXPONENT, LOGIT
from .targets.tokens import token_ids

SCHEMA_VERSION = 1
CONTRACT = "all-words"


def circuit_manifest(
    circuit: Circuit, language: Mapping[str, Any], weights: ModelWeights, target: Target
) -> dict[str, Any]:
    """The manifest of one of the paper's own constructions; the keys are those of :func:`build_manifest`.

    ``levels`` is empty. ``counters`` lists the counters: name, place (block, channel, entry of d_state), and by dtype
    the largest absolute value up to which the model is exact; where counters are made of several states, each of these
    with its ``unit`` and the counters it is part of (``of``). ``memories`` and ``state_entries`` say how much is
    remembered: different memories, entries of the SSM state that hold them (copies for the gates counted), and all
    there are.

    Args:
        circuit: the construction.
        language: what stands under ``language``.
        weights: the circuit's weights.
        target: what it was lowered to.
    """
    meaning = target.circuit_meaning(circuit)
    d_model = weights.shape.d_model
    names = ["constant"] * constants_of(d_model) + list(meaning.features)
    return {
        "schema_version": SCHEMA_VERSION,
        "target": target.name,
        "contract": circuit.contract,
        "construction": circuit.construction,
        "language": dict(language),
        "tokens": token_ids(circuit.alphabet),
        "special_tokens": {"bos": BOS, "eos": EOS, "pad": PAD},
        "shape": weights.sizes(),
        "blocks": [
            {"index": i, "title": title, **_conditions(meaning.conditions.get(i, ()))}
            for i, (title, _) in enumerate(meaning.blocks)
        ],
        "levels": [],
        "labels": {
            "residual": names + ["unused"] * (d_model - len(names)),
            "blocks": [
                {"channels": [{"index": n, "role": role, "meaning": text} for n, role, text in channels]}
                for _, channels in meaning.blocks
            ],
            "verdicts": {token: show(form) for token, form in circuit.verdicts.items()},
        },
        "counters": [_counting(entry) for entry in meaning.counters],
        "memories": meaning.memories,
        "state_entries": _state_entries(meaning.entries, weights),
        "constants": {
            **target.circuit_constants,
            "logit": LOGIT,
            "constant": 2.0**CONSTANT_EXPONENT,
        },
    }


def _state_entries(used: int, weights: ModelWeights) -> dict[str, int]:
    """Entries of the SSM state that hold a memory (copies for the gates counted), and all there are."""
    shape = weights.shape
    return {"used": used, "allocated": shape.n_layers * shape.d_inner * shape.d_state}


def _counting(entry: Counting) -> dict[str, Any]:
    return {
        "name": entry.name,
        "block": entry.block,
        "channel": entry.channel,
        "state": entry.state,
        "limits": dict(entry.limits),
        **({"unit": entry.unit, "of": list(entry.of)} if entry.of else {}),
    }


def _conditions(conditions: Sequence[tuple[int, str]]) -> dict[str, Any]:
    return {"conditions": [{"label": v, "when": text} for v, text in conditions]} if conditions else {}


def _numbered(names: Mapping[int, str]) -> dict[str, str]:
    return {str(number): name for number, name in names.items()}


def _indicators(meaning: BlockMeaning) -> dict[str, dict[str, str]]:
    """What the indicators mean before and after a block that writes or reads some."""
    when = "indicators_after" if meaning.finds_only else "indicators_before"
    return {when: _numbered(meaning.indicators)} if meaning.indicators else {}


def _memories(program: Program) -> int:
    return sum(c.role == "memory" for block in program.blocks for c in channels_of(block))


def _construction(program: Program, target: Target) -> str:
    if any(block.swaps for block in program.blocks):
        return "holonomy cascade with swaps, one block per level, gates in {-1, 0, 1} (docs/signed.md)"
    count = "one block" if target.blocks_per_level == 1 else f"at most {target.blocks_per_level} blocks"
    return f"holonomy cascade, {count} per level (Sarrof, Veitsman, Hahn 2024, theorem 4)"


def build_manifest(
    cascade: Cascade, program: Program, weights: ModelWeights, reason: str, target: Target
) -> dict[str, Any]:
    """Everything but the weights. Deterministic: equal input gives an equal manifest.

    Args:
        cascade: the language's cascade.
        program: its blocks.
        weights: what they were lowered to.
        reason: why the language needs these gates (``automata.classification``).
        target: what it was lowered to.

    Keys: ``schema_version``; ``target`` (its name); ``contract`` ("all-words": every prefix of every word, dead ones
    included); ``construction``; ``gates`` (``class``: "nonnegative" or "signed", those of the target; ``reason``);
    ``language`` (its ``dfa``, in the JSON format that scancraft reads); ``tokens`` (from symbol to id, with ``<bos>``,
    ``<eos>``, ``<pad>``); ``blocks`` (what each block computes; ``part`` is "conditions" in the
    first of a level's two blocks, which only finds them); ``levels`` (image sets and tiles, top first);
    ``labels`` (the meaning of each dimension of the residual stream and of each channel of each block; what slots and
    indicators stand for before and after each block);
    ``state_entries`` (of the SSM state: used, and allocated); ``constants`` (the dyadic numbers that the weights are
    made of).
    """
    swaps = any(block.swaps for block in program.blocks)
    dfa, meanings = program.dfa, [(m, program.blocks[m.level]) for m in target.meanings(program)]
    assert isinstance(dfa, Dfa), "only languages have a manifest"
    parts, names = cascade.parts, program.dfa.names
    return {
        "schema_version": SCHEMA_VERSION,
        "target": target.name,
        "contract": CONTRACT,
        "construction": _construction(program, target),
        "gates": {"class": target.gates, "reason": reason},
        "language": {
            "dfa": to_json_dict(dfa),
            "states": dfa.n_states,
            "class": "not star-free, only 2-groups" if swaps else "star-free",
        },
        "tokens": token_ids(program.dfa.alphabet),
        "special_tokens": {"bos": BOS, "eos": EOS, "pad": PAD},
        "shape": weights.sizes(),
        "blocks": [
            {
                "index": index,
                "level": block.height,
                **({"part": "conditions"} if meaning.finds_only else {}),
                "conditions": [{"label": c.label, "when": c.meaning} for c in block.conditions],
                **({"swaps": [{"when": c.meaning} for c in block.swaps]} if block.swaps else {}),
                "moves": [
                    {"label": m.label, "from_slot": m.source, "to_slot": m.target, "meaning": m.meaning}
                    for m in (() if meaning.finds_only else block.moves)
                ],
            }
            for index, (meaning, block) in enumerate(meanings)
        ],
        "levels": [
            {
                "height": height,
                "sets": [
                    {
                        "states": [names[q] for q in parts.members(p)],
                        "tiles": [[names[q] for q in parts.members(t)] for t in parts.tiles[p]],
                    }
                    for p, h in enumerate(parts.height)
                    if h == height
                ],
            }
            for height in range(cascade.height, 0, -1)
        ],
        "labels": {
            "residual": target.features(program),
            "blocks": [
                {
                    "slots_before": _numbered(block.slots_in),
                    "slots_after": _numbered(block.slots_in if meaning.finds_only else block.slots_out),
                    **_indicators(meaning),
                    "channels": [{"index": n, "role": role, "meaning": text} for n, role, text in meaning.channels],
                }
                for meaning, block in meanings
            ],
            "readout": {str(s): names[q] for s, q in program.readout.items()},
        },
        "state_entries": _state_entries(_memories(program), weights),
        "constants": {
            **target.constants,
            "logit": LOGIT,
            "constant": 2.0**CONSTANT_EXPONENT,
        },
    }
