"""Boxes that prove a model right, found by telling more and more of the past apart where a score's sign is open."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ....automata.alphabet import BOS, EOS
from ....automata.budget import Budget
from ....automata.dfa import Dfa
from ....automata.errors import BudgetExceededError
from ....models.enclosures import TINY
from ....models.mamba import FALCON_MAMBA, MAMBA, model_type_of
from ....models.mamba2 import MAMBA2
from ....models.readout import Readout
from ..results import Place, ScoreRange
from .explore import BlockBoxes, Explored, explore
from .graph import BoxGraph, Past, box_graph

MOST_NODES = 3_000
"""Of a graph; each has a box for every number that the model remembers."""
ROUNDS = 12
"""Of telling more apart."""
EVERYTHING = (-math.inf, math.inf)
KINDS = (MAMBA, FALCON_MAMBA, MAMBA2)


@dataclass(frozen=True)
class Invariant:
    """Boxes, and what is open in them.

    Attributes:
        graph: the nodes and edges.
        found: the boxes, and the scores at the end of each edge.
        leads: by how much each score is on its side, at least, shape (edges, columns); not positive: its sign is open.
    """

    graph: BoxGraph
    found: Explored
    leads: NDArray[np.float64]

    @property
    def open(self) -> NDArray[np.int64]:
        """The edges at whose end a sign is open."""
        return np.flatnonzero(~(self.leads > 0).all(axis=1))

    def tensors(self) -> Mapping[str, Tensor]:
        """The evidence: what each node stands for, what follows, and the boxes."""
        found = {"nodes": torch.from_numpy(self.graph.states), "following": torch.from_numpy(self.graph.following)}
        for i, block in enumerate(self.found.blocks):
            found |= {f"block{i}.{name}": tensor for name, tensor in _tensors(block).items()}
        return {name: tensor.contiguous() for name, tensor in found.items()}

    def places(self, language: Dfa, readout: Readout) -> tuple[Place, ...]:
        """Where signs are open, one for each edge, the one that is known least first."""
        return tuple(
            self._place(edge, language, readout) for edge in sorted(self.open, key=lambda e: self.leads[e].min())
        )

    def ranges(self, language: Dfa, readout: Readout) -> tuple[ScoreRange, ...]:
        """Each score at each state of the language that a node stands for."""
        graph, scores, right = self.graph, self.found.scores, _right(language, readout)
        after = graph.states[graph.target]
        found = []
        for state in np.unique(after).tolist():
            some = np.flatnonzero(after == state)
            for column, token in enumerate(_names(language, readout)):
                ends = scores.low[some, column].min(), scores.high[some, column].max()
                low, high = (
                    bound if np.isnan(end) else float(end) for end, bound in zip(ends, EVERYTHING, strict=True)
                )
                nearest = int(some[self.leads[some, column].argmin()])
                word = tuple(language.alphabet[a] for a in self._word(nearest))
                found.append(ScoreRange(state, token, bool(right[state, column]), low, high, word))
        return tuple(found)

    def _word(self, edge: int) -> tuple[int, ...]:
        """A shortest word that ends with an edge."""
        source = int(self.graph.source[edge])
        return () if source < 0 else (*self.graph.word_to(source), int(self.graph.letter[edge]))

    def _place(self, edge: int, language: Dfa, readout: Readout) -> Place:
        graph, alphabet = self.graph, language.alphabet
        column, node = int(self.leads[edge].argmin()), int(graph.target[edge])
        low, high = (float(end[edge, column]) for end in (self.found.scores.low, self.found.scores.high))
        source = int(graph.source[edge])
        past = graph.pasts[max(source, 0)] if source < 0 else (*graph.pasts[source], int(graph.letter[edge]))
        boxes = [(b.states.low[node].ravel(), b.states.high[node].ravel(), b.size.ravel()) for b in self.found.blocks]
        with np.errstate(all="ignore"):  # of what has no bound the width is not a number
            widths = [np.nan_to_num((most - least) / np.maximum(size, TINY), nan=np.inf) for least, most, size in boxes]
        block = int(np.argmax([w.max() for w in widths]))
        entry = int(widths[block].argmax())
        least, most, _ = boxes[block]
        return Place(
            int(graph.states[node]),
            tuple(BOS if a == len(alphabet) else alphabet[a] for a in past),
            tuple(alphabet[a] for a in self._word(edge)),
            _names(language, readout)[column],
            bool(_right(language, readout)[graph.states[node], column]),
            low,
            high,
            (block, entry),
            (float(least[entry]), float(most[entry])),
        )


def not_in_boxes(model: Any, readout: Readout) -> str:
    """Why there is no argument about boxes for a model and how it is read; "" if there is one."""
    kind = model_type_of(model)
    if kind not in KINDS:
        return f"the argument is about blocks of {', '.join(KINDS)}, not {kind}"
    if model.lm_head.weight.dtype != torch.float32:
        return "the argument is about models in float32"
    if readout.threshold != 0:
        return "the argument is about a threshold of 0"
    for mixer in (layer.mixer for layer in model.backbone.layers):
        if mixer.activation != "silu" or mixer.conv1d.bias is None or mixer.in_proj.bias is not None:
            return "the argument is about blocks with silu, a bias of the convolution and none of projections"
        if getattr(mixer, "n_groups", 1) != 1:
            return "the argument is about one group of heads"
    return ""


def _tensors(block: BlockBoxes) -> dict[str, Tensor]:
    named = {"inputs": block.inputs, "states": block.states}
    ends = {f"{name}.{end}": getattr(box, end) for name, box in named.items() for end in ("low", "high")}
    return {
        name: torch.from_numpy(np.asarray(v)) for name, v in (ends | {"size": block.size, "error": block.error}).items()
    }


def invariant(model: Any, language: Dfa, readout: Readout, budget: Budget, rounds: int = ROUNDS) -> Invariant:
    """Boxes in which as few signs are open as the budget allows.

    Args:
        model: a Mamba, Falcon-Mamba or Mamba-2 in float32.
        language: over the letters of the readout.
        readout: its contract says after which words something is promised.
        budget: its time, if it is running.
        rounds: of telling more of the past apart.

    Raises:
        BudgetExceededError: too many nodes at once, or no time.
    """
    table, alphabet = language.semiautomaton.table, language.alphabet
    every = readout.contract == "all-words"
    promised = frozenset(range(language.n_states)) if every else language.live
    assert readout.bos is not None
    tokens = [*(readout.tokens[s] for s in alphabet), readout.bos]
    columns = readout.columns(alphabet)
    right = _right(language, readout)
    length = max(1, int(model.config.conv_kernel) - 1)
    nodes = replace(budget, items=min(MOST_NODES, budget.items))
    more: set[Past] = set()
    best: Invariant | None = None
    for _ in range(rounds):
        try:
            graph = box_graph(table, promised, length, more, nodes.meter("nodes of boxes"))
        except BudgetExceededError:
            if best is None:
                raise
            return best
        with np.errstate(all="ignore"):  # what is not finite any more proves nothing
            found = explore(model, graph, tokens, columns)
        truth = right[graph.states[graph.target]]
        leads = np.where(truth, found.scores.low, -found.scores.high)
        best = Invariant(graph, found, np.where(np.isnan(leads), -np.inf, leads))
        if not len(best.open) or budget.over:
            break
        more |= _longer(best, length)
    assert best is not None
    return best


def _names(language: Dfa, readout: Readout) -> list[str]:
    """The tokens whose scores are looked at."""
    return [*(language.alphabet if readout.next_index else ()), *(() if readout.accept is None else (EOS,))]


def _right(language: Dfa, readout: Readout) -> NDArray[np.bool_]:
    """Per state and column, whether the score is to be positive."""
    live, table = language.live, language.semiautomaton.table
    rows = []
    for q in range(language.n_states):
        follow = [then in live for then in table[q]] if readout.next_index else []
        rows.append([*follow, *([] if readout.accept is None else [q in language.accepting])])
    return np.array(rows, dtype=bool)


def _longer(found: Invariant, length: int) -> set[Past]:
    """The pasts before open edges with one token more, and what each was before its last tokens."""
    graph = found.graph
    sources = set(graph.source[found.open].tolist()) - {-1}
    letters = graph.following.shape[1]
    more: set[Past] = set()
    for node in sources:
        past = graph.pasts[node]
        if past[0] == letters:  # all of it is known
            continue
        for token in range(letters + 1):
            whole = (token, *past)
            while len(whole) > length:
                more.add(whole)
                whole = whole[:-1]
    return more
