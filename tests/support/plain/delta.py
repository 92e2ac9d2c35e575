"""Plain Gated DeltaNets of three models, one step after another and in chunks, for the drivers that Mamba has.

Written for reading, on their own: nothing here is shared with scancraft, whose checkpoints they read. Layers of
attention, which are all zero, are left out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from plain.blocks import Block, rms_norm
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import silu, softplus


class DeltaTerms(NamedTuple):
    """S = exp(decay) S, then S = S + dx (beta (v - dx S)), read as q S; all with batch, time and heads first.

    ``dx`` is the key: where it is 0, nothing is written.
    """

    decay: Tensor
    dx: Tensor
    beta: Tensor
    v: Tensor
    q: Tensor
    x: Tensor

    def part(self, first: int, last: int) -> DeltaTerms:
        """Some of the steps."""
        return DeltaTerms(*(t[:, first:last] for t in self))


class GatedDelta(Block):
    """Yang, Kautz and Hatamizadeh 2024, as OLMo Hybrid has it, with its SwiGLU."""

    limit = 2.0
    plus = 0.0
    gated_eps = 1e-5
    gated_names = ("linear_attn.o_norm.weight", "linear_attn.o_proj.weight")

    def __init__(self, w: dict[str, Tensor], layer: int, config: dict[str, Any]) -> None:
        prefix = f"model.layers.{layer}."
        p = {n.removeprefix(prefix): t for n, t in w.items() if n.startswith(prefix)}
        self.p, self.k, self.eps = p, config["linear_conv_kernel_dim"], config["rms_norm_eps"]
        self.key_heads, self.heads = config["linear_num_key_heads"], config["linear_num_value_heads"]
        self.keys, self.values = config["linear_key_head_dim"], config["linear_value_head_dim"]
        self.taps = p["linear_attn.conv1d.weight"][:, 0, :]
        self.width = len(self.taps)
        self.conv_bias = torch.zeros(self.width)
        self.state = (self.heads, self.keys, self.values)
        self.a, self.dt_bias = -torch.exp(p["linear_attn.A_log"]), p["linear_attn.dt_bias"]
        self.gated_norm, self.w_out = (p[name] for name in self.gated_names)

    def rms(self, stream: Tensor, name: str) -> Tensor:
        """A norm of the stream."""
        return rms_norm(stream, self.p[f"{name}_layernorm.weight"] + self.plus, self.eps)

    def inputs(self, stream: Tensor) -> tuple[Any, Tensor, Tensor]:
        """The stream and the gate, the convolution's input, and b and a side by side."""
        u, gate, b, a = self.projected(self.rms(stream, "input"))
        return (stream, gate), u, torch.cat([b, a], dim=-1)

    def projected(self, u: Tensor) -> tuple[Tensor, ...]:
        """q, k and v side by side; the gate; b; a."""
        q, k, v, g, b, a = (u @ self.p[f"linear_attn.{name}_proj.weight"].T for name in "qkvgba")
        return torch.cat([q, k, v], dim=-1), g, b, a

    def terms(self, mixed: Tensor, dt: Tensor) -> DeltaTerms:
        """The recurrence, from what the convolution gives."""
        keys = self.key_heads * self.keys
        q, k, v = torch.split(mixed, [keys, keys, self.heads * self.values], dim=-1)
        b, a = torch.split(dt, [self.heads, self.heads], dim=-1)
        q, k = (self.grouped(unit(x.unflatten(-1, (self.key_heads, self.keys)))) for x in (q, k))
        v = v.unflatten(-1, (self.heads, self.values))
        beta = self.limit * torch.sigmoid(b)
        decay = self.a * softplus(a + self.dt_bias)
        return DeltaTerms(decay, k, beta, v, q * self.keys**-0.5, v)

    def grouped(self, x: Tensor) -> Tensor:
        """Keys or queries for every head of values."""
        return x.repeat_interleave(self.heads // self.key_heads, dim=-2)

    def output(self, y: Tensor, x: Tensor, z: tuple[Tensor, Tensor]) -> Tensor:
        """What is added to the residual stream; y is what the queries read."""
        stream, gate = z
        normed = rms_norm(y, self.gated_norm, self.gated_eps)
        mixed = (normed * silu(gate.unflatten(-1, y.shape[-2:]))).flatten(-2) @ self.w_out.T
        return mixed + self.swiglu(self.rms(stream + mixed, "post_attention"))

    def swiglu(self, u: Tensor) -> Tensor:
        """The units behind the heads."""
        gate, up, down = (self.p[f"mlp.{name}_proj.weight"] for name in ("gate", "up", "down"))
        return (silu(u @ gate.T) * (u @ up.T)) @ down.T


class Qwen35(GatedDelta):
    """The same with beta to 1, norms that add 1 to their weight, and grouped heads."""

    limit = 1.0
    plus = 1.0
    gated_eps = 1e-6
    gated_names = ("linear_attn.norm.weight", "linear_attn.out_proj.weight")

    def projected(self, u: Tensor) -> tuple[Tensor, ...]:
        return tuple(u @ self.p[f"linear_attn.in_proj_{name}.weight"].T for name in ("qkv", "z", "b", "a"))


class Qwen3Next(Qwen35):
    """The same; projections lie head of keys by head of keys."""

    def projected(self, u: Tensor) -> tuple[Tensor, ...]:
        each = self.heads // self.key_heads
        qkvz = (u @ self.p["linear_attn.in_proj_qkvz.weight"].T).unflatten(-1, (self.key_heads, -1))
        ba = (u @ self.p["linear_attn.in_proj_ba.weight"].T).unflatten(-1, (self.key_heads, -1))
        q, k, v, z = (x.flatten(-2) for x in qkvz.split([self.keys, self.keys, *[each * self.values] * 2], dim=-1))
        b, a = (x.flatten(-2) for x in ba.split([each, each], dim=-1))
        return torch.cat([q, k, v], dim=-1), z, b, a


class Weights:
    """Embedding, blocks, final norm and head of a checkpoint."""

    def __init__(self, directory: Path) -> None:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        w = load_file(directory / "model.safetensors")
        kind = {"olmo_hybrid": GatedDelta, "qwen3_next": Qwen3Next, "qwen3_5_text": Qwen35}[config["model_type"]]
        linear = [layer for layer, name in enumerate(config["layer_types"]) if name == "linear_attention"]
        self.embedding = w["model.embed_tokens.weight"]
        self.blocks = [kind(w, layer, config) for layer in linear]
        self.behind = len(config["layer_types"]) - len(linear)
        self.norm, self.eps = w["model.norm.weight"] + kind.plus, config["rms_norm_eps"]
        self.w_head = w["lm_head.weight"]

    def head(self, stream: Tensor) -> Tensor:
        """Logits."""
        return rms_norm(stream, self.norm, self.eps) @ self.w_head.T


def unit(x: Tensor) -> Tensor:
    """x divided by its length."""
    return x * torch.rsqrt(x.pow(2).sum(-1, keepdim=True) + 1e-6)


def steps(t: DeltaTerms, s: Tensor) -> tuple[Tensor, Tensor]:
    """One step after another."""
    read = []
    for i in range(t.dx.shape[1]):
        key = t.dx[:, i]
        s = torch.exp(t.decay[:, i])[..., None, None] * s
        under = torch.einsum("bhk,bhkv->bhv", key, s)
        change = t.beta[:, i, :, None] * (t.v[:, i] - under)
        s = s + torch.einsum("bhk,bhv->bhkv", key, change)
        read.append(torch.einsum("bhk,bhkv->bhv", t.q[:, i], s))
    return torch.stack(read, dim=1), s


def doubling(t: DeltaTerms, s: Tensor) -> tuple[Tensor, Tensor]:
    """A chunk at once: what its steps write comes from a triangular system."""
    total = t.decay.cumsum(dim=1).transpose(1, 2)  # (batch, heads, time)
    key, query, value = (x.transpose(1, 2) for x in (t.dx, t.q, t.v))
    beta = t.beta.transpose(1, 2)[..., None]
    length = total.shape[-1]
    causal = torch.ones(length, length).tril().bool()
    between = torch.exp((total[..., :, None] - total[..., None, :]).masked_fill(~causal, -torch.inf))
    system = torch.eye(length) + (beta * (key @ key.mT) * between).tril(-1)
    from_start = torch.exp(total)[..., None]
    owed = beta * (value - from_start * (key @ s))
    new = torch.linalg.solve_triangular(system, owed, upper=False)
    read = from_start * (query @ s) + ((query @ key.mT) * between) @ new
    until_end = torch.exp(total[..., -1:] - total)[..., None]
    s = from_start[..., -1:, :] * s + (until_end * key).mT @ new
    return read.transpose(1, 2), s


matrix = doubling
