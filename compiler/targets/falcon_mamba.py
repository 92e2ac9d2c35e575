"""Falcon-Mamba as a target: Mamba's blocks, with dt, B and C made so that their norms are exact.

rms(v) = v / sqrt(mean(v^2) + epsilon) has no weights. It divides by a power of two where the root is one:

- *dt.* The first n of r = n 4^j rows are the constant G = 2^36 (n is 1 or 2). The mean of squares is G^2 / 4^j, since
  the squares of the other rows, integers times T, are below half a unit in the last place of G^2 = 2^72, and so is
  epsilon. So each row comes out divided by 2^(36-j), and dt_proj multiplies it by that.
- *B and C of a memory.* d_state = n 4^j, and the first n entries are one constant: each comes out as 2^j. So n states
  of a channel hold the same, and the others stay zero. Where Mamba has B = b, what is read is larger by d_state / b;
  D follows, and out_proj takes the factor back.
- *B and C of counters.* d_state = 4 m, with m the power of four that holds the counters. B has what is added in the
  first m entries, and in the next one the constant 2^40: what is added comes out divided by 2^40 / sqrt(4 m). C is a
  constant in the first m entries, and comes out as 2 there; in the others it is 0, so what the constant of B writes is
  never read. out_proj halves.

A channel that is constant is needed for the constants; a block without one has no memory, and its dt, B and C are zero,
as those of masked padding are, where rms(0) = 0.

Counters: Delta = 2^30, and A_log = -60: exp(-2^30 e^-60) rounds to 1 even in float64. B is 2^-40 * (what is added), 0
where nothing is. At ``<bos>`` Delta = 2^98 and the gate exp(-2^98 e^-60) underflows to 0, with B =
2^-108 * (the initial value). (Mamba's own constants would leave too little room beside the constant of B.)
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial

import numpy as np

from ...models.classes import model_classes
from ...models.mamba import FALCON_MAMBA, FalconMambaShape, MambaShape
from ...models.weights import ModelWeights, Tensor
from ..circuits.circuit import Circuit, CircuitBlock
from .base import Lowered, Options, Target, TargetError, within
from .layout import Stream, block_labels, counter_labels, dimensions, narrowest_stream
from .lower import A_LOG, BlockTensors, T, assembled
from .mamba import dt_rows, empty_block, latches_of, mamba_block, mamba_shape, set_channels

DT_CONSTANT = 2.0**36
B_CONSTANT = 2.0**40
READ_CONSTANT = 2.0**20
"""A constant entry of B or C: its square absorbs epsilon."""
A_LOG_COUNT = -60.0
DELTA_COUNT, DELTA_RESET = 2.0**30, 2.0**98
GAIN_OF_COUNTERS = 2.0
"""C of a counter, after the norm."""


@dataclass(frozen=True)
class Rank:
    """A width n 4^j for a norm that divides by a power of two; n constants come first.

    Attributes:
        n: how many constants, 1 or 2.
        j: the exponent.
    """

    n: int
    j: int

    @property
    def width(self) -> int:
        """n 4^j."""
        return self.n << 2 * self.j

    @property
    def rows(self) -> int:
        """Places beside the constants."""
        return self.width - self.n


def narrowest(rows: int) -> Rank:
    """The narrowest width from 4 on with so many places beside the constants."""
    j = 1
    while True:
        for n in (1, 2):
            if (rank := Rank(n, j)).rows >= rows:
                return rank
        j += 1


def rank_of(width: int) -> Rank:
    """The same of a power of two."""
    exponent = width.bit_length() - 1
    return Rank(1 + exponent % 2, exponent // 2)


def lower(circuit: Circuit, options: Options) -> Lowered:
    """Write the circuit as weights. O(number of weights).

    Args:
        circuit: the language.
        options: as for the target mamba, but d_state is a power of two; one or two states of a channel are used.

    Raises:
        TargetError: d_state is no power of two.
    """
    if options.d_state & (options.d_state - 1):
        raise TargetError(
            f"d_state must be a power of two in the target falcon_mamba, not {options.d_state}: the norm of B must "
            "divide by a power of two"
        )
    stream = narrowest_stream(circuit.features)
    plain = mamba_shape(circuit, stream, options)
    shape = within(_shape(plain, narrowest(plain.dt_rank), counts=circuit.counts), options.parameters)
    blocks = [_block(block, stream, shape) for block in circuit.blocks or (CircuitBlock("nothing to do"),)]
    weights = ModelWeights(shape, assembled(circuit, stream, blocks))
    return Lowered(weights, dimensions(circuit, stream), block_labels(circuit), counter_labels(circuit))


def _shape(plain: MambaShape, rank: Rank, *, counts: bool) -> FalconMambaShape:
    sizes = {field.name: getattr(plain, field.name) for field in fields(plain)}
    d_state = 4 * _power_of_four(plain.d_state) if counts else plain.d_state
    return FalconMambaShape(**sizes | {"dt_rank": rank.width, "d_state": d_state})


def _power_of_four(least: int) -> int:
    """The smallest one that is not below ``least``."""
    return 1 << 2 * ((least - 1).bit_length() + 1 >> 1)


def _block(block: CircuitBlock, stream: Stream, shape: FalconMambaShape) -> BlockTensors:
    """The parameters of one block."""
    if block.counters:
        return _counting(block, stream, shape)
    # The Mamba whose block is rewritten has one state per channel, and rows of dt without constants.
    sizes = {field.name: getattr(shape, field.name) for field in fields(MambaShape)}
    rows = len(dt_rows(block))
    plain = mamba_block(block, stream, MambaShape(**sizes | {"d_state": 1, "dt_rank": max(1, rows)}))
    return _normed(plain, shape, block.one) if latches_of(block) else _widened(plain, shape)


def _widened(plain: BlockTensors, shape: FalconMambaShape) -> BlockTensors:
    """A block without memories: dt, B and C are zero."""
    return empty_block(shape) | {name: t for name, t in plain.items() if name not in _OF_THE_STATE}


_OF_THE_STATE = ("mixer.x_proj.weight", "mixer.dt_proj.weight", "mixer.A_log")


def _normed(plain: BlockTensors, shape: FalconMambaShape, one: int) -> BlockTensors:
    """A Mamba block in which B = 2^-20 and C = 1, rewritten for norms.

    Args:
        plain: the block, of one state per channel.
        shape: the sizes wanted.
        one: a channel whose x is always T.
    """
    w = _widened(plain, shape)
    rank, state = rank_of(shape.dt_rank), rank_of(shape.d_state)
    rows = plain["mixer.dt_proj.weight"].shape[1]
    x_proj = w["mixer.x_proj.weight"]
    x_proj[: rank.n, one] = DT_CONSTANT / T
    x_proj[rank.n : rank.n + rows] = plain["mixer.x_proj.weight"][:rows]
    for first in (shape.dt_rank, shape.dt_rank + shape.d_state):  # B and C
        x_proj[first : first + state.n, one] = READ_CONSTANT / T
    w["mixer.dt_proj.weight"][:, rank.n : rank.n + rows] = _undone(plain["mixer.dt_proj.weight"], rank)
    w["mixer.A_log"][:] = plain["mixer.A_log"]
    return _gained(w, shape.d_state / 2.0**-20)


def _undone(dt_proj: Tensor, rank: Rank) -> Tensor:
    """Weights of dt that take back what its norm divides by."""
    return dt_proj * (DT_CONSTANT / 2.0**rank.j)


def _gained(w: BlockTensors, gain: float) -> BlockTensors:
    """What is read from the state is larger by a factor: D follows, and out_proj takes it back."""
    w["mixer.D"] = w["mixer.D"] * gain
    w["mixer.out_proj.weight"] = w["mixer.out_proj.weight"] / gain
    return w


def _counting(block: CircuitBlock, stream: Stream, shape: FalconMambaShape) -> BlockTensors:
    """A block of counters."""
    assert not latches_of(block), "latches and counters of one block would share B"
    w, one = empty_block(shape), block.one
    bos = block.counters[0][1].bos
    set_channels(w, block, stream, shape)
    rank, state = rank_of(shape.dt_rank), rank_of(shape.d_state)
    r, n, used = shape.dt_rank, shape.d_state, shape.d_state // 4
    x_proj = w["mixer.x_proj.weight"]
    x_proj[: rank.n, one] = DT_CONSTANT / T
    x_proj[rank.n, bos] = 1.0
    x_proj[rank.n + 1, [one, bos]] = 1.0, -1.0  # everywhere else
    x_proj[r + used, one] = B_CONSTANT / T
    x_proj[r + n : r + n + used, one] = READ_CONSTANT / T
    undone = B_CONSTANT / 2.0**state.j
    for c, counter in block.counters:
        w["mixer.A_log"][c] = A_LOG
        w["mixer.A_log"][c, counter.index] = A_LOG_COUNT
        w["mixer.dt_proj.bias"][c] = 0.0
        deltas = np.array([DELTA_RESET / T, DELTA_COUNT / T], dtype=np.float32)
        w["mixer.dt_proj.weight"][c, rank.n : rank.n + 2] = _undone(deltas, rank)
        for source, amount in counter.add.items():
            x_proj[r + counter.index, source] = amount * undone / DELTA_COUNT / T / T
        for source, value in {counter.bos: counter.initial, **counter.anew}.items():
            x_proj[r + counter.index, source] = value * undone / DELTA_RESET / T / T
    return _gained(w, GAIN_OF_COUNTERS)


TARGET = Target(
    name="falcon_mamba",
    model_type=FALCON_MAMBA,
    title="Falcon-Mamba: transformers' FalconMambaForCausalLM",
    gates="nonnegative",
    dtypes=("float32", "bfloat16", "float64"),
    lower=lower,
    classes=partial(model_classes, FALCON_MAMBA),
    constants={
        "T": T,
        "A_log": A_LOG,
        "dt": DT_CONSTANT,
        "A_log of counters": A_LOG_COUNT,
        "Delta of counters": DELTA_COUNT,
        "Delta at <bos> of counters": DELTA_RESET,
        "B of counters": B_CONSTANT,
    },
)
