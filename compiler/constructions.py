"""Constructions as functions a person can call: the paper's own (flip-flop, bounded Dyck, counters), and walks."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

from ..automata.bounded_dyck import BoundedDyck, Pair
from ..automata.budget import DEFAULT_BUDGET, Budget
from ..automata.copying.language import Copying
from ..automata.counters.machine import CounterMachine
from ..automata.decide.walks import NoWalk, NoWalkError, walk_of
from ..automata.dfa import Dfa
from ..automata.errors import BracketLanguageError, BudgetExceededError, CopyingLanguageError, CounterLanguageError
from ..automata.families import flip_flop as flip_flop_language
from ..automata.languages import Language, as_dfa, language_to_json
from ..automata.nested.language import NestedLanguage
from ..models.errors import ReadoutError
from .circuits.bounded_dyck import bounded_dyck_circuit
from .circuits.circuit import Circuit
from .circuits.copying import copying_circuit
from .circuits.counting import counter_circuit, machine_limits
from .circuits.flip_flop import flip_flop_circuit
from .circuits.nested.circuit import nested_circuit
from .circuits.walks import counted
from .compiled import Constructed, allowed_target, lowered, manifest_of
from .targets import Options

if TYPE_CHECKING:
    from ..models.readout import Contract


def check_contract(contract: str, *, recognised: bool = False) -> None:
    """Raise :class:`ReadoutError` for a contract that is unknown, or that such a language cannot have."""
    from ..models.readout import CONTRACTS

    known = ("all-words", "recognise") if recognised else CONTRACTS
    if contract not in known:
        raise ReadoutError(f"contract {contract!r} is unknown, or not for such a language; use {' or '.join(known)}")


def flip_flop(
    out: str | PathLike[str] | None = None,
    *,
    contract: Contract = "all-words",
    d_conv: int = 2,
    target: str | None = None,
    dtype: str = "float32",
) -> Constructed:
    """The flip-flop language by theorem 1: one block for live prefixes, two for all words.

    (The general compiler, ``scancraft.compile(scancraft.automata.families.flip_flop())``, needs four.)

    Args:
        out: a directory to write the checkpoint to; None to keep it in memory.
        contract: "all-words" or "live-prefixes".
        d_conv: taps of the convolution, 2 to 4.
        target: the kind of model (``scancraft.compile``); by default the target mamba.
        dtype: a format in which the model must be exact (``scancraft.compile``).

    >>> print(flip_flop())
    flip-flop, one memory (Sarrof, Veitsman, Hahn 2024, theorem 1), 5 memories -> Mamba: 2 blocks, d_model 16, \
d_inner 16, d_state 1, d_conv 2, dt_rank 4, 2,352 parameters, 196 not zero
    """
    check_contract(contract)
    circuit = flip_flop_circuit(all_words=contract == "all-words")
    return constructed(flip_flop_language(), "star-free", circuit, d_conv, out, target, dtype)


def dyck(
    kinds: int,
    depth: int,
    out: str | PathLike[str] | None = None,
    *,
    brackets: tuple[Pair, ...] = (),
    contract: Contract = "live-prefixes",
    d_conv: int = 2,
    target: str | None = None,
    dtype: str = "float32",
) -> Constructed:
    """Dyck_{K,h} by theorem 6, in two blocks (live prefixes) or three (all words). O(h log K) channels, no DFA.

    Args:
        kinds: K, kinds of brackets.
        depth: h, how deep they may nest.
        out: a directory to write the checkpoint to; None to keep it in memory.
        brackets: the pairs of symbols; by default ``( ) [ ] { } < >``, or ``(1 )1 (2 )2`` for more than four kinds.
        contract: "live-prefixes", or "all-words", which takes a third block.
        d_conv: taps of the convolution, 2 to 4.
        target: the kind of model (``scancraft.compile``); by default the target mamba.
        dtype: a format in which the model must be exact (``scancraft.compile``).

    Raises:
        BracketLanguageError: K or h below 1.
        BudgetExceededError: the model would have more than 2^28 parameters.

    >>> dyck(8, 10).circuit.n_blocks, dyck(8, 10).circuit.memories
    (2, 41)
    """
    return bounded_dyck(
        BoundedDyck(kinds, depth, brackets), out, contract=contract, d_conv=d_conv, target=target, dtype=dtype
    )


def bounded_dyck(
    language: BoundedDyck,
    out: str | PathLike[str] | None = None,
    *,
    contract: Contract = "live-prefixes",
    budget: Budget = DEFAULT_BUDGET,
    d_conv: int = 2,
    target: str | None = None,
    dtype: str = "float32",
) -> Constructed:
    """:func:`dyck` of a language that is a value already."""
    check_contract(contract)
    # Two or three blocks of about 3 h ceil(log2(K + 1)) channels, each with h rows of Delta and tens of dimensions.
    size = 2 * 3 * language.depth * language.code_bits * (2 * language.depth + 100)
    if size > max(budget.parameters, DEFAULT_BUDGET.parameters):
        raise BudgetExceededError("parameters (estimated)", size, budget.parameters)
    circuit = bounded_dyck_circuit(language, all_words=contract == "all-words")
    if not any("float32" in limits for limits in circuit.limits.values()):
        raise BracketLanguageError(f"{language.name} is too deep for float32 to count exactly; give a smaller depth")
    return constructed(language, "star-free", circuit, d_conv, out, target, dtype, budget)


def nested(
    language: NestedLanguage,
    out: str | PathLike[str] | None = None,
    *,
    contract: Contract = "live-prefixes",
    budget: Budget = DEFAULT_BUDGET,
    d_conv: int = 2,
    target: str | None = None,
    dtype: str = "float32",
) -> Constructed:
    """A nested language in three blocks (live prefixes) or four (all words). O(h * memories) channels, no DFA.

    One block more where what a level remembers depends on its last two symbols.

    Args:
        language: the language.
        out: a directory to write the checkpoint to; None to keep it in memory.
        contract: "live-prefixes", or "all-words", which takes a fourth block.
        budget: how far the search for what a level remembers may go.
        d_conv: taps of the convolution, 2 to 4.
        target: the kind of model (``scancraft.compile``); by default the target mamba.
        dtype: a format in which the model must be exact (``scancraft.compile``).

    Raises:
        LevelMemoryError: the control of a level needs more than one block.
        BudgetExceededError: the search takes too long, or the model would have more than 2^28 parameters.

    >>> from scancraft.automata.nested.documents import json_documents
    >>> nested(json_documents(10)).circuit.n_blocks
    3
    """
    check_contract(contract)
    circuit = nested_circuit(language, all_words=contract == "all-words", budget=budget)
    if not any("float32" in limits for limits in circuit.limits.values()):
        raise BracketLanguageError(f"a depth of {language.depth} is too much for float32 to count exactly; give less")
    return constructed(language, "star-free", circuit, d_conv, out, target, dtype, budget)


def copies(
    language: Copying,
    out: str | PathLike[str] | None = None,
    *,
    contract: Contract = "live-prefixes",
    budget: Budget = DEFAULT_BUDGET,
    d_conv: int = 2,
    target: str | None = None,
    dtype: str = "float32",
) -> Constructed:
    """Words and their copies, in two blocks: ceil(log2 K) memories for each place, and two more. No DFA.

    Args:
        language: which letters, and how many.
        out: a directory to write the checkpoint to; None to keep it in memory.
        contract: "live-prefixes"; nothing is promised of words that have died.
        budget: how many parameters the model may have.
        d_conv: taps of the convolution, 2 to 4.
        target: the kind of model (``scancraft.compile``); by default the target mamba.
        dtype: a format in which the model must be exact (``scancraft.compile``).

    Raises:
        CopyingLanguageError: all words are to be right, or words are too long for float32 to count exactly.
        BudgetExceededError: the model would have more than 2^28 parameters.

    >>> from scancraft.automata.copying.language import copying
    >>> copies(copying(26, 10)).circuit.n_blocks, copies(copying(26, 10)).circuit.memories
    (2, 52)
    """
    check_contract(contract)
    if contract == "all-words":
        raise CopyingLanguageError(
            "a model that copies is built for live prefixes only; leave the contract out, or compile the DFA (`.dfa()`)"
        )
    circuit = copying_circuit(language)
    if not any("float32" in limits for limits in circuit.limits.values()):
        raise CopyingLanguageError(f"{language.longest} letters are too many for float32 to count; give fewer")
    return constructed(language, "star-free", circuit, d_conv, out, target, dtype, budget)


def counters(
    machine: CounterMachine,
    out: str | PathLike[str] | None = None,
    *,
    contract: Contract = "all-words",
    budget: Budget = DEFAULT_BUDGET,
    d_conv: int = 2,
    target: str | None = None,
    dtype: str = "float32",
) -> Constructed:
    """A counter language by theorem 5.

    Args:
        machine: the language.
        out: a directory to write the checkpoint to; None to keep it in memory.
        contract: "all-words", or "live-prefixes", which saves a block.
        budget: how far the search for the control's cascade may go.
        d_conv: taps of the convolution, 2 to 4.
        target: the kind of model (``scancraft.compile``); by default the target mamba.
        dtype: a format in which the model must be exact (``scancraft.compile``).

    Raises:
        CounterLanguageError: the control is not star-free, or an amount is too large for float32.
        BudgetExceededError: the control is too large.
    """
    check_contract(contract)
    for counter, limits in zip(machine.counters, machine_limits(machine), strict=True):
        if "float32" not in limits:
            raise CounterLanguageError(
                f"counter {counter.name!r} begins at or changes by more at once than float32 counts exactly beside the "
                f"others (2^24 in all, half of it for signed counters); give smaller amounts"
            )
    circuit = counter_circuit(machine, all_words=contract == "all-words", budget=budget)
    return constructed(machine, "counter", circuit, d_conv, out, target, dtype, budget)


def walk(
    language: Any,
    out: str | PathLike[str] | None = None,
    *,
    contract: Contract = "all-words",
    d_conv: int = 2,
    target: str | None = None,
    dtype: str = "float32",
) -> Constructed:
    """A regular language whose live part is a walk in Z^d, by d counters: D_n in one block or two, for every n.

    Args:
        language: whatever ``as_dfa`` reads.
        out: a directory to write the checkpoint to; None to keep it in memory.
        contract: "all-words", or "live-prefixes", which saves a block.
        d_conv: taps of the convolution, 2 to 4.
        target: the kind of model (``scancraft.compile``); by default the target mamba.
        dtype: a format in which the model must be exact (``scancraft.compile``).

    Raises:
        NoWalkError: it is none, with a witness.

    >>> from scancraft.automata.families import d_n
    >>> print(walk(d_n(100)))
    a walk in Z: 1 counter and the bounds of the live places, 2 memories -> Mamba: 2 blocks, d_model 16, d_inner 16, \
d_state 1, d_conv 2, dt_rank 2, 2,224 parameters, 77 not zero
    """
    check_contract(contract)
    dfa = as_dfa(language)
    circuit = counted(dfa, contract, widest=d_conv)
    if circuit is None:
        found = walk_of(dfa)
        raise NoWalkError(found if isinstance(found, NoWalk) else None)
    return constructed(dfa, "star-free", circuit, d_conv, out, target, dtype)


def constructed(
    language: Language,
    kind: str,
    circuit: Circuit,
    d_conv: int,
    out: str | PathLike[str] | None,
    target: str | None,
    dtype: str,
    budget: Budget = DEFAULT_BUDGET,
) -> Constructed:
    """A language's circuit in a target, by default mamba; written to ``out`` unless that is None."""
    chosen = allowed_target(target or "mamba")
    found = lowered(circuit, chosen, Options(d_conv=d_conv, parameters=budget.parameters), dtype)
    states = {"states": language.n_states} if isinstance(language, Dfa) else {}
    about = language_to_json(language) | states | {"class": kind}
    model = Constructed(found.weights, manifest_of(circuit, found, chosen, about), language, circuit)
    if out is not None:
        model.save(out)
    return model
