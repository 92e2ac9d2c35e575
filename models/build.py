"""Weights in memory as a running ``transformers`` model."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .mamba import MambaWeights


def build_model(weights: MambaWeights, *, pad: int, bos: int, eos: int, dtype: torch.dtype = torch.float32) -> Any:
    """A ``MambaForCausalLM`` with these weights, in eval mode."""
    from transformers import MambaConfig, MambaForCausalLM

    settings = weights.shape.transformers_config(pad=pad, bos=bos, eos=eos)
    for derived in ("architectures", "model_type", "dtype", "intermediate_size"):
        del settings[derived]
    model: Any = MambaForCausalLM(MambaConfig(**settings))
    model.load_state_dict({name: torch.from_numpy(np.array(t)) for name, t in weights.tensors.items()}, strict=True)
    return model.to(dtype=dtype).eval()
