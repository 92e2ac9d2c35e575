"""NONNEGATIVE and TIME-INVARIANT of a torch model, from its gate formulas and its own parameters.

Each recurrent layer is read (:mod:`._abstract_readers`) as a formula bound to the layer's tensors, and the formula is
then decided with each constant in the range of its values, over every real pre-activation of a channel with nonzero
weights. A property is refuted by token ids only: the model runs on some words, and gates that violate it are
evaluated again with exact arithmetic at the pre-activations that occurred. Otherwise it is undecided. The verdicts
are about the formulas over the reals; rounding may turn a gate into exactly 0 or 1, never into a negative number.

The theorems speak of stacks of such layers. What else mixes positions (attention, say) is listed, and then nothing
follows. It is found by the names of classes, and by cutting out all known layers and looking whether far symbols
still matter.
"""

# sympy is annotated in part only.
# mypy: disable-error-code="misc, no-any-return, no-untyped-call"

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import torch
from sympy import Symbol
from torch import Tensor, nn

from ..errors import WeightsError
from .enclosures import sign_of
from .errors import UnknownGateError
from .families import Consequence, consequence_of
from .intervals import REALS, Interval
from .properties import FIXED_PHASE, NONNEGATIVE, TIME_INVARIANT, Counterexample, Property, Verdict, nonnegative
from .readers import BoundGate, Drive, Reader, reader_of
from .runs import SHOWS, Case, Runs, unexplained

__all__ = ["BoundGate", "Drive", "LayerProperties", "ModelProperties", "Reader", "properties_of"]

MIXES = re.compile(r"attention(?!.*layer)|deltanet|retention|mixer|ssm|hyena|rnn|lstm|gru", re.IGNORECASE)
"""Names of classes that are taken to mix positions when no reader knows them."""


@dataclass(frozen=True)
class LayerProperties:
    """One recurrent layer.

    Attributes:
        name: its path in the model.
        family: what its gate is called, as in the table of families.
        formula: the gate as it was read.
        nonnegative: verdict.
        time_invariant: verdict.
        fixed_phase: verdict.
    """

    name: str
    family: str
    formula: str
    nonnegative: Verdict
    time_invariant: Verdict
    fixed_phase: Verdict

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        verdicts = (self.nonnegative, self.time_invariant, self.fixed_phase)
        named = {v.property.lower().replace("-", "_"): v.as_json() for v in verdicts}
        return {"name": self.name, "family": self.family, "formula": self.formula, **named}


@dataclass(frozen=True)
class ModelProperties:
    """What was computed of a model.

    Attributes:
        layers: its recurrent layers in order.
        others: what mixes positions in other ways, or may: paths and classes of modules, or a sentence.
        nonnegative: of all recurrent layers.
        time_invariant: likewise.
        fixed_phase: likewise.
        consequence: what follows for the model; UNDECIDED where ``others`` is not empty.
    """

    layers: tuple[LayerProperties, ...]
    others: tuple[str, ...]
    nonnegative: Verdict
    time_invariant: Verdict
    fixed_phase: Verdict
    consequence: Consequence

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "nonnegative": self.nonnegative.as_json(),
            "time_invariant": self.time_invariant.as_json(),
            "fixed_phase": self.fixed_phase.as_json(),
            "consequence": self.consequence.value,
            "others": [*self.others],
            "layers": [layer.as_json() for layer in self.layers],
        }

    def __str__(self) -> str:
        families = ", ".join(dict.fromkeys(layer.family for layer in self.layers))
        lines = [f"recurrent layers: {len(self.layers)} ({families})"]
        lines += [str(v) for v in (self.nonnegative, self.time_invariant, self.fixed_phase)]
        if self.others:
            lines.append(f"besides: {', '.join(self.others)}")
        return "\n".join([*lines, f"consequence: {self.consequence.value}"])


def properties_of(
    model: nn.Module,
    formulas: Mapping[type, Reader] | None = None,
    words: int = 32,
    length: int = 12,
    seed: int = 0,
) -> ModelProperties:
    """The properties of a torch model, layer by layer.

    Cost: a few enclosures per layer, and one forward pass on (words, length) tokens if a formula alone does not decide.

    Args:
        model: takes ``input_ids``, as those of ``transformers`` do.
        formulas: readers for classes of your own: functions from a module to a :class:`BoundGate`.
        words: random words to look for counterexamples on.
        length: their length.
        seed: of the words.

    Raises:
        UnknownGateError: no layer of the model has a known gate.
        WeightsError: a parameter of a gate is NaN or infinite.
    """
    found: list[tuple[str, BoundGate, str | None]] = []
    others, inside = [], ""
    for name, module in model.named_modules():
        if inside and name.startswith(f"{inside}."):
            continue
        reader, doubt = reader_of(module, formulas or {})
        if reader is not None:
            inside = name
            gate = reader(module)
            _check_finite(name, gate)
            found.append((name, gate, doubt))
        elif MIXES.search(type(module).__name__) and not _holds_known(module, formulas or {}):
            inside = name
            others.append(f"{name} ({type(module).__name__})")
    if not found:
        raise UnknownGateError(
            f"no layer of {type(model).__name__} has a gate whose formula is known; "
            "pass formulas={TheMixer: reader}, with a function from the module to a BoundGate"
        )
    runs = Runs(model, [gate for _, gate, _ in found], words, length, seed)
    if not others:
        others = unexplained(model, [name for name, _, _ in found], seed)
    layers = tuple(_layer(name, gate, doubt, runs, i) for i, (name, gate, doubt) in enumerate(found))
    verdicts = (
        _all(NONNEGATIVE, [layer.nonnegative for layer in layers]),
        _all(TIME_INVARIANT, [layer.time_invariant for layer in layers]),
        _all(FIXED_PHASE, [layer.fixed_phase for layer in layers]),
    )
    return ModelProperties(
        layers, tuple(others), *verdicts, Consequence.UNDECIDED if others else consequence_of(*verdicts)
    )


def _holds_known(module: nn.Module, given: Mapping[type, Reader]) -> bool:
    return any(reader_of(part, given)[0] is not None for part in module.modules())


def _check_finite(name: str, gate: BoundGate) -> None:
    tensors = [*gate.constants.items(), *((s, drive.bias) for s, drive in gate.inputs.items())]
    for symbol, tensor in tensors:
        if not torch.isfinite(tensor).all():
            raise WeightsError(
                f"layer {name}: {symbol} of the gate {gate.formula} is NaN or infinite; look at its weights"
            )


def _all(name: Property, verdicts: Sequence[Verdict]) -> Verdict:
    for holds in (False, None):
        for verdict in verdicts:
            if verdict.holds is holds:
                return verdict
    return Verdict(name, True, "; ".join(dict.fromkeys(verdict.reason for verdict in verdicts)))


# -- one layer -------------------------------------------------------------------------------------------------------


def _layer(name: str, gate: BoundGate, doubt: str | None, runs: Runs, number: int) -> LayerProperties:
    if doubt is not None:
        why = f"layer {name}: {doubt}, so the formula may not be what it computes"
        verdicts = [Verdict(p, None, why) for p in (NONNEGATIVE, TIME_INVARIANT, FIXED_PHASE)]
        return LayerProperties(name, gate.family, "unknown", *verdicts)
    not_negative = _nonnegative(name, gate, runs, number)
    invariant = _time_invariant(name, gate, runs, number)
    return LayerProperties(
        name,
        gate.family,
        str(gate.formula),
        not_negative,
        invariant,
        _phase(name, runs, number, not_negative, invariant),
    )


def _nonnegative(name: str, gate: BoundGate, runs: Runs, number: int) -> Verdict:
    verdicts = [nonnegative(gate.formula, tuple(gate.inputs), domains) for domains in _domains(gate)]
    if all(verdicts):
        return Verdict(NONNEGATIVE, True, f"{gate.formula}: " + "; ".join(dict.fromkeys(v.reason for v in verdicts)))
    case = runs.find(number, lambda gates: gates.amin(0) < -SHOWS, lambda gates: [gates.argmin(0)])
    if case is not None and sign_of(case.gates[0]) == -1:
        return _refuted(NONNEGATIVE, name, case)
    return Verdict(NONNEGATIVE, None, f"layer {name}: {gate.formula} may be negative, but was not on the words tried")


def _time_invariant(name: str, gate: BoundGate, runs: Runs, number: int) -> Verdict:
    used = [s for s in gate.inputs if gate.formula.has(s)]
    if not used:
        return Verdict(TIME_INVARIANT, True, f"{gate.formula}: the input does not occur in it")
    if not any(gate.inputs[s].driven.any() for s in used):
        return Verdict(TIME_INVARIANT, True, f"{gate.formula}: all weights to {', '.join(map(str, used))} are zero")
    case = runs.find(
        number, lambda gates: gates.amax(0) - gates.amin(0) > SHOWS, lambda gates: [gates.argmin(0), gates.argmax(0)]
    )
    if case is not None and sign_of(case.gates[1] - case.gates[0]) == 1:
        return _refuted(TIME_INVARIANT, name, case)
    return Verdict(
        TIME_INVARIANT, None, f"layer {name}: weights to the gate are not zero, but it was constant on the words tried"
    )


def _phase(name: str, runs: Runs, number: int, *implies: Verdict) -> Verdict:
    for verdict in implies:
        if verdict:
            return Verdict(FIXED_PHASE, True, f"it is {verdict.property}")
    case = runs.find(
        number,
        lambda gates: (gates.amin(0) < -SHOWS) & (gates.amax(0) > SHOWS),
        lambda gates: [gates.argmin(0), gates.argmax(0)],
    )
    if case is not None and sign_of(case.gates[0]) == -1 and sign_of(case.gates[1]) == 1:
        return _refuted(FIXED_PHASE, name, case)
    return Verdict(FIXED_PHASE, None, f"layer {name}: no gate had both signs on the words tried")


def _domains(gate: BoundGate) -> Iterator[dict[Symbol, Interval]]:
    """Boxes that together hold all symbols of all entries: one per set of inputs that a channel depends on."""
    constants = dict(gate.constants)
    channels = next(iter(constants.values())).shape[0]
    for pattern in product((True, False), repeat=len(gate.inputs)):
        mask = torch.ones(channels, dtype=torch.bool)
        for driven, drive in zip(pattern, gate.inputs.values(), strict=True):
            mask &= drive.driven == driven
        if not mask.any():
            continue
        box = {s: _hull(t[mask]) for s, t in constants.items()}
        for driven, (symbol, drive) in zip(pattern, gate.inputs.items(), strict=True):
            box[symbol] = REALS if driven else _hull(drive.bias[mask])
        yield box


def _hull(values: Tensor) -> Interval:
    return Interval(Fraction(float(values.min())), Fraction(float(values.max())))


def _refuted(name: Property, layer: str, case: Case) -> Verdict:
    found = Counterexample(case.values, case.gates, f"layer {layer}, {case.entry}", case.words)
    return Verdict(name, False, str(found), found)
