"""Expressions as functions of numbers: of rationals, torch tensors or intervals, from one traversal.

An expression is compiled once to nested closures over an *arithmetic*, which says what its operations mean. Evaluating
costs one operation per node of the expression.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, reduce
from typing import Any

import sympy
import torch
from sympy import Expr, Symbol
from torch import Tensor

from .errors import AbstractSsmError, InexactError
from .functions import as_fraction, sigmoid, softplus

Program = Callable[[Mapping[Symbol, Any]], Any]
"""A compiled expression: from the values of its symbols to its value."""

Cases = Sequence[tuple[Program, Program]]
"""A Piecewise: (value, condition) in order."""

RELATIONS: dict[type, Callable[[Any, Any], Any]] = {
    sympy.StrictGreaterThan: lambda a, b: a > b,
    sympy.GreaterThan: lambda a, b: a >= b,
    sympy.StrictLessThan: lambda a, b: a < b,
    sympy.LessThan: lambda a, b: a <= b,
    sympy.Equality: lambda a, b: a == b,
    sympy.Unequality: lambda a, b: a != b,
    sympy.And: lambda a, b: a & b,
    sympy.Or: lambda a, b: a | b,
}


@dataclass(frozen=True)
class Arithmetic:
    """What the operations of an expression mean; sums, products, comparisons and conditions are Python's operators.

    Attributes:
        constant: the value of a number.
        power: base and exponent to a value.
        apply: any other function, its arguments to a value.
        choose: the first value whose condition holds.
    """

    constant: Callable[[Expr], Any]
    power: Callable[[Any, Any], Any]
    apply: Callable[[type, list[Any]], Any]
    choose: Callable[[Cases, Mapping[Symbol, Any]], Any]


@lru_cache(maxsize=4096)
def compiled(expression: Any, arithmetic: Arithmetic) -> Program:
    """The expression as a function of its symbols' values. O(nodes), and each evaluation likewise.

    Raises:
        AbstractSsmError: it holds something that is neither an operation nor a number.
    """
    if isinstance(expression, Symbol):
        return lambda values: values[expression]
    if expression in (sympy.true, sympy.false):
        known = bool(expression)
        return lambda values: known
    if isinstance(expression, Expr) and expression.is_number and expression.is_Atom:
        number = arithmetic.constant(expression)
        return lambda values: number
    if isinstance(expression, sympy.Piecewise):
        cases = [(compiled(v, arithmetic), compiled(c, arithmetic)) for v, c in expression.args]
        return lambda values: arithmetic.choose(cases, values)
    kind, parts = type(expression), [compiled(argument, arithmetic) for argument in expression.args]
    if isinstance(expression, sympy.Add):
        return lambda values: reduce(lambda a, b: a + b, [part(values) for part in parts])
    if isinstance(expression, sympy.Mul):
        return lambda values: reduce(lambda a, b: a * b, [part(values) for part in parts])
    if isinstance(expression, sympy.Pow):
        return lambda values: arithmetic.power(parts[0](values), parts[1](values))
    if kind in RELATIONS:
        return lambda values: reduce(RELATIONS[kind], [part(values) for part in parts])
    if isinstance(expression, sympy.Not):
        return lambda values: parts[0](values) ^ True
    if isinstance(expression, sympy.core.function.Application):
        return lambda values: arithmetic.apply(kind, [part(values) for part in parts])
    raise AbstractSsmError(f"{expression} ({kind.__name__}) cannot be evaluated; write it by functions")


# -- rationals -------------------------------------------------------------------------------------------------------


def _exact_constant(expression: Expr) -> Fraction:
    if not expression.is_Rational:
        raise InexactError(f"{expression} is not a rational number; use exact numbers, or run the model in torch")
    return as_fraction(expression)


def _exact_power(base: Fraction, exponent: Fraction) -> Fraction:
    if base == 0 and exponent < 0:
        raise InexactError(f"0 ** {exponent} is undefined; keep the denominator away from 0")
    return base ** int(exponent) if exponent.denominator == 1 else _exact_apply(sympy.Pow, [base, exponent])


def _exact_apply(function: type, arguments: list[Fraction]) -> Fraction:
    """Any function where sympy finds a rational value; the common piecewise linear ones directly."""
    if function in (sympy.Max, sympy.Min):
        return max(arguments) if function is sympy.Max else min(arguments)
    value = function(*(sympy.Rational(a.numerator, a.denominator) for a in arguments))
    if not value.is_Rational:
        raise InexactError(
            f"{function.__name__}({', '.join(map(str, arguments))}) is not a rational number; "
            "use functions that stay in the rationals there, or run the model in torch"
        )
    return as_fraction(value)


def _exact_choose(cases: Cases, values: Mapping[Symbol, Any]) -> Fraction:
    for value, condition in cases:
        if condition(values):
            return value(values)
    raise InexactError("no case of a Piecewise holds; end it with a case for True")


EXACT = Arithmetic(_exact_constant, _exact_power, _exact_apply, _exact_choose)
"""``fractions.Fraction``; what has no rational value raises :class:`InexactError`."""


# -- torch -----------------------------------------------------------------------------------------------------------


def _torch_power(base: Any, exponent: Any) -> Any:
    # An integer power of a negative base is fine.
    return base ** (int(exponent) if isinstance(exponent, float) and exponent == int(exponent) else exponent)


def _torch_apply(function: type, arguments: list[Any]) -> Any:
    known = TORCH_FUNCTIONS.get(function)
    if known is None:
        raise AbstractSsmError(f"{function.__name__} has no torch function here; write it by others")
    like = next((a for a in arguments if isinstance(a, Tensor)), torch.zeros((), dtype=torch.float64))
    tensors = [torch.as_tensor(a, dtype=like.dtype, device=like.device) for a in arguments]
    # Max and Min take any number of arguments in sympy, two in torch.
    return reduce(known, tensors) if len(tensors) > 1 else known(tensors[0])


def _torch_choose(cases: Cases, values: Mapping[Symbol, Any]) -> Any:
    """Every case, then ``torch.where``; NaN where none holds."""
    like = next(v for v in values.values() if isinstance(v, Tensor))
    out = torch.full_like(like, math.nan)
    for value, condition in reversed(cases):
        chosen = torch.as_tensor(value(values), dtype=like.dtype, device=like.device)
        out = torch.where(torch.as_tensor(condition(values), device=like.device), chosen, out)
    return out


TORCH_FUNCTIONS: dict[type, Callable[..., Tensor]] = {
    **{sympy.Max: torch.maximum, sympy.Min: torch.minimum, sympy.Mod: torch.remainder, sympy.Abs: torch.abs},
    **{sympy.sign: torch.sign, sympy.floor: torch.floor, sympy.ceiling: torch.ceil, sympy.exp: torch.exp},
    **{sympy.log: torch.log, sympy.tanh: torch.tanh, sympy.sinh: torch.sinh, sympy.cosh: torch.cosh},
    **{sympy.sin: torch.sin, sympy.cos: torch.cos, sympy.atan: torch.atan, sympy.erf: torch.erf},
    **{sigmoid: torch.sigmoid, softplus: torch.nn.functional.softplus},
}

TORCH = Arithmetic(float, _torch_power, _torch_apply, _torch_choose)
"""Tensors; numbers become Python floats, which torch rounds to the tensors' dtype."""


def rounded(value: Any, fractional_bits: int | None) -> Any:
    """The nearest multiple of 2^-p, the larger one of two; the value itself if p is None.

    A monotone map, and one that commutes with adding multiples of 2^-p. Of a Fraction exactly; of a tensor elementwise,
    as far as its dtype holds the numbers.
    """
    if fractional_bits is None:
        return value
    if isinstance(value, Fraction):
        scale = 1 << fractional_bits
        return Fraction(math.floor(value * scale + Fraction(1, 2)), scale)
    return torch.floor(torch.as_tensor(value) * 2.0**fractional_bits + 0.5) / 2.0**fractional_bits
