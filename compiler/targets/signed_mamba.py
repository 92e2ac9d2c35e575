"""Signed Mamba as a target: Mamba's blocks, and blocks whose memory is one bit that a letter can turn over.

- *Swap.* (docs/signed.md). The memory m is 1 for the label 0 and -1 for 1. Overwriting it is
  as above with B = 2^-12 (or -2^-12), through x_proj from the condition's channels. Where a swap holds and no condition
  does, Delta = 0 and the sign's pre-activation is T - 2T: the gate is tanh(-T) exp(-0) = -1; elsewhere tanh(T) = 1.
  A channel that reads label 0 has D x = 1, so y = m + 1 is 2 or 0; one that reads 1 has D x = -1 and y = m - 1, which
  is -2 or 0; out_proj halves it.

Blocks without swaps are those of the target mamba (``compiler.targets.mamba``), with every sign +1.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ...models.classes import model_classes
from ...models.mamba import SIGNED_MAMBA, MambaShape, MambaWeights
from ..circuits.program import Block, Program
from . import mamba
from .base import Options, Target
from .layout import Stream, channels_of, stream_for
from .lower import A_LOG, T, V, program_embedding, program_head
from .mamba import BlockTensors, assembled, delta_rows, empty_block, set_move, set_threshold


def lower(program: Program, options: Options) -> MambaWeights:
    """Write the program as weights. O(number of weights).

    Args:
        program: the language as blocks.
        options: as for the target mamba.
    """
    ranks = [2 if block.swaps else len(delta_rows(block)) for block in program.blocks]
    shape = replace(mamba.program_shape(program, options), dt_rank=max([1, *ranks]), signed=True)
    stream = stream_for(program)
    blocks = [level_block(block, stream, shape) for block in program.blocks or (None,)]
    return MambaWeights(
        shape, assembled(blocks, stream, program_embedding(program, stream), program_head(program, stream))
    )


def level_block(block: Block | None, stream: Stream, shape: MambaShape) -> BlockTensors:
    """The parameters of one block, with or without swaps."""
    if block is None or not block.swaps:
        w = mamba.level_block(block, stream, shape)
    else:
        w = empty_block(shape)
        _set_swap_block(w, block, stream, shape)
    w["mixer.sign_proj.bias"][:] = T  # the sign is +1 unless a swap says otherwise
    return w


def _set_swap_block(w: BlockTensors, block: Block, stream: Stream, shape: MambaShape) -> None:
    """A block whose memory is one bit, held as 1 or -1: row 0 of dt says "overwrite it", row 1 "swap it"."""
    r, n = shape.dt_rank, shape.d_state
    overwrite, swap = 0, 1
    for channel in channels_of(block):
        c, condition, move = channel.index, channel.condition, channel.move
        if condition is not None:
            set_threshold(w, channel, stream)
            once = -1.0 if channel.role.endswith("excess") else 1.0
            if condition.label is None:
                w["mixer.x_proj.weight"][swap, c] = once
            else:
                w["mixer.x_proj.weight"][overwrite, c] = once
                w["mixer.x_proj.weight"][r, c] = once * (1.0 - 2.0 * condition.label) * 2.0**-12 / T
        elif move is not None and move.label is None:
            set_move(w, channel, stream, shape)
        elif move is not None and move.label is not None:
            sign = 1.0 - 2.0 * move.label
            set_move(w, channel, stream, shape, offset=sign, scale=sign / 2)
            w["mixer.A_log"][c, :] = A_LOG
            w["mixer.dt_proj.weight"][c, overwrite] = 1.0 + V / T
            w["mixer.sign_proj.weight"][c, swap] = -2.0
            w["mixer.x_proj.weight"][r + n, :] = 0.0
            w["mixer.x_proj.weight"][r + n, c] = 1.0 / V  # C is a constant; the x of any memory channel is V


TARGET = Target(
    name="signed_mamba",
    model_type=SIGNED_MAMBA,
    title="signed Mamba: scancraft's SignedMambaForCausalLM",
    gates="signed",
    dtypes=("float32", "bfloat16", "float64"),
    lower=lower,
    lower_circuit=None,
    classes=partial(model_classes, SIGNED_MAMBA),
    constants={"T": T, "V": V, "A_log": A_LOG},
)
