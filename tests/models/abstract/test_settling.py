"""The fate of x w^n. Ground truth: runs, and integer arithmetic written out here."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import islice
from typing import Any

import pytest
import sympy
from expressions import EXAMPLES, RATIONALS, samples, small_models
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scancraft.models.abstract.errors import AbstractSsmError
from scancraft.models.abstract.settling import SettlingBudgetError, settle
from scancraft.models.abstract.ssm import (
    AbstractSsm,
    SsmLayer,
    inputs,
    outputs,
    states,
)


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
@settings(max_examples=30, deadline=None)
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
@settings(max_examples=30, deadline=None)
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
@settings(max_examples=30, deadline=None)
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


@given(small_models(), st.sampled_from(["b", "ab", "aab"]), st.sampled_from(["", "a", "ba"]))
@settings(max_examples=30, deadline=None)
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
