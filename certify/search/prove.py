"""Certificates: proofs that a model is right on every word of every length.

Three attempts, cheapest first. *Block by block*: one stage per block (``compiler.explore``), whose cost is a sum over
blocks. *Whole model*: one stage for everything, exact, which closes only for small models, and whose first wrong node
gives a shortest counterexample. (``scancraft.certify.certify`` adds sampled words, which can refute but never certify.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...automata.alphabet import EOS
from ...automata.budget import Budget
from ...automata.dfa import Dfa
from ...automata.errors import BudgetExceededError
from ...models.errors import ReadoutError
from ...models.readout import Readout
from ...models.run.stepper import Stepper
from .explore import Stage, WordGraph, explore, token_graph
from .obligations import Ledger, Obligation, as_array, check_block, check_head
from .obligations_mamba2 import check_mamba2_block

BATCH = 256
"""Rows per step: the batch shape that a certificate of scope "step" speaks about."""

FIRST_LOOK = 1_000
"""Events of the whole model that are looked at before anything else, for short counterexamples."""


@dataclass(frozen=True)
class Proof:
    """Everything a certificate rests on.

    Attributes:
        method: "block by block" or "whole model".
        stages: the closed lists of events and transitions, in the order of the blocks.
        graph: the output of the last stage.
        logits: the model's scores at each node of it, shape (nodes, columns).
        margin: the smallest |score|.
        obligations: what carries the proof to every implementation.
        values_agree: whether exact arithmetic gave the step function's own numbers on every step.
    """

    method: str
    stages: tuple[Stage, ...]
    graph: WordGraph
    logits: Tensor
    margin: float
    obligations: tuple[Obligation, ...]
    values_agree: bool

    @property
    def scope(self) -> str:
        """ "every-implementation" if all obligations hold, else "step"."""
        everywhere = self.values_agree and all(o.holds for o in self.obligations)
        return "every-implementation" if everywhere else "step"


@dataclass(frozen=True)
class Counterexample:
    """A word after which the model is wrong.

    Attributes:
        word: the symbols.
        model: the tokens that the model allows next (``<eos>``: it accepts).
        right: the tokens that the language allows.
        shortest: whether no shorter word is wrong.
    """

    word: tuple[str, ...]
    model: frozenset[str]
    right: frozenset[str]
    shortest: bool


@dataclass(frozen=True)
class Undecided:
    """Neither proved nor refuted: how far the searches got."""

    reason: str


Verdict = Proof | Counterexample | Undecided
Note = Callable[[str], None]


def prove(
    model: Any, dfa: Dfa, readout: Readout, budget: Budget, *, compiled: bool, note: Note = lambda _: None
) -> Verdict:
    """Prove or refute that a model is right after every prefix of every word.

    Args:
        model: a ``MambaForCausalLM`` or a ``SignedMambaForCausalLM``.
        dfa: the language.
        readout: how they are bound; under "live-prefixes" dead prefixes are not looked at. It needs a ``bos``.
        budget: events per stage, and seconds per stage.
        compiled: whether to try block by block first (right for compiled models).
        note: told now and then what is going on.
    """
    judge = Judge(model, dfa, readout)
    stepper = Stepper(model, BATCH)
    reasons = []
    attempts: list[tuple[str, Callable[[], Verdict]]] = [
        ("block by block", lambda: _by_blocks(stepper, judge, budget, note)),
        ("whole model", lambda: _whole(stepper, judge, budget, note)),
    ]
    if not compiled:
        first_look = Budget(min(FIRST_LOOK, budget.items), budget.seconds)
        attempts.insert(0, ("first look", lambda: _whole(stepper, judge, first_look, note)))
    for name, attempt in attempts:
        try:
            verdict = attempt()
        except BudgetExceededError as error:
            reasons.append(f"{name}: {error.reached:,g} {error.what}, past {error.limit:,g}")
            continue
        if not isinstance(verdict, Undecided):
            return verdict
        reasons.append(f"{name}: {verdict.reason}")
    return Undecided("; ".join(reasons))


class Judge:
    """Compares scores with the language."""

    def __init__(self, model: Any, dfa: Dfa, readout: Readout) -> None:
        self.model, self.dfa, self.readout = model, dfa, readout
        self.columns = readout.columns(dfa.alphabet)
        names = [*dfa.alphabet] if readout.next_index else []
        self.names = [*names, *([] if readout.accept is None else [EOS])]
        self.right = [self._allowed(q) for q in range(dfa.n_states)]

    def _allowed(self, state: int) -> frozenset[str]:
        allowed = set(self.dfa.next_symbols(state)) | ({EOS} if state in self.dfa.accepting else set())
        return frozenset(allowed & set(self.names))

    def said(self, row: Tensor) -> frozenset[str]:
        """The tokens that a row of scores allows."""
        return frozenset(n for n, score in zip(self.names, row.tolist(), strict=True) if score > self.readout.threshold)

    def inputs(self, stepper: Stepper) -> WordGraph:
        """The word graph of the language under this readout."""
        tokens = [*(self.readout.tokens[s] for s in self.dfa.alphabet), self.readout.bos]
        vectors = stepper.embed(torch.tensor(tokens, dtype=torch.long))
        return token_graph(self.dfa, vectors, live_only=self.readout.contract == "live-prefixes")

    def scores(self, stepper: Stepper, vectors: Tensor) -> Tensor:
        """The scores that matter, shape (rows, columns); :class:`ReadoutError` if they hold a NaN."""
        scores = stepper.logits(vectors)[:, self.columns]
        if torch.isnan(scores).any():
            raise ReadoutError("the model's scores contain NaN; nothing can be certified about it, look at its weights")
        return scores


def _by_blocks(stepper: Stepper, judge: Judge, budget: Budget, note: Note) -> Verdict:
    graph = judge.inputs(stepper)
    stages = []
    for block in range(len(stepper.blocks)):
        note(f"block {block + 1} of {len(stepper.blocks)}")
        stage, graph = explore(stepper, block, block + 1, graph, budget.meter(f"events of block {block}"))
        stages.append(stage)
    scores = judge.scores(stepper, graph.vectors)
    wrong = [n for n in range(len(graph)) if judge.said(scores[n]) != judge.right[graph.truth[n]]]
    if wrong:
        return Undecided(f"{len(wrong)} of {len(graph)} read-outs may be wrong")
    return _proof("block by block", stepper, judge, tuple(stages), graph, scores)


def _whole(stepper: Stepper, judge: Judge, budget: Budget, note: Note) -> Verdict:
    note("the whole model at once")
    inputs = judge.inputs(stepper)
    wrong: list[tuple[int, Tensor]] = []

    def stop(_: int, truth: int, vector: Tensor) -> bool:
        scores = judge.scores(stepper, vector[None])[0]
        if judge.said(scores) != judge.right[truth]:
            wrong.append((truth, scores))
        return bool(wrong)

    depth = len(stepper.blocks)
    stage, graph = explore(stepper, 0, depth, inputs, budget.meter("events of the whole model"), stop)
    if wrong:
        truth, scores = wrong[0]
        letters = [inputs.letters[stage.events[e][0]] for e in stage.path(len(stage.events) - 1)]
        word = tuple(judge.dfa.alphabet[a] for a in letters[1:])
        return Counterexample(word, judge.said(scores), judge.right[truth], shortest=True)
    scores = judge.scores(stepper, graph.vectors)
    return _proof("whole model", stepper, judge, (stage,), graph, scores)


def _proof(
    method: str, stepper: Stepper, judge: Judge, stages: tuple[Stage, ...], graph: WordGraph, scores: Tensor
) -> Proof:
    margin = float((scores - judge.readout.threshold).abs().min()) if scores.numel() else float("inf")
    ledger = Ledger()
    agree = True
    inputs = judge.inputs(stepper).vectors
    for stage in stages:
        agree = oblige(ledger, stepper, stage, inputs) and agree
        if ledger.failure:
            break
        inputs = stage_inputs(stage)
    if not ledger.failure:
        exact = check_head(ledger, stepper.model, as_array(graph.vectors))[:, judge.columns]
        agree = agree and bool((exact == as_array(scores)).all())
    return Proof(method, stages, graph, scores, margin, ledger.obligations(), agree)


def stage_inputs(stage: Stage) -> Tensor:
    """The vectors of the nodes of a stage's output graph, in the order of the nodes."""
    vector_of: dict[int, int] = {}
    for (_, _, vector), node in zip(stage.events, stage.outputs, strict=True):
        vector_of[node] = vector
    return stage.vectors[[vector_of[n] for n in range(len(vector_of))]]


def evaluations(stage: Stage, vectors: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Every distinct step of a stage, in chunks: input vectors, own states before, own states after, outputs."""
    _, distinct = np.unique(vectors.numpy(), axis=0, return_inverse=True)
    representative = {int(d): n for n, d in enumerate(distinct.reshape(-1))}
    size = stage.states.shape[1]
    seen: dict[tuple[int, int], tuple[int, int, int]] = {}
    for source, target in stage.transitions:
        node, after, out = stage.events[target]
        seen[representative[int(distinct.reshape(-1)[node])], stage.events[source][1]] = (node, after, out)
    first_node, first_after, first_out = stage.events[0]
    zero = torch.zeros(1, size)
    yield (
        vectors[first_node][None],
        zero,
        stage.states[first_after][None],
        stage.vectors[first_out][None],
    )
    keys = list(seen)
    for at in range(0, len(keys), ROWS):
        chunk = keys[at : at + ROWS]
        yield (
            vectors[[n for n, _ in chunk]],
            stage.states[[s for _, s in chunk]],
            stage.states[[seen[k][1] for k in chunk]],
            stage.vectors[[seen[k][2] for k in chunk]],
        )


ROWS = 512
"""Steps looked at together in exact arithmetic."""


def oblige(ledger: Ledger, stepper: Stepper, stage: Stage, vectors: Tensor) -> bool:
    """Record the obligations of every step of a stage; whether exact arithmetic agrees with the step function."""
    agree = True
    taps, channels = stepper.taps, stepper.channels
    check = check_mamba2_block if len(stepper.state_shape) == 3 else check_block
    for stream, before, after, out in evaluations(stage, vectors):
        current = as_array(stream)
        for place, number in enumerate(range(stage.first, stage.last)):
            own = slice(place * stepper.block_size, (place + 1) * stepper.block_size)
            state, expected = as_array(before[:, own]), as_array(after[:, own])
            past = state[:, : channels * taps].reshape(-1, channels, taps)
            ssm = state[:, channels * taps :].reshape(-1, *stepper.state_shape)
            current, window, new = check(ledger, stepper.blocks[number], current, past, ssm, f"block {number}")
            kept = np.where(stepper.masks[number].numpy(), window, 0.0).reshape(len(window), -1)
            found = np.concatenate([kept, new.reshape(len(new), -1)], axis=1)
            agree = agree and bool((found == expected).all())
            if ledger.failure:
                return agree
        agree = agree and bool((current == as_array(out)).all())
    return agree


__all__ = ["BATCH", "Counterexample", "Judge", "Proof", "Undecided", "Verdict", "prove"]
