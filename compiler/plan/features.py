"""The features that a plan's events are read from: letters now, letters before, and classes of labels of memories.

A memory is shown in one feature for each class of labels that events tell apart, but one: that one is what is left
where there is a letter and no other feature of the memory is 1. So a memory of two labels takes one feature. All forms
here are 0 or 1, and 0 where no letter is read (padding).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ...automata.alphabet import BOS
from ..circuits.forms import Form, plus
from ..circuits.levels import letter_feature
from .plan import Event, Holds, Letter, Memory, Plan


@dataclass(frozen=True)
class Shows:
    """A memory's labels in features.

    Attributes:
        rest: the labels that no feature shows.
        features: for each other class of labels the name of its feature.
    """

    rest: frozenset[int]
    features: Mapping[frozenset[int], str]


@dataclass(frozen=True)
class Features:
    """What is known in the residual stream.

    Attributes:
        alphabet: the symbols.
        earlier: for some steps back, at least 1, and sets of letters the feature that says that such a letter came
            then.
        shown: for some memories, and ``back`` = 0 (after this letter) or 1 (before it), their labels in features.
    """

    alphabet: tuple[str, ...]
    earlier: Mapping[tuple[int, frozenset[str]], str] = field(default_factory=dict)
    shown: Mapping[tuple[str, int], Shows] = field(default_factory=dict)

    @cached_property
    def letters(self) -> Mapping[str, str]:
        """The features of the present letter, with their symbols."""
        return {letter_feature(symbol): symbol for symbol in (*self.alphabet, BOS)}

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.letters, *self.earlier.values(), *(f for s in self.shown.values() for f in s.features.values()))

    def any_of(self, symbols: Iterable[str]) -> Form:
        """1 where the letter is one of these."""
        return {letter_feature(symbol): 1 for symbol in (*self.alphabet, BOS) if symbol in symbols}

    @cached_property
    def somewhere(self) -> Form:
        """1 at every letter, ``<bos>`` included."""
        return self.any_of((*self.alphabet, BOS))

    @cached_property
    def inside(self) -> Form:
        """1 at every letter but ``<bos>``."""
        return self.any_of(self.alphabet)

    def form(self, literal: Letter | Holds) -> Form:
        """A literal as a form; at ``<bos>`` one that looks back may say anything."""
        if isinstance(literal, Letter):
            if not literal.back:
                return self.any_of(literal.symbols)
            return {self.earlier[literal.back, literal.symbols]: 1}
        shows = self.shown[literal.memory, literal.back]
        if not shows.rest <= literal.labels:
            return {name: 1 for labels, name in shows.features.items() if labels <= literal.labels}
        others = {name: -1 for labels, name in shows.features.items() if not labels <= literal.labels}
        return plus(self.inside if literal.back else self.somewhere, others)

    def conjunction(self, event: Event) -> tuple[Form, int]:
        """A form and a bias whose sum is 1 where all literals hold, and at most 0 elsewhere."""
        if not event:
            return self.somewhere, 0
        return plus(*map(self.form, event)), 1 - len(event)


def classes(memory: Memory, asked: Iterable[frozenset[int]]) -> tuple[frozenset[int], ...]:
    """Labels that no one tells apart, together; the largest class first.

    >>> memory = Memory("m", {0: "", 1: "", 2: ""}, {0: (), 1: (), 2: ()})
    >>> [sorted(labels) for labels in classes(memory, [frozenset({1})])]
    [[0, 2], [1]]
    """
    asked = list(asked)
    found: dict[tuple[bool, ...], list[int]] = {}
    for label in sorted(memory.writes):
        found.setdefault(tuple(label in labels for labels in asked), []).append(label)
    return tuple(sorted(map(frozenset, found.values()), key=len, reverse=True))


def features_of(plan: Plan, looked_at: Sequence[Letter | Holds]) -> Features:
    """The features that these literals need."""
    asked: dict[tuple[str, int], list[frozenset[int]]] = {}
    earlier = {}
    for literal in looked_at:
        if isinstance(literal, Holds):
            asked.setdefault((literal.memory, literal.back), []).append(literal.labels)
        elif literal.back:
            earlier[literal.back, literal.symbols] = str(literal)
    shown = {}
    for memory in plan.memories:
        for back in (0, 1):
            rest, *others = classes(memory, asked.get((memory.name, back), ()))
            if others:
                shown[memory.name, back] = Shows(rest, {c: str(Holds(memory.name, c, back)) for c in others})
    return Features(plan.alphabet, earlier, shown)
