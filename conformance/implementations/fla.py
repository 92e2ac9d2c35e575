"""``fla``'s naive references of the gated delta rule, in the place of those in ``transformers``' models."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...models.exports.extra import extra
from .base import Implementation
from .transformers import HYBRIDS, SUPPORTED, _Hybrid

EPSILON = 1e-6
"""Of lengths, as in ``fla.modules.l2norm``."""


def _load(directory: Path, *, chunked: bool) -> _Hybrid:
    naive = extra("fla.ops.gated_delta_rule.naive", "flash-linear-attention", "fla")
    step = partial(_called, naive.naive_recurrent_gated_delta_rule)
    return _Hybrid(directory, partial(_called, naive.naive_chunk_gated_delta_rule) if chunked else step, step)


def _called(function: Any, query: Tensor, key: Tensor, value: Tensor, **rest: Any) -> Any:
    """Call a reference with heads repeated and lengths of one, which it expects."""
    each = value.shape[2] // key.shape[2]
    q, k = (_unit(x).repeat_interleave(each, dim=2) for x in (query, key))
    names = ("g", "beta", "initial_state", "output_final_state")
    return function(q, k, value, **{name: rest[name] for name in names})


def _unit(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.pow(2).sum(-1, keepdim=True) + EPSILON)


IMPLEMENTATIONS = tuple(
    Implementation(
        f"fla-naive{way}-{kind.replace('_', '-')}",
        partial(_load, chunked=bool(way)),
        kind,
        SUPPORTED,
        note="fla's references of the recurrence alone; all else is transformers'",
    )
    for kind in HYBRIDS
    for way in ("", "-chunk")
)
