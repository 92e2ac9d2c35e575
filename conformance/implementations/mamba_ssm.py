"""The package ``mamba_ssm``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...models.checkpoints.mamba_ssm import load_mamba_ssm
from ...models.exports.extra import extra
from .base import Implementation


class _MambaSsm:
    """``mamba_ssm``'s ``MambaLMHeadModel``, on a GPU if there is one."""

    def __init__(self, directory: Path, *, fused: bool = True) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = load_mamba_ssm(directory, device=self.device, fused=fused)

    def __call__(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.model(ids.to(self.device)).logits
        return logits

    def prefill(self, ids: Tensor) -> tuple[Tensor, Any]:
        generation = extra("mamba_ssm.utils.generation", "mamba_ssm", "cuda")
        return self.step(ids, generation.InferenceParams(max_seqlen=1 << 30, max_batch_size=len(ids)))

    def step(self, ids: Tensor, cache: Any) -> tuple[Tensor, Any]:
        logits = self.model(ids.to(self.device), inference_params=cache).logits
        cache.seqlen_offset += ids.shape[1]
        return logits, cache


IMPLEMENTATIONS = (
    Implementation("mamba_ssm", _MambaSsm),
    Implementation("mamba_ssm-unfused", partial(_MambaSsm, fused=False)),
    Implementation("mamba_ssm-mamba2", _MambaSsm, "mamba2"),
    Implementation("mamba_ssm-mamba2-unfused", partial(_MambaSsm, fused=False), "mamba2"),
)
