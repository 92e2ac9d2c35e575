"""The manifest: what a checkpoint means, for machines and for people. It is the file ``scancraft.json``.

Nothing in it is told in words only: whatever a program needs (which channel reads which label of which memory, what a
dimension of the residual stream is, where a counter lies) is a field of its own. Its JSON schema is
``docs/reference/manifest.schema.json``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from ..automata.cards import brief, card, channels
from ..automata.told import Kind
from ..models.errors import CheckpointError

SCHEMA_VERSION: Final = 3

Regular = Literal["cascade", "plan", "walk", "pattern", "finite"]
"""Constructions of a regular language."""

Construction = Literal[Regular, "combination", "flip-flop", "bounded Dyck", "nested", "copying", "counters", "trained"]
"""All constructions; "trained" is none: the weights were learned."""

MOST_SOURCE: Final = 1000
"""Characters of a language's source that are kept; a longer one is left out."""

Natural = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Finite = Annotated[float, Meta(ge=-sys.float_info.max, le=sys.float_info.max)]


class ManifestError(CheckpointError):
    """A manifest that this version does not read; the message says where it is wrong and what to do."""


class Record(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A frozen value that is an object in JSON: no key more, and a field that has its default value is left out."""


class Source(Record, frozen=True):
    """How a person named the language: to be shown as text, and for nothing else, since nothing vouches for it.

    Attributes:
        kind: "regex" (``text`` is the expression), "ltl" (it is the formula), "suite" (a name of the suite) or "file"
            (its name, no folders).
        text: as it was given.
    """

    kind: Kind
    text: Annotated[str, Meta(min_length=1, max_length=MOST_SOURCE)]


class SpecialTokens(Record, frozen=True):
    """The names of the tokens that are no symbols."""

    bos: str
    eos: str
    pad: str


class Sizes(Record, frozen=True):
    """Sizes of the model."""

    d_model: Positive
    d_inner: Positive
    num_hidden_layers: Positive
    parameters: Positive
    nonzero: Natural


class NeededGates(Record, frozen=True):
    """The gates of the model's layers.

    Attributes:
        kind: which they are.
        reason: why the language needs them.
    """

    kind: Literal["nonnegative", "signed", "reflections"]
    reason: str


class Dimension(Record, frozen=True):
    """What a dimension of the residual stream means.

    Attributes:
        kind: "constant", "letter", "slot" (what it stands for changes from block to block), "indicator" (between the
            two blocks of a level), "feature" (of one of the paper's own constructions), "unused", "mixed" (of the
            manifest's ``directions``), or "learned" (nobody says what it means).
        name: for people.
        symbol: of a letter: the symbol, or ``<bos>``.
        number: of a slot or an indicator.
    """

    kind: Literal["constant", "letter", "slot", "indicator", "feature", "unused", "mixed", "learned"]
    name: str
    symbol: str | None = None
    number: Natural | None = None


class DirectionLabel(Record, frozen=True):
    """What a direction of the residual stream means, where that is not one dimension.

    Attributes:
        kind: as of a dimension.
        name: for people.
        write: what 1 of it is in the stream, one number per dimension.
        read: the linear form that gives how much of it there is.
        symbol: as of a dimension.
        number: as of a dimension.
    """

    kind: Literal["constant", "letter", "slot", "indicator", "feature"]
    name: str
    write: tuple[Finite, ...]
    read: tuple[Finite, ...]
    symbol: str | None = None
    number: Natural | None = None


class ChannelLabel(Record, frozen=True):
    """What a channel of a block is for.

    Attributes:
        index: its number.
        role: "condition" (finds out something for other channels), "feature" (writes what it sees), or what it
            remembers: "memory" (one label of a level's memory), "latch" or "counter".
        meaning: for people.
    """

    index: Natural
    role: Literal["condition", "feature", "memory", "latch", "counter"]
    meaning: str


class Holder(Record, frozen=True):
    """A channel whose state holds a memory.

    Attributes:
        index: the channel's number.
        label: of a level's memory: the label that it shows.
    """

    index: Natural
    label: Natural | None = None


class MemoryLabel(Record, frozen=True):
    """A memory.

    Attributes:
        name: for people.
        kind: "level" (of a cascade: it holds one of ``values``), "register" (of a plan: so does it), "latch" or
            "counter" (it holds a number).
        channels: those that hold it: one per label that is read, or copies that differ in their gates.
        values: the labels that a level's memory, or a plan's, can hold.
        meanings: of a plan: what each label says, for people.
        swaps: whether a letter can turn the label over.
        entry: where in the channels' states it lies.
    """

    name: str
    kind: Literal["level", "register", "latch", "counter"]
    channels: tuple[Holder, ...]
    values: tuple[Natural, ...] = ()
    swaps: bool = False
    entry: Natural = 0
    meanings: Mapping[Natural, str] | None = None


class WrittenWhen(Record, frozen=True):
    """When a level's memory changes.

    Attributes:
        label: what it becomes; None if 0 and 1 change places.
        when: the condition, for people.
    """

    label: Natural | None
    when: str


class BlockLabel(Record, frozen=True):
    """What a block of the model computes.

    Attributes:
        index: its number.
        title: for people.
        level: of a block of a cascade: the height of its level.
        finds_only: whether it only finds out what the next block does, and leaves memories and slots alone.
        conditions: of a level: what its memory becomes, and when.
        channels: those that have a meaning.
        memories: those that it holds.
        slots_before: of a cascade: which set of states each slot stands for before the block.
        slots_after: and after it.
        indicators_before: what the indicators in the residual stream say before the block.
        indicators_after: and after it.
    """

    index: Natural
    title: str
    channels: tuple[ChannelLabel, ...]
    level: Positive | None = None
    finds_only: bool = False
    conditions: tuple[WrittenWhen, ...] = ()
    memories: tuple[MemoryLabel, ...] = ()
    slots_before: Mapping[Natural, str] | None = None
    slots_after: Mapping[Natural, str] | None = None
    indicators_before: Mapping[Natural, str] | None = None
    indicators_after: Mapping[Natural, str] | None = None


class TiledSet(Record, frozen=True):
    """An image set of the language's automaton, and its tiles by label, all as names of states."""

    states: tuple[str, ...]
    tiles: tuple[tuple[str, ...], ...]


class LevelSets(Record, frozen=True):
    """The image sets of one height."""

    height: Positive
    sets: tuple[TiledSet, ...]


class CounterLabel(Record, frozen=True):
    """An entry of the state that counts.

    Attributes:
        name: of the counter, or of what is counted.
        block: the number of the block.
        channel: the channel in it.
        state: which of the channel's states.
        limits: by dtype the largest absolute value up to which the model is exact.
        unit: what the entry holds for each 1 that is counted.
        of: the counters that it is a part of, if it is none by itself.
    """

    name: str
    block: Natural
    channel: Natural
    state: Natural
    limits: Mapping[str, Positive]
    unit: Positive = 1
    of: tuple[str, ...] = ()


class StateEntries(Record, frozen=True):
    """Entries of the SSM state: those that hold a memory (copies for the gates counted), and all there are."""

    used: Natural
    allocated: Natural


class SizeOf(Record, frozen=True):
    """One way to compile the language, and how large the model then is."""

    construction: Regular
    blocks: Positive
    parameters: Positive


class Manifest(Record, frozen=True):
    """What a checkpoint means. Equal input gives an equal manifest.

    Attributes:
        schema_version: of this format.
        kind: how the language was compiled.
        target: the kind of model, a name in ``compiler.targets.TARGETS``.
        contract: "all-words" (every prefix of every word, dead ones included), "live-prefixes", "recognise" (only
            whether the word may end) or "outputs" (only its class).
        construction: for people, with its source.
        language: in the JSON format that scancraft reads, and its ``class``.
        tokens: from each symbol and special token to its id.
        special_tokens: their names.
        shape: sizes of the model.
        residual: the dimensions of the residual stream.
        blocks: what each block computes; none where the one block of the model does nothing.
        verdicts: for each symbol and ``<eos>`` a linear form of features (``"1"`` is the constant) that is at most 0
            iff the token may come next; for each class, as ``<class:...>``, one that is at most 0 iff it is the word's.
        memories: how many different memories there are.
        state_entries: how much of the state they take.
        constants: the dyadic numbers that the weights are made of.
        counters: the entries of the state that count.
        gates: which gates the language needs, and why; None for the paper's own constructions.
        optimise: what mattered first in the choice between cascade and plans, if somebody said so.
        alternatives: the sizes of all that was there to choose from, the least first.
        levels: the image sets of a cascade, top first.
        states: of a cascade: the state of the language's automaton that each slot stands for at the end.
        source: how the language was named, if it was.
        directions: what the residual stream means, where its dimensions are mixed.
        outputs: of a machine with outputs: from each class to the index of its score in the logits, past all tokens;
            the greatest of these scores is that of the class.
    """

    schema_version: Literal[3]
    kind: Construction
    target: str
    contract: Literal["all-words", "live-prefixes", "recognise", "outputs"]
    construction: str
    language: Mapping[str, Any]
    tokens: Mapping[str, Natural]
    special_tokens: SpecialTokens
    shape: Sizes
    residual: tuple[Dimension, ...]
    blocks: tuple[BlockLabel, ...]
    verdicts: Mapping[str, Mapping[str, int]]
    memories: Natural
    state_entries: StateEntries
    constants: Mapping[str, Finite]
    counters: tuple[CounterLabel, ...]
    gates: NeededGates | None = None
    optimise: Literal["depth", "size"] | None = None
    alternatives: tuple[SizeOf, ...] = ()
    levels: tuple[LevelSets, ...] = ()
    states: Mapping[Natural, str] | None = None
    source: Source | None = None
    directions: tuple[DirectionLabel, ...] = ()
    outputs: Mapping[str, Natural] = {}

    def __post_init__(self) -> None:
        """Raise :class:`ValueError` if parts contradict each other."""
        sizes, special = self.shape, self.special_tokens
        if len(set(self.tokens.values())) < len(self.tokens):
            raise ValueError("tokens gives two tokens one id")
        if len({*self.tokens.values(), *self.outputs.values()}) < len(self.tokens) + len(self.outputs):
            raise ValueError("outputs gives a class the id of a token or of another class")
        if self.contract == "outputs" and not self.outputs:
            raise ValueError("the contract is outputs, and there are none")
        if len({special.bos, special.eos, special.pad}) < 3:
            raise ValueError("special_tokens names one token twice")
        for name in (special.bos, special.eos, special.pad):
            if name not in self.tokens:
                raise ValueError(f"tokens has no {name!r}, which special_tokens names")
        if len(self.residual) != sizes.d_model:
            raise ValueError(f"residual has {len(self.residual)} entries for {sizes.d_model} dimensions")
        for number, direction in enumerate(self.directions):
            if not len(direction.write) == len(direction.read) == sizes.d_model:
                raise ValueError(f"directions[{number}] is no vector of {sizes.d_model} dimensions")
        if len(self.blocks) > sizes.num_hidden_layers:
            raise ValueError(f"blocks has {len(self.blocks)} entries, the model {sizes.num_hidden_layers} blocks")
        for number, block in enumerate(self.blocks):
            labelled = {channel.index for channel in block.channels}
            if block.index != number:
                raise ValueError(f"blocks[{number}].index is {block.index}, not {number}")
            if any(index >= sizes.d_inner for index in labelled):
                raise ValueError(f"blocks[{number}].channels names a channel of {sizes.d_inner} that is not there")
            if any(holder.index not in labelled for memory in block.memories for holder in memory.channels):
                raise ValueError(f"blocks[{number}].memories is held by a channel that is not listed")
        for number, counter in enumerate(self.counters):
            if counter.block >= sizes.num_hidden_layers or counter.channel >= sizes.d_inner:
                raise ValueError(f"counters[{number}] is in a block or a channel that is not there")

    def __repr__(self) -> str:
        return f"<Manifest: {brief(self.construction)}; {self.target}, {self._size}, {self.contract}>"

    @property
    def _size(self) -> str:
        return f"{self.shape.num_hidden_layers} blocks, {self.shape.parameters:,} parameters"

    def _repr_html_(self) -> str:
        gates = None if self.gates is None else f"{self.gates.kind}: {self.gates.reason}"
        named = None if self.source is None else f"{self.source.kind} {self.source.text}"
        facts = {"language": named, "construction": self.construction, "kind of model": self.target}
        facts |= {"size": self._size, "promises": self.contract, "gates": gates}
        limits = (", ".join(f"{n:,} in {dtype}" for dtype, n in c.limits.items()) for c in self.counters)
        facts["exact"] = "; ".join(f"{c.name} to {told}" for c, told in zip(self.counters, limits, strict=True))
        rows = [(block.index, c.index, c.role, c.meaning) for block in self.blocks for c in block.channels]
        return card("a compiled model", facts, channels(rows))

    def to_json(self) -> dict[str, Any]:
        """The content of ``scancraft.json``."""
        content: dict[str, Any] = msgspec.to_builtins(self, str_keys=True)
        return content

    @classmethod
    def from_json(cls, content: Any, where: str = "scancraft.json") -> Manifest:
        """The manifest of a checkpoint, read strictly.

        Args:
            content: JSON that was loaded.
            where: the file, for messages.

        Raises:
            ManifestError: another version, an unknown or missing key, a wrong type, a number out of range, or parts
                that contradict each other.
        """
        version = content.get("schema_version") if isinstance(content, dict) else None
        if version != SCHEMA_VERSION or type(version) is not int:
            raise ManifestError(
                f"{where} has schema_version {version!r}, this scancraft reads {SCHEMA_VERSION}; "
                "compile the language again"
            )
        try:
            return msgspec.convert(content, cls, str_keys=True)
        except (msgspec.ValidationError, UnicodeEncodeError) as error:  # the latter: half a character
            raise ManifestError(f"{where}: {error}; compile the language again") from None


def write_schema(path: Path) -> None:
    """Write the JSON schema of ``scancraft.json``, as it stands in ``docs/reference/manifest.schema.json``."""
    path.write_text(json.dumps(msgspec.json.schema(Manifest), indent=2) + "\n", encoding="utf-8")
