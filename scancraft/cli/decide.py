"""``scancraft decide``: star-free or not, and the gates that the language needs."""

from __future__ import annotations

from dataclasses import dataclass

from ..automata.budget import Budget
from ..automata.decide.aperiodic import NotStarFreeError, Witness, star_free_witness
from ..automata.decide.classification import Classification, classify_by_groups
from ..automata.dfa import Dfa
from ..automata.errors import BudgetExceededError


@dataclass(frozen=True)
class Decision:
    """What was decided.

    Args:
        dfa: the language.
        witness: None if it is star-free.
        found: the gates that it needs; or, if it is not star-free, the error that says why that was not decided.
    """

    dfa: Dfa
    witness: Witness | None
    found: Classification | BudgetExceededError

    def as_json(self) -> dict[str, object]:
        """The facts under the keys that the command line documents; ``gates`` is null if undecided."""
        if isinstance(self.found, Classification):
            facts = self.found.as_json()
            del facts["witness"]  # its facts stand beside the others
        else:
            facts = {"gates": None, "reason": str(self.found), "group": None}
        if self.witness is None:
            return {"star_free": True, "states": self.dfa.n_states, **facts}
        return NotStarFreeError(self.witness, self.dfa.alphabet).as_json() | {"star_free": False, **facts}

    def __str__(self) -> str:
        if self.witness is None:
            told = f"star-free: no word permutes the {self.dfa.n_states} states of the minimal DFA"
        else:
            told = str(NotStarFreeError(self.witness, self.dfa.alphabet))
        undecided = isinstance(self.found, BudgetExceededError)
        return f"{told}\n{f'gates: {self.found}' if undecided else self.found}"


def decide_language(dfa: Dfa, budget: Budget) -> Decision:
    """Decide star-freeness, and then the gates; the latter may stay undecided. The time is counted over both.

    Raises:
        BudgetExceededError: it was not decided within the budget whether the language is star-free.
    """
    clock = budget.meter("image sets")
    witness = star_free_witness(dfa, budget)
    try:
        found = classify_by_groups(dfa, witness, clock)
    except BudgetExceededError as error:
        return Decision(dfa, witness, error)
    return Decision(dfa, found.witness, found)
