"""Signed Mamba as a target: Mamba's blocks, and blocks whose register is one bit that a letter can turn over.

- *Swap* (docs/signed.md). The memory m is 1 for the label 0 and -1 for 1, in every channel that shows the register.
  Overwriting it is as in the target mamba, with B = 2^-20 (or -2^-20), through x_proj from the condition's channels.
  Where a swap holds and no label is written, Delta = 0 and the sign's pre-activation is T - 2T: the gate is tanh(-T)
  exp(-0) = -1; elsewhere tanh(T) = 1. A channel that shows label 0 has D x = 1, so y = m + 1 is 2 or 0; one that shows
  1 has D x = -1 and y = m - 1, which is -2 or 0; out_proj halves it.

Blocks without swaps are those of the target mamba (``compiler.targets.mamba``), with every sign +1.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ...models.classes import model_classes
from ...models.mamba import SIGNED_MAMBA, MambaShape, MambaWeights
from ..circuits.circuit import Circuit, CircuitBlock, Register
from .base import Lowered, Options, Target, TargetError, within
from .layout import Stream, narrowest_stream
from .lower import A_LOG, BlockTensors, T, assembled
from .mamba import empty_block, labelled, mamba_block, mamba_shape, set_channels

OVERWRITE, SWAP = 0, 1
"""The rows of dt in a block with swaps."""


def lower(circuit: Circuit, options: Options) -> Lowered:
    """Write the circuit, a cascade or a plan, as weights. O(number of weights)."""
    stream = narrowest_stream(circuit.features)
    plain = mamba_shape(circuit, stream, options)
    signed = replace(plain, dt_rank=max(plain.dt_rank, 2 if circuit.swaps else 1), signed=True)
    shape = within(signed, options.parameters)
    blocks = [_block(block, stream, shape) for block in circuit.blocks or (CircuitBlock("nothing to do"),)]
    return labelled(circuit, stream, MambaWeights(shape, assembled(circuit, stream, blocks)))


def _block(block: CircuitBlock, stream: Stream, shape: MambaShape) -> BlockTensors:
    """The parameters of one block, with or without swaps."""
    if any(register.swaps for register in block.registers):
        (register,) = block.registers  # B belongs to the block
        _check_bit(register)
        w = empty_block(shape)
        set_channels(w, block, stream, shape)
        _set_register(w, block, register, shape)
    else:
        w = mamba_block(block, stream, shape)
    w["mixer.sign_proj.bias"][:] = T  # the sign is +1 unless a swap says otherwise
    return w


def _check_bit(register: Register) -> None:
    if register.labels != (0, 1):
        raise TargetError(
            f"the memory {register.name} swaps labels of {len(register.labels)}, and a gate of -1 turns over one bit; "
            "use the target olmo_hybrid"
        )


def _set_register(w: BlockTensors, block: CircuitBlock, register: Register, shape: MambaShape) -> None:
    """The register of one bit, held as 1 or -1."""
    x_proj, (b_row, c_row) = w["mixer.x_proj.weight"], (shape.dt_rank, shape.dt_rank + shape.d_state)
    for label, form in register.writes.items():
        for c, weight in form.items():
            x_proj[OVERWRITE, c] = weight
            x_proj[b_row, c] = weight * _sign(label) * 2.0**-20 / T
    for c, weight in register.swaps[0, 1].items():
        x_proj[SWAP, c] = weight
    x_proj[c_row, block.one] = 1.0 / T
    for c, shown in block.shown:
        w["mixer.A_log"][c] = A_LOG
        w["mixer.dt_proj.weight"][c, OVERWRITE] = 2.0  # Delta's pre-activation is 2T - T where a label is written
        w["mixer.sign_proj.weight"][c, SWAP] = -2.0
        w["mixer.D"][c] = _sign(shown.label) / T
        w["mixer.out_proj.weight"][:, c] *= _sign(shown.label) / 2


def _sign(label: int) -> int:
    """What a label is held as."""
    return 1 - 2 * label


TARGET = Target(
    name="signed_mamba",
    model_type=SIGNED_MAMBA,
    title="signed Mamba: scancraft's SignedMambaForCausalLM",
    gates="signed",
    dtypes=("float32", "bfloat16", "float64"),
    lower=lower,
    classes=partial(model_classes, SIGNED_MAMBA),
    circuits=False,
    constants={"T": T, "A_log": A_LOG},
)
