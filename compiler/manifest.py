"""The manifest: what a checkpoint means, for machines and for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..automata.alphabet import BOS, EOS, PAD
from ..automata.dfa import Dfa
from ..automata.formats import to_json_dict
from ..models.mamba import MambaWeights
from .cascade import Cascade
from .circuit import Circuit, show
from .layout import channels_of, stream_for, stream_labels
from .lower import A_LOG, CONSTANT_EXPONENT, LOGIT, T, V
from .lower_circuit import A_LOG_COUNT, DELTA_RESET, circuit_stream
from .program import Block, Program
from .tokens import token_ids

SCHEMA_VERSION = 1
CONTRACT = "all-words"


def circuit_manifest(circuit: Circuit, language: Mapping[str, Any], weights: MambaWeights) -> dict[str, Any]:
    """The manifest of one of the paper's own constructions; the keys are those of :func:`build_manifest`.

    ``levels`` is empty. ``counters`` lists the counters: name, place (block, channel, entry of d_state), and by dtype
    the largest absolute value up to which the model is exact. ``memories`` and ``state_entries`` say how much is
    remembered: different memories, entries of the SSM state that hold them (copies for the gates counted), and all
    there are.

    Args:
        circuit: the construction.
        language: what stands under ``language``.
        weights: the circuit's weights.
    """
    stream = circuit_stream(circuit)
    first = circuit.n_blocks - len(circuit.blocks)
    controls = () if circuit.control is None else circuit.control.blocks
    names = ["constant"] * stream.n_constants + list(circuit.features)
    return {
        "schema_version": SCHEMA_VERSION,
        "contract": circuit.contract,
        "construction": circuit.construction,
        "language": dict(language),
        "tokens": token_ids(circuit.alphabet),
        "special_tokens": {"bos": BOS, "eos": EOS, "pad": PAD},
        "shape": _shape(weights),
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
            "T": T,
            "A_log": A_LOG,
            "A_log of counters": A_LOG_COUNT,
            "Delta at <bos> of counters": DELTA_RESET,
            "logit": LOGIT,
            "constant": 2.0**CONSTANT_EXPONENT,
        },
    }


def _state_entries(levels: Sequence[Block], circuit: Circuit | None, weights: MambaWeights) -> dict[str, int]:
    """Entries of the SSM state that hold a memory (copies for the gates counted), and all there are."""
    used = sum(c.role == "memory" for b in levels for c in channels_of(b))
    if circuit is not None:
        used += sum(c.memory is not None for b in circuit.blocks for c in b.channels)
    shape = weights.shape
    return {"used": used, "allocated": shape.n_layers * shape.d_inner * shape.d_state}


def _shape(weights: MambaWeights) -> dict[str, int]:
    return {
        "d_model": weights.shape.d_model,
        "d_inner": weights.shape.d_inner,
        "num_hidden_layers": weights.shape.n_layers,
        "parameters": weights.n_parameters,
        "nonzero": weights.n_nonzero,
    }


def _channels(block: Block) -> list[dict[str, Any]]:
    return [{"index": c.index, "role": c.role, "meaning": c.meaning} for c in channels_of(block)]


def _construction(program: Program) -> str:
    if any(block.swaps for block in program.blocks):
        return "holonomy cascade with swaps, one block per level, gates in {-1, 0, 1} (docs/signed.md)"
    return "holonomy cascade, one block per level (Sarrof, Veitsman, Hahn 2024, theorem 4)"


def build_manifest(cascade: Cascade, program: Program, weights: MambaWeights, reason: str) -> dict[str, Any]:
    """Everything but the weights. Deterministic: equal input gives an equal manifest.

    Args:
        cascade: the language's cascade.
        program: its blocks.
        weights: what they were lowered to.
        reason: why the language needs these gates (``automata.classification``).

    Keys: ``schema_version``; ``contract`` ("all-words": every prefix of every word, dead ones included);
    ``construction``; ``gates`` (``class``: "nonnegative", or "signed" if the model is a ``signed_mamba``; ``reason``);
    ``language`` (its ``dfa``, in the JSON format that scancraft reads); ``tokens`` (from symbol to id, with ``<bos>``,
    ``<eos>``, ``<pad>``); ``blocks`` (what each block computes); ``levels`` (image sets and tiles, top first);
    ``labels`` (the meaning of each dimension of the residual stream and of each channel of each block);
    ``state_entries`` (of the SSM state: used, and allocated); ``constants`` (the dyadic numbers that the weights are
    made of).
    """
    stream = stream_for(program)
    dfa = program.dfa
    assert isinstance(dfa, Dfa), "only languages have a manifest"
    parts, names = cascade.parts, program.dfa.names
    return {
        "schema_version": SCHEMA_VERSION,
        "contract": CONTRACT,
        "construction": _construction(program),
        "gates": {"class": "signed" if weights.shape.signed else "nonnegative", "reason": reason},
        "language": {
            "dfa": to_json_dict(dfa),
            "states": dfa.n_states,
            "class": "not star-free, only 2-groups" if weights.shape.signed else "star-free",
        },
        "tokens": token_ids(program.dfa.alphabet),
        "special_tokens": {"bos": BOS, "eos": EOS, "pad": PAD},
        "shape": _shape(weights),
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
            for index, block in enumerate(program.blocks)
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
                    "channels": _channels(block),
                }
                for block in program.blocks
            ],
            "readout": {str(s): names[q] for s, q in program.readout.items()},
        },
        "state_entries": _state_entries(program.blocks, None, weights),
        "constants": {
            "T": T,
            "V": V,
            "A_log": A_LOG,
            "logit": LOGIT,
            "constant": 2.0**CONSTANT_EXPONENT,
        },
    }
