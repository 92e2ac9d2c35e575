"""The abstract SSM: exact runs, computed properties of formulas, models and checkpoints, and the fate of x w^n.

Ground truth: the DFAs of ``automata/families.py``, sums written out here, sympy's and mpmath's own arithmetic, brute
force over words, and the gates of real modules measured from their steps.
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from importlib import import_module
from itertools import islice, product
from pathlib import Path
from typing import Any

import mpmath
import pytest
import sympy
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from scancraft.automata.dfa import Dfa
from scancraft.automata.families import flip_flop, parity
from scancraft.models.abstract.enclosures import enclosure, sign_of
from scancraft.models.abstract.errors import AbstractSsmError, InexactError
from scancraft.models.abstract.examples import EXAMPLES
from scancraft.models.abstract.families import FAMILIES, MAMBA, Consequence, GateFamily
from scancraft.models.abstract.functions import elementary
from scancraft.models.abstract.in_torch import encode, run_batch, scores
from scancraft.models.abstract.intervals import Interval
from scancraft.models.abstract.model_properties import properties
from scancraft.models.abstract.numbers import rounded, rounded_tensor
from scancraft.models.abstract.properties import Verdict, fixed_phase, nonnegative, time_invariant
from scancraft.models.abstract.settling import SettlingBudgetError, samples, settle
from scancraft.models.abstract.ssm import (
    AbstractSsm,
    SsmLayer,
    indicator,
    inputs,
    outputs,
    sigmoid,
    softplus,
    states,
)

BENCHMARKS = Path(__file__).resolve().parent.parent.parent / "benchmarks"
d, s, u, x, y = sympy.symbols("d s u x y", real=True)
p = sympy.Symbol("p", positive=True)


def words(alphabet: Sequence[str], longest: int) -> Iterator[tuple[str, ...]]:
    for length in range(longest + 1):
        yield from product(alphabet, repeat=length)


# -- the model -------------------------------------------------------------------------------------------------------


def compare(model: AbstractSsm, dfa: Dfa, longest: int) -> int:
    """Both read-outs against a DFA after every live prefix; how many there were."""
    count = 0
    queue = [(model.begin(), dfa.initial, 0)]
    for position, state, length in queue:
        count += 1
        assert model.accepted_at(position) == (state in dfa.accepting)
        assert model.allowed_at(position) == dfa.next_symbols(state)
        if length < longest:
            after = {symbol: dfa.semiautomaton.run(state, symbol) for symbol in dfa.alphabet}
            queue += [(model.step(position, a, 0), q, length + 1) for a, q in after.items() if q in dfa.live]
    return count


def test_flip_flop_by_theorem_1() -> None:
    assert compare(EXAMPLES["flip_flop"](), flip_flop(), 10) == 2500


def test_parity_by_a_gate_of_minus_one() -> None:
    assert compare(EXAMPLES["parity"](), parity(), 10) == 2**11 - 1


@given(st.data())
def test_flip_flop_on_long_words(data: st.DataObject) -> None:
    model, dfa = EXAMPLES["flip_flop"](), flip_flop()
    position, state = model.begin(), dfa.initial
    for _ in range(data.draw(st.integers(0, 60))):
        symbol = data.draw(st.sampled_from(sorted(dfa.next_symbols(state))))
        position, state = model.step(position, symbol), dfa.semiautomaton.run(state, symbol)
        assert model.allowed_at(position) == dfa.next_symbols(state)
        assert model.accepted_at(position) == (state in dfa.accepting)


def balanced(word: Sequence[str]) -> bool:
    depths = [word[:n].count("(") - word[:n].count(")") for n in range(len(word) + 1)]
    return min(depths) >= 0 and depths[-1] == 0


def test_dyck_1_by_a_counter() -> None:
    model = EXAMPLES["dyck_1"]()
    for word in words("()", 10):
        position = model.run(word)
        assert model.accepted_at(position) == balanced(word)
        depths = [word[:n].count("(") - word[:n].count(")") for n in range(len(word) + 1)]
        alive = min(depths) >= 0
        assert model.allowed_at(position) == {*("(" * alive), *(")" * (alive and depths[-1] > 0))}


def test_a_n_b_n_by_a_counter() -> None:
    model = EXAMPLES["a_n_b_n"]()
    for word in words("ab", 10):
        half = len(word) // 2
        assert model.accepts(word) == (len(word) % 2 == 0 and word == ("a",) * half + ("b",) * half)
    assert model.accepts("a" * 300 + "b" * 300)
    assert not model.accepts("a" * 300 + "b" * 299)


def test_without_a_restriction_on_phi_nonnegative_gates_recognise_parity() -> None:
    model = EXAMPLES["counter_modulo"]()
    assert properties(model).nonnegative
    assert all(model.accepts(word) == (word.count("1") % 2 == 0) for word in words("01", 8))


def test_without_finite_precision_nonnegative_gates_tell_all_powers_apart() -> None:
    model = EXAMPLES["halving"]()
    exact = list(islice(samples(model, "1"), 60))
    assert len(set(exact)) == 60
    assert len(set(islice(samples(model, "1", fractional_bits=4), 60))) == 6


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bits", [None, 3])
def test_torch_equals_the_rationals(name: str, dtype: torch.dtype, bits: int | None) -> None:
    model = EXAMPLES[name]()
    for length in range(1, 5):
        batch = list(product(model.alphabet, repeat=length))
        run = run_batch(model, encode(model, batch), dtype, bits)
        accept, allowed = scores(model, run.output)
        for i, word in enumerate(batch):
            position = model.run(word, bits)
            assert position.output is not None
            assert run.output[i, -1].tolist() == [float(v) for v in position.output]
            for state, layer in zip(run.states, position.states, strict=True):
                assert state[i].tolist() == [float(v) for v in layer]
            if model.accept is not None:
                assert accept is not None
                assert bool(accept[i, -1] > 0) == model.accepted_at(position)
            may = {a for a, score in zip(model.allowed, allowed[i, -1], strict=True) if score > 0}
            assert may == model.allowed_at(position)


RATIONALS = st.fractions(-3, 3, max_denominator=8)


@st.composite
def formulas(draw: st.DrawFn, symbols: Sequence[sympy.Symbol], smooth: bool = False, depth: int = 3) -> Any:
    """Random real expressions; with ``smooth`` exp, tanh, ... too, else only what stays in the rationals."""
    if depth == 0 or draw(st.booleans()):
        leaf = draw(st.one_of(st.sampled_from(list(symbols)), RATIONALS))
        return leaf if isinstance(leaf, sympy.Symbol) else sympy.Rational(leaf.numerator, leaf.denominator)
    part = formulas(symbols, smooth, depth - 1)
    unary: list[Callable[..., Any]] = [abs, sympy.sign, sympy.floor, lambda e: e**2, lambda e: 1 / (1 + e**2)]
    if smooth:
        unary += [sympy.exp, sympy.tanh, sigmoid, softplus, sympy.sin, sympy.cos, lambda e: sympy.sqrt(1 + e**2)]
        unary += [lambda e: sympy.log(2 + sympy.tanh(e)), lambda e: e**3, lambda e: 1 / e, sympy.ceiling]
    binary: list[Callable[..., Any]] = [
        lambda a, b: a + b,
        lambda a, b: a * b,
        lambda a, b: a - b,
        sympy.Max,
        sympy.Min,
    ]
    if draw(st.booleans()):
        return draw(st.sampled_from(binary))(draw(part), draw(part))
    return draw(st.sampled_from(unary))(draw(part))


@given(st.data(), RATIONALS, RATIONALS)
@settings(max_examples=60, deadline=None)
def test_a_layer_computes_its_formulas(data: st.DataObject, before: Fraction, value: Fraction) -> None:
    (x0,), (h0,) = inputs(1), states(1)
    gate, write = data.draw(formulas([x0])), data.draw(formulas([x0]))
    output = data.draw(formulas([x0, h0])) + sympy.Piecewise((h0, h0 > x0), (x0, True))
    layer = SsmLayer(inputs=1, gate=(gate,), write=(write,), output=(output,))
    at = {x0: sympy.Rational(value.numerator, value.denominator)}
    old = sympy.Rational(before.numerator, before.denominator)
    after = gate.subs(at) * old + write.subs(at)
    read = output.subs({**at, h0: after})
    assert layer.step((before,), (value,)) == ((Fraction(after.p, after.q),), (Fraction(read.p, read.q),))
    model = AbstractSsm({"a": (value,)}, (SsmLayer(1, (gate,), (write,), (h0,), (before,)),))
    assert run_batch(model, encode(model, ["a"])).output.item() == pytest.approx(float(after), rel=1e-9, abs=1e-9)


def test_functions_with_rational_values_are_exact() -> None:
    (x0,) = inputs(1)
    gates = (sympy.exp(x0), sympy.tanh(x0), sigmoid(x0), sympy.sqrt(x0 + 4), sympy.Mod(x0 - 1, 3))
    layer = SsmLayer(1, gates, (0,) * 5, (sympy.Integer(0),), (1,) * 5)
    assert layer.step((Fraction(1),) * 5, (Fraction(0),))[0] == (1, 0, Fraction(1, 2), 2, 2)


@pytest.mark.parametrize(
    "gate",
    [
        sympy.exp(inputs(1)[0]),
        sympy.sqrt(inputs(1)[0] + 1),
        sympy.pi * inputs(1)[0],
        1 / (inputs(1)[0] - 1),
        sigmoid(inputs(1)[0]),
        sympy.Piecewise((sympy.Integer(1), inputs(1)[0] > 5)),
    ],
)
def test_leaving_the_rationals_is_an_error(gate: Any) -> None:
    layer = SsmLayer(1, (gate,), (0,), (states(1)[0],))
    with pytest.raises(InexactError):
        layer.step((Fraction(1),), (Fraction(1),))


def layer_with(**changes: Any) -> SsmLayer:
    return SsmLayer(**{"inputs": 1, "gate": (1,), "write": (0,), "output": (states(1)[0],), **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gate": (0.5,)}, "give an int, a Fraction or a sympy expression"),
        ({"gate": (sympy.Float(0.5),)}, "holds a float"),
        ({"gate": (sympy.I,)}, "complex"),
        ({"gate": (states(1)[0],)}, "uses h0; it may use x0"),
        ({"gate": (inputs(2)[1],)}, "uses x1"),
        ({"write": (0, 0)}, "1 gates, 2 writes"),
        ({"initial": (1, 2)}, "2 initial"),
        ({"initial": (sympy.pi,)}, "not a rational"),
        ({"gate": (), "write": (), "output": (1,)}, "at least one entry"),
        ({"output": ()}, "one output"),
    ],
)
def test_malformed_layers(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AbstractSsmError, match=message):
        layer_with(**changes)


def test_malformed_models() -> None:
    layer, (z,) = layer_with(), outputs(1)
    for arguments, message in (
        (({}, (layer,)), "at least one symbol"),
        (({"a": (0,)}, ()), "one layer"),
        (({"a": (0, 1)}, (layer,)), "2 entries"),
        (({"a": (0,)}, (layer_with(output=(1, 2)), layer)), "layer 0 has 2 outputs"),
        (({"a": (0,)}, (layer,), states(1)[0]), "uses h0"),
        (({"a": (0,)}, (layer,), z, {"b": z}), "no embedding"),
        (({"a": (0,)}, (layer,), z, {}, (1, 1)), "the start"),
    ):
        with pytest.raises(AbstractSsmError, match=message):
            AbstractSsm(*arguments)  # type: ignore[arg-type]
    model = AbstractSsm({"a": (0,)}, (layer,), z)
    with pytest.raises(AbstractSsmError, match="'b' has no embedding"):
        model.accepts("ab")
    with pytest.raises(AbstractSsmError, match="start symbol"):
        model.accepts("")
    with pytest.raises(AbstractSsmError, match="does not recognise"):
        AbstractSsm({"a": (0,)}, (layer,)).accepts("a")
    with pytest.raises(AbstractSsmError, match="one length"):
        encode(model, ["a", "aa"])
    with pytest.raises(AbstractSsmError, match="'b' has no embedding"):
        encode(model, ["b"])
    with pytest.raises(AbstractSsmError, match=r"0\.\.0"):
        run_batch(model, torch.tensor([[1]]))


def test_models_are_printed_and_hashable() -> None:
    model = EXAMPLES["parity"]()
    assert "h0 <- (1 - 2*x0) h0 + 0    (at first 1)" in str(model)
    assert "accept iff z0 > 0" in str(model)
    assert {model: 1}[EXAMPLES["parity"]()] == 1


@given(RATIONALS, RATIONALS, st.integers(0, 6))
def test_rounding_is_to_the_nearest_and_monotone(a: Fraction, b: Fraction, bits: int) -> None:
    near = rounded(a, bits)
    assert (near * 2**bits).denominator == 1
    assert abs(near - a) <= Fraction(1, 2 ** (bits + 1))
    assert (rounded(a, bits) <= rounded(b, bits)) or a > b
    assert rounded(a + 3, bits) == near + 3
    assert rounded(a, None) == a
    dyadic = Fraction(math.floor(a * 1024), 1024)
    tensor = torch.tensor([float(dyadic)], dtype=torch.float64)
    assert rounded_tensor(tensor, bits).item() == float(rounded(dyadic, bits))


# -- enclosures ------------------------------------------------------------------------------------------------------


def precisely(expression: Any, at: dict[sympy.Symbol, Fraction]) -> Any:
    """The value by mpmath in 60 digits, written out here: independent of the enclosures and of sympy's evaluation."""

    def value(e: Any) -> Any:
        if e.is_Symbol:
            return mpmath.mpf(at[e].numerator) / at[e].denominator
        if e.is_Rational:
            return mpmath.mpf(int(e.p)) / int(e.q)
        if e == sympy.E:
            return mpmath.exp(1)
        parts = [value(a) for a in e.args]
        if e.is_Add:
            return mpmath.fsum(parts)
        if e.is_Mul:
            return mpmath.fprod(parts)
        if e.is_Pow:
            return parts[0] ** parts[1]
        named = {"Abs": "fabs", "ceiling": "ceil", "Max": "max", "Min": "min"}.get(type(e).__name__, type(e).__name__)
        special: dict[str, Callable[..., Any]] = {
            "max": max,
            "min": min,
            "sigmoid": lambda v: 1 / (1 + mpmath.exp(-v)),
            "softplus": lambda v: mpmath.log(1 + mpmath.exp(v)),
        }
        return special.get(named, getattr(mpmath, named, None))(*parts)  # type: ignore[misc]

    with mpmath.workdps(60):
        return value(expression)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[Interval, Fraction]:
    """An interval and a rational in it."""
    inside = draw(RATIONALS)
    low = draw(st.one_of(st.just(-math.inf), st.fractions(-4, inside, max_denominator=8)))
    high = draw(st.one_of(st.just(math.inf), st.fractions(inside, 4, max_denominator=8)))
    return Interval(low, high), inside


@given(formulas([x, y], smooth=True), boxes(), boxes())
@settings(max_examples=150, deadline=None)
def test_enclosures_hold_every_value(expression: Any, one: Any, two: Any) -> None:
    assume(not expression.has(sympy.zoo, sympy.nan, sympy.oo, sympy.I))
    at = {x: one[1], y: two[1]}
    try:
        value = precisely(expression, at)
    except ZeroDivisionError:
        assume(False)
    assume(abs(value) < 1e40)
    bounds = enclosure(expression, {x: one[0], y: two[0]})
    with mpmath.workdps(60):
        slack = mpmath.mpf(10) ** -40 * (1 + abs(value))
        low, high = (v if math.isinf(v) else mpmath.mpf(v.numerator) / v.denominator for v in (bounds.low, bounds.high))
        assert low - slack <= value <= high + slack
    point = expression.xreplace({s: sympy.Rational(v.numerator, v.denominator) for s, v in at.items()})
    if abs(value) > 1e-30:
        assert sign_of(point) in (None, (1 if value > 0 else -1))


@pytest.mark.parametrize(
    ("expression", "low", "high", "closed"),
    [
        (sigmoid(x), 0, 1, (False, False)),
        (sympy.tanh(x), -1, 1, (False, False)),
        (sympy.exp(-softplus(x) * sympy.exp(y)), 0, 1, (False, False)),
        (x**2, 0, math.inf, (True, False)),
        (1 / p, 0, math.inf, (False, False)),
        (sympy.exp(-p), 0, 1, (False, False)),
        (sympy.cos(x), -1, 1, (True, True)),
        (sympy.Max(x, 2), 2, math.inf, (True, False)),
        (sympy.Mod(x, 3), 0, 3, (True, False)),
        (1 / x, -math.inf, math.inf, (False, False)),
        (sympy.log(x), -math.inf, math.inf, (False, False)),
    ],
)
def test_enclosures_over_all_reals(expression: Any, low: float, high: float, closed: tuple[bool, bool]) -> None:
    bounds = enclosure(expression, {})
    assert (bounds.low, bounds.high) == (low, high)
    assert (not bounds.low_open, not bounds.high_open) == closed


@pytest.mark.parametrize(
    ("number", "sign"),
    [
        (sympy.pi - sympy.Rational(355, 113), -1),
        (sympy.exp(sympy.pi) - sympy.pi - 20, -1),
        (sympy.sqrt(2) + sympy.sqrt(3) - sympy.sqrt(5 + 2 * sympy.sqrt(6)), 0),
        (sympy.exp(-(10**6)), 1),
        (-sympy.exp(-sympy.exp(15)), -1),
        (2 * sigmoid(sympy.Integer(-1)) - 1, -1),
        (sympy.log(2) - softplus(sympy.Integer(0)), 0),
        (sympy.log(-2), None),
    ],
)
def test_signs_of_constants(number: Any, sign: int | None) -> None:
    assert sign_of(number) == sign


# -- properties of formulas ------------------------------------------------------------------------------------------

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
    verdicts = (family.nonnegative(), family.time_invariant(), family.fixed_phase())
    assert tuple(v.holds for v in verdicts) == KNOWN[family.name]
    not_negative, invariant, phase = verdicts
    for verdict in verdicts:
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


@pytest.mark.parametrize("family", [f for f in FAMILIES if KNOWN[f.name][0]], ids=lambda f: f.name)
def test_nonnegative_families_on_random_values(family: GateFamily) -> None:
    symbols = sorted(family.gate.free_symbols, key=str)
    function = sympy.lambdify(symbols, elementary(family.gate), "mpmath")
    draw = torch.Generator().manual_seed(1)
    for row in (torch.randn(200, len(symbols), generator=draw) * 4).tolist():
        values = [abs(v) + 1e-6 if s.is_positive else v for s, v in zip(symbols, row, strict=True)]
        assert function(*values) >= 0


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
        (x**2 - 2 * x + sympy.Rational(101, 100), True),
        (x**4 - 3 * x**2 + x + 5, True),
        (sympy.exp(x) - x, True),
        (sympy.exp(x) - x - sympy.Rational(99, 100), True),
        (sympy.exp(x) - x - sympy.Rational(101, 100), False),
        (1 - sympy.cos(x), True),
        (sympy.cos(x), False),
        (9 * x**2 - 9 * x + 2, False),  # negative between 1/3 and 2/3 only
        ((x - sympy.Rational(1, 7)) ** 2 - sympy.Rational(1, 1000), False),
        (sympy.Max(x, -x), True),
        (sympy.Max(x, x**2) - sympy.Rational(1, 100), False),
        (indicator(x > 3) - indicator(x > 4), None),
        (p / (1 + p), True),
        (1 - p / (1 + p), True),
        (x * y, False),
        (x**2 + x * y + y**2, None),
        (sympy.sqrt(x), None),
        (1 - 2 * indicator((x > sympy.Rational(1, 7)) & (x < sympy.Rational(1, 6))), False),  # its slope says nothing
        (sympy.Max(1 / x, x), False),
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


@given(formulas([x, y], smooth=True, depth=2), st.lists(st.tuples(RATIONALS, RATIONALS), min_size=5, max_size=5))
@settings(max_examples=60, deadline=None)
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
    assert time_invariant(sympy.sin(x) ** 2 + sympy.cos(x) ** 2, (x,))
    assert time_invariant(sympy.exp(y), (x,))
    assert time_invariant(x * y, (x,)).holds is False
    assert time_invariant(sympy.floor(x / 1000), (x,)).holds is not True  # constant on all points that are tried
    assert time_invariant(sympy.exp(sympy.I * x), (x,)).holds is False


def test_verdicts_are_plain_values() -> None:
    verdict = nonnegative(sympy.tanh(s) * MAMBA, (s, d))
    assert not verdict
    assert verdict.as_json()["counterexample"]["gates"] == ["-tanh(1)/2"]
    assert str(verdict).startswith("NONNEGATIVE: no: at s = -1")
    assert FAMILIES[0].as_json()["time_invariant"]["holds"] is True
    assert "no PARITY" in str(FAMILIES[0])


# -- properties of models --------------------------------------------------------------------------------------------


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


@st.composite
def small_models(draw: st.DrawFn, gates: Any, layers: int = 2) -> AbstractSsm:
    """Random stacks over two symbols, with bounded outputs, whose gates are polynomials in a bounded input."""
    (x0,), (h0,) = inputs(1), states(1)
    number = st.integers(-2, 2)
    stack = []
    for _ in range(layers):
        a, b, c, e = draw(gates), draw(gates), draw(number), draw(number)
        output = sympy.Max(-1, sympy.Min(1, draw(number) * h0 + draw(number) * x0 + draw(number)))
        stack.append(SsmLayer(1, (a + b * x0,), (c + e * x0,), (output,), (draw(number),)))
    return AbstractSsm({"a": (0,), "b": (1,)}, tuple(stack), accept=outputs(1)[0])


@given(small_models(st.integers(-1, 1)))
@settings(max_examples=60, deadline=None)
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


# -- x w^n -----------------------------------------------------------------------------------------------------------


def by_hand(
    gates: Sequence[Fraction], writes: Sequence[Fraction], h: Fraction, bits: int, passes: int
) -> list[Fraction]:
    """Samples of one entry, rounded half up, by integer arithmetic."""

    def near(value: Fraction) -> Fraction:
        return Fraction((2 * value.numerator * 2**bits + value.denominator) // (2 * value.denominator), 2**bits)

    h = near(h)
    found = [h]
    for _ in range(passes):
        for a, b in zip(gates, writes, strict=True):
            h = near(near(a) * h + near(b))
        found.append(h)
    return found


def one_entry(gates: Sequence[Fraction], writes: Sequence[Fraction], h: Fraction) -> tuple[AbstractSsm, list[str]]:
    """A model whose only entry goes through these gates and writes, one per symbol, on the word of all symbols."""
    (x0, x1), (h0,) = inputs(2), states(1)
    layer = SsmLayer(2, (x0,), (x1,), (h0,), (h,))
    names = [f"s{i}" for i in range(len(gates))]
    table = dict(zip(names, zip(gates, writes, strict=True), strict=True))
    return AbstractSsm(table, (layer,), accept=outputs(1)[0]), names


STEPS = st.lists(st.tuples(st.fractions(0, 2, max_denominator=5), RATIONALS), min_size=1, max_size=4)
SIGNED = st.lists(st.tuples(st.fractions(-2, 2, max_denominator=3), RATIONALS), min_size=1, max_size=3)


@given(STEPS, RATIONALS, st.integers(0, 5))
@example([(Fraction(3, 2), Fraction(0))], Fraction(-1, 2), 1)  # rounding holds back what would grow
@example([(Fraction(1, 2), Fraction(0)), (Fraction(2), Fraction(-1, 2))], Fraction(0), 1)
@settings(max_examples=60, deadline=None)
def test_nonnegative_entries_become_constant_or_grow(steps: Any, h: Fraction, bits: int) -> None:
    """The mechanism of theorem 2."""
    gates, writes = zip(*steps, strict=True)
    model, w = one_entry(gates, writes, h)
    found = settle(model, w, fractional_bits=bits)
    ((fate,),) = found.fates
    run = by_hand(gates, writes, h, bits, fate.samples + 40)
    assert [v[0][0] for v in islice(samples(model, w, fractional_bits=bits), 10)] == run[:10]
    assert run == sorted(run) or run == sorted(run, reverse=True)
    assert fate.kind in ("constant", "grows")
    if fate.kind == "constant":
        assert set(run[fate.samples :]) == set(fate.values)
        assert fate.samples == run.index(fate.values[0])
        assert found.answers == (fate.values[0] > 0,)
    else:
        later = by_hand(gates, writes, h, bits, fate.samples + 400)
        assert abs(later[-1]) > abs(later[-200])
        assert found.answers is None


@given(SIGNED, RATIONALS, st.integers(0, 4))
@settings(max_examples=60, deadline=None)
def test_fates_of_any_entry(steps: Any, h: Fraction, bits: int) -> None:
    gates, writes = zip(*steps, strict=True)
    model, w = one_entry(gates, writes, h)
    found = settle(model, w, fractional_bits=bits)
    ((fate,),) = found.fates
    assert fate.kind in ("constant", "cycles", "grows")
    run = by_hand(gates, writes, h, bits, fate.samples + 60)
    if fate.kind == "grows":
        later = by_hand(gates, writes, h, bits, fate.samples + 400)
        assert max(map(abs, later[-100:])) > max(map(abs, later[:200]))
        return
    assert len(fate.values) == fate.period
    for n in range(fate.samples, len(run)):
        assert run[n] == fate.values[(n - fate.samples) % fate.period]
    assert found.repeats_from is not None
    assert found.answers is not None
    for n in range(max(found.repeats_from, 1), found.repeats_from + 12):
        assert model.accepts(w * n, bits) == found.answers[(n - found.repeats_from) % len(found.answers)]


@given(SIGNED, RATIONALS)
@settings(max_examples=60, deadline=None)
def test_fates_without_rounding(steps: Any, h: Fraction) -> None:
    gates, writes = zip(*steps, strict=True)
    model, w = one_entry(gates, writes, h)
    ((fate,),) = settle(model, w).fates
    run = [v[0][0] for v in islice(samples(model, w), 40)]
    if fate.kind in ("constant", "cycles"):
        assert all(run[n] == fate.values[(n - fate.samples) % fate.period] for n in range(fate.samples, 40))
    elif fate.kind == "converges":
        assert len(set(run)) == 40
        assert abs(run[39] - run[38]) < abs(run[1] - run[0])
    else:
        assert fate.kind == "grows"
        assert len(set(run)) == 40
        assert abs(run[39] - run[38]) >= abs(run[1] - run[0])


@given(small_models(st.integers(0, 1)), st.sampled_from(["b", "a", "ab", "aab"]), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_nonnegative_stacks_never_cycle(model: AbstractSsm, w: str, bits: int) -> None:
    assume(properties(model, budget=200).nonnegative)
    found = settle(model, w, x="ba", fractional_bits=bits)
    if found.period is None:
        return
    assert found.period == 1
    assert found.repeats_from is not None
    assert found.answers is not None
    for n in range(found.repeats_from, found.repeats_from + 6):
        assert model.accepts("ba" + w * n, bits) == found.answers[0]


@given(small_models(st.integers(-1, 1)), st.sampled_from(["b", "ab", "aab"]), st.sampled_from(["", "a", "ba"]))
@settings(max_examples=60, deadline=None)
def test_stacks_repeat_as_told(model: AbstractSsm, w: str, first: str) -> None:
    found = settle(model, w, x=first, fractional_bits=1)
    if found.period is None:
        assert any(fate.kind == "grows" for layer in found.fates for fate in layer)
        return
    assert found.repeats_from is not None
    assert found.answers is not None
    for n in range(found.repeats_from, found.repeats_from + 2 * found.period + 2):
        if n or first:
            position = model.run(first + w * n, 1)
            assert model.accepted_at(position) == found.answers[(n - found.repeats_from) % found.period]
            for layer, fates in zip(position.states, found.fates, strict=True):
                for value, fate in zip(layer, fates, strict=True):
                    if n >= fate.samples:
                        assert value == fate.values[(n - fate.samples) % fate.period]


def test_parity_alternates_and_settled_models_fail_it() -> None:
    found = settle(EXAMPLES["parity"](), "1", fractional_bits=0)
    assert found.answers == (True, False)
    assert "cycles from n = 0, period 2: 1, -1" in str(found)
    assert found.as_json()["answers"] == [True, False]
    settled = settle(EXAMPLES["halving"](), "1", fractional_bits=4)
    assert (settled.repeats_from, settled.period, settled.answers) == (5, 1, (True,))


def test_the_last_symbol_before_w_is_no_part_of_the_repetition() -> None:
    """The state is the same after x as after x w, but phi sees another symbol."""
    (x0,) = inputs(1)
    layer = SsmLayer(1, (1,), (0,), (x0 - sympy.Rational(1, 2),), (1,))
    model = AbstractSsm({"a": (0,), "b": (1,)}, (layer,), accept=outputs(1)[0])
    found = settle(model, "b", x="a")
    assert (found.repeats_from, found.period, found.answers) == (1, 1, (True,))
    assert settle(model, "b", x="ab").repeats_from == 0


def test_settling_refuses_what_it_cannot_do() -> None:
    with pytest.raises(SettlingBudgetError):
        settle(EXAMPLES["parity"](), "")
    with pytest.raises(AbstractSsmError):
        settle(EXAMPLES["parity"](), "2")
    slow = one_entry([Fraction(4095, 4096)], [Fraction(1)], Fraction(0))
    ((fate,),) = settle(*slow, fractional_bits=20, budget=50).fates
    assert (fate.kind, str(fate)) == ("undecided", "undecided after n = 50")
    above = settle(EXAMPLES["dyck_1"](), "(").fates
    assert [[fate.kind for fate in layer] for layer in above] == [["grows"], ["undecided"]]


# -- the page --------------------------------------------------------------------------------------------------------


def test_the_table_of_the_docs_is_what_is_computed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    gate_table = import_module("gate_table")
    gate_table.main(["--check"])
    old = gate_table.PAGE.read_text(encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(old.replace("| Mamba | ", "| Momba | "), encoding="utf-8")
    with pytest.raises(SystemExit):
        gate_table.main(["--check", "--page", str(page)])
    gate_table.main(["--page", str(page)])
    assert page.read_text(encoding="utf-8") == old
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]
    with pytest.raises(SystemExit, match="two lines"):
        gate_table.split("nothing")


def test_sympy_is_not_imported_with_the_package() -> None:
    code = "import sys, scancraft; scancraft.parse_regex('(ab)*'); assert 'sympy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).resolve().parent.parent.parent)
