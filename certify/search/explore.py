"""Exploring what a run of blocks can do: the search behind a certificate.

A *stage* is a run of blocks that is explored as one machine. Its input is a **word graph**: nodes carry a letter, the
DFA state that is true after it, and a residual vector; every word is a path from the start. The stage's own step
function is run on every pair (node, own state) that a path can reach, which is finite or the budget ends it. The pairs,
with the own states forgotten, are the word graph that the next stage reads. Forgetting only adds paths, so what holds
on all paths holds of all words. With one stage per block the cost is a sum over blocks; with one stage for the whole
model nothing is forgotten, and a path to a wrong node is a counterexample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from ...automata.budget import Meter

START = -1
"""The predecessor of the node that begins every word."""


@runtime_checkable
class Machine(Protocol):
    """What a stage runs: see ``models.run.stepper.Stepper``."""

    @property
    def batch(self) -> int:
        """Rows per evaluation; others cost as much as these."""
        ...

    def start(
        self, first: int, last: int, stream: Float[Tensor, "n d_model"]
    ) -> tuple[Float[Tensor, "n d_model"], Float[Tensor, "n states"]]:
        """The first token of a sequence."""
        ...

    def step(
        self, first: int, last: int, stream: Float[Tensor, "n d_model"], states: Float[Tensor, "n states"]
    ) -> tuple[Float[Tensor, "n d_model"], Float[Tensor, "n states"]]:
        """One more token."""
        ...


@dataclass(frozen=True)
class WordGraph:
    """Residual vectors that can occur, with the letter just read and the DFA state that is then true.

    Node 0 begins every word (``<bos>``).

    Attributes:
        letters: per node, the letter's number (``<bos>`` comes after the last).
        truth: per node, the DFA state.
        vectors: the residual vectors, shape (nodes, d_model), float32.
        successors: per node, the nodes that can come next, ascending.
    """

    letters: tuple[int, ...]
    truth: tuple[int, ...]
    vectors: Tensor
    successors: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.letters)


@dataclass(frozen=True)
class Stage:
    """What was found out about a run of blocks.

    An *event* is (input node, own state afterwards, output vector); event 0 is ``<bos>``. Every word is a path of
    events.

    Attributes:
        first: first block.
        last: end of the run (exclusive).
        states: own states that occur, shape (states, size), float32.
        vectors: output vectors that occur, shape (vectors, d_model), float32.
        events: the reachable events, by numbers of node, state and vector.
        outputs: per event, the node of the output graph.
        transitions: every (event, next event).
        parents: per event, the event it was first reached from (START for event 0): shortest paths.
    """

    first: int
    last: int
    states: Tensor
    vectors: Tensor
    events: tuple[tuple[int, int, int], ...]
    outputs: tuple[int, ...]
    transitions: tuple[tuple[int, int], ...]
    parents: tuple[int, ...]

    def path(self, event: int) -> list[int]:
        """The events from the first to this one: a shortest path."""
        found = []
        while event != START:
            found.append(event)
            event = self.parents[event]
        return found[::-1]


def word_graph(
    table: Sequence[Sequence[int]],
    leave_out: frozenset[int],
    vectors: Float[Tensor, "letters d_model"],
    last: frozenset[int] = frozenset(),
) -> WordGraph:
    """The word graph of an automaton: nodes (letter, state), vectors from the embedding.

    Args:
        table: ``table[q][a]`` is the state after letter ``a`` in state ``q``; state 0 is initial.
        leave_out: states that no word is followed into (dead ones, under the contract "live-prefixes").
        vectors: the embedding of each letter, then of ``<bos>``, shape (letters + 1, d_model).
        last: states that no word is followed out of.
    """
    bos = len(vectors) - 1
    number = {(bos, 0): 0}
    queue = [(bos, 0)]
    successors = []
    for _, state in queue:
        row = []
        for letter, target in enumerate(table[state]):
            if target in leave_out or state in last:
                continue
            node = (letter, target)
            if node not in number:
                number[node] = len(queue)
                queue.append(node)
            row.append(number[node])
        successors.append(tuple(sorted(row)))
    letters = tuple(letter for letter, _ in queue)
    return WordGraph(letters, tuple(q for _, q in queue), vectors[list(letters)].float(), tuple(successors))


class _Rows:
    """Numbers rows of floats by their bits."""

    def __init__(self) -> None:
        self.index: dict[bytes, int] = {}
        self.rows: list[Tensor] = []

    def number(self, rows: Tensor) -> list[int]:
        array = rows.contiguous().numpy()
        found = []
        for i in range(len(array)):
            key = array[i].tobytes()
            if key not in self.index:
                self.index[key] = len(self.rows)
                self.rows.append(rows[i].clone())
            found.append(self.index[key])
        return found


Pair = tuple[int, int]


class _Steps:
    """What a stage does, by (input vector, own state): each step is evaluated once.

    Batches have one size, so rows that are not asked for cost nothing. They are filled with steps that may be asked for
    later: of each state seen, in this order, on each input vector. A stage with few of both is then done in a few
    batches, however long the words are that reach its last state.

    Attributes:
        known: by the numbers of the input vector and of the own state, those of the next own state and of the output.
    """

    def __init__(self, machine: Machine, first: int, last: int, vectors: Tensor) -> None:
        self.machine, self.first, self.last = machine, first, last
        self.inputs, self.states, self.outputs = _Rows(), _Rows(), _Rows()
        self.input_of = self.inputs.number(vectors)
        self.known: dict[Pair, Pair] = {}
        self._guessed = 0

    def start(self, vector: Tensor) -> Pair:
        """The own state and the output of the first token."""
        stream, state = self.machine.start(self.first, self.last, vector[None])
        return self.states.number(state)[0], self.outputs.number(stream)[0]

    def evaluate(self, asked: set[Pair], meter: Meter) -> None:
        """Make these steps known."""
        pairs = sorted(asked - self.known.keys())
        pairs += self._guesses(-len(pairs) % self.machine.batch, set(pairs))
        for at in range(0, len(pairs), EVALUATIONS):
            meter.check_time()
            some = pairs[at : at + EVALUATIONS]
            vectors = torch.stack([self.inputs.rows[v] for v, _ in some])
            states = torch.stack([self.states.rows[s] for _, s in some])
            stream, after = self.machine.step(self.first, self.last, vectors, states)
            made = zip(self.states.number(after), self.outputs.number(stream), strict=True)
            self.known.update(zip(some, made, strict=True))

    def _guesses(self, room: int, asked: set[Pair]) -> list[Pair]:
        """Up to so many steps that are neither known nor asked for. Each is looked at once in all."""
        guesses: list[Pair] = []
        while len(guesses) < room and self._guessed < len(self.states.rows) * len(self.inputs.rows):
            state, vector = divmod(self._guessed, len(self.inputs.rows))
            self._guessed += 1
            if (vector, state) not in self.known and (vector, state) not in asked:
                guesses.append((vector, state))
        return guesses


def explore(
    machine: Machine,
    first: int,
    last: int,
    graph: WordGraph,
    meter: Meter,
    stop: Callable[[int, int, Tensor], bool] | None = None,
) -> tuple[Stage, WordGraph]:
    """Run a stage on everything its word graph allows, breadth first.

    Steps are evaluated once per (input vector, own state). O(events * letters) look-ups, and one batched step per
    evaluation.

    Args:
        machine: steps the blocks.
        first: first block.
        last: end of the run (exclusive).
        graph: the stage's input.
        meter: counts events.
        stop: called with (letter, DFA state, output vector) of each new output node; True ends the search there.

    Raises:
        BudgetExceededError: more events than the budget allows, or too much time.
    """
    steps = _Steps(machine, first, last, graph.vectors)
    input_of, known = steps.input_of, steps.known
    events: dict[tuple[int, int, int], int] = {}
    parents: list[int] = []
    nodes: dict[tuple[int, int, int], int] = {}
    transitions: list[tuple[int, int]] = []
    stopped = False

    def add(node: int, state: int, vector: int, parent: int) -> int:
        nonlocal stopped
        event = (node, state, vector)
        if event not in events:
            meter.tick()
            events[event] = len(events)
            parents.append(parent)
            output = (graph.letters[node], graph.truth[node], vector)
            if output not in nodes:
                nodes[output] = len(nodes)
                if stop is not None and not stopped:
                    stopped = stop(output[0], output[1], steps.outputs.rows[vector])
        return events[event]

    add(0, *steps.start(graph.vectors[0]), START)
    frontier = [0]
    listed = list(events)
    while frontier and not stopped:
        wanted = [(e, node) for e in frontier for node in graph.successors[listed[e][0]]]
        steps.evaluate({(input_of[n], listed[e][1]) for e, n in wanted}, meter)
        before = len(listed)
        for e, node in wanted:
            target = add(node, *known[input_of[node], listed[e][1]], e)
            transitions.append((e, target))
            if target == len(listed):
                listed.append((node, *known[input_of[node], listed[e][1]]))
            if stopped:
                break
        frontier = list(range(before, len(listed)))

    states, vectors = ({number: n for n, number in enumerate(sorted({e[i] for e in listed}))} for i in (1, 2))
    out = [nodes[graph.letters[n], graph.truth[n], v] for n, _, v in listed]
    successors: list[set[int]] = [set() for _ in nodes]
    for source, target in transitions:
        successors[out[source]].add(out[target])
    result = WordGraph(
        tuple(letter for letter, _, _ in nodes),
        tuple(truth for _, truth, _ in nodes),
        torch.stack([steps.outputs.rows[v] for _, _, v in nodes]),
        tuple(tuple(sorted(row)) for row in successors),
    )
    stage = Stage(
        first,
        last,
        torch.stack([steps.states.rows[s] for s in states]),
        torch.stack([steps.outputs.rows[v] for v in vectors]),
        tuple((node, states[s], vectors[v]) for node, s, v in listed),
        tuple(out),
        tuple(transitions),
        tuple(parents),
    )
    return stage, result


EVALUATIONS = 4096
"""Steps per call of the machine."""
