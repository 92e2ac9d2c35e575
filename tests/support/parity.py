"""PARITY as one signed Mamba block, written by hand: the smallest language that no Mamba models at every length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import scancraft
from scancraft.automata.dfa import Dfa
from scancraft.models.checkpoints.checkpoint import write_checkpoint
from scancraft.models.mamba import MambaShape, MambaWeights

T, V, LOGIT = 2.0**10, 2.0**6, 16.0
TOKENS = {"<pad>": 0, "<bos>": 1, "<eos>": 2, "0": 3, "1": 4}
ONE_LETTER, BOS, STATE = 1, 2, 3
"""Dimensions of the residual stream: [the letter is 1], [<bos>], and the state; dimension 0 is the constant."""


def parity_dfa() -> Dfa:
    """Words over 0 and 1 with an even number of 1s."""
    return Dfa.from_table(("0", "1"), [[0, 1], [1, 0]], 0, [0])


def parity_weights(*, d_state: int = 1, d_conv: int = 2) -> MambaWeights:
    """Channel 0 holds h = 1 if the number of 1s is even, else -1.

    ``<bos>`` overwrites it with 1; a 1 turns it over: Delta = 0, so that the gate's size is 1 and the write 0, and the
    sign's pre-activation is T - 2T = -T. Channels 1 and 2 are T on ``<bos>`` and on the letter 1, and drive Delta and
    the sign. The logit of ``<eos>`` is 16 h; both letters may always come.
    """
    shape = MambaShape(d_model=16, n_layers=1, vocab_size=8, d_state=d_state, d_conv=d_conv, dt_rank=2, signed=True)
    w = {name: np.zeros(size, dtype=np.float32) for name, size in shape.tensors().items()}
    w["backbone.embeddings.weight"][:, 0] = 2.0**40
    w["backbone.embeddings.weight"][TOKENS["1"], ONE_LETTER] = 1.0
    w["backbone.embeddings.weight"][TOKENS["<bos>"], BOS] = 1.0
    norm = np.array([2.0**-2] + [2.0**38] * 15, dtype=np.float32)
    w["backbone.norm_f.weight"], w["backbone.layers.0.norm.weight"] = norm, norm.copy()
    w["lm_head.weight"][:, 0] = -LOGIT
    w["lm_head.weight"][[TOKENS["0"], TOKENS["1"]], 0] = LOGIT
    w["lm_head.weight"][TOKENS["<eos>"], [0, STATE]] = 0.0, LOGIT
    b = {name.removeprefix("mixer."): w[f"backbone.layers.0.{name}"] for name in shape.block_tensors()}
    b["conv1d.bias"][0] = V  # x = V, a constant
    for channel, dimension in ((1, BOS), (2, ONE_LETTER)):
        b["in_proj.weight"][channel, dimension] = 1.0
        b["conv1d.weight"][channel, 0, -1] = T
    b["x_proj.weight"][0, 1] = 1.0
    b["x_proj.weight"][1, 2] = 1.0
    b["x_proj.weight"][2, 0] = 2.0**-12 / V  # B
    b["x_proj.weight"][2 + d_state, 0] = 1.0 / V  # C
    b["dt_proj.bias"][:] = -T
    b["dt_proj.weight"][0, 0] = 1.0 + V / T
    b["sign_proj.bias"][:] = T
    b["sign_proj.weight"][0, 1] = -2.0
    b["A_log"][0] = 3.0
    b["in_proj.weight"][16, 0] = T  # the gate branch is always open
    b["out_proj.weight"][STATE, 0] = 1.0 / T
    return MambaWeights(shape, w)


def manifest(dfa: Dfa) -> dict[str, Any]:
    """What ``scancraft.json`` says: as of the compiled model, whose sizes and tokens are the same."""
    return scancraft.compile(dfa).manifest.to_json() | {"construction": "by hand"}


def write_parity(place: Path, weights: MambaWeights | None = None) -> scancraft.Checkpoint:
    """A checkpoint directory, opened."""
    weights = parity_weights() if weights is None else weights
    write_checkpoint(place, weights, manifest(parity_dfa()), bos="<bos>", eos="<eos>", pad="<pad>", spaced=False)
    return scancraft.load(place)
