"""Certificates for counter languages and bounded Dyck languages: the argument of docs/certificates.md, made on weights.

Their models have infinitely many reachable states, or far too many, so nothing is enumerated that a counter or a stack
can do. Inside a block the entries of the SSM state never see each other, and the output is linear in them; so each
entry is looked at on its own, and counters appear in the residual stream as base + sum of K_i c_i. All numbers come
from the weights, in exact arithmetic, with the obligations of ``compiler.obligations``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..automata.alphabet import EOS
from ..automata.bounded_dyck import BoundedDyck
from ..automata.budget import Budget
from ..automata.counters import CounterMachine
from ..automata.errors import BudgetExceededError
from ..models.readout import Readout
from ..models.step import Stepper
from .certify import BATCH, Undecided, oblige, stage_inputs
from .explore import Stage, WordGraph, control_graph, explore
from .obligations import (
    ACCUMULATOR,
    Array,
    Inputs,
    Ledger,
    Obligation,
    as_array,
    check_head,
    check_inputs,
    check_output,
    rms_norm,
)

Bools = NDArray[np.bool_]
Note = Callable[[str], None]

FARTHEST = 64
"""Testing channels must have their breakpoints at counter values of at most this size."""


@dataclass(frozen=True)
class CircuitProof:
    """What a certificate of a counter language or a bounded Dyck language rests on.

    Attributes:
        method: "counters" or "slots".
        stages: the control's blocks, explored.
        inputs: the word graph that the first block reads.
        cases: how many read-outs were looked at.
        margin: the smallest |score| while the word lives.
        limits: for each counter, the |value| up to which the claim holds.
        obligations: all of them hold.
    """

    method: str
    stages: tuple[Stage, ...]
    inputs: WordGraph
    cases: int
    margin: float
    limits: Mapping[str, int]
    obligations: tuple[Obligation, ...]

    scope = "every-implementation"


class NotProvedError(Exception):
    """A step of the argument fails on these weights."""


def _need(condition: Any, reason: str) -> None:
    if not condition:
        raise NotProvedError(reason)


def prove_circuit(
    model: Any,
    language: CounterMachine | BoundedDyck,
    readout: Readout,
    limits: Sequence[int],
    budget: Budget,
    *,
    note: Note = lambda _: None,
) -> CircuitProof | Undecided:
    """Prove that a model is right on every word along which the counters keep within their limits.

    O(control + counters * breakpoints + cases), each times the size of a block.

    Args:
        model: a ``transformers`` ``MambaForCausalLM`` made by one of the paper's own constructions, or one like it.
        language: the language.
        readout: how they are bound; its contract is what is proved.
        limits: for each counter of the machine the greatest |value|; none for bounded Dyck languages.
        budget: events per stage of the control, and seconds per stage.
        note: told now and then what is going on.
    """
    try:
        search = _Search(model, language, readout, budget, note)
        return search.counters(limits) if isinstance(language, CounterMachine) else search.slots()
    except NotProvedError as error:
        return Undecided(str(error))
    except BudgetExceededError as error:
        return Undecided(f"the control: {error.reached:,g} {error.what}, past {error.limit:,g}")


@dataclass(frozen=True)
class _Counted:
    """After the counting block: base(node) + sum of axes[i] * counter i."""

    base: Array
    axes: Array

    def at(self, nodes: Any, values: Any) -> Array:
        """The vectors of nodes with given counters."""
        result: Array = self.base[nodes] + np.asarray(values, dtype=np.float64) @ self.axes
        return result


@dataclass(frozen=True)
class _Tested:
    """After the testing block: zero(node) + sum of by_sign[node, i, sign] (+ the raw counters)."""

    zero: Array
    by_sign: Array

    def at(self, nodes: NDArray[np.intp], signs: NDArray[np.intp]) -> Array:
        """The vectors of cases, raw counters at zero."""
        result = self.zero[nodes].copy()
        for i in range(signs.shape[1]):
            result += self.by_sign[nodes, i, signs[:, i] + 1]
        return result


class _Search:
    def __init__(
        self, model: Any, language: CounterMachine | BoundedDyck, readout: Readout, budget: Budget, note: Note
    ) -> None:
        self.model, self.language, self.readout, self.budget, self.note = model, language, readout, budget, note
        self.stepper = Stepper(model, BATCH)
        self.blocks = self.stepper.blocks
        self.ledger = Ledger()
        self.extremes: list[Array] = []
        self.letters = language.alphabet
        self.bos = len(self.letters)
        self.columns = readout.columns(self.letters)
        self.names = [*(self.letters if readout.next_index else ()), *(() if readout.accept is None else (EOS,))]
        _need(readout.threshold == 0, "the readout's threshold is not 0")

    # -- the two methods -----------------------------------------------------------------------------------------

    def counters(self, limits: Sequence[int]) -> CircuitProof:
        machine = self.language
        assert isinstance(machine, CounterMachine)
        everything = self.readout.contract == "all-words"
        controls = len(self.blocks) - (3 if everything else 2)
        _need(controls >= 0, f"{len(self.blocks)} blocks are too few for this contract")
        self._check_limits(machine, limits)
        self.extremes = _extremes(limits)
        states = machine.states
        inputs = self._control_inputs(machine, live_only=not everything)
        stages, graph, vectors = self._explore(inputs, controls)
        letters, truth = np.array(graph.letters), np.array(graph.truth)
        self.note("counters")
        counted = self._count(self.blocks[controls], vectors, letters == self.bos, self._changes(machine, graph))
        self.note("tests")
        tested = self._test(self.blocks[controls + 1], counted, f"block {controls + 1}")
        self.note("read-outs")
        alive = truth < len(states)
        signs = [(-1, 0, 1) if c.signed else (0, 1) for c in machine.counters]
        nodes, values = _cases(np.flatnonzero(alive), signs)
        right = self._right(machine, truth[nodes], values)
        self._unseen(self.model.backbone.norm_f, as_array(self.model.lm_head.weight)[self.columns], counted, "lm_head")
        margin = self._verdicts(tested.at(nodes, values), right)
        # The raw counters are in the stream as well, up to their limits.
        for extreme in self.extremes:
            check_head(self.ledger, self.model, tested.at(nodes, values) + extreme @ counted.axes)
        if everything:
            self.note("error latch")
            self._latch(controls + 2, machine, graph, counted, tested)
        return self._proof("counters", stages, inputs, len(nodes), margin, machine, limits)

    def slots(self) -> CircuitProof:
        language = self.language
        assert isinstance(language, BoundedDyck)
        _need(self.readout.contract == "live-prefixes", "bounded Dyck languages are certified on live prefixes only")
        _need(len(self.blocks) == 2, f"{len(self.blocks)} blocks instead of two")
        table = [[0] * len(self.letters)]
        inputs = control_graph(table, 1, self._embedded(), live_only=True)
        kinds, h = language.kinds, language.depth
        self.extremes = [np.array([d], dtype=np.float64) for d in range(h + 1)]
        letters = np.array(inputs.letters)
        is_bos, closing = letters == self.bos, letters % 2 == 1
        changes = np.where(is_bos, 0, np.where(closing, -1, 1)).astype(np.float64)[:, None]
        self.note("depth")
        counted = self._count(self.blocks[0], inputs.vectors.double().numpy(), is_bos, changes)
        self.note("slots")
        pairs = [
            (n, d)
            for n in range(len(letters))
            for d in ([0] if is_bos[n] else range(h) if closing[n] else range(1, h + 1))
        ]
        nodes, depth = (np.array(column) for column in zip(*pairs, strict=True))
        kind = np.where(is_bos[nodes], -1, letters[nodes] // 2)
        opening = ~closing[nodes] & ~is_bos[nodes]
        vectors, rights = self._slots(counted.at(nodes, depth[:, None]), depth, kind, opening, kinds, h)
        self.note("read-outs")
        margin = self._verdicts(vectors, rights)
        return self._proof("slots", (), inputs, len(vectors), margin, None, [])

    def _proof(
        self,
        method: str,
        stages: tuple[Stage, ...],
        inputs: WordGraph,
        cases: int,
        margin: float,
        machine: CounterMachine | None,
        limits: Sequence[int],
    ) -> CircuitProof:
        obligations = self.ledger.obligations()
        for o in obligations:
            _need(o.holds, f"obligation {o.name} fails: {o.detail}")
        named = {} if machine is None else {c.name: n for c, n in zip(machine.counters, limits, strict=True)}
        return CircuitProof(method, stages, inputs, cases, margin, named, obligations)

    # -- control -------------------------------------------------------------------------------------------------

    def _embedded(self) -> torch.Tensor:
        ids = [*(self.readout.tokens[s] for s in self.letters), self.readout.bos]
        return self.stepper.embed(torch.tensor(ids, dtype=torch.long))

    def _control_inputs(self, machine: CounterMachine, *, live_only: bool) -> WordGraph:
        states = machine.states
        number, dead = {q: n for n, q in enumerate(states)}, len(states)
        rows = []
        for q in states:
            row = machine.transitions.get(q, {})
            rows.append([number[row[s].to] if s in row else dead for s in self.letters])
        return control_graph([*rows, [dead] * len(self.letters)], dead, self._embedded(), live_only=live_only)

    def _explore(self, inputs: WordGraph, blocks: int) -> tuple[tuple[Stage, ...], WordGraph, Array]:
        """The control's blocks, one stage each; the graph after them and its vectors."""
        graph, stages, vectors = inputs, [], inputs.vectors
        for block in range(blocks):
            self.note(f"control, block {block + 1} of {blocks}")
            stage, graph = explore(self.stepper, block, block + 1, graph, self.budget.meter(f"events of block {block}"))
            agree = oblige(self.ledger, self.stepper, stage, vectors)
            _need(agree or self.ledger.failure, f"exact arithmetic disagrees with the step function in block {block}")
            vectors = stage_inputs(stage)
            stages.append(stage)
        return tuple(stages), graph, vectors.double().numpy()

    # -- counting ------------------------------------------------------------------------------------------------

    def _check_limits(self, machine: CounterMachine, limits: Sequence[int]) -> None:
        """A scan may add up any segment first: a difference of two values, which float32 must hold."""
        for c, limit in zip(machine.counters, limits, strict=True):
            _need(limit >= 1, f"the limit {limit} of counter {c.name!r} leaves nothing to claim")
            _need(limit * (2 if c.signed else 1) <= 2**24, f"the limit {limit:,} of counter {c.name!r} is too large")

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
                _need(
                    np.isnan(changes[m]).all() or (changes[m] == added).all(),
                    f"after {self.letters[graph.letters[m]]!r} the control does not tell what was added",
                )
                changes[m] = added
        return changes

    def _now_only(self, block: Any, name: str) -> None:
        weight = as_array(block.mixer.conv1d.weight)[:, 0, :-1]
        _need((weight == 0).all(), f"{name} reads the past, which this argument does not cover")

    def _inputs(self, block: Any, vectors: Array, name: str) -> Inputs:
        past = np.zeros((len(vectors), block.mixer.intermediate_size, block.mixer.conv_kernel_size))
        return check_inputs(self.ledger, block, vectors, past, name)

    def _count(
        self,
        block: Any,
        vectors: Array,
        is_bos: Bools,
        changes: Array,
    ) -> _Counted:
        """Step 2 of the argument. ``changes`` has a column per counter."""
        name = "the counting block"
        self._now_only(block, name)
        inputs = self._inputs(block, vectors, name)
        written = (inputs.write != 0).any(axis=0)
        overwritten = ~inputs.held.any(axis=0) & written
        counts = inputs.held[~is_bos].all(axis=0) & ~inputs.held[is_bos].any(axis=0) & written & ~overwritten
        _need((overwritten | counts | ~written).all(), f"{name}: an entry is held here and overwritten there")
        _need((inputs.write[:, counts] % 1 == 0).all(), f"{name}: an entry counts what is no integer")
        known = ~np.isnan(changes[:, 0])
        which = np.full(written.shape, -1)
        for c, n in np.argwhere(counts):
            found = [i for i in range(changes.shape[1]) if (inputs.write[known, c, n] == changes[known, i]).all()]
            _need(found, f"{name}: channel {c} counts something else than a counter of the language")
            which[c, n] = found[0]
        for i in range(changes.shape[1]):
            alike = inputs.write[:, which == i]
            _need((alike == alike[:, :1]).all(), f"{name}: entries of counter {i} differ once a word has died")
        reads = np.stack([(which == i).any(axis=1) for i in range(changes.shape[1])])
        _need((reads.sum(axis=0) <= 1).all(), f"{name}: a channel reads two counters")
        out = as_array(block.mixer.out_proj.weight)
        shown = inputs.gate[:, :, None] * inputs.c_read[:, None, :]  # k, before out_proj
        axes = []
        for i in range(changes.shape[1]):
            axis = (shown * (which == i)).sum(axis=2) @ out.T
            _need((axis == axis[0]).all(), f"{name}: counter {i} is not shown alike at all letters")
            axes.append(axis[0])
        _need(((np.array(axes) != 0).sum(axis=0) <= 1).all(), f"{name}: two counters are shown in one feature")
        present = np.where(overwritten, inputs.write, 0.0)
        base = vectors + ((shown * present).sum(axis=2) + inputs.skip * inputs.gate) @ out.T
        for extreme in self.extremes:
            values = np.where(which >= 0, np.append(extreme, 0.0)[which], present)
            found_out = check_output(self.ledger, block, vectors, inputs, values, name)
            self._holds()
            _need((found_out == base + extreme @ np.array(axes)).all(), f"{name}: the sum of its parts is another")
        return _Counted(base, np.array(axes))

    def _holds(self) -> None:
        for obligation, where in self.ledger.failure.items():
            _need(False, f"obligation {obligation} fails: {where}")

    # -- testing -------------------------------------------------------------------------------------------------

    def _slopes(self, norm: Any, weight: Array, counted: _Counted) -> Array:
        """How each row of a weight depends on each counter, shape (counters, rows); the norm is linear here."""
        base = counted.base[:1]
        normed = _normed(norm, np.concatenate([base, base + counted.axes]))
        result: Array = (normed[1:] - normed[:1]) @ weight.T
        return result

    def _unseen(self, norm: Any, weight: Array, counted: _Counted, name: str) -> None:
        _need((self._slopes(norm, weight, counted) == 0).all(), f"{name} reads a raw counter")

    def _test(self, block: Any, counted: _Counted, name: str) -> _Tested:
        """Step 3 of the argument."""
        self._now_only(block, name)
        mixer = block.mixer
        slopes, gates = np.split(self._slopes(block.norm, as_array(mixer.in_proj.weight), counted), 2, axis=1)
        _need((gates == 0).all(), f"{name}: a gate branch reads a counter")
        reads = slopes != 0
        _need((reads.sum(axis=0) <= 1).all(), f"{name}: a channel reads two counters")
        selected = as_array(mixer.x_proj.weight)
        rank, size = mixer.time_step_rank, mixer.ssm_state_size
        _need((selected[rank : rank + size] == 0).all(), f"{name} writes a state")
        _need((selected[:, reads.any(axis=0)] == 0).all(), f"{name}: Delta or C depends on a counter")
        shown = as_array(mixer.out_proj.weight) != 0
        _need(
            (shown @ reads.T.astype(float) > 0).sum(axis=1).max(initial=0) <= 1, f"{name}: a feature shows two counters"
        )
        # The breakpoints: where the convolution's sum is 0.
        tap = as_array(mixer.conv1d.weight)[:, 0, -1]
        bias = 0.0 if mixer.conv1d.bias is None else as_array(mixer.conv1d.bias)
        normed = _normed(block.norm, counted.base)
        offset = normed @ as_array(mixer.in_proj.weight)[: len(tap)].T * tap + bias
        slope = np.abs(slopes * tap).sum(axis=0)
        points = np.abs(offset[:, slope > 0] / slope[slope > 0])
        reach = int(np.ceil(points.max(initial=0.0))) + 2
        _need(reach <= FARTHEST, f"{name}: a breakpoint at a counter value past {FARTHEST}")
        m, n_nodes = len(counted.axes), len(counted.base)
        window = np.arange(-reach, reach + 1)
        values = np.zeros((m, len(window), m))
        for i in range(m):
            values[i, :, i] = window
        flat = np.concatenate([values.reshape(-1, m), *(e[None] for e in self.extremes)])
        nodes = np.repeat(np.arange(n_nodes), len(flat))
        raw = np.tile(flat, (n_nodes, 1))
        vectors = counted.at(nodes, raw)
        inputs = self._inputs(block, vectors, name)
        states = np.zeros(inputs.write.shape)
        out = check_output(self.ledger, block, vectors, inputs, states, name) - raw @ counted.axes
        self._holds()
        out = out.reshape(n_nodes, len(flat), -1)
        zero = out[:, reach]
        by_sign = np.zeros((n_nodes, m, 3, out.shape[2]))
        for i in range(m):
            part = out[:, i * len(window) : (i + 1) * len(window)] - zero[:, None]
            for sign, side in ((1, part[:, reach + 1 :]), (-1, part[:, :reach])):
                _need((side == side[:, :1]).all(), f"{name}: more than the sign of a counter is shown")
                by_sign[:, i, sign + 1] = side[:, 0]
        tested = _Tested(zero, by_sign)
        for place, extreme in enumerate(self.extremes, m * len(window)):
            signs = np.tile(np.sign(extreme).astype(np.intp), (n_nodes, 1))
            _need((out[:, place] == tested.at(np.arange(n_nodes), signs)).all(), f"{name}: large counters differ")
        return tested

    # -- read-out ------------------------------------------------------------------------------------------------

    def _right(self, machine: CounterMachine, truth: NDArray[np.intp], signs: NDArray[np.intp]) -> Bools:
        """What may come next in each case, shape (cases, columns)."""
        known: dict[tuple[int, ...], list[bool]] = {}
        rows = []
        for q, row in zip(truth.tolist(), signs.tolist(), strict=True):
            key = (q, *row)
            if key not in known:
                allowed = machine.allowed((machine.states[q], tuple(row)))
                known[key] = [name in allowed for name in self.names]
            rows.append(known[key])
        return np.array(rows, dtype=np.bool_)

    def _verdicts(self, vectors: Array, right: Bools) -> float:
        """The scores of cases have the right signs; the smallest size of any."""
        scores = check_head(self.ledger, self.model, vectors)[:, self.columns]
        self._holds()
        wrong = ((scores > 0) != right).any(axis=1)
        _need(not wrong.any(), f"{int(wrong.sum())} of {len(wrong)} read-outs are wrong")
        return float(np.abs(scores).min())

    # -- error latch ---------------------------------------------------------------------------------------------

    def _latch(
        self,
        number: int,
        machine: CounterMachine,
        graph: WordGraph,
        counted: _Counted,
        tested: _Tested,
    ) -> None:
        """Step 4 of the argument, and the second half of step 5."""
        block, name = self.blocks[number], f"block {number}"
        mixer = block.mixer
        self._unseen(block.norm, as_array(mixer.in_proj.weight), counted, name)
        taps = as_array(mixer.conv1d.weight)[:, 0, :]
        _need((taps[:, :-2] == 0).all(), f"{name} reads more than one step back")
        past = taps[:, -2] != 0
        _need(not (past & (taps[:, -1] != 0)).any(), f"{name}: a channel reads two taps")
        letters, truth = np.array(graph.letters), np.array(graph.truth)
        nodes, signs = _cases(np.arange(len(graph)), [(-1, 0, 1)] * len(machine.counters))
        vectors = tested.at(nodes, signs)
        for extreme in self.extremes:
            self._inputs(block, vectors + extreme @ counted.axes, name)
        normed = _normed(block.norm, vectors)
        u, z = np.split(normed @ as_array(mixer.in_proj.weight).T, 2, axis=1)
        _need((z == z[0]).all(), f"{name}: a gate branch depends on the case")
        now = np.full((self.bos + 1, u.shape[1]), np.nan)
        stream = np.zeros((self.bos + 1, vectors.shape[1]))
        for letter in range(self.bos + 1):
            rows = np.flatnonzero(letters[nodes] == letter)
            if len(rows):
                here = u[rows][:, ~past]
                _need((here == here[0]).all(), f"{name}: what it reads of the present is more than the letter")
                now[letter], stream[letter] = u[rows[0]], vectors[rows[0]]
        # Cases before, told apart by what the latch reads of them and by what the machine allows there.
        living = (truth[nodes] < len(machine.states)) & np.array(
            [all(s >= 0 or c.signed for c, s in zip(machine.counters, row, strict=True)) for row in signs.tolist()]
        )
        allowed = np.zeros((len(nodes), self.bos), dtype=np.bool_)
        for row in np.flatnonzero(living):
            may = machine.allowed((machine.states[truth[nodes[row]]], tuple(signs[row].tolist())))
            allowed[row] = [s in may for s in self.letters]
        keys = np.column_stack([u * past, living, allowed])
        _, first = np.unique(keys, axis=0, return_index=True)
        present = [a for a in range(self.bos + 1) if not np.isnan(now[a]).any()]
        before = np.repeat(first, len(present))
        coming = np.tile(np.array(present), len(first))
        window = np.zeros((len(before), u.shape[1], taps.shape[1]))
        window[:, :, -1] = u[before]
        inputs = check_inputs(self.ledger, block, stream[coming], window, name)
        self._holds()
        begins: Bools = coming == self.bos
        write, held = inputs.write, inputs.held
        written = (write != 0).any(axis=0)
        _need(not held[begins][:, written].any(), f"{name}: <bos> does not overwrite an entry")
        _need((write[begins] == 0).all(), f"{name}: <bos> writes something")
        clean: Bools = np.where(held, write == 0, write > 0)[~begins]
        _need(clean[:, written].all(), f"{name}: an entry may be lost")
        read = living[before] & ~begins
        may_come = allowed[before, np.minimum(coming, self.bos - 1)]
        fired = np.asarray(((write > 0) & ~held).reshape(len(write), -1).any(axis=1))
        _need(not fired[read & may_come].any(), f"{name}: it fires though nothing is wrong")
        _need(fired[read & ~may_come].all(), f"{name}: it misses an error")
        # What the entries do to the scores.
        out = as_array(mixer.out_proj.weight)
        _need((inputs.skip * inputs.gate == 0).all(), f"{name} writes more than its memory")
        shown = inputs.gate[:, :, None] * inputs.c_read[:, None, :]
        _need((shown == shown[0])[:, written].all(), f"{name}: an entry is not always shown alike")
        most = np.where(written, write.max(axis=0), 0.0)
        touched = (out[:, written.any(axis=1)] != 0).any(axis=1)
        _need((vectors[:, touched] == 0).all(), f"{name} writes where something else is")
        _need((counted.axes[:, touched] == 0).all(), f"{name} writes where a counter is")
        check_output(self.ledger, block, stream[coming], inputs, np.broadcast_to(most, write.shape), name)
        base = check_head(self.ledger, self.model, vectors)[:, self.columns]
        everything = (shown[0] * most).sum(axis=1) @ out.T
        check_head(self.ledger, self.model, vectors + everything)
        self._holds()
        weight = as_array(self.model.lm_head.weight)[self.columns]
        root = _normed(self.model.backbone.norm_f, np.stack([vectors[0], vectors[0] + everything]))
        scale = np.where(everything != 0, (root[1] - root[0]) / np.where(everything != 0, everything, 1.0), 0.0)
        for c, n in np.argwhere(written):
            effect = weight @ (out[:, c] * shown[0, c, n] * scale)
            _need((effect <= 0).all(), f"{name}: an error speaks for a token")
            least = float(write[:, c, n][write[:, c, n] > 0].min())
            _need((base.max(axis=0) + effect * least < 0).all(), f"{name}: an error does not forbid everything")

    # -- slots ---------------------------------------------------------------------------------------------------

    def _slots(
        self, vectors: Array, depth: NDArray[Any], kind: NDArray[Any], opening: Bools, kinds: int, h: int
    ) -> tuple[Array, Bools]:
        """Step 2 of the argument for bounded Dyck languages: output vectors and right verdicts of all cases."""
        block, name = self.blocks[1], "the slots block"
        self._now_only(block, name)
        inputs = self._inputs(block, vectors, name)
        self._holds()
        write, held = inputs.write, inputs.held
        _need((write >= 0).all(), f"{name} writes something negative")
        _need((~held | (write == 0)).all(), f"{name}: a gate of 1 with a write")
        out = as_array(block.mixer.out_proj.weight)
        most = write.max(axis=0)
        check_output(self.ledger, block, vectors, inputs, np.broadcast_to(most, write.shape), name)
        self._holds()
        base = vectors + (inputs.skip * inputs.gate) @ out.T
        groups: dict[bytes, list[tuple[int, int]]] = {}
        for c, n in np.argwhere(most > 0).tolist():
            groups.setdefault(held[:, c, n].tobytes() + write[:, c, n].tobytes(), []).append((c, n))
        top = np.zeros((len(vectors), kinds, vectors.shape[1]))
        for members in groups.values():
            channels, entries = (list(column) for column in zip(*members, strict=True))
            shown = (inputs.gate[:, channels] * inputs.c_read[:, entries]) @ out[:, channels].T
            seen = (shown != 0).any(axis=1)
            if not seen.any():
                continue
            slot = int(depth[seen][0])
            _need(slot >= 1 and (depth[seen] == slot).all(), f"{name}: a memory is shown at two depths")
            c, n = members[0]
            pushed = opening & (depth == slot)
            _need(not held[pushed, c, n].any(), f"{name}: a memory of depth {slot} misses an opening bracket")
            kept = held[(depth >= slot) & ~pushed, c, n]
            _need(kept.all(), f"{name}: a memory of depth {slot} is overwritten at another bracket")
            value = np.zeros(kinds)
            value[kind[pushed]] = write[pushed, c, n]
            top += shown[:, None, :] * value[None, :, None]
        cases, tops = [], []
        for row in range(len(vectors)):
            on_top = [int(kind[row])] if opening[row] else range(kinds) if depth[row] else [-1]
            cases += [row] * len(on_top)
            tops += list(on_top)
        rows, on = np.array(cases), np.array(tops)
        result = base[rows] + np.where((on >= 0)[:, None], top[rows, np.maximum(on, 0)], 0.0)
        right = np.zeros((len(rows), len(self.names)), dtype=np.bool_)
        for column, token in enumerate(self.names):
            if token == EOS:
                right[:, column] = depth[rows] == 0
            elif column % 2:
                right[:, column] = on == column // 2
            else:
                right[:, column] = depth[rows] < h
        return result, right


def _cases(nodes: NDArray[np.intp], signs: Sequence[Sequence[int]]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Every node with every combination of signs."""
    combinations = np.array(list(product(*signs)), dtype=np.intp).reshape(-1, len(signs))
    return np.repeat(nodes, len(combinations)), np.tile(combinations, (len(nodes), 1))


def _extremes(limits: Sequence[int]) -> list[Array]:
    """Counters at their limits and one below, on both sides (one that is not signed is negative once a word has died).

    No sum has two counters in it, so it does not matter which sides go together.
    """
    top = np.array(limits, dtype=np.float64)
    return [sign * (top - less) for sign in (1, -1) for less in (0, 1)]


def _normed(norm: Any, vectors: Array) -> Array:
    """RMSNorm in exact arithmetic; its obligations are checked where the vectors go through a block."""
    return rms_norm(Ledger(), norm, vectors, ACCUMULATOR, "")
