"""What pictures of a cascade show: the image sets by name and class, and all of it as SVG text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ...automata.pictures.layers import Box, layers_svg
from ...automata.pictures.names import edge_label, set_name, short_names, wrapped
from .holonomy import Holonomy


def parts_svg(parts: Holonomy, states: Sequence[str], alphabet: Sequence[str]) -> str | None:
    """The image sets, each in the row of its height, with an edge to each of its tiles.

    An edge has the tile's number, which is the value of the level's memory. Sets of one colour can reach each other;
    a block of tiles (docs/signed.md) has a dashed frame. None if there are too many to be read.

    Args:
        parts: the decomposition.
        states: names of the states.
        alphabet: names of the letters.
    """
    shown, kinds = lines_of_sets(parts, short_names(states)[0]), classes(parts)
    boxes = [
        Box(
            parts.height[p],
            tuple(shown[p].split("\n")),
            parts.name(p, states),
            {t: str(v) for v, t in enumerate(tiles)},
            kinds[p],
            p in parts.blocks,
        )
        for p, tiles in enumerate(parts.tiles)
    ]
    swaps = {level: f", {swap_label(parts, level, alphabet)}" for level in parts.swap_levels}
    rows = {level: f"level {level}{swaps.get(level, '')}" for level in range(parts.top, 0, -1)}
    return layers_svg(boxes, rows | {0: "states"}, f"image sets and tiles in {parts.top} levels", arrows=False)


def lines_of_sets(parts: Holonomy, states: Sequence[str]) -> list[str]:
    """Each image set as short states in braces, a block as its tiles, in lines that a box has room for."""
    return [
        wrapped("|".join(set_name(parts.members(t), states) for t in parts.leaves(p))) for p in range(len(parts.sets))
    ]


def classes(parts: Holonomy) -> list[int | None]:
    """For each set the number of its class of mutually reachable sets; None if it is alone."""
    members = Counter(parts.orbit)
    number = {orbit: i for i, orbit in enumerate(o for o in members if members[o] > 1)}
    return [number.get(orbit) for orbit in parts.orbit]


def swap_label(parts: Holonomy, level: int, alphabet: Sequence[str]) -> str:
    """Which letters swap the memory of a level, in some set or other."""
    letters = sorted({a for p, a in parts.turns if parts.height[p] == level})
    label = f"swapped by {edge_label([alphabet[a] for a in letters], alphabet)}"
    return label if len(label) <= 18 else f"swapped by {len(letters)}"
