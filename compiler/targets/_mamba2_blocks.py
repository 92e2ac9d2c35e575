"""The blocks of a circuit as Mamba-2 blocks: one or two for each.

Delta is a linear form of the present, so what a memory depends on must stand in the residual stream before its block.

*Registers.* Block A finds out which labels are written; with D = 1 and the gate branch constant the output 1 goes to an
*indicator*, a feature per label: "the memory becomes v". Block B has the registers, each in heads of its own. Delta =
softplus(-t + 2t * sum of indicators) is 0 or t; A = -1, so the gate is exp(0) = 1 or exp(-t) = 0. The x of a channel
that shows a label is silu(v [the label's indicator]): v or 0. So after an overwriting the state is t v v (B = C = v are
constants), or 0; channels with D = 1 take the indicators away again. A condition that is itself a linear form (one
letter out of some, or one set out of some, at the present token) needs no indicator: its form stands in Delta's row. If
all conditions of a level are such, it is one block.

*Latches.* Block A computes d - bias, the sum of ``fires[c]`` x_c, into a feature of its own, one per different d.
Block B has the latches, a head per d: Delta = softplus(t d) is 0, or t d where d > 0, with A = -1. All channels that
remember nothing are in block B.

*Counters.* A gate of 1 with a write takes A Delta = 0 with Delta > 0. A_log = -2^13 does it: exp underflows to 0, so A
Delta is 0 exactly, and so are its sums over chunks. The state adds up integers, which is exact in any order. But A
belongs to the head, so nothing can ever be forgotten: ``<bos>`` cannot clear such a state. Therefore

- block A counts each kind of letter since the sequence began, n_c: all writes are positive, since Delta, B and x are;
- block B keeps what each n_c was at ``<bos>``, in latches that fire there, and writes the counter: the sum of
  ``add[c]`` (n_c - n_c at ``<bos>``), plus its initial value.

It is exact as long as no n_c exceeds a limit (``compiler.targets._mamba2_limits``) on the sequence, several documents
packed into it included, and not on the counter.

*Magnitudes.* y silu(z) is a product of five activations, each a power of two times an integer, and all of them must
vanish beside the constant of the norm after the scan. So circuits that count take t = 2^7 and v = 2^5, which are
exact in float32 (silu(-2^7), softplus(-2^7) and exp(-2^7) underflow, silu(2^5) and softplus(2^5) are 2^5) but not in
float64, and the constant 2^63. Others take t = T = 2^10, v = 2^6, and 2^60.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..circuits.circuit import NOW, Circuit, CircuitBlock, CircuitChannel, Counter, Latch, Register
from ..circuits.forms import ALWAYS, ONE, Form, plus, show, times
from ..manifest import MemoryLabel
from ._mamba2_layers import Channel, Heads, Layer
from .base import TargetError
from .layout import Stream, narrowest_stream, remembered
from .lower import T

A_LOG_COUNT = -(2.0**13)
"""exp(A_log) underflows to 0, in float64 too."""


@dataclass(frozen=True)
class Scale:
    """Powers of two that blocks are made of.

    Attributes:
        t: of what may be negative: activations vanish at -t.
        v: of what is never negative: activations are the identity from v on.
        exponent: of the constant of the norm after the scan.
    """

    t: float
    v: float
    exponent: int


WIDE, NARROW = Scale(T, 2.0**6, 60), Scale(2.0**7, 2.0**5, 63)


@dataclass(frozen=True)
class Frame:
    """What all blocks of a circuit are written with.

    Attributes:
        circuit: the circuit.
        stream: its features, and after them those that the two Mamba-2 blocks of a circuit's block tell each other.
        scale: the powers of two.
        positive: features that are never negative: those that tokens set, and no block writes.
    """

    circuit: Circuit
    stream: Stream
    scale: Scale
    positive: frozenset[str]

    def x(self, channel: CircuitChannel) -> float:
        """What x of a channel is where it is 1 in the circuit: v if its sum is never negative."""
        weights = (*channel.taps, channel.bias, *channel.reads.values())
        never = min(weights) >= 0 and self.positive >= set(channel.reads)
        return self.scale.v if never else self.scale.t

    def gate(self, form: Form) -> float:
        """What the gate branch is where the form is 1."""
        return self.scale.v if set(form) == {ONE} and form[ONE] > 0 else self.scale.t

    def unit(self, channel: CircuitChannel) -> float:
        """What a state that counts has for each letter: Delta B x."""
        return self.scale.v * self.scale.v * self.x(channel)

    def channel(self, channel: CircuitChannel, writes: Form, *, gate: Form = ALWAYS, stored: float = 1.0) -> Channel:
        """A channel with this x that writes what it sees; with a memory ``stored`` is what y is for each unit of x."""
        x, z = self.x(channel), self.gate(gate)
        return Channel(
            role="feature",
            meaning=channel.meaning,
            x=self.stream.form(channel.reads),
            taps=tuple(x * tap for tap in channel.taps),
            bias=x * channel.bias,
            gate=self.stream.form(gate, z),
            gain=stored * x * z,
            writes=self.stream.form(writes),
        )

    def finder(self, channel: CircuitChannel, writes: Form) -> Channel:
        """A channel that tells the next block what it sees."""
        return replace(self.channel(channel, writes), role="condition")

    def features(self, block: CircuitBlock) -> list[Channel]:
        """The channels that remember nothing, and write something."""
        return [
            self.channel(c, {f: w * c.skip for f, w in c.writes.items()}, gate=c.gate)
            for c in block.channels
            if c.memory is None and c.skip and c.writes and c.gate
        ]

    def layer(
        self, memories: Iterable[Heads], others: Iterable[Channel], title: str, *, finds_only: bool = False
    ) -> Layer:
        """A block; the heads of the channels that remember nothing have Delta = 0."""
        scale = self.scale
        return Layer(tuple(memories), tuple(others), -scale.t, scale.v, scale.exponent, title, finds_only)


@dataclass(frozen=True)
class Total:
    """A state that counts a kind of letter since the sequence began.

    Attributes:
        name: of the feature that shows it.
        unit: what it holds for each letter.
        of: the counters that it is a part of.
    """

    name: str
    unit: int
    of: tuple[str, ...]


@dataclass(frozen=True)
class Indicator:
    """A feature in which the first layer of a block of the circuit tells the second that a label is written.

    Attributes:
        name: of the feature.
        number: its number.
        memory: the name of the register.
        label: the label.
        height: of a level of a cascade.
        said: for people.
    """

    name: str
    number: int
    memory: str
    label: int
    height: int | None
    said: str


@dataclass(frozen=True)
class Part:
    """What one block of a circuit becomes.

    Attributes:
        layers: one or two.
        totals: what the first channels of the first of them count.
        indicators: what passes from the first to the second of a level.
    """

    layers: tuple[Layer, ...]
    totals: tuple[Total, ...] = ()
    indicators: tuple[Indicator, ...] = ()


def frame_of(circuit: Circuit) -> Frame:
    """The circuit's frame. Circuits that count have smaller numbers."""
    told = [name for number, block in enumerate(circuit.blocks) for name in told_between(number, block)]
    spare = max((len(_by_convolution(circuit, block)) for block in circuit.blocks), default=0)
    extra = (*told, *map(_indicator, range(spare)))
    written = {name for block in circuit.blocks for channel in block.channels for name in channel.writes}
    positive = {
        name
        for name in circuit.features
        if name not in written and all(form.get(name, 0) >= 0 for form in circuit.tokens.values())
    }
    scale = NARROW if circuit.counts else WIDE
    return Frame(circuit, narrowest_stream((*circuit.features, *extra)), scale, frozenset(positive))


def parts_of(frame: Frame) -> list[Part]:
    """Each block of the circuit.

    Raises:
        TargetError: it has a channel that this target cannot have.
    """
    found = []
    for number, block in enumerate(frame.circuit.blocks):
        if block.counters:
            found.append(_counting(block, told_between(number, block), frame))
        elif block.latches:
            found.append(_latching(block, told_between(number, block), frame))
        else:
            found.append(_level(block, frame))
    return found


def told_between(number: int, block: CircuitBlock) -> list[str]:
    """The features between the two blocks: one for each kind of letter that is counted, or each different latch."""
    if block.counters:
        kinds = [block.channels[c].meaning for c in kinds_of(block)]
        return [f"total {number}.{i}: {meaning}, since the sequence began" for i, meaning in enumerate(kinds)]
    fires = [show({block.channels[c].meaning: w for c, w in latch.fires.items()}) for latch in _different(block)]
    return [f"firing {number}.{i}: {form}" for i, form in enumerate(fires)]


def kinds_of(block: CircuitBlock) -> list[int]:
    """The channels whose x some counter adds up."""
    return list(dict.fromkeys(c for _, counter in block.counters for c in counter.add))


# -- registers ---------------------------------------------------------------------------------------------------------


def _indicator(number: int) -> str:
    return f"indicator {number}"


def _is_linear(circuit: Circuit, channel: CircuitChannel) -> bool:
    """Whether x is a linear form of the present: [one letter out of some], [one slot out of some], or a plan's bit."""
    plain = channel.taps == NOW and channel.bias == 0 and set(channel.reads.values()) == {1}
    single = circuit.kind == "plan" and len(channel.reads) == 1
    return plain and (single or any(set(channel.reads) <= set(names) for names in (circuit.letters, circuit.slots)))


def _by_convolution(circuit: Circuit, block: CircuitBlock) -> list[tuple[Register, int]]:
    """The labels that need an indicator: some condition on them is no linear form."""
    return [
        (register, label)
        for register in block.registers
        for label, form in register.writes.items()
        if not all(_is_linear(circuit, block.channels[c]) for c in form)
    ]


def _level(block: CircuitBlock, frame: Frame) -> Part:
    """A block with registers, or with nothing that remembers."""
    found = _by_convolution(frame.circuit, block)
    indicators = {(register.name, label): _indicator(i) for i, (register, label) in enumerate(found)}
    told: dict[int, dict[str, int]] = {}  # of a channel: the indicators that it is a part of
    heads = [_head(block, register, indicators, told, frame) for register in block.registers]
    erased = [
        CircuitChannel(f"take the indicator of {v} away", bias=1, skip=1, gate={name: 1}, writes={name: -1})
        for (_, v), name in indicators.items()
    ]
    features = frame.features(replace(block, channels=(*block.channels, *erased)))
    main = frame.layer(heads, features, block.title)
    if not told:
        return Part((main,))
    finders = [frame.finder(block.channels[c], names) for c, names in told.items()]
    said = (_indicator_label(block, frame, register, v, i) for i, (register, v) in enumerate(found))
    first = frame.layer([], finders, f"conditions of {block.title}", finds_only=True)
    return Part((first, main), indicators=tuple(said))


def _head(
    block: CircuitBlock,
    register: Register,
    indicators: Mapping[tuple[str, int], str],
    told: dict[int, dict[str, int]],
    frame: Frame,
) -> Heads:
    """A register's channels, which share Delta; adds to ``told`` what the layer before must find out."""
    circuit, scale = frame.circuit, frame.scale
    forms: dict[int, dict[str, int]] = {}  # for each label the form of features that is 1 where it is written
    for label, form in register.writes.items():
        linear = [c for c in form if _is_linear(circuit, block.channels[c])]
        forms[label] = {name: 1 for c in linear for name in block.channels[c].reads}
        if indicator := indicators.get((register.name, label)):
            forms[label][indicator] = 1
            for c in form:
                if c not in linear:
                    told.setdefault(c, {})[indicator] = form[c]
    held = []
    for c, shown in block.shown:
        if shown.register.name != register.name:
            continue
        channel = block.channels[c]
        seen = CircuitChannel(channel.meaning, forms.get(shown.label, {}))
        # x is never negative, hence v and not t. B, Delta and C are what y has beside it.
        made = frame.channel(seen, channel.writes, gate=channel.gate)
        gain = scale.v * scale.t * scale.v * scale.v * frame.gate(channel.gate)
        taps = (0.0, scale.v)
        held.append(replace(made, role="memory", taps=taps, gain=gain, holds=remembered(shown), label=shown.label))
    written = {name: 1 for form in forms.values() for name in form}
    return Heads(tuple(held), frame.stream.form(written, 2 * scale.t), -scale.t)


def _indicator_label(block: CircuitBlock, frame: Frame, register: Register, label: int, number: int) -> Indicator:
    """What an indicator says. Delta's row has the conditions that are linear forms; no indicator is set by these."""
    height = None if block.level is None else block.level.height
    also = any(_is_linear(frame.circuit, block.channels[c]) for c in register.writes[label])
    where = ", where no letter or set alone makes it" if also else ""
    memory = register.name if height is None else f"the memory of level {height}"
    said = f"{memory} becomes {label}{where}"
    return Indicator(_indicator(number), number, register.name, label, height, said)


# -- latches -----------------------------------------------------------------------------------------------------------


def _different(block: CircuitBlock) -> list[Latch]:
    """One latch of each kind: those that fire alike share a head."""
    found: dict[tuple[tuple[tuple[int, int], ...], int], Latch] = {}
    for _, latch in block.latches:
        found.setdefault(_kind(latch), latch)
    return list(found.values())


def _kind(latch: Latch) -> tuple[tuple[tuple[int, int], ...], int]:
    return tuple(sorted(latch.fires.items())), latch.bias


def _latching(block: CircuitBlock, names: Sequence[str], frame: Frame) -> Part:
    scale = frame.scale
    stored = scale.v * scale.t * scale.v  # B, Delta and C
    found: dict[int, dict[str, int]] = {}  # of a channel: what it adds to the features that latches fire on
    heads = []
    for latch, name in zip(_different(block), names, strict=True):
        if latch.bias >= 0:
            raise TargetError("a latch that is overwritten where no symbol is read has no lowering to mamba2")
        for c, weight in latch.fires.items():
            found.setdefault(c, {})[name] = weight
        channels = []
        for c, other in block.latches:
            if _kind(other) == _kind(latch):
                kept = block.channels[c]
                assert kept.skip == 0, "a latch shows what it sees"
                made = frame.channel(kept, kept.writes, gate=kept.gate, stored=stored)
                channels.append(replace(made, role="latch", holds=remembered(other)))
        heads.append(Heads(tuple(channels), frame.stream.form({name: 1}, scale.t), scale.t * latch.bias))
    finders = [frame.finder(block.channels[c], writes) for c, writes in found.items()]
    main = frame.layer(heads, frame.features(block), block.title)
    first = [frame.layer([], finders, f"{block.title}: when", finds_only=True)] if finders else []
    return Part((*first, main))


# -- counters ----------------------------------------------------------------------------------------------------------


def _counters(block: CircuitBlock) -> list[tuple[Counter, Form]]:
    """The counters and what shows them."""
    return [(counter, block.channels[c].writes) for c, counter in block.counters]


def _counting(block: CircuitBlock, names: Sequence[str], frame: Frame) -> Part:
    """A block of counters: totals in the first layer, less what they were at ``<bos>`` in the second."""
    begins = block.channels[block.counters[0][1].bos]
    elsewhere = any(counter.anew for _, counter in block.counters)
    if elsewhere or (begins.taps, begins.bias) != (NOW, 0) or min(begins.reads.values()) < 0:
        raise TargetError("a counter that begins anew elsewhere than at <bos> has no lowering to mamba2")
    scale = frame.scale
    added = _net(
        (c, f, w * n) for counter, shown in _counters(block) for f, w in shown.items() for c, n in counter.add.items()
    )
    counts, now, bases, totals = [], [], [], []
    for c, name in zip(kinds_of(block), names, strict=True):
        channel = block.channels[c]
        totals.append(Total(name, int(frame.unit(channel)), tuple(added[c])))
        count = f"{channel.meaning}, since the sequence began"
        # B, Delta and C are v.
        made = replace(frame.channel(channel, {name: 1}, stored=scale.v**3), role="counter")
        meaning = f"{count}, in units of {totals[-1].unit:,}"
        counts.append(replace(made, meaning=meaning, holds=MemoryLabel(meaning, "counter", ())))
        # A total is never negative, hence taps of v and not of t.
        seen = CircuitChannel(count, {name: 1})
        now.append(replace(frame.channel(seen, added[c]), taps=(0.0, scale.v), gain=scale.v**2))
        base = replace(frame.channel(seen, times(-1, added[c])), taps=(0.0, scale.v), gain=scale.v**4 * scale.t)
        before = f"{channel.meaning}, before <bos>"
        bases.append(replace(base, role="latch", meaning=before, holds=MemoryLabel(before, "latch", ())))
    first = Heads(tuple(counts), {}, scale.v, A_LOG_COUNT)
    kept = Heads(tuple(bases), frame.stream.form(begins.reads, 2 * scale.t), -scale.t)
    layers = (
        frame.layer([first], [], f"{block.title}: totals"),
        frame.layer([kept], [*now, *_beside(block, frame)], f"{block.title}: less what they were at <bos>"),
    )
    return Part(layers, tuple(totals))


def _beside(block: CircuitBlock, frame: Frame) -> list[Channel]:
    """What a block of counters writes beside their sums: what letters show at once, and where counters begin.

    Mamba shows the present writes of all counters in each of them, and channels of the circuit take them away again;
    here both are absent, and what is left of the sum is zero.
    """
    at_once = [
        (c, f, w * n)
        for counter, shown in _counters(block)
        for f, w in shown.items()
        for c, n in counter.others.items()
    ]
    at_once += [(c, f, w * ch.skip) for c, ch in enumerate(block.channels) for f, w in ch.writes.items() if ch.skip]
    found = [frame.channel(block.channels[c], writes) for c, writes in _net(at_once).items() if writes]
    if initial := plus(*(times(counter.initial, shown) for counter, shown in _counters(block))):
        found.append(frame.channel(CircuitChannel("where counters begin", bias=1), initial))
    return found


def _net(parts: Iterable[tuple[int, str, int]]) -> dict[int, dict[str, int]]:
    """For each channel what it writes in all, from (channel, feature, weight); zeros left out."""
    found: dict[int, dict[str, int]] = {}
    for channel, feature, weight in parts:
        row = found.setdefault(channel, {})
        row[feature] = row.get(feature, 0) + weight
    return {channel: {f: w for f, w in row.items() if w} for channel, row in found.items()}
