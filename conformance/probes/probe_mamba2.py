"""Probes for Mamba-2: small programs in integers, run exactly, and lowered to weights of a Mamba-2.

As for Mamba (``_conformance_probe``), from which tokens, features and the head are taken over, with Mamba-2's block
(``models.mamba2``) in place of Mamba's. What steers a memory is a linear form of the present features, and belongs to
a head; B and C come through the convolution. A block computes, in integers, for channels p of heads k,

    x_kp  = max(0, taps . (form k-1 steps ago, ..., form now) + bias); B_n and C_n likewise, each with its own form
    d_k   = delta, a linear form of the present features; d < 0 holds the memories of the head, d > 0 writes them
    h_kpn = (h_kpn if the head keeps, else 0) + d_k B_n x_kp           where d_k > 0
    y_kp  = sum_n C_n h_kpn + skip_k x_kp
    features[f] += writes_kp[f] * y_kp * max(0, gate_kp)

:func:`evaluate` computes just that with numpy's int64; no float and no Mamba-2 is involved. :func:`weights_of` scales
the same integers by powers of two, so that any correct float32 implementation gives them, at every chunk size:

- Delta A is 0 or a multiple of -2^10 (A_log = 0) in heads that forget: sums over a chunk are exact in any order, and so
  are their differences, of which exp makes 1 or 0. Heads that keep have A_log = -50: exp of any such sum is 1.
- The norm after the scan is carried by F = 2^60 in n channels of d_inner = n 4^j: an exact multiplication by 2^(j-60),
  as long as the squares of all others sum to less than 2^96, half a unit in the last place of F^2. Its weight brings
  every channel back, times a power of two that differs between neighbours and that out_proj undoes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ...models.mamba2 import Mamba2Shape, Mamba2Weights
from ...models.weights import Tensor
from .probe import KEEPS, NEVER, ONE, Block, Channel, Form, Ints, Probe, T, Values, _matrix, _memories, _norm, places
from .probe import weights_of as _mamba_weights

UNIT = 2.0**5
"""Of B, C and the gate branch: silu(32) = 32, and silu(-128) = 0, in float32."""

FAR = 4
"""So many units below 0, silu is 0."""

NORM_EXPONENT = 60
HEADS_MULTIPLE = 8
STATE_MULTIPLE = 4
"""With 8 k heads and 4 k states, in_proj has a multiple of 8 rows, which causal-conv1d asks for."""

FILLER = Channel("", "nothing", "an unused channel", gate={})
CARRIER = Channel("carrier", "carries the norm after the scan", "the norm after the scan")


@dataclass(frozen=True)
class Line:
    """A channel of the convolution that gives an entry of B or of C."""

    reads: Form = field(default_factory=dict)
    taps: tuple[int, ...] = (1,)
    bias: int = 0


@dataclass(frozen=True)
class Head:
    """Channels with one Delta, one A and one D.

    Args:
        channels: at most as many as the probe's ``head_dim``; only their reads, taps, bias, gate and writes are used.
        delta: over features; ``ONE`` is dt_bias. None: no memory.
        keeps: what was written is never forgotten (A is almost 0).
        fine: a write has Delta = 1024 / 2^fine; only in heads that keep.
        skip: D.
    """

    channels: tuple[Channel, ...]
    delta: Form | None = None
    keeps: bool = False
    fine: int = 0
    skip: int = 0


@dataclass(frozen=True)
class Layer:
    """A block: heads, and for each entry of d_state its B and its C."""

    heads: tuple[Head, ...]
    b: tuple[Line, ...] = (Line(),)
    c: tuple[Line, ...] = (Line(),)


@dataclass(frozen=True)
class Mamba2Probe(Probe):
    """A program; see :func:`probe_of`, which makes it.

    ``blocks`` lists every channel of d_inner with what it writes, for reports.

    Args:
        layers: the program.
        head_dim: channels per head, a power of two.
        judges: whether the integers are right for a word (for probes with inexact intermediate values, of which only
            the sign matters: they may occur but a few times); None: for all.
    """

    layers: tuple[Layer, ...] = ()
    head_dim: int = 4
    judges: Callable[[tuple[str, ...]], bool] | None = None

    @property
    def n_heads(self) -> int:
        """Heads of every block."""
        return len(self.blocks[0].channels) // self.head_dim


def probe_of(
    tokens: Mapping[str, Form],
    layers: Sequence[Layer],
    *,
    d_conv: int = 4,
    head_dim: int = 4,
    meanings: Mapping[str, str] | None = None,
    tiny: Mapping[str, float] | None = None,
) -> Mamba2Probe:
    """A program from its layers, all made to have the same number of heads and of entries of d_state."""
    n = -(-max(len(layer.b) for layer in layers) // STATE_MULTIPLE) * STATE_MULTIPLE
    wide = tuple(replace(layer, b=_filled(layer.b, n), c=_filled(layer.c, n)) for layer in layers)
    outline = Probe(
        tokens,
        tuple(Block(tuple(c for head in layer.heads for c in head.channels)) for layer in layers),
        d_conv,
        meanings or {},
        tiny or {},
    )
    d_model = places(outline)[0]
    heads = max(HEADS_MULTIPLE, d_model // head_dim)
    while heads <= max(len(layer.heads) for layer in layers):
        heads *= 2
    none: tuple[Form, ...] = ({},) * n
    blocks = tuple(Block(_channels(layer, heads, head_dim), none, none) for layer in wide)
    return Mamba2Probe(tokens, blocks, d_conv, outline.meanings, outline.tiny, layers=wide, head_dim=head_dim)


def _filled(lines: tuple[Line, ...], n: int) -> tuple[Line, ...]:
    return lines + (Line(),) * (n - len(lines))


def _channels(layer: Layer, heads: int, head_dim: int) -> tuple[Channel, ...]:
    """All channels of d_inner, each with the Delta, A and D of its head; the last head carries the norm."""
    n = len(layer.b)
    found: list[Channel] = []
    for head in layer.heads:
        assert len(head.channels) <= head_dim, "a head has more channels than head_dim"
        assert head.keeps or not head.fine, "only heads that keep may have a fine Delta"
        keeps = frozenset(range(n) if head.keeps else ())
        found += [
            replace(channel, delta=head.delta, keeps=keeps, fine=head.fine, skip=head.skip)
            for channel in (*head.channels, *(FILLER,) * (head_dim - len(head.channels)))
        ]
    found += [FILLER] * ((heads - 1 - len(layer.heads)) * head_dim)
    carriers = _carriers(heads * head_dim)
    return (*found, *(CARRIER,) * carriers, *(FILLER,) * (head_dim - carriers))


def _carriers(d_inner: int) -> int:
    """n in d_inner = n 4^j."""
    return 1 if d_inner.bit_length() % 2 else 2


def evaluate(probe: Mamba2Probe, ids: Ints) -> Values:
    """Run a probe on token ids of shape (batch, time), in integers. O(batch * time * size of the probe).

    Raises:
        ValueError: a word that the probe does not judge.
    """
    if probe.judges is not None:
        tokens = {i: token for token, i in probe.ids.items()}
        if not all(probe.judges(tuple(tokens[int(i)] for i in row)) for row in ids):
            raise ValueError("the probe does not judge such words")
    names = {name: i for i, name in enumerate(probe.features)}
    stream = probe.embedding()[ids]
    streams = [stream]
    for block, layer in zip(probe.blocks, probe.layers, strict=True):
        stream = stream + _outputs(block, layer, stream, names, probe)
        streams.append(stream)
    return Values(tuple(streams), stream @ probe.head())


def _outputs(block: Block, layer: Layer, stream: Ints, names: Mapping[str, int], probe: Mamba2Probe) -> Ints:
    x = _convolved(block.channels, stream, names, probe.d_conv, 1)
    b = _convolved(layer.b, stream, names, probe.d_conv, FAR)
    c = _convolved(layer.c, stream, names, probe.d_conv, FAR)
    forms = [NEVER if channel.delta is None else channel.delta for channel in block.channels]
    delta = stream @ _matrix([{k: v for k, v in f.items() if k != ONE} for f in forms], names).T
    delta += np.array([form.get(ONE, 0) for form in forms])
    fine = 2 ** np.array([channel.fine for channel in block.channels])
    assert ((delta > 0) | (delta <= -fine)).all(), "a memory is neither held nor written"
    y = _memories(block, x, np.maximum(delta, 0), b, c)
    y += x * np.array([channel.skip for channel in block.channels])
    gate = _positive(stream @ _matrix([channel.gate for channel in block.channels], names).T, FAR)
    out: Ints = (y * gate) @ _matrix([channel.writes for channel in block.channels], names)
    return out


def _convolved(lines: Sequence[Channel | Line], stream: Ints, names: Mapping[str, int], d_conv: int, far: int) -> Ints:
    seen = stream @ _matrix([line.reads for line in lines], names).T
    time = seen.shape[1]
    total = np.zeros_like(seen)
    for number, line in enumerate(lines):
        assert len(line.taps) <= d_conv
        total[:, :, number] = line.bias
        for back, tap in enumerate(reversed(line.taps)):
            if back < time:
                total[:, back:, number] += tap * seen[:, : time - back, number]
    return _positive(total, far)


def _positive(values: Ints, far: int) -> Ints:
    """max(0, values), where silu gives just that."""
    assert ((values >= 0) | (values <= -far)).all(), "silu would not be 0"
    return np.maximum(values, 0)


# -- to weights --------------------------------------------------------------------------------------------------------


def shape_of(probe: Mamba2Probe) -> Mamba2Shape:
    """The sizes of the lowered probe."""
    d_model = places(probe)[0]
    return Mamba2Shape(
        d_model=d_model,
        n_layers=len(probe.layers),
        vocab_size=probe.vocabulary,
        expand=probe.n_heads * probe.head_dim // d_model,
        n_heads=probe.n_heads,
        d_state=probe.d_state,
        d_conv=probe.d_conv,
    )


def weights_of(probe: Mamba2Probe) -> Mamba2Weights:
    """The probe as weights. O(number of weights)."""
    shape = shape_of(probe)
    d_model, constants, place = places(probe)
    # Embedding, norms and head are those of a Mamba with the same features.
    silent = tuple(
        Block(tuple(Channel(c.name, c.meaning, c.exercises, writes=c.writes) for c in block.channels))
        for block in probe.blocks
    )
    outside = _mamba_weights(Probe(probe.tokens, silent, probe.d_conv, tiny=probe.tiny)).tensors
    tensors = {name: np.array(outside[name]) for name in shape.tensors() if ".mixer." not in name}
    for layer in range(shape.n_layers):
        _, undo = _norm(d_model, constants, layer)
        for name, tensor in _block_tensors(probe, layer, shape, place, undo).items():
            tensors[f"backbone.layers.{layer}.{name}"] = tensor
    if probe.patch is not None:
        probe.patch(tensors, place)
    return Mamba2Weights(shape, tensors)


def _block_tensors(
    probe: Mamba2Probe, number: int, shape: Mamba2Shape, place: Mapping[str, int], undo: Tensor
) -> dict[str, Tensor]:
    w = {n: np.zeros(size, dtype=np.float32) for n, size in shape.block_tensors().items() if n != "norm.weight"}
    block, layer, d_inner, n = probe.blocks[number], probe.layers[number], shape.d_inner, shape.d_state
    in_proj, conv, bias = w["mixer.in_proj.weight"], w["mixer.conv1d.weight"], w["mixer.conv1d.bias"]
    x, dt = in_proj[d_inner:], in_proj[2 * d_inner + 2 * n :]
    lines: list[tuple[Channel | Line, float]] = [(channel, T) for channel in block.channels]
    lines += [(line, UNIT) for line in (*layer.b, *layer.c)]
    for c, (line, unit) in enumerate(lines):
        for name, value in line.reads.items():
            x[c, place[name]] = value * undo[place[name]]
        for back, tap in enumerate(reversed(line.taps if line.reads else ()), 1):
            conv[c, 0, -back] = unit * tap
        bias[c] = unit * line.bias
    w["mixer.A_log"][:] = 0.0
    w["mixer.dt_bias"][:] = -T
    w["mixer.D"][:] = T * UNIT * UNIT
    for k, head in enumerate(layer.heads):
        scale = 2.0**-head.fine
        w["mixer.A_log"][k] = KEEPS if head.keeps else 0.0
        w["mixer.D"][k] = head.skip * T * UNIT * UNIT * scale  # Delta, B and C of a write
        for name, value in (NEVER if head.delta is None else head.delta).items():
            if name == ONE:
                w["mixer.dt_bias"][k] = T * value * scale
            else:
                dt[k, place[name]] = T * value * scale * undo[place[name]]
    _after_scan(w, block, shape, place, undo)
    return w


def _after_scan(w: dict[str, Tensor], block: Block, shape: Mamba2Shape, place: Mapping[str, int], undo: Tensor) -> None:
    """Gate, the norm with its carriers, and out_proj."""
    carriers = _carriers(shape.d_inner)
    j = ((shape.d_inner // carriers).bit_length() - 1) // 2
    for c, channel in enumerate(block.channels):
        for name, value in channel.gate.items():
            w["mixer.in_proj.weight"][c, place[name]] = UNIT * value * undo[place[name]]
        own = 2.0 ** (c % 3 - 1)
        gain = T * UNIT * T * UNIT * UNIT * 2.0**-channel.fine  # Delta, B, x, C, and the gate branch
        w["mixer.norm.weight"][c] = 2.0 ** (NORM_EXPONENT - j) / gain * own
        for name, value in channel.writes.items():
            w["mixer.out_proj.weight"][place[name], c] = value / own
    # x, D (2^20, as in all heads without a skip) and the gate branch make F together.
    first, third = shape.d_inner - shape.head_dim, 2.0 ** (NORM_EXPONENT // 3)
    assert third == T * UNIT * UNIT
    w["mixer.conv1d.bias"][first : first + carriers] = third
    w["mixer.in_proj.weight"][first : first + carriers, place[ONE]] = third * undo[place[ONE]]
