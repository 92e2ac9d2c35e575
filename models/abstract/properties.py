"""Three properties of gates, decided from their formulas.

NONNEGATIVE: every entry of A(x_t) is a real number >= 0, whatever the input. TIME-INVARIANT: A(x_t) does not depend
on the input. (Both are the paper's: Sarrof, Veitsman and Hahn 2024, arXiv 2405.17394.) FIXED-PHASE is ours: for each
choice of the parameters the nonzero values of an entry of A all have one argument (for real ones: one sign), so that
no input can flip a state that another one keeps. Both of the others imply it.

A verdict is True with the rule that proves it, False with an exact counterexample whose sign was proved, or None
(undecided). How: :mod:`._abstract_search`.

>>> d, a = sympy.symbols("d a", real=True)
>>> bool(nonnegative(sympy.exp(-softplus(d) * sympy.exp(a)), (d,)))
True
>>> print(nonnegative(2 * sigmoid(d) - 1, (d,)))
NONNEGATIVE: no: at d = -1 the gate is -1 + 2*sigmoid(-1) = -0.462117
"""

# sympy is annotated in part only.
# mypy: disable-error-code="misc, no-any-return, no-untyped-call"

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sympy
from sympy import Expr, Symbol

from .enclosures import enclosure
from .functions import sigmoid, softplus
from .intervals import Interval
from .search import Box, Point, box_of, find_sign, grid, never_negative, smooth, value_at

__all__ = [
    "FIXED_PHASE",
    "NONNEGATIVE",
    "TIME_INVARIANT",
    "Counterexample",
    "Interval",
    "Verdict",
    "fixed_phase",
    "nonnegative",
    "sigmoid",
    "softplus",
    "time_invariant",
]

Property = Literal["NONNEGATIVE", "TIME-INVARIANT", "FIXED-PHASE"]
NONNEGATIVE: Property = "NONNEGATIVE"
TIME_INVARIANT: Property = "TIME-INVARIANT"
FIXED_PHASE: Property = "FIXED-PHASE"

PRIME = "'"
"""Marks the second input of a counterexample."""


@dataclass(frozen=True)
class Counterexample:
    """Where a property fails.

    Attributes:
        values: symbols by name (a second input's are primed) with exact values; for a concrete model the entries of the
            input.
        gates: the exact value of the gate there, or its values at both inputs.
        where: the layer and entry, in a concrete model.
        words: in a concrete model, a word whose last symbol brings the input about (one per gate).
    """

    values: tuple[tuple[str, Expr], ...]
    gates: tuple[Expr, ...]
    where: str = ""
    words: tuple[tuple[str, ...], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain values; numbers as text."""
        return {
            "values": {name: str(value) for name, value in self.values},
            "gates": [str(gate) for gate in self.gates],
            "where": self.where,
            "words": [list(word) for word in self.words],
        }

    def __str__(self) -> str:
        at = ", ".join(f"{name} = {_short(value)}" for name, value in self.values)
        gates = " and ".join(_number(gate) for gate in self.gates)
        read = " and after ".join(" ".join(word) or "no symbol" for word in self.words)
        place = f"{self.where}, " if self.where else ""
        after = f"after {read}, " if self.words else ""
        return f"{place}{after}at {at or 'every input'} the gate is {gates}"


@dataclass(frozen=True)
class Verdict:
    """Whether a property holds; in a condition, true only if it is proved to hold.

    Attributes:
        property: its name.
        holds: True, False, or None if undecided.
        reason: what decided it.
        counterexample: exact, when it does not hold.
    """

    property: Property
    holds: bool | None
    reason: str
    counterexample: Counterexample | None = None

    def __bool__(self) -> bool:
        return self.holds is True

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        found = None if self.counterexample is None else self.counterexample.as_json()
        return {"property": self.property, "holds": self.holds, "reason": self.reason, "counterexample": found}

    def __str__(self) -> str:
        answer = {True: "yes", False: "no", None: "undecided"}[self.holds]
        return f"{self.property}: {answer}: {self.reason}"


def nonnegative(gate: Expr, gate_inputs: Sequence[Symbol] = (), domains: Box | None = None) -> Verdict:
    """Whether a gate is real and >= 0 for all values of its inputs and parameters.

    Args:
        gate: an expression in real symbols (their sign assumptions are used); it may be complex.
        gate_inputs: symbols of the input; named first in counterexamples.
        domains: intervals of symbols, narrower than their assumptions.
    """
    domains = domains or {}
    real, imaginary = _parts(gate)
    if imaginary is None:
        return _undecided(NONNEGATIVE, "its real and imaginary part could not be separated")
    symbols = _ordered(gate, gate_inputs)
    if imaginary != 0:
        box = box_of(symbols, domains)
        for part, bad in ((real, (-1,)), (imaginary, (-1, 1))):
            found = find_sign(part, box, bad)
            if found is not None:
                return _refuted(NONNEGATIVE, symbols, found, (value_at(gate, found),))
        return _undecided(NONNEGATIVE, "its imaginary part may or may not vanish")
    holds, found = never_negative(real, domains)
    if found is not None:
        return _refuted(NONNEGATIVE, symbols, _filled(found, symbols, domains), (value_at(real, found),))
    if holds:
        bounds = enclosure(real, box_of(symbols, domains))
        lies = f"it lies in {bounds}" if bounds.nonnegative else "no value is negative (proved by rewriting or cutting)"
        return Verdict(NONNEGATIVE, True, lies)
    return _undecided(NONNEGATIVE, "neither a proof nor a negative value was found")


def time_invariant(gate: Expr, gate_inputs: Sequence[Symbol], domains: Box | None = None) -> Verdict:
    """Whether a gate is the same for all values of its inputs; arguments as for :func:`nonnegative`."""
    moving = [s for s in gate_inputs if gate.has(s)]
    if not moving:
        return Verdict(TIME_INVARIANT, True, "the input does not occur in it")
    other, primed = _primed(gate, moving)
    symbols = [*moving, *primed.values(), *(s for s in _ordered(gate, gate_inputs) if s not in moving)]
    box = box_of(symbols, _with_primed(domains or {}, primed))
    real, imaginary = _parts(gate - other)
    for part in (real, imaginary):
        if part is None:
            continue
        found = find_sign(part, box, (-1, 1))
        if found is not None:
            return _refuted(TIME_INVARIANT, symbols, found, (value_at(gate, found), value_at(other, found)))
    if smooth(gate) and all(sympy.simplify(sympy.diff(gate, s)) == 0 for s in moving):
        return Verdict(TIME_INVARIANT, True, "its derivative by every input is 0")
    return _undecided(TIME_INVARIANT, "it mentions the input, and no two different values were found")


def fixed_phase(gate: Expr, gate_inputs: Sequence[Symbol], domains: Box | None = None) -> Verdict:
    """Whether two inputs never give gates of different arguments; arguments as for :func:`nonnegative`."""
    for implies in (nonnegative(gate, gate_inputs, domains), time_invariant(gate, gate_inputs, domains)):
        if implies:
            return Verdict(FIXED_PHASE, True, f"it is {implies.property}")
    moving = [s for s in gate_inputs if gate.has(s)]
    other, primed = _primed(gate, moving)
    symbols = [*moving, *primed.values(), *(s for s in _ordered(gate, gate_inputs) if s not in moving)]
    domains = _with_primed(domains or {}, primed)
    quotient = sympy.powsimp(sympy.simplify(gate / other))
    if not quotient.has(sympy.I) and enclosure(quotient, box_of(symbols, domains)).nonnegative:
        return Verdict(FIXED_PHASE, True, "the quotient of its values at two inputs is never negative")
    # With g = A(x) conj(A(x')): the arguments agree iff g is real and positive.
    both = sympy.expand_complex(gate * sympy.conjugate(other)) if gate.has(sympy.I) else gate * other
    real, imaginary = _parts(both)
    for part, bad in ((real, (-1,)), (imaginary, (-1, 1))):
        found = None if part is None else find_sign(part, box_of(symbols, domains), bad)
        if found is not None:
            return _refuted(FIXED_PHASE, symbols, found, (value_at(gate, found), value_at(other, found)))
    return _undecided(FIXED_PHASE, "neither a proof nor two inputs with different arguments were found")


# -- helpers ---------------------------------------------------------------------------------------------------------


def _parts(gate: Expr) -> tuple[Expr, Expr | None]:
    """Real and imaginary part; None for the latter if sympy cannot separate them."""
    if not gate.has(sympy.I):
        # All symbols are real by convention; only powers and logarithms of negative numbers could leave the reals.
        return gate, sympy.Integer(0)
    real, imaginary = gate.as_real_imag()
    if any(part.has(sympy.re, sympy.im, sympy.I) for part in (real, imaginary)):
        real, imaginary = sympy.expand_complex(gate).as_real_imag()
        if any(part.has(sympy.re, sympy.im, sympy.I) for part in (real, imaginary)):
            return gate, None
    return real, sympy.simplify(imaginary)


def _ordered(gate: Expr, first: Sequence[Symbol]) -> list[Symbol]:
    named = [s for s in first if gate.has(s)]
    return [*named, *sorted(gate.free_symbols - set(named), key=str)]


def _primed(gate: Expr, moving: Sequence[Symbol]) -> tuple[Expr, dict[Symbol, Symbol]]:
    """The gate at a second input, whose symbols carry a prime and the same assumptions."""
    primed = {s: Symbol(f"{s}{PRIME}", **s.assumptions0) for s in moving}
    return gate.xreplace(primed), primed


def _with_primed(domains: Box, primed: Mapping[Symbol, Symbol]) -> dict[Symbol, Interval]:
    return {**domains, **{new: domains[old] for old, new in primed.items() if old in domains}}


def _filled(found: Point, symbols: Sequence[Symbol], domains: Box) -> Point:
    """The point with a value for the symbols that cancelled as well."""
    rest = box_of([s for s in symbols if s not in found], domains)
    return {**next(grid(rest)), **found}


def _refuted(name: Property, symbols: Sequence[Symbol], at: Point, gates: tuple[Expr, ...]) -> Verdict:
    shown = tuple((str(s), at[s]) for s in symbols if s in at)
    found = Counterexample(shown, gates)
    return Verdict(name, False, str(found), found)


def _undecided(name: Property, reason: str) -> Verdict:
    return Verdict(name, None, reason)


def _short(value: Expr) -> str:
    """A coordinate; numbers with many digits are only given roughly here."""
    return str(value) if len(str(value)) < 16 else f"{float(value):.6g}"


def _number(value: Expr) -> str:
    if value.is_Rational:
        return _short(value)
    try:
        number = complex(sympy.N(value, 15))
    except TypeError:  # an unknown function in it
        return str(value)
    rough = f"{number.real:.6g}" if number.imag == 0 else f"{number.real:.6g}{number.imag:+.6g}i"
    return f"{value} = {rough}" if len(str(value)) < 50 else rough
