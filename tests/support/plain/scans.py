"""Plain scans: what C reads of a recurrence at every step, and the last state, from the state before it."""

from __future__ import annotations

import torch
from plain.blocks import Terms
from torch import Tensor


def read(states: Tensor, c: Tensor) -> Tensor:
    """What C reads of states of shape (batch, time, ..., n)."""
    return torch.einsum("bt...n,btn->bt...", states, c)


def moves(t: Terms) -> tuple[Tensor, Tensor]:
    """The gate and the write of every step, of the state's shape or broadcast to it."""
    gate = t.sign * torch.exp(t.decay)
    write = torch.einsum("bt...,btn->bt...n", t.dx, t.b)
    return gate, write


def steps(t: Terms, h: Tensor) -> tuple[Tensor, Tensor]:
    """One step after another."""
    gate, write = moves(t)
    states = []
    for i in range(write.shape[1]):
        h = gate[:, i] * h + write[:, i]
        states.append(h)
    return read(torch.stack(states, dim=1), t.c), h


def doubling(t: Terms, h: Tensor) -> tuple[Tensor, Tensor]:
    """A prefix scan that doubles its distance."""
    a, b = moves(t)
    a = a.expand_as(b)
    distance = 1
    while distance < a.shape[1]:
        left_a, left_b = a[:, :-distance], b[:, :-distance]
        right_a, right_b = a[:, distance:], b[:, distance:]
        joined_a, joined_b = left_a * right_a, right_a * left_b + right_b
        a = torch.cat([a[:, :distance], joined_a], dim=1)
        b = torch.cat([b[:, :distance], joined_b], dim=1)
        distance *= 2
    states = a * h[:, None] + b
    return read(states, t.c), states[:, -1]


def matrix(t: Terms, h: Tensor) -> tuple[Tensor, Tensor]:
    """Mamba-2's masked matrix: t.decay has one number per head."""
    decay = t.decay[..., 0, 0]
    total = decay.cumsum(dim=1)
    between = total[:, :, None] - total[:, None, :]  # (batch, to, from, heads)
    causal = torch.ones(between.shape[1:3]).tril().bool()[None, :, :, None]
    weights = torch.exp(between.masked_fill(~causal, -torch.inf))
    scores = torch.einsum("btn,bsn->bts", t.c, t.b)
    inside = torch.einsum("bts,btsh,bshp->bthp", scores, weights, t.dx)
    from_start = torch.exp(total)
    outside = torch.einsum("bth,bhpn,btn->bthp", from_start, h, t.c)
    until_end = torch.exp(total[:, -1:] - total)
    own = torch.einsum("bsh,bshp,bsn->bhpn", until_end, t.dx, t.b)
    h = torch.exp(total[:, -1])[:, :, None, None] * h + own
    return inside + outside, h
