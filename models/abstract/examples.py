"""Constructions of the paper on the abstract SSM, over the rationals.

Each is a model that can be printed, run and looked at; the weights of real Mambas for the same languages are made by
``compiler/``, by other means (a Mamba has a convolution, and its gates are limited).
"""

from __future__ import annotations

import sympy
from sympy import Expr

from .ssm import AbstractSsm, SsmLayer, indicator, inputs, outputs, states


def flip_flop() -> AbstractSsm:
    """Theorem 1: two NONNEGATIVE layers that predictively model the flip-flop language, on prefixes of its words.

    Symbols: instructions w (write), r (read), i (ignore), each followed by a bit; the bit after r is the bit after
    the last w. The first layer remembers the last instruction (an instruction overwrites, a bit holds); with the bit
    that is read now, the second remembers the bit written last. x = (is w, is r, is i, is a bit, the bit).
    """
    x, h = inputs(5), states(3)
    writes = x[3] * h[0]  # a bit, and the instruction before it was w
    remember = SsmLayer(
        inputs=5,
        gate=(x[3],) * 3,
        write=(x[0], x[1], x[2]),
        output=(writes, x[4], x[1], x[0] + x[2], x[3], indicator(sympy.Eq(h[0] + h[1] + h[2], 0))),
    )
    y, g = inputs(6), states(2)
    # The second entry of its state says whether any bit has been written.
    store = SsmLayer(
        inputs=6,
        gate=(1 - y[0], 1 - y[0]),
        write=(y[0] * y[1], y[0]),
        output=(g[0], g[1], y[2], y[3], y[4], y[5]),
    )
    bit, written, reads, free, idle, empty = outputs(6)
    half = sympy.Rational(1, 2)
    due = reads + free  # an instruction has just been read
    return AbstractSsm(
        embedding={
            "w": (1, 0, 0, 0, 0),
            "r": (0, 1, 0, 0, 0),
            "i": (0, 0, 1, 0, 0),
            "0": (0, 0, 0, 1, 0),
            "1": (0, 0, 0, 1, 1),
        },
        layers=(remember, store),
        accept=idle + empty - half,
        allowed={
            "w": half - due,
            "r": half - due - (1 - written),
            "i": half - due - (1 - written),
            "0": free + reads * (1 - bit) - half,
            "1": free + reads * bit - half,
        },
        start=(0, 0, 0, 0, 0),
    )


def parity() -> AbstractSsm:
    """PARITY by one gate that is -1 on 1: the state is 1 after an even number of 1s and -1 after an odd one."""
    (x,), (h,), (z,) = inputs(1), states(1), outputs(1)
    layer = SsmLayer(inputs=1, gate=(1 - 2 * x,), write=(0,), output=(h,), initial=(1,))
    return AbstractSsm(
        {"0": (0,), "1": (1,)}, (layer,), accept=z, allowed={"0": sympy.Integer(1), "1": sympy.Integer(1)}, start=(0,)
    )


def dyck_1() -> AbstractSsm:
    """Theorem 5: Dyck-1 on every word, NONNEGATIVE: a counter (gate 1), and a count of its negative values."""
    (x,), (h,) = inputs(1), states(1)
    depth = SsmLayer(inputs=1, gate=(1,), write=(x,), output=(h,))
    error = SsmLayer(inputs=1, gate=(1,), write=(indicator(x < 0),), output=(x, h))
    d, wrong = outputs(2)
    return AbstractSsm(
        {"(": (1,), ")": (-1,)},
        (depth, error),
        accept=indicator(sympy.Eq(d, 0) & sympy.Eq(wrong, 0)),
        allowed={"(": 1 - wrong, ")": indicator((d > 0) & sympy.Eq(wrong, 0))},
        start=(0,),
    )


def a_n_b_n() -> AbstractSsm:
    """Theorem 5: a^n b^n on every word, NONNEGATIVE: a counter, a memory of having read b, and a count of errors."""
    a, b = inputs(2)
    n, after_b = states(2)
    count = SsmLayer(inputs=2, gate=(1, 1 - b), write=(a - b, b), output=(n, after_b * a))
    depth, late = inputs(2)
    (errors,) = states(1)
    wrong_now = indicator((depth < 0) | (late > 0))
    error = SsmLayer(inputs=2, gate=(1,), write=(wrong_now,), output=(depth, errors))
    d, wrong = outputs(2)
    return AbstractSsm(
        {"a": (1, 0), "b": (0, 1)},
        (count, error),
        accept=indicator(sympy.Eq(d, 0) & sympy.Eq(wrong, 0)),
        start=(0, 0),
    )


def halving() -> AbstractSsm:
    """What finite precision takes away: with gate 1/2, exact states on 1^n differ for all n; rounded ones do not."""
    (x,), (h,), (z,) = inputs(1), states(1), outputs(1)
    half = sympy.Rational(1, 2)
    layer = SsmLayer(inputs=1, gate=(1 - half * x,), write=(half * x,), output=(h,))
    return AbstractSsm({"0": (0,), "1": (1,)}, (layer,), accept=z - half)


def counter_modulo() -> AbstractSsm:
    """Why the theorems say what phi is: a NONNEGATIVE counter whose output is taken modulo 2 recognises PARITY.

    The paper's phi, a normalisation and a gated linear map, has no such function.
    """
    (x,), (h,), (z,) = inputs(1), states(1), outputs(1)
    even: Expr = sympy.Rational(1, 2) - sympy.Mod(h, 2)
    layer = SsmLayer(inputs=1, gate=(1,), write=(x,), output=(even,))
    return AbstractSsm({"0": (0,), "1": (1,)}, (layer,), accept=z, start=(0,))
