"""Probes and compiled languages as weights of Qwen3-Next and Qwen3.5, whose beta goes to 1."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from ....models.olmo_hybrid import OLMO_HYBRID, OlmoHybridShape
from ....models.qwen3 import Qwen3Shape, dressed
from ....models.weights import ModelWeights
from ...case import Case
from .. import delta_library as library
from ..probe import Program
from . import delta_net
from .delta_cases import common, halved, random_posed
from .delta_levels import levels
from .kind import Kind, Lowered

LIMIT = 1


def kind_of(shape: type[Qwen3Shape]) -> Kind:
    """The kind of block with these shapes."""
    return Kind(
        partial(_lower, shape=shape),
        own=partial(_cases, shape=shape),
        shared=False,
        target=OLMO_HYBRID,
        dress=partial(_dressed_language, shape=shape),
    )


def _lower(probe: Program, shape: type[Qwen3Shape]) -> Lowered:
    """The probe as weights of such a model."""
    return _dressed(delta_net.lower(probe, LIMIT), shape)


def _dressed(lowered: Lowered, shape: type[Qwen3Shape]) -> Lowered:
    return replace(lowered, weights=dressed(lowered.weights, shape))


def _cases(quick: bool, shape: type[Qwen3Shape]) -> tuple[Case, ...]:
    """All that such models are tried on."""
    posed = [
        *common(quick),
        halved(),
        random_posed("grouped", "heads of values that share keys and queries", library.grouped(), 4, 40),
    ]
    found = (one.case(partial(_lower, shape=shape)) for one in posed)
    return (*found, *levels(LIMIT, partial(_dressed, shape=shape)))


def _dressed_language(weights: ModelWeights, shape: type[Qwen3Shape]) -> ModelWeights:
    """A language compiled to OLMo Hybrid without reflections, so that beta is 0 or half of its limit, and here 0 or 1.

    b is T (w - 1) there and T (2 w - 1) here: twice the row, and that of a constant T, which every query has.
    """
    old = weights.shape
    assert isinstance(old, OlmoHybridShape)
    tensors = dict(weights.tensors)
    for layer in range(old.n_layers - 1):
        prefix = f"{old.layers}{layer}.linear_attn."
        query = tensors[f"{prefix}q_proj.weight"].reshape(old.heads, old.d_state, -1)
        constant = query[np.arange(old.heads), np.abs(query).sum(axis=2).argmax(axis=1)]
        tensors[f"{prefix}b_proj.weight"] = 2 * tensors[f"{prefix}b_proj.weight"] + constant
    return dressed(ModelWeights(old, tensors), shape)
