"""Boolean combinations compiled side by side, each part by what is smallest for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..automata.budget import DEFAULT_BUDGET, Budget
from ..automata.combination import Combination
from ..automata.decide.aperiodic import NotStarFreeError, star_free_witness
from ..automata.dfa import Dfa
from ..automata.errors import ScancraftError
from .alternatives import decomposed, plan_circuits
from .circuits.circuit import Circuit
from .circuits.levels import cascade_circuit
from .circuits.side_by_side import decided, side_by_side
from .compiled import Constructed
from .constructions import constructed

PRODUCT_ITEMS = 2_000
"""Up to so many states the product of a combination is looked at."""


class ForesightError(ScancraftError):
    """All words were asked for, and the parts of a combination do not know what may come next."""


def combination(
    language: Combination,
    *,
    contract: str | None = None,
    budget: Budget = DEFAULT_BUDGET,
    d_conv: int = 2,
    target: str | None = None,
    dtype: str = "float32",
) -> Constructed:
    """A combination of star-free languages without their product: as deep as the deepest part, as wide as all of them.

    Args:
        language: the combination.
        contract: "recognise" promises the end of the word only; "all-words" what may come next, too. By default
            "all-words" where the parts are known to know it (:meth:`.Combination.foresees`): in a union, or if the
            product has few states; it is then the model's language.
        budget: how far each search may go.
        d_conv: taps of the convolution, 2 to 4.
        target: the kind of model (``scancraft.compile``); by default the target mamba.
        dtype: a format in which the model must be exact (``scancraft.compile``).

    Raises:
        NotStarFreeError: a part is not star-free.
        ForesightError: "all-words" was asked for, and the parts do not know what may come next.
        BudgetExceededError: a part is too large.
    """
    few = replace(budget, items=min(budget.items, PRODUCT_ITEMS))
    foresees = contract != "recognise" and language.foresees(few)
    if contract == "all-words" and not foresees:
        raise ForesightError(
            "the parts of this combination do not know what may come next, or their product is too large to tell; ask "
            "for the contract recognise, or compile the product (`Combination.dfa`)"
        )
    known = {leaf: _part(leaf, budget, d_conv) for leaf in dict.fromkeys(language.leaves)}
    circuit = side_by_side(language, [known[leaf] for leaf in language.leaves], predict=foresees)
    promised = language.dfa(few) if foresees and not language.is_union else language
    return constructed(promised, "star-free", circuit, d_conv, None, target, dtype)


def _part(dfa: Dfa, budget: Budget, d_conv: int) -> Circuit:
    """The circuit of a part with fewest blocks, then fewest channels, whose verdicts are 0 or 1."""

    def size(circuit: Circuit) -> tuple[int, int]:
        return len(circuit.blocks), sum(len(block.channels) for block in circuit.blocks)

    return min(_circuits(dfa, budget, d_conv), key=size)


def _circuits(dfa: Dfa, budget: Budget, d_conv: int) -> Iterator[Circuit]:
    witness = star_free_witness(dfa, budget)
    if witness is not None:
        raise NotStarFreeError(witness, dfa.alphabet)
    yield cascade_circuit(decomposed(dfa, budget).rules, dfa)
    for circuit in plan_circuits(dfa, budget, d_conv):
        yield decided(circuit)
