"""``scancraft decide``: star-free or not, and the gates that the language needs."""

from __future__ import annotations

from dataclasses import dataclass

import typer

from ..automata.budget import Budget
from ..automata.decide.aperiodic import NotStarFreeError, Witness, star_free_witness
from ..automata.decide.classification import Classification, classify_by_groups
from ..automata.deterministic import Deterministic
from ..automata.errors import BudgetExceededError
from ..automata.languages import as_automaton
from ..compiler.architecture import Architecture, architecture
from .io import show, status
from .languages import LanguageOptions, about, budget_of
from .options import Items, Json, Seconds


@about
def decide(
    language: LanguageOptions,
    budget: Items = None,
    seconds: Seconds = None,
    json: Json = False,
) -> None:
    """Decide whether a language is star-free, that is, whether a Mamba can model it at every length.

    Exit code 1 if it is not, with a witness: a word that permutes states of the minimal DFA. Also said is which gates
    the language needs: nonnegative (as Mamba's), signed, complex, or none suffice because a group of words is
    unsolvable; and the weakest architecture that ships and carries it, with the layers that its cascade takes.
    """
    limits = budget_of(budget, seconds)
    with status("deciding"):
        decision = decide_language(as_automaton(language.read(limits), limits), limits)
    show(decision, as_json=json)
    raise typer.Exit(0 if decision.witness is None else 1)


@dataclass(frozen=True)
class Decision:
    """What was decided.

    Args:
        dfa: the language.
        witness: None if it is star-free.
        found: the gates that it needs; or, if it is not star-free, the error that says why that was not decided.
        architecture: the weakest that suffices; None if the gates were not decided.
    """

    dfa: Deterministic
    witness: Witness | None
    found: Classification | BudgetExceededError
    architecture: Architecture | None = None

    def as_json(self) -> dict[str, object]:
        """The facts under the keys that the command line documents; ``gates`` is null if undecided."""
        if isinstance(self.found, Classification):
            facts = self.found.as_json()
            del facts["witness"]  # its facts stand beside the others
        else:
            facts = {"gates": None, "reason": str(self.found), "group": None}
        facts |= (
            {"architecture": None, "blocks": None, "layers": None}
            if self.architecture is None
            else self.architecture.as_json()
        )
        if self.witness is None:
            return {"star_free": True, "states": self.dfa.n_states, **facts}
        return NotStarFreeError(self.witness, self.dfa.alphabet).as_json() | {"star_free": False, **facts}

    def __str__(self) -> str:
        if self.witness is None:
            star_free = f"star-free: no word permutes the {self.dfa.n_states} states of the minimal DFA"
        else:
            star_free = str(NotStarFreeError(self.witness, self.dfa.alphabet))
        gates = str(self.found) if isinstance(self.found, Classification) else f"gates: {self.found}"
        return "\n".join([star_free, gates, *([str(self.architecture)] if self.architecture else [])])


def decide_language(dfa: Deterministic, budget: Budget) -> Decision:
    """Decide star-freeness, then the gates and the architecture; these may stay undecided. The time is that of all.

    Raises:
        BudgetExceededError: it was not decided within the budget whether the language is star-free.
    """
    budget = budget.running()
    witness = star_free_witness(dfa, budget)
    try:
        found = classify_by_groups(dfa, witness, budget.meter("image sets"))
    except BudgetExceededError as error:
        return Decision(dfa, witness, error)
    return Decision(dfa, found.witness, found, architecture(dfa, found.gates, budget))
