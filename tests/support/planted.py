"""Compiled models with one fault, of which it is known by hand where it shows."""

from __future__ import annotations

import math
from typing import Any

import torch

import scancraft
from scancraft.compiler.compiled import CompiledModel

LATCH = "(a|b)*a(a|b)*"
A_LOG = 3.0
BOS_VALUE, SET_VALUE, READ_AT = 1024.0, 2048.0, 1536.0
"""What the latch of that language holds after <bos> and after a, in units of what it writes; it is read in between."""


def latch() -> CompiledModel:
    """Whether there was an a, remembered with a gate of exactly 1 on every b."""
    return scancraft.compile(LATCH)


def without_a() -> CompiledModel:
    """Whether there was no a: the same latch, but what follows an a is dead."""
    return scancraft.compile(scancraft.as_dfa(scancraft.none_of([LATCH])))


def leaking(gate: float, compiled: CompiledModel | None = None) -> Any:
    """The same with this gate on every b, by the embedding of b alone: softplus(beta) exp(A_log) = -log(gate)."""
    compiled = compiled or latch()
    model = compiled.model().eval()
    mixer = model.backbone.layers[0].mixer
    beta = math.log(math.expm1(-math.log(gate) / math.exp(A_LOG)))
    embedding = model.backbone.embeddings.weight
    with torch.no_grad():
        feeds = (
            mixer.in_proj.weight[1] != 0
        )  # what <bos> shows to the step size, of which it is BOS_VALUE more than -1024
        share = (BOS_VALUE + beta) / (2 * BOS_VALUE)
        embedding[compiled.readout.tokens["b"], feeds] += share * embedding[1, feeds]
    return model


def first_failure(gate: float) -> int:
    """The least n at which the leaking latch has forgotten the a of a b^n.

    On b it goes towards what it writes by the gate's own step size: 1 / exp(A_log) of these units.
    """
    rest = math.exp(-A_LOG)
    return math.ceil(math.log((SET_VALUE - rest) / (READ_AT - rest)) / -math.log(gate))
