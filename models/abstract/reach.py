"""What inputs the layers of an abstract SSM can see: by walking its states, and by bounds on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce

from sympy import Symbol

from .enclosures import enclosure
from .errors import InexactError
from .functions import inputs, states
from .intervals import REALS, Interval, point
from .search import value_at
from .ssm import AbstractSsm, SsmLayer, Vector

Word = tuple[str, ...]
Step = Callable[[SsmLayer, Vector, Vector], tuple[Vector, Vector]]

SYMBOLIC_STATES = 40
"""States followed symbolically where they are not rational."""

WIDENINGS = 40
"""Rounds before the bound on a state is taken from its contraction, or given up."""


@dataclass(frozen=True)
class Seen:
    """Inputs of each layer, each with the first word whose last symbol brought it about.

    Attributes:
        inputs: for each layer.
        complete: whether no other input can occur.
        positions: states of the whole model that were visited.
    """

    inputs: tuple[dict[Vector, Word], ...]
    complete: bool
    positions: int


def walk(model: AbstractSsm, budget: int) -> Seen:
    """Breadth first over the states that words lead to; exact. O(budget * symbols) steps of the model.

    Where the states leave the rationals, SYMBOLIC_STATES of them are followed as constants such as exp(-1) + 1.
    """
    try:
        return _walk(model, budget, SsmLayer.step)
    except InexactError:
        return _walk(model, SYMBOLIC_STATES, _symbolic_step)


def _walk(model: AbstractSsm, budget: int, step: Step) -> Seen:
    seen: tuple[dict[Vector, Word], ...] = tuple({} for _ in model.layers)

    def go(state: tuple[Vector, ...], x: Vector, word: Word) -> tuple[Vector, ...]:
        after = []
        for met, layer, h in zip(seen, model.layers, state, strict=True):
            met.setdefault(x, word)
            new, x = step(layer, h, x)
            after.append(new)
        return tuple(after)

    first = tuple(layer.initial for layer in model.layers)
    if model.start is not None:
        first = go(first, model.start, ())
    reached: dict[tuple[Vector, ...], Word] = {first: ()}
    queue, complete = [first], True
    for state in queue:
        for symbol, x in model.embedding.items():
            word = (*reached[state], symbol)
            new = go(state, x, word)
            if new not in reached:
                complete = complete and len(reached) < budget
                if complete:
                    reached[new] = word
                    queue.append(new)
    return Seen(seen, complete, len(reached))


def _symbolic_step(layer: SsmLayer, h: Vector, x: Vector) -> tuple[Vector, Vector]:
    at = dict(zip(inputs(layer.inputs), x, strict=True))
    steps = zip(layer.gate, layer.write, h, strict=True)
    after = tuple(value_at(a, at) * old + value_at(b, at) for a, b, old in steps)
    at |= dict(zip(states(layer.size), after, strict=True))
    return after, tuple(value_at(e, at) for e in layer.output)


def bounds(model: AbstractSsm) -> list[list[Interval]]:
    """For each layer an interval for every entry of its input, over all words. O(layers * WIDENINGS) enclosures.

    By induction over layers and time: an interval that holds h_0 and is mapped into itself by every step holds every
    h_t.
    """
    options = [[point(v) for v in vector] for vector in model.vectors(model.alphabet)]
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
