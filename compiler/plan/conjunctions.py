"""Which of many conjunctions hold, all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

Place = TypeVar("Place", bound=Hashable)


class Conjunctions(Generic[Place]):
    """Conjunctions of literals, each of which asks for some of the values that a place may have.

    For each place that any of them asks about, the conjunctions that a value meets are a mask, those included that ask
    nothing there. So it takes one look and one intersection per place, however many conjunctions there are.

    Args:
        asked: for each conjunction the values that it asks for, by place.
    """

    def __init__(self, asked: Sequence[Mapping[Place, Collection[Hashable]]]) -> None:
        self._all = (1 << len(asked)) - 1
        self._places: list[tuple[Place, dict[Hashable, int], int]] = []
        for place in dict.fromkeys(place for literals in asked for place in literals):
            silent = sum(1 << n for n, literals in enumerate(asked) if place not in literals)
            met: dict[Hashable, int] = {}
            for n, literals in enumerate(asked):
                for value in literals.get(place, ()):
                    met[value] = met.get(value, silent) | 1 << n
            self._places.append((place, met, silent))

    def holding(self, value_at: Callable[[Place], Hashable]) -> int:
        """Those that hold, as a mask. O(places)."""
        holding = self._all
        for place, met, silent in self._places:
            if not holding:
                break
            holding &= met.get(value_at(place), silent)
        return holding
