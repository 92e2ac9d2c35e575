"""Random expressions and abstract SSMs, examples by name, values by mpmath, for the tests of models/abstract."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import mpmath
import sympy
from hypothesis import strategies as st

from scancraft.models.abstract.examples import a_n_b_n, counter_modulo, dyck_1, flip_flop, halving, parity
from scancraft.models.abstract.ssm import AbstractSsm, SsmLayer, inputs, outputs, sigmoid, softplus, states

EXAMPLES = {make.__name__: make for make in (flip_flop, parity, dyck_1, a_n_b_n, halving, counter_modulo)}

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


@st.composite
def small_models(draw: st.DrawFn) -> AbstractSsm:
    """Random stacks over two symbols, with bounded outputs, whose gates are polynomials in a bounded input."""
    (x0,), (h0,) = inputs(1), states(1)
    number = st.integers(-2, 2)
    stack = []
    for _ in range(2):
        a, b, c, e = draw(st.integers(-1, 1)), draw(st.integers(-1, 1)), draw(number), draw(number)
        output = sympy.Max(-1, sympy.Min(1, draw(number) * h0 + draw(number) * x0 + draw(number)))
        stack.append(SsmLayer(1, (a + b * x0,), (c + e * x0,), (output,), (draw(number),)))
    return AbstractSsm({"a": (0,), "b": (1,)}, tuple(stack), accept=outputs(1)[0])


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


def samples(
    model: AbstractSsm, w: Sequence[str], x: Sequence[str] = (), fractional_bits: int | None = None
) -> Iterator[tuple[tuple[Any, ...], ...]]:
    """The states of all layers after x, x w, x w w, ...; without end."""
    position = model.run(x, fractional_bits)
    while True:
        yield position.states
        for symbol in w:
            position = model.step(position, symbol, fractional_bits)
