"""What channels of a circuit remember: latches, registers of labels, counters.

A register's labels can change places, two at a time. A layer that multiplies its state with a reflection carries
that out (``compiler.targets.olmo_hybrid``): label i is a vector s_i = +-p_i, the p_i orthogonal and of one length, and
the reflection in p_i + p_j exchanges p_i with -p_j. So it exchanges s_i with s_j, and leaves the others alone, if the
two have opposite signs; and its key has no negative entry, if the p have none. :func:`signs` gives such signs wherever
there are some: pairs that form a tree (a star, a path) always have them, a triangle never.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import networkx as nx

Channels = Mapping[int, int]
"""A linear form over the x of channels of the same block, by their numbers."""

Pair = tuple[int, int]
"""Two labels that change places, the smaller one first."""


@dataclass(frozen=True)
class Latch:
    """A memory that is overwritten with d times the channel's own x when d >= 1, and held when d < 0.

    d = sum of ``fires[c]`` * x_c over channels of the block, + ``bias``; it must be odd or negative, never 0.

    Attributes:
        name: what is remembered; channels that remember the same have equal latches.
        fires: the form.
        bias: added to it.
    """

    name: str
    fires: Channels
    bias: int


@dataclass(frozen=True)
class Register:
    """The memory of a level of a cascade, or of a plan: it holds one of a few labels, or none before the first write.

    At each step a label is written, or two change places, or nothing happens.

    Attributes:
        name: what is remembered; no two of a circuit share one.
        writes: for each label that can be written a form that is 1 when it is, else 0; never are two 1 at once.
        swaps: for each pair of labels that can change places a form that is 1 when they do, else 0; never are two 1 at
            once, nor one where a label is written.
        meanings: of a plan's memory: what each label says, for people.
    """

    name: str
    writes: Mapping[int, Channels]
    swaps: Mapping[Pair, Channels] = field(default_factory=dict)
    meanings: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert all(0 <= i < j for i, j in self.swaps), "a pair of labels has the smaller one first"

    @property
    def labels(self) -> tuple[int, ...]:
        """The values that it can hold."""
        return tuple(sorted({*self.writes, *(label for pair in self.swaps for label in pair)}))

    @property
    def forms(self) -> tuple[Channels, ...]:
        """All that decides what happens to it."""
        return (*self.writes.values(), *self.swaps.values())

    def after(self, held: int | None, x: Sequence[int]) -> int | None:
        """What it holds after a step, from what it held (None: nothing yet) and the x of the block's channels."""
        written = [(label, times) for label, form in self.writes.items() if (times := total(form, x))]
        swapped = [(pair, times) for pair, form in self.swaps.items() if (times := total(form, x))]
        assert [times for _, times in written] in ([], [1]), "two labels are written, or one twice"
        assert [times for _, times in swapped] in ([], [1]), "two pairs change places, or one twice"
        assert not (written and swapped), "a label is written where two change places"
        if written:
            return written[0][0]
        if swapped and held is not None:
            (i, j), _ = swapped[0]
            return {i: j, j: i}.get(held, held)
        return held


def total(form: Channels, x: Sequence[int]) -> int:
    """A form's value."""
    return sum(weight * x[c] for c, weight in form.items())


def signs(labels: Iterable[int], pairs: Iterable[Pair]) -> dict[int, int] | None:
    """Signs of the labels, 1 or -1, such that the labels of each pair have opposite ones; None if there are none.

    The first label of each connected part has the sign 1. O(labels + pairs).

    >>> signs(range(4), [(0, 1), (0, 2), (2, 3)])
    {0: 1, 1: -1, 2: -1, 3: 1}
    >>> signs(range(3), [(0, 1), (1, 2), (0, 2)])
    """
    graph = nx.Graph()
    graph.add_nodes_from(sorted(labels))
    graph.add_edges_from(pairs)
    if not nx.is_bipartite(graph):
        return None
    colour = nx.bipartite.color(graph)  # 1 for the first of each part, but 0 for a label in no pair
    return {label: 1 if colour[label] or not graph.degree(label) else -1 for label in graph}


@dataclass(frozen=True)
class Shown:
    """What a channel sees of a register: 1 where it holds the label, else 0. The channel's x is 1, always."""

    register: Register
    label: int


@dataclass(frozen=True)
class Counter:
    """A memory that adds up ``add[c]`` * x_c, and begins anew at ``<bos>``, and perhaps elsewhere.

    Attributes:
        name: the feature that shows it.
        index: its number among the counters of the block; each takes one entry of d_state.
        letter: the channel with x = 1 where it does not begin anew.
        bos: the channel with x = 1 where it does.
        add: from channels of the block to amounts.
        initial: its value after ``<bos>``.
        anew: from channels to what more it begins with where x = 1: at a symbol other than ``<bos>``.
        others: from channels to what the other entries of d_state then hold, which is read along with the value.
    """

    name: str
    index: int
    letter: int
    bos: int
    add: Channels
    initial: int = 0
    others: Channels = field(default_factory=dict)
    anew: Channels = field(default_factory=dict)
