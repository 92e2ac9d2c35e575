"""Towers: the tiles of an image set, permuted by a group, as levels each of which one kind of memory can carry.

The loops of an orbit of image sets permute the labels of its tiles; each permutation that a letter does is an *event*.
A tower refines the choice of a tile: it is a rooted tree whose leaves name tiles, and on whose nodes the events act, so
that each event takes children of a node to children of its image, and a leaf that names tile v to one that names the
image of v. Several leaves may name one tile: a tower may remember more than the tile, such as the parity of the
events so far. At one level a letter permutes the children of a node: not at all (a choice), by exchanging two
(reflections), or in any way (a pipeline).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import networkx as nx

from ...automata.groups.stabiliser_chain import Perm

StageKind = Literal["choice", "reflections", "pipeline"]
KINDS = get_args(StageKind)


@dataclass(frozen=True)
class Stage:
    """What the nodes of one height have in common.

    Attributes:
        kind: how children are permuted.
        blocks: how many blocks of a circuit it takes.
        why: for people: what the children are, and why this way.
    """

    kind: StageKind
    blocks: int
    why: str


@dataclass(frozen=True)
class Tower:
    """A tree on which events act; node 0 is the root.

    Attributes:
        events: permutations of the tiles 0 .. n - 1.
        children: of each node its children, in the order of their labels; none of a leaf.
        tile: of each leaf the tile that it names; -1 for other nodes.
        rank: of each node its height: 0 for leaves, more than its children's for others.
        acts: for each event the image of each node.
        stages: of ranks 1, 2, ..., from below.
    """

    events: tuple[Perm, ...]
    children: tuple[tuple[int, ...], ...]
    tile: tuple[int, ...]
    rank: tuple[int, ...]
    acts: tuple[tuple[int, ...], ...]
    stages: tuple[Stage, ...]

    @property
    def height(self) -> int:
        """How many levels there are."""
        return self.rank[0]

    @cached_property
    def cost(self) -> tuple[int, int]:
        """Blocks of a circuit, and nodes."""
        return sum(stage.blocks for stage in self.stages), len(self.children)

    @cached_property
    def place(self) -> tuple[int, ...]:
        """The label of each node among its parent's children; 0 for the root."""
        place = [0] * len(self.children)
        for nodes in self.children:
            for label, node in enumerate(nodes):
                place[node] = label
        return tuple(place)

    def turn(self, event: int, node: int) -> Perm:
        """From each label of a node's children to that of the child's image under an event, given by number."""
        return tuple([self.place[self.acts[event][child]] for child in self.children[node]])

    def turns(self, rank: int) -> set[Perm]:
        """The permutations of labels that happen at one rank."""
        nodes = [node for node, r in enumerate(self.rank) if r == rank]
        return {self.turn(event, node) for event in range(len(self.events)) for node in nodes}

    @cached_property
    def classes(self) -> tuple[tuple[int, ...], ...]:
        """The inner nodes, those together that events take to each other."""
        graph = nx.Graph()
        graph.add_nodes_from(node for node, children in enumerate(self.children) if children)
        graph.add_edges_from([(node, act[node]) for act in self.acts for node in graph])
        return tuple(sorted(tuple(sorted(nodes)) for nodes in nx.connected_components(graph)))

    def leaves(self, node: int) -> tuple[int, ...]:
        """The tiles under a node, ascending."""
        found, stack = set[int](), [node]
        while stack:
            here = stack.pop()
            stack.extend(self.children[here])
            if not self.children[here]:
                found.add(self.tile[here])
        return tuple(sorted(found))

    def check(self) -> None:
        """Check that events act as the class says; everything a cascade relies on. O(events * nodes).

        Raises:
            AssertionError: they do not (a bug in the search).
        """
        for event, act in zip(self.events, self.acts, strict=True):
            assert sorted(act) == list(range(len(act))), "an event does not permute the nodes"
            assert act[0] == 0, "the root is moved"
            for node, children in enumerate(self.children):
                assert sorted(act[child] for child in children) == sorted(self.children[act[node]]), "children part"
                assert self.rank[act[node]] == self.rank[node], "a node is moved to another rank"
                if not children:
                    assert self.tile[act[node]] == event[self.tile[node]], "a leaf goes astray"
            assert self.leaves(0) == tuple(range(len(event))), "a tile has no leaf"


def single(n: int, events: Sequence[Perm], stage: Stage) -> Tower:
    """One level: the root's children are the tiles."""
    if n == 1:
        return Tower(tuple(events), ((),), (0,), (0,), ((0,),) * len(events), ())
    acts = tuple((0, *(i + 1 for i in event)) for event in events)
    children = (tuple(range(1, n + 1)), *[()] * n)
    return Tower(tuple(events), children, (-1, *range(n)), (1, *[0] * n), acts, (stage,))


Context = tuple[int, ...]
"""From the labels below a leaf of the upper tower to tiles."""


def stacked(
    events: Sequence[Perm],
    top: Tower,
    top_event: Sequence[int | None],
    contexts: Mapping[int, Context],
    build: Callable[[int, Sequence[Perm]], Tower],
) -> Tower:
    """A tower on a tower: in the place of each leaf of ``top`` stands a copy of a tower of the labels below.

    Args:
        events: permutations of tiles.
        top: the upper tower.
        top_event: for each event the number of the event that it is above; None where nothing changes there.
        contexts: for each name of a leaf of ``top`` what the labels below stand for. An event that takes name c to c'
            takes tiles of c to tiles of c'.
        build: makes the lower tower, from the number of labels and what happens to them.
    """
    width = len(next(iter(contexts.values())))
    back = {c: {tile: label for label, tile in enumerate(context)} for c, context in contexts.items()}

    def above(c: int, number: int) -> int:
        event = top_event[number]
        return c if event is None else top.events[event][c]

    below = {
        (c, number): tuple([back[above(c, number)][event[tile]] for tile in context])
        for c, context in contexts.items()
        for number, event in enumerate(events)
    }
    identity = tuple(range(width))
    happening = sorted(set(below.values()) - {identity})
    bottom = build(width, happening)
    act_of = dict(zip(bottom.events, bottom.acts, strict=True)) | {identity: tuple(range(len(bottom.children)))}

    inner = [node for node, children in enumerate(top.children) if children]
    places: list[tuple[int, int]] = [(node, -1) for node in inner]
    places += [(leaf, n) for leaf, c in enumerate(top.children) if not c for n in range(len(bottom.children))]
    places.sort(key=lambda place: place != ((0, -1) if top.children[0] else (0, 0)))  # the root first
    number_of = {place: number for number, place in enumerate(places)}

    def upper(node: int) -> int:
        return number_of[node, -1 if top.children[node] else 0]

    children, tile, rank = [], [], []
    for node, low in places:
        if low < 0:
            children.append(tuple(map(upper, top.children[node])))
            tile.append(-1)
            rank.append(top.rank[node] + bottom.height)
        else:
            children.append(tuple(number_of[node, child] for child in bottom.children[low]))
            tile.append(contexts[top.tile[node]][bottom.tile[low]] if not bottom.children[low] else -1)
            rank.append(bottom.rank[low])
    acts = []
    for number in range(len(events)):
        event = top_event[number]
        act = range(len(top.children)) if event is None else top.acts[event]
        acts.append(
            tuple(
                upper(act[node]) if low < 0 else number_of[act[node], act_of[below[top.tile[node], number]][low]]
                for node, low in places
            )
        )
    return Tower(tuple(events), tuple(children), tuple(tile), tuple(rank), tuple(acts), (*bottom.stages, *top.stages))


def together(
    n: int, events: Sequence[Perm], parts: Sequence[tuple[Sequence[int], Tower, Sequence[int | None]]]
) -> Tower:
    """Towers of sets of tiles that no event leaves, under a root that chooses between them.

    Args:
        n: how many tiles there are.
        events: permutations of them.
        parts: for each set its tiles, a tower of their positions, and for each event that of the tower (None: nothing).
    """
    children: list[tuple[int, ...]] = [()]
    tile, rank, offsets = [-1], [0], list[int]()
    for tiles, tower, _ in parts:
        offsets.append(len(children))
        children += [tuple(child + offsets[-1] for child in nodes) for nodes in tower.children]
        tile += [tiles[name] if name >= 0 else -1 for name in tower.tile]
        rank += tower.rank
    children[0] = tuple(offsets)
    rank[0] = 1 + max(rank)
    acts = []
    for number in range(len(events)):
        act = [0]
        for offset, (_, tower, events_of) in zip(offsets, parts, strict=True):
            event = events_of[number]
            act += [offset + node for node in (range(len(tower.children)) if event is None else tower.acts[event])]
        acts.append(tuple(act))
    tallest = [
        max((tower.stages[r] for _, tower, _ in parts if tower.height > r), key=lambda stage: KINDS.index(stage.kind))
        for r in range(rank[0] - 1)
    ]
    choice = Stage("choice", 1, f"the {len(parts)} sets of tiles that no letter leaves are told apart")
    return Tower(tuple(events), tuple(children), tuple(tile), tuple(rank), tuple(acts), (*tallest, choice))
