"""Looking into a Mamba: every number of every block, computed from the parameters by the formulas of the paper.

The walkthroughs, and the notebooks made of them, use it to show what a compiled model holds. It shares no code with
``transformers`` or with the rest of scancraft; ``docs/walkthroughs/mamba_block.md`` asserts that its logits are bit for
bit those of the model.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Look:
    """One block at one token; float32.

    Attributes:
        stream: the residual stream that comes in, (d_model,).
        normed: after RMSNorm, (d_model,).
        x: after the convolution and silu, (d_inner,).
        delta: Delta = softplus(dt_proj dt + bias), (d_inner,).
        gate: exp(Delta A), in a signed block times the sign, (d_inner, d_state).
        write: Delta B x, (d_inner, d_state).
        state: gate * the state before + write, (d_inner, d_state).
        y: what is read, C h + D x, (d_inner,).
        shown: silu(z), the gate branch, (d_inner,).
        out: the residual stream that goes out, (d_model,).
    """

    stream: Tensor
    normed: Tensor
    x: Tensor
    delta: Tensor
    gate: Tensor
    write: Tensor
    state: Tensor
    y: Tensor
    shown: Tensor
    out: Tensor


@torch.no_grad()
def look(model: Any, ids: Iterable[int]) -> tuple[list[list[Look]], Tensor]:
    """Run a float32 ``MambaForCausalLM`` (or a signed one) token by token, and keep everything.

    Args:
        model: the model.
        ids: token ids of one sequence, ``<bos>`` first.

    Returns:
        The looks, token by token and in each block by block; and the logits, (tokens, vocabulary).
    """
    backbone = model.backbone
    mixers = [layer.mixer for layer in backbone.layers]
    states = [torch.zeros(m.intermediate_size, m.ssm_state_size) for m in mixers]
    pasts = [torch.zeros(m.intermediate_size, m.conv_kernel_size) for m in mixers]
    looks, logits = [], []
    for token in ids:
        stream = backbone.embeddings.weight[token]
        row = []
        for i, (layer, mixer) in enumerate(zip(backbone.layers, mixers, strict=True)):
            normed = rms_norm(stream, layer.norm.weight, layer.norm.variance_epsilon)
            u, z = (mixer.in_proj.weight @ normed).chunk(2)
            pasts[i] = torch.cat([pasts[i][:, 1:], u[:, None]], dim=1)
            bias = 0.0 if mixer.conv1d.bias is None else mixer.conv1d.bias
            x = nn.functional.silu((pasts[i] * mixer.conv1d.weight[:, 0, :]).sum(1) + bias)
            parts = mixer.x_proj.weight @ x
            dt, b, c = parts.split([mixer.time_step_rank, mixer.ssm_state_size, mixer.ssm_state_size])
            delta = nn.functional.softplus(mixer.dt_proj.weight @ dt + mixer.dt_proj.bias)
            gate = torch.exp(delta[:, None] * -torch.exp(mixer.A_log))
            if hasattr(mixer, "sign_proj"):
                gate = torch.tanh(mixer.sign_proj.weight @ dt + mixer.sign_proj.bias)[:, None] * gate
            write = delta[:, None] * b[None, :] * x[:, None]
            states[i] = gate * states[i] + write
            y = states[i] @ c + mixer.D * x
            shown = nn.functional.silu(z)
            out = stream + mixer.out_proj.weight @ (y * shown)
            row.append(Look(stream, normed, x, delta, gate, write, states[i], y, shown, out))
            stream = out
        looks.append(row)
        last = rms_norm(stream, backbone.norm_f.weight, backbone.norm_f.variance_epsilon)
        logits.append(model.lm_head.weight @ last)
    return looks, torch.stack(logits)


def rms_norm(stream: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """RMSNorm: w x / sqrt(mean(x^2) + epsilon), (d_model,)."""
    return weight * (stream * torch.rsqrt(stream.pow(2).mean() + epsilon))


def token_ids(compiled: Any, word: Iterable[str]) -> list[int]:
    """The token ids of a word, ``<bos>`` first, as the manifest of a compiled language numbers them."""
    tokens = compiled.manifest.tokens
    return [tokens["<bos>"], *(tokens[symbol] for symbol in word)]


class Picture:
    """An SVG file, shown by a notebook when it is the last line of a cell."""

    def __init__(self, path: Path | str) -> None:
        self.text = Path(path).read_text(encoding="utf-8")

    def _repr_svg_(self) -> str:
        return self.text


def say(text: object) -> None:
    """Print prose in lines that a page has room for."""
    print("\n".join(textwrap.fill(line, 105) for line in str(text).split("\n")))


def number(value: Any) -> str:
    """A number without more digits than it needs; -0.0 and 0.0 are written alike."""
    if isinstance(value, (str, bool)):
        return str(value)
    value = float(value)
    return f"{value + 0.0:,.0f}" if value == round(value) and abs(value) < 1e15 else f"{value:.6g}"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table, right-aligned."""
    cells = [list(head), *([number(v) for v in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for row in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
