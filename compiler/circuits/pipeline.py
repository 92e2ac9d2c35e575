"""A level of a cascade whose labels any group permutes, as blocks that exchange two labels at a step.

The idea is in ``compiler.cascade.pipeline``. Let m be the number of steps of a block of time, n that of labels; a
clock tells the position in the block, and <bos> stands at position 0. A map of labels is a map i -> k, a permutation or
constant. The blocks of the circuit, one after the other:

- *events*: the map of the letter just read, in features [i -> k] for i other than k;
- *products*, for positions 0 to m - 1: a register for each label i holds where the letters of the present block up to
  that position take i, written at that position from the product before and the letter. The last one holds the product
  of the last complete block until the next one is complete; <bos> makes it the identity;
- *the memory*: a register y. At position m - 1 the product of a block is known, and its first exchange is made; the
  others follow at positions 0 to m - 2. Beside y there are n registers that tell what is still to come: number k holds
  the label that will have become k. They are loaded at position m - 1, and exchanged like y. A constant map is written
  at once, and nothing is to come;
- *what is to come* is made good: it is k where register k holds y;
- *the present block* is made good: the product at the present position takes that to the label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from ...automata.groups.stabiliser_chain import inverse
from ..cascade.pipeline import Pipeline
from ..cascade.reflections import Pair, exchange
from .circuit import CircuitBlock, CircuitChannel, Register, Shown
from .forms import ALWAYS, Form, plus
from .memories import Channels

Images = tuple[int, ...]
"""Where a map of labels takes each of them."""

Literal = tuple[int, int]
"""(i, k): the map takes label i to label k."""


@dataclass(frozen=True)
class Event:
    """What a letter does to the labels, and channels whose x, with their signs, sum to 1 when it does, else to 0."""

    images: Images
    channels: tuple[tuple[int, CircuitChannel], ...]


@dataclass(frozen=True)
class Piped:
    """The blocks of a pipeline.

    Attributes:
        blocks: in order; the second is the first that looks at the clock.
        features: what they write.
        labels: for each label the feature that is 1 where it is held.
    """

    blocks: tuple[CircuitBlock, ...]
    features: tuple[str, ...]
    labels: Mapping[int, str]


def clock_feature(period: int, position: int) -> str:
    """The feature that is 1 at one position of a clock."""
    return f"position {position} of {period}"


def piped(name: str, pipeline: Pipeline, events: Iterable[Event], bos: str, somewhere: Form) -> Piped:
    """A pipeline as blocks.

    Args:
        name: what its features and registers are named after.
        pipeline: the exchanges.
        events: disjoint; <bos> is one of those that reset. Where none happens nothing is done.
        bos: the feature of ``<bos>``.
        somewhere: the form that is 1 at every letter, ``<bos>`` included.
    """
    return _Builder(name, pipeline, bos, somewhere).piped(events)


@dataclass
class _Block:
    """A block as it grows: conditions are shared, and registers take forms over them."""

    channels: list[CircuitChannel] = field(default_factory=list)
    known: dict[tuple[tuple[str, ...], int], int] = field(default_factory=dict)

    def all_of(self, meaning: str, names: Sequence[str], *sums: Form, unless: str | None = None) -> Channels:
        """A condition: all these features are 1, these forms, which are 0 or 1, as well, and ``unless`` is 0."""
        reads = plus(*({name: 1} for name in names), *sums, {unless: -1} if unless else {})
        key = tuple(f"{weight} {f}" for f, weight in sorted(reads.items())), 1 - len(names) - len(sums)
        if key not in self.known:
            self.known[key] = len(self.channels)
            self.channels.append(CircuitChannel(meaning, reads, bias=key[1]))
        return {self.known[key]: 1}

    def write(self, channel: CircuitChannel) -> None:
        self.channels.append(channel)


class _Builder:
    def __init__(self, name: str, pipeline: Pipeline, bos: str, somewhere: Form) -> None:
        self.name, self.pipeline, self.bos, self.somewhere = name, pipeline, bos, somewhere
        self.n, self.m = pipeline.n, pipeline.period
        self.features: list[str] = []

    # -- features ------------------------------------------------------------------------------------------------------

    def feature(self, what: str) -> str:
        """A new feature of this pipeline."""
        name = f"{self.name}: {what}"
        self.features.append(name)
        return name

    def position(self, j: int) -> str:
        return clock_feature(self.m, j)

    def letter(self, i: int, k: int) -> Form:
        """1 where the letter takes label i to k."""
        if i != k:
            return {self.moves[i, k]: 1}
        return plus(self.somewhere, {self.moves[i, j]: -1 for j in range(self.n) if j != i})

    # -- blocks --------------------------------------------------------------------------------------------------------

    def piped(self, events: Iterable[Event]) -> Piped:
        blocks = [self.events(events)]
        products: list[dict[Literal, str]] = []
        for j in range(self.m):
            block, shown = self.product(j, products[-1] if products else None)
            blocks.append(block)
            products.append(shown)
        memory, shown_y, shown_to_come = self.memory(products[-1])
        corrected = self.corrected(shown_y, shown_to_come)
        labels = {k: self.feature(f"label {k}") for k in range(self.n)}
        blocks += [memory, corrected[0], self.present(corrected[1], products[:-1], labels)]
        return Piped(tuple(blocks), tuple(self.features), labels)

    def events(self, events: Iterable[Event]) -> CircuitBlock:
        self.moves = {
            (i, k): self.feature(f"letter takes {i} to {k}") for i, k in product(range(self.n), repeat=2) if i != k
        }
        channels = []
        for event in events:
            moved = [self.moves[i, k] for i, k in enumerate(event.images) if i != k]
            for sign, channel in event.channels:
                writes = dict.fromkeys(moved, sign)
                channels.append(
                    CircuitChannel(channel.meaning, channel.reads, channel.taps, channel.bias, None, 1, ALWAYS, writes)
                )
        return CircuitBlock(f"{self.name}: what the letter does", tuple(channels))

    def product(self, j: int, before: Mapping[Literal, str] | None) -> tuple[CircuitBlock, dict[Literal, str]]:
        """The product up to position j."""
        block, last = _Block(), j == self.m - 1
        shown: dict[Literal, str] = {}
        for i in range(self.n):
            writes: dict[int, dict[int, int]] = {k: {} for k in range(self.n)}
            for k in range(self.n):
                if before is None:
                    meaning = f"position {j}, and the letter takes {i} to {k}"
                    writes[k] |= block.all_of(meaning, [self.position(j)], self.letter(i, k))
                    continue
                for via in range(self.n):
                    meaning = f"position {j}, {i} has become {via}, which the letter takes to {k}"
                    names = [self.position(j), before[i, via]]
                    writes[k] |= block.all_of(meaning, names, self.letter(via, k))
            if last:
                writes[i] |= block.all_of(f"{self.bos}: the product is the identity", [self.bos])
            what = "last block" if last else f"present block to position {j}"
            register = Register(f"{self.name}: where the {what} takes {i}", writes)
            shown |= {(i, k): f for k, f in self.show(block, register, f"the {what} takes {i} to").items()}
        return CircuitBlock(f"{self.name}: product at position {j}", tuple(block.channels)), shown

    def show(self, block: _Block, register: Register, what: str) -> dict[int, str]:
        shown = {k: self.feature(f"{what} {k}") for k in register.labels}
        for k, name in shown.items():
            block.write(
                CircuitChannel(
                    f"[{register.name} = {k}]",
                    bias=1,
                    memory=Shown(register, k),
                    gate=self.somewhere,
                    writes={name: 1},
                )
            )
        return shown

    def memory(self, last: Mapping[Literal, str]) -> tuple[CircuitBlock, dict[int, str], dict[Literal, str]]:
        """The memory y, and the registers of what is to come."""
        block, rows = _Block(), self.pipeline.exchanges
        constants = [(k,) * self.n for k in range(self.n)]

        def when(meaning: str, position: int, value: Callable[[Images], object]) -> Iterator[tuple[object, Channels]]:
            """For each value but None the condition that it is this one, at a position other than <bos>."""
            for literals, found in cases({images: value(images) for images in (*rows, *constants)}):
                if found is not None:
                    names = [self.position(position), *(last[literal] for literal in literals)]
                    yield found, block.all_of(f"{meaning} {found}", names, unless=self.bos)

        swaps: dict[Pair, dict[int, int]] = {}
        for position in range(self.m):
            step = (position + 1) % self.m

            def pair_at(images: Images, step: int = step) -> Pair | None:
                return rows[images][step] if images in rows else None

            for pair, form in when(f"exchange {step} of the last block:", position, pair_at):
                assert isinstance(pair, tuple)
                swaps.setdefault(pair, {}).update(form)
        at_bos = block.all_of(f"{self.bos}: nothing is to come", [self.bos])

        def constant(images: Images) -> int | None:
            return None if images in rows else images[0]

        writes: dict[int, dict[int, int]] = {0: dict(at_bos)}
        for value, form in when("the last block makes all labels", self.m - 1, constant):
            assert isinstance(value, int)
            writes.setdefault(value, {}).update(form)
        y = Register(f"{self.name}: memory", dict(sorted(writes.items())), dict(sorted(swaps.items())))
        shown_y = self.show(block, y, "memory")

        to_come: dict[Literal, str] = {}
        for k in range(self.n):

            def loaded(images: Images, k: int = k) -> int:
                if images not in rows:
                    return k
                source, first = inverse(images)[k], rows[images][0]
                return source if first is None else exchange(self.n, first)[source]

            writes = {k: dict(at_bos)}
            for value, form in when(f"what becomes {k} is", self.m - 1, loaded):
                assert isinstance(value, int)
                writes.setdefault(value, {}).update(form)
            later = {pair: self.without_loading(form, block) for pair, form in swaps.items()}
            register = Register(f"{self.name}: what becomes {k}", dict(sorted(writes.items())), later)
            shown = self.show(block, register, f"what becomes {k} is")
            to_come |= {(k, i): name for i, name in shown.items()}
        return CircuitBlock(f"{self.name}: memory", tuple(block.channels)), shown_y, to_come

    def without_loading(self, form: Channels, block: _Block) -> Channels:
        """An exchange's form without the conditions of position m - 1, where registers are loaded instead."""
        loading = self.position(self.m - 1)
        return {c: sign for c, sign in form.items() if loading not in block.channels[c].reads}

    def corrected(self, y: Mapping[int, str], to_come: Mapping[Literal, str]) -> tuple[CircuitBlock, dict[int, str]]:
        """The label once all that is to come has come: k where what becomes k is y."""
        shown = {k: self.feature(f"label {k} before the present block") for k in range(self.n)}
        channels = [self.both(f"{i} becomes {k}", [name, y[i]], shown[k]) for (k, i), name in to_come.items()]
        return CircuitBlock(f"{self.name}: exchanges to come", tuple(channels)), shown

    def present(
        self, label: Mapping[int, str], products: Sequence[Mapping[Literal, str]], labels: Mapping[int, str]
    ) -> CircuitBlock:
        """The label after the letters of the present block; none of them at its end."""
        channels = [
            self.both(f"at position {j}: {i} is now {k}", [self.position(j), label[i], name], labels[k])
            for j, shown in enumerate(products)
            for (i, k), name in shown.items()
        ]
        end = self.position(self.m - 1)
        channels += [self.both(f"at the end of a block: {k}", [end, label[k]], labels[k]) for k in labels]
        return CircuitBlock(f"{self.name}: present block", tuple(channels))

    @staticmethod
    def both(meaning: str, names: Sequence[str], writes: str) -> CircuitChannel:
        """A channel that writes a feature where all these are 1."""
        reads = dict.fromkeys(names, 1)
        return CircuitChannel(meaning, reads, bias=1 - len(names), skip=1, gate=ALWAYS, writes={writes: 1})


# -- functions of maps as conditions -----------------------------------------------------------------------------------


def cases(values: Mapping[Images, object]) -> list[tuple[tuple[Literal, ...], object]]:
    """Conditions on a map, disjoint and exhaustive among those given, and the value under each.

    Greedy: the label is looked at whose image leaves the fewest different values, summed over its images.
    O(maps * n^2) for each depth.

    >>> cases({(0, 1): "a", (1, 0): "b", (0, 0): "a"})
    [(((0, 0),), 'a'), (((0, 1),), 'b')]
    """
    found: list[tuple[tuple[Literal, ...], object]] = []
    stack: list[tuple[tuple[Literal, ...], list[Images]]] = [((), sorted(values))]
    while stack:
        literals, maps = stack.pop()
        if len({values[images] for images in maps}) == 1:
            found.append((literals, values[maps[0]]))
            continue

        def branches(i: int, maps: list[Images] = maps) -> dict[int, list[Images]]:
            parts: dict[int, list[Images]] = {}
            for images in maps:
                parts.setdefault(images[i], []).append(images)
            return parts

        def left(i: int) -> tuple[int, int]:
            parts = branches(i)
            return sum(len({values[images] for images in part}) for part in parts.values()), len(parts)

        asked = {i for i, _ in literals}
        best = min((i for i in range(len(maps[0])) if i not in asked and len(branches(i)) > 1), key=left)
        stack += [((*literals, (best, k)), part) for k, part in sorted(branches(best).items(), reverse=True)]
    return sorted(found, key=lambda case: case[0])
