"""Regular languages by the gates that a state-space model needs for them.

What decides is the groups in the syntactic monoid of the language, which is the transition monoid of its minimal DFA:

=========== ============================ ========================================================================
gates       groups                       source
=========== ============================ ========================================================================
nonnegative none but the trivial one     Sarrof, Veitsman and Hahn (NeurIPS 2024, arXiv 2405.17394), theorem 4
signed      2-groups                     Krohn and Rhodes (1965): a cascade of memories and of negations; real gates
                                         in [-1, 1] count modulo powers of two only (Grazzi et al., arXiv
                                         2411.12537)
complex     solvable groups              Krohn and Rhodes (1965), with cyclic groups; Shakerinava et al. (ICLR 2026,
                                         arXiv 2603.01959)
unsolvable  some group is not solvable   at finite precision no diagonal gates suffice (Shakerinava et al. 2026); the
                                         language is complete for NC1 (Barrington 1989), so at a precision of O(log n)
                                         none do unless TC0 = NC1 (Merrill et al. 2024, arXiv 2404.08819)
=========== ============================ ========================================================================

:mod:`.permutators` says which groups are looked at, and why these are enough.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from functools import total_ordering
from typing import Any

from ..alphabet import shown_cycle, shown_states, shown_word
from ..budget import DEFAULT_BUDGET, Budget, Meter
from ..cards import card
from ..deterministic import Deterministic
from ..groups.permutation_group import PermutationGroup
from ..languages import as_automaton
from .aperiodic import Witness, star_free_witness
from .odd_periods import odd_witness
from .permutations import components
from .permutators import Permutator, permutators
from .state_group import StateGroup, state_group


@total_ordering
class GateClass(Enum):
    """Gates of a diagonal recurrence, from the weakest to the strongest.

    >>> GateClass.NONNEGATIVE < GateClass.SIGNED < GateClass.COMPLEX < GateClass.UNSOLVABLE
    True
    """

    NONNEGATIVE = "nonnegative"
    """Gates in [0, 1], as in Mamba: star-free languages."""

    SIGNED = "signed"
    """Gates in [-1, 1]; 0, 1 and -1 suffice."""

    COMPLEX = "complex"
    """Complex gates of modulus at most 1; 0 and roots of unity suffice."""

    UNSOLVABLE = "unsolvable"
    """At finite precision no diagonal gates suffice; at a precision of O(log n) none do unless TC0 = NC1."""

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, GateClass):
            return NotImplemented
        ranks = list(GateClass)
        return ranks.index(self) < ranks.index(other)


@dataclass(frozen=True)
class Classification:
    """Which gates a language needs, and why.

    Args:
        gates: the weakest class of gates that suffices; :attr:`GateClass.UNSOLVABLE` if none does.
        reason: why weaker gates do not suffice, and these do: one sentence.
        witness: None for a star-free language; otherwise a word that permutes states. If the gates are complex or more,
            its period has an odd prime divisor.
        group: None for a star-free language; otherwise a group that needs the gates, on as many states as there are
            for such a group in one strongly connected component.
        alphabet: the symbols of the language.
    """

    gates: GateClass
    reason: str
    witness: Witness | None
    group: StateGroup | None
    alphabet: tuple[str, ...]

    @property
    def star_free(self) -> bool:
        """Whether the language is star-free."""
        return self.gates is GateClass.NONNEGATIVE

    def check(self, dfa: Deterministic) -> bool:
        """Replay the witness and the group on the language; see there for what that says."""
        if self.witness is None or self.group is None:
            return self.star_free and self.witness is None and self.group is None
        return not self.star_free and self.witness.check(dfa) and self.group.check(dfa)

    def as_json(self) -> dict[str, object]:
        """All facts, under the keys that the command line documents."""
        w = self.witness
        return {
            "gates": self.gates.value,
            "reason": self.reason,
            "witness": w
            and {
                "word": list(w.word),
                "states": list(w.names),
                "period": w.period,
                "access": list(w.access),
                "distinguish": list(w.distinguish),
            },
            "group": None if self.group is None else self.group.as_json(),
        }

    def __repr__(self) -> str:
        group = "" if self.group is None else f", group {self.group.name}"
        return f"<Classification: {self.gates.value} gates{group}>"

    def _repr_html_(self) -> str:
        facts = {"reason": self.reason, "group": self.group}
        return card(f"{self.gates.value} gates", facts, verdict="holds" if self.star_free else "open")

    def __str__(self) -> str:
        lines = [f"gates: {self.gates.value}", f"reason: {self.reason}"]
        if self.group is not None:
            lines.append(f"group: {self.group}")
            name = dict(zip(self.group.states, self.group.names, strict=True))
            for generator in self.group.generators:
                images = shown_states([name[q] for q in generator.images])
                lines.append(f"  {shown_word(generator.word, self.alphabet)} takes them to {images}")
        return "\n".join(lines)


# -- reasons ---------------------------------------------------------------------------------------------------------

STAR_FREE = (
    "no word permutes states of the minimal DFA, so the language is star-free, and gates in [0, 1] suffice "
    "(Sarrof, Veitsman and Hahn 2024, theorem 4)"
)
SIGNED = (
    "{cycle}, so the language is not star-free, and gates in [0, 1] do not suffice (Sarrof, Veitsman and Hahn 2024, "
    "theorem 4); but all groups in its syntactic monoid are 2-groups, so gates in {{-1, 0, 1}} do (Krohn and Rhodes "
    "1965: a cascade of memories and negations)"
)
COMPLEX = (
    "{cycle}, and gates in [-1, 1] count modulo powers of two only (Grazzi et al. 2024, arXiv 2411.12537); but all "
    "groups in its syntactic monoid are solvable, so complex gates, 0 or roots of unity, suffice (Krohn and Rhodes "
    "1965; Shakerinava et al. 2026, arXiv 2603.01959)"
)
UNSOLVABLE = (
    "words generate {group}, which is not solvable, having the composition factor {factor}; no number of layers with "
    "diagonal gates tracks such a group at finite precision (Shakerinava et al. 2026, arXiv 2603.01959), and none of "
    "fixed depth recognises the language unless TC0 = NC1 (Barrington 1989; Merrill, Petty and Sabharwal 2024, arXiv "
    "2404.08819)"
)

# -- classifying -----------------------------------------------------------------------------------------------------


def classify(language: Any, budget: Budget = DEFAULT_BUDGET) -> Classification:
    """The weakest class of gates that suffices for a regular language, with the reason.

    Args:
        language: whatever :func:`~..languages.as_dfa` reads, or a machine with outputs.
        budget: how many image sets may be created per strongly connected component of the DFA; the time is counted over
            everything.

    Raises:
        NotRegularError: a counter language.
        BudgetExceededError: undecided within the budget.

    Cost: that of deciding star-freeness, and if the language is not star-free, O(k n) per image set for n states
    and k letters, and a stabiliser chain for each class of image sets with a nontrivial group. There can be 2^n image
    sets; large ones are explored first, and the search ends at the first group that is not solvable.

    >>> from scancraft import Dfa
    >>> from scancraft import Dfa
    >>> parity = Dfa.from_table(("0", "1"), [[0, 1], [1, 0]], 0, [0])
    >>> found = classify(parity)
    >>> found.gates, found.witness.word, found.group.name
    (<GateClass.SIGNED: 'signed'>, ('1',), 'Z2')
    """
    budget = budget.running()
    dfa = as_automaton(language, budget)
    return classify_by_groups(dfa, star_free_witness(dfa, budget), budget.meter("image sets"))


def classify_by_groups(dfa: Deterministic, witness: Witness | None, clock: Meter) -> Classification:
    """The second half of :func:`classify`, for callers who know already whether the language is star-free.

    Args:
        dfa: the language.
        witness: what :func:`~scancraft.automata.decide.aperiodic.star_free_witness` returned.
        clock: a meter of image sets. Its time goes on; its count is left alone.

    Raises:
        BudgetExceededError: undecided within the budget.
    """
    if witness is None:
        return Classification(GateClass.NONNEGATIVE, STAR_FREE, None, None, dfa.alphabet)
    alphabet, dfa = dfa.alphabet, dfa.distinct
    gates, found = _strongest(dfa, clock)
    if gates > GateClass.SIGNED:
        witness = odd_witness(dfa, found, clock)
    group = state_group(dfa, found)
    if gates is GateClass.UNSOLVABLE:
        reason = UNSOLVABLE.format(group=group.title, factor=" and ".join(group.simple))
    else:
        reason = SIGNED if gates is GateClass.SIGNED else COMPLEX
        reason = reason.format(cycle=shown_cycle(witness.word, witness.names, alphabet))
    return Classification(gates, reason, witness, group, alphabet)


def _strongest(dfa: Deterministic, clock: Meter) -> tuple[GateClass, Permutator]:
    """The strongest gates that a group of the language needs, and the largest such group of the first component."""
    best: tuple[GateClass, Permutator] | None = None

    def smallest() -> int:
        """Groups on fewer states could change nothing: those on 2 states are 2-groups, on 3 and 4 solvable."""
        return 2 if best is None else 3 if best[0] is GateClass.SIGNED else 5

    for part in components(dfa.semiautomaton):
        for found in permutators(part, replace(clock), smallest):
            gates = gates_of(found.group)
            if best is None or gates > best[0]:
                best = gates, found
            if gates is GateClass.UNSOLVABLE:
                return best
    if best is None:
        raise AssertionError("a language that is not star-free has no group; please report this")
    return best


def gates_of(group: PermutationGroup) -> GateClass:
    """The gates that a group needs.

    Raises:
        BudgetExceededError: the group's clock has run out.
    """
    if group.order == 1:
        return GateClass.NONNEGATIVE
    if group.order & (group.order - 1) == 0:
        return GateClass.SIGNED
    return GateClass.COMPLEX if group.is_solvable() else GateClass.UNSOLVABLE
