"""Plain Mamba, what all four implementations share: the parameters and everything of a block but its scan."""

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
        self.w_in, self.w_out = p["mixer.in_proj.weight"], p["mixer.out_proj.weight"]
        self.taps, self.conv_bias = p["mixer.conv1d.weight"][:, 0, :], p["mixer.conv1d.bias"]
        self.w_x, self.w_dt, self.dt_bias = p["mixer.x_proj.weight"], p["mixer.dt_proj.weight"], p["mixer.dt_proj.bias"]
        self.a, self.d = -torch.exp(p["mixer.A_log"]), p["mixer.D"]
        self.rank, self.n, self.k = config["time_step_rank"], config["state_size"], config["conv_kernel"]
        self.channels = len(self.d)

    def halves(self, stream: Tensor) -> tuple[Tensor, Tensor]:
        """The convolution's input and the gate, each of shape (batch, time, channels)."""
        projected = rms_norm(stream, self.norm, self.eps) @ self.w_in.T
        u, z = projected[..., : self.channels], projected[..., self.channels :]
        return u, z

    def convolve(self, u: Tensor, past: Tensor) -> Tensor:
        """x, from the input and the k - 1 inputs before it."""
        wide = torch.cat([past, u], dim=1)
        total = self.conv_bias.expand_as(u)
        for j in range(self.k):
            total = total + self.taps[:, j] * wide[:, j : j + u.shape[1]]
        return silu(total)

    def terms(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The gate and the write of every state entry, shape (batch, time, channels, n), and C, (batch, time, n)."""
        low = x @ self.w_x.T
        dt, b, c = low[..., : self.rank], low[..., self.rank : self.rank + self.n], low[..., self.rank + self.n :]
        delta = softplus(dt @ self.w_dt.T + self.dt_bias)
        gate = torch.exp(delta[..., None] * self.a)
        write = delta[..., None] * b[:, :, None, :] * x[..., None]
        return gate, write, c

    def output(self, states: Tensor, c: Tensor, x: Tensor, z: Tensor) -> Tensor:
        """What is added to the residual stream; states of shape (batch, time, channels, n)."""
        y = torch.einsum("btcn,btn->btc", states, c)
        y = y + self.d * x
        return (y * silu(z)) @ self.w_out.T


class Weights:
    """Embedding, blocks, final norm and head of a checkpoint."""

    block: type[Block] = Block

    def __init__(self, directory: Path) -> None:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        w = load_file(directory / "model.safetensors")
        self.embedding = w["backbone.embeddings.weight"]
        self.blocks = [self.block(w, layer, config) for layer in range(config["num_hidden_layers"])]
        self.norm, self.eps = w["backbone.norm_f.weight"], config["layer_norm_epsilon"]
        self.w_head = w["lm_head.weight"]

    def head(self, stream: Tensor) -> Tensor:
        """Logits."""
        return rms_norm(stream, self.norm, self.eps) @ self.w_head.T


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x divided by its root mean square."""
    mean = x.pow(2).mean(-1, keepdim=True)
    return weight * (x * torch.rsqrt(mean + eps))
