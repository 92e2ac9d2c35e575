"""Which parts of a Mamba block, signed or not, do something: a look at its weights before it is run.

What is left out is exactly zero, or computed once instead of several times, whatever the weights are (as long as no
number overflows):

- channels whose gate or column of ``out_proj`` is zero, unless ``x_proj`` reads them;
- the x of a channel that reads nothing: a constant;
- states that nothing writes (B is zero, or Delta is) or nothing reads (C is zero);
- channels with the same x, Delta, sign, A and D: they are of one *kind*, and its y is computed once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import silu, softplus


@dataclass(frozen=True, eq=False)
class Parts:
    """The channels, states and rows of a block that are computed. All tensors are numbers of such, int64.

    Attributes:
        out: channels that add to the residual stream, sorted by kind.
        kinds: the kind of each of them.
        first: one channel of each kind; the kinds with memory come first.
        cells: one channel of each kind with memory.
        spots: states per cell.
        xs: channels whose x is computed.
        x_of: for each kind, its place in ``xs``; None if the x of all kinds is constant.
        dts: rows of dt that some cell reads.
        b_varies: whether B depends on the input.
        c_varies: whether C does.
        constant: x of the channels that read nothing, 0 for the others; a number per channel.
        watched: (cell, place in ``spots``) of each watched entry.
    """

    out: Tensor
    kinds: tuple[int, ...]
    first: Tensor
    cells: Tensor
    spots: Tensor
    xs: Tensor
    x_of: Tensor | None
    dts: Tensor
    b_varies: bool
    c_varies: bool
    constant: Tensor
    watched: tuple[tuple[int, int], ...]


def find_parts(w: Mapping[str, Tensor], live: Tensor, watched: Sequence[tuple[int, int]]) -> Parts:
    """The parts of a block that do something. O(number of weights), and a sort of the channels.

    Args:
        w: its parameters by their names inside the mixer, and ``norm.weight``; biases that it lacks are zero.
        live: which residual dimensions can differ from zero, shape (d_model,).
        watched: (channel, state) of entries that are wanted in any case.
    """
    channels, states = w["A_log"].shape
    rank = w["x_proj.weight"].shape[0] - 2 * states
    project, to_delta, delta_bias = w["x_proj.weight"], w["dt_proj.weight"], w["dt_proj.bias"]
    signed = "sign_proj.weight" in w
    steering = [to_delta, w["sign_proj.weight"]] if signed else [to_delta]  # what is multiplied with dt
    biases = [delta_bias, w["sign_proj.bias"]] if signed else [delta_bias]
    fed = ((w["in_proj.weight"] != 0) & (w["norm.weight"] != 0) & live).any(1)
    if "in_proj.bias" in w:
        fed |= w["in_proj.bias"] != 0
    varies = fed[:channels] & (w["conv1d.weight"][:, 0] != 0).any(1)
    at_rest = silu(w["conv1d.bias"]) if "conv1d.bias" in w else torch.zeros(channels, dtype=project.dtype)
    constant = torch.where(varies, 0, at_rest)
    silent = ~varies & (constant == 0)

    # Rows of x_proj that can differ from zero; states that are written and read; channels with a memory.
    heard = ((project != 0) & ~silent).any(1)
    used = heard[rank : rank + states] & heard[rank + states :]
    still = ~((to_delta != 0) & heard[:rank]).any(1) & (softplus(delta_bias) == 0)
    gated = fed[channels:] & (w["out_proj.weight"] != 0).any(0)
    remembers = gated & ~silent & ~still & used.any()
    emits = gated & (remembers | (~silent & (w["D"] != 0)))
    for channel, state in watched:
        remembers[channel] = used[state] = True
    spots = used.nonzero()[:, 0]

    chosen = (emits | remembers).nonzero()[:, 0]
    memory = remembers[chosen, None]
    which = torch.where(varies, torch.arange(1, channels + 1), 0)  # channels of varying x are of different kinds
    key = [~memory, which[chosen, None], constant[chosen, None], w["D"][chosen, None]]
    key += [part[chosen] * memory for part in (*steering, *(bias[:, None] for bias in biases), w["A_log"])]
    rows, kind = torch.unique(torch.cat([part.double() for part in key], dim=1), dim=0, return_inverse=True)
    first = torch.full((len(rows),), channels).scatter_reduce(0, kind, chosen, "amin")
    cells = first[rows[:, 0] == 0]
    order = torch.argsort(kind, stable=True)
    order = order[emits[chosen[order]]]

    dts = torch.stack([((part[cells] != 0) & heard[:rank]).any(0) for part in steering]).any(0).nonzero()[:, 0]
    read = (project != 0) & varies & bool(len(cells))
    b, c = read[rank + spots], read[rank + states + spots]
    # One x that varies among the kinds, and all of them are computed: constants are what the same formula gives.
    computed = read[dts].any(0) | b.any(0) | c.any(0)
    x_varies = bool(varies[first].any())
    if x_varies:
        computed[first] = True
    xs = computed.nonzero()[:, 0]
    return Parts(
        out=chosen[order],
        kinds=tuple(kind[order].tolist()),
        first=first,
        cells=cells,
        spots=spots,
        xs=xs,
        x_of=torch.searchsorted(xs, first) if x_varies else None,
        dts=dts,
        b_varies=bool(b.any()),
        c_varies=bool(c.any()),
        constant=constant,
        watched=tuple((int(kind[chosen == c]), int((spots == n).nonzero())) for c, n in watched),
    )
