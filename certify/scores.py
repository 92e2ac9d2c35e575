"""Between what numbers each score of a model lies, by state of the language: how near it is to failing, and where."""

from __future__ import annotations

from typing import Any

import torch

from ..automata.budget import Budget
from ..automata.dfa import Dfa
from ..automata.languages import Recognised
from ..models.errors import ReadoutError
from ..models.readout import Readout
from ..models.run.threads import one_thread
from .binding import check_provable, resolve
from .search.boxes.search import invariant, not_in_boxes
from .search.results import ScoreRange

RANGES = Budget(items=500, seconds=30.0)
"""Nodes of the finest boxes, and seconds."""


def score_ranges(
    target: Any,
    language: Any = None,
    *,
    readout: Readout | None = None,
    budget: Budget = RANGES,
    dtype: torch.dtype | None = None,
) -> tuple[ScoreRange, ...]:
    """A range for each state of a regular language and each token, in that order, as certificates by boxes know them.

    Args:
        target, language, readout, dtype: as ``certify`` takes them. Under "live-prefixes" states from which no word can
            be completed are left out.
        budget: nodes, and seconds, of telling more of the past apart where a sign is open.

    Raises:
        ReadoutError: there are no boxes for such a model, language or readout.
        BudgetExceededError: not even the coarsest boxes fit.
        WeightsError, CheckpointError: as ``certify`` does.
    """
    budget = budget.running()
    model, wanted, bound, _ = resolve(target, language, readout, dtype)
    wanted = wanted.dfa(budget) if isinstance(wanted, Recognised) else wanted
    if not isinstance(wanted, Dfa) or wanted.is_empty():
        raise ReadoutError("ranges of scores are about regular languages that are not empty")
    check_provable(model, wanted, bound, "nothing can be said")
    if why := not_in_boxes(model, bound):
        raise ReadoutError(f"there are no ranges of scores here: {why}")
    with one_thread():
        return invariant(model, wanted, bound, budget).ranges(wanted, bound)
