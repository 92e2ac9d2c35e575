"""Which edges matter, by exact ablation.

A *context* is a recurrent state of the whole model that some word leads to, and the token that is read next. At one
context an edge carries a number, and at another one perhaps another. The edge **matters** iff there are two contexts
such that, if in the first one the edge alone carries what it does in the second, and everything else and all later
steps go on as ever, the sign of a logit changes: at that step, or after some continuation of any length.

Both halves are decided exactly and not by trial. The contexts are all there are: the states are closed under all
tokens, as in a certificate of the method "whole model". And whether two states differ after some continuation is
equivalence of the states of a finite machine: the states that ablation leads to are closed under all letters too, and
refined into classes until nothing splits any more (Moore 1956). The steps are the model's own; what is replaced is a
number that floats hold exactly, or it is an error.

A channel matters iff it is the source of an edge that matters, its own memory left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...automata.alphabet import EOS
from ...automata.budget import DEFAULT_BUDGET, Budget
from ...compiler.checkpoints import Checkpoint
from ...compiler.compiled import CompiledModel
from ...models.run.stepper import Stepper
from ..errors import BenchError
from .graph import EMBEDDING, Edge, Graph, Node, dt_of, scales

Compilation = CompiledModel | Checkpoint
"""What ``scancraft.compile``, ``interp.variant`` or ``scancraft.load`` returned."""

KINDS = ("mamba", "falcon_mamba", "mamba2")
"""Targets whose models have a ground truth here."""

States = Tensor
"""Recurrent states of all blocks, shape (rows, size), as ``models.run.stepper`` has them."""


@dataclass(frozen=True)
class Truth:
    """What matters in a model.

    Attributes:
        edges: those that do.
        nodes: the channels that do.
        contexts: how many there are.
        states: recurrent states that were looked at, those after ablations included.
        ablations: how many steps with a replaced number were made.
    """

    edges: frozenset[Edge]
    nodes: frozenset[Node]
    contexts: int
    states: int
    ablations: int


class _Machine:
    """The model as a machine whose states are numbered; steps are made in batches of any size."""

    def __init__(self, model: Any, letters: Sequence[int], columns: Sequence[int], budget: Budget) -> None:
        self.model, self.letters, self.columns = model, list(letters), list(columns)
        self.stepper, self.meter = Stepper(model, batch=1), budget.meter("recurrent states")
        self.rows: list[Tensor] = []
        self.number: dict[bytes, int] = {}
        self.signs: list[list[bytes]] = []
        """By state and letter: which logits are positive."""
        self.next: list[list[int]] = []

    def step(self, states: States, tokens: Tensor, look: Callable[[int, Any], Iterable[Any]] | None = None) -> Any:
        """Logits and states after one more token, the rows in one batch; ``look`` gives hooks for each block."""
        self.meter.check_time()
        self.stepper.batch = len(states)
        with ExitStack() as stack:
            for number, block in enumerate(self.stepper.blocks):
                for handle in look(number, block) if look is not None else ():
                    stack.callback(handle.remove)
            stream, after = self.stepper.step(0, len(self.stepper.blocks), self.stepper.embed(tokens), states)
        return self.stepper.logits(stream)[:, self.columns], after

    def numbers(self, states: States) -> list[int]:
        """The numbers of states; new ones are listed."""
        found = []
        for row in states:
            key = row.numpy().tobytes()
            if key not in self.number:
                self.meter.tick()
                self.number[key] = len(self.rows)
                self.rows.append(row.clone())
            found.append(self.number[key])
        return found

    def close(self) -> None:
        """Follow all letters from every state that is listed, until there is no new one."""
        while len(self.next) < len(self.rows):
            fresh = torch.stack(self.rows[len(self.next) :])
            count = len(self.letters)
            logits, after = self.step(fresh.repeat_interleave(count, 0), torch.tensor(self.letters * len(fresh)))
            signs, target = [row.numpy().tobytes() for row in logits > 0], self.numbers(after)
            for at in range(0, len(target), count):
                self.signs.append(signs[at : at + count])
                self.next.append(target[at : at + count])

    def classes(self) -> list[int]:
        """Of every state the class of those that no continuation tells apart."""
        found, count = [0] * len(self.rows), 1
        while True:
            keys = [
                (c, *zip(s, (found[t] for t in n), strict=True))
                for c, s, n in zip(found, self.signs, self.next, strict=True)
            ]
            index: dict[Any, int] = {}
            found = [index.setdefault(key, len(index)) for key in keys]
            if len(index) == count:
                return found
            count = len(index)


@dataclass
class _Seen:
    """What the nodes hold at every context: x and what is written, per block, shape (contexts, channels) each.

    And the streams before and after norms, and what Delta, B and C are made of (in Mamba-2 all that in_proj puts out).
    """

    x: list[Tensor]
    written: list[Tensor]
    streams: list[Tensor]
    normed: list[Tensor]
    selected: list[Tensor]


def truth_of(compiled: Compilation, budget: Budget = DEFAULT_BUDGET) -> tuple[Graph, Truth]:
    """The graph of a compiled model, and what matters in it.

    O(edges that carry different numbers * contexts * numbers) steps of the model, in batches.

    Args:
        compiled: a model for all words of one of the targets ``KINDS`` (a variant, too).
        budget: how many recurrent states to look at.

    Raises:
        BenchError: another kind of model, a promise on live prefixes only, or B or C that are not always the same.
        BudgetExceededError: more states than the budget allows.
    """
    manifest = compiled.manifest
    if manifest.target not in KINDS or manifest.contract != "all-words" or manifest.counters:
        raise BenchError(
            f"ground truth is worked out for models of the targets {', '.join(KINDS)} that promise all words and do "
            "not count (what counts has no end of states, and the signs of gates cannot be patched); "
            f"this is {manifest.construction} as {manifest.target}, contract {manifest.contract}"
        )
    model, readout, alphabet = compiled.model(), compiled.readout, compiled.language.alphabet
    letters = [readout.tokens[s] for s in alphabet]
    columns = [*letters, manifest.tokens[EOS]]
    assert readout.bos is not None
    machine = _Machine(model, letters, columns, budget)
    nothing = torch.zeros(1, len(machine.stepper.blocks) * machine.stepper.block_size)
    begin = torch.tensor([readout.bos])
    _, first = machine.step(nothing, begin)
    machine.numbers(first)
    machine.close()
    count = len(machine.rows)
    states = torch.cat([nothing, torch.stack(machine.rows).repeat_interleave(len(letters), 0)])
    tokens = torch.cat([begin, torch.tensor(letters * count, dtype=torch.int64)])
    seen, logits, after = _look(machine, states, tokens)
    graph = _graph(model, columns, seen, machine.stepper, states)
    trials = _Trials(machine, graph, seen, states, tokens, logits, after)
    trials.ports()
    trials.steps()
    trials.memories()
    edges = trials.judged()
    nodes = {edge.source for edge in edges if edge.port != "memory" and edge.source != EMBEDDING}
    return graph, Truth(edges, frozenset(nodes), len(states), len(machine.rows), trials.made)


def _look(machine: _Machine, states: States, tokens: Tensor) -> tuple[_Seen, Tensor, States]:
    """What is held at every context, the logits, and the states afterwards."""
    seen = _Seen([], [], [], [], [])

    def look(_: int, block: Any) -> Iterable[Any]:
        def keep(place: list[Tensor]) -> Any:
            return lambda _, args, *out: place.append((out[0] if out else args[0]).detach()[:, 0])

        yield block.register_forward_pre_hook(keep(seen.streams))
        yield block.norm.register_forward_hook(keep(seen.normed))
        if hasattr(block.mixer, "x_proj"):
            yield block.mixer.x_proj.register_forward_pre_hook(keep(seen.x))
            yield block.mixer.x_proj.register_forward_hook(keep(seen.selected))
        else:
            yield block.mixer.in_proj.register_forward_hook(keep(seen.selected))
        yield block.mixer.out_proj.register_forward_pre_hook(keep(seen.written))

    def last(_: Any, args: Any, out: Tensor) -> None:
        seen.streams.append(args[0].detach())
        seen.normed.append(out.detach())

    norm = machine.model.backbone.norm_f.register_forward_hook(last)
    try:
        logits, after = machine.step(states, tokens, look)
    finally:
        norm.remove()
    return seen, logits, after


def _graph(model: Any, columns: Sequence[int], seen: _Seen, stepper: Stepper, states: States) -> Graph:
    """The graph, if it is as linear as it is taken to be.

    Raises:
        BenchError: a norm that scales vectors differently, or B or C that change.
    """
    step_scale = []
    norms = [*(layer.norm for layer in model.backbone.layers), model.backbone.norm_f]
    found = scales(seen.streams, seen.normed, [norm.weight.detach() for norm in norms])
    for number, (norm, scale) in enumerate(zip(norms, found, strict=True)):
        if not torch.equal(
            seen.streams[number].double() * scale * norm.weight.detach().double(), seen.normed[number].double()
        ):
            raise BenchError(f"norm {number} does not multiply all vectors by the same number")
    for number, (selected, layer) in enumerate(zip(seen.selected, model.backbone.layers, strict=True)):
        mixer = layer.mixer
        if hasattr(mixer, "x_proj"):
            both, dt = selected[:, mixer.time_step_rank :], selected[:, : mixer.time_step_rank].double()
            read = dt_of(mixer, selected).double()
            at = int(dt[0].abs().argmax())
            step_scale.append(float(read[0, at] / dt[0, at]) if dt[0, at] else 1.0)
            if not torch.equal(dt * step_scale[-1], read):
                raise BenchError(f"the norm of dt in block {number} does not multiply all vectors by the same number")
        else:
            both = _convolved(stepper, number, selected, states)[:, mixer.intermediate_size :]
        if not torch.equal(both, both[:1].expand_as(both)):
            raise BenchError(f"B or C of block {number} is not always the same, which has no edges here")
    return Graph(model, columns, found, step_scale)


def _convolved(stepper: Stepper, number: int, projected: Tensor, states: States) -> Tensor:
    """Of a block of Mamba-2: x, B and C before silu, shape (contexts, channels)."""
    mixer, begin = stepper.blocks[number].mixer, number * stepper.block_size
    past = states[:, begin : begin + stepper.conv_size].reshape(len(states), stepper.channels, stepper.taps)
    inner = mixer.intermediate_size
    window = torch.cat([past[:, :, 1:], projected[:, inner : inner + stepper.channels, None]], dim=2)
    result: Tensor = (window * mixer.conv1d.weight[:, 0]).sum(dim=2) + mixer.conv1d.bias
    return result.detach()


@dataclass
class _Trial:
    """An edge, the context at which it carried something else, which logits were then positive, and the next state."""

    edge: Edge
    context: int
    signs: bytes
    state: int


class _Trials:
    """Ablations of one edge at one context each, made in batches."""

    def __init__(
        self,
        machine: _Machine,
        graph: Graph,
        seen: _Seen,
        states: States,
        tokens: Tensor,
        logits: Tensor,
        after: States,
    ) -> None:
        self.machine, self.graph, self.seen = machine, graph, seen
        self.states, self.tokens, self.logits = states, tokens, logits
        self.signs = [row.numpy().tobytes() for row in logits > 0]
        self.after = machine.numbers(after)
        self.found: list[_Trial] = []
        self.certain: set[Edge] = set()
        self.made = 0

    def _other(self, carried: Tensor) -> tuple[Tensor, Tensor]:
        """Contexts and what is added there, so that an edge carries each other number that it ever does."""
        values = torch.unique(carried)
        change = values[None] - carried[:, None]
        contexts, which = change.nonzero(as_tuple=True)
        return contexts, change[contexts, which]

    def ports(self) -> None:
        """What arrives through the residual stream."""
        graph, embedded = self.graph, self.machine.stepper.embed(self.tokens)
        for block in range(graph.blocks + 1):
            given = [(EMBEDDING, None, graph.from_embedding(block, embedded))]
            for source in range(block):
                factor, held = graph.factors(source, block), self.seen.written[source].double()
                for n in range(graph.inner):
                    if len(torch.unique(held[:, n])) > 1 and factor[:, n].any():
                        given.append((Node("channel", source, n), None, held[:, n, None] * factor[:, n]))
            rows: list[tuple[Edge, Tensor, Tensor, int]] = []
            for source_node, _, carried in given:
                for (target, port), column in graph.ports(block).items():
                    contexts, change = self._other(carried[:, column])
                    if len(contexts):
                        rows.append((Edge(source_node, target, port), contexts, change, column))
            if block == graph.blocks:
                self._logits(rows)
            else:
                self._edited(rows, lambda b, k, at=block: _adds(b, k, at, "in_proj"))

    def _logits(self, rows: Sequence[tuple[Edge, Tensor, Tensor, int]]) -> None:
        for edge, contexts, change, column in rows:
            self.made += len(contexts)
            own = self.logits[contexts, column].double()
            if ((own > 0) != (own + change > 0)).any():
                self.certain.add(edge)

    def _edited(self, rows: Sequence[tuple[Edge, Tensor, Tensor, int]], hooks: Any) -> None:
        """Steps with numbers added to the columns of a module's output."""
        if not rows:
            return
        contexts = torch.cat([c for _, c, _, _ in rows])
        changes = torch.cat([change for _, _, change, _ in rows])
        columns = torch.cat([torch.full_like(c, column) for _, c, _, column in rows])
        edges = [edge for edge, c, _, _ in rows for _ in c]
        for at in range(0, len(edges), ROWS):
            some = slice(at, at + ROWS)
            edit = (columns[some], changes[some])
            self._note(edges[some], contexts[some], self.states[contexts[some]], lambda n, b, e=edit: hooks(n, b)(e))

    def _note(self, edges: Sequence[Edge], contexts: Tensor, states: States, look: Any) -> None:
        logits, after = self.machine.step(states, self.tokens[contexts], look)
        self.made += len(edges)
        signs, numbers = [row.numpy().tobytes() for row in logits > 0], self.machine.numbers(after)
        self.found += [_Trial(*parts) for parts in zip(edges, contexts.tolist(), signs, numbers, strict=True)]

    def steps(self) -> None:
        """What arrives at Delta: as a change of its bias, which is added to the very same sum.

        In Mamba-2 it arrives through the residual stream, as :meth:`ports` has it.
        """
        for block, mixer in enumerate(() if self.graph.heads else self.graph.mixers):
            factor, held = self.graph.step_factors(block), self.seen.x[block].double()
            for target, source in factor.nonzero().tolist():
                edge = Edge(Node("channel", block, source), Node("channel", block, target), "step")
                contexts, changes = self._other(held[:, source] * factor[target, source])
                for change in torch.unique(changes):
                    some = contexts[changes == change]
                    own = mixer.dt_proj.bias.data[target].clone()
                    mixer.dt_proj.bias.data[target] += change
                    try:
                        self._note([edge] * len(some), some, self.states[some], None)
                    finally:
                        mixer.dt_proj.bias.data[target] = own

    def memories(self) -> None:
        """What a channel remembers of the step before."""
        stepper = self.machine.stepper
        width = stepper.state_shape[-1]
        for block in range(self.graph.blocks):
            for n in range(self.graph.inner):
                begin = block * stepper.block_size + stepper.conv_size + n * width
                own = self.states[:, begin : begin + width]
                node = Node("channel", block, n)
                for value in torch.unique(own, dim=0):
                    some = (own != value).any(dim=1).nonzero().flatten()
                    if len(some):
                        changed = self.states[some].clone()
                        changed[:, begin : begin + width] = value
                        self._note([Edge(node, node, "memory")] * len(some), some, changed, None)

    def judged(self) -> frozenset[Edge]:
        """The edges that matter."""
        self.machine.close()
        classes = self.machine.classes()
        for trial in self.found:
            if trial.signs != self.signs[trial.context] or classes[trial.state] != classes[self.after[trial.context]]:
                self.certain.add(trial.edge)
        return frozenset(self.certain)


ROWS = 4096
"""Steps per batch."""


def _adds(number: int, block: Any, wanted: int, module: str) -> Any:
    """From an edit (columns and what is added there, row by row) to the hooks of a block."""

    def hooks(edit: tuple[Tensor, Tensor]) -> Iterable[Any]:
        def add(_: Any, __: Any, out: Tensor) -> Tensor:
            changed, rows = out.clone(), torch.arange(len(out))
            wanted = out[rows, 0, edit[0]].double() + edit[1]
            changed[rows, 0, edit[0]] = wanted.to(out.dtype)
            if not torch.equal(changed[rows, 0, edit[0]].double(), wanted):
                raise BenchError(f"block {number}: what an edge carries cannot be replaced exactly")
            return changed

        if number == wanted:
            yield getattr(block.mixer, module).register_forward_hook(add)

    return hooks
