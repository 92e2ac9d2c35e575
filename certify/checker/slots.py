"""Bounded Dyck languages, method "slots": a block that counts the depth, and one that remembers the brackets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .argument import MOST_NUMBERS, Case, Count, Layer, Readouts, check_counting
from .arithmetic import LARGEST_SUM, exactly, hull
from .closure import Graph
from .parts import Bools, Floats, Ints, first, need

OPENING, CLOSING = 0, 1


class Inputs(NamedTuple):
    """What the slots block can read: (opening kind k, d = 1..h), (closing kind k, d = 0..h-1), then <bos>.

    Kinds vary fastest.
    """

    letter: Ints
    depth: Ints

    @staticmethod
    def of(kinds: int, depth: int) -> Inputs:
        """All of them."""
        kind, level = np.tile(np.arange(kinds), 2 * depth), np.repeat(np.arange(2 * depth), kinds)
        closes = level >= depth
        letter = np.append(2 * kind + closes, 2 * kinds)
        return Inputs(letter, np.append(np.where(closes, level - depth, level + 1), 0))


def check_slots(layers: list[Layer], readouts: Readouts, graph: Graph, vectors: Floats, kinds: int, depth: int) -> None:
    """The whole argument, from the embeddings to the read-outs."""
    need(len(layers) == 2, f"{len(layers)} blocks, not 2: depth, slots")
    need(depth <= LARGEST_SUM, "language: too deep")
    counting, layer = layers
    letters, bos = graph.nodes[:, 0], 2 * kinds
    adds = np.where(np.arange(bos) % 2 == OPENING, 1, -1)[None, None]
    count = Count(np.zeros(1, np.int64), np.zeros(1, np.int64), np.array([depth]), adds, 1)
    by_node, counters, _ = check_counting(counting, graph, vectors, bos, count)
    base = by_node[np.array([first(letters == letter) for letter in range(bos + 1)])]

    letter, depths = Inputs.of(kinds, depth)
    rows = len(letter)
    need(rows * layer.channels * layer.states <= MOST_NUMBERS, "language: too many inputs")
    vectors = base[letter] + depths[:, None] * counters.slope[0]
    view, gate = layer.look(vectors)
    layer.no_gate_of_one_with_a_write(view)
    held, write = view.held.reshape(rows, -1), view.write.lo.reshape(rows, -1)
    used = np.flatnonzero((write != 0).any(axis=0))
    # A slot belongs to the greatest depth at which it is ever overwritten.
    owner = np.where(held[:, used], -1, depths[:, None]).max(axis=0, initial=-1)
    layer.need((owner >= 1).all(), "an entry is written, but at no depth")
    there = depths[:, None] == owner
    opens = letter % 2 == OPENING
    opens[-1] = False
    bad = (there & (held[:, used] == opens[:, None])).any(axis=0)
    layer.need(not bad.any(), "an entry is not overwritten at just the opening brackets of its depth")
    values = write[((owner - 1) * kinds)[None] + np.arange(kinds)[:, None], used]
    layer.need((values >= 0).all(), "an entry is overwritten with something negative")

    layer.added(view, gate, hull(view.write.lo).map(lambda a: a[None]))
    plain = vectors + layer.added(view, gate, exactly(np.zeros(view.held.shape))).lo
    groups: dict[bytes, list[int]] = {}
    for n, entry in enumerate(used.tolist()):
        groups.setdefault(held[:, entry].tobytes() + write[:, entry].tobytes(), []).append(n)
    shown: list[list[tuple[Floats, Floats]]] = [[] for _ in range(depth + 1)]
    for group in groups.values():
        at_depth = int(owner[group[0]])
        share = layer.share(view, gate, used[group])
        layer.need(not share[depths != at_depth].any(), f"a slot of depth {at_depth} is read at other depths")
        shown[at_depth].append((share[depths == at_depth], values[:, group[0]]))

    expected = np.empty_like(plain)
    top = np.arange(rows) % kinds
    for row, out, stream, tops, truth in _cases(plain, vectors, shown, Inputs(letter, depths), kinds, depth):
        layer.settles(exactly(out - stream), exactly(stream))
        readouts.check(readouts.scores(out), truth, out, lambda i, row=row: f"input {row[i]}")  # type: ignore[misc]
        mine = (tops < 0) | (tops == top[row]) | opens[row]
        expected[row[mine]] = out[mine]

    before, after = np.zeros((rows, held.shape[1])), write.copy()
    before[:, used] = values[top]
    after[held] = before[held]
    layer.agree(Case(vectors, layer.nothing_past(vectors), before, after, expected))


def _cases(
    plain: Floats, vectors: Floats, shown: list[list[tuple[Floats, Floats]]], inputs: Inputs, kinds: int, depth: int
) -> Iterator[tuple[Ints, Floats, Floats, Ints, Bools]]:
    """Case by case: input, vector that comes out and that went in, kind on top (-1: none), tokens that are allowed."""
    for d in range(depth + 1):
        rows = np.flatnonzero(inputs.depth == d)  # opening brackets first (if any), kind by kind, then closing ones
        closing = inputs.letter[rows] % 2 == CLOSING
        if d == 0:
            place, tops = np.arange(len(rows)), np.full(len(rows), -1)
        else:
            n = int(closing.sum())
            place = np.concatenate([np.flatnonzero(~closing), np.repeat(np.flatnonzero(closing), kinds)])
            tops = np.concatenate([np.arange(kinds), np.tile(np.arange(kinds), n)])
        out = plain[rows][place]
        for share, values in shown[d]:
            out = out + share[place] * values[tops][:, None]
        truth = np.zeros((len(place), 2 * kinds + 1), dtype=bool)
        truth[:, 0:-1:2] = d < depth
        truth[:, 1:-1:2] = tops[:, None] == np.arange(kinds)
        truth[:, -1] = d == 0
        yield rows[place], out, vectors[rows][place], tops, truth
