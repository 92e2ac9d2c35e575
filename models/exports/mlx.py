"""What mlx-lm loads: the checkpoint of a Mamba as it is, those of Gated DeltaNets under the names of mlx-lm 0.32.

Three keys that mlx-lm insists on are added to the configuration of a Mamba-2 that an older version wrote. Of Gated
DeltaNets it reads:

- ``olmo_hybrid``: the convolution in three parts, as files on the Hub have it;
- ``qwen3_next``: taps last but one and norms with their 1 added. It does so itself only where there are experts;
- ``qwen3_5_text``: the language model under the name of the whole, ``qwen3_5``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from ..checkpoints.files import write_json
from ..mamba2 import UNLIMITED
from ..padding import Source
from ..weights import Tensor

NEEDED_OF_MAMBA2 = {"time_step_limit": list(UNLIMITED), "time_step_rank": 1}
HYBRIDS = ("olmo_hybrid", "qwen3_next", "qwen3_5_text")
"""The ``model_type`` of models with layers of Gated DeltaNet."""
NORMS_PLUS_1 = ("layernorm.weight", "model.norm.weight", "q_norm.weight", "k_norm.weight")
"""How the names of those norms of a Qwen3-Next end to whose weights 1 is added."""


def write_mlx(source: Source, directory: Path) -> None:
    """Write ``config.json`` and ``model.safetensors`` into a directory that is there."""
    config = dict(source.config)
    if source.kind == "mamba2":
        config = {"intermediate_size": source.d_inner} | NEEDED_OF_MAMBA2 | config
    if source.kind == "qwen3_5_text":
        config["model_type"] = "qwen3_5"
    write_json(directory / "config.json", config)
    tensors = {
        new: np.ascontiguousarray(part) for name, t in source.tensors.items() for new, part in _as(source, name, t)
    }
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "model.safetensors").chmod(0o644)  # safetensors makes it private to the user


def _as(source: Source, name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """A parameter as mlx-lm has it."""
    if source.kind == "olmo_hybrid" and name.endswith(".conv1d.weight"):
        keys = source.config["linear_num_key_heads"] * source.config["linear_key_head_dim"]
        for part, rows in zip("qkv", np.split(tensor, (keys, 2 * keys)), strict=True):
            yield name.replace(".conv1d.", f".{part}_conv1d."), rows
    elif source.kind == "qwen3_next" and name.endswith(".conv1d.weight"):
        yield name, tensor.swapaxes(1, 2)
    elif source.kind == "qwen3_next" and name.endswith(NORMS_PLUS_1):
        yield name, tensor + np.float32(1)
    else:
        yield name, tensor
