"""The part of a Mamba block, signed or not, that does something: smaller weights, from a look at them before they run.

Channels whose y is the same (the same inputs, taps, Delta, sign, A and D) are of one *kind*, and its y is computed
once. What is left out is exactly zero, whatever the weights are (as long as no number overflows):

- channels whose gate or column of ``out_proj`` is zero, unless ``x_proj`` reads them;
- states that nothing writes (B is zero, or Delta is) or nothing reads (C is zero).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus


@dataclass(frozen=True, eq=False)
class Parts:
    """What is computed of a block. All tensors are numbers of channels, states or kinds, int64.

    Attributes:
        first: one channel of each kind; the kinds with memory come first.
        cells: how many kinds have memory.
        spots: states per cell.
        out: channels that add to the residual stream.
        kinds: the kind of each of them.
        heard: channels that ``x_proj`` reads; each is of a kind of its own.
        heard_kinds: the kind of each of them.
        watched: (cell, place in ``spots``) of each watched entry.
    """

    first: Tensor
    cells: int
    spots: Tensor
    out: Tensor
    kinds: Tensor
    heard: Tensor
    heard_kinds: Tensor
    watched: tuple[tuple[int, int], ...]


def find_parts(w: Mapping[str, Tensor], live: Tensor, watched: Sequence[tuple[int, int]]) -> Parts:
    """The parts of a block that do something. O(number of weights), and a sort of the channels.

    Args:
        w: its parameters by their names inside the mixer, and ``norm.weight``.
        live: which residual dimensions can differ from zero, shape (d_model,).
        watched: (channel, state) of entries that are wanted in any case.
    """
    channels, states = w["A_log"].shape
    project, entering = w["x_proj.weight"], (w["in_proj.weight"] * (w["norm.weight"] != 0))[:, live]
    rank = len(project) - 2 * states
    steering = [w[name] for name in ("dt_proj.weight", "sign_proj.weight") if name in w]  # multiplied with dt
    biases = [w[name] for name in ("dt_proj.bias", "sign_proj.bias") if name in w]
    own = [w[name] for name in ("conv1d.weight", "conv1d.bias", "in_proj.bias") if name in w]

    used = (project[rank : rank + states] != 0).any(1) & (project[rank + states :] != 0).any(1)
    gated = (entering[channels:] != 0).any(1)
    if "in_proj.bias" in w:
        gated |= w["in_proj.bias"][channels:] != 0
        own[-1] = own[-1][:channels]
    emits = gated & (w["out_proj.weight"] != 0).any(0)
    remembers = emits & ((steering[0] != 0).any(1) | (softplus(biases[0]) != 0)) & used.any()
    for channel, state in watched:
        remembers[channel] = used[state] = True
    heard = (project != 0).any(0) & bool(remembers.any())
    chosen = (emits | remembers | heard).nonzero()[:, 0]
    alone = torch.where(heard, torch.arange(1, channels + 1), 0)
    every = [~remembers, alone, entering[:channels], *own, w["D"]]
    key = [_columns(part[chosen]) for part in every]
    key += [_columns(part[chosen]) * remembers[chosen, None] for part in (*steering, *biases, w["A_log"])]
    rows, kind = torch.unique(torch.cat([part.double() for part in key], dim=1), dim=0, return_inverse=True)
    kind_of = torch.zeros(channels, dtype=torch.int64).index_put((chosen,), kind)
    spots, out, heard = (flags.nonzero()[:, 0] for flags in (used, emits, heard))
    return Parts(
        first=torch.full((len(rows),), channels).scatter_reduce(0, kind, chosen, "amin"),
        cells=int((rows[:, 0] == 0).sum()),
        spots=spots,
        out=out,
        kinds=kind_of[out],
        heard=heard,
        heard_kinds=kind_of[heard],
        watched=tuple((int(kind_of[c]), int((spots == n).nonzero())) for c, n in watched),
    )


def _columns(part: Tensor) -> Tensor:
    return part.flatten(1) if part.dim() > 1 else part[:, None]
