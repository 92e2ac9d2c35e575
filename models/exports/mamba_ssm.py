"""The directory that ``mamba_ssm``'s ``MambaLMHeadModel.from_pretrained`` reads: Mamba and Mamba-2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..checkpoints.checkpoint import write_original
from ..mamba import MambaShape
from ..mamba2 import Mamba2Shape
from ..padding import Source
from ..weights import ModelShape, ModelWeights
from .source import ExportError


def write_mamba_ssm(source: Source, directory: Path) -> None:
    """Write ``config.json`` and ``pytorch_model.bin`` into a directory that is there.

    Raises:
        ExportError: mamba_ssm has no such blocks, or the epsilon is not its own.
    """
    config = source.config
    if source.kind == "falcon_mamba":
        raise ExportError("mamba_ssm has no blocks of Falcon-Mamba; export to gguf, onnx or mlx")
    if config["layer_norm_epsilon"] != EPSILON:
        raise ExportError("mamba_ssm has the epsilon 1e-5 built in; export the checkpoint in its own shape")
    sizes: dict[str, Any] = {
        "d_model": source.d_model,
        "n_layers": source.n_layers,
        "vocab_size": int(config["vocab_size"]),
        "expand": int(config["expand"]),
        "d_state": int(config["state_size"]),
        "d_conv": int(config["conv_kernel"]),
    }
    shape: ModelShape
    if source.kind == "mamba2":
        shape = Mamba2Shape(**sizes, n_heads=int(config["num_heads"]), chunk_size=int(config["chunk_size"]))
    else:
        shape = MambaShape(**sizes, dt_rank=int(config["time_step_rank"]))
    write_original(directory, ModelWeights(shape, source.tensors))


EPSILON = 1e-05
"""Of mamba_ssm's norms."""
