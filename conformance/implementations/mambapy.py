"""mambapy's own language model: its parallel scan, and its step with a cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...models.exports.extra import extra
from ...models.exports.source import source_of
from .base import Implementation


class _MambaPy:
    """``mambapy.mamba.Mamba`` between an embedding, its norm and a head, with the weights of a checkpoint.

    (Its own ``mambapy.lm`` is the same, but cannot be imported without mamba_ssm, which its Mamba-2 asks for.)
    """

    def __init__(self, directory: Path) -> None:
        mamba = extra("mambapy.mamba", "mambapy", "mambapy")
        source = source_of(directory)
        sizes, d = source.config, source.d_model
        config = mamba.MambaConfig(
            d_model=d,
            n_layers=source.n_layers,
            dt_rank=int(sizes["time_step_rank"]),
            d_state=int(sizes["state_size"]),
            expand_factor=int(sizes["expand"]),
            d_conv=int(sizes["conv_kernel"]),
            rms_norm_eps=float(sizes["layer_norm_epsilon"]),
        )
        parts: dict[str, Any] = {
            "embeddings": torch.nn.Embedding(int(sizes["vocab_size"]), d),
            "mamba": mamba.Mamba(config),
            "norm_f": mamba.RMSNorm(d, config.rms_norm_eps),
            "lm_head": torch.nn.Linear(d, int(sizes["vocab_size"]), bias=False),
        }
        self.model: Any = torch.nn.ModuleDict(parts).eval()
        names = {"backbone.layers.": "mamba.layers.", "backbone.": ""}
        state = {}
        for name, tensor in source.tensors.items():
            old = next((old for old in names if name.startswith(old)), "")
            state[names.get(old, "") + name.removeprefix(old)] = torch.from_numpy(np.array(tensor))
        self.model.load_state_dict(state)

    def __call__(self, ids: Tensor) -> Tensor:
        return self._head(self.model["mamba"](self.model["embeddings"](ids)))

    def _head(self, stream: Tensor) -> Tensor:
        logits: Tensor = self.model["lm_head"](self.model["norm_f"](stream))
        return logits

    def prefill(self, ids: Tensor) -> tuple[Tensor, Any]:
        mixers = [layer.mixer for layer in self.model["mamba"].layers]
        taps = mixers[0].config.d_conv
        empty = [(None, torch.zeros(len(ids), m.config.d_inner, taps - 1)) for m in mixers]
        parts, cache = [], empty
        for t in range(ids.shape[1]):
            logits, cache = self.step(ids[:, t : t + 1], cache)
            parts.append(logits)
        return torch.cat(parts, dim=1), cache

    def step(self, ids: Tensor, cache: Any) -> tuple[Tensor, Any]:
        stream, after = self.model["mamba"].step(self.model["embeddings"](ids[:, 0]), list(cache))
        return self._head(stream)[:, None], after


IMPLEMENTATIONS = (
    Implementation("mambapy", _MambaPy, note="its forward is the parallel scan; it has no prefill but its steps"),
)
