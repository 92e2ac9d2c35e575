"""Where everything lies in the residual stream, and what is said about it in the manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from msgspec.structs import replace

from ..circuits.circuit import Circuit, CircuitBlock, Counter, Latch, Shown
from ..circuits.forms import ONE, Form
from ..manifest import BlockLabel, ChannelLabel, CounterLabel, Dimension, Holder, MemoryLabel, WrittenWhen

MIN_WIDTH = 16

Indicators = Mapping[str, tuple[int, str]]
"""Features that tell the second block of a level what the first has found: their numbers, and what they say."""


@dataclass(frozen=True)
class Stream:
    """Dimensions of the residual stream: constants, then features, then unused ones.

    d_model = n_constants * 4^j, so that RMSNorm is an exact identity (``compiler.targets.lower``).
    """

    d_model: int
    features: tuple[str, ...]

    @property
    def n_constants(self) -> int:
        """n in d_model = n 4^j."""
        return constants_of(self.d_model)

    @property
    def used(self) -> int:
        """Dimensions that carry something."""
        return self.n_constants + len(self.features)

    @property
    def exponent(self) -> int:
        """j in d_model = n 4^j."""
        return ((self.d_model // self.n_constants).bit_length() - 1) // 2

    @cached_property
    def place(self) -> Mapping[str, int]:
        """The dimension of each feature, and of the constant."""
        return {name: self.n_constants + n for n, name in enumerate(self.features)} | {ONE: 0}

    def form(self, form: Form, factor: float = 1.0) -> dict[int, float]:
        """A form of features as one of dimensions."""
        return {self.place[name]: factor * value for name, value in form.items()}


def constants_of(width: int) -> int:
    """How many constants a stream of this width, a power of two, has: n with width = n 4^j."""
    return 1 if width.bit_length() % 2 else 2


def narrowest_stream(features: tuple[str, ...]) -> Stream:
    """The narrowest stream with these features; widths are powers of two from 16 on."""
    width = MIN_WIDTH
    while Stream(width, features).used > width:
        width *= 2
    return Stream(width, features)


# -- labels ------------------------------------------------------------------------------------------------------------


def dimensions(circuit: Circuit, stream: Stream, indicators: Indicators | None = None) -> tuple[Dimension, ...]:
    """What each dimension of the stream means."""
    numbers = {name: number for number, name in enumerate(circuit.slots)}
    found = [Dimension("constant", "constant")] * stream.n_constants
    for name in stream.features:
        if name in circuit.letters:
            found.append(Dimension("letter", name, symbol=circuit.letters[name]))
        elif name in numbers:
            found.append(Dimension("slot", name, number=numbers[name]))
        elif indicators is not None and name in indicators:
            number, text = indicators[name]
            found.append(Dimension("indicator", f"{name}: {text}", number=number))
        else:
            found.append(Dimension("feature", name))
    return widened(found, stream.d_model)


def widened(residual: Iterable[Dimension], d_model: int) -> tuple[Dimension, ...]:
    """The dimensions, and unused ones up to so many."""
    found = tuple(residual)
    return (*found, *[Dimension("unused", "unused")] * (d_model - len(found)))


def remembered(memory: Latch | Shown | Counter, holders: tuple[Holder, ...] = ()) -> MemoryLabel:
    """What is said of a memory, and of the channels that hold it."""
    match memory:
        case Latch(name):
            return MemoryLabel(name, "latch", holders)
        case Shown(register):
            if register.meanings:
                return MemoryLabel(register.name, "register", holders, register.labels, meanings=register.meanings)
            return MemoryLabel(register.name, "level", holders, register.labels, bool(register.swaps))
        case Counter(name, index):
            return MemoryLabel(name, "counter", holders, entry=index)


def level_label(block: CircuitBlock, label: BlockLabel) -> BlockLabel:
    """The label with what is known of the level that a block belongs to, if to any."""
    if block.level is None:
        return label
    return replace(
        label,
        level=block.level.height,
        conditions=tuple(WrittenWhen(value, when) for value, when in block.level.conditions),
        slots_before=dict(block.level.slots_before),
        slots_after=dict(block.level.slots_before if label.finds_only else block.level.slots_after),
    )


def block_labels(circuit: Circuit) -> tuple[BlockLabel, ...]:
    """What the blocks of a model mean where each carries out one block of the circuit, with its channels in order."""
    found = []
    for number, block in enumerate(circuit.blocks):
        channels = tuple(ChannelLabel(n, c.role, c.meaning) for n, c in enumerate(block.channels))
        shown = {n: memory.label for n, memory in block.shown}
        memories = tuple(
            remembered(memory, tuple(Holder(n, shown.get(n)) for n in holders))
            for memory, holders in block.memories.values()
        )
        found.append(level_label(block, BlockLabel(number, block.title, channels, memories=memories)))
    return tuple(found)


def counter_labels(circuit: Circuit) -> tuple[CounterLabel, ...]:
    """The entries that count, in such models."""
    return tuple(
        CounterLabel(counter.name, number, channel, counter.index, dict(circuit.limits[counter.name]))
        for number, block in enumerate(circuit.blocks)
        for channel, counter in block.counters
    )
