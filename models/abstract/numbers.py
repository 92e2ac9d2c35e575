"""Expressions as functions of numbers: exactly over the rationals, or over torch tensors, from one traversal.

An expression is compiled once to nested closures over an *arithmetic*, which says what its operations mean. Evaluating
costs one operation per node of the expression.
"""

# sympy is annotated in part only.
# mypy: disable-error-code="misc, no-any-return, no-untyped-call"

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache, reduce
from typing import Any, Protocol

import sympy
import torch
from sympy import Expr, Symbol
from torch import Tensor

from .errors import AbstractSsmError, InexactError
from .functions import as_fraction, sigmoid, softplus

Program = Callable[[Mapping[Symbol, Any]], Any]
"""A compiled expression: from the values of its symbols to its value."""

RELATIONS: dict[type, Callable[[Any, Any], Any]] = {
    sympy.StrictGreaterThan: lambda a, b: a > b,
    sympy.GreaterThan: lambda a, b: a >= b,
    sympy.StrictLessThan: lambda a, b: a < b,
    sympy.LessThan: lambda a, b: a <= b,
    sympy.Equality: lambda a, b: a == b,
    sympy.Unequality: lambda a, b: a != b,
}


class Arithmetic(Protocol):
    """What the operations of an expression mean; values are of one type, conditions of another."""

    def __hash__(self) -> int:
        """Arithmetics are keys of a cache."""

    def constant(self, expression: Expr) -> Any:
        """A number."""

    def power(self, base: Any, exponent: Any) -> Any:
        """base ** exponent."""

    def apply(self, function: type, arguments: list[Any]) -> Any:
        """Any other function."""

    def choose(self, cases: Sequence[tuple[Program, Program]], values: Mapping[Symbol, Any]) -> Any:
        """The first value whose condition holds, of (value, condition) pairs."""

    def truth(self, value: bool) -> Any:
        """A constant condition."""

    def both(self, a: Any, b: Any) -> Any:
        """Conjunction."""

    def either(self, a: Any, b: Any) -> Any:
        """Disjunction."""

    def negate(self, a: Any) -> Any:
        """Negation."""


@lru_cache(maxsize=4096)
def compiled(expression: Any, arithmetic: Arithmetic) -> Program:
    """The expression as a function of its symbols' values. O(nodes), and each evaluation likewise.

    Raises:
        AbstractSsmError: it holds something that is neither an operation nor a number.
    """
    if isinstance(expression, Symbol):
        return lambda values: values[expression]
    if isinstance(expression, (sympy.logic.boolalg.BooleanTrue, sympy.logic.boolalg.BooleanFalse)):
        known = arithmetic.truth(bool(expression))
        return lambda values: known
    if isinstance(expression, Expr) and expression.is_number and expression.is_Atom:
        number = arithmetic.constant(expression)
        return lambda values: number
    if isinstance(expression, sympy.Piecewise):
        cases = [(compiled(v, arithmetic), compiled(c, arithmetic)) for v, c in expression.args]
        return lambda values: arithmetic.choose(cases, values)
    parts = [compiled(argument, arithmetic) for argument in expression.args]
    if isinstance(expression, sympy.Add):
        return lambda values: reduce(lambda a, b: a + b, [part(values) for part in parts])
    if isinstance(expression, sympy.Mul):
        return lambda values: reduce(lambda a, b: a * b, [part(values) for part in parts])
    if isinstance(expression, sympy.Pow):
        return lambda values: arithmetic.power(parts[0](values), parts[1](values))
    if type(expression) in RELATIONS:
        relation = RELATIONS[type(expression)]
        return lambda values: relation(parts[0](values), parts[1](values))
    if isinstance(expression, sympy.And):
        return lambda values: reduce(arithmetic.both, [part(values) for part in parts])
    if isinstance(expression, sympy.Or):
        return lambda values: reduce(arithmetic.either, [part(values) for part in parts])
    if isinstance(expression, sympy.Not):
        return lambda values: arithmetic.negate(parts[0](values))
    if isinstance(expression, sympy.core.function.Application):
        function = type(expression)
        return lambda values: arithmetic.apply(function, [part(values) for part in parts])
    raise AbstractSsmError(f"{expression} ({type(expression).__name__}) cannot be evaluated; write it by functions")


class Exact:
    """Arithmetic of ``fractions.Fraction``; what has no rational value raises :class:`InexactError`."""

    def constant(self, expression: Expr) -> Fraction:
        """A rational number."""
        if not expression.is_Rational:
            raise InexactError(f"{expression} is not a rational number; use exact numbers, or run the model in torch")
        return as_fraction(expression)

    def power(self, base: Fraction, exponent: Fraction) -> Fraction:
        """Integer powers, and roots that are rational."""
        if base == 0 and exponent < 0:
            raise InexactError(f"0 ** {exponent} is undefined; keep the denominator away from 0")
        if exponent.denominator == 1:
            return base ** int(exponent)
        return self.apply(sympy.Pow, [base, exponent])

    def apply(self, function: type, arguments: list[Fraction]) -> Fraction:
        """The usual piecewise linear functions directly; any other one where sympy finds a rational value."""
        direct = EXACT_FUNCTIONS.get(function)
        if direct is not None:
            return direct(*arguments)
        value = function(*(sympy.Rational(a.numerator, a.denominator) for a in arguments))
        if not value.is_Rational:
            raise InexactError(
                f"{function.__name__}({', '.join(map(str, arguments))}) is not a rational number; "
                "use functions that stay in the rationals there, or run the model in torch"
            )
        return as_fraction(value)

    def choose(self, cases: Sequence[tuple[Program, Program]], values: Mapping[Symbol, Any]) -> Fraction:
        """Evaluates the chosen value only."""
        for value, condition in cases:
            if condition(values):
                return value(values)
        raise InexactError("no case of a Piecewise holds; end it with a case for True")

    def truth(self, value: bool) -> bool:
        """The condition itself."""
        return value

    def both(self, a: bool, b: bool) -> bool:
        """Conjunction."""
        return a and b

    def either(self, a: bool, b: bool) -> bool:
        """Disjunction."""
        return a or b

    def negate(self, a: bool) -> bool:
        """Negation."""
        return not a


EXACT_FUNCTIONS: dict[type, Callable[..., Fraction]] = {
    sympy.Max: max,
    sympy.Min: min,
    sympy.Abs: abs,
    sympy.sign: lambda a: Fraction((a > 0) - (a < 0)),
    sympy.floor: lambda a: Fraction(math.floor(a)),
    sympy.ceiling: lambda a: Fraction(math.ceil(a)),
}


class InTorch:
    """Arithmetic of torch tensors; numbers become Python floats, which torch rounds to the tensors' dtype."""

    def constant(self, expression: Expr) -> float:
        """The nearest double."""
        return float(expression)

    def power(self, base: Any, exponent: Any) -> Any:
        """base ** exponent; an integer power of a negative base is fine."""
        if isinstance(exponent, float) and exponent == int(exponent):
            exponent = int(exponent)
        return base**exponent

    def apply(self, function: type, arguments: list[Any]) -> Any:
        """The torch function of that name."""
        known = TORCH_FUNCTIONS.get(function)
        if known is None:
            raise AbstractSsmError(f"{function.__name__} has no torch function here; write it by others")
        like = next((a for a in arguments if isinstance(a, Tensor)), torch.zeros((), dtype=torch.float64))
        tensors = [torch.as_tensor(a, dtype=like.dtype, device=like.device) for a in arguments]
        # Max and Min take any number of arguments in sympy, two in torch.
        return reduce(known, tensors) if len(tensors) > 1 else known(tensors[0])

    def choose(self, cases: Sequence[tuple[Program, Program]], values: Mapping[Symbol, Any]) -> Any:
        """Every case, then ``torch.where``; NaN where none holds."""
        like = next(v for v in values.values() if isinstance(v, Tensor))
        out = torch.full_like(like, math.nan)
        for value, condition in reversed(cases):
            chosen = torch.as_tensor(value(values), dtype=like.dtype, device=like.device)
            out = torch.where(torch.as_tensor(condition(values), device=like.device), chosen, out)
        return out

    def truth(self, value: bool) -> Tensor:
        """A tensor without axes."""
        return torch.tensor(value)

    def both(self, a: Any, b: Any) -> Any:
        """Conjunction."""
        return a & b

    def either(self, a: Any, b: Any) -> Any:
        """Disjunction."""
        return a | b

    def negate(self, a: Any) -> Any:
        """Negation."""
        return torch.logical_not(torch.as_tensor(a))


TORCH_FUNCTIONS: dict[type, Callable[..., Tensor]] = {
    sympy.Max: torch.maximum,
    sympy.Min: torch.minimum,
    sympy.Mod: torch.remainder,
    sympy.Abs: torch.abs,
    sympy.sign: torch.sign,
    sympy.floor: torch.floor,
    sympy.ceiling: torch.ceil,
    sympy.exp: torch.exp,
    sympy.log: torch.log,
    sympy.tanh: torch.tanh,
    sympy.sinh: torch.sinh,
    sympy.cosh: torch.cosh,
    sympy.sin: torch.sin,
    sympy.cos: torch.cos,
    sympy.atan: torch.atan,
    sympy.erf: torch.erf,
    sigmoid: torch.sigmoid,
    softplus: torch.nn.functional.softplus,
}

EXACT = Exact()
TORCH = InTorch()


def rounded(value: Fraction, fractional_bits: int | None) -> Fraction:
    """The nearest multiple of 2^-p, the larger one of two; the value itself if p is None.

    A monotone map, and one that commutes with adding multiples of 2^-p.
    """
    if fractional_bits is None:
        return value
    scale = 1 << fractional_bits
    return Fraction(math.floor(value * scale + Fraction(1, 2)), scale)


def rounded_tensor(value: Tensor, fractional_bits: int | None) -> Tensor:
    """:func:`rounded`, elementwise, as far as the dtype holds the numbers."""
    if fractional_bits is None:
        return value
    scale = 2.0**fractional_bits
    return torch.floor(value * scale + 0.5) / scale
