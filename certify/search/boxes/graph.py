"""What is told apart of the past: the state of the language, and the last tokens, of some pasts more than of others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....automata.budget import Meter

Ints = NDArray[np.int64]
Past = tuple[int, ...]
"""The last tokens, the latest last: letters by number; the number after them is ``<bos>``."""


@dataclass(frozen=True)
class BoxGraph:
    """Nodes, each a state of the language with the end of a past, and what each letter makes of them.

    Attributes:
        states: of the language, of each node; node 0 is that after ``<bos>``.
        pasts: of each node.
        following: shape (nodes, letters): the node that a letter leads to; -1 where nothing is promised.
        source: the node that each edge comes from; -1: edge 0, which is ``<bos>`` read first.
        letter: that it reads.
        target: the node that it leads to.
    """

    states: Ints
    pasts: tuple[Past, ...]
    following: Ints
    source: Ints
    letter: Ints
    target: Ints

    def __len__(self) -> int:
        return len(self.states)

    def word_to(self, node: int) -> tuple[int, ...]:
        """The letters of a shortest word that leads to a node."""
        came: dict[int, tuple[int, int]] = {}
        todo = [0]
        for n in todo:
            for a, m in enumerate(self.following[n].tolist()):
                if m > 0 and m not in came:
                    came[m] = (n, a)
                    todo.append(m)
        letters: list[int] = []
        while node:
            node, letter = came[node]
            letters.append(letter)
        return tuple(reversed(letters))


def box_graph(
    table: Sequence[Sequence[int]], promised: Collection[int], length: int, more: Collection[Past], meter: Meter
) -> BoxGraph:
    """All nodes that words lead to.

    Args:
        table: per state and letter the next state; state 0 is initial.
        promised: states after which something is promised.
        length: how many of the last tokens every node knows.
        more: longer pasts that are told apart as well; with each also what it was before its last token.
        meter: counts nodes.

    Raises:
        BudgetExceededError: too many nodes.
    """
    letters = len(table[0])
    start: tuple[int, Past] = (0, (letters,))
    number = {start: 0}
    found = [start]
    source, read, target = [-1], [letters], [0]
    following: list[list[int]] = []
    for at, (state, past) in enumerate(found):
        row = []
        for a in range(letters):
            then = table[state][a]
            if then not in promised:
                row.append(-1)
                continue
            whole: Past = (*past, a)
            while len(whole) > length and whole not in more:
                whole = whole[1:]
            node = (then, whole)
            if node not in number:
                meter.tick()
                number[node] = len(found)
                found.append(node)
            row.append(number[node])
            source.append(at)
            read.append(a)
            target.append(number[node])
        following.append(row)
    return BoxGraph(
        np.array([q for q, _ in found]),
        tuple(past for _, past in found),
        np.array(following, dtype=np.int64).reshape(len(found), letters),
        *(np.array(column, dtype=np.int64) for column in (source, read, target)),
    )
