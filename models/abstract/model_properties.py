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

# sympy is annotated in part only.
# mypy: disable-error-code="misc, no-any-return, no-untyped-call"

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sympy
from sympy import Expr

from .enclosures import sign_of
from .functions import inputs, outputs, states
from .properties import NONNEGATIVE, PRIME, TIME_INVARIANT, Counterexample, Property, Verdict, nonnegative
from .reach import Constants, Seen, Word, bounds, walk
from .search import smooth, value_at
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

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "nonnegative": self.nonnegative.as_json(),
            "time_invariant": self.time_invariant.as_json(),
            "layers": [[verdict.as_json() for verdict in pair] for pair in self.layers],
            "positions": self.positions,
        }

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
        (
            _all(NONNEGATIVE, [known.nonnegative(k, i) for i in range(layer.size)]),
            _all(TIME_INVARIANT, [known.time_invariant(k, i) for i in range(layer.size)]),
        )
        for k, layer in enumerate(model.layers)
    )
    return SsmProperties(
        _all(NONNEGATIVE, [pair[0] for pair in layers]),
        _all(TIME_INVARIANT, [pair[1] for pair in layers]),
        layers,
        known.positions,
    )


def _all(name: Property, verdicts: Sequence[Verdict]) -> Verdict:
    """Holds if all hold; else the first that fails, or else the first undecided one."""
    for verdict in verdicts:
        if verdict.holds is False:
            return verdict
    for verdict in verdicts:
        if verdict.holds is None:
            return verdict
    return Verdict(name, True, "; ".join(dict.fromkeys(verdict.reason for verdict in verdicts)))


class _Known:
    """Walks and bounds of one model, made when first needed."""

    def __init__(self, model: AbstractSsm, budget: int) -> None:
        self.model, self.budget = model, budget
        self._seen: Seen | None = None
        self._bounds = bounds(model)

    @property
    def positions(self) -> int:
        return 0 if self._seen is None else self._seen.positions

    @property
    def seen(self) -> Seen:
        if self._seen is None:
            self._seen = walk(self.model, self.budget)
        return self._seen

    def occurring(self, k: int) -> tuple[dict[Constants, Word], bool]:
        """Inputs of a layer with words, and whether these are all; the first layer's need no walk."""
        if k > 0:
            return self.seen.inputs[k], self.seen.complete[k]
        vectors: list[tuple[Word, Vector]] = [((s,), v) for s, v in self.model.embedding.items()]
        if self.model.start is not None:
            vectors.insert(0, ((), self.model.start))
        found: dict[Constants, Word] = {}
        for word, vector in vectors:
            found.setdefault(tuple(sympy.Rational(v.numerator, v.denominator) for v in vector), word)
        return found, True

    def nonnegative(self, k: int, entry: int) -> Verdict:
        gate, x = self.model.layers[k].gate[entry], inputs(self.model.layers[k].inputs)
        if k > 0:
            for domains, over in (({}, "every real input"), (dict(zip(x, self._bounds[k], strict=True)), "its bounds")):
                if nonnegative(gate, x, domains):
                    return Verdict(NONNEGATIVE, True, f"layer {k}: by its formula, for {over}")
        found, complete = self.occurring(k)
        undecided = not complete
        for value, word in found.items():
            at = value_at(gate, dict(zip(x, value, strict=True)))
            sign = sign_of(at)
            if sign == -1:
                return self._refuted(NONNEGATIVE, k, entry, [(value, word, at)])
            undecided |= sign is None
        return self._concluded(NONNEGATIVE, k, len(found), undecided)

    def time_invariant(self, k: int, entry: int) -> Verdict:
        gate, x = self.model.layers[k].gate[entry], inputs(self.model.layers[k].inputs)
        used = [s for s in x if gate.has(s)]
        if not used or (smooth(gate) and all(sympy.simplify(sympy.diff(gate, s)) == 0 for s in used)):
            return Verdict(TIME_INVARIANT, True, f"layer {k}: by its formula")
        found, complete = self.occurring(k)
        undecided = not complete
        first: tuple[Constants, Word, Expr] | None = None
        for value, word in found.items():
            at = value_at(gate, dict(zip(x, value, strict=True)))
            if first is None:
                first = (value, word, at)
                continue
            sign = 0 if at == first[2] else sign_of(at - first[2])
            if sign in (-1, 1):
                return self._refuted(TIME_INVARIANT, k, entry, [first, (value, word, at)])
            undecided |= sign is None
        return self._concluded(TIME_INVARIANT, k, len(found), undecided)

    def _concluded(self, name: Property, k: int, count: int, undecided: bool) -> Verdict:
        if undecided:
            return Verdict(
                name, None, f"layer {k}: neither its formula nor {count} inputs that words led to decided it"
            )
        return Verdict(name, True, f"layer {k}: for each of the {count} inputs that can occur, evaluated exactly")

    def _refuted(self, name: Property, k: int, entry: int, cases: Sequence[tuple[Constants, Word, Expr]]) -> Verdict:
        x, gate = inputs(self.model.layers[k].inputs), self.model.layers[k].gate[entry]
        values = tuple(
            (f"{s}{PRIME * n}", v)
            for n, (value, _, _) in enumerate(cases)
            for s, v in zip(x, value, strict=True)
            if gate.has(s)
        )
        gates, words = tuple(case[2] for case in cases), tuple(case[1] for case in cases)
        found = Counterexample(values, gates, f"layer {k}, entry {entry}", words)
        return Verdict(name, False, str(found), found)
