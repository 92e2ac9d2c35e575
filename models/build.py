"""Weights in memory as a running model."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .classes import model_classes
from .precision import check_precision
from .weights import ModelWeights

__all__ = ["build_model", "model_classes"]


def build_model(weights: ModelWeights, *, pad: int, bos: int, eos: int, dtype: torch.dtype = torch.float32) -> Any:
    """The model's class (``models.classes``), say a ``MambaForCausalLM``, with these weights, in eval mode."""
    config_class, model_class = model_classes(weights.model_type)
    model: Any = model_class(config_class.from_dict(weights.config(pad=pad, bos=bos, eos=eos)))
    if dtype == torch.float16:  # the other formats hold every compiled model
        check_precision(weights.tensors, dtype)
    model.load_state_dict({name: torch.from_numpy(np.array(t)) for name, t in weights.tensors.items()}, strict=True)
    return model.to(dtype=dtype).eval()
