"""Symbols and functions of gate expressions, on top of sympy.

sympy takes about half a second to import; nothing that ``import scancraft`` loads imports this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, TypeAlias

import sympy
from sympy import Expr, Symbol

from .errors import AbstractSsmError

Number: TypeAlias = int | Fraction | Expr
"""What a coefficient may be given as; floats are not exact and are refused."""


def inputs(count: int) -> tuple[Symbol, ...]:
    """x0, x1, ...: the entries of the input x_t of a layer, real."""
    return tuple(Symbol(f"x{i}", real=True) for i in range(count))


def states(count: int) -> tuple[Symbol, ...]:
    """h0, h1, ...: the entries of the state h_t of a layer (after the step), real."""
    return tuple(Symbol(f"h{i}", real=True) for i in range(count))


def outputs(count: int) -> tuple[Symbol, ...]:
    """z0, z1, ...: the entries of the output of the last layer, which the read-out sees, real."""
    return tuple(Symbol(f"z{i}", real=True) for i in range(count))


class _Positive(sympy.Function):
    """A positive function of a real number, kept under its name so that formulas print as papers write them."""

    def elementary(self) -> Expr:
        """The same by exp and log."""
        raise NotImplementedError

    def _eval_evalf(self, prec: int) -> Any:
        return self.elementary()._eval_evalf(prec)

    def _eval_is_positive(self) -> bool | None:
        return True if self.args[0].is_real else None

    def _eval_is_real(self) -> bool | None:
        return self.args[0].is_real


class sigmoid(_Positive):  # noqa: N801 - printed in formulas under this name
    """1 / (1 + exp(-x))."""

    @classmethod
    def eval(cls, x: Any) -> Any:
        """Exact values."""
        return sympy.Rational(1, 2) if x.is_zero else None

    def elementary(self) -> Expr:
        """The same by exp."""
        return 1 / (1 + sympy.exp(-self.args[0]))


class softplus(_Positive):  # noqa: N801 - printed in formulas under this name
    """log(1 + exp(x))."""

    @classmethod
    def eval(cls, x: Any) -> Any:
        """Exact values."""
        return sympy.log(2) if x.is_zero else None

    def elementary(self) -> Expr:
        """The same by exp and log."""
        return sympy.log(1 + sympy.exp(self.args[0]))


def elementary(expression: Expr) -> Expr:
    """The expression with :class:`sigmoid` and :class:`softplus` written out by exp and log."""
    return expression.replace(lambda e: isinstance(e, _Positive), lambda e: e.elementary())


def indicator(condition: Any) -> Expr:
    """1 where a condition (a sympy relation) holds, else 0."""
    return sympy.Piecewise((sympy.Integer(1), condition), (sympy.Integer(0), True))


def exact(value: Number, what: str) -> Expr:
    """A number or expression as a sympy expression without floats.

    Raises:
        AbstractSsmError: it is something else, or holds a float.
    """
    if isinstance(value, bool) or not isinstance(value, (int, Fraction, Expr)):
        raise AbstractSsmError(f"{what} is {value!r}; give an int, a Fraction or a sympy expression")
    if isinstance(value, Fraction):
        return sympy.Rational(value.numerator, value.denominator)
    expression = sympy.sympify(value)
    if expression.has(sympy.Float):
        raise AbstractSsmError(f"{what} is {expression}, which holds a float; write it as a sympy Rational")
    return expression


def rational(value: Number, what: str) -> Fraction:
    """A number as a Fraction; :class:`AbstractSsmError` if it is none."""
    expression = exact(value, what)
    if not expression.is_Rational:
        raise AbstractSsmError(f"{what} is {expression}, which is not a rational number; give an int or a Fraction")
    return as_fraction(expression)


def as_fraction(number: Any) -> Fraction:
    """A sympy Rational as a Fraction."""
    return Fraction(int(number.p), int(number.q))


def only(expression: Expr, allowed: Sequence[Symbol], what: str) -> Expr:
    """The expression itself; :class:`AbstractSsmError` if it has other symbols than ``allowed``."""
    stray = sorted(str(s) for s in expression.free_symbols - set(allowed))
    if stray:
        names = ", ".join(map(str, allowed)) or "no symbols"
        raise AbstractSsmError(
            f"{what}, {expression}, uses {', '.join(stray)}; it may use {names} (as made by inputs, ...)"
        )
    return expression
