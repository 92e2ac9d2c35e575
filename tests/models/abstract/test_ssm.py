"""The abstract SSM, run exactly and in torch. Ground truth: DFAs, and sums written out here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice, product
from typing import Any

import pytest
import sympy
import torch
from expressions import EXAMPLES, RATIONALS, formulas, samples
from hypothesis import given, settings
from hypothesis import strategies as st

from scancraft.automata.dfa import Dfa
from scancraft.automata.families import flip_flop, parity
from scancraft.models.abstract.errors import AbstractSsmError, InexactError
from scancraft.models.abstract.model_properties import properties
from scancraft.models.abstract.numbers import TORCH, rounded
from scancraft.models.abstract.ssm import (
    AbstractSsm,
    Position,
    SsmLayer,
    inputs,
    outputs,
    sigmoid,
    states,
)


def words(alphabet: Sequence[str], longest: int) -> Iterator[tuple[str, ...]]:
    for length in range(longest + 1):
        yield from product(alphabet, repeat=length)


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


def balanced(word: Sequence[str]) -> bool:
    depths = [word[:n].count("(") - word[:n].count(")") for n in range(len(word) + 1)]
    return min(depths) >= 0 and depths[-1] == 0


def test_dyck_1_by_a_counter() -> None:
    model = EXAMPLES["dyck_1"]()
    for word in words("()", 8):
        position = model.run(word)
        assert model.accepted_at(position) == balanced(word)
        depths = [word[:n].count("(") - word[:n].count(")") for n in range(len(word) + 1)]
        alive = min(depths) >= 0
        assert model.allowed_at(position) == {*("(" * alive), *(")" * (alive and depths[-1] > 0))}


def test_a_n_b_n_by_a_counter() -> None:
    model = EXAMPLES["a_n_b_n"]()
    for word in words("ab", 8):
        half = len(word) // 2
        assert model.accepts(word) == (len(word) % 2 == 0 and word == ("a",) * half + ("b",) * half)
    assert model.accepts("a" * 100 + "b" * 100)
    assert not model.accepts("a" * 100 + "b" * 99)


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
    """A batch of all words of length 4; the entries of inputs and states are tensors."""
    model = EXAMPLES[name]()
    batch = list(product(model.alphabet, repeat=4))[:100]

    def columns(rows: Sequence[Sequence[Fraction]]) -> tuple[torch.Tensor, ...]:
        return tuple(torch.tensor([float(v) for v in column], dtype=dtype) for column in zip(*rows, strict=True))

    now = Position(tuple(columns([layer.initial] * len(batch)) for layer in model.layers), None)
    for row in zip(*(model.vectors(word) for word in batch), strict=True):
        now = model.feed(now, columns(row), bits, TORCH)
    for i, word in enumerate(batch):
        expected = model.run(word, bits)
        for found, exactly in zip((now.output, *now.states), (expected.output, *expected.states), strict=True):
            assert found is not None
            assert exactly is not None
            assert [float(torch.as_tensor(v).expand(len(batch))[i]) for v in found] == [float(v) for v in exactly]


def wide(value: Fraction) -> torch.Tensor:
    return torch.tensor(float(value), dtype=torch.float64)


@given(st.data(), RATIONALS, RATIONALS)
@settings(max_examples=30, deadline=None)
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
    in_torch, _ = layer.step(tuple(map(wide, (before,))), (wide(value),), arithmetic=TORCH)
    assert float(in_torch[0]) == pytest.approx(float(after), rel=1e-9, abs=1e-9)


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


def test_models_are_printed() -> None:
    model = EXAMPLES["parity"]()
    assert "h0 <- (1 - 2*x0) h0 + 0    (at first 1)" in str(model)
    assert "accept iff z0 > 0" in str(model)


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
    assert rounded(tensor, bits).item() == float(rounded(dyadic, bits))
