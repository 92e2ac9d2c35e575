"""Languages that count within bounds, over letters that step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from scancraft.automata.dfa import Dfa
from scancraft.automata.search import numbered

Place = tuple[int, ...]


def walking(steps: Mapping[str, Place], sizes: Place, accepts: Callable[[Place], bool]) -> Dfa:
    """Words along which every coordinate stays within 0..size, and that end where it is said.

    Args:
        steps: of each letter.
        sizes: of the box; words begin at its lowest corner.
        accepts: where they may end.
    """

    def after(place: Place | None) -> list[Place | None]:
        if place is None:
            return [None] * len(steps)
        moved = [tuple(x + d for x, d in zip(place, step, strict=True)) for step in steps.values()]
        return [p if all(0 <= x <= most for x, most in zip(p, sizes, strict=True)) else None for p in moved]

    start: Place | None = (0,) * len(sizes)
    places, table = numbered(start, after)
    return Dfa.from_table(tuple(steps), table, 0, [n for n, p in enumerate(places) if p is not None and accepts(p)])


def between(most: int, ends: Iterable[int]) -> Dfa:
    """One counter in 0..most, up and down; some of its values accept."""
    return walking({"a": (1,), "b": (-1,)}, (most,), lambda place: place[0] in set(ends))


def shuffled(*depths: int, diagonal: bool = False) -> Dfa:
    """D_n's over letters of their own, in any interleaving; with ``diagonal`` all equally deep at the end, not 0."""
    steps: dict[str, Place] = {}
    for n in range(len(depths)):
        for symbol, size in zip("abcdefgh"[2 * n : 2 * n + 2], (1, -1), strict=True):
            steps[symbol] = tuple(size * int(k == n) for k in range(len(depths)))
    return walking(steps, depths, lambda place: len(set(place)) == 1 if diagonal else not any(place))
