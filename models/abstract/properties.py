"""Three properties of gates, decided from their formulas.

NONNEGATIVE: every entry of A(x_t) is a real number >= 0, whatever the input. TIME-INVARIANT: A(x_t) does not depend
on the input. (Both are the paper's: Sarrof, Veitsman and Hahn 2024, arXiv 2405.17394.) FIXED-PHASE is ours: for each
choice of the parameters the nonzero values of an entry of A all have one argument (for real ones: one sign), so that
no input can flip a state that another one keeps. Both of the others imply it.

A verdict is True with the rule that proves it, False with an exact counterexample whose sign was proved, or None
(undecided). How: :mod:`.search`.

>>> d, a = sympy.symbols("d a", real=True)
>>> bool(nonnegative(sympy.exp(-softplus(d) * sympy.exp(a)), (d,)))
True
>>> print(nonnegative(2 * sigmoid(d) - 1, (d,)))
NONNEGATIVE: no: at d = -1 the gate is -1 + 2*sigmoid(-1) = -0.462117
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import sympy
from sympy import Expr, Symbol

from .enclosures import Interval, sign_of
from .functions import sigmoid, softplus
from .search import Box, Point, box_of, find_sign, grid, proof_of_sign, smooth, value_at

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

Words = tuple[tuple[str, ...], ...]


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
    words: Words = ()

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

    def __str__(self) -> str:
        answer = {True: "yes", False: "no", None: "undecided"}[self.holds]
        return f"{self.property}: {answer}: {self.reason}"


def refuted(name: Property, found: Counterexample) -> Verdict:
    """The property fails there."""
    return Verdict(name, False, str(found), found)


def violates(name: Property, gates: Sequence[Expr]) -> bool | None:
    """Whether real values of a gate, exact, at one input or at two, refute a property; None if that cannot be told."""
    tested = {NONNEGATIVE: gates[0], TIME_INVARIANT: gates[-1] - gates[0], FIXED_PHASE: gates[0] * gates[-1]}[name]
    sign = sign_of(tested)
    return None if sign is None else sign < 0 or (name == TIME_INVARIANT and sign > 0)


def all_of(name: Property, verdicts: Sequence[Verdict]) -> Verdict:
    """Holds if all hold; else the first that fails, or else the first undecided one."""
    for holds in (False, None):
        for verdict in verdicts:
            if verdict.holds is holds:
                return verdict
    return Verdict(name, True, "; ".join(dict.fromkeys(verdict.reason for verdict in verdicts)))


def nonnegative(gate: Expr, gate_inputs: Sequence[Symbol] = (), domains: Box | None = None) -> Verdict:
    """Whether a gate is real and >= 0 for all values of its inputs and parameters.

    Args:
        gate: an expression in real symbols (their sign assumptions are used); it may be complex.
        gate_inputs: symbols of the input; named first in counterexamples.
        domains: intervals of symbols, narrower than their assumptions.
    """
    real, imaginary = _parts(gate)
    if imaginary is None:
        return Verdict(NONNEGATIVE, None, "its real and imaginary part could not be separated")
    box = box_of(_ordered(gate, gate_inputs), domains or {})
    if imaginary != 0:
        found = _first_sign((real, (-1,)), (imaginary, (-1, 1)), box=box, gates=[gate])
        if found is not None:
            return _refuted(NONNEGATIVE, box, found, gate)
        return Verdict(NONNEGATIVE, None, "its imaginary part may or may not vanish")
    proof = proof_of_sign(real, domains or {})
    if proof is not None:
        return Verdict(NONNEGATIVE, True, proof)
    found = find_sign(real, box_of(_ordered(real, ()), domains or {}), (-1,))
    if found is not None:
        cancelled = {s: i for s, i in box.items() if s not in found}
        return _refuted(NONNEGATIVE, box, {**next(grid(cancelled)), **found}, real)
    return Verdict(NONNEGATIVE, None, "neither a proof nor a negative value was found")


def time_invariant(gate: Expr, gate_inputs: Sequence[Symbol], domains: Box | None = None) -> Verdict:
    """Whether a gate is the same for all values of its inputs; arguments as for :func:`nonnegative`."""
    moving = [s for s in gate_inputs if gate.has(s)]
    if not moving:
        return Verdict(TIME_INVARIANT, True, "the input does not occur in it")
    other, box = _second(gate, gate_inputs, domains or {})
    real, imaginary = _parts(gate - other)
    found = _first_sign((real, (-1, 1)), (imaginary, (-1, 1)), box=box, gates=[gate, other])
    if found is not None:
        return _refuted(TIME_INVARIANT, box, found, gate, other)
    if constant_in(gate, moving):
        return Verdict(TIME_INVARIANT, True, "its derivative by every input is 0")
    return Verdict(TIME_INVARIANT, None, "it mentions the input, and no two different values were found")


def fixed_phase(gate: Expr, gate_inputs: Sequence[Symbol], domains: Box | None = None) -> Verdict:
    """Whether two inputs never give gates of different arguments; arguments as for :func:`nonnegative`."""
    for implies in (nonnegative(gate, gate_inputs, domains), time_invariant(gate, gate_inputs, domains)):
        if implies:
            return Verdict(FIXED_PHASE, True, f"it is {implies.property}")
    other, box = _second(gate, gate_inputs, domains or {})
    # The arguments agree iff A(x) conj(A(x')) is real and positive, or one of the two is 0.
    both = sympy.powsimp(sympy.simplify(gate * sympy.conjugate(other)))
    if not both.has(sympy.I) and proof_of_sign(both, box) is not None:
        return Verdict(FIXED_PHASE, True, "A(x) times the conjugate of A(x') is never negative")
    both = sympy.expand_complex(both)
    real, imaginary = _parts(both)
    found = _first_sign((real, (-1,)), (imaginary, (-1, 1)), box=box, gates=[gate, other])
    if found is not None:
        return _refuted(FIXED_PHASE, box, found, gate, other)
    return Verdict(FIXED_PHASE, None, "neither a proof nor two inputs with different arguments were found")


def constant_in(gate: Expr, symbols: Sequence[Symbol]) -> bool:
    """Whether all derivatives by these symbols are proved to be 0."""
    return not symbols or (smooth(gate) and all(sympy.simplify(sympy.diff(gate, s)) == 0 for s in symbols))


# -- helpers ---------------------------------------------------------------------------------------------------------


def _parts(gate: Expr) -> tuple[Expr, Expr | None]:
    """Real and imaginary part; None for the latter if sympy cannot separate them."""
    if not gate.has(sympy.I):
        # All symbols are real by convention; only powers and logarithms of negative numbers could leave the reals.
        return gate, sympy.Integer(0)
    for form in (gate, sympy.expand_complex(gate)):
        real, imaginary = form.as_real_imag()
        if not any(part.has(sympy.re, sympy.im, sympy.I) for part in (real, imaginary)):
            return real, sympy.simplify(imaginary)
    return gate, None


def _ordered(gate: Expr, first: Sequence[Symbol]) -> list[Symbol]:
    named = [s for s in first if gate.has(s)]
    return [*named, *sorted(gate.free_symbols - set(named), key=str)]


def _second(gate: Expr, gate_inputs: Sequence[Symbol], domains: Box) -> tuple[Expr, Box]:
    """The gate at a second input, whose symbols carry a prime and the same assumptions; the box of both inputs."""
    moving = [s for s in gate_inputs if gate.has(s)]
    primed = {s: Symbol(f"{s}{PRIME}", **s.assumptions0) for s in moving}
    domains = {**domains, **{new: domains[old] for old, new in primed.items() if old in domains}}
    parameters = [s for s in _ordered(gate, gate_inputs) if s not in moving]
    return gate.xreplace(primed), box_of([*moving, *primed.values(), *parameters], domains)


def _first_sign(*parts: tuple[Expr | None, Sequence[int]], box: Box, gates: Sequence[Expr]) -> Point | None:
    """A point where one of the expressions has one of its signs, and the gates are finite; None if none was found."""
    tried = (find_sign(part, box, signs, gates) for part, signs in parts if part is not None)
    return next((found for found in tried if found is not None), None)


def _refuted(name: Property, box: Box, at: Point, *gates: Expr) -> Verdict:
    shown = tuple((str(s), at[s]) for s in box if s in at)
    return refuted(name, Counterexample(shown, tuple(value_at(gate, at) for gate in gates)))


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
