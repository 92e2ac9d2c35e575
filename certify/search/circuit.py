"""Certificates for counter languages and bounded Dyck languages: the argument of docs/certificates.md, made on weights.

Their models have infinitely many reachable states, or far too many, so nothing is enumerated that a counter or a stack
can do. Inside a block the entries of the SSM state never see each other, and the output is linear in them; so each
entry is looked at on its own, and counters appear in the residual stream as base + sum of K_i c_i. All numbers come
from the weights, in exact arithmetic, with the obligations of ``compiler.obligations``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...automata.bounded_dyck import BoundedDyck
from ...automata.budget import Budget
from ...automata.counters.machine import CounterMachine
from ...automata.errors import BudgetExceededError
from ...models.mamba import model_type_of
from ...models.mamba2 import MAMBA2
from ...models.readout import Readout
from .circuit_argument import CircuitProof, Note, NotProvedError
from .circuit_counters import CountersArgument
from .circuit_slots import SlotsArgument
from .prove import Undecided

__all__ = ["CircuitProof", "prove_circuit"]


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
        model: a ``MambaForCausalLM`` made by one of the paper's own constructions, or one like it. Gates of -1 are
            covered in the blocks of a machine's control only.
        language: the language.
        readout: how they are bound; its contract is what is proved.
        limits: for each counter of the machine the greatest |value|; none for bounded Dyck languages.
        budget: events per stage of the control, and seconds per stage.
        note: told now and then what is going on.
    """
    if model_type_of(model) == MAMBA2:
        return Undecided(
            "the arguments for counters and for slots are about blocks of Mamba and Falcon-Mamba; there is none yet "
            "for Mamba-2, where a state never forgets and what it was at <bos> is subtracted (docs/mamba2.md)"
        )
    try:
        if isinstance(language, CounterMachine):
            return CountersArgument(model, language, readout, budget, note).prove(limits)
        return SlotsArgument(model, language, readout, budget, note).prove()
    except NotProvedError as error:
        return Undecided(str(error))
    except BudgetExceededError as error:
        return Undecided(f"the control: {error.reached:,g} {error.what}, past {error.limit:,g}")
