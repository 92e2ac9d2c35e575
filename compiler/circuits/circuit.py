"""Circuits: a language as blocks of named channels over named integer features, before any tensor exists.

This is the compiler's one intermediate form: a cascade (``compiler.circuits.levels``), a plan (``compiler.plan``) and
each of the paper's own constructions is a circuit, and each target writes circuits as weights. The residual stream is a
set of named integer *features*. A block is a list of *channels*; a channel sees one linear form of the features, now
and at the few steps before, and computes

    x = max(0, taps . (..., form before, form now) + bias)
    y = what it remembers + skip * x
    features[f] += writes[f] * y * max(0, gate)

What it remembers is nothing, a :class:`Latch`, one label of a :class:`Register`, or a :class:`Counter`. At the end a
token is allowed iff its *verdict*, one more linear form, is at most 0. :meth:`Circuit.run` runs all that on words in
integers; ``compiler.targets`` turns it into weights that compute the same integers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from ...automata.alphabet import BOS, Word, check_word, verdict_of
from ...automata.cards import brief, card, channels, picture
from ...automata.pictures.layers import Node, flow_svg
from ...automata.pictures.svg import Pictured
from ..manifest import Construction
from .forms import ONE, Form, show, value_of
from .memories import Channels as Channels
from .memories import Counter as Counter
from .memories import Latch as Latch
from .memories import Register as Register
from .memories import Shown as Shown
from .memories import total

Taps = tuple[int, ...]
"""Weights of a form at the last few steps, this one last."""

PAST, NOW = (1, 0), (0, 1)
CONSTANT_EXPONENT = 40
"""Of the residual stream's constant, unless a circuit needs more."""

Role = Literal["condition", "feature", "memory", "latch", "counter"]


@dataclass(frozen=True)
class CircuitChannel:
    """One channel; see the module's docstring for what it computes.

    Attributes:
        meaning: for people.
        reads: the linear form.
        taps: weights of the form at the last steps, this one last; before the first step it was 0.
        bias: added to it.
        memory: what the channel remembers.
        skip: how much of x goes straight into y.
        gate: the form that multiplies y.
        writes: features that the product is added to.
    """

    meaning: str
    reads: Form = field(default_factory=dict)
    taps: Taps = NOW
    bias: int = 0
    memory: Latch | Shown | Counter | None = None
    skip: int = 0
    gate: Form = field(default_factory=dict)
    writes: Form = field(default_factory=dict)

    @property
    def role(self) -> Role:
        """What it remembers; else "feature" (writes what it sees) or "condition" (only other channels look at it)."""
        match self.memory:
            case Latch():
                return "latch"
            case Shown():
                return "memory"
            case Counter():
                return "counter"
            case None:
                return "feature" if self.writes else "condition"

    @property
    def is_constant(self) -> bool:
        """Whether x is always 1."""
        return not self.reads and self.bias == 1


@dataclass(frozen=True)
class LevelNames:
    """What a block of a cascade has to do with its level, for people.

    Attributes:
        height: the number of the level.
        conditions: when its register changes: the label that is written (None: swapped), and when.
        slots_before: which set of states each slot stands for before the block.
        slots_after: and after it.
    """

    height: int
    conditions: tuple[tuple[int | None, str], ...]
    slots_before: Mapping[int, str]
    slots_after: Mapping[int, str]


@dataclass(frozen=True)
class CircuitBlock:
    """One block.

    Attributes:
        title: what it is for.
        channels: in order; memories refer to them by number.
        level: of the blocks of a cascade.
    """

    title: str
    channels: tuple[CircuitChannel, ...] = ()
    level: LevelNames | None = None

    @cached_property
    def counters(self) -> tuple[tuple[int, Counter], ...]:
        """The channels that count, in the order of their indices."""
        found = [(n, c.memory) for n, c in enumerate(self.channels) if isinstance(c.memory, Counter)]
        return tuple(sorted(found, key=lambda pair: pair[1].index))

    @cached_property
    def latches(self) -> tuple[tuple[int, Latch], ...]:
        """The channels that latch."""
        return tuple((n, c.memory) for n, c in enumerate(self.channels) if isinstance(c.memory, Latch))

    @cached_property
    def shown(self) -> tuple[tuple[int, Shown], ...]:
        """The channels that show a label of a register."""
        return tuple((n, c.memory) for n, c in enumerate(self.channels) if isinstance(c.memory, Shown))

    @cached_property
    def registers(self) -> tuple[Register, ...]:
        """The different registers, in the order of the channels that show them."""
        return tuple({shown.register.name: shown.register for _, shown in self.shown}.values())

    @cached_property
    def one(self) -> int:
        """A channel whose x is always 1.

        Raises:
            StopIteration: there is none.
        """
        return next(n for n, channel in enumerate(self.channels) if channel.is_constant)

    @cached_property
    def memories(self) -> Mapping[str, tuple[Latch | Shown | Counter, list[int]]]:
        """Different memories by name, and the channels that hold them: copies that differ in gates or labels."""
        found: dict[str, tuple[Latch | Shown | Counter, list[int]]] = {}
        for n, channel in enumerate(self.channels):
            if (memory := channel.memory) is not None:
                name = memory.register.name if isinstance(memory, Shown) else memory.name
                found.setdefault(name, (memory, []))[1].append(n)
        return found


@dataclass(frozen=True)
class Circuit(Pictured):
    """A language as a circuit.

    Attributes:
        kind, construction: which construction; what it is, with its source.
        alphabet: the symbols.
        features: the residual stream's features, constants left out.
        tokens: for each symbol and ``<bos>``, the features that its embedding sets.
        blocks: in order.
        verdicts: for each token a form that is at most 0 iff it may come next; for each class: iff it is the word's.
        contract: "all-words", "live-prefixes", "recognise" (only ``<eos>`` is promised) or "outputs" (only the class).
        limits: for each counted feature, by dtype, the largest |value| that is exact.
        reach: for counted features, the largest |value| on the words that the contract speaks of, if there is one.
        letters: the features that say which letter it is, with their symbols; exactly one is 1 at a letter.
        slots: the features of which exactly one is 1 after every letter and every level.
        states: of a cascade: from the number of each slot that is left at the end to a state of the DFA.
        classes: of a machine with outputs, in order.
        constant: the exponent of the stream's constant: squares of features sum to less than 2^(2 constant - 25).
    """

    kind: Construction
    construction: str
    alphabet: tuple[str, ...]
    features: tuple[str, ...]
    tokens: Mapping[str, Form]
    blocks: tuple[CircuitBlock, ...]
    verdicts: Mapping[str, Form]
    contract: Literal["all-words", "live-prefixes", "recognise", "outputs"]
    limits: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    reach: Mapping[str, int] = field(default_factory=dict)
    letters: Mapping[str, str] = field(default_factory=dict)
    slots: tuple[str, ...] = ()
    states: Mapping[int, int] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    constant: int = CONSTANT_EXPONENT

    def __post_init__(self) -> None:
        assert len({*self.features, ONE}) == len(self.features) + 1, "two features share a name"

    @property
    def n_blocks(self) -> int:
        """Blocks of a model."""
        return max(1, len(self.blocks))

    @property
    def window(self) -> int:
        """How many steps the widest channel sees."""
        return max((len(channel.taps) for block in self.blocks for channel in block.channels), default=1)

    @property
    def memories(self) -> int:
        """Different memories: copies that only differ in their gates or labels counted once."""
        return sum(len(block.memories) for block in self.blocks)

    @property
    def swaps(self) -> bool:
        """Whether labels of some memory can change places, which takes gates of -1 or reflections."""
        return any(register.swaps for block in self.blocks for register in block.registers)

    @property
    def counts(self) -> bool:
        """Whether some memory counts."""
        return any(block.counters for block in self.blocks)

    def run(self, word: Word) -> Iterator[tuple[dict[str, int], frozenset[str]]]:
        """The features and the tokens that may come next, per prefix, the empty one first. Integers only.

        Under the contract "live-prefixes" nothing is computed any more once a symbol was ruled out: the features stay
        as they were, and nothing may come next. O(|word| * size of the circuit).
        """
        yield from self._run(word, [_BlockRun(block) for block in self.blocks])

    def held(self, word: Word) -> Iterator[dict[str, int]]:
        """What the memories hold, by name, per prefix, the empty one first; arguments and cost as of :meth:`run`."""
        runs = [_BlockRun(block) for block in self.blocks]
        for _ in self._run(word, runs):
            yield {name: value for run in runs for name, value in run.memories().items()}

    def _run(self, word: Word, runs: Sequence[_BlockRun]) -> Iterator[tuple[dict[str, int], frozenset[str]]]:
        check_word(word, self.alphabet)
        features, allowed = dict[str, int](), frozenset({BOS})
        for token in (BOS, *word):
            if token not in allowed and self.contract == "live-prefixes":
                allowed = frozenset()
                yield features, allowed
                continue
            features = dict.fromkeys(self.features, 0) | dict(self.tokens[token])
            for run in runs:
                features = run.step(features)
            allowed = frozenset(t for t, form in self.verdicts.items() if value_of(form, features) <= 0)
            yield features, allowed

    def __repr__(self) -> str:
        return f"<Circuit: {brief(self.construction)}; {len(self.blocks)} blocks, {len(self.features)} features>"

    def _repr_html_(self) -> str:
        rows = [(b, n, c.role, c.meaning) for b, block in enumerate(self.blocks) for n, c in enumerate(block.channels)]
        shown = (picture(self.svg()), channels(rows))
        return card(f"circuit: {self.construction}", {"promises": self.contract}, *shown)

    def svg(self) -> str | None:
        """The memories block by block, and which look at what others write; None if there are too many."""
        allowed = Node(("what may come next",), "", frozenset().union(*self.verdicts.values()), frozenset())
        return flow_svg([*map(_nodes, self.blocks), [allowed]], repr(self))

    def __str__(self) -> str:
        lines = [f"{self.construction}: {len(self.blocks)} blocks, {len(self.features)} features, {self.contract}"]
        for number, block in enumerate(self.blocks):
            lines.append(f"block {number} ({block.title}): {len(block.channels)} channels")
            lines += [f"    {n:>3} {c.role}: {c.meaning}" for n, c in enumerate(block.channels)]
        lines += [f"{verdict_of(token, self.classes)} iff {show(form)} <= 0" for token, form in self.verdicts.items()]
        return "\n".join(lines)


def _nodes(block: CircuitBlock) -> list[Node]:
    """For a picture: the memories, and those channels together that write without one, with the features they see."""
    channels = block.channels
    features = [n for n, channel in enumerate(channels) if channel.role == "feature"]
    groups = [(name, channels[ns[0]].role, ns) for name, (_, ns) in block.memories.items()]
    nodes = []
    for name, kind, ns in [*groups, *([("features", "computed", features)] if features else [])]:
        seen = {*ns, *(seen for n in ns for seen in _looks_at(channels[n].memory))}
        reads = frozenset().union(*(form for n in seen for form in (channels[n].reads, channels[n].gate)))
        said = "; ".join(dict.fromkeys(channels[n].meaning for n in ns))
        nodes.append(Node((name, kind), said, reads, frozenset().union(*(channels[n].writes for n in ns))))
    return nodes


def _looks_at(memory: Latch | Shown | Counter | None) -> set[int]:
    """The channels whose x decides what happens to a memory."""
    match memory:
        case Latch(fires=fires):
            return {*fires}
        case Shown(register):
            return set[int]().union(*register.forms)
        case Counter(add=add, others=others, anew=anew):
            return {*add, *others, *anew}
        case None:
            return set()


class _BlockRun:
    """A block that runs on a word: what its channels saw last, and what they hold."""

    def __init__(self, block: CircuitBlock) -> None:
        self.block = block
        window = max((len(channel.taps) for channel in block.channels), default=1)
        self.past = [[0] * len(block.channels)] * (window - 1)
        self.held = [0] * len(block.channels)
        self.labels: dict[str, int] = {}  # what the registers hold

    def step(self, features: dict[str, int]) -> dict[str, int]:
        """The features after the block."""
        channels = self.block.channels
        lines = [*self.past, [value_of(c.reads, features) for c in channels]]
        x = [
            max(0, sum(tap * line[n] for tap, line in zip(reversed(c.taps), reversed(lines), strict=False)) + c.bias)
            for n, c in enumerate(channels)
        ]
        self.past = lines[1:]
        for register in self.block.registers:
            if (label := register.after(self.labels.get(register.name), x)) is not None:
                self.labels[register.name] = label
        after = dict(features)
        for n, channel in enumerate(channels):
            y = self._remembered(n, x) + channel.skip * x[n]
            gate = max(0, value_of(channel.gate, features))
            for name, weight in channel.writes.items():
                after[name] += weight * y * gate
        return after

    def memories(self) -> dict[str, int]:
        """What is held now, by name."""
        held = {name: self.held[ns[0]] for name, (m, ns) in self.block.memories.items() if not isinstance(m, Shown)}
        return held | self.labels

    def _remembered(self, n: int, x: Sequence[int]) -> int:
        """What channel n remembers, as it reads it."""
        match self.block.channels[n].memory:
            case Latch(_, fires, bias):
                d = total(fires, x) + bias
                assert d != 0, "a latch is neither held nor overwritten"
                if d > 0:
                    self.held[n] = d * x[n]
                return self.held[n]
            case Shown(register, label):
                return int(self.labels.get(register.name) == label)
            case Counter(bos=begins, add=add, initial=initial, others=others, anew=anew):
                self.held[n] = (initial + total(anew, x) if x[begins] else self.held[n]) + total(add, x)
                return self.held[n] + total(others, x)
            case None:
                return 0


def tent(ramps: range, at: int) -> dict[int, int]:
    """2 [value = at], a form over channels max(0, value - m) for m = 0, 1, ...; ramps that are left out are 0.

    Args:
        ramps: the numbers of the channels, that of m = 0 first.
        at: an integer, at least 1.
    """
    return dict(zip(range(ramps.start + at - 1, ramps.stop), (2, -4, 2), strict=False))


def indicator(name: str, form: Form, least: int, *, gate: Form, writes: str, taps: Taps = NOW) -> list[CircuitChannel]:
    """Two channels that write [taps . form >= least], times the gate: max(0, s - least + 1) - max(0, s - least)."""
    return [
        CircuitChannel(
            f"excess of: {name}" if excess else name,
            form,
            taps,
            bias=1 - least - excess,
            skip=1,
            gate=gate,
            writes={writes: -1 if excess else 1},
        )
        for excess in (0, 1)
    ]
