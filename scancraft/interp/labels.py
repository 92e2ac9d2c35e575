"""What the parts of a compiled model mean: every channel, memory and direction of the residual stream, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import Any

import torch
from torch import Tensor

from ..compiler.checkpoints import Checkpoint, load
from ..compiler.compiled import CompiledModel
from ..compiler.manifest import Manifest
from .errors import NotLookedIntoError
from .subject import Subject

Held = int | None
"""What a memory holds: a label or a number; None where it was never written."""


@dataclass(frozen=True)
class Channel:
    """A channel of a block.

    Attributes:
        block: the number of its block.
        index: its number in it.
        role: "condition", "feature", "memory", "latch" or "counter" (``compiler.manifest.ChannelLabel``).
        meaning: for people.
    """

    block: int
    index: int
    role: str
    meaning: str

    def point(self, name: str) -> str:
        """A hook point of its block's mixer: ``channel.point("conv")`` is ``blocks.0.mixer.hook_conv``."""
        return f"blocks.{self.block}.mixer.hook_{name}"

    def decode(self, cache: Mapping[str, Tensor]) -> Tensor:
        """What it gives to the residual stream (before ``out_proj``), shape (batch, time)."""
        return cache[self.point("gated")][..., self.index]

    def __str__(self) -> str:
        return f"block {self.block}, channel {self.index}: {self.role}, {self.meaning}"


@dataclass(frozen=True)
class Memory:
    """What one or more channels of a block remember.

    Attributes:
        block: the number of the block.
        name: for people; no two of a block share one.
        kind: "level" (of a cascade), "register" (of a plan), "latch" or "counter".
        channels: the channels that hold it, by number, and the label that each shows (None: they hold a number).
        values: the labels that it can hold.
        meanings: what each says, for people.
        level: of a level: its height.
        entry: which entry of the channels' states it is.
        unit: what the entry is for each 1 that is counted.
    """

    block: int
    name: str
    kind: str
    channels: tuple[tuple[int, int | None], ...]
    values: tuple[int, ...]
    meanings: tuple[tuple[int, str], ...]
    level: int | None
    entry: int
    unit: int

    @property
    def point(self) -> str:
        """The hook point of the states that hold it."""
        return f"blocks.{self.block}.mixer.hook_ssm_state"

    def decode(self, cache: Mapping[str, Tensor]) -> tuple[tuple[Held, ...], ...]:
        """What it holds in each word, after each position; what stands at padding means nothing.

        A label is held iff y = C h + D x of a channel that shows it is not 0 (in OLMo Hybrid: a column of a head); a
        number stands in the state itself. (In Mamba-2 and OLMo Hybrid nothing tells a copy that was never written from
        the label that no channel shows.)
        """
        heads = f"model.layers.{self.block}.linear_attn"
        if heads in cache:  # Gated DeltaNet: what the heads put out, column by column, before their norm
            columns = cache[f"{heads}.o_norm.input"].reshape(*cache[heads].shape[:2], -1)
            found = (columns[..., [n for n, _ in self.channels]] != 0).tolist()
            return tuple(tuple(self._label(read, [True] * len(read)) for read in row) for row in found)
        if not self.values:
            held = _by_channel(cache[self.point])[:, :, self.channels[0][0], self.entry] / self.unit
            return tuple(tuple(int(v) for v in row) for row in held.tolist())
        y = cache[f"blocks.{self.block}.mixer.hook_y"]
        y, states = y.reshape(*y.shape[:2], -1), _by_channel(cache[self.point])
        numbers = [n for n, _ in self.channels]
        read, written = (y[..., numbers] != 0).tolist(), states[:, :, numbers].any(dim=-1).tolist()
        return tuple(
            tuple(self._label(r, w) for r, w in zip(*row, strict=True)) for row in zip(read, written, strict=True)
        )

    def _label(self, read: list[bool], written: list[bool]) -> Held:
        """The label that is held, by which of the channels read something, and which states are not 0."""
        labels = [label for _, label in self.channels]
        if any(r and not w for r, w in zip(read, written, strict=True)):
            return None
        found = {label for label, r in zip(labels, read, strict=True) if r}
        others = [v for v in self.values if v not in labels]
        return found.pop() if len(found) == 1 else others[0] if not found and len(others) == 1 else None

    def __str__(self) -> str:
        says = "; ".join(f"{label}: {text}" for label, text in self.meanings)
        held = ", ".join(str(n) for n, _ in self.channels)
        return f"block {self.block}, {self.kind} {self.name!r} in channels {held}" + (f" ({says})" if says else "")


def _by_channel(states: Tensor) -> Tensor:
    """Shape (batch, time, channels, d_state), whether the channels are those of heads or not."""
    return states.reshape(*states.shape[:2], -1, states.shape[-1])


@dataclass(frozen=True)
class Direction:
    """A direction of the residual stream that means something.

    A stream holds v of it iff its product with ``read`` is v; blocks and embeddings add multiples of ``write``.

    Attributes:
        kind: "constant", "letter", "slot", "indicator" or "feature" (``compiler.manifest.Dimension``).
        name: for people.
        write: shape (d_model,).
        read: shape (d_model,); its product with ``write`` is 1, with other directions' 0.
        symbol: of a letter.
        number: of a slot or an indicator.
    """

    kind: str
    name: str
    write: tuple[float, ...]
    read: tuple[float, ...]
    symbol: str | None = None
    number: int | None = None

    def decode(self, cache: Mapping[str, Tensor], point: str) -> Tensor:
        """How much of it a stream holds, shape (batch, time), say at ``blocks.0.hook_resid_pre``."""
        stream = cache[point]
        return stream @ torch.tensor(self.read, dtype=stream.dtype)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Labels:
    """All that a manifest says of the parts of a model.

    Attributes:
        channels: those that have a meaning.
        memories: block by block.
        directions: of the residual stream, constants first.
    """

    channels: tuple[Channel, ...]
    memories: tuple[Memory, ...]
    directions: tuple[Direction, ...]

    @cached_property
    def _by_place(self) -> Mapping[tuple[int, int], Channel]:
        return {(channel.block, channel.index): channel for channel in self.channels}

    def channel(self, block: int, index: int) -> Channel | None:
        """The channel at a place; None if it has no meaning."""
        return self._by_place.get((block, index))

    def memory(self, name: str, block: int | None = None) -> Memory:
        """The memory of this name.

        Raises:
            NotLookedIntoError: there is none, or there are several.
        """
        found = [m for m in self.memories if m.name == name and block in (None, m.block)]
        if len(found) != 1:
            known = ", ".join(f"{m.name!r} in block {m.block}" for m in self.memories)
            raise NotLookedIntoError(f"{len(found)} memories are called {name!r}; there are {known or 'none'}")
        return found[0]

    def direction(self, name: str) -> Direction:
        """The direction of this name.

        Raises:
            NotLookedIntoError: there is none.
        """
        for direction in self.directions:
            if direction.name == name:
                return direction
        known = ", ".join(d.name for d in self.directions)
        raise NotLookedIntoError(f"no direction is called {name!r}; there are {known}")

    def __str__(self) -> str:
        return "\n".join(map(str, (*self.directions, *self.memories, *self.channels)))


def labels_of(target: Any) -> Labels:
    """What the parts of a compiled model mean.

    Args:
        target: a checkpoint directory, what ``scancraft.compile`` or ``scancraft.load`` returned, or a ``Manifest``.

    Raises:
        NotLookedIntoError: a model without a manifest.
        CheckpointError: the directory cannot be loaded.
    """
    if isinstance(target, (str, PathLike)):
        target = load(target)
    manifest = target.manifest if isinstance(target, (CompiledModel, Checkpoint, Subject)) else target
    if not isinstance(manifest, Manifest):
        raise NotLookedIntoError("only compiled models have labels; give a checkpoint that scancraft wrote")
    channels = tuple(
        Channel(block.index, label.index, label.role, label.meaning)
        for block in manifest.blocks
        for label in block.channels
    )
    return Labels(channels, _memories(manifest), _directions(manifest))


def _memories(manifest: Manifest) -> tuple[Memory, ...]:
    units = {(c.block, c.channel, c.state): c.unit for c in manifest.counters}
    return tuple(
        Memory(
            block.index,
            label.name,
            label.kind,
            tuple((holder.index, holder.label) for holder in label.channels),
            label.values,
            tuple((label.meanings or {}).items()),
            block.level,
            label.entry,
            units.get((block.index, label.channels[0].index, label.entry), 1),
        )
        for block in manifest.blocks
        for label in block.memories
    )


def _directions(manifest: Manifest) -> tuple[Direction, ...]:
    if manifest.directions:
        return tuple(Direction(d.kind, d.name, d.write, d.read, d.symbol, d.number) for d in manifest.directions)
    width = len(manifest.residual)

    def unit(n: int) -> tuple[float, ...]:
        return tuple(float(n == i) for i in range(width))

    return tuple(
        Direction(d.kind, d.name, unit(n), unit(n), d.symbol, d.number)
        for n, d in enumerate(manifest.residual)
        if d.kind not in ("unused", "mixed")
    )
