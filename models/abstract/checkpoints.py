"""NONNEGATIVE and TIME-INVARIANT of a torch model, from its gate formulas and its own parameters.

Each recurrent layer is read (:mod:`.readers`) as a formula bound to the layer's tensors, and the formula is
then decided with each constant in the range of its values, over every real pre-activation (over its biases, if all
weights to it are zero). A property is refuted by token ids only: the model runs on some words, and gates that violate
it are evaluated again with exact arithmetic at the pre-activations that occurred. Otherwise it is undecided. The
verdicts are about the formulas over the reals; rounding may turn a gate into exactly 0 or 1, never into a negative
number.

The theorems speak of stacks of such layers. What else mixes positions (attention, say) is listed, and then nothing
follows. It is found by the names of classes, and by cutting out all known layers and looking whether far symbols
still matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from sympy import Symbol
from torch import Tensor, nn

from ..errors import WeightsError
from .enclosures import REALS, Interval
from .errors import UnknownGateError
from .families import Consequence, consequence_of
from .properties import (
    FIXED_PHASE,
    NONNEGATIVE,
    TIME_INVARIANT,
    Property,
    Verdict,
    all_of,
    nonnegative,
    refuted,
    violates,
)
from .readers import BoundGate, Drive, Reader, reader_of
from .runs import SHOWS, Runs, unexplained

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

    @property
    def verdicts(self) -> tuple[Verdict, Verdict, Verdict]:
        """All three."""
        return self.nonnegative, self.time_invariant, self.fixed_phase


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
    nonnegatives, invariants, phases = zip(*(layer.verdicts for layer in layers), strict=True)
    verdicts = all_of(NONNEGATIVE, nonnegatives), all_of(TIME_INVARIANT, invariants), all_of(FIXED_PHASE, phases)
    consequence = Consequence.UNDECIDED if others else consequence_of(*verdicts)
    return ModelProperties(layers, tuple(others), *verdicts, consequence)


def _holds_known(module: nn.Module, given: Mapping[type, Reader]) -> bool:
    return any(reader_of(part, given)[0] is not None for part in module.modules())


def _check_finite(name: str, gate: BoundGate) -> None:
    tensors = [*gate.constants.items(), *((s, drive.bias) for s, drive in gate.inputs.items())]
    for symbol, tensor in tensors:
        if not torch.isfinite(tensor).all():
            raise WeightsError(
                f"layer {name}: {symbol} of the gate {gate.formula} is NaN or infinite; look at its weights"
            )


# -- one layer -------------------------------------------------------------------------------------------------------

SEEM: dict[Property, tuple[int, Callable[[Tensor, Tensor], Tensor], str]] = {
    NONNEGATIVE: (1, lambda least, largest: least < -SHOWS, "the gate may be negative, but was not"),
    TIME_INVARIANT: (2, lambda least, largest: largest - least > SHOWS, "the gate may vary, but was constant"),
    FIXED_PHASE: (2, lambda least, largest: (least < -SHOWS) & (largest > SHOWS), "no gate had both signs"),
}
"""How many gates refute a property, what the least and the largest look like then, and what is said if none did."""


def _layer(name: str, gate: BoundGate, doubt: str | None, runs: Runs, number: int) -> LayerProperties:
    if doubt is not None:
        why = f"layer {name}: {doubt}, so the formula may not be what it computes"
        verdicts = [Verdict(p, None, why) for p in SEEM]
        return LayerProperties(name, gate.family, "unknown", *verdicts)
    verdicts = []
    for wanted, (count, shows, otherwise) in SEEM.items():
        proof = _proof(wanted, gate, verdicts)
        if proof is not None:
            verdicts.append(Verdict(wanted, True, proof))
            continue
        found = runs.find(number, name, count, shows)
        if found is not None and violates(wanted, found.gates):
            verdicts.append(refuted(wanted, found))
        else:
            why = f"layer {name}: {gate.formula}: {otherwise} on the words tried"
            verdicts.append(Verdict(wanted, None, why))
    return LayerProperties(name, gate.family, str(gate.formula), *verdicts)


def _proof(name: Property, gate: BoundGate, before: Sequence[Verdict]) -> str | None:
    """Why a property holds by the formula and the weights, or by those decided before; None if it need not."""
    if name == NONNEGATIVE:
        found = nonnegative(gate.formula, tuple(gate.inputs), _domains(gate))
        return f"{gate.formula}: {found.reason}" if found else None
    if name == FIXED_PHASE:
        return next((f"it is {verdict.property}" for verdict in before if verdict), None)
    used = [s for s in gate.inputs if gate.formula.has(s)]
    if any(gate.inputs[s].driven.any() for s in used):
        return None
    why = f"all weights to {', '.join(map(str, used))} are zero" if used else "the input does not occur in it"
    return f"{gate.formula}: {why}"


def _domains(gate: BoundGate) -> dict[Symbol, Interval]:
    """Intervals that hold all symbols of all channels."""
    box = {s: _hull(t) for s, t in gate.constants.items()}
    return box | {s: REALS if drive.driven.any() else _hull(drive.bias) for s, drive in gate.inputs.items()}


def _hull(values: Tensor) -> Interval:
    return Interval(Fraction(float(values.min())), Fraction(float(values.max())))
