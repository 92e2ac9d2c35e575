"""What a method is given: a model, words, what is right after each prefix, and the nodes and edges; no labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from ...automata.languages import as_dfa
from ...automata.languages import truth_of as acceptor_of
from ...automata.words.mixtures import mixture_of
from .graph import Edge, Graph, Node
from .truth import Compilation


@dataclass(frozen=True, eq=False)
class Task:
    """What a method is given.

    Attributes:
        model: the model, of ``transformers``, float32.
        ids: words of one length as tokens, ``<bos>`` first, shape (words, time), int64.
        allowed: whether each of ``columns`` may come after each prefix, shape (words, time, columns).
        states: the state of the language's minimal DFA after each prefix, shape (words, time).
        columns: the tokens whose logits are judged: the symbols, then ``<eos>``.
        graph: nodes, edges, and what an edge multiplies by.
    """

    model: Any
    ids: Int64[Tensor, "words time"]
    allowed: Bool[Tensor, "words time columns"]
    states: Int64[Tensor, "words time"]
    columns: tuple[int, ...]
    graph: Graph


Scores = Mapping[Node, float] | Mapping[Edge, float]
"""For nodes or for edges a number, the larger the more it matters; what is left out counts as the least of all."""

Method = Callable[[Task], Scores]


def task_of(compiled: Compilation, graph: Graph, *, words: int = 24, length: int = 12, seed: int = 0) -> Task:
    """Random words, half of them members or near them, of one length.

    Args:
        compiled: the model.
        graph: its graph.
        words: how many.
        length: symbols in each.
        seed: of the draws.

    Raises:
        NotRegularError: the language is not regular.
    """
    dfa, rng = as_dfa(compiled.language), np.random.default_rng(seed)
    letters = dfa.alphabet
    drawn = mixture_of(dfa, 2 * words, length, length + 4, rng)
    whole = [word[:length] for word in drawn if len(word) >= length][:words]
    whole += [tuple(rng.choice(letters, length).tolist()) for _ in range(words - len(whole))]
    codes, lengths = (truth := acceptor_of(dfa)).encode(whole)
    allowed = torch.from_numpy(np.asarray(truth.next_masks(codes, lengths)))
    states = torch.tensor([[dfa.run(word[:n]) for n in range(length + 1)] for word in whole])
    ids = torch.tensor([compiled.readout.encode(word) for word in whole])
    return Task(compiled.model(), ids, allowed, states, graph.tokens, graph)
