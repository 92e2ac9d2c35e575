"""ONNX: one step of the whole model, from token ids and what each block remembers to logits and what it then remembers.

Inputs: ``ids`` of shape (batch,), int64; for each block ``inputs_i`` of shape (taps - 1, batch, channels) and
``state_i`` of shape (batch, channels, d_state), in Mamba-2 (batch, heads, head_dim, d_state); first all zeros.
Outputs: ``logits`` of shape (batch, vocabulary), and ``next_inputs_i`` and ``next_state_i``.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..arithmetic import Floats
from ..block import Memory, mamba, mamba2
from ..padding import Source
from .extra import extra


class Step(torch.nn.Module):
    """One token through a checkpoint, by the formulas of ``models.block``."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source, self.block = source, mamba2 if source.kind == "mamba2" else mamba
        self.epsilon = float(source.config["layer_norm_epsilon"])
        for name, tensor in source.tensors.items():
            self.register_buffer(name.replace(".", "__"), torch.from_numpy(np.array(tensor)))

    def sizes(self, batch: int) -> list[tuple[int, ...]]:
        """The shapes of what the blocks remember, in turns the convolution's inputs and the state."""
        config, inner, n = self.source.config, self.source.d_inner, int(self.source.config["state_size"])
        heads = (int(config["num_heads"]), int(config["head_dim"])) if self.source.kind == "mamba2" else (inner,)
        wide = inner + 2 * n if self.source.kind == "mamba2" else inner
        each = [(int(config["conv_kernel"]) - 1, batch, wide), (batch, *heads, n)]
        return each * self.source.n_layers

    def forward(self, ids: Tensor, *memories: Tensor) -> tuple[Tensor, ...]:
        """Logits, and what the blocks remember."""
        w, floats = dict(self.named_buffers()), Floats()
        r, after = w["backbone__embeddings__weight"][ids][None], []
        for layer in range(self.source.n_layers):
            prefix = f"backbone__layers__{layer}__"
            own: dict[str, Any] = {
                n.removeprefix(prefix).replace("__", "."): t for n, t in w.items() if n.startswith(prefix)
            }
            if self.source.kind == "falcon_mamba":
                own["rms_epsilon"] = float(self.source.config["mixer_rms_eps"])
            memory = Memory(memories[2 * layer], memories[2 * layer + 1])
            r, memory = self.block(floats, own, r, memory, self.epsilon)
            after += [memory.inputs, memory.state]
        normed = floats.rms(r, self.epsilon) * w["backbone__norm_f__weight"]
        return (floats.linear(w["lm_head__weight"], normed)[0], *after)


def write_onnx(source: Source, path: Path) -> None:
    """Write one file, by ``torch.onnx``.

    Raises:
        MissingExtraError: the package ``onnx`` is not installed.
    """
    extra("onnx", "onnx", "onnx")
    step = Step(source)
    batch = 2
    memories = [torch.zeros(size) for size in step.sizes(batch)]
    names = [f"{what}_{layer}" for layer in range(source.n_layers) for what in ("inputs", "state")]
    axes: dict[str, Any] = {"ids": {0: "batch"}, "logits": {0: "batch"}}
    for name in names:
        place = {1 if name.startswith("inputs") else 0: "batch"}
        axes |= {name: place, f"next_{name}": place}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            step,
            (torch.zeros(batch, dtype=torch.int64), *memories),
            path,
            input_names=["ids", *names],
            output_names=["logits", *(f"next_{name}" for name in names)],
            dynamic_axes=axes,
            dynamo=False,
        )
