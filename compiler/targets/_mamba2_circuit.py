"""The paper's own constructions as Mamba-2 blocks: one or two for each block of the circuit.

Delta is a linear form of the present, so what a latch fires on must stand in the residual stream before its block.

*Latches.* Block A computes d - bias, the sum of ``fires[c]`` x_c, into a feature of its own, one per different d.
Block B has the latches, a head per d: Delta = softplus(t d) is 0, or t d where d > 0, with A = -1; so everything that
the chunked algorithm needs holds as in a cascade (``compiler.targets.mamba2``). All channels that remember nothing are
in block B.

*Counters.* A gate of 1 with a write takes A Delta = 0 with Delta > 0. A_log = -2^13 does it: exp underflows to 0, so A
Delta is 0 exactly, and so are its sums over chunks. The state adds up integers, which is exact in any order. But A
belongs to the head, so nothing can ever be forgotten: ``<bos>`` cannot clear such a state. Therefore

- block A counts each kind of letter since the sequence began, n_c: all writes are positive, since Delta, B and x are;
- block B keeps what each n_c was at ``<bos>``, in latches that fire there, and writes the counter: the sum of
  ``add[c]`` (n_c - n_c at ``<bos>``), plus its initial value.

It is exact as long as no n_c
exceeds :func:`longest`: a limit on the sequence, several documents packed into it included, and not on the counter.

*Magnitudes.* y silu(z) is a product of five activations, each a power of two times an integer, and all of them must
vanish beside the constant of the norm after the scan. So circuits that count take t = 2^7 and v = 2^5, which are
exact in float32 (silu(-2^7), softplus(-2^7) and exp(-2^7) underflow, silu(2^5) and softplus(2^5) are 2^5) but not in
float64, and the constant 2^63. Others take those of a cascade.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..circuits.circuit import ALWAYS, NOW, ONE, Circuit, CircuitBlock, CircuitChannel, Latch, show
from ..circuits.circuit import Form as Integers
from ._mamba2_layers import Channel, Heads, Layer
from .base import TargetError
from .lower import T, V, circuit_places

A_LOG_COUNT = -(2.0**13)
"""exp(A_log) underflows to 0, in float64 too."""

ANY = 8
"""No feature but counts and counters exceeds this; they are 0, 1, or sums of a few of these."""


@dataclass(frozen=True)
class Scale:
    """Powers of two that a block is made of.

    Attributes:
        t: of what may be negative: activations vanish at -t.
        v: of what is never negative: activations are the identity from v on.
        exponent: of the constant of the norm after the scan.
    """

    t: float
    v: float
    exponent: int


WIDE, NARROW = Scale(T, V, 60), Scale(2.0**7, 2.0**5, 63)


@dataclass(frozen=True)
class Frame:
    """What all blocks of a circuit are written with.

    Attributes:
        place: the dimension of each feature.
        scale: the powers of two.
        positive: features that are never negative: those that tokens set, and no block of the circuit writes.
    """

    place: Mapping[str, int]
    scale: Scale
    positive: frozenset[str]

    def form(self, form: Integers, factor: float = 1.0) -> dict[int, float]:
        """A form in dimensions."""
        return {self.place[name]: factor * value for name, value in form.items()}

    def x(self, channel: CircuitChannel) -> float:
        """What x of a channel is where it is 1 in the circuit: v if its sum is never negative."""
        weights = (*channel.taps, channel.bias, *channel.reads.values())
        never = min(weights) >= 0 and self.positive >= set(channel.reads)
        return self.scale.v if never else self.scale.t

    def gate(self, form: Integers) -> float:
        """What the gate branch is where the form is 1."""
        return self.scale.v if set(form) == {ONE} and form[ONE] > 0 else self.scale.t

    def unit(self, channel: CircuitChannel) -> float:
        """What a state that counts has for each letter: Delta B x."""
        return self.scale.v * self.scale.v * self.x(channel)


def frame_of(circuit: Circuit) -> Frame:
    """The circuit's frame. Those that count have smaller numbers."""
    written = {name for block in circuit.blocks for channel in block.channels for name in channel.writes}
    if circuit.control is not None:
        written |= {f"slot {n}" for n in range(circuit.control.n_slots)}
    set_to = [circuit.tokens[token] for token in circuit.tokens]
    positive = {n for n in circuit.features if n not in written and all(form.get(n, 0) >= 0 for form in set_to)}
    counts = any(block.counters for block in circuit.blocks)
    told = {name for n, block in enumerate(circuit.blocks) for name in _told(n, block)}
    return Frame(circuit_places(circuit), NARROW if counts else WIDE, frozenset(positive - told))


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
class Part:
    """What one block of a circuit, or a level of its control, becomes.

    Attributes:
        layers: one or two.
        totals: what the first channels of the first of them count.
    """

    layers: tuple[Layer, ...]
    totals: tuple[Total, ...] = ()


def extended(circuit: Circuit) -> Circuit:
    """The circuit with the features that its Mamba-2 blocks tell each other, after its own."""
    extra = [name for n, block in enumerate(circuit.blocks) for name in _told(n, block)]
    return replace(circuit, features=(*circuit.features, *extra))


def parts_of(circuit: Circuit) -> list[Part]:
    """Each block of a circuit that :func:`extended` returned.

    Raises:
        TargetError: it has a channel that this target cannot have.
    """
    frame = frame_of(circuit)
    return [
        (_counting if block.counters else _latching)(block, _told(n, block), frame)
        for n, block in enumerate(circuit.blocks)
    ]


def _told(number: int, block: CircuitBlock) -> list[str]:
    """The features between the two blocks: one for each kind of letter that is counted, or each different latch."""
    if block.counters:
        kinds = [block.channels[c].meaning for c in _kinds(block)]
        return [f"total {number}.{i}: {meaning}, since the sequence began" for i, meaning in enumerate(kinds)]
    fires = [show({block.channels[c].meaning: w for c, w in latch.fires.items()}) for latch in _different(block)]
    return [f"firing {number}.{i}: {form}" for i, form in enumerate(fires)]


def _kinds(block: CircuitBlock) -> list[int]:
    """The channels whose x some counter adds up."""
    return list(dict.fromkeys(c for _, counter in block.counters for c in counter.add))


def _different(block: CircuitBlock) -> list[Latch]:
    """One latch of each kind: those that fire alike share a head."""
    found: dict[tuple[tuple[int, int], ...], Latch] = {}
    for _, latch in block.latches:
        found.setdefault((*sorted(latch.fires.items()), (-1, latch.bias)), latch)
    return list(found.values())


# -- channels ----------------------------------------------------------------------------------------------------------


def _channel(
    channel: CircuitChannel,
    role: str,
    frame: Frame,
    *,
    writes: Integers,
    gate: Integers = ALWAYS,
    stored: float = 1.0,
) -> Channel:
    """A channel with this x; ``stored`` is what y is for each unit of x."""
    x, z = frame.x(channel), frame.gate(gate)
    return Channel(
        role=role,
        meaning=channel.meaning,
        x=frame.form(channel.reads),
        taps=(x * channel.taps[0], x * channel.taps[1]),
        bias=x * channel.bias,
        gate=frame.form(gate, z),
        gain=stored * x * z,
        writes=frame.form(writes),
    )


def _features(block: CircuitBlock, frame: Frame) -> list[Channel]:
    """The channels that remember nothing, and write something."""
    return [
        _channel(c, c.role, frame, gate=c.gate, writes={f: w * c.skip for f, w in c.writes.items()})
        for c in block.channels
        if c.memory is None and c.skip and c.writes and c.gate
    ]


def _layer(
    memories: list[Heads], others: list[Channel], scale: Scale, title: str, *, finds_only: bool = False
) -> Layer:
    return Layer(tuple(memories), tuple(others), -scale.t, scale.v, scale.exponent, title, finds_only)


# -- latches -----------------------------------------------------------------------------------------------------------


def _latching(block: CircuitBlock, names: Sequence[str], frame: Frame) -> Part:
    latches, scale = _different(block), frame.scale
    found: dict[int, dict[str, int]] = {}  # of a channel: what it adds to the features that latches fire on
    for latch, name in zip(latches, names, strict=True):
        for c, weight in latch.fires.items():
            found.setdefault(c, {})[name] = weight
    finders = [_channel(block.channels[c], "condition", frame, writes=w) for c, w in found.items()]
    stored = scale.v * scale.t * scale.v  # B, Delta and C
    heads = []
    for latch, name in zip(latches, names, strict=True):
        if latch.bias >= 0:
            raise TargetError("a latch that is overwritten where no symbol is read has no lowering to mamba2")
        channels = []
        for n, other in block.latches:
            if (dict(other.fires), other.bias) == (dict(latch.fires), latch.bias):
                kept = block.channels[n]
                assert kept.skip == 0, "a latch shows what it sees"
                channels.append(_channel(kept, "latch", frame, gate=kept.gate, writes=kept.writes, stored=stored))
        heads.append(Heads(tuple(channels), frame.form({name: 1}, scale.t), scale.t * latch.bias))
    main = _layer(heads, _features(block, frame), scale, block.title)
    first = [_layer([], finders, scale, f"{block.title}: when", finds_only=True)] if finders else []
    return Part((*first, main))


# -- counters ----------------------------------------------------------------------------------------------------------


def _counting(block: CircuitBlock, names: Sequence[str], frame: Frame) -> Part:
    scale = frame.scale
    assert block.bos is not None
    assert not block.latches, "latches and counters are in different blocks"
    begins = block.channels[block.bos]
    if (begins.taps, begins.bias) != (NOW, 0) or min(begins.reads.values()) < 0:
        raise TargetError("a counter that begins anew elsewhere than at <bos> has no lowering to mamba2")
    added: dict[int, dict[str, int]] = {}  # of a channel: what it adds to counters each time
    shown: dict[int, dict[str, int]] = {}  # of a channel: what it writes now
    initial: dict[str, int] = {}
    for n, counter in block.counters:
        channel = block.channels[n]
        assert channel.gate == ALWAYS
        assert channel.skip == 0
        for name, weight in channel.writes.items():
            initial[name] = initial.get(name, 0) + weight * counter.initial
            for into, amounts in ((added, counter.add), (shown, counter.others)):
                for c, amount in amounts.items():
                    into.setdefault(c, {})[name] = into.get(c, {}).get(name, 0) + weight * amount
    counts, now, bases, totals = [], [], [], []
    for c, name in zip(_kinds(block), names, strict=True):
        channel = block.channels[c]
        totals.append(Total(name, int(frame.unit(channel)), tuple(added[c])))
        counted = _channel(channel, "counter", frame, writes={name: 1}, stored=scale.v**3)  # B, Delta and C
        meaning = f"{channel.meaning}, since the sequence began, in units of {totals[-1].unit:,}"
        counts.append(replace(counted, meaning=meaning))
        # A total is never negative, hence taps of v and not of t.
        read = CircuitChannel(f"{channel.meaning}, since the sequence began", {name: 1})
        total = _channel(read, "feature", frame, writes=added[c])
        now.append(replace(total, taps=(0.0, scale.v), gain=scale.v**2))
        begun = replace(read, meaning=f"{channel.meaning}, before <bos>")
        base = _channel(begun, "latch", frame, writes={f: -w for f, w in added[c].items()})
        bases.append(replace(base, taps=(0.0, scale.v), gain=scale.v**4 * scale.t))
    first = Heads(tuple(counts), {}, scale.v, A_LOG_COUNT)
    kept = Heads(tuple(bases), frame.form(begins.reads, 2 * scale.t), -scale.t)
    # What Mamba shows beside its counters, these channels take away again.
    for c, channel in enumerate(block.channels):
        if channel.memory is None and channel.skip:
            assert channel.gate == ALWAYS
            for name, weight in channel.writes.items():
                row = shown.setdefault(c, {})
                row[name] = row.get(name, 0) + weight * channel.skip
    others = [
        _channel(block.channels[c], "feature", frame, writes={f: w for f, w in row.items() if w})
        for c, row in shown.items()
        if any(row.values())
    ]
    if any(initial.values()):
        always = CircuitChannel("where counters begin", bias=1)
        others.append(_channel(always, "feature", frame, writes={f: w for f, w in initial.items() if w}))
    layers = (
        _layer([first], [], scale, f"{block.title}: totals"),
        _layer([kept], [*now, *others], scale, f"{block.title}: less what they were at <bos>"),
    )
    return Part(layers, tuple(totals))


# -- how far it counts -------------------------------------------------------------------------------------------------


def longest(circuit: Circuit) -> int:
    """How many letters of each kind that is counted a sequence may have; 0 if not even one is exact.

    All numbers are bounded as if each were as large as it can be: sums of integers by 2^24, the squares before the norm
    after the scan by what vanishes beside its constant. O(24 * size of the circuit).
    """
    return bisect_left(range(1, 2**24 + 1), True, key=lambda total: not _exact(circuit, total))


def _exact(circuit: Circuit, total: int) -> bool:
    frame, sizes = frame_of(circuit), _Sizes(circuit, total)
    v, t = frame.scale.v, frame.scale.t
    # The norm of the stream takes squares of 2^55 in all.
    sums, squares = [sum(m * m for m in sizes.most.values()) / 2.0**31], [0.0]
    for block in circuit.blocks:
        x = [sum(map(abs, c.taps)) * sizes.of(c.reads) + abs(c.bias) for c in block.channels]
        sums += x
        if block.counters:
            squares.append(len(_kinds(block)) * ((v**4 * t * total) ** 2 + (v * v * total) ** 2))
            for _, counter in block.counters:
                sums.append(total * sum(map(abs, counter.add.values())) + abs(counter.initial))
            continue
        finding = {c for _, latch in block.latches for c in latch.fires}
        sums += [sum(abs(w) * x[c] for c, w in latch.fires.items()) for _, latch in block.latches]
        squares.append(sum((t * v * x[c]) ** 2 for c in finding))
        main, up, down = 0.0, dict.fromkeys(circuit.features, 0), dict.fromkeys(circuit.features, 0)
        for n, channel in enumerate(block.channels):
            remembers = channel.memory is not None
            shown = x[n] * (1 if remembers else abs(channel.skip)) * sizes.of(channel.gate)
            main += (frame.x(channel) * frame.gate(channel.gate) * (v * v * t if remembers else 1.0) * shown) ** 2
            for name, weight in channel.writes.items():
                into = up if weight * (1 if remembers else channel.skip) > 0 else down
                into[name] += abs(weight) * shown
        sums += [*up.values(), *down.values()]  # every partial sum is between these
        squares.append(main)
    return max(sums) <= 2**24 and max(squares) <= 2.0 ** (2 * frame.scale.exponent - 25)


class _Sizes:
    """How large features and forms can be in a sequence with so many letters of each kind."""

    def __init__(self, circuit: Circuit, total: int) -> None:
        written = {name for block in circuit.blocks for channel in block.channels for name in channel.writes}
        self.most: dict[str, int] = dict.fromkeys(circuit.features, ANY) | {ONE: 1}
        self.most |= {f: 1 for form in circuit.tokens.values() for f, value in form.items() if abs(value) <= 1}
        self.alone: tuple[frozenset[str], ...] = ()
        if circuit.control is not None:
            letters, slots = len(circuit.alphabet) + 1, circuit.control.n_slots
            one_hot = circuit.features[:letters], circuit.features[letters : letters + slots]
            self.most |= dict.fromkeys((*one_hot[0], *one_hot[1]), 1)
            self.alone = frozenset(one_hot[0]), frozenset(one_hot[1])
        self.most |= dict.fromkeys(written, ANY)
        for number, block in enumerate(circuit.blocks):
            if block.counters:
                self.most |= dict.fromkeys(_told(number, block), total)
            for n, counter in block.counters:
                up, down = (sum(max(0, sign * a) for a in counter.add.values()) for sign in (1, -1))
                value = total * max(1, up, down) + abs(counter.initial)
                self.most |= {name: circuit.reach.get(name, value) for name in block.channels[n].writes}

    def of(self, form: Integers) -> int:
        """A form; of one-hot features only one is there at a time."""
        rest = [f for f in form if not any(f in names for names in self.alone)]
        alone = (max((abs(form[f]) for f in form if f in names), default=0) for names in self.alone)
        return sum(abs(form[f]) * self.most[f] for f in rest) + sum(alone)
