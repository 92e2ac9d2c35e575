"""Probes: small programs in integers for one kind of block or for all, run exactly, and lowered to weights.

What follows is Mamba and its relatives; blocks of Gated DeltaNet are in ``delta``.

A probe is a list of blocks of named channels over named integer features, as a circuit is (``compiler.circuits``), but
it has everything that a block of Mamba has: all taps of the convolution, all entries of d_state with their own A, B and
C, Delta of any size. For channels c and entries n a block computes, in integers,

    x_c     = max(0, taps . (form k-1 steps ago, ..., form now) + bias); B_n and C_n likewise, each with its own form
    d_c     = delta, a form of the present features; d < 0 holds the memory, d > 0 writes it
    h_{c,n} = s_c (h_{c,n} if d_c < 0 or entry n keeps, else 0) + d_c B_n x_c    (the second term where d_c > 0)
              s_c = 1, or, in signed blocks, the sign of a form of the present features
    y_c     = sum_n C_n h_{c,n} + skip_c x_c
    features[f] += writes_c[f] * y_c * max(0, gate_c)

:func:`evaluate` computes just that with numpy's int64; no float and no Mamba is involved, so its result is what every
implementation owes. How the same integers become weights of a kind of block, scaled by powers of two, is told by its
file in ``kinds``; what all of them share is in ``kinds.kind``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Form = Mapping[str, int]

ONE = "1"
"""The constant feature; in forms of Delta and of signs, the bias."""
ALWAYS: Form = {ONE: 1}
NEVER: Form = {ONE: -1}
EVERY = frozenset(range(256))
"""All entries of d_state."""
PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"
EPSILON = 1e-5
"""Of RMSNorm, in the configuration of every checkpoint."""
FAR = 4
"""So many units below 0, silu is 0 in every kind of block: of B, of C and of the gate."""


@dataclass(frozen=True)
class Line:
    """What the convolution and its silu give: max(0, taps . (form k-1 steps ago, ..., form now) + bias).

    Args:
        reads: over features; ``ONE`` is the constant feature.
        taps: the last is for this step; as many as there are or fewer.
        bias: of the convolution.
    """

    reads: Form = field(default_factory=dict)
    taps: tuple[int, ...] = (1,)
    bias: int = 0


ONES = (Line(bias=1),)
"""The constant 1 for the first entry of d_state."""


@dataclass(frozen=True)
class Channel:
    """One channel; see the module's docstring for what it computes.

    Args:
        name: short, and the feature that it writes unless ``writes`` says otherwise.
        meaning: what its output stands for.
        exercises: the parameter or the rule that it is there for.
        x: its input.
        delta: over features that are never negative; ``ONE`` is the bias. None: no memory.
        above: features of ``delta`` that are tiny (``Probe.tiny``): what RMSNorm makes of them is compared with this.
        keeps: entries of d_state that are never forgotten (A is almost 0 there).
        sign: as ``delta``, never 0; where it is negative the memory is turned over first. None: it never is. Only for
            signed blocks.
        fine: a write has Delta = 1024 / 2^fine, and what does not write has d <= -2^fine. Only with ``EVERY``.
        skip: D.
        gate: over features.
        writes: features that the product is added to.
    """

    name: str
    meaning: str
    exercises: str
    x: Line = Line()
    delta: Form | None = None
    above: Mapping[str, float] = field(default_factory=dict)
    keeps: frozenset[int] = frozenset()
    sign: Form | None = None
    fine: int = 0
    skip: int = 0
    gate: Form = field(default_factory=lambda: ALWAYS)
    writes: Form | None = None

    @property
    def written(self) -> Form:
        """The features that it writes."""
        return {self.name: 1} if self.writes is None else self.writes


class Writer(Protocol):
    """What adds to features."""

    @property
    def written(self) -> Form:
        """How much of it is added to each."""


class Layer(Protocol):
    """A block of any kind."""

    @property
    def writers(self) -> Sequence[Writer]:
        """All that adds to features."""

    def added(self, stream: Ints, probe: Program) -> Ints:
        """What the block adds to features of shape (batch, time, features), in integers."""


@dataclass(frozen=True)
class Block:
    """Channels, and for each entry of d_state its B and its C."""

    channels: tuple[Channel, ...]
    b: tuple[Line, ...] = ONES
    c: tuple[Line, ...] = ONES

    @property
    def remembers(self) -> bool:
        """Whether any channel has a memory; if not, B and C are not used, and lowered to 0."""
        return any(channel.delta is not None for channel in self.channels)

    @property
    def writers(self) -> tuple[Channel, ...]:
        """The channels."""
        return self.channels

    def added(self, stream: Ints, probe: Program) -> Ints:
        """See :class:`Layer`."""
        return _added(self, stream, probe)


@dataclass(frozen=True)
class Program:
    """A program of blocks of any kind.

    Args:
        tokens: for each token of the input but ``<pad>`` and ``<eos>``, the features that its embedding sets.
        blocks: in order.
        d_conv: taps of the convolution.
        meanings: of tokens, for reports.
        tiny: features whose embedding is scaled by so much and which the head does not read. If a block writes one, it
            is not exact, and nothing is owed of the residual stream.
        head_dim: channels per head, a power of two, where blocks have heads.
        judges: whether the integers are right for a word (where intermediate values are inexact, and only their
            comparison with a threshold matters, they may occur but a few times); None: for all.
    """

    tokens: Mapping[str, Form]
    blocks: tuple[Layer, ...]
    d_conv: int = 2
    meanings: Mapping[str, str] = field(default_factory=dict)
    tiny: Mapping[str, float] = field(default_factory=dict)
    head_dim: int = 4
    judges: Callable[[tuple[str, ...]], bool] | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """The constant, then every feature that a token sets or a channel writes."""
        found = {ONE: None}
        for form in self.tokens.values():
            found |= dict.fromkeys(form)
        for block in self.blocks:
            for writer in block.writers:
                found |= dict.fromkeys(writer.written)
        return tuple(found)

    @property
    def exact(self) -> bool:
        """Whether every feature is exact."""
        return self.tiny.keys().isdisjoint(f for b in self.blocks for writer in b.writers for f in writer.written)

    @property
    def ids(self) -> dict[str, int]:
        """Token ids."""
        return {token: i for i, token in enumerate((PAD, BOS, EOS, *(t for t in self.tokens if t != BOS)))}

    @property
    def vocabulary(self) -> int:
        """Rows of the embedding and of the head: tokens or features, rounded up to a multiple of 8."""
        return -(-max(len(self.ids), len(self.features)) // 8) * 8

    @property
    def d_model(self) -> int:
        """Width of the residual stream: 16 or more, a power of two."""
        return 1 << max(4, len(self.features).bit_length())

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

    def encoded(self, rows: Sequence[Sequence[str]]) -> Ints:
        """Token ids of words of one length, shape (words, time)."""
        ids = self.ids
        return np.array([[ids[token] for token in row] for row in rows], dtype=np.int64)


@dataclass(frozen=True)
class Probe(Program):
    """A program of blocks of Mamba and its relatives."""

    blocks: tuple[Block, ...]

    @property
    def d_state(self) -> int:
        """Entries of the state per channel."""
        return max(len(block.b) for block in self.blocks)


def unbiased(form: Form) -> Form:
    """A form of Delta or of a sign without its bias."""
    return {name: value for name, value in form.items() if name != ONE}


@dataclass(frozen=True)
class Values:
    """What a probe computes on a batch: features before and after each block, shape (batch, time, features)."""

    streams: tuple[Ints, ...]
    logits: Ints


def evaluate(probe: Program, ids: Ints) -> Values:
    """Run a probe on token ids of shape (batch, time), in integers. O(batch * time * size of the probe).

    Raises:
        ValueError: a word that the probe does not judge.
    """
    if probe.judges is not None:
        tokens = {i: token for token, i in probe.ids.items()}
        if not all(probe.judges(tuple(tokens[int(i)] for i in row)) for row in ids):
            raise ValueError("the probe does not judge such words")
    streams = [probe.embedding()[ids]]
    for block in probe.blocks:
        streams.append(streams[-1] + block.added(streams[-1], probe))
    return Values(tuple(streams), streams[-1] @ probe.head())


@dataclass(frozen=True)
class Terms:
    """What a block computes on the way to what it adds; shape (batch, time, channels), b and c (batch, time, entries).

    ``delta`` and ``gate`` may be negative; ``y`` is sum_n C_n h_{c,n}, without D.
    """

    x: Ints
    delta: Ints
    b: Ints
    c: Ints
    y: Ints
    gate: Ints


def terms(block: Block, stream: Ints, probe: Program) -> Terms:
    """Run a block on features of shape (batch, time, features), in integers."""
    names = {name: i for i, name in enumerate(probe.features)}
    channels = block.channels
    x = positive(summed([channel.x for channel in channels], stream, probe)[1], 1)
    b, c = (positive(summed(lines, stream, probe)[1], FAR) for lines in (block.b, block.c))
    steps = [compared(channel.delta or NEVER, channel.above, probe, EPSILON) for channel in channels]
    delta = steered(steps, stream, names)
    sign = steered([channel.sign or ALWAYS for channel in channels], stream, names)
    assert ((delta > 0) | (delta <= -(2 ** np.array([channel.fine for channel in channels])))).all(), "neither held"
    assert (sign != 0).all(), "a memory is neither turned over nor not"
    y = _memories(block, x, np.maximum(delta, 0), np.sign(sign), b, c)
    return Terms(x, delta, b, c, y, stream @ matrix([channel.gate for channel in channels], names).T)


def _added(block: Block, stream: Ints, probe: Program) -> Ints:
    names, found = {name: i for i, name in enumerate(probe.features)}, terms(block, stream, probe)
    y = found.y + found.x * np.array([channel.skip for channel in block.channels])
    out: Ints = (y * positive(found.gate, FAR)) @ matrix([channel.written for channel in block.channels], names)
    return out


def compared(form: Form, above: Mapping[str, float], probe: Program, epsilon: float) -> Form:
    """A form without the tiny features that RMSNorm leaves below what they are compared with."""

    def counts(name: str) -> bool:
        v = probe.tiny.get(name, 1.0)
        return name not in above or v / (v * v / probe.d_model + epsilon) ** 0.5 > above[name]

    return {name: value for name, value in form.items() if counts(name)}


def steered(forms: Sequence[Form], stream: Ints, names: Mapping[str, int]) -> Ints:
    """Forms with a bias, shape (batch, time, forms)."""
    linear = matrix([unbiased(form) for form in forms], names)
    assert (stream[:, :, linear.any(axis=0)] >= 0).all(), "Delta or a sign depends on a negative feature"
    found: Ints = stream @ linear.T + np.array([form.get(ONE, 0) for form in forms])
    return found


def summed(lines: Sequence[Line], stream: Ints, probe: Program) -> tuple[Ints, Ints]:
    """What lines read, and their taps' sums with the bias, before silu; shape (batch, time, lines)."""
    names = {name: i for i, name in enumerate(probe.features)}
    seen = stream @ matrix([line.reads for line in lines], names).T
    time = seen.shape[1]
    total = np.zeros_like(seen)
    for number, line in enumerate(lines):
        assert len(line.taps) <= probe.d_conv
        total[:, :, number] = line.bias
        for back, tap in enumerate(reversed(line.taps)):
            if back < time:
                total[:, back:, number] += tap * seen[:, : time - back, number]
    return seen, total


def positive(values: Ints, far: int) -> Ints:
    """max(0, values), where silu gives just that."""
    assert ((values >= 0) | (values <= -far)).all(), "silu would not be 0"
    return np.maximum(values, 0)


def _memories(block: Block, x: Ints, delta: Ints, sign: Ints, b: Ints, c: Ints) -> Ints:
    """sum_n C_n h_n, shape (batch, time, channels). Steps at which nothing changes cost nothing."""
    active = [i for i, channel in enumerate(block.channels) if channel.delta is not None]
    y = np.zeros_like(x)
    if not active:
        return y
    d, s, values = delta[:, :, active], sign[:, :, active], x[:, :, active]
    keeps = np.array([[e in block.channels[i].keeps for e in range(len(block.b))] for i in active])
    events = np.flatnonzero(((d > 0) | (s < 0)).any(axis=(0, 2)))
    held = np.zeros((len(events) + 1, len(x), *keeps.shape), dtype=np.int64)
    for number, t in enumerate(events):
        fires = (d[:, t] > 0)[:, :, None]
        kept = held[number] * (keeps | ~fires) * s[:, t][:, :, None]
        held[number + 1] = kept + (d[:, t] * values[:, t])[:, :, None] * b[:, t][:, None, :]
    last = np.searchsorted(events, np.arange(x.shape[1]), side="right")
    for start in range(0, x.shape[1], 4096):
        part = slice(start, start + 4096)
        y[:, part, active] = np.einsum("tbcn,btn->btc", held[last[part]], c[:, part])
    return y


def matrix(forms: Sequence[Form], names: Mapping[str, int]) -> Ints:
    """Forms as rows over features, shape (forms, features)."""
    rows = np.zeros((len(forms), len(names)), dtype=np.int64)
    for row, form in zip(rows, forms, strict=True):
        for name, value in form.items():
            row[names[name]] = value
    return rows
