"""Probes: small programs in integers for one kind of block, run exactly, and lowered to weights of a Mamba.

A probe is a list of blocks of named channels over named integer features, as a circuit is (``compiler.circuit``), but
it has everything that a Mamba block has: all taps of the convolution, all entries of d_state with their own A, B and C,
several rows of dt. A channel computes, in integers,

    x     = max(0, taps . (form k-1 steps ago, ..., form now) + bias)
    d     = delta, a linear form of the block's x; d < 0 holds the memory, d > 0 writes it
    h_n   = s (h_n if d < 0 or entry n keeps, else 0) + d B_n x  (the second term where d > 0)
            B_n and C_n are linear forms of the block's x; s = 1, or, in signed blocks, the sign of such a form
    y     = sum_n C_n h_n + skip * x
    features[f] += writes[f] * y * max(0, gate)

:func:`evaluate` computes just that with numpy's int64; no float and no Mamba is involved, so its result is what every
implementation owes. :func:`weights_of` scales the same integers by powers of two (the constants and the reasons are
those of ``compiler.lower``), with three differences that make more parameters matter: each norm has its own powers of
two, undone where it is read; every feature has a row of ``lm_head`` of its own, with a factor and an offset; and
Delta of a write may be any power of two from 32 to 1024.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...models.mamba import MambaShape, MambaWeights, Tensor

Ints = NDArray[np.int64]
Form = Mapping[str, int]

ONE = "1"
ALWAYS: Form = {ONE: 1}
NEVER: Form = {ONE: -1}
T = 2.0**10
B_UNIT = 2.0**-20
FORGETS, KEEPS = 3.0, -50.0
CONSTANT = 2.0**40
PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"


@dataclass(frozen=True)
class Channel:
    """One channel; see the module's docstring for what it computes.

    Args:
        name: what forms of the same block call it.
        meaning: what its output stands for.
        exercises: the parameter or the rule that it is there for.
        reads: over features; ``ONE`` is the constant feature.
        taps: the last is for this step; as many as there are or fewer.
        bias: of the convolution.
        delta: over channels; ``ONE`` is the bias of dt_proj. None: no memory.
        keeps: entries of d_state that are never forgotten (A is almost 0 there).
        sign: over channels, never 0; where it is negative the memory is turned over first. ``ONE`` is the bias of
            sign_proj. None: it never is. Only for signed blocks.
        fine: a write has Delta = 1024 / 2^fine.
        skip: D.
        gate: over features.
        writes: features that the product is added to.
    """

    name: str
    meaning: str
    exercises: str
    reads: Form = field(default_factory=dict)
    taps: tuple[int, ...] = (1,)
    bias: int = 0
    delta: Form | None = None
    keeps: frozenset[int] = frozenset()
    sign: Form | None = None
    fine: int = 0
    skip: int = 0
    gate: Form = field(default_factory=lambda: ALWAYS)
    writes: Form = field(default_factory=dict)


@dataclass(frozen=True)
class Block:
    """Channels, and for each entry of d_state the forms of B and C over them."""

    channels: tuple[Channel, ...]
    b: tuple[Form, ...] = ({},)
    c: tuple[Form, ...] = ({},)


@dataclass(frozen=True)
class Probe:
    """A program.

    Args:
        tokens: for each token of the input but ``<pad>`` and ``<eos>``, the features that its embedding sets.
        blocks: in order; all have the same number of B and C.
        d_conv: taps of the convolution.
        meanings: of tokens, for reports.
        tiny: features whose embedding is scaled by so much and which the head does not read.
        patch: changes to the lowered tensors that leave all integers as they are (for inexact intermediate values of
            which only the sign matters).
    """

    tokens: Mapping[str, Form]
    blocks: tuple[Block, ...]
    d_conv: int = 4
    meanings: Mapping[str, str] = field(default_factory=dict)
    tiny: Mapping[str, float] = field(default_factory=dict)
    patch: Callable[[dict[str, Tensor], Mapping[str, int]], None] | None = None

    @property
    def d_state(self) -> int:
        """Entries of the state per channel."""
        return len(self.blocks[0].b)

    @property
    def features(self) -> tuple[str, ...]:
        """The constant, then every feature that a token sets or a channel writes."""
        found = {ONE: None}
        for form in self.tokens.values():
            found |= dict.fromkeys(form)
        for block in self.blocks:
            for channel in block.channels:
                found |= dict.fromkeys(channel.writes)
        return tuple(found)

    @property
    def ids(self) -> dict[str, int]:
        """Token ids."""
        return {token: i for i, token in enumerate((PAD, BOS, EOS, *(t for t in self.tokens if t != BOS)))}

    @property
    def vocabulary(self) -> int:
        """Rows of the embedding and of the head: tokens or features, rounded up to a multiple of 8."""
        return -(-max(len(self.ids), len(self.features)) // 8) * 8

    def head(self) -> Ints:
        """Logits are features times this, shape (features, vocabulary): column j reads feature j, and the constant."""
        names = self.features
        head = np.zeros((len(names), self.vocabulary), dtype=np.int64)
        head[0] = 1 + np.arange(self.vocabulary) % 5
        for j in range(1, len(names)):
            head[j, j] = 0 if names[j] in self.tiny else 2 ** (j % 3)
        return head

    def embedding(self) -> Ints:
        """The features of every token, shape (vocabulary, features)."""
        names = {name: i for i, name in enumerate(self.features)}
        rows = np.zeros((self.vocabulary, len(names)), dtype=np.int64)
        rows[:, 0] = 1
        for token, form in self.tokens.items():
            for name, value in form.items():
                rows[self.ids[token], names[name]] = value
        return rows


@dataclass(frozen=True)
class Values:
    """What a probe computes on a batch: features before and after each block, shape (batch, time, features)."""

    streams: tuple[Ints, ...]
    logits: Ints


def evaluate(probe: Probe, ids: Ints) -> Values:
    """Run a probe on token ids of shape (batch, time), in integers. O(batch * time * size of the probe)."""
    names = {name: i for i, name in enumerate(probe.features)}
    stream = probe.embedding()[ids]
    streams = [stream]
    for block in probe.blocks:
        stream = stream + _outputs(block, stream, names, probe.d_conv)
        streams.append(stream)
    return Values(tuple(streams), stream @ probe.head())


def _outputs(block: Block, stream: Ints, names: Mapping[str, int], d_conv: int) -> Ints:
    reads = _matrix([c.reads for c in block.channels], names)
    seen = stream @ reads.T
    time = seen.shape[1]
    x = np.zeros_like(seen)
    for number, channel in enumerate(block.channels):
        assert len(channel.taps) <= d_conv
        total = np.full(seen.shape[:2], channel.bias, dtype=np.int64)
        for back, tap in enumerate(reversed(channel.taps)):
            if back < time:
                total[:, back:] += tap * seen[:, : time - back, number]
        x[:, :, number] = np.maximum(total, 0)
    own = {channel.name: i for i, channel in enumerate(block.channels)}
    delta = _affine([NEVER if channel.delta is None else channel.delta for channel in block.channels], x, own)
    sign = _affine([ALWAYS if channel.sign is None else channel.sign for channel in block.channels], x, own)
    assert (delta != 0).all(), "a memory is neither held nor written"
    assert (sign != 0).all(), "a memory is neither turned over nor not"
    b, c = x @ _matrix(block.b, own).T, x @ _matrix(block.c, own).T
    y = _memories(block, x, np.maximum(delta, 0), b, c, np.sign(sign))
    for number, channel in enumerate(block.channels):
        y[:, :, number] += channel.skip * x[:, :, number]
    gate = np.maximum(stream @ _matrix([channel.gate for channel in block.channels], names).T, 0)
    out: Ints = (y * gate) @ _matrix([channel.writes for channel in block.channels], names)
    return out


def _affine(forms: list[Form], x: Ints, names: Mapping[str, int]) -> Ints:
    """Forms with a constant, over channels, shape (batch, time, forms)."""
    linear = _matrix([{k: v for k, v in form.items() if k != ONE} for form in forms], names)
    found: Ints = x @ linear.T + np.array([form.get(ONE, 0) for form in forms])
    return found


def _memories(block: Block, x: Ints, delta: Ints, b: Ints, c: Ints, sign: Ints | None = None) -> Ints:
    """sum_n C_n h_n, shape (batch, time, channels). Steps at which nothing changes cost nothing.

    Signs are 1 or -1, of the shape of x; None: all are 1.
    """
    sign = np.ones_like(x) if sign is None else sign
    active = [i for i, channel in enumerate(block.channels) if channel.delta is not None]
    y = np.zeros_like(x)
    if not active:
        return y
    d, s, values = delta[:, :, active], sign[:, :, active], x[:, :, active]
    n = len(block.b)
    keeps = np.array([[e in block.channels[i].keeps for e in range(n)] for i in active])
    events = np.flatnonzero(((d > 0) | (s < 0)).any(axis=(0, 2)))
    held = np.zeros((len(events) + 1, len(x), len(active), n), dtype=np.int64)
    for number, t in enumerate(events):
        fires = (d[:, t] > 0)[:, :, None]
        kept = held[number] * (keeps | ~fires) * s[:, t][:, :, None]
        held[number + 1] = kept + (d[:, t] * values[:, t])[:, :, None] * b[:, t][:, None, :]
    last = np.searchsorted(events, np.arange(x.shape[1]), side="right")
    for start in range(0, x.shape[1], 4096):
        part = slice(start, start + 4096)
        y[:, part, active] = np.einsum("tbcn,btn->btc", held[last[part]], c[:, part])
    return y


def _matrix(forms: tuple[Form, ...] | list[Form], names: Mapping[str, int]) -> Ints:
    rows = np.zeros((len(forms), len(names)), dtype=np.int64)
    for row, form in zip(rows, forms, strict=True):
        for name, value in form.items():
            row[names[name]] = value
    return rows


# -- to weights --------------------------------------------------------------------------------------------------------


def places(probe: Probe) -> tuple[int, int, dict[str, int]]:
    """d_model, the number of constant dimensions, and the dimension of each feature.

    d_model = constants * 4^j, so that RMSNorm divides by a power of two (``compiler.lower``).
    """
    width = 16
    while width < len(probe.features) + 1:
        width *= 2
    constants = 1 if width.bit_length() % 2 else 2
    return width, constants, {ONE: 0} | {name: constants + i for i, name in enumerate(probe.features[1:])}


def weights_of(probe: Probe, *, signed: bool = False) -> MambaWeights:
    """The probe as weights. O(number of weights).

    Args:
        probe: the program.
        signed: as weights of signed blocks; a probe with signs has no others.
    """
    d_model, constants, place = places(probe)
    assert signed or all(channel.sign is None for block in probe.blocks for channel in block.channels)
    rows = dt_rows(probe)
    shape = MambaShape(
        d_model=d_model,
        n_layers=len(probe.blocks),
        vocab_size=probe.vocabulary,
        expand=max(-(-len(block.channels) // d_model) for block in probe.blocks),
        d_state=probe.d_state,
        d_conv=probe.d_conv,
        dt_rank=max([1, *map(len, rows)]),
        signed=signed,
    )
    embedding = np.zeros((shape.vocab_size, d_model), dtype=np.float32)
    for row, values in zip(embedding, probe.embedding(), strict=True):
        row[:constants] = CONSTANT * values[0]
        for name, value in zip(probe.features[1:], values[1:], strict=True):
            row[place[name]] = value * probe.tiny.get(name, 1.0)
    tensors: dict[str, Tensor] = {"backbone.embeddings.weight": embedding}
    for layer, block in enumerate(probe.blocks):
        norm, undo = _norm(d_model, constants, layer)
        found = _block_tensors(block, rows[layer], shape, place, undo)
        found["norm.weight"] = norm
        tensors |= {f"backbone.layers.{layer}.{name}": found[name] for name in shape.block_tensors()}
    norm, undo = _norm(d_model, constants, len(probe.blocks))
    head = np.zeros((shape.vocab_size, d_model), dtype=np.float32)
    for name, values in zip(probe.features, probe.head(), strict=True):
        head[:, place[name]] = values * undo[place[name]]
    tensors |= {"backbone.norm_f.weight": norm, "lm_head.weight": head}
    if probe.patch is not None:
        probe.patch(tensors, place)
    return MambaWeights(shape=shape, tensors=tensors)


def dt_rows(probe: Probe) -> list[list[str]]:
    """For each block the channels that steer Delta or a sign: one row of dt each."""
    return [
        sorted({name for c in block.channels for form in (c.delta, c.sign) for name in form or {} if name != ONE})
        for block in probe.blocks
    ]


def _norm(d_model: int, constants: int, layer: int) -> tuple[Tensor, Tensor]:
    """The weight of a norm, and what its output must be multiplied by to be the features again."""
    j = ((d_model // constants).bit_length() - 1) // 2
    extra = 2.0 ** ((np.arange(d_model) + layer) % 3 - 1.0)
    weight = np.full(d_model, 2.0 ** (40 - j))
    weight[:constants] = 2.0**-j
    return (weight * extra).astype(np.float32), (1 / extra).astype(np.float32)


def _block_tensors(
    block: Block, rows: list[str], shape: MambaShape, place: Mapping[str, int], undo: Tensor
) -> dict[str, Tensor]:
    w = {name: np.zeros(size, dtype=np.float32) for name, size in shape.block_tensors().items()}
    own = {channel.name: i for i, channel in enumerate(block.channels)}
    w["mixer.dt_proj.bias"][:] = -T
    for number, row in enumerate(rows):
        w["mixer.x_proj.weight"][number, own[row]] = 1.0
    for index, forms in enumerate(zip(block.b, block.c, strict=True)):
        for form, start, unit in zip(forms, (shape.dt_rank, shape.dt_rank + shape.d_state), (B_UNIT, 1.0), strict=True):
            for name, value in form.items():
                w["mixer.x_proj.weight"][start + index, own[name]] = value * unit / T
    for c, channel in enumerate(block.channels):
        for name, value in channel.reads.items():
            w["mixer.in_proj.weight"][c, place[name]] = value * undo[place[name]]
        for name, value in channel.gate.items():
            w["mixer.in_proj.weight"][shape.d_inner + c, place[name]] = T * value * undo[place[name]]
        for back, tap in enumerate(reversed(channel.taps), 1):
            w["mixer.conv1d.weight"][c, 0, -back] = T * tap
        w["mixer.conv1d.bias"][c] = T * channel.bias
        scale = 2.0**-channel.fine
        w["mixer.D"][c] = channel.skip / T * scale
        for name, value in channel.writes.items():
            w["mixer.out_proj.weight"][place[name], c] = value / T / scale
        w["mixer.A_log"][c] = FORGETS
        w["mixer.A_log"][c, sorted(channel.keeps)] = KEEPS
        if channel.delta is not None:
            for name, value in channel.delta.items():
                if name == ONE:
                    w["mixer.dt_proj.bias"][c] = T * value * scale
                else:
                    w["mixer.dt_proj.weight"][c, rows.index(name)] = value * scale
    if shape.signed:
        w["mixer.sign_proj.bias"][:] = T
        for c, channel in enumerate(block.channels):
            if channel.sign is not None:
                w["mixer.sign_proj.bias"][c] = T * channel.sign.get(ONE, 0)
                for number, row in enumerate(rows):
                    w["mixer.sign_proj.weight"][c, number] = channel.sign.get(row, 0)
    return w
