"""Where everything lies: the dimensions of the residual stream and the channels of each block, by meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...automata.alphabet import BOS
from ..circuits.program import Block, Condition, Move, Program

MIN_WIDTH = 16


@dataclass(frozen=True)
class Stream:
    """Dimensions of the residual stream: constants, then letters and ``<bos>``, then slots, then unused ones.

    d_model = n_constants * 4^j, so that RMSNorm is an exact identity (``compiler.lower``).
    """

    d_model: int
    n_constants: int
    n_letters: int
    n_slots: int

    def letter(self, number: int) -> int:
        """The dimension of a letter; ``<bos>`` comes after the last."""
        return self.n_constants + number

    def slot(self, number: int) -> int:
        """The dimension of a slot."""
        return self.n_constants + self.n_letters + 1 + number

    @property
    def used(self) -> int:
        """Dimensions that carry something."""
        return self.slot(self.n_slots)

    @property
    def exponent(self) -> int:
        """j in d_model = n_constants * 4^j."""
        return ((self.d_model // self.n_constants).bit_length() - 1) // 2


def stream_for(program: Program) -> Stream:
    """The narrowest stream that holds the program."""
    return narrowest_stream(len(program.dfa.alphabet), program.n_slots)


def constants_of(width: int) -> int:
    """How many constants a stream of this width, a power of two, has: n with width = n 4^j."""
    return 1 if width.bit_length() % 2 else 2


def narrowest_stream(n_letters: int, n_slots: int) -> Stream:
    """The narrowest stream with so many features; widths are powers of two from 16 on."""
    width = MIN_WIDTH
    while True:
        stream = Stream(width, constants_of(width), n_letters, n_slots)
        if stream.used <= width:
            return stream
        width *= 2


@dataclass(frozen=True)
class Channel:
    """One channel of a block.

    Attributes:
        index: its number.
        role: "condition", "excess" (what an inexact condition overshoots by), "swap", "swap excess", "memory" or
            "rename".
        condition: for all but the last two roles.
        move: for the last two.
    """

    index: int
    role: str
    condition: Condition | None = None
    move: Move | None = None

    @property
    def meaning(self) -> str:
        """For people."""
        if self.condition is not None:
            excess = "excess of: " if self.role.endswith("excess") else ""
            effect = "memory swapped" if self.condition.label is None else f"memory := {self.condition.label}"
            return f"{excess}{effect} when {self.condition.meaning}"
        assert self.move is not None
        when = "always" if self.move.label is None else f"[memory = {self.move.label}]"
        return f"{when}: {self.move.meaning}"


def channels_of(block: Block) -> tuple[Channel, ...]:
    """The channels of a block, conditions first."""
    found: list[Channel] = []
    for condition in block.conditions:
        found.append(Channel(len(found), "condition", condition=condition))
        if not condition.exact:
            found.append(Channel(len(found), "excess", condition=condition))
    for condition in block.swaps:
        found.append(Channel(len(found), "swap", condition=condition))
        if not condition.exact:
            found.append(Channel(len(found), "swap excess", condition=condition))
    for move in block.moves:
        found.append(Channel(len(found), "rename" if move.label is None else "memory", move=move))
    return tuple(found)


def stream_labels(stream: Stream, program: Program, indicators: Sequence[str] = ()) -> list[str]:
    """What each dimension of the residual stream means. Slots change meaning from block to block.

    Args:
        stream: where everything lies.
        program: whose letters and slots.
        indicators: what the last slots are for, if they are none of the program's.
    """
    names = ["constant"] * stream.n_constants
    names += [f"letter {s}" for s in (*program.dfa.alphabet, BOS)]
    names += [*(f"slot {i}" for i in range(stream.n_slots - len(indicators))), *indicators]
    return names + ["unused"] * (stream.d_model - len(names))
