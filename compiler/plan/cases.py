"""Cases: functions of letters and labels as decision diagrams, whose ways to true are events that exclude each other.

A variable is what a literal of an event is about: the letter some steps back ("", back), or what a memory holds after
this letter or before it (name, back). Letters come first. A literal that looks back has to hold inside the word
only, so that each way that looks back asks for the letters since.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from ...automata.diagrams import Diagrams
from .plan import Event, Holds, Letter

Variable = tuple[str, int]


class Cases(Diagrams[Variable]):
    """Diagrams over letters and labels of memories."""

    def disjoint(self, of: int) -> Iterator[Event]:
        """The ways to true, each as an event."""
        for way in self.events(of):
            yield tuple(
                Holds(name, cast(frozenset[int], values), back) if name else Letter(cast(frozenset[str], values), back)
                for (name, back), values in way
            )
