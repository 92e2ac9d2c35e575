"""``scancraft.compile``: the driver, a handful of passes in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..automata.bounded_dyck import BoundedDyck
from ..automata.budget import DEFAULT_BUDGET, Budget
from ..automata.combination import Combination
from ..automata.copying.language import Copying
from ..automata.decide.aperiodic import NotStarFreeError, star_free_witness
from ..automata.decide.classification import Classification, GateClass, classify_by_groups
from ..automata.decide.walks import NoWalk, NoWalkError, walk_of
from ..automata.dfa import Dfa
from ..automata.errors import BudgetExceededError
from ..automata.languages import Recognised, as_dfa, as_language, language_to_json
from ..automata.letters import Quotient, quotient
from ..automata.logic.past import PastLtl
from ..automata.moore import Moore
from ..automata.nested.language import NestedLanguage
from .alternatives import (
    LARGE,
    MANY_STATES,
    Alternative,
    Construction,
    NoPlanError,
    Optimise,
    PlanNotFoundError,
    UnknownChoiceError,
    by_cascade,
    by_last_letters,
    by_levels,
    by_pairs,
    by_plans,
    by_registers,
    by_tally,
    by_walk,
    check_choice,
    proved,
    rank,
    sizes,
)
from .cascade.holonomy import Groups
from .circuits.circuit import Circuit
from .circuits.letters import over_letters
from .circuits.patterns import STEP
from .combining import PRODUCT_ITEMS, ForesightError, combination
from .compiled import Compiled, CompiledModel, allowed_target, lowered, manifest_of
from .constructions import bounded_dyck, check_contract, copies, counters, nested
from .past import past_formula
from .targets import Lowered, ModelSizeError, Options, Target, TargetError
from .targets import target as target_named
from .targets.gates import GateClassError, Gates, check_gates
from .tokenized import renumbered, tokenized

if TYPE_CHECKING:
    from ..models.readout import Contract

ShapeName = Literal["smallest", "standard"]
"""What ``shape`` may be."""
KINDS = {GateClass.NONNEGATIVE: "star-free", GateClass.SIGNED: "not star-free, only 2-groups"}

FEWEST_TAPS = 2
"""What cascades and constructions need, and models have unless more is asked for or needed."""


def compile(
    language: Any,
    out: str | PathLike[str] | None = None,
    *,
    budget: Budget = DEFAULT_BUDGET,
    d_state: int = 1,
    d_conv: int | None = None,
    contract: Contract | Literal["recognise"] | None = None,
    gates: Gates = "reflections",
    target: str | None = None,
    dtype: str = "float32",
    optimise: Optimise | None = None,
    construction: Construction | None = None,
    tokenizer: str | PathLike[str] | None = None,
    shape: ShapeName = "smallest",
) -> CompiledModel:
    """Compile a language to the weights of a Mamba language model: language -> decide -> cascade -> circuit -> weights.

    *Theorem.* A regular language is predictively modelled, at every length, by a Mamba (nonnegative gates, finite
    precision) iff it is star-free (Sarrof, Veitsman and Hahn 2024, theorem 4); reflections, which OLMo Hybrid has,
    carry every regular language; if its groups are 2-groups, as PARITY's is, so do gates of -1 (a *signed* Mamba,
    ``models.signed_mamba``, which is a model class of ours). *Proof, as it runs here.* Deciding finds the
    weakest gates that suffice, or a witness that none do; the language's automaton is decomposed into a cascade of
    memories that letters reset (or swap); its rules are merged and proved, triple by triple; the rules are a circuit
    over integers, one block per level; a target writes the circuit as weights whose roundings are harmless. Bounded
    Dyck languages (theorem 6), nested ones and counter languages (theorem 5) are circuits at once.

    Args:
        language: whatever :func:`~..automata.languages.as_language` reads: ``scancraft.named("D-12")``,
            ``scancraft.regex("(ab)*")``, a ``Path``, a :class:`Dfa`, a :class:`Combination` of some
            (``scancraft.all_of``, or an expression with ``&`` or ``~`` on top), a :class:`BoundedDyck`, a
            :class:`NestedLanguage`, a :class:`CounterMachine`, a machine with outputs (``scancraft.moore``); a bare
            string is a regular expression.
        out: a directory to write the checkpoint to; None to keep it in memory.
        budget: how far the searches may go; its seconds are those of all of them together.
        d_state: states per channel of the Mamba layers (one is enough; counters take one each, whatever is asked).
        d_conv: taps of their convolution, 2 to 4; by default as few as the model uses, which are 2 for a cascade. Plans
            that need more taps are left out.
        contract: "all-words" or "live-prefixes"; by default "all-words", but "live-prefixes" for bounded Dyck
            languages and nested ones. A DFA is always compiled for all words, which includes the live prefixes. Of a
            combination also "recognise": only the end of the word is promised; the default where its parts do not know
            more.
        gates: the strongest gates allowed: "nonnegative" insists on a real Mamba, "signed" allows the signed block,
            "reflections" the target olmo_hybrid.
        target: the kind of model, a name in ``scancraft.compiler.targets.TARGETS``; by default the target mamba,
            or olmo_hybrid where the language is not star-free; signed_mamba if ``gates`` is "signed".
        dtype: a format in which the model must be exact besides float32, bfloat16 and float64; only "float16" changes
            the weights (a smaller constant in the norms), and only some models fit it (docs/precision.md).
        optimise: of a regular language: "depth" takes the fewest blocks, and of these the fewest parameters; "size",
            or nothing, the fewest parameters, and of these the fewest blocks.
        construction: of a regular language: "cascade", "plan" or "walk" (counters, in the target mamba) insists on one
            of them, "pattern" and "finite" on those of languages that look at the last letters only; of a combination
            that means its product, and "side-by-side" its parts.
        tokenizer: a ``tokenizer.json`` or its directory: the language, over characters, is read by these tokens, and
            the model has their ids (``compiler.tokenized``).
        shape: "standard" pads the model to what runtimes have built in (d_model at least 64, expand 2, 4 taps, 16
            states; 128 in Mamba-2), which changes no number of it (``models.padding``).

    Returns:
        :class:`Compiled` for a DFA, else :class:`~scancraft.compiler.compiled.Constructed`.

    Raises:
        NotStarFreeError: the language is not star-free and ``gates`` is "nonnegative": no Mamba can model it at every
            length; carries the witness.
        GateClassError: it needs stronger gates than ``gates`` or ``target`` allows (a kind of NotStarFreeError).
        UnknownGatesError: ``gates`` is neither.
        UnknownTargetError: there is no such target.
        UnknownChoiceError: ``optimise`` or ``construction`` is neither.
        NoPlanError: a plan was asked for, and there is none, or (a PlanNotFoundError) none was found within the budget.
        NoWalkError: a walk was asked for, and the language is none.
        ForesightError: of a combination side by side, whose parts do not know what may come next, "all-words".
        TargetError: the target has no such sizes or no such construction, or its gates are stronger than ``gates``.
        PrecisionError: the model is not exact in ``dtype``.
        BudgetExceededError: undecided within the budget; a ModelSizeError if the model had too many parameters.
        ReadoutError: an unknown contract.
        ScancraftError: the language cannot be read, or ``out`` cannot be written.

    >>> import scancraft
    >>> print(scancraft.compile("(a(ab)*b)*"))
    4-state DFA -> cascade of height 3 -> Mamba: 3 blocks, d_model 16, d_inner 16, d_state 1, d_conv 2, \
dt_rank 2, 3,200 parameters, 218 not zero
    """
    budget = budget.running()
    wanted = as_language(language, budget)
    source, ids = wanted.source, None
    if tokenizer is not None:
        wanted, ids = tokenized(as_dfa(wanted, budget), tokenizer, budget=budget)
    check_gates(gates)
    check_choice(optimise, construction)
    if shape not in get_args(ShapeName):
        raise UnknownChoiceError(f"unknown shape {shape!r}; choose from {', '.join(get_args(ShapeName))}")
    if shape == "standard" and dtype == "float16":
        raise TargetError("models for float16 have small constants that leave no room for padding; drop the shape")
    if contract is not None:
        check_contract(contract, recognised=isinstance(wanted, Recognised))
    promise = None if contract == "recognise" else contract  # which only those without a DFA have
    if target is not None:
        allowed_target(target, gates)
    choice = Choice(budget, d_state, d_conv, gates, target, dtype, optimise, construction)
    compiled: CompiledModel
    if isinstance(wanted, (Dfa, Moore)):
        compiled = _regular(wanted, choice)
    elif isinstance(wanted, Combination):
        compiled = _combined(wanted, choice, contract)
    elif isinstance(wanted, PastLtl):
        compiled = _past(wanted, choice, contract)
    elif isinstance(wanted, BoundedDyck):
        compiled = bounded_dyck(
            wanted,
            contract=promise or "live-prefixes",
            budget=budget,
            d_conv=d_conv or FEWEST_TAPS,
            target=target,
            dtype=dtype,
        )
    elif isinstance(wanted, NestedLanguage):
        compiled = nested(
            wanted,
            contract=promise or "live-prefixes",
            budget=budget,
            d_conv=d_conv or FEWEST_TAPS,
            target=target,
            dtype=dtype,
        )
    elif isinstance(wanted, Copying):
        compiled = copies(
            wanted,
            contract=promise or "live-prefixes",
            budget=budget,
            d_conv=d_conv or FEWEST_TAPS,
            target=target,
            dtype=dtype,
        )
    else:
        compiled = counters(
            wanted,
            contract=promise or "all-words",
            budget=budget,
            d_conv=d_conv or FEWEST_TAPS,
            target=target,
            dtype=dtype,
        )
    compiled = (compiled if ids is None else renumbered(compiled, ids)).named(source)
    if shape == "standard":
        compiled = compiled.standard()
    if out is not None:
        compiled.save(out)
    return compiled


@dataclass(frozen=True)
class Choice:
    """What a person may choose for a regular language; see :func:`compile`."""

    budget: Budget
    d_state: int
    d_conv: int | None
    gates: Gates
    target: str | None
    dtype: str
    optimise: Optimise | None
    construction: Construction | None


def _regular(dfa: Dfa | Moore, choice: Choice) -> Compiled:
    """Theorem 4, and its counterpart for gates of -1; or a plan, where that is smaller."""
    budget, target = choice.budget, choice.target
    needed = _decided(dfa, budget, choice.gates, None if target is None else target_named(target))
    star_free = needed.gates is GateClass.NONNEGATIVE
    chosen = target_named(target or _weakest(star_free, choice.gates))
    letters = quotient(dfa)
    try:
        found = _ways(letters, choice, chosen, star_free=star_free)
    except ModelSizeError as error:
        error.group = "" if needed.group is None else needed.group.title
        raise
    best = found[0]
    kind = KINDS.get(needed.gates, "not star-free")
    manifest = manifest_of(
        best.circuit,
        best.found,
        chosen,
        language_to_json(dfa) | ({"states": dfa.n_states} if isinstance(dfa, Dfa) else {}) | {"class": kind},
        cascade=best.decomposed.cascade if best.decomposed else None,
        reason=needed.reason,
        optimise=choice.optimise,
        alternatives=sizes(found),
    )
    stages = next((way.decomposed for way in found if way.decomposed), None)
    later = replace(budget, started=None)  # stages that somebody asks for later have a time of their own
    return Compiled(best.found.weights, manifest, dfa, best.circuit, needed, best.plan, stages, later, letters)


def _weakest(star_free: bool, gates: Gates) -> str:
    """The name of the weakest target that carries a language: of those that ship, unless only signs are allowed."""
    if star_free:
        return "mamba"
    return "signed_mamba" if gates == "signed" else "olmo_hybrid"


def _combined(language: Combination, choice: Choice, contract: str | None) -> CompiledModel:
    """A combination by its product where that has few states, or side by side if that is smaller and promises as much.

    A product with more states is compiled only if it is asked for; its parts side by side then may promise less.
    """
    beside: CompiledModel | None = None
    if choice.construction in (None, "side-by-side"):
        try:
            beside = combination(
                language,
                contract=contract,
                budget=choice.budget,
                d_conv=choice.d_conv or FEWEST_TAPS,
                target=choice.target,
                dtype=choice.dtype,
            )
        except (ForesightError, NotStarFreeError):
            if choice.construction is not None:
                raise
    if choice.construction == "side-by-side" or contract == "recognise":
        assert beside is not None, "an error was raised instead"
        return beside
    items = choice.budget.items
    few = replace(choice.budget, items=items if beside is None else min(items, PRODUCT_ITEMS))
    try:
        known = beside.language if beside is not None else None
        product = _regular(known if isinstance(known, Dfa) else language.dfa(few), choice)
    except BudgetExceededError:
        if beside is None:
            raise
        return beside

    if beside is None or beside.manifest.contract == "recognise":
        return product
    return min(product, beside, key=lambda model: rank(model.weights, choice.optimise))


def _past(language: PastLtl, choice: Choice, contract: str | None) -> CompiledModel:
    """A past formula by its DFA where that has few states, or all words are asked for; else directly.

    Raises:
        BudgetExceededError: all words were asked for, and the DFA is too large.
    """
    asked = contract == "all-words" or choice.construction not in (None, "side-by-side")
    if contract != "recognise" and choice.construction != "side-by-side":
        few = replace(choice.budget, items=min(choice.budget.items, PRODUCT_ITEMS))
        try:
            return _regular(language.dfa(choice.budget if asked else few), choice)
        except BudgetExceededError:
            if asked:
                raise
    return past_formula(
        language, budget=choice.budget, d_conv=choice.d_conv or FEWEST_TAPS, target=choice.target, dtype=choice.dtype
    )


def _ways(
    letters: Quotient[Dfa | Moore], choice: Choice, target: Target, *, star_free: bool
) -> tuple[Alternative, ...]:
    """The cascade, plans and a walk, as far as they are wanted; at least one of them, the best first.

    All are sought over classes of letters that act alike; what is lowered has an embedding for each letter.
    Where several are, a cascade past the budget is left out if there is something else, and no plan is looked for if
    the cascade is as small as models get. Walks are for those who ask for one, or for something to be optimised, since
    their certificates have a limit; but one counter that never decreases is looked for where the cascade takes several
    blocks, and is the best if nothing else does with one.
    """
    options = Options(choice.d_state, choice.d_conv or FEWEST_TAPS, choice.budget.parameters)
    widest, dfa = choice.d_conv or max(target.d_conv), letters.dfa

    def lower(circuit: Circuit) -> tuple[Circuit, Lowered]:
        whole = over_letters(circuit, letters)
        return whole, lowered(whole, target, options, choice.dtype)

    walks: list[Alternative] = []
    past_budget: BudgetExceededError | None = None

    def fitting(ways: Iterable[Alternative]) -> list[Alternative]:
        """Those before the first that has too many parameters."""
        nonlocal past_budget
        found: list[Alternative] = []
        try:
            found.extend(ways)
        except ModelSizeError as error:
            past_budget = error
        return found

    asked = choice.construction in ("pattern", "finite")
    large = choice.construction is None and dfa.n_states >= MANY_STATES
    if star_free and target.name == "mamba" and isinstance(dfa, Dfa) and widest > STEP and (asked or large):
        if local := fitting(by_last_letters(dfa, choice.budget, lower, choice.construction)):
            return proved(local, choice.optimise, dfa, choice.budget)
    levels: list[Alternative] = []  # where there are some, a cascade has many more sets, and is larger
    if star_free and choice.construction in (None, "plan") and choice.optimise is None:
        levels = fitting(by_levels(dfa, choice.budget, lower, widest))
    if star_free and target.name == "mamba" and isinstance(dfa, Dfa):
        if choice.construction == "walk" or (choice.construction is None and choice.optimise is not None):
            try:
                walks = list(by_walk(dfa, choice.budget, lower, widest))
            except BudgetExceededError as error:
                past_budget = error
    registers: list[Alternative] = []
    if not star_free and target.gates == "reflections" and choice.construction in (None, "plan"):
        registers = fitting(by_registers(dfa, choice.budget, lower))
    found = [*walks, *levels, *registers]
    at_once = any(way.circuit.n_blocks == 1 for way in registers)  # nothing has fewer
    if choice.construction in (None, "cascade") and not levels and not at_once:
        try:
            groups: Groups = "bits" if target.gates in ("nonnegative", "signed") else "any"
            found.append(by_cascade(dfa, choice.budget, lower, groups))
        except BudgetExceededError as error:
            past_budget = error
    several = choice.construction is None and all(way.size.blocks > 1 for way in found)

    @cache
    def tallies() -> tuple[Alternative, ...]:
        wanted = several and choice.optimise is None and star_free and target.name == "mamba"
        return tuple(fitting(by_tally(dfa, choice.budget, lower))) if wanted and isinstance(dfa, Dfa) else ()

    if several and star_free and target.name == "mamba" and isinstance(dfa, Dfa):
        if all(way.size.parameters >= LARGE for way in found):
            found += tallies()
        if all(way.size.parameters >= LARGE for way in found):
            found += fitting(by_pairs(dfa, lower))
    if star_free and choice.construction in (None, "plan") and not levels and not any(way.least for way in found):
        longer = choice.optimise == "depth" and not walks
        beside = tuple(found) if target.name == "mamba" else None  # whose models' sizes can be told beforehand
        found += by_plans(
            dfa, choice.budget, lower, widest, beside=beside, deeper=tallies, optimise=choice.optimise, longer=longer
        )
    if all(way.size.blocks > 1 for way in found):
        found += tallies()
    if ways := proved(found, choice.optimise, dfa, choice.budget):
        return ways
    if past_budget is not None:
        raise past_budget
    if asked:
        raise NoPlanError(f"there is no such construction, {choice.construction}, of this language in this target")
    if choice.construction == "walk":
        witness = walk_of(as_dfa(dfa))
        raise NoWalkError(witness if isinstance(witness, NoWalk) else None)
    if not star_free:
        raise NoPlanError("there are plans of star-free languages only, and this is none; ask for a cascade")
    raise PlanNotFoundError("no plan was found within the budget; leave the construction open, or ask for a cascade")


def _decided(dfa: Dfa | Moore, budget: Budget, gates: Gates, target: Target | None) -> Classification:
    """Which gates the language needs, and why.

    Raises:
        NotStarFreeError: stronger ones than are allowed.
        GateClassError: diagonal gates do not suffice, and no others are allowed.
    """
    witness = star_free_witness(dfa, budget)
    if witness is not None and (gates if target is None else target.gates) == "nonnegative":
        raise NotStarFreeError(witness, dfa.alphabet)
    needed = classify_by_groups(dfa, witness, budget.meter("image sets"))
    if needed.gates > GateClass.SIGNED and (gates if target is None else target.gates) != "reflections":
        assert needed.witness is not None, "a language that needs no more than nonnegative gates"
        raise GateClassError(needed.witness, dfa.alphabet, needed.gates.value, needed.reason)
    return needed
