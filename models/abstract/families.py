"""Gates of known architectures in closed form, and what follows from them.

A family is one formula for every entry of A(x_t). Its *inputs* are what the architecture computes from x_t by linear
maps with free weights (pre-activations), hence any real numbers; its other symbols are parameters. The properties are
computed (:mod:`.properties`), never stated here. Architectures whose transition is not diagonal (DeltaNet
and its gated and Kimi variants, RWKV-7, PD-SSM) have no such formula and are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import sympy
from sympy import Expr, Symbol, exp

from .functions import sigmoid, softplus
from .properties import Verdict, fixed_phase, nonnegative, time_invariant


class Consequence(Enum):
    """What the theorems say of a stack of such layers at finite precision, with phi as in the paper."""

    STAR_FREE = "no PARITY (theorem 2); of regular languages at most the star-free ones (theorem 4)"
    NO_PARITY = (
        "no PARITY (the paper's result for TIME-INVARIANT SSMs; what is proved here of it: docs/abstract_ssm.md)"
    )
    NOT_EXCLUDED_FIXED_PHASE = (
        "neither theorem applies; but no two inputs turn an entry of the state by different angles"
    )
    NOT_EXCLUDED = "PARITY is not excluded: two inputs can turn an entry of the state by different angles"
    UNDECIDED = "undecided"


def consequence_of(is_nonnegative: Verdict, is_time_invariant: Verdict, has_fixed_phase: Verdict) -> Consequence:
    """What follows from the three verdicts about all entries of all layers."""
    if is_nonnegative.holds:
        return Consequence.STAR_FREE
    if is_time_invariant.holds:
        return Consequence.NO_PARITY
    if is_nonnegative.holds is None or is_time_invariant.holds is None or has_fixed_phase.holds is None:
        return Consequence.UNDECIDED
    return Consequence.NOT_EXCLUDED_FIXED_PHASE if has_fixed_phase.holds else Consequence.NOT_EXCLUDED


@dataclass(frozen=True)
class GateFamily:
    """An architecture's gate.

    Attributes:
        name: the architecture.
        gate: the formula, in real symbols.
        inputs: the symbols that are computed from x_t.
        source: paper, and where in it.
        note: what a reader needs to know about the formula.
    """

    name: str
    gate: Expr
    inputs: tuple[Symbol, ...]
    source: str
    note: str = ""

    @cached_property
    def verdicts(self) -> tuple[Verdict, Verdict, Verdict]:
        """Whether every member is NONNEGATIVE, is TIME-INVARIANT, has a FIXED-PHASE."""
        gate, x = self.gate, self.inputs
        return nonnegative(gate, x), time_invariant(gate, x), fixed_phase(gate, x)

    def consequence(self) -> Consequence:
        """What follows for the family."""
        return consequence_of(*self.verdicts)

    def __str__(self) -> str:
        verdicts = "\n".join(f"  {verdict}" for verdict in self.verdicts)
        return f"{self.name}: {self.gate}\n{verdicts}\n  {self.consequence().value}"


a, b, d, e, f, k, r, s, u, theta = sympy.symbols("a b d e f k r s u theta", real=True)
gamma, w = sympy.symbols("gamma w", real=True)
Delta = sympy.Symbol("Delta", positive=True)

MAMBA = exp(-softplus(d) * exp(a))

FAMILIES: tuple[GateFamily, ...] = (
    GateFamily(
        "S4D",
        exp(Delta * (-exp(a) + sympy.I * b)),
        (),
        "Gu, Gupta, Goel, Ré 2022, arXiv 2206.11893 (diagonal A = -exp(a) + ib, zero-order hold)",
    ),
    GateFamily("S4D, real", exp(-Delta * exp(a)), (), "the same, A real", "S4D-Real; Mamba's A before selection"),
    GateFamily(
        "S5",
        exp(Delta * (a + sympy.I * b)),
        (),
        "Smith, Warrington, Linderman 2022, arXiv 2208.04933 (diagonalised, zero-order hold)",
    ),
    GateFamily(
        "LRU",
        exp(-exp(a) + sympy.I * theta),
        (),
        "Orvieto et al. 2023, arXiv 2303.06349 (stable exponential parametrisation)",
    ),
    GateFamily(
        "RetNet",
        sigmoid(gamma) * exp(sympy.I * theta),
        (),
        "Sun et al. 2023, arXiv 2307.08621, section 2.1 (decay in (0, 1), written sigmoid(gamma), and rotation)",
    ),
    GateFamily(
        "RetNet without rotation", sigmoid(gamma), (), "the same, theta = 0", "also lightning attention (MiniMax-01)"
    ),
    GateFamily(
        "RWKV-4", exp(-exp(w)), (), "Peng et al. 2023, arXiv 2305.13048 (time decay of numerator and denominator)"
    ),
    GateFamily("QRNN", sigmoid(f), (f,), "Bradbury et al. 2016, arXiv 1611.01576 (forget gate of f-pooling)"),
    GateFamily(
        "HGRN",
        (sigmoid(gamma) + (1 - sigmoid(gamma)) * sigmoid(f)) * exp(sympy.I * theta),
        (f,),
        "Qin, Yang, Zhong 2023, arXiv 2311.04823 (lower bound in (0, 1), written sigmoid(gamma); theta a parameter)",
    ),
    GateFamily(
        "HGRN2",
        sigmoid(gamma) + (1 - sigmoid(gamma)) * sigmoid(f),
        (f,),
        "Qin et al. 2024, arXiv 2404.07904 (no rotation)",
    ),
    GateFamily(
        "GLA",
        sigmoid(d) ** sympy.Rational(1, 16),
        (d,),
        "Yang et al. 2023, arXiv 2312.06635, section 4 (forget gate with temperature 16)",
    ),
    GateFamily(
        "RG-LRU (Griffin)",
        sigmoid(a) ** (8 * sigmoid(r)),
        (r,),
        "De et al. 2024, arXiv 2402.19427, section 2.4 (a^(c r_t), c = 8)",
    ),
    GateFamily("RWKV-6", exp(-exp(w + d)), (d,), "Peng et al. 2024, arXiv 2404.05892 (Finch: data-dependent decay)"),
    GateFamily(
        "mLSTM (xLSTM)",
        sigmoid(f),
        (f,),
        "Beck et al. 2024, arXiv 2405.04517 (forget gate sigmoid or exp)",
        "matrix memory; the stabiliser rescales state and normaliser alike",
    ),
    GateFamily("Mamba", MAMBA, (d,), "Gu, Dao 2023, arXiv 2312.00752, algorithm 2 (A = -exp(a), Delta = softplus(d))"),
    GateFamily("Mamba-2", MAMBA, (d,), "Dao, Gu 2024, arXiv 2405.21060 (one a per head)"),
    GateFamily(
        "Mamba, negative eigenvalues",
        2 * MAMBA - 1,
        (d,),
        "Grazzi et al. 2024, arXiv 2411.12537 (gate g replaced by 2g - 1)",
    ),
    GateFamily(
        "signed Mamba (ours)",
        sympy.tanh(s) * MAMBA,
        (s, d),
        "models/signed_mamba.py",
        "s and d are affine in the same low-rank projection",
    ),
    GateFamily(
        "Longhorn",
        (1 + sigmoid(d) * u**2) / (1 + sigmoid(d) * (k**2 + u**2)),
        (d, k, u),
        "Liu et al. 2024, arXiv 2407.14207 (1 - Delta k^2, Delta = beta / (1 + beta |k|^2); u^2: the other keys)",
        "models/longhorn.py",
    ),
    GateFamily(
        "Mamba-3",
        exp(softplus(d) * (-sympy.Max(softplus(e), sympy.Rational(1, 10_000)) + sympy.I * theta)),
        (d, e, theta),
        "Lahoti et al. 2026, arXiv 2603.15569 (data-dependent rotation)",
        "the trapezoidal write is part of B",
    ),
)
"""Architectures with diagonal transitions, time-invariant ones first."""
