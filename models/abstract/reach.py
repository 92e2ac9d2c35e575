"""What inputs the layers of an abstract SSM can see: by walking its states, and by bounds on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce

from .enclosures import Interval, enclosure
from .errors import InexactError
from .functions import inputs, states
from .search import value_at
from .ssm import AbstractSsm, SsmLayer, Vector

Word = tuple[str, ...]
Step = Callable[[SsmLayer, Vector, Vector], tuple[Vector, Vector]]

SYMBOLIC_STATES = 16
"""States followed symbolically where they are not rational."""


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
    """For each layer an interval for every entry of its input, over all words. O(layers * symbols) enclosures.

    States are taken as any real numbers, so that only outputs which phi bounds are bounded.
    """
    options = [[_point(v) for v in vector] for vector in model.vectors(model.alphabet)]
    found = []
    for layer in model.layers:
        found.append([reduce(Interval.hull, column) for column in zip(*options, strict=True)] if options[0] else [])
        boxes = [dict(zip(inputs(layer.inputs), option, strict=True)) for option in options]
        # One box from here on: which symbol goes with which output is forgotten.
        options = [[reduce(Interval.hull, (enclosure(e, box) for box in boxes)) for e in layer.output]]
    return found


def _point(value: Fraction) -> Interval:
    return Interval(value, value)
