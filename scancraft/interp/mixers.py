"""What happens inside a mixer between its modules, told by the formulas of ``models.block``.

``transformers`` computes the recurrence in one function and shows no state but the last. Here it is computed once more
from what its modules put out, in the same order of operations, and every array may be looked at and replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..models.arithmetic import Floats
from ..models.block import Selected, selective_scan, selective_scan_of_heads

Edit = Callable[[str, Tensor, int], Tensor]
"""Shown a name, what it is at some times (batch, times, ...) and the first of these; what it returns is used."""


def reader(kind: str) -> str:
    """The module of a mixer that reads what the recurrence puts out."""
    return "norm" if kind == "mamba2" else "out_proj"


def scanned(kind: str, mixer: Any, got: Mapping[str, Tensor], edit: Edit) -> Tensor:
    """What :func:`reader` reads, shape (batch, time, d_inner).

    Args:
        kind: the ``model_type``.
        mixer: the block's mixer.
        got: what modules put out in this forward pass: ``in_proj``; but of Mamba-2 ``conv`` and ``x_proj``, too.
        edit: is shown what ``points.INSIDE`` names.
    """
    return _heads(mixer, got, edit) if kind == "mamba2" else _channels(kind, mixer, got, edit)


def _channels(kind: str, mixer: Any, got: Mapping[str, Tensor], edit: Edit) -> Tensor:
    a, inner, states = Floats(), mixer.intermediate_size, mixer.ssm_state_size
    x = got["conv"]
    dt, b, c = torch.split(got["x_proj"], [mixer.time_step_rank, states, states], dim=-1)
    if kind == "falcon_mamba":
        dt, b, c = (a.rms(v, mixer.rms_eps) for v in (dt, b, c))
    b, c = edit("B", b, 0), edit("C", c, 0)
    turn = None
    if kind == "signed_mamba":
        turn = a.linear(mixer.sign_proj.weight, dt) + mixer.sign_proj.bias
    # As transformers does it: the product is rounded before the bias is added.
    step = (mixer.dt_proj.weight @ dt.transpose(1, 2) + mixer.dt_proj.bias[:, None]).transpose(1, 2)
    selected = Selected(_turned(step), _turned(b), _turned(c), None if turn is None else _turned(turn))
    y, _ = selective_scan(a, _weights(mixer), _turned(x), selected, _nothing(x, inner, states), _seen(edit))
    return _turned(y) * a.silu(got["in_proj"][..., inner:])


def _heads(mixer: Any, got: Mapping[str, Tensor], edit: Edit) -> Tensor:
    inner, states, heads, size = mixer.intermediate_size, mixer.ssm_state_size, mixer.num_heads, mixer.head_dim
    projected = got["in_proj"]
    time = projected.shape[1]
    window = projected[..., inner:-heads].transpose(1, 2)
    convolved = edit("conv", mixer.act(mixer.conv1d(window)[..., :time]).transpose(1, 2), 0)
    x, b, c = torch.split(convolved, [inner, states, states], dim=-1)
    b, c = edit("B", b, 0), edit("C", c, 0)
    selected = Selected(_turned(projected[..., -heads:] + mixer.dt_bias), _turned(b), _turned(c))
    start = _nothing(x, heads, size, states)
    x = _turned(x).reshape(time, len(x), heads, size)
    y, _ = selective_scan_of_heads(Floats(), _weights(mixer), x, selected, start, _seen(edit))
    return _turned(y).flatten(2)


def _weights(mixer: Any) -> dict[str, Tensor]:
    return {f"mixer.{name}": parameter for name, parameter in mixer.named_parameters()}


def _nothing(like: Tensor, *shape: int) -> Tensor:
    return torch.zeros(len(like), *shape, dtype=like.dtype)


def _turned(v: Tensor) -> Tensor:
    """From (batch, time, ...) to (time, batch, ...), as the formulas have it, and back."""
    return v.transpose(0, 1)


def _seen(edit: Edit) -> Callable[[str, Tensor], Tensor]:
    """An edit as the formulas call it; states come one by one."""
    time = -1

    def seen(name: str, value: Tensor) -> Tensor:
        nonlocal time
        if name == "state":
            time += 1
            return edit("ssm_state", value[:, None], time)[:, 0]
        return _turned(edit({"step": "dt"}.get(name, name), _turned(value), 0))

    return seen
