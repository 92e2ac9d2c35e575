"""The argument for counter languages: control, counting block, testing block, error latch, read-out.

The steps are those of docs/certificates.md, method "counters".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...automata.counters.machine import CounterMachine
from .circuit_argument import Argument, Bools, CircuitProof, Counted, need, normed
from .explore import Stage, WordGraph, control_graph, explore
from .obligations import Array, as_array, check_head, check_inputs, check_output
from .prove import oblige, stage_inputs

FARTHEST = 64
"""Testing channels must have their breakpoints at counter values of at most this size."""


@dataclass(frozen=True)
class Tested:
    """After the testing block: zero(node) + sum of by_sign[node, i, sign] (+ the raw counters)."""

    zero: Array
    by_sign: Array

    def at(self, nodes: NDArray[np.intp], signs: NDArray[np.intp]) -> Array:
        """The vectors of cases, raw counters at zero."""
        result = self.zero[nodes].copy()
        for i in range(signs.shape[1]):
            result += self.by_sign[nodes, i, signs[:, i] + 1]
        return result


class CountersArgument(Argument):
    """Step by step, on the weights of one model."""

    def prove(self, limits: Sequence[int]) -> CircuitProof:
        """The proof; :class:`NotProvedError` where a step fails."""
        machine = self.language
        assert isinstance(machine, CounterMachine)
        everything = self.readout.contract == "all-words"
        controls = len(self.blocks) - (3 if everything else 2)
        need(controls >= 0, f"{len(self.blocks)} blocks are too few for this contract")
        self._check_limits(machine, limits)
        self.extremes = _extremes(limits)
        states = machine.states
        inputs = self._control_inputs(machine, live_only=not everything)
        stages, graph, vectors = self._explore(inputs, controls)
        letters, truth = np.array(graph.letters), np.array(graph.truth)
        self.note("counters")
        counted = self.count(self.blocks[controls], vectors, letters == self.bos, self._changes(machine, graph))
        self.note("tests")
        tested = self._test(self.blocks[controls + 1], counted, f"block {controls + 1}")
        self.note("read-outs")
        nodes, values = _cases(np.flatnonzero(truth < len(states)), len(machine.counters))
        living = self._living(machine, truth[nodes], values)
        nodes, values = nodes[living], values[living]
        right = _allowed(machine, truth[nodes], values, self.names)
        self.unseen(self.model.backbone.norm_f, as_array(self.model.lm_head.weight)[self.columns], counted, "lm_head")
        margin = self.verdicts(tested.at(nodes, values), right)
        # The raw counters are in the stream as well, up to their limits.
        for extreme in self.extremes:
            check_head(self.ledger, self.model, tested.at(nodes, values) + extreme @ counted.axes)
        if everything:
            self.note("error latch")
            self._latch(controls + 2, machine, graph, counted, tested)
        named = {c.name: n for c, n in zip(machine.counters, limits, strict=True)}
        places = {c.name: tuple((controls, *place) for place in self.places[i]) for i, c in enumerate(machine.counters)}
        return CircuitProof("counters", stages, inputs, len(nodes), margin, named, self.obligations(), places)

    def _control_inputs(self, machine: CounterMachine, *, live_only: bool) -> WordGraph:
        states = machine.states
        number, dead = {q: n for n, q in enumerate(states)}, len(states)
        rows = []
        for q in states:
            row = machine.transitions.get(q, {})
            rows.append([number[row[s].to] if s in row else dead for s in self.letters])
        return control_graph([*rows, [dead] * len(self.letters)], dead, self.embedded(), live_only=live_only)

    def _explore(self, inputs: WordGraph, blocks: int) -> tuple[tuple[Stage, ...], WordGraph, Array]:
        """The control's blocks, one stage each; the graph after them and its vectors."""
        graph, stages, vectors = inputs, [], inputs.vectors
        for block in range(blocks):
            self.note(f"control, block {block + 1} of {blocks}")
            stage, graph = explore(self.stepper, block, block + 1, graph, self.budget.meter(f"events of block {block}"))
            agree = oblige(self.ledger, self.stepper, stage, vectors)
            need(agree or self.ledger.failure, f"exact arithmetic disagrees with the step function in block {block}")
            vectors = stage_inputs(stage)
            stages.append(stage)
        return tuple(stages), graph, vectors.double().numpy()

    def _check_limits(self, machine: CounterMachine, limits: Sequence[int]) -> None:
        """A scan may add up any segment first: a difference of two values, which float32 must hold."""
        for c, limit in zip(machine.counters, limits, strict=True):
            need(limit >= 1, f"the limit {limit} of counter {c.name!r} leaves nothing to claim")
            least = max([abs(c.initial), *(abs(s.add.get(c.name, 0)) for _, _, s in machine.steps())])
            need(limit >= least, f"counter {c.name!r} changes by up to {least:,} at once, past its limit of {limit:,}")
            need(limit * (2 if c.signed else 1) <= 2**24, f"the limit {limit:,} of counter {c.name!r} is too large")

    def _changes(self, machine: CounterMachine, graph: WordGraph) -> Array:
        """What the machine adds on the way into each node, NaN where the word has died; initial values at the start."""
        states = machine.states
        changes = np.full((len(graph), len(machine.counters)), np.nan)
        changes[0] = [c.initial for c in machine.counters]
        for n, following in enumerate(graph.successors):
            for m in following:
                if graph.truth[m] == len(states):
                    continue
                step = machine.transitions[states[graph.truth[n]]][self.letters[graph.letters[m]]]
                added = np.array([step.add.get(c.name, 0) for c in machine.counters], dtype=np.float64)
                need(
                    np.isnan(changes[m]).all() or (changes[m] == added).all(),
                    f"after {self.letters[graph.letters[m]]!r} the control does not tell what was added",
                )
                changes[m] = added
        return changes

    def _test(self, block: Any, counted: Counted, name: str) -> Tested:
        """Step 3 of the argument."""
        self.now_only(block, name)
        mixer = block.mixer
        slopes, gates = np.split(self.slopes(block.norm, as_array(mixer.in_proj.weight), counted), 2, axis=1)
        need((gates == 0).all(), f"{name}: a gate branch reads a counter")
        reads = slopes != 0
        need((reads.sum(axis=0) <= 1).all(), f"{name}: a channel reads two counters")
        selected = as_array(mixer.x_proj.weight)
        rank, size = mixer.time_step_rank, mixer.ssm_state_size
        need((selected[rank : rank + size] == 0).all(), f"{name} writes a state")
        need((selected[:, reads.any(axis=0)] == 0).all(), f"{name}: Delta or C depends on a counter")
        shown = as_array(mixer.out_proj.weight) != 0
        need(
            (shown @ reads.T.astype(float) > 0).sum(axis=1).max(initial=0) <= 1, f"{name}: a feature shows two counters"
        )
        # The breakpoints: where the convolution's sum is 0.
        tap = as_array(mixer.conv1d.weight)[:, 0, -1]
        bias = 0.0 if mixer.conv1d.bias is None else as_array(mixer.conv1d.bias)
        inner = normed(block.norm, counted.base)
        offset = inner @ as_array(mixer.in_proj.weight)[: len(tap)].T * tap + bias
        slope = np.abs(slopes * tap).sum(axis=0)
        points = np.abs(offset[:, slope > 0] / slope[slope > 0])
        reach = int(np.ceil(points.max(initial=0.0))) + 2
        need(reach <= FARTHEST, f"{name}: a breakpoint at a counter value past {FARTHEST}")
        m, n_nodes = len(counted.axes), len(counted.base)
        window = np.arange(-reach, reach + 1)
        values = np.zeros((m, len(window), m))
        for i in range(m):
            values[i, :, i] = window
        flat = np.concatenate([values.reshape(-1, m), *(e[None] for e in self.extremes)])
        nodes = np.repeat(np.arange(n_nodes), len(flat))
        raw = np.tile(flat, (n_nodes, 1))
        vectors = counted.at(nodes, raw)
        inputs = self.inputs(block, vectors, name)
        states = np.zeros(inputs.write.shape)
        out = check_output(self.ledger, block, vectors, inputs, states, name) - raw @ counted.axes
        self.holds()
        out = out.reshape(n_nodes, len(flat), -1)
        zero = out[:, reach]
        by_sign = np.zeros((n_nodes, m, 3, out.shape[2]))
        for i in range(m):
            part = out[:, i * len(window) : (i + 1) * len(window)] - zero[:, None]
            for sign, side in ((1, part[:, reach + 1 :]), (-1, part[:, :reach])):
                need((side == side[:, :1]).all(), f"{name}: more than the sign of a counter is shown")
                by_sign[:, i, sign + 1] = side[:, 0]
        tested = Tested(zero, by_sign)
        for place, extreme in enumerate(self.extremes, m * len(window)):
            signs = np.tile(np.sign(extreme).astype(np.intp), (n_nodes, 1))
            need((out[:, place] == tested.at(np.arange(n_nodes), signs)).all(), f"{name}: large counters differ")
        return tested

    def _living(self, machine: CounterMachine, truth: NDArray[np.intp], signs: NDArray[np.intp]) -> Bools:
        """The cases that a live word can be in, as far as signs tell (``automata.trim``)."""
        names = (*machine.states, None)
        cases = zip(truth.tolist(), map(tuple, signs.tolist()), strict=True)
        return np.array([(names[q], z) in machine.strategy.graph for q, z in cases], dtype=np.bool_)

    def _latch(
        self,
        number: int,
        machine: CounterMachine,
        graph: WordGraph,
        counted: Counted,
        tested: Tested,
    ) -> None:
        """Step 4 of the argument, and the second half of step 5."""
        block, name = self.blocks[number], f"block {number}"
        mixer = block.mixer
        self.unseen(block.norm, as_array(mixer.in_proj.weight), counted, name)
        taps = as_array(mixer.conv1d.weight)[:, 0, :]
        need((taps[:, :-2] == 0).all(), f"{name} reads more than one step back")
        past = taps[:, -2] != 0
        need(not (past & (taps[:, -1] != 0)).any(), f"{name}: a channel reads two taps")
        letters, truth = np.array(graph.letters), np.array(graph.truth)
        nodes, signs = _cases(np.arange(len(graph)), len(machine.counters))
        vectors = tested.at(nodes, signs)
        for extreme in self.extremes:
            self.inputs(block, vectors + extreme @ counted.axes, name)
        inner = normed(block.norm, vectors)
        u, z = np.split(inner @ as_array(mixer.in_proj.weight).T, 2, axis=1)
        need((z == z[0]).all(), f"{name}: a gate branch depends on the case")
        now = np.full((self.bos + 1, u.shape[1]), np.nan)
        stream = np.zeros((self.bos + 1, vectors.shape[1]))
        for letter in range(self.bos + 1):
            rows = np.flatnonzero(letters[nodes] == letter)
            if len(rows):
                here = u[rows][:, ~past]
                need((here == here[0]).all(), f"{name}: what it reads of the present is more than the letter")
                now[letter], stream[letter] = u[rows[0]], vectors[rows[0]]
        # Cases before, told apart by what the latch reads of them and by what the machine allows there.
        living = self._living(machine, truth[nodes], signs)
        allowed = np.zeros((len(nodes), max(1, self.bos)), dtype=np.bool_)
        allowed[living, : self.bos] = _allowed(machine, truth[nodes][living], signs[living], self.letters)
        keys = np.column_stack([u * past, living, allowed])
        _, first = np.unique(keys, axis=0, return_index=True)
        present = [a for a in range(self.bos + 1) if not np.isnan(now[a]).any()]
        before = np.repeat(first, len(present))
        coming = np.tile(np.array(present), len(first))
        window = np.zeros((len(before), u.shape[1], taps.shape[1]))
        window[:, :, -1] = u[before]
        inputs = check_inputs(self.ledger, block, stream[coming], window, name)
        self.holds()
        begins: Bools = coming == self.bos
        write, held = inputs.write, inputs.held
        written = (write != 0).any(axis=0)
        need(not held[begins][:, written].any(), f"{name}: <bos> does not overwrite an entry")
        need((write[begins] == 0).all(), f"{name}: <bos> writes something")
        clean: Bools = np.where(held, write == 0, write > 0)[~begins]
        need(clean[:, written].all(), f"{name}: an entry may be lost")
        read = living[before] & ~begins
        may_come = allowed[before, np.minimum(coming, max(0, self.bos - 1))]
        fired = np.asarray(((write > 0) & ~held).reshape(len(write), -1).any(axis=1))
        need(not fired[read & may_come].any(), f"{name}: it fires though nothing is wrong")
        need(fired[read & ~may_come].all(), f"{name}: it misses an error")
        # What the entries do to the scores.
        out = as_array(mixer.out_proj.weight)
        need((inputs.skip * inputs.gate == 0).all(), f"{name} writes more than its memory")
        shown = inputs.gate[:, :, None] * inputs.c_read[:, None, :]
        need((shown == shown[0])[:, written].all(), f"{name}: an entry is not always shown alike")
        most = np.where(written, write.max(axis=0), 0.0)
        touched = (out[:, written.any(axis=1)] != 0).any(axis=1)
        need((vectors[:, touched] == 0).all(), f"{name} writes where something else is")
        need((counted.axes[:, touched] == 0).all(), f"{name} writes where a counter is")
        check_output(self.ledger, block, stream[coming], inputs, np.broadcast_to(most, write.shape), name)
        base = check_head(self.ledger, self.model, vectors)[:, self.columns]
        everything = (shown[0] * most).sum(axis=1) @ out.T
        check_head(self.ledger, self.model, vectors + everything)
        self.holds()
        weight = as_array(self.model.lm_head.weight)[self.columns]
        root = normed(self.model.backbone.norm_f, np.stack([vectors[0], vectors[0] + everything]))
        scale = np.where(everything != 0, (root[1] - root[0]) / np.where(everything != 0, everything, 1.0), 0.0)
        for c, n in np.argwhere(written):
            effect = weight @ (out[:, c] * shown[0, c, n] * scale)
            need((effect <= 0).all(), f"{name}: an error speaks for a token")
            least = float(write[:, c, n][write[:, c, n] > 0].min())
            need((base.max(axis=0) + effect * least < 0).all(), f"{name}: an error does not forbid everything")


def _allowed(machine: CounterMachine, truth: NDArray[np.intp], signs: NDArray[np.intp], names: Sequence[str]) -> Bools:
    """Which of some tokens may come next in each case, shape (cases, names)."""
    known: dict[tuple[int, ...], list[bool]] = {}
    rows = np.zeros((len(truth), len(names)), dtype=np.bool_)
    for n, (q, row) in enumerate(zip(truth.tolist(), signs.tolist(), strict=True)):
        key = (q, *row)
        if key not in known:
            may = machine.allowed((machine.states[q], tuple(row)))
            known[key] = [name in may for name in names]
        rows[n] = known[key]
    return rows


def _cases(nodes: NDArray[np.intp], counters: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Every node with every combination of signs."""
    combinations = np.array(list(product((-1, 0, 1), repeat=counters)), dtype=np.intp).reshape(-1, counters)
    return np.repeat(nodes, len(combinations)), np.tile(combinations, (len(nodes), 1))


def _extremes(limits: Sequence[int]) -> list[Array]:
    """Counters at their limits and one below, on both sides (one that is not signed is negative once a word has died).

    No sum has two counters in it, so it does not matter which sides go together.
    """
    top = np.array(limits, dtype=np.float64)
    return [sign * (top - less) for sign in (1, -1) for less in (0, 1)]
