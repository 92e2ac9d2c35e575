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
(:func:`.numbers.rounded`, half up) the verdict is always reached: for |P| < 1 the samples are bounded
multiples of 2^-p, so they repeat; for |P| > 1 they repeat or leave the region where rounding could turn them back;
for |P| = 1 the map commutes with a translation by some s, so that a repetition modulo s decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from sympy import Expr

from ...automata.errors import ScancraftError
from .functions import inputs
from .loop import EntryFate, Kind, Loop
from .numbers import EXACT, compiled, rounded
from .ssm import AbstractSsm, Position, SsmLayer, Vector

__all__ = ["EntryFate", "Kind", "Settling", "SettlingBudgetError", "settle"]


class SettlingBudgetError(ScancraftError):
    """The budget of a settling search is not a positive number."""


@dataclass(frozen=True)
class Settling:
    """The fate of a model on x w^n.

    Attributes:
        fates: for each layer, of each entry. A layer above one that does not repeat is "undecided".
        repeats_from: from this n on, states and outputs after x w^n repeat with ``period``; None if they do not, as far
            as is known.
        period: in w.
        answers: whether x w^n is accepted for n = repeats_from, ..., one period; None without a recognising read-out,
            or if the model does not repeat.
    """

    x: tuple[str, ...]
    w: tuple[str, ...]
    fractional_bits: int | None
    fates: tuple[tuple[EntryFate, ...], ...]
    repeats_from: int | None
    period: int | None
    answers: tuple[bool, ...] | None

    def __str__(self) -> str:
        lines = [f"layer {k}, entry {i}: {fate}" for k, layer in enumerate(self.fates) for i, fate in enumerate(layer)]
        if self.answers is not None:
            shown = ", ".join("accepted" if yes else "rejected" for yes in self.answers)
            lines.append(f"from n = {self.repeats_from} on, with period {self.period}: {shown}")
        return "\n".join(lines)


@dataclass(frozen=True)
class _Stream:
    """An input that repeats.

    Attributes:
        head: how much of it comes before the first w.
        unit: the length of w.
        before: what comes first, the head and a number of w.
        cycle: what then comes for ever, a number of w.
    """

    head: int
    unit: int
    before: tuple[Vector, ...]
    cycle: tuple[Vector, ...]

    @property
    def first(self) -> int:
        """How many w come before the cycle."""
        return (len(self.before) - self.head) // self.unit


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
    before = tuple(model.vectors(x))
    stream: _Stream | None = _Stream(len(before), len(w), before, tuple(model.embedding[s] for s in w))
    fates: list[tuple[EntryFate, ...]] = []
    for layer in model.layers:
        if stream is None:
            fates.append((EntryFate("undecided", 0),) * layer.size)
            continue
        entries = _fates(layer, stream, fractional_bits, budget)
        stream = _output(layer, stream, fractional_bits, entries) if all(fate.repeats for fate in entries) else None
        fates.append(entries)
    told = tuple(x), tuple(w), fractional_bits, tuple(fates)
    if stream is None:
        return Settling(*told, None, None, None)
    period, repeats_from = len(stream.cycle) // len(w), stream.first
    if not stream.before or stream.before[-1] != stream.cycle[-1]:
        repeats_from += 1  # the state repeats from there, but the symbol before it, which phi sees, was not w's last
    answers = None
    if model.accept is not None:
        ends = (stream.head + n * len(w) - 1 for n in range(repeats_from, repeats_from + period))
        outputs = [*stream.before, *stream.cycle]
        answers = tuple(model.accepted_at(Position((), outputs[end])) for end in ends)
    return Settling(*told, repeats_from, period, answers)


# -- one layer -------------------------------------------------------------------------------------------------------


def _fates(layer: SsmLayer, stream: _Stream, bits: int | None, budget: int) -> tuple[EntryFate, ...]:
    """The fates of a layer's entries on a repeating input."""
    x = inputs(layer.inputs)

    def steps(gate: Expr, write: Expr, vectors: Iterable[Vector]) -> tuple[tuple[Fraction, Fraction], ...]:
        at = [dict(zip(x, vector, strict=True)) for vector in vectors]
        return tuple((rounded(compiled(gate, EXACT)(v), bits), rounded(compiled(write, EXACT)(v), bits)) for v in at)

    fates = []
    for gate, write, initial in zip(layer.gate, layer.write, layer.initial, strict=True):
        h = rounded(initial, bits)
        for a, b in steps(gate, write, stream.before):
            h = rounded(a * h + b, bits)
        fate = Loop(steps(gate, write, stream.cycle), stream.unit, bits).fate(h, budget)
        fates.append(replace(fate, samples=stream.first + fate.samples))
    return tuple(fates)


def _output(layer: SsmLayer, stream: _Stream, bits: int | None, fates: Sequence[EntryFate]) -> _Stream:
    """The output of a layer whose entries all repeat."""
    passes = len(stream.cycle) // stream.unit
    # State and input repeat together after this many cycles of the input, and then every so many.
    first = max(math.ceil((fate.samples - stream.first) / passes) for fate in fates)
    every = math.lcm(passes, *(fate.period for fate in fates)) // passes
    state, out = tuple(rounded(v, bits) for v in layer.initial), []
    for vector in (*stream.before, *stream.cycle * (first + every)):
        state, z = layer.step(state, vector, bits)
        out.append(z)
    cut = len(stream.before) + first * len(stream.cycle)
    return _Stream(stream.head, stream.unit, tuple(out[:cut]), tuple(out[cut:]))
