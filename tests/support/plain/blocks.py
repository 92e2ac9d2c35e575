"""Plain blocks: the four kinds, each from the residual stream to a linear recurrence and from its result to the stream.

Written for reading, on their own: nothing here is shared with scancraft, whose checkpoints they read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import silu, softplus


class Terms(NamedTuple):
    """A recurrence h = sign exp(decay) h + dx b, read as y = sum over n of c h; all with batch and time first.

    The state has the shape of x and one axis more, of n entries; sign and decay are of that shape or broadcast to it.
    """

    decay: Tensor
    dx: Tensor
    b: Tensor
    c: Tensor
    x: Tensor
    sign: Tensor

    def part(self, first: int, last: int) -> Terms:
        """Some of the steps."""
        return Terms(*(t[:, first:last] for t in self))


class Block:
    """What all kinds have: norm, in_proj, convolution, A, D, out_proj."""

    state: tuple[int, ...]
    """Its shape."""
    dirt = 1.0
    """What others may leave in a state."""

    def __init__(self, w: dict[str, Tensor], layer: int, config: dict[str, Any]) -> None:
        prefix = f"backbone.layers.{layer}."
        p = {n.removeprefix(prefix): t for n, t in w.items() if n.startswith(prefix)}
        self.p = p
        self.norm, self.eps = p["norm.weight"], config["layer_norm_epsilon"]
        self.w_in, self.w_out = p["mixer.in_proj.weight"], p["mixer.out_proj.weight"]
        self.taps, self.conv_bias = p["mixer.conv1d.weight"][:, 0, :], p["mixer.conv1d.bias"]
        self.a, self.d = -torch.exp(p["mixer.A_log"]), p["mixer.D"]
        self.n, self.k, self.width = config["state_size"], config["conv_kernel"], len(self.taps)

    def project(self, stream: Tensor) -> Tensor:
        """The parts of in_proj, side by side."""
        return rms_norm(stream, self.norm, self.eps) @ self.w_in.T

    def convolve(self, u: Tensor, past: Tensor) -> Tensor:
        """From the input and the k - 1 inputs before it, each of shape (batch, time, width)."""
        wide = torch.cat([past, u], dim=1)
        total = self.conv_bias.expand_as(u)
        for j in range(self.k):
            total = total + self.taps[:, j] * wide[:, j : j + u.shape[1]]
        return silu(total)


class Mamba(Block):
    """Gu and Dao 2023."""

    def __init__(self, w: dict[str, Tensor], layer: int, config: dict[str, Any]) -> None:
        super().__init__(w, layer, config)
        self.w_x, self.rank = self.p["mixer.x_proj.weight"], config["time_step_rank"]
        self.w_dt, self.dt_bias = self.p["mixer.dt_proj.weight"], self.p["mixer.dt_proj.bias"]
        self.channels = len(self.d)
        self.state = (self.channels, self.n)

    def inputs(self, stream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The gate, the convolution's input, and dt, which here comes after the convolution."""
        projected = self.project(stream)
        u, z = projected[..., : self.channels], projected[..., self.channels :]
        return z, u, u

    def terms(self, x: Tensor, dt: Tensor) -> Terms:
        """The recurrence, from what the convolution gives."""
        dt, b, c = self.low(x @ self.w_x.T)
        delta = softplus(dt @ self.w_dt.T + self.dt_bias)
        return Terms(delta[..., None] * self.a, delta * x, b, c, x, self.signs(dt))

    def low(self, low: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """dt, B and C."""
        dt, b, c = low.split([self.rank, self.n, self.n], dim=-1)
        return dt, b, c

    def signs(self, dt: Tensor) -> Tensor:
        """Of the gates."""
        return torch.ones_like(dt[..., :1, None])

    def output(self, y: Tensor, x: Tensor, z: Tensor) -> Tensor:
        """What is added to the residual stream; y is what C reads."""
        y = y + self.d * x
        return (y * silu(z)) @ self.w_out.T


class SignedMamba(Mamba):
    """Mamba whose gates have signs, by one more projection of dt."""

    def signs(self, dt: Tensor) -> Tensor:
        sign = torch.tanh(dt @ self.p["mixer.sign_proj.weight"].T + self.p["mixer.sign_proj.bias"])
        return sign[..., None]


class FalconMamba(Mamba):
    """Mamba with norms of dt, B and C, which have no weights."""

    def __init__(self, w: dict[str, Tensor], layer: int, config: dict[str, Any]) -> None:
        super().__init__(w, layer, config)
        self.inner_eps = config["mixer_rms_eps"]

    def low(self, low: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        dt, b, c = super().low(low)
        return self.rms(dt), self.rms(b), self.rms(c)

    def rms(self, v: Tensor) -> Tensor:
        return v * self.scale(v)

    def scale(self, v: Tensor) -> Tensor:
        size = v.pow(2).mean(-1, keepdim=True)
        return torch.rsqrt(size + self.inner_eps)


class Mamba2(Block):
    """Dao and Gu 2024."""

    dirt = 2.0**30

    def __init__(self, w: dict[str, Tensor], layer: int, config: dict[str, Any]) -> None:
        super().__init__(w, layer, config)
        self.gated_norm, self.dt_bias = self.p["mixer.norm.weight"], self.p["mixer.dt_bias"]
        self.heads, self.head_dim = config["num_heads"], config["head_dim"]
        self.channels = self.heads * self.head_dim
        self.state = (self.heads, self.head_dim, self.n)

    def inputs(self, stream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The gate, the convolution's input, and dt of shape (batch, time, heads)."""
        projected = self.project(stream)
        z, u, dt = torch.split(projected, [self.channels, self.width, self.heads], dim=-1)
        return z, u, dt

    def terms(self, v: Tensor, dt: Tensor) -> Terms:
        """The recurrence, from what the convolution gives."""
        x, b, c = torch.split(v, [self.channels, self.n, self.n], dim=-1)
        x = x.reshape(*x.shape[:-1], self.heads, self.head_dim)
        delta = softplus(dt + self.dt_bias)
        decay = (delta * self.a)[..., None, None]
        return Terms(decay, delta[..., None] * x, b, c, x, torch.ones_like(decay))

    def output(self, y: Tensor, x: Tensor, z: Tensor) -> Tensor:
        """What is added to the residual stream; y is what C reads."""
        y = y + self.d[:, None] * x
        gated = y.flatten(-2) * silu(z)
        return rms_norm(gated, self.gated_norm, self.eps) @ self.w_out.T


KINDS: dict[str, Any] = {
    "mamba": Mamba,
    "mamba2": Mamba2,
    "signed_mamba": SignedMamba,
    "falcon_mamba": FalconMamba,
}


class Weights:
    """Embedding, blocks, final norm and head of a checkpoint."""

    behind = 0
    """Layers behind the blocks that add nothing."""

    def __init__(self, directory: Path) -> None:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        w = load_file(directory / "model.safetensors")
        kind = KINDS[config["model_type"]]
        self.embedding = w["backbone.embeddings.weight"]
        self.blocks = [kind(w, layer, config) for layer in range(config["num_hidden_layers"])]
        self.norm, self.eps = w["backbone.norm_f.weight"], config["layer_norm_epsilon"]
        self.w_head = w["lm_head.weight"]

    def head(self, stream: Tensor) -> Tensor:
        """Logits."""
        return rms_norm(stream, self.norm, self.eps) @ self.w_head.T


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x divided by its root mean square."""
    mean = x.pow(2).mean(-1, keepdim=True)
    return weight * (x * torch.rsqrt(mean + eps))
