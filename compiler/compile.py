"""``scancraft.compile``: the driver, a handful of passes in order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..automata.alphabet import BOS, EOS, PAD, is_spaced
from ..automata.bounded_dyck import BoundedDyck
from ..automata.budget import DEFAULT_BUDGET, Budget
from ..automata.decide.aperiodic import NotStarFreeError
from ..automata.decide.classification import Classification, GateClass, classify_by_groups
from ..automata.dfa import Dfa
from ..automata.languages import Language, as_language
from ..models.mamba import MambaWeights
from ..models.weights import ModelWeights
from .cascade.cascade import Cascade, decompose
from .cascade.rules import RuleTable, tabulate
from .circuits.program import Program, assemble
from .manifest import build_manifest
from .targets import Options, Target, TargetError
from .targets import target as target_named
from .targets.gates import GATES, GateClassError, Gates, check_gates

if TYPE_CHECKING:
    import torch

    from ..models.readout import Contract, Readout
    from ..models.run.model_runner import ModelRunner
    from ..models.run.runner import Runner


@dataclass(frozen=True)
class CompiledModel:
    """A language as a language model of state-space layers: what every way of compiling gives.

    Attributes:
        weights: the weights, float32 (a ``MambaWeights`` in the target mamba).
        manifest: what ``scancraft.json`` says.
    """

    weights: ModelWeights
    manifest: dict[str, Any]

    @property
    def language(self) -> Language:
        """The language."""
        raise NotImplementedError

    @property
    def readout(self) -> Readout:
        """How the model is bound to the language."""
        from .checkpoints import readout_of

        return readout_of(self.manifest)

    def model(self, dtype: torch.dtype | None = None) -> Any:
        """The weights in a model of the target's class, say ``transformers``' ``MambaForCausalLM``.

        It is in float32 unless ``dtype`` says otherwise.
        """
        import torch

        from ..models.build import build_model

        ids = self.manifest["tokens"]
        return build_model(
            self.weights, pad=ids[PAD], bos=ids[BOS], eos=ids[EOS], dtype=torch.float32 if dtype is None else dtype
        )

    def runner(self, dtype: torch.dtype | None = None) -> Runner | ModelRunner:
        """The weights in scancraft's own fast runner, which refuses to go past what the counters hold exactly.

        Other kinds than Mamba, signed or not, get a plain one, without streams.
        """
        from .checkpoints import runner_of

        native = dtype is None and isinstance(self.weights, MambaWeights)
        return runner_of(self.weights if native else self.model(dtype), self.manifest, dtype)

    def save(self, directory: str | PathLike[str]) -> Path:
        """Write a standard checkpoint directory and return its path; equal input gives equal bytes.

        Raises:
            CheckpointError: the directory holds something else, or cannot be written.
        """
        from ..models.checkpoints.checkpoint import write_checkpoint

        place = Path(directory)
        spaced = is_spaced(self.language.alphabet)
        write_checkpoint(place, self.weights, self.manifest, bos=BOS, eos=EOS, pad=PAD, spaced=spaced)
        return place


@dataclass(frozen=True)
class Compiled(CompiledModel):
    """A regular language compiled by a cascade (theorem 4, or with swaps), with every stage; print any of them.

    Attributes:
        dfa: the language.
        cascade: its cascade.
        rules: the cascade's rules, merged.
        program: the block program.
        classification: which gates the language needs, and why.
    """

    dfa: Dfa
    cascade: Cascade
    rules: RuleTable
    program: Program
    classification: Classification

    @property
    def language(self) -> Dfa:
        """The language."""
        return self.dfa

    def __str__(self) -> str:
        return f"{self.dfa.n_states}-state DFA -> cascade of height {self.cascade.height} -> {self.weights}"


def compile(
    language: Any,
    out: str | PathLike[str] | None = None,
    *,
    budget: Budget = DEFAULT_BUDGET,
    d_state: int = 1,
    d_conv: int = 2,
    contract: Contract | None = None,
    gates: Gates = "signed",
    target: str | None = None,
    dtype: str = "float32",
) -> CompiledModel:
    """Compile a language to the weights of a Mamba language model.

    The weakest gates that suffice are used. A star-free language becomes a Mamba; one whose groups are 2-groups
    (PARITY) a *signed* Mamba, whose gates may be -1 (``models.signed_mamba``); nothing else is compiled yet.

    Args:
        language: a :class:`Dfa`, a regular expression (str), a JSON file (Path) or mapping, a networkx graph, or a DFA
            of automata-lib or pyformlang (see ``scancraft.as_dfa``); or a :class:`BoundedDyck` or a
            :class:`CounterMachine`.
        out: a directory to write the checkpoint to; None to keep it in memory.
        budget: how far the searches may go.
        d_state: states per channel of the Mamba layers (one is enough; counters take one each, whatever is asked).
        d_conv: taps of their convolution, 2 to 4 (two are enough).
        contract: "all-words" or "live-prefixes"; by default "all-words", but "live-prefixes" for bounded Dyck
            languages. A DFA is always compiled for all words, which includes the live prefixes.
        gates: the strongest gates allowed: "nonnegative" insists on a real Mamba, "signed" allows the signed block.
        target: the kind of model, a name in ``scancraft.compiler.targets.TARGETS``; by default the target mamba, or
            signed_mamba where the language needs signs.
        dtype: a format in which the model must be exact besides float32, bfloat16 and float64; only "float16" changes
            the weights (a smaller constant in the norms), and only some models fit it (docs/precision.md).

    Returns:
        :class:`Compiled` for a DFA, else :class:`~scancraft.compiler.constructions.Constructed`.

    Raises:
        NotStarFreeError: the language is not star-free and ``gates`` is "nonnegative": no Mamba can model it at every
            length; carries the witness.
        GateClassError: it needs gates that are not compiled yet (a kind of NotStarFreeError).
        UnknownGatesError: ``gates`` is neither.
        UnknownTargetError: there is no such target.
        TargetError: the target has no such sizes or no such construction, or its gates are stronger than ``gates``.
        PrecisionError: the model is not exact in ``dtype``.
        BudgetExceededError: undecided within the budget.
        ReadoutError: an unknown contract.
        ScancraftError: the language cannot be read, or ``out`` cannot be written.

    >>> import scancraft
    >>> print(scancraft.compile("(a(ab)*b)*"))
    4-state DFA -> cascade of height 3 -> Mamba: 3 blocks, d_model 16, d_inner 16, d_state 1, d_conv 2, \
dt_rank 2, 3,200 parameters, 219 not zero
    """
    from . import constructions

    wanted = as_language(language)
    check_gates(gates)
    to = None if target is None else allowed_target(target, gates)
    options = Options(d_state=d_state, d_conv=d_conv)
    if contract is not None:
        constructions.check_contract(contract)
    compiled: CompiledModel
    if isinstance(wanted, Dfa):
        compiled = _regular(wanted, budget, options, gates, to)
    elif isinstance(wanted, BoundedDyck):
        compiled = constructions.bounded_dyck(
            wanted, contract=contract or "live-prefixes", d_conv=d_conv, target=target
        )
    else:
        compiled = constructions.counters(
            wanted, contract=contract or "all-words", budget=budget, d_conv=d_conv, target=target
        )
    compiled = fitted(compiled, dtype)
    if out is not None:
        compiled.save(out)
    return compiled


def allowed_target(name: str, gates: Gates = "signed") -> Target:
    """The target of this name.

    Raises:
        UnknownTargetError: there is none.
        TargetError: its gates are stronger than those allowed.
    """
    found = target_named(name)
    if GATES.index(found.gates) > GATES.index(gates):
        raise TargetError(
            f"the target {name} has {found.gates} gates, and only {gates} ones are allowed; drop one of both"
        )
    return found


def fitted(compiled: CompiledModel, dtype: str) -> CompiledModel:
    """The same model, if need be with constants that ``dtype`` holds.

    Raises:
        PrecisionError: an unknown dtype, or one in which the model is not exact.
    """
    if dtype == "float32":
        return compiled
    from ..models.precision import PrecisionError
    from .targets.float16 import check_dtype, fit  # these import torch

    check_dtype(dtype)
    weights, manifest = compiled.weights, compiled.manifest
    if dtype not in target_named(manifest["target"]).dtypes:
        raise PrecisionError(
            f"a {weights.model_type} is not compiled to {dtype}; use another dtype or the target mamba"
        )
    for counter in manifest.get("counters", ()):
        if dtype not in counter["limits"] and dtype != "float16":
            raise PrecisionError(
                f"{counter['name']} is not counted exactly in {dtype}, only in {', '.join(counter['limits'])}; "
                "use one of these"
            )
    if dtype != "float16":
        return compiled  # these hold all that does not count
    assert isinstance(weights, MambaWeights), "only the target mamba lists float16"
    weights = fit(weights, dtype)
    constant = float(weights.tensors["backbone.embeddings.weight"].max())
    constants = {**manifest["constants"], "constant": constant}
    return replace(compiled, weights=weights, manifest={**manifest, "constants": constants})


def _regular(dfa: Dfa, budget: Budget, options: Options, gates: Gates, target: Target | None) -> Compiled:
    witness = None
    try:
        cascade = decompose(dfa, budget)
    except NotStarFreeError as error:
        if gates == "nonnegative" or (target is not None and target.gates == "nonnegative"):
            raise
        witness = error.witness
    kind = classify_by_groups(dfa, witness, budget.meter("image sets"))
    if kind.gates > GateClass.SIGNED:
        assert kind.witness is not None
        raise GateClassError(kind.witness, dfa.alphabet, kind.gates.value, kind.reason)
    if witness is not None:
        cascade = decompose(dfa, budget, swaps=True)
    rules = tabulate(cascade, budget)
    rules.verify()
    program = assemble(rules)
    chosen = target or target_named("mamba" if witness is None else "signed_mamba")
    weights = chosen.weights_of(program, options)
    manifest = build_manifest(cascade, program, weights, kind.reason, chosen)
    return Compiled(weights, manifest, dfa, cascade, rules, program, kind)
