"""Scoring a method against what is true."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import numpy as np

from ...automata.budget import DEFAULT_BUDGET, Budget
from ...automata.errors import ScancraftError
from ...certify.checker.parts import tensors_digest
from ..errors import BenchError
from .graph import Edge, Node
from .methods import METHODS
from .task import Method, Task, task_of
from .truth import Compilation, truth_of

DIGITS = 16
"""Of a digest."""


@dataclass(frozen=True)
class Score:
    """How well a ranking finds what matters.

    Attributes:
        of: "nodes" or "edges".
        candidates: how many there are.
        matter: how many of them matter.
        auroc: how often something that matters is above something that does not; ties count half. 0.5 is chance.
        average_precision: the area under the curve of precision by recall, ties all at once; chance is the share that
            matters.
        missed: how many that matter are scored no higher than the lowest score of all.
    """

    of: str
    candidates: int
    matter: int
    auroc: float
    average_precision: float
    missed: int


@dataclass(frozen=True)
class Result:
    """What a method reached on a model.

    Attributes:
        method: its name.
        language: the language, for people.
        variant: what was done to the weights, for people.
        score: how well it did.
        weights: of the model: the digest of its parameters.
    """

    method: str
    language: str
    variant: str
    score: Score
    weights: str

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return asdict(self)

    def __str__(self) -> str:
        s = self.score
        return (
            f"{self.language}, {self.variant}, {self.method}: AUROC {s.auroc:.3f}, average precision "
            f"{s.average_precision:.3f} ({s.matter} of {s.candidates} {s.of} matter, {s.missed} missed)"
        )


def scored(scores: Mapping[Any, float], candidates: Sequence[Any], true: Iterable[Any], of: str = "edges") -> Score:
    """A ranking of candidates by scores; those without one are last.

    Raises:
        BenchError: a score that is no number, or of something that is no candidate; or all or none of them matter.
    """
    known, right = set(candidates), set(true)
    for key, value in scores.items():
        if key not in known:
            raise BenchError(f"a score was given for {key}, which is none of the model's {of}")
        if not isinstance(value, (int, float)) or not isfinite(value):
            raise BenchError(f"the score of {key} is {value!r}, which is no finite number")
    least = min(scores.values(), default=0.0)
    values = np.array([scores.get(c, least) for c in candidates], dtype=np.float64)
    positive = np.array([c in right for c in candidates])
    if positive.all() or not positive.any():
        raise BenchError(f"{int(positive.sum())} of {len(positive)} {of} matter; there is nothing to rank")
    levels, group = np.unique(-values, return_inverse=True)
    hits, misses = (np.bincount(group, some, len(levels)) for some in (positive, ~positive))
    found, wrong = np.cumsum(hits), np.cumsum(misses)
    auroc = float((hits * (misses.sum() - wrong + misses / 2)).sum() / (positive.sum() * misses.sum()))
    precision = float((hits * found / (found + wrong)).sum() / positive.sum())
    return Score(
        of, len(candidates), int(positive.sum()), auroc, precision, int((positive & (values <= values.min())).sum())
    )


def bench(
    compiled: Compilation,
    methods: Mapping[str, Method] = METHODS,
    *,
    language: str = "",
    variant: str = "as compiled",
    words: int = 24,
    length: int = 12,
    seed: int = 0,
    budget: Budget = DEFAULT_BUDGET,
) -> list[Result]:
    """Score methods on a model.

    Args:
        compiled: what ``scancraft.compile``, ``scancraft.load`` or ``interp.variant`` returned: of the target mamba,
            falcon_mamba or mamba2, for all words, of a regular language.
        methods: by name; each returns scores of nodes or of edges.
        language: what to call it.
        variant: likewise.
        words: how many words methods are given.
        length: symbols in each.
        seed: of the words.
        budget: for the ground truth.

    Raises:
        BenchError: a model without ground truth, or a method whose scores cannot be used.
        BudgetExceededError: too many recurrent states.
    """
    graph, truth = truth_of(compiled, budget)
    task = task_of(compiled, graph, words=words, length=length, seed=seed)
    name = language or compiled.manifest.construction
    weights = tensors_digest(task.model.state_dict())[:DIGITS]
    return [
        Result(m, name, variant, _score(m, method, task, truth.edges, truth.nodes), weights)
        for m, method in methods.items()
    ]


def _score(name: str, method: Method, task: Task, edges: frozenset[Edge], nodes: frozenset[Node]) -> Score:
    try:
        scores = method(task)
    except ScancraftError:
        raise
    except Exception as error:
        raise BenchError(
            f"{name} failed ({type(error).__name__}: {error}); a method takes a task and gives scores"
        ) from error
    if not isinstance(scores, Mapping) or not scores:
        raise BenchError(f"{name} returned {type(scores).__name__}, not scores of nodes or edges")
    if isinstance(next(iter(scores)), Node):
        return scored(scores, task.graph.nodes, nodes, "nodes")
    return scored(scores, task.graph.edges, edges)
