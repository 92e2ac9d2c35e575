"""What inputs the layers of an abstract SSM can see: by walking its states, and by bounds on them."""

# sympy is annotated in part only.
# mypy: disable-error-code="misc, no-any-return, no-untyped-call"

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import reduce

import sympy
from sympy import Expr, Symbol

from .enclosures import enclosure
from .errors import InexactError
from .functions import inputs, states
from .intervals import REALS, Interval, point
from .search import value_at
from .ssm import AbstractSsm, SsmLayer, Vector

Word = tuple[str, ...]
Constants = tuple[Expr, ...]

SHORT_WORDS = 40
"""Words followed symbolically where states are not rational."""

WIDENINGS = 40
"""Rounds before the bound on a state is taken from its contraction, or given up."""


@dataclass
class Seen:
    """Inputs of each layer, each with the first word whose last symbol brought it about.

    Attributes:
        inputs: for each layer.
        complete: for each layer, whether no other input can occur.
        positions: states of the whole model that were visited.
    """

    inputs: list[dict[Constants, Word]]
    complete: list[bool]
    positions: int = 0
    inexact: bool = field(default=False)


def walk(model: AbstractSsm, budget: int) -> Seen:
    """Breadth first over the states that words lead to; exact. O(budget * symbols) steps of the model.

    The alphabet being finite, the inputs of the first layer are always complete; those of the others are if the walk
    ends within ``budget`` states and never leaves the rationals (if it does, SHORT_WORDS words are followed with
    symbolic constants instead).
    """
    seen = Seen([{} for _ in model.layers], [k == 0 for k in range(len(model.layers))])
    first = tuple(layer.initial for layer in model.layers)
    queue: deque[tuple[tuple[Vector, ...], Word]] = deque()
    visited = {first}
    ended = True

    def go(state: tuple[Vector, ...], x: Vector, word: Word) -> tuple[Vector, ...] | None:
        after = []
        for k, (layer, h) in enumerate(zip(model.layers, state, strict=True)):
            seen.inputs[k].setdefault(_constants(x), word)
            try:
                new, x = layer.step(h, x)
            except InexactError:
                seen.inexact = True
                return None
            after.append(new)
        return tuple(after)

    start: tuple[Vector, ...] | None = first
    if model.start is not None:
        start = go(first, model.start, ())
    if start is not None:
        visited.add(start)
        queue.append((start, ()))
    while queue:
        state, word = queue.popleft()
        for symbol, x in model.embedding.items():
            new = go(state, x, (*word, symbol))
            if new is not None and new not in visited:
                if len(visited) >= budget:
                    ended = False
                    continue
                visited.add(new)
                queue.append((new, (*word, symbol)))
    if seen.inexact:
        for vector in model.embedding.values():
            seen.inputs[0].setdefault(_constants(vector), ())
        _follow(model, seen)
    elif ended:
        seen.complete = [True] * len(model.layers)
    seen.positions = len(visited)
    return seen


def _constants(x: Vector) -> Constants:
    return tuple(sympy.Rational(v.numerator, v.denominator) for v in x)


def _follow(model: AbstractSsm, seen: Seen) -> None:
    """Short words with states as symbolic constants, such as exp(-1) + 1."""
    for word in _short_words(model.alphabet):
        vectors = (
            [model.embedding[s] for s in word]
            if model.start is None
            else [model.start, *map(model.embedding.__getitem__, word)]
        )
        state = [_constants(layer.initial) for layer in model.layers]
        for t, vector in enumerate(vectors):
            x = _constants(vector)
            for k, layer in enumerate(model.layers):
                read = t + 1 - (model.start is not None)
                seen.inputs[k].setdefault(x, word[:read])
                state[k], x = _symbolic_step(layer, state[k], x)


def _symbolic_step(layer: SsmLayer, h: Constants, x: Constants) -> tuple[Constants, Constants]:
    at: dict[Symbol, Expr] = dict(zip(inputs(layer.inputs), x, strict=True))
    after = tuple(value_at(a, at) * old + value_at(b, at) for a, b, old in zip(layer.gate, layer.write, h, strict=True))
    at |= dict(zip(states(layer.size), after, strict=True))
    return after, tuple(value_at(e, at) for e in layer.output)


def _short_words(alphabet: Sequence[str]) -> Iterator[Word]:
    """Every word, shortest first, up to SHORT_WORDS of them."""
    queue: deque[Word] = deque([()])
    for _ in range(SHORT_WORDS):
        word = queue.popleft()
        yield word
        queue.extend((*word, symbol) for symbol in alphabet)


def bounds(model: AbstractSsm) -> list[list[Interval]]:
    """For each layer an interval for every entry of its input, over all words. O(layers * WIDENINGS) enclosures.

    By induction over layers and time: an interval that holds h_0 and is mapped into itself by every step holds every
    h_t.
    """
    vectors = [*model.embedding.values(), *([] if model.start is None else [model.start])]
    options = [[point(v) for v in vector] for vector in vectors]
    found = []
    for layer in model.layers:
        found.append([reduce(Interval.hull, column) for column in zip(*options, strict=True)] if options[0] else [])
        outs: list[list[Interval]] = []
        state = [_state_bound(layer, i, options) for i in range(layer.size)]
        for option in options:
            box = _box(layer, option) | dict(zip(states(layer.size), state, strict=True))
            outs.append([enclosure(e, box) for e in layer.output])
        # One box from here on: which symbol goes with which state is forgotten.
        options = [[reduce(Interval.hull, column) for column in zip(*outs, strict=True)]]
    return found


def _box(layer: SsmLayer, option: Sequence[Interval]) -> dict[Symbol, Interval]:
    return dict(zip(inputs(layer.inputs), option, strict=True))


def _state_bound(layer: SsmLayer, entry: int, options: Sequence[Sequence[Interval]]) -> Interval:
    """An interval that holds one entry of the state for ever, if the input is one of the options at every step."""
    steps = [
        (enclosure(layer.gate[entry], _box(layer, o)), enclosure(layer.write[entry], _box(layer, o))) for o in options
    ]
    start = point(layer.initial[entry])

    def after(h: Interval) -> Interval:
        return reduce(Interval.hull, [start, *(a * h + b for a, b in steps)])

    h = start
    for _ in range(WIDENINGS):
        new = h.hull(after(h))
        if new == h:
            return h
        h = new
    for candidate in _wider(start, steps):
        if candidate.hull(after(candidate)) == candidate:
            return candidate
    return REALS


def _wider(start: Interval, steps: Sequence[tuple[Interval, Interval]]) -> Iterator[Interval]:
    """Candidates for an invariant: the ball of a contraction, and half lines."""
    gate, write = max(a.largest for a, _ in steps), max(b.largest for _, b in steps)
    if isinstance(gate, Fraction) and isinstance(write, Fraction) and gate < 1:
        radius = max(abs(Fraction(start.low)), write / (1 - gate))
        yield Interval(-radius, radius)
    zero = Fraction(0)
    yield Interval(min(Fraction(start.low), zero), REALS.high)
    yield Interval(REALS.low, max(Fraction(start.high), zero))
