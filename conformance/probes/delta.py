"""Blocks of Gated DeltaNet in integers: heads that keep a matrix each, and the units of a SwiGLU behind them.

For heads h, coordinates i of their keys and columns c a block computes, in integers and halves,

    k_i     = 1 / sqrt(n) where max(0, keys_i) is not zero, and else 0; n of them are not, 1, 4 or 16, all alike
    v_c     = max(0, value_c), and for the carrier max(0, carries); lines see the steps before, as those of ``probe``
    S       = 0 where ``forgets`` is positive (unless the head keeps), and else what it was
    S_{i,c} = S_{i,c} + beta (v_c - sum_j k_j S_{j,c}) k_i
              beta = 1 where ``replaces`` is 1, 2 where ``turns`` is, 1/2 where ``halves`` is, and else 0
    o_c     = sum_i q_i S_{i,c},    q_i = max(0, query_i)
    features[f] += writes_c[f] * o_c / |o_carrier| * max(0, gate_c)            (0 where the carrier is 0)

and then, from the features after that, features[f] += writes_u[f] * max(0, gate_u) * times_u for the units u.

The norm behind a head divides by the root mean square of what it puts out. The carrier, a column that is far larger
than all others, makes that a division by a power of two; whatever is done to a memory is done to its carrier as well,
and so only a quotient is seen: an o_c may be halved together with its carrier, and the length of a query says nothing.

:meth:`DeltaBlock.added` computes just that with numpy's int64; no float and no Gated DeltaNet is involved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from .probe import ALWAYS, NEVER, ONE, Form, Ints, Line, Program, compared, matrix, positive, steered, summed

HALVES = 20
"""Binary digits behind the point of what is remembered."""
CARRIED = Line({ONE: 1})
EPSILON = 1e-6
"""Of the norms of the stream, in the configuration of every checkpoint."""


@dataclass(frozen=True)
class Column:
    """One of the numbers that a head puts out; or nothing, in a place that no number needs.

    Args:
        name: short, and the feature that it writes unless ``writes`` says otherwise.
        meaning: what it stands for.
        exercises: the parameter or the rule that it is there for.
        value: what is written into the memory.
        gate: over features.
        writes: features that the product is added to.
    """

    name: str
    meaning: str
    exercises: str
    value: Line = field(default_factory=Line)
    gate: Form = field(default_factory=lambda: ALWAYS)
    writes: Form | None = None

    @property
    def written(self) -> Form:
        """The features that it writes."""
        return {self.name: 1} if self.writes is None else self.writes


@dataclass(frozen=True)
class Head:
    """A memory; see the module's docstring. Conditions are forms, ``ONE`` being the bias.

    Args:
        columns: what it puts out beside its carrier.
        keys, query: by coordinates. Those of a key that are not zero are one power of two; the squares of a query sum
            to a power of four.
        replaces, turns, halves: at most one of them is 1, the others are 0.
        forgets: never negative.
        above: features of ``forgets`` that are tiny (``Program.tiny``): what RMSNorm makes of them is compared with
            this.
        keeps: it never forgets, whatever ``forgets`` says.
        carries: what the carrier is given, 1 or 0.
        hold: how far below 0 softplus is where it does not forget.
    """

    columns: tuple[Column, ...]
    keys: tuple[Line, ...] = (CARRIED,)
    query: tuple[Line, ...] = (CARRIED,)
    replaces: Form = field(default_factory=lambda: ALWAYS)
    turns: Form = field(default_factory=dict)
    halves: Form = field(default_factory=dict)
    forgets: Form = field(default_factory=dict)
    above: Mapping[str, float] = field(default_factory=dict)
    keeps: bool = False
    carries: Line = CARRIED
    hold: int = 1


@dataclass(frozen=True)
class Unit:
    """A unit of the SwiGLU: max(0, gate) times a form."""

    name: str
    meaning: str
    exercises: str
    gate: Form
    times: Form
    writes: Form | None = None

    @property
    def written(self) -> Form:
        """The features that it writes."""
        return {self.name: 1} if self.writes is None else self.writes


@dataclass(frozen=True)
class DeltaBlock:
    """Heads, then units."""

    heads: tuple[Head, ...]
    units: tuple[Unit, ...] = ()

    @property
    def writers(self) -> tuple[Column | Unit, ...]:
        """Columns, head by head, then units."""
        return (*(column for head in self.heads for column in head.columns), *self.units)

    @property
    def coordinates(self) -> int:
        """Of the longest key or query."""
        return max(1, *(max(len(head.keys), len(head.query)) for head in self.heads))

    def added(self, stream: Ints, probe: Program) -> Ints:
        """What the block adds to features of shape (batch, time, features). O(time that changes a memory * its size).

        Raises:
            AssertionError: a condition is not what it must be, or a number has more digits than are kept.
        """
        names = {name: i for i, name in enumerate(probe.features)}
        after = stream.copy()
        for head in self.heads:
            after += _put_out(head, stream, names, probe)
        gate = positive(after @ matrix([unit.gate for unit in self.units], names).T, 1)
        times = after @ matrix([unit.times for unit in self.units], names).T
        after += (gate * times) @ matrix([unit.written for unit in self.units], names)
        return after - stream


def _put_out(head: Head, stream: Ints, names: Mapping[str, int], probe: Program) -> Ints:
    """What a head adds to the features."""
    values = (head.carries, *(column.value for column in head.columns))
    empty = (Line(),) * max(len(head.keys), len(head.query))
    wide = ((*lines, *empty[len(lines) :]) for lines in (head.keys, head.query))
    key, query, v = (_lines(lines, stream, probe) for lines in (*wide, values))
    read = _memory(head, key > 0, _root(key), query, v, stream, names, probe)
    gate = positive(stream @ matrix([column.gate for column in head.columns], names).T, 1)
    read[~gate.any(axis=-1)] = 0
    size = np.maximum(carrier := np.abs(read[..., :1]), 1)
    assert ((carrier > 0) | (read == 0)).all(), "a memory without its carrier"
    assert (size & (size - 1) == 0).all(), "the norm is not a division by a power of two"
    out = _exactly(read[..., 1:], size)
    found: Ints = (out * gate) @ matrix([column.written for column in head.columns], names)
    return found


def _lines(lines: Sequence[Line], stream: Ints, probe: Program) -> Ints:
    """What the convolution gives, shape (batch, time, lines); it has no bias."""
    assert all(line.bias == 0 for line in lines)
    return positive(summed(lines, stream, probe)[1], 1)


def _root(key: Ints) -> Ints:
    """The root of how many coordinates are not zero, shape (batch, time); 1 if none is."""
    counts, size = (key > 0).sum(axis=-1), key.max(axis=-1)
    assert (((key == 0) | (key == size[..., None])).all(axis=-1) & (size & (size - 1) == 0)).all(), "a key of no length"
    root: Ints = np.maximum(np.sqrt(counts).round().astype(np.int64), 1)
    assert (root**2 == np.maximum(counts, 1)).all(), "a key of no dyadic length"
    return root


def _memory(
    head: Head,
    live: np.ndarray,
    root: Ints,
    query: Ints,
    v: Ints,
    stream: Ints,
    names: Mapping[str, int],
    probe: Program,
) -> Ints:
    """sum_i q_i S_i, shape (batch, time, columns). Steps at which nothing changes cost nothing."""
    conditions = (head.replaces, head.turns, head.halves)
    rates = steered(conditions, stream, names)
    assert ((rates >= 0) & (rates.sum(axis=-1, keepdims=True) <= 1)).all(), "two rates at once, or a negative one"
    twice = rates @ np.array([2, 4, 1]) * live.any(axis=-1)
    forgets = steered([compared(head.forgets or NEVER, head.above, probe, EPSILON)], stream, names)[..., 0] > 0
    kept = ~(forgets & (not head.keeps))
    events = np.flatnonzero(((twice > 0) | ~kept).any(axis=0))
    held = np.zeros((len(events) + 1, len(stream), live.shape[-1], v.shape[-1]), dtype=np.int64)
    for number, t in enumerate(events):
        before = held[number] * kept[:, t, None, None]
        k, r = live[:, t, :, None], root[:, t, None]
        under = _exactly((before * k).sum(axis=1), r)
        change = _exactly(_exactly(twice[:, t, None] * ((v[:, t] << HALVES) - under), np.array(2)), r)
        held[number + 1] = before + k * change[:, None, :]
        assert np.abs(held[number + 1]).max() < 1 << 44, "what is remembered grows too large"
    last = np.searchsorted(events, np.arange(stream.shape[1]), side="right")
    read = np.empty_like(v)
    for start in range(0, stream.shape[1], 2048):
        part = slice(start, start + 2048)
        read[:, part] = np.einsum("bti,tbic->btc", query[:, part], held[last[part]])
    return read


def _exactly(values: Ints, divisor: Ints) -> Ints:
    found, left = np.divmod(values, divisor)
    assert (left == 0).all(), "what is remembered has too many digits"
    return found
