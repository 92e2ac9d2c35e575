"""NONNEGATIVE and TIME-INVARIANT of a concrete abstract SSM: over the inputs that can occur in it.

The first layer sees the embeddings only, finitely many, so both properties are decided there by exact evaluation. The
input of a higher layer is what the layers below put out. In turn: the formula for every real input; the formula on
bounds that hold for all words; every state that words can lead to, if they are finitely many. A property is refuted
by a word only, and stays undecided otherwise.

>>> (x,), (h,), (z,) = inputs(1), states(1), outputs(1)
>>> layer = SsmLayer(inputs=1, gate=(1 - 2 * x,), write=(0,), output=(h,), initial=(1,))
>>> print(properties(AbstractSsm({"0": (0,), "1": (1,)}, (layer,), z)).nonnegative.reason)
layer 0, entry 0, after 1, at x0 = 1 the gate is -1
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import sympy
from sympy import Expr, Symbol

from .enclosures import Interval
from .functions import inputs, outputs, states
from .properties import (
    NONNEGATIVE,
    PRIME,
    TIME_INVARIANT,
    Counterexample,
    Property,
    Verdict,
    all_of,
    constant_in,
    nonnegative,
    refuted,
    violates,
)
from .reach import Seen, Word, bounds, walk
from .search import value_at
from .ssm import AbstractSsm, SsmLayer, Vector

__all__ = ["AbstractSsm", "SsmLayer", "SsmProperties", "inputs", "outputs", "properties", "states"]


@dataclass(frozen=True)
class SsmProperties:
    """What was computed of a model.

    Attributes:
        nonnegative: of the whole model.
        time_invariant: likewise.
        layers: for each layer its two verdicts.
        positions: states that were visited; 0 if formulas decided everything.
    """

    nonnegative: Verdict
    time_invariant: Verdict
    layers: tuple[tuple[Verdict, Verdict], ...]
    positions: int

    def __str__(self) -> str:
        return f"{self.nonnegative}\n{self.time_invariant}"


def properties(model: AbstractSsm, budget: int = 20_000) -> SsmProperties:
    """Both properties of a model and of each of its layers.

    Cost: a few enclosures per gate; where they do not suffice, O(budget * symbols) exact steps.

    Args:
        model: the model.
        budget: states that may be visited.
    """
    known = _Known(model, budget)
    layers = tuple(
        (known.layer(NONNEGATIVE, k, layer), known.layer(TIME_INVARIANT, k, layer))
        for k, layer in enumerate(model.layers)
    )
    whole = (all_of(NONNEGATIVE, [n for n, _ in layers]), all_of(TIME_INVARIANT, [t for _, t in layers]))
    return SsmProperties(*whole, layers, known.seen.positions if "seen" in vars(known) else 0)


@dataclass(frozen=True)
class _Known:
    """What is known of one model; its states are walked when first needed."""

    model: AbstractSsm
    budget: int

    @cached_property
    def seen(self) -> Seen:
        return walk(self.model, self.budget)

    @cached_property
    def bounds(self) -> list[list[Interval]]:
        return bounds(self.model)

    def occurring(self, k: int) -> tuple[dict[Vector, Word], bool]:
        """Inputs of a layer with words, and whether these are all; the first layer's need no walk."""
        if k > 0:
            return self.seen.inputs[k], self.seen.complete
        words: list[Word] = [*([] if self.model.start is None else [()]), *((s,) for s in self.model.alphabet)]
        found: dict[Vector, Word] = {}
        for word, vector in zip(words, self.model.vectors(self.model.alphabet), strict=True):
            found.setdefault(vector, word)
        return found, True

    def layer(self, name: Property, k: int, layer: SsmLayer) -> Verdict:
        """A property of one layer."""
        return all_of(name, [self.entry(name, k, i, gate) for i, gate in enumerate(layer.gate)])

    def entry(self, name: Property, k: int, i: int, gate: Expr) -> Verdict:
        """A property of one entry of a layer."""
        x = inputs(self.model.layers[k].inputs)
        proof = self.proof(name, k, gate, x)
        if proof is not None:
            return Verdict(name, True, f"layer {k}: by its formula{proof}")
        found, complete = self.occurring(k)
        undecided = not complete
        first = next(iter(found))
        for vector, word in found.items():
            points = [vector] if name == NONNEGATIVE else [first, vector]
            gates = tuple(value_at(gate, dict(zip(x, point, strict=True))) for point in points)
            bad = violates(name, gates)
            if bad:
                values = tuple(
                    (f"{s}{PRIME * n}", sympy.sympify(v))
                    for n, point in enumerate(points)
                    for s, v in zip(x, point, strict=True)
                    if gate.has(s)
                )
                words = (word,) if name == NONNEGATIVE else (found[first], word)
                return refuted(name, Counterexample(values, gates, f"layer {k}, entry {i}", words))
            undecided |= bad is None
        if undecided:
            why = f"layer {k}: neither its formula nor {len(found)} inputs that words led to decided it"
            return Verdict(name, None, why)
        return Verdict(name, True, f"layer {k}: for each of the {len(found)} inputs that can occur, evaluated exactly")

    def proof(self, name: Property, k: int, gate: Expr, x: tuple[Symbol, ...]) -> str | None:
        """Over what the formula alone decides; None if it does not."""
        if name == TIME_INVARIANT:
            return "" if constant_in(gate, [s for s in x if gate.has(s)]) else None
        if k > 0 and nonnegative(gate, x):
            return ", for every real input"
        if k > 0 and nonnegative(gate, x, dict(zip(x, self.bounds[k], strict=True))):
            return ", for its bounds"
        return None
