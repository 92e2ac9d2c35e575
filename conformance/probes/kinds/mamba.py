"""Probes as weights of a Mamba.

Delta, B and C of a Mamba come from its channels' x, so that each block gets, before the probe's channels, those which
only feed them: one for every feature that Delta or a sign depends on, and for B and C the constant, the features of
lines that are plain sums, and any other line as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ....models.mamba import MambaShape, MambaWeights
from ....models.weights import Tensor
from ..probe import NEVER, ONE, Block, Channel, Line, Probe, unbiased
from .kind import KEEPS, Kind, Lowered, Residual, T, around_blocks, in_blocks

B_UNIT = 2.0**-20
FORGETS = 3.0
CONSTANT_LINE = Line(bias=1)
SHARP = 16 * T
"""The slope of a comparison."""
Weighted = Mapping[int, int]
"""Factors by the number of a channel."""


@dataclass(frozen=True)
class Wiring:
    """A block with the channels that feed Delta, signs, B and C.

    Attributes:
        channels: these, a constant first (none if nothing is remembered), then the probe's.
        rows: of dt: the channels that steer Delta or a sign.
        delta, sign: for each channel what it depends on, without the bias.
        b, c: for each entry of d_state what it is the sum of.
    """

    channels: tuple[Channel, ...]
    rows: tuple[int, ...]
    delta: tuple[Weighted, ...]
    sign: tuple[Weighted, ...]
    b: tuple[Weighted, ...]
    c: tuple[Weighted, ...]


def wired(block: Block) -> Wiring:
    """The block's wiring. O(size of the block)."""
    found: list[Channel] = []

    def fed(line: Line, above: Mapping[str, float]) -> int:
        """The channel with this line, added if there is none."""
        for number, channel in enumerate(found):
            if (channel.x, channel.above) == (line, above):
                return number
        name = " ".join(line.reads) or "constant"
        found.append(Channel(f"is {name}", f"{name}, for others", "in_proj", line, above=above, writes={}))
        return len(found) - 1

    def steered(channel: Channel, form: Mapping[str, int]) -> Weighted:
        above = channel.above
        return {fed(Line({f: 1}), {f: above[f]} if f in above else {}): v for f, v in unbiased(form).items()}

    def entry(line: Line) -> Weighted:
        if line.taps != (1,) or min([line.bias, *line.reads.values()]) < 0:
            return {fed(line, {}): 1}
        constant = {fed(CONSTANT_LINE, {}): line.bias} if line.bias else {}
        return constant | {fed(Line({f: 1}), {}): v for f, v in line.reads.items()}

    fed(CONSTANT_LINE, {})
    delta = [steered(channel, channel.delta or NEVER) for channel in block.channels]
    sign = [steered(channel, channel.sign or {}) for channel in block.channels]
    rows = tuple(range(1, len(found)))
    b, c = (tuple(entry(line) for line in lines) for lines in (block.b, block.c))
    if not block.remembers:
        found, rows, b, c = [], (), ({},) * len(b), ({},) * len(c)
    silent: list[Weighted] = [{}] * len(found)
    return Wiring((*found, *block.channels), rows, (*silent, *delta), (*silent, *sign), b, c)


def lower(probe: Probe, *, signed: bool = False) -> Lowered:
    """The probe as weights. O(number of weights).

    Args:
        probe: the program.
        signed: as weights of signed blocks; a probe with signs has no others.
    """
    residual = Residual.of(probe)
    wirings = [wired(block) for block in probe.blocks]
    assert signed or all(channel.sign is None for block in probe.blocks for channel in block.channels)
    shape = MambaShape(
        d_model=residual.d_model,
        n_layers=len(probe.blocks),
        vocab_size=probe.vocabulary,
        expand=max(-(-len(wiring.channels) // residual.d_model) for wiring in wirings),
        d_state=probe.d_state,
        d_conv=probe.d_conv,
        dt_rank=max([1, *(len(wiring.rows) for wiring in wirings)]),
        signed=signed,
    )
    blocks = [block_tensors(wiring, shape, residual, layer) for layer, wiring in enumerate(wirings)]
    channels = tuple(wiring.channels for wiring in wirings)
    return Lowered(MambaWeights(shape, around_blocks(probe) | in_blocks(blocks)), channels)


def block_tensors(wiring: Wiring, shape: MambaShape, residual: Residual, layer: int) -> dict[str, Tensor]:
    """The tensors of a block but its norm, by their names in it."""
    w = {n: np.zeros(size, dtype=np.float32) for n, size in shape.block_tensors().items() if n != "norm.weight"}
    channels, n = wiring.channels, len(wiring.channels)
    inputs = residual.rows([channel.x.reads for channel in channels], layer)
    w["mixer.in_proj.weight"][:n] = inputs
    gates = residual.rows([channel.gate for channel in channels], layer)
    w["mixer.in_proj.weight"][shape.d_inner : shape.d_inner + n] = T * gates
    for number, row in enumerate(wiring.rows):
        w["mixer.x_proj.weight"][number, row] = 1.0
    for sums, first, unit in ((wiring.b, shape.dt_rank, B_UNIT), (wiring.c, shape.dt_rank + shape.d_state, 1.0)):
        for entry, form in enumerate(sums):
            for number, value in form.items():
                w["mixer.x_proj.weight"][first + entry, number] = value * unit / T
    w["mixer.A_log"][:] = FORGETS
    w["mixer.dt_proj.bias"][:] = -T
    for c, channel in enumerate(channels):
        for back, tap in enumerate(reversed(channel.x.taps), 1):
            w["mixer.conv1d.weight"][c, 0, -back] = T * tap
        w["mixer.conv1d.bias"][c] = T * channel.x.bias
        w["mixer.A_log"][c, sorted(channel.keeps & set(range(shape.d_state)))] = KEEPS
        scale = 2.0**-channel.fine
        w["mixer.D"][c] = channel.skip / T * scale
        w["mixer.dt_proj.bias"][c] = T * (channel.delta or NEVER).get(ONE, 0) * scale
        for number, value in wiring.delta[c].items():
            w["mixer.dt_proj.weight"][c, wiring.rows.index(number)] = value * scale
        for name, value in channel.written.items():
            w["mixer.out_proj.weight"][residual.place[name], c] = value / T / scale
        if channel.delta is None:
            for name, threshold in channel.above.items():  # what the norm makes of a tiny feature, scaled up
                w["mixer.in_proj.weight"][c, residual.place[name]] /= residual.gain()
                w["mixer.conv1d.weight"][c, 0, -1] = SHARP
                w["mixer.conv1d.bias"][c] = -SHARP * threshold
    if shape.signed:
        w["mixer.sign_proj.bias"][:] = T
        for c, channel in enumerate(channels):
            if channel.sign is not None:
                w["mixer.sign_proj.bias"][c] = T * channel.sign.get(ONE, 0)
            for number, value in wiring.sign[c].items():
                w["mixer.sign_proj.weight"][c, wiring.rows.index(number)] = value
    return w


KIND = Kind(lower)
