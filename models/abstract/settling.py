"""What an abstract SSM does on x w^n as n grows: the mechanism of theorem 2, carried out.

Sampled once per w, an entry of the state moves by a map F(h) = P h + C, rounded at every step if the model is, where
P is the product of its gates along w. The entry then

- becomes *constant*, or *cycles* through several values;
- *grows* past every bound; or
- *converges* without ever getting there, which only a model that is not rounded can do.

With gates >= 0, F is monotone, so the samples are monotone, and a rounded entry becomes constant or grows: it cannot
cycle (Sarrof, Veitsman and Hahn 2024, arXiv 2405.17394, theorem 2: hence no PARITY at finite precision). With a gate
of -1 it may alternate.

Finite precision is the paper's: a fixed number p of fractional bits, integer parts unbounded. With rounding
(:func:`._abstract_numbers.rounded`, half up) the verdict is always reached: for |P| < 1 the samples are bounded
multiples of 2^-p, so they repeat; for |P| > 1 they repeat or leave the region where rounding could turn them back;
for |P| = 1 the map commutes with a translation by some s, so that a repetition modulo s decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...automata.errors import ScancraftError
from .functions import inputs
from .loop import Kind, Loop
from .numbers import EXACT, compiled, rounded
from .ssm import AbstractSsm, Position, SsmLayer, Vector

__all__ = ["EntryFate", "Kind", "Settling", "SettlingBudgetError", "samples", "settle"]


class SettlingBudgetError(ScancraftError):
    """The budget of a settling search is not a positive number."""


@dataclass(frozen=True)
class EntryFate:
    """What becomes of one entry of the state, sampled after every w.

    Attributes:
        kind: see the module.
        samples: how many w it takes until it holds (for "undecided": how many were tried).
        period: in w; 1 for "constant", more for "cycles", 0 for the others.
        values: the samples of one period; empty for the others.
    """

    kind: Kind
    samples: int
    period: int
    values: Vector

    def __str__(self) -> str:
        if self.kind == "undecided":
            return f"undecided after n = {self.samples}" if self.samples else "undecided: a layer below does not repeat"
        values = f", period {self.period}: {', '.join(map(str, self.values))}" if self.values else ""
        return f"{self.kind} from n = {self.samples}{values}"

    def as_json(self) -> dict[str, Any]:
        """Plain values; numbers as text."""
        return {"kind": self.kind, "samples": self.samples, "period": self.period, "values": [*map(str, self.values)]}


@dataclass(frozen=True)
class Settling:
    """The fate of a model on x w^n.

    Attributes:
        fates: for each layer, of each entry. A layer above one that does not repeat is "undecided".
        repeats_from: from this n on, states and outputs after x w^n repeat with ``period``; None if they do not, as far
            as is known.
        period: in w. answers: whether x w^n is accepted for n = repeats_from, ..., one period; None without a
        recognising read-out, or
            if the model does not repeat.
    """

    x: tuple[str, ...]
    w: tuple[str, ...]
    fractional_bits: int | None
    fates: tuple[tuple[EntryFate, ...], ...]
    repeats_from: int | None
    period: int | None
    answers: tuple[bool, ...] | None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "x": [*self.x],
            "w": [*self.w],
            "fractional_bits": self.fractional_bits,
            "fates": [[fate.as_json() for fate in layer] for layer in self.fates],
            "repeats_from": self.repeats_from,
            "period": self.period,
            "answers": None if self.answers is None else [*self.answers],
        }

    def __str__(self) -> str:
        lines = [f"layer {k}, entry {i}: {fate}" for k, layer in enumerate(self.fates) for i, fate in enumerate(layer)]
        if self.answers is not None:
            shown = ", ".join("accepted" if yes else "rejected" for yes in self.answers)
            lines.append(f"from n = {self.repeats_from} on, with period {self.period}: {shown}")
        return "\n".join(lines)


@dataclass(frozen=True)
class _Stream:
    """An input that repeats: what comes before, and what then comes for ever, a whole number of w long."""

    before: tuple[Vector, ...]
    cycle: tuple[Vector, ...]


def settle(
    model: AbstractSsm,
    w: Sequence[str],
    x: Sequence[str] = (),
    fractional_bits: int | None = None,
    budget: int = 100_000,
) -> Settling:
    """Run x w^n until it is known what happens for every larger n.

    Layer by layer: below, everything repeats, so each entry is an affine map, iterated. O(samples * |w| * period) exact
    operations per entry.

    Args:
        model: the model.
        w: the word that is repeated, not empty.
        x: what precedes it.
        fractional_bits: precision; None for none.
        budget: samples per entry before it stays undecided.

    Raises:
        AbstractSsmError: a symbol has no embedding.
        InexactError: a value is not rational.
        SettlingBudgetError: ``w`` is empty or the budget not positive.
    """
    if not w or budget < 1:
        raise SettlingBudgetError("give a word w that is not empty and a budget of at least one sample")
    model.run([*x, *w], fractional_bits)  # symbols and rationality are checked where the errors are clear
    before = [] if model.start is None else [model.start]
    stream: _Stream | None = _Stream((*before, *(model.embedding[s] for s in x)), tuple(model.embedding[s] for s in w))
    fates: list[tuple[EntryFate, ...]] = []
    for layer in model.layers:
        if stream is None:
            fates.append((EntryFate("undecided", 0, 0, ()),) * layer.size)
            continue
        entries, stream = _through(layer, stream, fractional_bits, budget, len(w), len(before) + len(x))
        fates.append(entries)
    if stream is None:
        return Settling(tuple(x), tuple(w), fractional_bits, tuple(fates), None, None, None)
    head, period = len(before) + len(x), len(stream.cycle) // len(w)
    repeats_from = (len(stream.before) - head) // len(w)
    if not stream.before or stream.before[-1] != stream.cycle[-1]:
        repeats_from += 1  # the state repeats from there, but the symbol before it, which phi sees, was not w's last
    answers = None
    if model.accept is not None:
        ends = (head + n * len(w) - 1 for n in range(repeats_from, repeats_from + period))
        outputs = [*stream.before, *stream.cycle]
        answers = tuple(model.accepted_at(Position((), outputs[end])) for end in ends)
    return Settling(tuple(x), tuple(w), fractional_bits, tuple(fates), repeats_from, period, answers)


def samples(
    model: AbstractSsm, w: Sequence[str], x: Sequence[str] = (), fractional_bits: int | None = None
) -> Iterator[tuple[Vector, ...]]:
    """The states of all layers after x, x w, x w w, ...; without end."""
    position = model.run(x, fractional_bits)
    while True:
        yield position.states
        for symbol in w:
            position = model.step(position, symbol, fractional_bits)


# -- one layer -------------------------------------------------------------------------------------------------------


def _through(
    layer: SsmLayer, stream: _Stream, bits: int | None, budget: int, unit: int, head: int
) -> tuple[tuple[EntryFate, ...], _Stream | None]:
    """The fates of a layer's entries on a repeating input, and its output if that repeats as well."""
    x = inputs(layer.inputs)

    def values(vectors: Iterable[Vector]) -> list[tuple[Vector, Vector]]:
        at = [dict(zip(x, vector, strict=True)) for vector in vectors]
        return [
            (
                tuple(rounded(compiled(e, EXACT)(v), bits) for e in layer.gate),
                tuple(rounded(compiled(e, EXACT)(v), bits) for e in layer.write),
            )
            for v in at
        ]

    prefix, cycle = values(stream.before), values(stream.cycle)
    passes = len(cycle) // unit
    before = (len(stream.before) - head) // unit
    fates, repeats = [], []
    for i in range(layer.size):
        h = rounded(layer.initial[i], bits)
        for a, b in prefix:
            h = rounded(a[i] * h + b[i], bits)
        loop = Loop(tuple(a[i] for a, _ in cycle), tuple(b[i] for _, b in cycle), bits)
        kind, first, period, found = loop.fate(h, budget)
        repeats.append((kind, first, period))
        if kind in ("constant", "cycles") and passes > 1:
            found, period = loop.finer(found, passes, unit)
            kind = "constant" if period == 1 else "cycles"
        fates.append(EntryFate(kind, before + first * passes, period, found))
    if any(kind not in ("constant", "cycles") for kind, _, _ in repeats):
        return tuple(fates), None
    return tuple(fates), _output(layer, stream, bits, repeats)


def _output(layer: SsmLayer, stream: _Stream, bits: int | None, repeats: Sequence[tuple[Kind, int, int]]) -> _Stream:
    first = max(start for _, start, _ in repeats)
    period = math.lcm(*(length for _, _, length in repeats))
    state, out = tuple(rounded(v, bits) for v in layer.initial), []
    for vector in (*stream.before, *stream.cycle * (first + period)):
        state, z = layer.step(state, vector, bits)
        out.append(z)
    cut = len(stream.before) + first * len(stream.cycle)
    return _Stream(tuple(out[:cut]), tuple(out[cut:]))
