"""The manifest: what a checkpoint means, for machines and for people."""

from __future__ import annotations

from typing import Any

from ..automata.alphabet import BOS, EOS, PAD
from ..automata.formats import to_json_dict
from ..models.mamba import MambaWeights
from .cascade import Cascade
from .layout import channels_of, stream_for, stream_labels
from .lower import A_LOG, CONSTANT_EXPONENT, LOGIT, T, V
from .program import Program
from .tokens import token_ids

SCHEMA_VERSION = 1
CONTRACT = "all-words"


def build_manifest(cascade: Cascade, program: Program, weights: MambaWeights) -> dict[str, Any]:
    """Everything but the weights. Deterministic: equal input gives an equal manifest.

    Keys: ``schema_version``; ``contract`` ("all-words": every prefix of every word, dead ones included);
    ``construction``; ``language`` (its ``dfa``, in the JSON format that scancraft reads); ``tokens`` (from symbol to
    id, with ``<bos>``, ``<eos>``, ``<pad>``); ``blocks`` (what each block computes); ``levels`` (image sets and tiles,
    top first); ``labels`` (the meaning of each dimension of the residual stream and of each channel of each block);
    ``constants`` (the dyadic numbers that the weights are made of).
    """
    stream = stream_for(program)
    parts, names = cascade.parts, program.dfa.names
    return {
        "schema_version": SCHEMA_VERSION,
        "contract": CONTRACT,
        "construction": "holonomy cascade, one block per level (Sarrof, Veitsman, Hahn 2024, theorem 4)",
        "language": {"dfa": to_json_dict(program.dfa), "states": program.dfa.n_states, "class": "star-free"},
        "tokens": token_ids(program.dfa.alphabet),
        "special_tokens": {"bos": BOS, "eos": EOS, "pad": PAD},
        "shape": {
            "d_model": weights.shape.d_model,
            "d_inner": weights.shape.d_inner,
            "num_hidden_layers": weights.shape.n_layers,
            "parameters": weights.n_parameters,
            "nonzero": weights.n_nonzero,
        },
        "blocks": [
            {
                "index": index,
                "level": block.height,
                "conditions": [{"label": c.label, "when": c.meaning} for c in block.conditions],
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
                    "channels": [{"index": c.index, "role": c.role, "meaning": c.meaning} for c in channels_of(block)],
                }
                for block in program.blocks
            ],
            "readout": {str(s): names[q] for s, q in program.readout.items()},
        },
        "constants": {
            "T": T,
            "V": V,
            "A_log": A_LOG,
            "logit": LOGIT,
            "constant": 2.0**CONSTANT_EXPONENT,
        },
    }
