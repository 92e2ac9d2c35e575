"""Layers of OLMo Hybrid as heads with keys and columns, units of a SwiGLU, and their parameters.

What a layer needs, whatever it is for (``compiler.targets.olmo_hybrid`` has the arguments why the numbers are exact).
Forms are over the features of the residual stream; every number is a power of two times a small integer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...models.olmo_hybrid import OlmoHybridShape
from ..circuits.circuit import NOW, Role, Taps
from ..circuits.forms import ALWAYS, ONE, Form, plus, times
from ..manifest import MemoryLabel
from .layout import Stream, constants_of
from .lower import BlockTensors, T, add_forms

STORED = 2.0**20
"""What a memory holds: its square absorbs the epsilon of the norm behind the head, whatever the widths are."""
PASSED = 2.0**40
"""The constant beside what a head passes on at once."""


@dataclass(frozen=True)
class Column:
    """One of the numbers that a head puts out.

    Attributes:
        value: the form that is written: max(0, taps . form).
        gate: the form whose positive part multiplies it on the way out.
        writes: what out_proj does with 1 of it.
        role: for people; None if nobody reads it.
        meaning: likewise.
        taps: weights of ``value`` at the last steps, this one last.
        holds: the memory that it shows.
        label: the label of it that it shows.
    """

    value: Form
    gate: Form
    writes: Form
    role: Role | None
    meaning: str
    taps: Taps = NOW
    holds: MemoryLabel | None = None
    label: int | None = None


@dataclass(frozen=True)
class Head:
    """One head. Where ``resets`` is 1 it forgets and writes; where ``turns`` is, it reflects in its key.

    Attributes:
        columns: what it puts out, by their numbers.
        resets: a form that is 1 or 0.
        turns: likewise.
        keys: the entries of the key, 1 or 0, by coordinates.
        query: the coordinates of the query, which is constant.
        alike: how many columns are not zero where one is; or None: then everything is passed on at once, beside
            constants.
    """

    columns: Mapping[int, Column]
    resets: Form
    turns: Form
    keys: Mapping[int, Form]
    query: tuple[int, ...]
    alike: int | None


@dataclass(frozen=True)
class Unit:
    """A unit of the SwiGLU: max(0, gate), times a form, is added to features.

    Attributes:
        gate: a form of integers.
        writes: features, and how often it is added to each.
        meaning: for people; empty where it only takes back what was written.
        times: a form.
    """

    gate: Form
    writes: Form
    meaning: str = ""
    times: Form = field(default_factory=lambda: ALWAYS)


@dataclass(frozen=True)
class Layer:
    """Heads, then units; either may be missing.

    Attributes:
        heads: what reads the stream first.
        units: what reads the stream after the heads.
        title: for people.
        finds_only: it finds out something for the next layer, and nothing else.
    """

    heads: tuple[Head, ...]
    units: tuple[Unit, ...]
    title: str
    finds_only: bool = False


def passing(columns: Sequence[Column], size: int) -> list[Head]:
    """Heads that put out at once what they are given, as many as it takes.

    Args:
        columns: the numbers.
        size: columns of a head; some of them carry the constant.
    """
    first = constants_of(size)
    room = size - first
    return [
        Head(dict(enumerate(columns[n : n + room], first)), ALWAYS, {}, {0: ALWAYS}, (0,), None)
        for n in range(0, len(columns), room)
    ]


def gain(head: Head, size: int) -> float:
    """What comes out of the norm behind a head, before the gate, where a column says 1."""
    equal = constants_of(size) if head.alike is None else head.alike
    power = 2.0 ** ((size // equal).bit_length() // 2)  # the root of size / equal
    return power * T / PASSED if head.alike is None else power


def layer_block(layer: Layer, stream: Stream, shape: OlmoHybridShape) -> BlockTensors:
    """The parameters of a layer, without its norms."""
    w = {name: np.zeros(size, dtype=np.float32) for name, size in shape.block_tensors().items()}
    keys, size = shape.d_state, shape.value_dim
    queries, values = w["linear_attn.q_proj.weight"], w["linear_attn.v_proj.weight"]
    taps = w["linear_attn.conv1d.weight"]
    taps[:, 0, -1] = 1.0
    w["linear_attn.dt_bias"][:] = -T
    w["linear_attn.o_norm.weight"][:] = 1.0
    for number, head in enumerate(layer.heads):
        first, start = number * keys, number * size
        for coordinate, form in head.keys.items():
            add_forms(w["linear_attn.k_proj.weight"][first + coordinate :], stream, [form], T)
        for coordinate in head.query:
            add_forms(queries[first + coordinate :], stream, [ALWAYS], T)
        add_forms(w["linear_attn.a_proj.weight"][number:], stream, [head.resets], 2 * T)
        rate = plus(times(2, head.turns), head.resets, {ONE: -1})
        add_forms(w["linear_attn.b_proj.weight"][number:], stream, [rate], T)
        stored = T if head.alike is None else STORED
        for c, column in head.columns.items():
            place = start + c
            add_forms(values[place:], stream, [column.value], stored)
            taps[2 * shape.heads * keys + place, 0, -len(column.taps) :] = column.taps
            add_forms(w["linear_attn.g_proj.weight"][place:], stream, [column.gate], T)
            add_forms(w["linear_attn.o_proj.weight"].T[place:], stream, [column.writes], 1 / (gain(head, size) * T))
        for c in range(constants_of(size) if head.alike is None else 0):
            add_forms(values[start + c :], stream, [ALWAYS], PASSED)
    for number, unit in enumerate(layer.units):
        add_forms(w["mlp.gate_proj.weight"][number:], stream, [unit.gate], T)
        add_forms(w["mlp.up_proj.weight"][number:], stream, [unit.times])
        add_forms(w["mlp.down_proj.weight"].T[number:], stream, [unit.writes], 1 / T)
    return w
