"""The manifest: what a checkpoint means, for machines and for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..automata.alphabet import BOS, EOS, PAD
from ..automata.dfa import Dfa
from ..automata.formats import to_json_dict
from ..models.weights import ModelWeights
from .cascade import Cascade
from .circuit import Circuit, show
from .layout import channels_of, stream_for, stream_labels
from .lower import CONSTANT_EXPONENT, LOGIT, circuit_stream
from .program import Block, Program
from .targets.base import Target
from .tokens import token_ids

SCHEMA_VERSION = 1
CONTRACT = "all-words"


def circuit_manifest(
    circuit: Circuit, language: Mapping[str, Any], weights: ModelWeights, target: Target
) -> dict[str, Any]:
    """The manifest of one of the paper's own constructions; the keys are those of :func:`build_manifest`.

    ``levels`` is empty. ``counters`` lists the counters: name, place (block, channel, entry of d_state), and by dtype
    the largest absolute value up to which the model is exact. ``memories`` and ``state_entries`` say how much is
    remembered: different memories, entries of the SSM state that hold them (copies for the gates counted), and all
    there are.

    Args:
        circuit: the construction.
        language: what stands under ``language``.
        weights: the circuit's weights.
        target: what it was lowered to.
    """
    stream = circuit_stream(circuit)
    first = circuit.n_blocks - len(circuit.blocks)
    controls = () if circuit.control is None else circuit.control.blocks
    names = ["constant"] * stream.n_constants + list(circuit.features)
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
            *({"index": i, "title": f"control, level {b.height}"} for i, b in enumerate(controls)),
            *({"index": first + i, "title": b.title} for i, b in enumerate(circuit.blocks)),
        ],
        "levels": [],
        "labels": {
            "residual": names + ["unused"] * (stream.d_model - len(names)),
            "blocks": [
                *({"channels": _channels(b)} for b in controls),
                *(
                    {"channels": [{"index": n, "role": c.role, "meaning": c.meaning} for n, c in enumerate(b.channels)]}
                    for b in circuit.blocks
                ),
            ],
            "verdicts": {token: show(form) for token, form in circuit.verdicts.items()},
        },
        "counters": [
            {
                "name": name,
                "block": first + i,
                "channel": n,
                "state": counter.index,
                "limits": dict(circuit.limits[name]),
            }
            for i, block in enumerate(circuit.blocks)
            for n, counter in block.counters
            for name in block.channels[n].writes
            if name in circuit.limits
        ],
        "memories": circuit.memories,
        "state_entries": _state_entries(controls, circuit, weights),
        "constants": {
            **target.circuit_constants,
            "logit": LOGIT,
            "constant": 2.0**CONSTANT_EXPONENT,
        },
    }


def _state_entries(levels: Sequence[Block], circuit: Circuit | None, weights: ModelWeights) -> dict[str, int]:
    """Entries of the SSM state that hold a memory (copies for the gates counted), and all there are."""
    used = sum(c.role == "memory" for b in levels for c in channels_of(b))
    if circuit is not None:
        used += sum(c.memory is not None for b in circuit.blocks for c in b.channels)
    shape = weights.shape
    return {"used": used, "allocated": shape.n_layers * shape.d_inner * shape.d_state}


def _channels(block: Block) -> list[dict[str, Any]]:
    return [{"index": c.index, "role": c.role, "meaning": c.meaning} for c in channels_of(block)]


def _construction(program: Program) -> str:
    if any(block.swaps for block in program.blocks):
        return "holonomy cascade with swaps, one block per level, gates in {-1, 0, 1} (docs/signed.md)"
    return "holonomy cascade, one block per level (Sarrof, Veitsman, Hahn 2024, theorem 4)"


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
    ``<eos>``, ``<pad>``); ``blocks`` (what each block computes); ``levels`` (image sets and tiles, top first);
    ``labels`` (the meaning of each dimension of the residual stream and of each channel of each block);
    ``state_entries`` (of the SSM state: used, and allocated); ``constants`` (the dyadic numbers that the weights are
    made of).
    """
    stream, swaps = stream_for(program), any(block.swaps for block in program.blocks)
    dfa, meanings = program.dfa, [(m, program.blocks[m.level]) for m in target.meanings(program)]
    assert isinstance(dfa, Dfa), "only languages have a manifest"
    parts, names = cascade.parts, program.dfa.names
    return {
        "schema_version": SCHEMA_VERSION,
        "target": target.name,
        "contract": CONTRACT,
        "construction": _construction(program),
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
                "conditions": [{"label": c.label, "when": c.meaning} for c in block.conditions],
                **({"swaps": [{"when": c.meaning} for c in block.swaps]} if block.swaps else {}),
                "moves": [
                    {"label": m.label, "from_slot": m.source, "to_slot": m.target, "meaning": m.meaning}
                    for m in block.moves
                ],
            }
            for index, (_, block) in enumerate(meanings)
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
            "residual": stream_labels(stream, program),
            "blocks": [
                {
                    "slots_before": {str(s): name for s, name in block.slots_in.items()},
                    "slots_after": {str(s): name for s, name in block.slots_out.items()},
                    "channels": [{"index": n, "role": role, "meaning": text} for n, role, text in meaning.channels],
                }
                for meaning, block in meanings
            ],
            "readout": {str(s): names[q] for s, q in program.readout.items()},
        },
        "state_entries": _state_entries(program.blocks, None, weights),
        "constants": {
            **target.constants,
            "logit": LOGIT,
            "constant": 2.0**CONSTANT_EXPONENT,
        },
    }
