"""Mamba-2 blocks as channels in heads, in dimensions of the residual stream, and their parameters.

What a block needs, whatever it is for (``compiler.targets.mamba2`` has the arguments why the numbers are exact):
channels with one Delta lie in the same heads; B and C are constants in the first state; and 1 or 2 channels carry a
constant so large that the norm after the scan is an exact multiplication.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ...models.mamba2 import Mamba2Shape
from ..circuits.circuit import Role
from ..manifest import MemoryLabel
from .lower import BlockTensors

HEADS, MOST_HEADS = 8, 1 << 12
"""The fewest heads, and the most; their number is a power of two. causal-conv1d wants rows of in_proj in multiples of
8; with d_state a multiple of 4, 2 d_inner + 2 d_state + heads is one."""

D_STATE_MULTIPLE = 4

Form = Mapping[int, float]
"""A linear form of the residual stream: weights by dimension."""


@dataclass(frozen=True)
class Channel:
    """One channel of a Mamba-2 block, in dimensions of the residual stream.

    Attributes:
        role: as in a circuit; None for the constants, which out_proj does not see.
        meaning: for people.
        x: the form that the convolution reads.
        taps: its last taps.
        bias: its bias.
        gate: the gate branch.
        gain: y * silu(z) is this where the channel says 1.
        writes: what out_proj does with that 1.
        holds: what its state remembers.
        label: the label of it that it shows.
    """

    role: Role | None
    meaning: str
    x: Form
    taps: tuple[float, ...]
    bias: float
    gate: Form
    gain: float
    writes: Form = field(default_factory=dict)
    holds: MemoryLabel | None = None
    label: int | None = None


@dataclass(frozen=True)
class Heads:
    """Channels that share Delta, A and D: one or more heads.

    Attributes:
        channels: in order.
        delta: the form that Delta's pre-activation adds to its bias.
        bias: its bias.
        a_log: logarithm of -A.
        skip: D.
    """

    channels: tuple[Channel, ...]
    delta: Form
    bias: float
    a_log: float = 0.0
    skip: float = 0.0


@dataclass(frozen=True)
class Layer:
    """One Mamba-2 block.

    Attributes:
        memories: heads whose channels read the state.
        others: the channels of the last heads, which read D x; the constants come after them.
        hold: the bias of Delta in the last heads, where Delta is 0.
        constant: B and C of the first state.
        exponent: the channels that carry the norm after the scan have 2^exponent.
        title: for people.
        finds_only: it writes indicators for the next block, and nothing else.
    """

    memories: tuple[Heads, ...]
    others: tuple[Channel, ...]
    hold: float
    constant: float
    exponent: int
    title: str
    finds_only: bool = False


def heads_of(layer: Layer, d_inner: int) -> tuple[Heads, ...]:
    """All heads of a layer, the constants in the last ones."""
    last = Heads((*layer.others, *_constants(layer.exponent, d_inner)), {}, layer.hold, skip=1.0)
    return (*layer.memories, last)


def _constants(exponent: int, d_inner: int) -> tuple[Channel, ...]:
    """The channels that carry 2^exponent, n of them with d_inner = n 4^j; out_proj does not see them."""
    x, z = 2.0 ** (exponent - exponent // 2), 2.0 ** (exponent // 2)
    channel = Channel(None, "carries the norm after the scan", {}, (0.0, 0.0), x, {0: z}, 0.0)
    return (channel,) * (1 if d_inner.bit_length() % 2 else 2)


def _first_heads(layer: Layer, d_inner: int, n_heads: int) -> list[int]:
    """Where each of the layer's heads begin, and the number of heads that they take."""
    first = [0]
    for heads in heads_of(layer, d_inner):
        first.append(first[-1] + -(-len(heads.channels) // (d_inner // n_heads)))
    return first


def narrowest(layers: tuple[Layer, ...], d_model: int) -> tuple[int, int]:
    """The least d_inner, a power of two and a multiple of d_model, that has room for every layer, and its heads.

    The number of heads is the least with which it has; a head has two channels at least.
    """
    d_inner = d_model
    while True:
        n_heads = HEADS
        while n_heads <= MOST_HEADS and 2 * n_heads <= d_inner:
            if all(_first_heads(layer, d_inner, n_heads)[-1] <= n_heads for layer in layers):
                return d_inner, n_heads
            n_heads *= 2
        d_inner *= 2


def placed(layer: Layer, d_inner: int, n_heads: int = HEADS) -> dict[int, Channel]:
    """The channels of a layer by their numbers: memories in the first heads, all others in the heads after."""
    found: dict[int, Channel] = {}
    size = d_inner // n_heads
    for first, heads in zip(_first_heads(layer, d_inner, n_heads), heads_of(layer, d_inner), strict=False):
        found |= {first * size + n: channel for n, channel in enumerate(heads.channels)}
    return found


def layer_block(layer: Layer, shape: Mamba2Shape) -> BlockTensors:
    """The parameters of one block, without the norm before it."""
    w = {name: np.zeros(size, dtype=np.float32) for name, size in shape.block_tensors().items()}
    d_inner, first_b = shape.d_inner, 2 * shape.d_inner
    in_proj, conv, bias = w["mixer.in_proj.weight"], w["mixer.conv1d.weight"], w["mixer.conv1d.bias"]
    exponent = (d_inner // len(_constants(layer.exponent, d_inner))).bit_length() // 2  # j in d_inner = n 4^j
    for c, channel in placed(layer, d_inner, shape.n_heads).items():
        for dimension, weight in channel.gate.items():
            in_proj[c, dimension] = weight
        for dimension, weight in channel.x.items():
            in_proj[d_inner + c, dimension] = weight
        conv[c, 0, -len(channel.taps) :] = channel.taps
        bias[c] = channel.bias
        if channel.gain:
            w["mixer.norm.weight"][c] = 2.0 ** (layer.exponent - exponent) / channel.gain
        for dimension, weight in channel.writes.items():
            w["mixer.out_proj.weight"][dimension, c] = weight
    first = _first_heads(layer, d_inner, shape.n_heads)
    first[-1] = shape.n_heads  # heads that are left over are like the last
    for heads, start, stop in zip(heads_of(layer, d_inner), first, first[1:], strict=False):
        w["mixer.dt_bias"][start:stop] = heads.bias
        w["mixer.A_log"][start:stop] = heads.a_log
        w["mixer.D"][start:stop] = heads.skip
        for dimension, weight in heads.delta.items():
            in_proj[first_b + 2 * shape.d_state :][start:stop, dimension] = weight
    if layer.memories:
        bias[d_inner] = bias[d_inner + shape.d_state] = layer.constant  # B and C are constants in the first state
    return w
