"""What the memories chosen so far know: the product of their machine and the DFA, explored.

While a plan is being searched for it is a tuple of blocks of :class:`Draft` memories: rules over numbers. What such
blocks know after a prefix is a *context*, the last letters and the labels held. The contexts are a deterministic
machine of their own; a *node* is a context with a state of the DFA that some prefix leads to in that context. The plan
is done when all nodes of a context agree on what may come next. Nodes after death are explored like all others: the
memories then hold whatever they hold.

Numbers: letter ``k`` is ``<bos>``, for an alphabet of ``k`` symbols, and -1 is nothing (no letter, no label).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ....automata.budget import Meter
from ....automata.deterministic import Deterministic
from ..conjunctions import Conjunctions

NOTHING = -1

Vector = tuple[int, ...]
"""What a block sees at a step: the last letters, this one first; the labels now of the memories of earlier blocks;
and those before the step."""

Sides = tuple[frozenset[int] | None, ...]
"""A conjunction over a vector: for each entry the values that it may have, or None for any."""


@dataclass(frozen=True)
class Draft:
    """A memory: the label of the first conjunction that holds is written, else the old label is kept.

    Attributes:
        rules: conjunctions with labels; those of different labels never hold together.
        labels: how many labels there are.
    """

    rules: tuple[tuple[Sides, int], ...]
    labels: int

    @cached_property
    def _conjunctions(self) -> Conjunctions[int]:
        asked = [{n: side for n, side in enumerate(sides) if side is not None} for sides, _ in self.rules]
        return Conjunctions(asked)

    def written(self, vector: Vector) -> int:
        """The label that is written, or NOTHING."""
        holding = self._conjunctions.holding(vector.__getitem__)
        return self.rules[(holding & -holding).bit_length() - 1][1] if holding else NOTHING


Drafts = tuple[tuple[Draft, ...], ...]
"""Blocks of memories, in order."""


@dataclass(frozen=True)
class Context:
    """The last letters, this one first, and the labels of all memories, in order of blocks."""

    letters: tuple[int, ...]
    labels: tuple[int, ...]


class Step(NamedTuple):
    """A step of the context machine: from a context (NOTHING before ``<bos>``) with a letter to a context."""

    source: int
    letter: int
    target: int
    seen: Vector


@dataclass(frozen=True)
class Knowledge:
    """The explored product.

    Attributes:
        dfa: the language.
        blocks: the memories.
        window: how many letters a context holds.
        contexts: what can be known, the context after ``<bos>`` first.
        steps: ``steps[c][a]``: the step from context c with letter a.
        begin: the step of ``<bos>``.
        nodes: (context, state), the one after ``<bos>`` first.
        table: ``table[node][a]``.
    """

    dfa: Deterministic
    blocks: Drafts
    window: int
    contexts: tuple[Context, ...]
    steps: tuple[tuple[Step, ...], ...]
    begin: Step
    nodes: tuple[tuple[int, int], ...]
    table: tuple[tuple[int, ...], ...]

    @cached_property
    def fibres(self) -> tuple[tuple[int, ...], ...]:
        """The nodes of each context."""
        found: list[list[int]] = [[] for _ in self.contexts]
        for node, (context, _) in enumerate(self.nodes):
            found[context].append(node)
        return tuple(map(tuple, found))

    @cached_property
    def allowed(self) -> tuple[frozenset[str], ...]:
        """For each state of the DFA the tokens that may come next (and the class, of a machine with outputs)."""
        dfa = self.dfa
        return tuple(map(dfa.allowed, range(dfa.n_states)))

    @cached_property
    def unsettled(self) -> tuple[int, ...]:
        """The contexts whose nodes do not agree on what may come next."""
        return tuple(
            c for c, fibre in enumerate(self.fibres) if len({self.allowed[self.nodes[x][1]] for x in fibre}) > 1
        )

    @property
    def settled(self) -> bool:
        """Whether every context tells what may come next."""
        return not self.unsettled

    @property
    def doubt(self) -> float:
        """How many pairs of states are possible, in the mean over contexts."""
        return sum(len(fibre) * (len(fibre) - 1) / 2 for fibre in self.fibres) / len(self.fibres)

    def all_steps(self) -> Iterator[Step]:
        """Every step, ``<bos>`` first."""
        yield self.begin
        for steps in self.steps:
            yield from steps


_State = tuple[Vector, Vector]
"""A context as the search has it: the last letters, as many as the window, and the labels."""


class _Machine:
    """The machine of some blocks, with what it has written so far, vector by vector."""

    def __init__(self, blocks: Drafts) -> None:
        self._blocks: list[tuple[tuple[Draft, ...], dict[Vector, Vector]]] = [(block, {}) for block in blocks]

    def labels(self, letters: Vector, held: Vector) -> Vector:
        """The labels after a step.

        Args:
            letters: the last letters after it.
            held: the labels before it.
        """
        labels: Vector = ()
        for block, known in self._blocks:
            offset = len(labels)
            vector = letters + labels + held[:offset]
            if (new := known.get(vector)) is None:
                new = known[vector] = tuple([draft.written(vector) for draft in block])
            old = held[offset : offset + len(new)]
            labels += tuple([a if a != NOTHING else b for a, b in zip(new, old, strict=True)])
        return labels


def explore(dfa: Deterministic, blocks: Drafts, window: int, meter: Meter, *, hidden: int = 0) -> Knowledge:
    """Explore the product of the DFA and the blocks. O(nodes * letters) steps.

    Args:
        dfa: the language.
        blocks: the memories.
        window: how many letters a context holds.
        meter: counts nodes.
        hidden: how many of the last memories are those of the block that is being made: their labels are known in the
            end, but not seen by its own memories.

    Raises:
        BudgetExceededError: more nodes than the meter allows.
    """
    machine = _Machine(blocks)
    bos, memories = len(dfa.alphabet), sum(map(len, blocks))
    n_seen = memories - hidden
    none = (NOTHING,) * memories
    letters = (bos, *[NOTHING] * (window - 1))
    start = letters, machine.labels(letters, none)
    numbers: dict[_State, int] = {start: 0}
    states = [start]
    rows: list[tuple[Step, ...]] = []
    for c, (letters, held) in enumerate(states):
        meter.check_time()
        row, older, before = [], letters[:-1], held[:n_seen]
        for a in range(bos):
            now = (a, *older)
            labels = machine.labels(now, held)
            if (target := numbers.get(key := (now, labels))) is None:
                meter.tick()
                target = numbers[key] = len(states)
                states.append(key)
            row.append(Step(c, a, target, now + labels[:n_seen] + before))
        rows.append(tuple(row))
    nodes, known, table = [(0, 0)], {(0, 0): 0}, []
    for c, q in nodes:
        moves = []
        for step, state in zip(rows[c], dfa.table[q], strict=True):
            node = step[2], state
            if (number := known.get(node)) is None:
                meter.tick()
                number = known[node] = len(nodes)
                nodes.append(node)
            moves.append(number)
        table.append(tuple(moves))
    begin = Step(NOTHING, bos, 0, start[0] + start[1][:n_seen] + none[:n_seen])
    contexts = tuple(Context(tuple(a for a in letters if a != NOTHING), labels) for letters, labels in states)
    return Knowledge(dfa, blocks, window, contexts, tuple(rows), begin, tuple(nodes), tuple(table))
