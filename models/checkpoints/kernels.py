"""Kernels that ``transformers`` chooses by what is installed, and that cannot run where there is no GPU."""

from __future__ import annotations

import sys
from inspect import unwrap
from typing import Any

import torch

CHUNKED, RECURRENT = "torch_chunk_gated_delta_rule", "torch_recurrent_gated_delta_rule"
"""What models with layers of Gated DeltaNet call: wrappers, which take ``fla``'s kernels if that is installed."""


def without_gpu_kernels(model: Any) -> Any:
    """The model; its module calls functions of its own from now on, if there is no GPU.

    With ``fla`` and ``triton`` installed, transformers (5.23) takes their kernels on the CPU too, where they fail.
    """
    module = sys.modules[type(model).__module__]
    for name in (CHUNKED, RECURRENT):
        if hasattr(module, name) and not torch.cuda.is_available():
            setattr(module, name, unwrap(getattr(module, name)))
    return model
