"""The ways to compile a regular language, a cascade and plans, and the choice between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any, Literal, get_args

from ..automata.budget import Budget
from ..automata.decide.locality import pattern_of
from ..automata.decide.pairs import comparisons
from ..automata.deterministic import Deterministic
from ..automata.dfa import Dfa
from ..automata.errors import BudgetExceededError, ScancraftError
from ..automata.images import strong_components
from ..models.weights import ModelWeights
from .cascade.cascade import Cascade, decompose
from .cascade.holonomy import Groups
from .cascade.rules import RuleTable, tabulate
from .circuits.beside import beside_circuit
from .circuits.circuit import Circuit
from .circuits.levels import cascade_circuit
from .circuits.pairs import pairs_circuit
from .circuits.patterns import pattern_circuit
from .circuits.unrolled import unrolled_circuit
from .circuits.walks import counted, tallied
from .manifest import Regular, SizeOf
from .plan.circuits import plan_circuit
from .plan.plan import Plan
from .plan.prove import prove
from .plan.search.chains import WINDOWS, descents
from .plan.search.choose import EFFORT, FEW_BLOCKS, MOST_BLOCKS, plans
from .plan.search.congruences import by_congruences
from .plan.search.cost import blocks_under
from .plan.search.pieces import by_pieces
from .plan.separate import separated
from .plan.wellformed import PlanError
from .targets import Lowered
from .targets.layout import MIN_WIDTH

Optimise = Literal["depth", "size"]
Construction = Literal[Regular, "side-by-side"]

PLAN_ITEMS, PLAN_ITEMS_DEPTH = 1_000, 20_000
"""How many things each effort of the search for plans may look at, if the budget allows more: as a rule, and where
somebody asked for the fewest blocks."""

CHAIN_ITEMS = 20_000, 200_000
"""The same for each plan down a chain of states (``compiler.plan.search.chains``), and where none was found with these.
"""

FEWER_LETTERS = 2
"""Plans down a chain and counters of windows look at so many letters, unless the fewest blocks are asked for."""

MANY_STATES = 64
"""From so many states on languages of a pattern and finite ones are not decomposed, nor what has a plan of levels."""

MANY_STATES_OF_LOOPS = 32
"""The same, for plans, where no state comes again once it was left."""

MOST_PAIRS = 200_000
"""Plans of levels are looked for where there are so many pairs of states at most."""

LARGE = 20_000
"""So many parameters are worth a search down chains of states."""

WORTH, WORTH_OF_LOOPS = 20, 4
"""For each so many parameters a search may look at one thing more, unless more is asked for: down a chain, and for any
plan where no state comes again once it was left."""


class UnknownChoiceError(ScancraftError):
    """Something to optimise, or a construction, that there is not."""


class NoPlanError(ScancraftError):
    """A plan, or a construction of a pattern, was asked for of a language that has none."""


class PlanNotFoundError(NoPlanError):
    """A plan was asked for, and none was found within the budget; there may be one."""

    exit_code = 3


@dataclass(frozen=True)
class Decomposed:
    """A language's cascade, and its rules."""

    cascade: Cascade
    rules: RuleTable


@dataclass(frozen=True)
class Alternative:
    """One way to compile a language, carried out.

    Attributes:
        circuit: the circuit.
        found: its weights.
        plan: of a plan: the plan.
        decomposed: of a cascade: its stages.
        proved: of a plan: whether it is proved already.
    """

    circuit: Circuit
    found: Lowered
    plan: Plan | None = None
    decomposed: Decomposed | None = None
    proved: bool = False

    @property
    def least(self) -> bool:
        """Whether it has one block as narrow as blocks get, and no limit as walks have: nothing is much better."""
        shape = self.found.weights.shape
        return self.circuit.kind != "walk" and shape.n_layers == 1 and shape.d_inner == MIN_WIDTH

    @property
    def size(self) -> SizeOf:
        """For the manifest."""
        construction: Any = self.circuit.kind
        assert construction in get_args(Regular), "an automaton by another construction"
        shape = self.found.weights.shape
        return SizeOf(construction, shape.n_layers, self.found.weights.n_parameters)


Lower = Callable[[Circuit], tuple[Circuit, Lowered]]
"""Writes a circuit over classes of letters as weights for all letters; the circuit over all letters, and these."""


def check_choice(optimise: str | None, construction: str | None) -> None:
    """Raise :class:`UnknownChoiceError` unless there are such."""
    if optimise not in (None, *get_args(Optimise)):
        raise UnknownChoiceError(f"the compiler optimises {' or '.join(get_args(Optimise))}, not {optimise!r}")
    if construction not in (None, *get_args(Construction)):
        known = ", ".join(get_args(Construction))
        raise UnknownChoiceError(f"there is no construction {construction!r} of a regular language; known: {known}")


def decomposed(dfa: Deterministic, budget: Budget, groups: Groups = "bits") -> Decomposed:
    """The cascade of a language, and its rules, proved.

    Args:
        dfa: the language.
        budget: how far the searches may go.
        groups: what the target's memories can do to their labels.

    Raises:
        BudgetExceededError: it is too large for the budget.
    """
    cascade = decompose(dfa, budget, groups=groups)  # of a star-free language there are none
    rules = tabulate(cascade, budget)
    rules.verify()
    return Decomposed(cascade, rules)


def by_cascade(dfa: Deterministic, budget: Budget, lower: Lower, groups: Groups = "bits") -> Alternative:
    """A language compiled by its cascade; arguments and errors as of :func:`decomposed`."""
    stages = decomposed(dfa, budget, groups)
    circuit = cascade_circuit(stages.rules, dfa, budget)
    return Alternative(*lower(circuit), decomposed=stages)


def by_plans(
    dfa: Deterministic,
    budget: Budget,
    lower: Lower,
    widest: int,
    *,
    beside: Sequence[Alternative] | None = None,
    deeper: Callable[[], Sequence[Alternative]] = tuple,
    optimise: Optimise | None = None,
    longer: bool = False,
) -> Iterator[Alternative]:
    """A language compiled by plans that are found; :func:`proved` proves the one that is taken.

    Args:
        dfa: a star-free language.
        budget: how far the search and the proofs may go.
        lower: writes a circuit as weights.
        widest: how many letters a plan may look at.
        beside: in the target mamba, what else there is: plans with too many blocks to be better are not looked for.
        deeper: the same, of what is looked for only where a plan of one block is not found.
        optimise: what better means.
        longer: whether to look longer.
    """
    known = list(beside or ())

    def room(number: int) -> int:
        """How many blocks a plan may have to be better than all that is known, if it is to have so many at least."""
        ways = [*known, *(deeper() if number > 1 else ())]
        if not ways:
            return MOST_BLOCKS
        blocks, parameters = min((way.size.blocks, _beside_letters(way, dfa)) for way in ways)
        walks = any(way.size.construction == "walk" for way in ways)  # whose certificates have a limit
        if optimise == "depth":
            return blocks if walks or blocks_under(parameters, dfa.alphabet) >= blocks else blocks - 1
        smaller = blocks_under(min(_beside_letters(way, dfa) for way in ways), dfa.alphabet)
        return max(smaller, blocks) if walks and optimise is None else smaller

    def carried_out(found: Iterable[Plan]) -> Iterator[Alternative]:
        for plan, circuit in _circuits(found, budget, widest):
            try:
                way = Alternative(*lower(circuit), plan=plan)
            except ScancraftError:
                continue  # the target or the dtype cannot hold it
            known.append(way)
            yield way

    searching = budget.half()  # for all efforts together; what is found has to be proved, too
    least = min((_beside_letters(way, dfa) for way in known), default=0)

    def down_chains(efforts: Sequence[int]) -> Iterator[Alternative]:
        windows = WINDOWS[: widest if longer else min(widest, FEWER_LETTERS)]
        return carried_out(descents(dfa, searching, windows, efforts))

    chains: list[Alternative] = []
    if longer or least >= LARGE:
        chains += down_chains(CHAIN_ITEMS if longer else [min(least // WORTH, max(CHAIN_ITEMS))])
        yield from chains
        if chains and not longer and min(_beside_letters(way, dfa) for way in known) > 2 * LARGE:
            return
    items = PLAN_ITEMS_DEPTH if longer else PLAN_ITEMS
    if (longer or not chains) and _only_loops(dfa):  # so few blocks do
        items = EFFORT if longer else max(items, least // WORTH_OF_LOOPS if least >= LARGE else 0)
    limited = _within(searching, items)
    most, useful = MOST_BLOCKS if longer else FEW_BLOCKS, None if beside is None else room
    for way in carried_out(plans(dfa, limited, most=most, room=useful, thorough=optimise == "depth")):
        yield way
        if way.least:
            return
    if not known:
        yield from down_chains(CHAIN_ITEMS)


def _beside_letters(way: Alternative, dfa: Deterministic) -> int:
    """The parameters, without the rows of letters that act like others: every way has those."""
    more = len(way.circuit.alphabet) - len(dfa.alphabet)
    return way.found.weights.n_parameters - 2 * more * way.found.weights.shape.d_model


def by_walk(dfa: Dfa, budget: Budget, lower: Lower, widest: int) -> Iterator[Alternative]:
    """A language whose live part is a walk in Z^d by counters, if it is one (``compiler.circuits.walks``).

    Its certificate has a limit: how far its counters may run after a word has died.

    Args:
        dfa: the language.
        budget: how far the search may go.
        lower: writes a circuit as weights.
        widest: how many letters a counter of windows may look at.

    Raises:
        BudgetExceededError: it takes more time than there is.
    """
    if (circuit := counted(dfa, budget=budget, widest=widest)) is not None:
        yield Alternative(*lower(circuit))


def by_tally(dfa: Dfa, budget: Budget, lower: Lower) -> Iterator[Alternative]:
    """A language by one counter that never decreases, if that tells it; nothing if looking for it takes too long."""
    try:
        circuit = tallied(dfa, "all-words", budget, FEWER_LETTERS)
    except BudgetExceededError:
        return
    if circuit is not None:
        yield Alternative(*lower(circuit))


def by_pairs(dfa: Dfa, lower: Lower) -> Iterator[Alternative]:
    """A language that compares the last two letters, by their codes in one block; nothing if it is none."""
    told = comparisons(dfa)
    if told is not None and (circuit := pairs_circuit(dfa, told)) is not None:
        yield Alternative(*lower(circuit))


def by_last_letters(dfa: Dfa, budget: Budget, lower: Lower, construction: Construction | None) -> Iterator[Alternative]:
    """A language of one pattern by it, a finite one a letter a block; no memory but one, and no search for plans.

    Args:
        dfa: the language.
        budget: how far a pattern may be looked for.
        lower: writes a circuit as weights.
        construction: "pattern" or "finite" looks for this one only.
    """
    if construction != "finite":
        yield from by_pairs(dfa, lower)
    if construction != "finite" and (pattern := pattern_of(dfa, budget)) is not None:
        yield Alternative(*lower(pattern_circuit(dfa, pattern)))
    if construction != "pattern" and not dfa.is_empty() and dfa.is_finite():
        yield Alternative(*lower(unrolled_circuit(dfa)))


def by_registers(dfa: Deterministic, budget: Budget, lower: Lower) -> Iterator[Alternative]:
    """A language by several registers side by side, if these hold its state (``compiler.circuits.beside``)."""
    if (circuit := beside_circuit(dfa, budget)) is not None:
        yield Alternative(*lower(circuit))


def by_levels(dfa: Deterministic, budget: Budget, lower: Lower, widest: int) -> Iterator[Alternative]:
    """A language of many states by a plan of pieces (``plan.search.pieces``), or down a chain of congruences.

    Args:
        dfa: a star-free language.
        budget: how far the search and the proof may go.
        lower: writes a circuit as weights.
        widest: how many letters a plan may look at.
    """
    if not (MANY_STATES_OF_LOOPS if _only_loops(dfa) else MANY_STATES) <= dfa.n_states <= isqrt(2 * MOST_PAIRS):
        return
    for search in (by_pieces, by_congruences) if _only_loops(dfa) else (by_congruences,):
        found = False
        for plan, circuit in _circuits(search(dfa, budget), budget, widest):
            if _right(plan, dfa, budget):
                found = True
                yield Alternative(*lower(circuit), plan=plan, proved=True)
        if found:
            return


def _only_loops(dfa: Deterministic) -> bool:
    """Whether no state comes again once it was left."""
    return len(set(strong_components(dfa.table))) == dfa.n_states


def plan_circuits(dfa: Deterministic, budget: Budget, widest: int) -> Iterator[Circuit]:
    """The circuit of each plan that is found and proved. See :func:`by_plans`."""
    for plan, circuit in _circuits(plans(dfa, _within(budget, PLAN_ITEMS)), budget, widest):
        if _right(plan, dfa, budget):
            yield circuit


def _circuits(found: Iterable[Plan], budget: Budget, widest: int) -> Iterator[tuple[Plan, Circuit]]:
    """Plans that are circuits of windows that are not too wide, with these."""
    for plan in found:
        if plan.window > widest:
            continue
        try:
            circuit = plan_circuit(separated(plan, budget))
        except (BudgetExceededError, PlanError):
            continue
        if circuit.window <= widest:
            yield plan, circuit


def _within(budget: Budget, items: int) -> Budget:
    """A budget of so many items at most."""
    return replace(budget, items=min(budget.items, items))


def _right(plan: Plan, dfa: Deterministic, budget: Budget) -> bool:
    """Whether a plan is proved within the budget."""
    try:
        prove(plan, dfa, budget)
    except (BudgetExceededError, PlanError):
        return False
    return True


def rank(weights: ModelWeights, optimise: Optimise | None) -> tuple[int, int]:
    """What to keep small: parameters, then blocks; for "depth" the other way round."""
    numbers = (weights.n_parameters, weights.shape.n_layers)
    return numbers[::-1] if optimise == "depth" else numbers


def proved(
    alternatives: Iterable[Alternative], optimise: Optimise | None, dfa: Deterministic, budget: Budget
) -> tuple[Alternative, ...]:
    """The best first, and it is proved if it is a plan (cascades and walks are by themselves); what is not is left out.

    The best is the one with fewest parameters, then fewest blocks; for "depth" the other way round; a cascade before a
    plan, and a plan before a walk. Where nothing is to be optimised a walk, whose certificate has a limit, comes after
    all if one of them takes no more blocks. The others are not proved: they are for comparison.

    Args:
        alternatives: ways to compile the language.
        optimise: what matters first.
        dfa: the language.
        budget: how far a proof may go.
    """

    ways = list(alternatives)
    fewest = min((way.size.blocks for way in ways if way.size.construction != "walk"), default=MOST_BLOCKS)

    def cost(way: Alternative) -> tuple[bool, int, int, int]:
        walk = way.size.construction == "walk"
        after = optimise is None and walk and way.size.blocks >= fewest
        return after, *rank(way.found.weights, optimise), 2 if walk else int(way.plan is not None)

    left = sorted(ways, key=cost)
    while left and (plan := left[0].plan) is not None and not (left[0].proved or _right(plan, dfa, budget)):
        del left[0]
    return tuple(left)


def sizes(alternatives: Sequence[Alternative]) -> tuple[SizeOf, ...]:
    """The different sizes, the least first."""
    found = {alternative.size for alternative in alternatives}
    return tuple(sorted(found, key=lambda size: (size.parameters, size.blocks, size.construction)))
