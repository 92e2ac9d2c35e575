"""Weights in memory as a running ``transformers`` model."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .mamba import SIGNED_MAMBA, MambaWeights


def model_classes(model_type: str) -> tuple[Any, Any]:
    """The configuration and the model class of a model type in ``models.mamba.MODEL_TYPES``."""
    if model_type == SIGNED_MAMBA:
        from .signed_mamba import SignedMambaConfig, SignedMambaForCausalLM

        return SignedMambaConfig, SignedMambaForCausalLM
    from transformers import MambaConfig, MambaForCausalLM

    return MambaConfig, MambaForCausalLM


def build_model(weights: MambaWeights, *, pad: int, bos: int, eos: int, dtype: torch.dtype = torch.float32) -> Any:
    """A ``MambaForCausalLM``, or a ``SignedMambaForCausalLM`` for signed shapes, with these weights, in eval mode."""
    config_class, model_class = model_classes(weights.shape.model_type)
    settings = weights.shape.transformers_config(pad=pad, bos=bos, eos=eos)
    for derived in ("architectures", "model_type", "dtype", "intermediate_size"):
        del settings[derived]
    model: Any = model_class(config_class(**settings))
    model.load_state_dict({name: torch.from_numpy(np.array(t)) for name, t in weights.tensors.items()}, strict=True)
    return model.to(dtype=dtype).eval()
