"""The abstract state-space model of the theory, as an executable reference.

    h_t = A(x_t) * h_{t-1} + B(x_t)          (elementwise)
    z_t = phi(h_t, x_t)

Layers of this form are stacked over an embedding of the symbols, with a read-out on top (Sarrof, Veitsman and Hahn
2024, arXiv 2405.17394, section 2). A, B and phi are sympy expressions, so a model can be printed, run over the
rationals with every intermediate number exact, run on batches in torch (:mod:`.numbers`), and looked at
symbolically (:mod:`.properties`).

The theorems of the paper take phi to be a normalisation and a gated linear map. Here phi may be any expression, which
is more: with ``Mod``, a counter alone tells even from odd.

>>> (x,), (h,), (z,) = inputs(1), states(1), outputs(1)
>>> layer = SsmLayer(inputs=1, gate=(1 - 2 * x,), write=(0,), output=(h,), initial=(1,))
>>> parity = AbstractSsm(embedding={"0": (0,), "1": (1,)}, layers=(layer,), accept=z)
>>> parity.accepts("0110"), parity.accepts("10")
(True, False)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import sympy
from sympy import Expr, Symbol

from .errors import AbstractSsmError
from .functions import Number, exact, indicator, inputs, only, outputs, rational, sigmoid, softplus, states
from .numbers import EXACT, Arithmetic, compiled, rounded

__all__ = [
    "AbstractSsm",
    "Position",
    "SsmLayer",
    "indicator",
    "inputs",
    "outputs",
    "sigmoid",
    "softplus",
    "states",
]

Vector = tuple[Any, ...]
"""Entries of an input or a state: Fractions, or numbers of another arithmetic."""


@dataclass(frozen=True)
class SsmLayer:
    """One layer: h_t = A(x_t) * h_{t-1} + B(x_t), z_t = phi(h_t, x_t).

    Args:
        inputs: length of x_t; the expressions call its entries x0, x1, ... (:func:`inputs`).
        gate: A, one expression in x per entry of the state.
        write: B, likewise.
        output: phi, one expression in x and h (:func:`states`; h is the state after the step) per entry of z_t.
        initial: h_0, numbers that become Fractions; zeros if left out.

    Raises:
        AbstractSsmError: the lengths differ, or an expression has a float, a complex number or a symbol it may not use.
    """

    inputs: int
    gate: tuple[Expr, ...]
    write: tuple[Expr, ...]
    output: tuple[Expr, ...]
    initial: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        x, h = inputs(self.inputs), states(len(self.gate))
        for name, symbols in (("gate", x), ("write", x), ("output", (*x, *h))):
            given = getattr(self, name)
            checked = tuple(_real(only(exact(e, f"{name}[{i}]"), symbols, name), name) for i, e in enumerate(given))
            object.__setattr__(self, name, checked)
        if not self.initial:
            object.__setattr__(self, "initial", (0,) * len(self.gate))
        object.__setattr__(self, "initial", tuple(rational(v, f"initial[{i}]") for i, v in enumerate(self.initial)))
        if not self.gate or not self.output:
            raise AbstractSsmError("a layer needs at least one entry of state and one output")
        if not len(self.gate) == len(self.write) == len(self.initial):
            raise AbstractSsmError(
                f"a layer has {len(self.gate)} gates, {len(self.write)} writes and {len(self.initial)} initial values; "
                "give one of each per entry of the state"
            )

    @property
    def size(self) -> int:
        """Entries of the state."""
        return len(self.gate)

    def step(
        self, state: Vector, x: Vector, fractional_bits: int | None = None, arithmetic: Arithmetic = EXACT
    ) -> tuple[Vector, Vector]:
        """The state and the output after one more input. O(nodes of the expressions) operations.

        Args:
            state: h_{t-1}.
            x: x_t.
            fractional_bits: round A, B, h_t and z_t to this many; None for no rounding.
            arithmetic: of the values; exact if left out.

        Raises:
            InexactError: a value is not rational.
        """
        at = dict(zip(inputs(self.inputs), x, strict=True))

        def values(expressions: tuple[Expr, ...]) -> list[Any]:
            return [rounded(compiled(e, arithmetic)(at), fractional_bits) for e in expressions]

        steps = zip(values(self.gate), state, values(self.write), strict=True)
        after = tuple(rounded(g * h + w, fractional_bits) for g, h, w in steps)
        at |= dict(zip(states(self.size), after, strict=True))
        return after, tuple(values(self.output))

    def __str__(self) -> str:
        h = states(self.size)
        lines = [
            f"{h[i]} <- {_factor(a)} {h[i]} + {b}    (at first {start})"
            for i, (a, b, start) in enumerate(zip(self.gate, self.write, self.initial, strict=True))
        ]
        return "\n".join([*lines, *(f"output {i}: {e}" for i, e in enumerate(self.output))])


@dataclass(frozen=True)
class Position:
    """Where a run stands: the states of all layers, and the last layer's output (None before the first symbol)."""

    states: tuple[Vector, ...]
    output: Vector | None


@dataclass(frozen=True)
class AbstractSsm:
    """A stack of layers over an embedding, with read-outs in the last layer's output z (:func:`outputs`).

    Args:
        embedding: x_t of the first layer for each symbol, numbers that become Fractions; its keys are the alphabet.
        layers: at least one; each takes as many inputs as the one below has outputs.
        accept: a word is accepted iff this expression in z is positive after its last symbol (recognition).
        allowed: a symbol may come next iff its expression is positive (predictive modelling).
        start: the embedding of a symbol that precedes every word; None if there is none, and then nothing is said of
            the empty word.

    Raises:
        AbstractSsmError: sizes do not fit, or an expression uses other symbols than z.
    """

    embedding: Mapping[str, tuple[Any, ...]]
    layers: tuple[SsmLayer, ...]
    accept: Expr | None = None
    allowed: Mapping[str, Expr] = field(default_factory=dict)
    start: tuple[Any, ...] | None = None

    def __post_init__(self) -> None:
        if not self.layers or not self.embedding:
            raise AbstractSsmError("an abstract SSM needs at least one symbol and one layer")
        embedding = {s: _vector(v, f"the embedding of {s!r}") for s, v in self.embedding.items()}
        start = None if self.start is None else _vector(self.start, "the embedding of the start")
        object.__setattr__(self, "embedding", MappingProxyType(embedding))
        object.__setattr__(self, "start", start)
        object.__setattr__(self, "layers", tuple(self.layers))
        width = self.layers[0].inputs
        for name, vector in [*embedding.items(), *([] if start is None else [("the start", start)])]:
            if len(vector) != width:
                raise AbstractSsmError(
                    f"the embedding of {name!r} has {len(vector)} entries, the first layer takes {width}"
                )
        for number, (below, above) in enumerate(zip(self.layers, self.layers[1:], strict=False)):
            if len(below.output) != above.inputs:
                raise AbstractSsmError(
                    f"layer {number} has {len(below.output)} outputs, layer {number + 1} takes {above.inputs}"
                )
        z = outputs(len(self.layers[-1].output))
        if self.accept is not None:
            object.__setattr__(self, "accept", only(exact(self.accept, "accept"), z, "accept"))
        allowed = {s: only(exact(e, f"allowed[{s!r}]"), z, "allowed") for s, e in self.allowed.items()}
        object.__setattr__(self, "allowed", MappingProxyType(allowed))
        if stray := sorted(set(allowed) - set(embedding)):
            raise AbstractSsmError(f"allowed names {stray}, which have no embedding")

    @property
    def alphabet(self) -> tuple[str, ...]:
        """The symbols in the order of the embedding."""
        return tuple(self.embedding)

    def vectors(self, word: Iterable[str]) -> Iterator[Vector]:
        """What the first layer reads on a word: the start, if there is one, and the embeddings of its symbols.

        Raises:
            AbstractSsmError: a symbol has no embedding.
        """
        if self.start is not None:
            yield self.start
        for symbol in word:
            if symbol not in self.embedding:
                raise AbstractSsmError(
                    f"symbol {symbol!r} has no embedding; the model knows {', '.join(self.alphabet)}"
                )
            yield self.embedding[symbol]

    def run(self, word: Iterable[str], fractional_bits: int | None = None) -> Position:
        """After the last symbol of a word. O(nodes of all expressions) exact operations per symbol.

        Raises:
            AbstractSsmError: a symbol has no embedding.
            InexactError: a value is not rational.
        """
        position = Position(
            tuple(tuple(rounded(v, fractional_bits) for v in each.initial) for each in self.layers), None
        )
        for x in self.vectors(word):
            position = self.feed(position, x, fractional_bits)
        return position

    def begin(self, fractional_bits: int | None = None) -> Position:
        """Before the first symbol of a word (after the start symbol, if there is one)."""
        return self.run((), fractional_bits)

    def step(self, position: Position, symbol: str, fractional_bits: int | None = None) -> Position:
        """One more symbol; cost and errors as of :meth:`run`."""
        *_, x = self.vectors([symbol])
        return self.feed(position, x, fractional_bits)

    def feed(
        self, position: Position, x: Vector, fractional_bits: int | None = None, arithmetic: Arithmetic = EXACT
    ) -> Position:
        """One more input of the first layer, in any arithmetic; errors of :meth:`SsmLayer.step`."""
        after = []
        for layer, state in zip(self.layers, position.states, strict=True):
            new, x = layer.step(state, x, fractional_bits, arithmetic)
            after.append(new)
        return Position(tuple(after), x)

    def accepted_at(self, position: Position) -> bool:
        """Recognition: whether the word that led here is accepted.

        Raises:
            AbstractSsmError: the model has no such read-out, or nothing has been read.
        """
        if self.accept is None:
            raise AbstractSsmError("the model does not recognise; give it accept=...")
        return bool(compiled(self.accept, EXACT)(self._readable(position)) > 0)

    def allowed_at(self, position: Position) -> frozenset[str]:
        """Predictive modelling: the symbols that may come next. Errors as in :meth:`accepted_at`."""
        at = self._readable(position)
        return frozenset(s for s, e in self.allowed.items() if compiled(e, EXACT)(at) > 0)

    def accepts(self, word: Sequence[str], fractional_bits: int | None = None) -> bool:
        """Whether a word is accepted; errors of :meth:`step` and :meth:`accepted_at`."""
        return self.accepted_at(self.run(word, fractional_bits))

    def _readable(self, position: Position) -> dict[Symbol, Fraction]:
        if position.output is None:
            raise AbstractSsmError(
                "nothing has been read yet; give the model a start symbol to ask about the empty word"
            )
        return dict(zip(outputs(len(position.output)), position.output, strict=True))

    def __str__(self) -> str:
        lines = [f"{s} = ({', '.join(map(str, v))})" for s, v in self.embedding.items()]
        if self.start is not None:
            lines.append(f"start = ({', '.join(map(str, self.start))})")
        for number, layer in enumerate(self.layers):
            lines += [f"layer {number}", *(f"  {line}" for line in str(layer).splitlines())]
        if self.accept is not None:
            lines.append(f"accept iff {self.accept} > 0")
        return "\n".join([*lines, *(f"{s} may come next iff {e} > 0" for s, e in self.allowed.items())])


def _vector(values: Iterable[Number], what: str) -> Vector:
    return tuple(rational(v, what) for v in values)


def _real(expression: Expr, what: str) -> Expr:
    if expression.has(sympy.I):
        raise AbstractSsmError(f"{what}, {expression}, is complex; write a complex entry as two real ones")
    return expression


def _factor(expression: Expr) -> str:
    return f"({expression})" if expression.is_Add else str(expression)
