"""Properties of formulas and of abstract SSMs. Ground truth: the papers, mpmath, brute force over words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import mpmath
import pytest
import sympy
from expressions import RATIONALS, formulas, precisely, small_models
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scancraft.models.abstract.enclosures import Interval
from scancraft.models.abstract.families import FAMILIES, MAMBA, Consequence, GateFamily
from scancraft.models.abstract.functions import elementary
from scancraft.models.abstract.model_properties import properties
from scancraft.models.abstract.properties import Verdict, fixed_phase, nonnegative, time_invariant
from scancraft.models.abstract.ssm import (
    AbstractSsm,
    SsmLayer,
    indicator,
    inputs,
    sigmoid,
    states,
)

d, s, u, x, y = sympy.symbols("d s u x y", real=True)
p = sympy.Symbol("p", positive=True)


KNOWN: dict[str, tuple[bool, bool, bool]] = {
    "S4D": (False, True, True),
    "S4D, real": (True, True, True),
    "S5": (False, True, True),
    "LRU": (False, True, True),
    "RetNet": (False, True, True),
    "RetNet without rotation": (True, True, True),
    "RWKV-4": (True, True, True),
    "QRNN": (True, False, True),
    "HGRN": (False, False, True),
    "HGRN2": (True, False, True),
    "GLA": (True, False, True),
    "RG-LRU (Griffin)": (True, False, True),
    "RWKV-6": (True, False, True),
    "mLSTM (xLSTM)": (True, False, True),
    "Mamba": (True, False, True),
    "Mamba-2": (True, False, True),
    "Mamba, negative eigenvalues": (False, False, False),
    "signed Mamba (ours)": (False, False, False),
    "Longhorn": (True, False, True),
    "Mamba-3": (False, False, False),
}
"""NONNEGATIVE, TIME-INVARIANT, FIXED-PHASE, as the papers have it."""


def numerically(family: GateFamily, values: Sequence[tuple[str, Any]], primed: bool) -> complex:
    """The gate at a counterexample, in mpmath: parameters and the first or the second input."""
    named = dict(values)
    names = [str(v) for v in family.gate.free_symbols]
    inputs_of = {str(v) for v in family.inputs}
    point = {n: named.get(f"{n}'" if primed and n in inputs_of else n, named.get(n)) for n in names}
    function = sympy.lambdify([sympy.Symbol(n) for n in names], _plain(elementary(family.gate)), "mpmath")
    with mpmath.workdps(40):
        return complex(function(*(mpmath.mpf(sympy.N(point[n], 40)) for n in names)))


def _plain(expression: Any) -> Any:
    """The same formula in symbols without assumptions, so that nothing is simplified away."""
    return expression.xreplace({v: sympy.Symbol(str(v)) for v in expression.free_symbols})


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_properties_of_the_families(family: GateFamily) -> None:
    assert tuple(v.holds for v in family.verdicts) == KNOWN[family.name]
    not_negative, invariant, phase = family.verdicts
    for verdict in family.verdicts:
        assert (verdict.counterexample is None) == (verdict.holds is True)
    if found := not_negative.counterexample:
        value = numerically(family, found.values, False)
        assert value.real < -1e-9 or abs(value.imag) > 1e-9
    if found := invariant.counterexample:
        values = [numerically(family, found.values, primed) for primed in (False, True)]
        assert abs(values[0] - values[1]) > 1e-9
    if found := phase.counterexample:
        one, two = (numerically(family, found.values, primed) for primed in (False, True))
        turned = one * two.conjugate()
        assert abs(one) > 1e-9
        assert abs(two) > 1e-9
        assert turned.real < 0 or abs(turned.imag) > 1e-9


def test_consequences() -> None:
    found = {f.name: f.consequence() for f in FAMILIES}
    for name, (not_negative, invariant, phase) in KNOWN.items():
        if not_negative:
            assert found[name] is Consequence.STAR_FREE
        elif invariant:
            assert found[name] is Consequence.NO_PARITY
        else:
            assert found[name] is (Consequence.NOT_EXCLUDED_FIXED_PHASE if phase else Consequence.NOT_EXCLUDED)
    wild = GateFamily("wild", sympy.sin(x) + sympy.Function("f")(y), (x,), "")
    assert wild.consequence() is Consequence.UNDECIDED


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        (x**2 - 2 * x + 1, True),
        (x**2 - 2 * x + sympy.Rational(101, 100), None),
        (x**4 - 3 * x**2 + x + 5, None),
        (sympy.exp(x) - x, None),
        (sympy.exp(x) - x - sympy.Rational(101, 100), False),
        (1 - sympy.cos(x), True),
        (sympy.cos(x), False),
        (9 * x**2 - 9 * x + 2, False),  # negative between 1/3 and 2/3 only
        (sympy.Max(x, -x), None),
        (sympy.Max(x, x**2) - sympy.Rational(1, 100), False),
        (indicator(x > 3) - indicator(x > 4), None),
        (p / (1 + p), True),
        (1 - p / (1 + p), True),
        (x * y, False),
        (x**2 + x * y + y**2, None),
        (sympy.sqrt(x), None),
        (1 - 2 * indicator((x > sympy.Rational(1, 7)) & (x < 2)), False),
        (sympy.Max(1 / x, x), False),
        (-sympy.exp(1 / x) - 1, False),
        (sympy.Max(1 / x, x) ** 2 + 1, None),
        (sympy.I * x, False),
        (sympy.exp(sympy.I * x) * sympy.exp(-sympy.I * x), True),
    ],
)
def test_nonnegative_of_formulas(gate: Any, expected: bool | None) -> None:
    verdict = nonnegative(gate)
    if expected is None:  # true, but past what is tried; must not be refuted
        assert verdict.holds is not False
    else:
        assert verdict.holds is expected
    if verdict.counterexample is not None:
        assert all(value.is_finite for value in verdict.counterexample.gates)


@given(formulas([x, y], smooth=True, depth=2), st.lists(st.tuples(RATIONALS, RATIONALS), min_size=5, max_size=5))
@settings(max_examples=30, deadline=None)
def test_verdicts_agree_with_values(gate: Any, points: list[tuple[Fraction, Fraction]]) -> None:
    assume(not gate.has(sympy.zoo, sympy.nan, sympy.oo, sympy.I))
    not_negative, invariant = nonnegative(gate, (x,)), time_invariant(gate, (x,))
    values: dict[Fraction, set[Any]] = {}
    for a, b in points:
        for one in (a, b):
            try:
                value = precisely(gate, {x: one, y: b})
            except ZeroDivisionError:
                continue
            values.setdefault(b, set()).add(mpmath.nstr(value, 25))
            assert not (not_negative.holds and value < -1e-20)
    assert not (invariant.holds and any(len(same) > 1 for same in values.values()))
    for verdict in (not_negative, invariant):
        if verdict.holds is False:
            assert verdict.counterexample is not None
            gates = [sympy.N(g, 30) for g in verdict.counterexample.gates]
            assert gates[0] < 0 if verdict is not_negative else gates[0] != gates[1]


def test_domains_narrow_a_verdict() -> None:
    gate = 2 * sigmoid(d) - 1
    assert nonnegative(gate, (d,)).holds is False
    assert nonnegative(gate, (d,), {d: Interval(Fraction(0), math.inf)})
    low = nonnegative(gate, (d,), {d: Interval(Fraction(-1, 1000), math.inf)})
    assert low.holds is False
    assert low.counterexample is not None
    assert Fraction(-1, 1000) <= Fraction(str(low.counterexample.values[0][1])) < 0
    assert time_invariant(gate, (d,), {d: Interval(Fraction(1), Fraction(1))}).holds is not False
    assert fixed_phase(gate, (d,)).holds is False
    assert fixed_phase(gate, (d,), {d: Interval(Fraction(0), math.inf)})


def test_time_invariance_of_formulas() -> None:
    found = time_invariant(abs(x) + 1 / y, (x,)).counterexample
    assert found is not None
    assert all(value.is_finite for value in found.gates)  # not at y = 0
    assert time_invariant(sympy.sin(x) ** 2 + sympy.cos(x) ** 2, (x,))
    assert time_invariant(sympy.exp(y), (x,))
    assert time_invariant(x * y, (x,)).holds is False
    assert time_invariant(sympy.floor(x / 1000), (x,)).holds is not True  # constant on all points that are tried
    assert time_invariant(sympy.exp(sympy.I * x), (x,)).holds is False


def test_verdicts_are_plain_values() -> None:
    verdict = nonnegative(sympy.tanh(s) * MAMBA, (s, d))
    assert not verdict
    assert str(verdict).startswith("NONNEGATIVE: no: at s = -1")
    assert "no PARITY" in str(FAMILIES[0])


def two_layers(below: Any, gate: Any, write: int = 0) -> AbstractSsm:
    """A counter modulo nothing, its output ``below`` (in x0, h0), and a second layer with ``gate`` (in x0)."""
    (x0,), (h0,) = inputs(1), states(1)
    first = SsmLayer(1, (1 - x0,), (x0,), (below,))
    return AbstractSsm({"a": (0,), "b": (1,)}, (first, SsmLayer(1, (gate,), (write,), (h0,))))


def test_higher_layers_see_only_what_can_occur() -> None:
    (x0,), (h0,) = inputs(1), states(1)
    occurs = properties(two_layers(h0, x0))
    assert occurs.nonnegative  # by bounds: h0 is in [0, 1]
    assert occurs.positions == 0 or occurs.time_invariant.holds is False
    tight = properties(two_layers(h0, (x0 - sympy.Rational(1, 2)) ** 2 - sympy.Rational(1, 4)))
    assert tight.nonnegative  # 0 at 0 and at 1, negative between: only the walk can tell
    assert tight.positions == 2
    assert tight.time_invariant.holds is False  # of layer 0
    assert tight.layers[1][1]  # the gate of layer 1 is 0 at both inputs that occur
    wrong = properties(two_layers(h0 - sympy.Rational(1, 2), x0 + sympy.Rational(1, 4))).nonnegative
    assert wrong.holds is False
    assert wrong.counterexample is not None
    assert wrong.counterexample.words == (("a",),)
    assert wrong.counterexample.gates == (-sympy.Rational(1, 4),)


@pytest.mark.parametrize("way", [1, -1])
def test_undecided_within_a_budget(way: int) -> None:
    (x0,), (h0,) = inputs(1), states(1)
    count = SsmLayer(1, (1,), (way * x0,), (h0,))
    model = AbstractSsm({"a": (1,)}, (count, SsmLayer(1, (10 - way * x0,), (0,), (h0,))))
    assert properties(model, budget=5).nonnegative.holds is None
    found = properties(model, budget=50).nonnegative
    assert found.holds is False
    assert found.counterexample is not None
    assert found.counterexample.words == (("a",) * 11,)


def test_models_outside_the_rationals() -> None:
    (x0,), (h0,) = inputs(1), states(1)
    first = SsmLayer(1, (sigmoid(x0),), (x0,), (sympy.tanh(h0),))

    def stack(gate: Any) -> AbstractSsm:
        return AbstractSsm({"a": (1,), "b": (-1,)}, (first, SsmLayer(1, (gate,), (0,), (h0,))))

    assert properties(stack(1 + x0)).nonnegative  # tanh is above -1
    found = properties(stack(x0)).nonnegative
    assert found.holds is False
    assert found.counterexample is not None
    assert found.counterexample.words == (("b",),)
    assert properties(stack(x0 + sympy.Rational(99, 100))).nonnegative.holds is None  # true, but the bounds are wider
    assert properties(stack(sympy.exp(x0))).nonnegative


@given(small_models())
@settings(max_examples=20, deadline=None)
def test_properties_of_models_against_brute_force(model: AbstractSsm) -> None:
    found = properties(model, budget=300)
    seen: list[set[Fraction]] = [set(), set()]
    for word in product("ab", repeat=5):
        states_now = [layer.initial for layer in model.layers]
        for symbol in word:
            value = model.embedding[symbol]
            for k, layer in enumerate(model.layers):
                gate = layer.gate[0].subs(inputs(1)[0], sympy.Rational(value[0].numerator, value[0].denominator))
                seen[k].add(Fraction(gate.p, gate.q))
                states_now[k], value = layer.step(states_now[k], value)
    negative = any(gate < 0 for gates in seen for gate in gates)
    varies = any(len(gates) > 1 for gates in seen)
    assert not (found.nonnegative.holds and negative)
    assert not (found.time_invariant.holds and varies)
    for verdict in (found.nonnegative, found.time_invariant):
        if verdict.holds is False:
            assert replayed(model, verdict) == verdict.counterexample.gates  # type: ignore[union-attr]
    if found.nonnegative.holds is False:
        assert found.nonnegative.counterexample is not None
        assert found.nonnegative.counterexample.gates[0] < 0


def replayed(model: AbstractSsm, verdict: Verdict) -> tuple[Any, ...]:
    """The gates that the words of a counterexample lead to."""
    found = verdict.counterexample
    assert found is not None
    layer = int(found.where.split()[1].rstrip(","))
    gates = []
    for word in found.words:
        position = model.run(word[:-1])
        value = model.embedding[word[-1]]
        for k in range(layer):
            _, value = model.layers[k].step(position.states[k], value)
        gates.append(
            model.layers[layer].gate[0].subs(inputs(1)[0], sympy.Rational(value[0].numerator, value[0].denominator))
        )
    return tuple(gates)
