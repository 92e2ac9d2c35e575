"""Copying, method "copies": blocks that count letters, and one that keeps the letter of each place.

The blocks before the last are explored as ever, over the automaton of *lengths* (how many letters came before the
separator, and after it), which has finitely many states; its nodes are the inputs of the last block. There an entry of
the state is either *determined*: the lengths, and the letter, say what it holds; or a *slot* of one place: it is
overwritten where a word gets its letter of this place, with what that letter alone decides, and held everywhere else.
So after the separator a slot holds what its place's letter wrote, or, where the word is shorter, what ``<bos>`` left.
A read-out reads the slots of one place at most, that of the letter that comes next; all letters are tried there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .argument import MOST_NUMBERS, Case, Layer, Readouts, sample
from .arithmetic import exactly, hull
from .closure import Graph
from .languages import Language
from .parts import Bools, Floats, Ints, need

LONGEST = 1 << 12


class Copying(NamedTuple):
    """Words over some letters and their copies, with the separator as the last symbol.

    State p < n + 1 of the lengths: p letters, and no separator. State n + 1 + m (m + 1) / 2 + j: m letters, the
    separator, and j letters more. The last one is dead.

    Attributes:
        symbols: the alphabet.
        longest: n.
    """

    symbols: list[str]
    longest: int

    @property
    def control(self) -> Language:
        """The automaton of the lengths; every word that lives in it is the beginning of one that is accepted."""
        n, k = self.longest, len(self.symbols)
        dead = n + 1 + (n + 1) * (n + 2) // 2
        table = np.full((dead + 1, k), dead, dtype=np.int64)
        for p in range(n + 1):
            table[p, :-1] = p + 1 if p < n else dead
            table[p, -1] = n + 1 + p * (p + 1) // 2
            for j in range(p):
                table[n + 1 + p * (p + 1) // 2 + j, :-1] = n + 1 + p * (p + 1) // 2 + j + 1
        accepting = np.zeros(dead + 1, dtype=bool)
        accepting[[n + 1 + m * (m + 1) // 2 + m for m in range(n + 1)]] = True
        return Language(self.symbols, table, accepting, np.arange(dead + 1) < dead)

    def lengths(self, states: Ints) -> tuple[Ints, Ints]:
        """Per state the letters before the separator, and those after it, -1 if it has not come."""
        n = self.longest
        found = [(p, -1) for p in range(n + 1)] + [(m, j) for m in range(n + 1) for j in range(m + 1)]
        first, second = np.array(found).T
        return first[states], second[states]


def read_copying(given: Any) -> Copying:
    """Read the JSON format of ``automata/copying/language.py``."""
    need(type(given) is dict and set(given) == {"letters", "longest", "separator"}, "language: unknown keys")
    letters, longest, separator = given["letters"], given["longest"], given["separator"]
    need(type(letters) is list and letters, "language: no letters")
    symbols = [*letters, separator]
    need(all(type(s) is str for s in symbols) and len(set(symbols)) == len(symbols), "language: a symbol occurs twice")
    need(type(longest) is int and 1 <= longest <= LONGEST, f"language: words of up to {longest!r} letters")
    return Copying(symbols, longest)


class Slot(NamedTuple):
    """Entries of the state that are overwritten where a word gets its letter of one place, and held elsewhere.

    Attributes:
        entries: their numbers; all hold the same.
        place: which place (1 is the first letter).
        first: what they hold after ``<bos>``.
        by_letter: what each letter writes.
        share: by how much the vectors grow with what they hold, shape (rows, d_model).
    """

    entries: Ints
    place: int
    first: float
    by_letter: Floats
    share: Floats


class _Inputs(NamedTuple):
    """What the last block can read: the different vectors, and per node which it is.

    Attributes:
        row: per node its row of the rest.
        letter: per node; ``<bos>`` is the number after the last one.
        first: letters before the separator.
        second: letters after it; -1 if it has not come.
        held: per row and entry of the state, whether it is held.
        write: what is written.
    """

    row: Ints
    letter: Ints
    first: Ints
    second: Ints
    held: Bools
    write: Floats


def check_copies(layers: list[Layer], readouts: Readouts, graph: Graph, vectors: Floats, language: Copying) -> None:
    """The argument after the blocks that count. O(rows * entries + nodes * letters * width)."""
    need(len(layers) == 1, f"{len(layers)} blocks follow those that count, not one")
    (layer,) = layers
    distinct, row = np.unique(vectors, axis=0, return_inverse=True)
    view, gate = layer.look(distinct)
    layer.need(view.held.size <= MOST_NUMBERS, "too many letters and lengths")
    layer.no_gate_of_one_with_a_write(view)
    write = view.write.lo
    values = hull(np.concatenate([write, np.zeros_like(write[:1])]))
    layer.added(view, gate, values.map(lambda a: a[None]))
    first, second = language.lengths(graph.nodes[:, 1])
    shape = (len(distinct), -1)
    inputs = _Inputs(row.reshape(-1), graph.nodes[:, 0], first, second, view.held.reshape(shape), write.reshape(shape))

    groups: dict[bytes, list[int]] = {}
    for entry in np.flatnonzero((inputs.write != 0).any(axis=0)).tolist():
        key = inputs.held[:, entry].tobytes() + inputs.write[:, entry].tobytes()
        groups.setdefault(key, []).append(entry)
    slots, kept = [], []
    fresh: Bools = ~np.asarray(inputs.held.any(axis=0))
    for entries in map(np.array, groups.values()):
        if fresh[entries[0]]:
            continue
        share = layer.share(view, gate, entries)
        slot = _slot(language, inputs, entries, share)
        if slot is None:
            kept += [(entry, layer.share(view, gate, entry[None])) for entry in entries]
        else:
            slots.append(slot)
    state = _determined(layer, graph, inputs, np.array([entry for entry, _ in kept], dtype=np.int64))
    plain = distinct + layer.added(view, gate, exactly(np.where(fresh, inputs.write, 0.0).reshape(write.shape))).lo

    # A case for each node before the separator or at the end of the word; else for each node and letter that may come.
    k = len(language.symbols) - 1
    comes = np.arange(k)
    more = np.flatnonzero((second >= 0) & (second < first))
    single = np.setdiff1d(np.arange(len(first)), more)
    need((len(more) * k + len(single)) * vectors.shape[1] <= MOST_NUMBERS, "language: too many letters and lengths")
    node = np.concatenate([single, np.repeat(more, k)])
    comes = np.concatenate([np.full(len(single), k), np.tile(comes, len(more))])
    at, stream = inputs.row[node], vectors[node]
    some = sample(len(node))
    out, holds = plain[at], np.where(fresh, inputs.write, 0.0)[at[some]]
    for i, (entry, share) in enumerate(kept):
        out += share[at] * state[node, i, None]
        holds[:, entry] = state[node[some], i]
    for slot in slots:
        next_one = (second[node] == slot.place - 1) & (comes < k)
        content = np.where(next_one, np.append(slot.by_letter, 0.0)[comes], slot.first)
        out += slot.share[at] * content[:, None]
        holds[:, slot.entries] = content[some, None]
    layer.settles(exactly(out - stream), exactly(stream))

    held = inputs.held[at[some]]
    before = np.where(held, holds, 0.0)
    after = np.where(held, before, inputs.write[at[some]])
    layer.agree(Case(stream[some], layer.nothing_past(stream[some]), before, after, out[some]))

    ahead = second[node] < 0
    truth = np.zeros((len(node), k + 2), dtype=bool)
    truth[:, :k] = np.where(ahead[:, None], (first[node] < language.longest)[:, None], comes[:, None] == np.arange(k))
    truth[:, k], truth[:, k + 1] = ahead, ~ahead & (comes == k)
    readouts.check(readouts.scores(out), truth, out, lambda n: f"node {node[n]}")


def _slot(language: Copying, inputs: _Inputs, entries: Ints, share: Floats) -> Slot | None:
    """The entries as a slot, if they are one that is read only where its place's letter comes next."""
    bos = len(language.symbols)
    k, begins = bos - 1, np.flatnonzero(inputs.letter == bos)
    need(len(begins) == 1, "<bos> occurs in two nodes")
    held, write = inputs.held[inputs.row, entries[0]], inputs.write[inputs.row, entries[0]]
    places = np.where((inputs.letter < bos) & (inputs.second < 0), inputs.first, 0)  # that of the letter just read
    owners = np.unique(places[~held & (inputs.letter != bos)])
    if len(owners) != 1 or owners[0] == 0:
        return None
    place, own = int(owners[0]), places == owners[0]
    by_letter = np.zeros(k)
    by_letter[inputs.letter[own]] = write[own]
    read: Bools = np.asarray(share.any(axis=1))[inputs.row]
    if held[own].any() or (by_letter[inputs.letter[own]] != write[own]).any() or read[inputs.second != place - 1].any():
        return None
    return Slot(entries, place, float(np.where(held, 0.0, write)[begins[0]]), by_letter, share)


def _determined(layer: Layer, graph: Graph, inputs: _Inputs, entries: Ints) -> Floats:
    """What some entries hold at each node, the same whatever the word is; shape (nodes, entries).

    O(transitions * entries).
    """
    source, target = np.divmod(graph.pairs, len(graph.nodes))
    length = inputs.first + inputs.second + 1  # symbols read: it grows by one with each transition
    held, write = inputs.held[:, entries][inputs.row], inputs.write[:, entries][inputs.row]
    some = np.zeros(len(length), dtype=np.int64)
    some[target] = source
    state = np.where(held, 0.0, write)  # at <bos>
    for now in range(1, int(length.max()) + 1):
        at = np.flatnonzero(length == now)
        state[at] = np.where(held[at], state[some[at]], write[at])
    bad = np.where(held[target], state[source], write[target]) != state[target]
    layer.need(not bad.any(), "an entry of the state is no slot, and depends on more than lengths and the letter")
    return state
