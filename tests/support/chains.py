"""From what the memories of a cascade hold to the state of the DFA."""

from __future__ import annotations

from collections.abc import Sequence

from scancraft.compiler.cascade.cascade import Cascade


def state_of(cascade: Cascade, heights: Sequence[int], held: Sequence[str]) -> int:
    """The state at the end of the chain of sets that memories name.

    A level without a memory has one tile, and so has a label that nothing reads: of labels that cannot be told apart at
    most one is a tile of the set. O(levels * tiles).

    Args:
        cascade: whose sets and tiles.
        heights: the level of each memory.
        held: what each holds: a label, or labels joined by " or ".
    """
    parts, current, by_height = cascade.parts, 0, dict(zip(heights, held, strict=True))
    for level in range(cascade.height, 0, -1):
        if parts.height[current] != level:
            continue
        tiles = parts.tiles[current]
        labels = [v for v in map(int, by_height.get(level, "0").split(" or ")) if v < len(tiles)]
        assert len(labels) == 1, f"level {level} holds {by_height.get(level)}, which is no tile, or several"
        current = tiles[labels[0]]
    (state,) = parts.members(current)
    return state
