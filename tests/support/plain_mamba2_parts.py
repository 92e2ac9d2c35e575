"""Plain Mamba-2, what all four implementations share: the parameters and everything of a block but its scan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import silu, softplus


class Block:
    """One block: from the residual stream to what the scan needs, and from the scan's result to the stream."""

    def __init__(self, w: dict[str, Tensor], layer: int, config: dict[str, Any]) -> None:
        prefix = f"backbone.layers.{layer}."
        p = {n.removeprefix(prefix): t for n, t in w.items() if n.startswith(prefix)}
        self.norm, self.eps = p["norm.weight"], config["layer_norm_epsilon"]
        self.gated_norm = p["mixer.norm.weight"]
        self.w_in, self.w_out = p["mixer.in_proj.weight"], p["mixer.out_proj.weight"]
        self.taps, self.conv_bias = p["mixer.conv1d.weight"][:, 0, :], p["mixer.conv1d.bias"]
        self.a, self.d, self.dt_bias = -torch.exp(p["mixer.A_log"]), p["mixer.D"], p["mixer.dt_bias"]
        self.n, self.k = config["state_size"], config["conv_kernel"]
        self.heads, self.head_dim = config["num_heads"], config["head_dim"]
        self.channels = self.heads * self.head_dim
        self.width = self.channels + 2 * self.n

    def parts(self, stream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The gate, the convolution's input, and Delta; the last of shape (batch, time, heads)."""
        projected = rms_norm(stream, self.norm, self.eps) @ self.w_in.T
        z, xbc, dt = torch.split(projected, [self.channels, self.width, self.heads], dim=-1)
        return z, xbc, softplus(dt + self.dt_bias)

    def convolve(self, xbc: Tensor, past: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x of shape (batch, time, heads, head_dim), B and C of shape (batch, time, n), from k - 1 inputs before."""
        wide = torch.cat([past, xbc], dim=1)
        total = self.conv_bias.expand_as(xbc)
        for j in range(self.k):
            total = total + self.taps[:, j] * wide[:, j : j + xbc.shape[1]]
        x, b, c = torch.split(silu(total), [self.channels, self.n, self.n], dim=-1)
        return x.reshape(*x.shape[:-1], self.heads, self.head_dim), b, c

    def output(self, y: Tensor, x: Tensor, z: Tensor) -> Tensor:
        """What is added to the residual stream; y is what C reads, (batch, time, heads, head_dim)."""
        y = y + self.d[:, None] * x
        gated = y.flatten(-2) * silu(z)
        return rms_norm(gated, self.gated_norm, self.eps) @ self.w_out.T


class Weights:
    """Embedding, blocks, final norm and head of a checkpoint."""

    def __init__(self, directory: Path) -> None:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        w = load_file(directory / "model.safetensors")
        self.embedding = w["backbone.embeddings.weight"]
        self.blocks = [Block(w, layer, config) for layer in range(config["num_hidden_layers"])]
        self.norm, self.eps = w["backbone.norm_f.weight"], config["layer_norm_epsilon"]
        self.w_head = w["lm_head.weight"]

    def head(self, stream: Tensor) -> Tensor:
        """Logits."""
        return rms_norm(stream, self.norm, self.eps) @ self.w_head.T


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x divided by its root mean square."""
    mean = x.pow(2).mean(-1, keepdim=True)
    return weight * (x * torch.rsqrt(mean + eps))
