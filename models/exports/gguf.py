"""GGUF, the format of llama.cpp: architectures "mamba" (Falcon-Mamba too) and "mamba2".

A_log becomes A = -exp(A_log), rounded to float32 once, as every implementation does that computes it. Matrices can be
stored in float16 or bfloat16 where that is exact; all else stays float32. There is no tokenizer in the file: token ids
are those of ``tokenizer.json``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..padding import Source
from ..weights import Tensor
from .extra import extra
from .source import ExportError

TYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
MATRICES = (
    "embeddings.weight",
    "lm_head.weight",
    "in_proj.weight",
    "x_proj.weight",
    "dt_proj.weight",
    "out_proj.weight",
)
NAMES = {
    "backbone.embeddings.weight": "token_embd.weight",
    "backbone.norm_f.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
BLOCK_NAMES = {
    "norm.weight": "attn_norm.weight",
    "mixer.in_proj.weight": "ssm_in.weight",
    "mixer.conv1d.weight": "ssm_conv1d.weight",
    "mixer.conv1d.bias": "ssm_conv1d.bias",
    "mixer.x_proj.weight": "ssm_x.weight",
    "mixer.dt_proj.weight": "ssm_dt.weight",
    "mixer.dt_proj.bias": "ssm_dt.bias",
    "mixer.dt_bias": "ssm_dt.bias",
    "mixer.A_log": "ssm_a",
    "mixer.D": "ssm_d",
    "mixer.norm.weight": "ssm_norm.weight",
    "mixer.out_proj.weight": "ssm_out.weight",
}


def write_gguf(source: Source, path: Path, dtype: str = "float32") -> None:
    """Write one file.

    Args:
        source: Mamba or Falcon-Mamba with expand 2 (llama.cpp has no other; ``padded`` makes it so), or Mamba-2.
        path: of the file.
        dtype: of the matrices, a key of :data:`TYPES`.

    Raises:
        ExportError: a matrix is not exact in the dtype, or expand is not 2.
        MissingExtraError: the package ``gguf`` is not installed.
    """
    gguf = extra("gguf", "gguf", "gguf")
    config, mamba2 = source.config, source.kind == "mamba2"
    if not mamba2 and source.d_inner != 2 * source.d_model:
        raise ExportError("llama.cpp runs Mamba with expand 2 only; export in standard shape (--shape standard)")
    writer = gguf.GGUFWriter(path, "mamba2" if mamba2 else "mamba", use_temp_file=False)
    writer.add_name(path.stem)
    writer.add_context_length(1 << 20)
    writer.add_embedding_length(source.d_model)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_block_count(source.n_layers)
    writer.add_vocab_size(int(config["vocab_size"]))
    writer.add_ssm_conv_kernel(int(config["conv_kernel"]))
    writer.add_ssm_inner_size(source.d_inner)
    writer.add_ssm_state_size(int(config["state_size"]))
    writer.add_layer_norm_rms_eps(float(config["layer_norm_epsilon"]))
    if mamba2:
        writer.add_ssm_time_step_rank(int(config["num_heads"]))
        writer.add_ssm_group_count(1)
    else:
        writer.add_ssm_time_step_rank(int(config["time_step_rank"]))
        writer.add_ssm_dt_b_c_rms(source.kind == "falcon_mamba")
    writer.add_file_type({"float32": 0, "float16": 1, "bfloat16": 32}[dtype])
    writer.add_tokenizer_model("none")
    for name, tensor in _tensors(source):
        half = dtype != "float32" and name.endswith(MATRICES)
        stored, kind = _stored(name, tensor, dtype if half else "float32", gguf)
        writer.add_tensor(_renamed(name), stored, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _tensors(source: Source) -> Iterator[tuple[str, Tensor]]:
    mamba2 = source.kind == "mamba2"
    for name, t in source.tensors.items():
        if name.endswith("A_log"):
            t = -torch.exp(torch.from_numpy(np.array(t))).numpy()
        if name.endswith("conv1d.weight"):
            t = t[:, 0]
        elif mamba2 and name.endswith(("mixer.A_log", "mixer.D")):
            t = t[:, None]
        elif name.endswith("mixer.norm.weight"):
            t = t[None]
        yield name, t


def _renamed(name: str) -> str:
    found = re.fullmatch(r"backbone\.layers\.(\d+)\.(.+)", name)
    return NAMES[name] if found is None else f"blk.{found[1]}.{BLOCK_NAMES[found[2]]}"


def _stored(name: str, tensor: Tensor, dtype: str, gguf: Any) -> tuple[Any, Any]:
    exact = torch.from_numpy(np.array(tensor))
    if dtype == "float32":
        return exact.numpy(), None
    rounded = exact.to(getattr(torch, dtype))
    if not torch.equal(rounded.to(torch.float32), exact):
        raise ExportError(f"{name} is not exact in {dtype}; export float32, or compile with --dtype {dtype}")
    if dtype == "float16":
        return rounded.numpy(), None
    return rounded.view(torch.uint8).numpy(), gguf.GGMLQuantizationType.BF16
