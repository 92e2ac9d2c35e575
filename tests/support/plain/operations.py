"""Operations, written plainly, with the signatures of mamba_ssm and causal_conv1d."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import silu, softplus


def _step(delta: Tensor, bias: Tensor | None, soft: bool) -> Tensor:
    delta = delta if bias is None else delta + bias
    return softplus(delta) if soft else delta


def _finished(y: Tensor, x: Tensor, D: Tensor | None, z: Tensor | None) -> Tensor:
    y = y if D is None else y + D * x
    return y if z is None else y * silu(z)


def _by_channel(v: Tensor, channels: int, time: int) -> Tensor:
    """B or C as (batch, channels, states, time)."""
    if v.dim() == 2:
        return v[None, :, :, None].expand(1, -1, -1, time)
    v = v[:, None] if v.dim() == 3 else v
    return v.repeat_interleave(channels // v.shape[1], dim=1)


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    return_last_state: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    step = _step(delta, None if delta_bias is None else delta_bias[:, None], delta_softplus)
    batch, channels, time = u.shape
    enter, leave = (_by_channel(v, channels, time) for v in (B, C))
    h, told = u.new_zeros(batch, channels, A.shape[1]), []
    for t in range(time):
        dt = step[:, :, t, None]
        h = torch.exp(dt * A) * h + dt * enter[..., t] * u[:, :, t, None]
        told.append((h * leave[..., t]).sum(-1))
    y = _finished(torch.stack(told, -1), u, None if D is None else D[:, None], z)
    return (y, h) if return_last_state else y


def selective_state_update(
    state: Tensor,
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    dt_softplus: bool = False,
) -> Tensor:
    step = _step(dt, dt_bias, dt_softplus)[..., None]
    if x.dim() == 3:  # heads
        B, C = (v.repeat_interleave(x.shape[1] // v.shape[1], dim=1) for v in (B, C))
    enter, leave = B[..., None, :], C[..., None, :]
    state.copy_(torch.exp(step * A) * state + step * enter * x[..., None])
    return _finished((state * leave).sum(-1), x, D, z)


selective_state_update_of_heads = selective_state_update


def mamba_chunk_scan_combined(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    chunk_size: int,
    D: Tensor | None = None,
    z: Tensor | None = None,
    dt_bias: Tensor | None = None,
    initial_states: Tensor | None = None,
    seq_idx: Tensor | None = None,
    dt_softplus: bool = False,
    return_final_states: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    step = _step(dt, dt_bias, dt_softplus)
    batch, time, heads, size = x.shape
    enter, leave = (v.repeat_interleave(heads // v.shape[2], dim=2) for v in (B, C))
    ids = torch.zeros(batch, time) if seq_idx is None else seq_idx
    h = x.new_zeros(batch, heads, size, B.shape[3]) if initial_states is None else initial_states
    before, told = ids[:, :1], []
    for start in range(0, time, chunk_size):
        part = slice(start, start + chunk_size)
        which, writes = ids[:, part], step[:, part, :, None] * x[:, part]
        total = torch.cumsum(step[:, part] * A, dim=1)
        seen = (which[:, :, None] == which[:, None]).tril()[..., None]
        left = torch.where(seen, torch.exp(total[:, :, None] - total[:, None]), 0.0)
        products = torch.einsum("blhn,bshn->blsh", leave[:, part], enter[:, part])
        y = torch.einsum("blsh,blsh,bshp->blhp", products, left, writes)
        old = torch.exp(total) * (which == before)[..., None]
        y = y + torch.einsum("blhn,bhpn,blh->blhp", leave[:, part], h, old)
        new = torch.einsum("bshn,bsh,bshp->bhpn", enter[:, part], left[:, -1], writes)
        h = old[:, -1, :, None, None] * h + new
        before = which[:, -1:]
        told.append(y)
    y = _finished(torch.cat(told, dim=1), x, None if D is None else D[:, None], z)
    return (y, h) if return_final_states else y


def _taps(wide: Tensor, weight: Tensor, bias: Tensor | None, activation: str | None, kept: list[Tensor]) -> Tensor:
    taps, time = weight.shape[1], wide.shape[2] - weight.shape[1] + 1
    out = torch.zeros_like(wide[..., :time])
    for k in range(taps):
        out = out + weight[:, k, None] * wide[..., k : k + time] * (kept[k] if kept else 1.0)
    out = out if bias is None else out + bias[:, None]
    return out if activation is None else silu(out)


def causal_conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    seq_idx: Tensor | None = None,
    initial_states: Tensor | None = None,
    return_final_states: bool = False,
    activation: str | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    room = weight.shape[1] - 1
    before = x.new_zeros(*x.shape[:2], room) if initial_states is None else initial_states
    wide, kept = torch.cat([before, x], dim=-1), []
    if seq_idx is not None:
        ids = torch.cat([torch.full((len(seq_idx), room), -1), seq_idx], dim=1)
        kept = [(ids[:, k : k + x.shape[2]] == seq_idx)[:, None] for k in range(room + 1)]
    out = _taps(wide, weight, bias, activation, kept)
    return (out, wide[..., wide.shape[2] - room :]) if return_final_states else out


def causal_conv1d_update(
    x: Tensor, conv_state: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str | None = None
) -> Tensor:
    wide = torch.cat([conv_state, x], dim=-1)
    conv_state.copy_(wide[..., -conv_state.shape[2] :])
    return _taps(wide[..., -x.shape[2] - weight.shape[1] + 1 :], weight, bias, activation, [])
