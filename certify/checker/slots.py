"""Languages with a control at each depth, method "slots": a block that counts the depth, one that remembers what the
level at each depth has to know, and blocks that remember nothing. Blocks before these may find out what the last few
symbols are; they are explored as for counters, and the nodes that are left of them are called the control.

The vectors that come out of the counting block are base(node) + depth * slope, so the next block sees finitely many
inputs: (node, depth after it). Each entry of its state is overwritten at one depth only, its *owner*; where the depth
is another it is held. So what the entries of depth d hold is what the symbols that came at depth d since the level
began have written, and the levels inside it change nothing: they can be explored as an automaton, together with the
language's level at that depth. What lies at other depths is not read: there the entries' share is 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .argument import MOST_NUMBERS, Case, Count, Layer, Readouts, check_counting, sample
from .arithmetic import LARGEST_SUM, exactly, hull
from .closure import Graph
from .nested import NestedLanguage
from .parts import Bools, Floats, Ints, need

MOST_PLACES = 1 << 22
"""Of the levels of one depth, before the exploration gives up."""


class Inputs(NamedTuple):
    """What the block of the levels can read: each node of the control with each depth that can be after it.

    Attributes:
        node: shape (rows,).
        letter: its symbol; ``<bos>`` is the number after the last one.
        depth: the depth.
    """

    node: Ints
    letter: Ints
    depth: Ints

    @staticmethod
    def of(language: NestedLanguage, letters: Ints) -> Inputs:
        """All of them, by the symbols of the nodes."""
        adds, most, bos = language.adds.tolist(), language.depth, len(language.symbols)
        rows = [
            (node, letter, depth)
            for node, letter in enumerate(letters.tolist())
            for depth in ([0] if letter == bos else range(max(adds[letter], 0), most + 1 + min(adds[letter], 0)))
        ]
        return Inputs(*np.array(rows).T)


class Followers(NamedTuple):
    """Which nodes of the control can come after which.

    Attributes:
        kind: per node a number; nodes with the same one have the same followers.
        nodes: per kind and symbol the nodes that follow.
    """

    kind: list[int]
    nodes: list[dict[int, list[int]]]

    @staticmethod
    def of(graph: Graph) -> Followers:
        """Those of a graph. O(transitions)."""
        letters, rows = graph.nodes[:, 0], len(graph.nodes)
        after: list[set[int]] = [set() for _ in range(rows)]
        for pair in graph.pairs.tolist():
            after[pair // rows].add(pair % rows)
        kinds: dict[frozenset[int], int] = {}
        kind = [kinds.setdefault(frozenset(targets), len(kinds)) for targets in after]
        nodes: list[dict[int, list[int]]] = []
        for targets in kinds:
            nodes.append({})
            for target in sorted(targets):
                nodes[-1].setdefault(int(letters[target]), []).append(target)
        return Followers(kind, nodes)


class Shown(NamedTuple):
    """The entries of one depth that are read, those that always hold the same once.

    Attributes:
        entries: one of each group.
        shares: by how much the vectors grow with each; shape (groups, rows, d_model).
    """

    entries: list[int]
    shares: list[Floats]


class Places(NamedTuple):
    """Where the levels of one depth can be.

    Attributes:
        row: the input.
        state: of the language's level.
        held: what the entries of this depth hold, shape (places, groups).
    """

    row: Ints
    state: Ints
    held: Floats


def check_slots(
    layers: list[Layer], readouts: Readouts, graph: Graph, vectors: Floats, language: NestedLanguage
) -> None:
    """The whole argument, from the embeddings to the read-outs.

    O(inputs * entries + places * width), with the places (symbol, state, what is held) of each depth.
    """
    need(len(layers) >= 2, f"{len(layers)} blocks, not 2 or more: depth, levels")
    need(language.depth <= LARGEST_SUM, "language: too deep")
    counting, layer, *later = layers
    letters, bos = graph.nodes[:, 0], len(language.symbols)
    count = Count(
        np.zeros(1, np.int64), np.zeros(1, np.int64), np.array([language.depth]), language.adds[None, None], 1
    )
    base, counters, _ = check_counting(counting, graph, vectors, bos, count)

    inputs, followers = Inputs.of(language, letters), Followers.of(graph)
    node, letter, depths = inputs
    rows = len(node)
    need(rows * layer.channels * layer.states <= MOST_NUMBERS, "language: too many inputs")
    vectors = base[node] + depths[:, None] * counters.slope[0]
    view, gate = layer.look(vectors)
    layer.no_gate_of_one_with_a_write(view)
    held, write = view.held.reshape(rows, -1), view.write.lo.reshape(rows, -1)
    used = np.flatnonzero((write != 0).any(axis=0))
    owner = np.where(held[:, used], -1, depths[:, None]).max(axis=0, initial=-1)
    layer.need((owner >= 0).all(), "an entry is written, but at no depth")
    layer.need((held[:, used] | (depths[:, None] == owner)).all(), "an entry is overwritten at two depths")

    layer.added(view, gate, hull(view.write.lo).map(lambda a: a[None]))
    plain = vectors + layer.added(view, gate, exactly(np.zeros(view.held.shape))).lo
    groups: dict[bytes, list[int]] = {}
    for n, entry in enumerate(used.tolist()):
        groups.setdefault(held[:, entry].tobytes() + write[:, entry].tobytes(), []).append(n)
    shown = [Shown([], []) for _ in range(language.depth + 1)]
    begins = (letter == bos) | (np.append(language.opened, 0)[letter] >= 0)
    for group in groups.values():
        at_depth, entry = int(owner[group[0]]), int(used[group[0]])
        share = layer.share(view, gate, used[group])
        layer.need(not share[depths != at_depth].any(), f"a slot of depth {at_depth} is read at other depths")
        if share.any():
            kept = held[begins & (depths == at_depth), entry]
            layer.need(not kept.any(), f"a slot of depth {at_depth} is not overwritten where a level begins")
            shown[at_depth].entries.append(entry)
            shown[at_depth].shares.append(share)

    inner, closers = np.zeros(len(language.table), dtype=bool), dict[int, list[int]]()
    for depth in range(language.depth, -1, -1):
        ends, allowed = language.completable(depth, inner), language.allowed(depth, inner)
        inner = ends
        openers = [(a, int(q)) for a, q in enumerate(language.opened) if q >= 0 and ends[q]]
        level = _Level(language, inputs, followers, depth, allowed, closers, held, write, shown[depth].entries)
        places, closers = level.explored(openers if depth else [(bos, language.root)])
        if places is None:
            continue
        need(ends[places.state].all(), "language: not every live word can be completed")
        row, stream = places.row, vectors[places.row]
        layer.need(stream.size <= MOST_NUMBERS, "too many places of a level")
        out = plain[row].copy()
        for share, values in zip(shown[depth].shares, places.held.T, strict=True):
            out += share[row] * values[:, None]
        layer.settles(exactly(out - stream), exactly(stream))
        _agree(layer, places, held, write, shown[depth].entries, stream, out)
        for further in later:
            out = _forgetful(further, out)
        readouts.check(readouts.scores(out), allowed[places.state], out, lambda i, row=row: f"input {row[i]}")  # type: ignore[misc]


class _Level(NamedTuple):
    """The levels of one depth, with what the second block holds of them.

    Attributes:
        language: the language.
        inputs: the rows of ``held`` and ``write``.
        followers: of the nodes of the control.
        depth: the depth.
        allowed: per state, what may come next.
        closers: the nodes that may close a level one deeper, by the symbol that opened it.
        held: per input and entry, whether it is held.
        write: what is written.
        entries: those that are read at this depth.
    """

    language: NestedLanguage
    inputs: Inputs
    followers: Followers
    depth: int
    allowed: Bools
    closers: dict[int, list[int]]
    held: Bools
    write: Floats
    entries: list[int]

    def explored(self, openers: list[tuple[int, int]]) -> tuple[Places | None, dict[int, list[int]]]:
        """Where a level can be, or None if there is none; for each symbol that opens one, the nodes that may close it.

        Args:
            openers: the symbols that begin a level, and its first state.
        """
        here = np.flatnonzero(self.inputs.depth == self.depth)
        row_of = dict(zip(self.inputs.node[here].tolist(), here.tolist(), strict=True))
        keeps = {row: self.held[row, self.entries] for row in row_of.values()}
        writes = {row: self.write[row, self.entries] for row in row_of.values()}
        kind, moves = self.followers.kind, dict[tuple[int, int], list[tuple[int, int]]]()
        places: dict[tuple[int, int, bytes], None] = {}
        closing: dict[int, list[int]] = {}
        for opener, start in openers:
            seen: set[tuple[int, int, bytes]] = set()
            rows = here[self.inputs.letter[here] == opener].tolist()
            arrivals = [(int(self.inputs.node[row]), start, writes[row].tobytes()) for row in rows]
            for node, state, content in arrivals:
                need(len(arrivals) < MOST_PLACES, "language: too many places of a level")
                places[row_of[node], state, content] = None
                of = kind[node]
                if (of, state, content) in seen:
                    continue
                seen.add((of, state, content))
                if (of, state) not in moves:
                    moves[of, state] = self._moves(of, state)
                values = np.frombuffer(content)
                for after, target in moves[of, state]:
                    row = row_of[after]
                    arrivals.append((after, target, np.where(keeps[row], values, writes[row]).tobytes()))
            ends = {(of, state) for of, state, _ in seen}
            closing[opener] = sorted({node for of, state in ends for node in self._closed_by(of, state)})
        if not places:
            return None, closing
        found, reached, contents = zip(*places, strict=True)
        holds = np.array([np.frombuffer(content) for content in contents]).reshape(len(found), len(self.entries))
        return Places(np.array(found), np.array(reached), holds), closing

    def _moves(self, kind: int, state: int) -> list[tuple[int, int]]:
        """The nodes that a level reads next, with its next state: those that close a level inside it among them."""
        found = []
        row, after = self.language.table[state], self.followers.nodes[kind]
        for a in np.flatnonzero((row >= 0) & self.allowed[state, :-1]).tolist():
            inside = self.language.opened[a] >= 0
            found += [(node, int(row[a])) for node in (self.closers[a] if inside else after.get(a, []))]
        return found

    def _closed_by(self, kind: int, state: int) -> Iterator[int]:
        """The nodes that close a level in this place."""
        for a in np.flatnonzero(self.language.closes[state]).tolist():
            yield from self.followers.nodes[kind].get(a, [])


def _agree(
    layer: Layer, places: Places, held: Bools, write: Floats, entries: list[int], stream: Floats, out: Floats
) -> None:
    """Compare with some of the model's own steps; what belongs to other depths holds some number, too."""
    some = sample(len(places.row))
    row = places.row[some]
    typical = write[np.abs(write).argmax(axis=0), np.arange(write.shape[1])]
    before = np.where(held[row], typical, 0.0)
    before[:, entries] = np.where(held[row][:, entries], places.held[some], 0.0)
    after = np.where(held[row], before, write[row])
    layer.agree(Case(stream[some], layer.nothing_past(stream[some]), before, after, out[some]))


def _forgetful(layer: Layer, vectors: Floats) -> Floats:
    """What comes out of a block that remembers nothing."""
    view, gate = layer.look(vectors)
    layer.no_gate_of_one_with_a_write(view)
    rows, write = len(vectors), view.write.lo
    layer.need(not (view.held & (write != 0).any(axis=0)).any(), "a block after the levels remembers something")
    added = layer.added(view, gate, exactly(write)).lo
    layer.settles(exactly(added), exactly(vectors))
    after = write.reshape(rows, -1)
    layer.agree(Case(vectors, layer.nothing_past(vectors), np.zeros_like(after), after, vectors + added))
    return vectors + added
