"""Circuits: the paper's own constructions as blocks of named channels, before any tensor exists.

The residual stream is a set of named integer *features*. A block is a list of *channels*; a channel sees one linear
form of the features, at this step and at the step before, and computes

    x = max(0, taps . (form before, form now) + bias)
    y = what it remembers + skip * x
    features[f] += writes[f] * y * max(0, gate)

What it remembers is nothing, a :class:`Latch` or a :class:`Counter`. At the end a token is allowed iff its *verdict*,
one more linear form, is at most 0. :meth:`Circuit.run` runs all that on words in integers; ``compiler.targets``
turns it into weights that compute the same integers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ...automata.alphabet import BOS, Word, check_word
from .program import Program

Form = Mapping[str, int]
"""A linear form over features; the key ``ONE`` is the constant term."""

ONE = "1"
ALWAYS: Form = {ONE: 1}
PAST, NOW = (1, 0), (0, 1)


@dataclass(frozen=True)
class Latch:
    """A memory that is overwritten with the channel's own x when d = 1, set to 0 when d > 1, and held when d < 0.

    d = sum of ``fires[c]`` * x_c over channels of the block, + ``bias``; it must be odd or negative, never 0. (d > 1
    must come with x = 0: the write is d * x.)
    """

    fires: Mapping[int, int]
    bias: int


@dataclass(frozen=True)
class Counter:
    """A memory that is never forgotten: it adds up ``add[c]`` * x_c, and begins anew with ``initial`` at ``<bos>``.

    Args:
        index: its number among the counters of the block; each takes one entry of d_state.
        add: from channels of the block to amounts.
        initial: its value after ``<bos>``.
        others: from channels to what the other entries of d_state then hold, which is read along with the value.
    """

    index: int
    add: Mapping[int, int]
    initial: int = 0
    others: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CircuitChannel:
    """One channel; see the module's docstring for what it computes.

    Attributes:
        meaning: for people.
        reads: the linear form.
        taps: weights of the form at the step before and now.
        bias: added to it.
        memory: what the channel remembers.
        skip: how much of x goes straight into y.
        gate: the form that multiplies y.
        writes: features that the product is added to.
    """

    meaning: str
    reads: Form = field(default_factory=dict)
    taps: tuple[int, int] = NOW
    bias: int = 0
    memory: Latch | Counter | None = None
    skip: int = 0
    gate: Form = field(default_factory=dict)
    writes: Mapping[str, int] = field(default_factory=dict)

    @property
    def role(self) -> str:
        """ "latch", "counter", "feature" (writes what it sees) or "condition" (only other channels look at it)."""
        if self.memory is not None:
            return type(self.memory).__name__.lower()
        return "feature" if self.writes else "condition"


@dataclass(frozen=True)
class CircuitBlock:
    """One Mamba block.

    Attributes:
        title: what it is for.
        channels: in order; memories refer to them by number.
        one: the channel whose x is always 1.
        letter: the channel with x = 1 at every letter (for counters).
        bos: the channel with x = 1 at ``<bos>`` (for counters).
    """

    title: str
    channels: tuple[CircuitChannel, ...]
    one: int
    letter: int | None = None
    bos: int | None = None

    @property
    def counters(self) -> tuple[tuple[int, Counter], ...]:
        """The channels that count, in the order of their indices."""
        found = [(n, c.memory) for n, c in enumerate(self.channels) if isinstance(c.memory, Counter)]
        return tuple(sorted(found, key=lambda pair: pair[1].index))

    @property
    def latches(self) -> tuple[tuple[int, Latch], ...]:
        """The channels that latch."""
        return tuple((n, c.memory) for n, c in enumerate(self.channels) if isinstance(c.memory, Latch))


@dataclass(frozen=True)
class Circuit:
    """A language as a circuit.

    Attributes:
        construction: what it is, with its source.
        alphabet: the symbols.
        features: the residual stream's features, constants left out.
        tokens: for each symbol and ``<bos>``, the features that its embedding sets.
        control: level blocks that come first (a star-free control); their letters and slots are the first features.
        blocks: the circuit's own blocks, after those.
        verdicts: for each symbol and ``<eos>`` a form that is at most 0 iff the token may come next.
        contract: "all-words" or "live-prefixes".
        limits: for each counted feature, by dtype, the largest |value| that is exact.
        reach: for counted features, the largest |value| on the words that the contract speaks of, if there is one.
    """

    construction: str
    alphabet: tuple[str, ...]
    features: tuple[str, ...]
    tokens: Mapping[str, Form]
    control: Program | None
    blocks: tuple[CircuitBlock, ...]
    verdicts: Mapping[str, Form]
    contract: str
    limits: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    reach: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert len({*self.features, ONE}) == len(self.features) + 1, "two features share a name"

    @property
    def n_blocks(self) -> int:
        """Mamba blocks in all."""
        return len(self.blocks) + (0 if self.control is None else len(self.control.blocks))

    @property
    def memories(self) -> int:
        """Different memories: channels that remember, copies that only differ in their gates counted once."""
        found = set()
        for number, block in enumerate(self.blocks):
            for channel in block.channels:
                if channel.memory is not None:
                    seen = (*sorted(channel.reads.items()), channel.taps, channel.bias)
                    found.add((number, seen, repr(channel.memory)))
        return len(found)

    def values(self, form: Form, features: Mapping[str, int]) -> int:
        """A form's value."""
        return sum(w * (1 if f == ONE else features[f]) for f, w in form.items())

    def run(self, word: Word) -> Iterator[tuple[dict[str, int], frozenset[str]]]:
        """The features and the tokens that may come next, per prefix, the empty one first. Integers only.

        Under the contract "live-prefixes" nothing is computed any more once a symbol was ruled out: the features stay
        as they were, and nothing may come next. O(|word| * size of the circuit).
        """
        check_word(word, self.alphabet)
        slots = None if self.control is None else self.control.slots(word)
        past: list[list[int]] = [[0] * len(block.channels) for block in self.blocks]
        held: list[list[int]] = [[0] * len(block.channels) for block in self.blocks]
        features: dict[str, int] = {}
        allowed = frozenset({BOS})
        for token in (BOS, *word):
            if token not in allowed and self.contract == "live-prefixes":
                allowed = frozenset()
                yield features, allowed
                continue
            features = dict.fromkeys(self.features, 0) | dict(self.tokens[token])
            if slots is not None:
                active = next(slots)
                features |= {name: int(name == f"slot {active}") for name in features if name.startswith("slot ")}
            for number, block in enumerate(self.blocks):
                features = self._step(block, features, past[number], held[number], token == BOS)
            allowed = frozenset(t for t, form in self.verdicts.items() if self.values(form, features) <= 0)
            yield features, allowed

    def _step(
        self, block: CircuitBlock, features: dict[str, int], past: list[int], held: list[int], begins: bool
    ) -> dict[str, int]:
        seen = [self.values(c.reads, features) for c in block.channels]
        x = [
            max(0, c.taps[0] * before + c.taps[1] * now + c.bias)
            for c, before, now in zip(block.channels, past, seen, strict=True)
        ]
        past[:] = seen
        after = dict(features)
        for n, channel in enumerate(block.channels):
            memory = channel.memory
            if isinstance(memory, Latch):
                d = sum(w * x[c] for c, w in memory.fires.items()) + memory.bias
                assert d != 0, "a latch is neither held nor overwritten"
                if d > 0:
                    assert d == 1 or x[n] == 0, "a latch is overwritten with a multiple"
                    held[n] = d * x[n]
            elif memory is not None:
                kept = memory.initial if begins else held[n]
                held[n] = kept + sum(w * x[c] for c, w in memory.add.items())
            y = held[n] + channel.skip * x[n]
            if isinstance(memory, Counter):
                y += sum(w * x[c] for c, w in memory.others.items())
            gate = max(0, self.values(channel.gate, features))
            for name, weight in channel.writes.items():
                after[name] += weight * y * gate
        return after

    def __str__(self) -> str:
        lines = [f"{self.construction}: {self.n_blocks} blocks, {len(self.features)} features, {self.contract}"]
        if self.control is not None:
            lines.append(f"control: {self.control}")
        for number, block in enumerate(self.blocks, self.n_blocks - len(self.blocks)):
            lines.append(f"block {number} ({block.title}): {len(block.channels)} channels")
            for n, c in enumerate(block.channels):
                lines.append(f"    {n:>3} {c.role}: {c.meaning}")
        for token, form in self.verdicts.items():
            lines.append(f"{token} may come next iff {show(form)} <= 0")
        return "\n".join(lines)


def show(form: Form) -> str:
    """A form for people."""
    terms = []
    for name, weight in form.items():
        sign, size = "-" if weight < 0 else "+", abs(weight)
        terms.append(f"{sign} {size}" if name == ONE else f"{sign} {f'{size} ' if size > 1 else ''}[{name}]")
    return " ".join(terms).removeprefix("+ ") or "0"


def plus(*forms: Form) -> dict[str, int]:
    """The sum of forms, zeros left out."""
    total: dict[str, int] = {}
    for form in forms:
        for name, weight in form.items():
            total[name] = total.get(name, 0) + weight
    return {name: weight for name, weight in total.items() if weight}


def times(factor: int, form: Form) -> dict[str, int]:
    """A form, multiplied."""
    return {name: factor * weight for name, weight in form.items()}
