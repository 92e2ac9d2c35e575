"""``scancraft.compile``: the driver, a handful of passes in order."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .automata.alphabet import BOS, EOS, PAD, is_spaced
from .automata.bounded_dyck import BoundedDyck
from .automata.budget import DEFAULT_BUDGET, Budget
from .automata.dfa import Dfa
from .automata.languages import Language, as_language
from .compiler.cascade import Cascade, decompose
from .compiler.lower import lower
from .compiler.manifest import build_manifest
from .compiler.program import Program, assemble
from .compiler.rules import RuleTable, tabulate
from .models.mamba import MambaWeights

if TYPE_CHECKING:
    import torch

    from .models.readout import Contract, Readout
    from .models.scan import Runner


@dataclass(frozen=True)
class CompiledModel:
    """A language as a Mamba language model: what every way of compiling gives.

    Attributes:
        weights: the Mamba weights, float32.
        manifest: what ``scancraft.json`` says.
    """

    weights: MambaWeights
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
        """The weights in a ``transformers`` ``MambaForCausalLM`` (float32 unless ``dtype`` says otherwise)."""
        import torch

        from .models.build import build_model

        ids = self.manifest["tokens"]
        return build_model(
            self.weights, pad=ids[PAD], bos=ids[BOS], eos=ids[EOS], dtype=torch.float32 if dtype is None else dtype
        )

    def runner(self, dtype: torch.dtype | None = None) -> Runner:
        """The weights in scancraft's own fast runner, which refuses to go past what the counters hold exactly."""
        from .checkpoints import runner_of

        return runner_of(self.weights if dtype is None else self.model(dtype), self.manifest, dtype)

    def save(self, directory: str | PathLike[str]) -> Path:
        """Write a standard checkpoint directory and return its path; equal input gives equal bytes.

        Raises:
            CheckpointError: the directory holds something else, or cannot be written.
        """
        from .models.checkpoint import write_checkpoint

        place = Path(directory)
        spaced = is_spaced(self.language.alphabet)
        write_checkpoint(place, self.weights, self.manifest, bos=BOS, eos=EOS, pad=PAD, spaced=spaced)
        return place


@dataclass(frozen=True)
class Compiled(CompiledModel):
    """A star-free language compiled by theorem 4, with every stage on the way; print any of them.

    Attributes:
        dfa: the language.
        cascade: its reset cascade.
        rules: the cascade's rules, merged.
        program: the block program.
    """

    dfa: Dfa
    cascade: Cascade
    rules: RuleTable
    program: Program

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
) -> CompiledModel:
    """Compile a language to the weights of a Mamba language model.

    Args:
        language: a :class:`Dfa`, a regular expression (str), a JSON file (Path) or mapping, a networkx graph, or a DFA
            of automata-lib or pyformlang (see ``scancraft.as_dfa``), which must be star-free; or a
            :class:`BoundedDyck` or a :class:`CounterMachine`.
        out: a directory to write the checkpoint to; None to keep it in memory.
        budget: how far the searches may go.
        d_state: states per channel of the Mamba layers (one is enough; counters take one each, whatever is asked).
        d_conv: taps of their convolution, 2 to 4 (two are enough).
        contract: "all-words" or "live-prefixes"; by default "all-words", but "live-prefixes" for bounded Dyck
            languages. A star-free language is always compiled for all words, which includes the live prefixes.

    Returns:
        :class:`Compiled` for a star-free language, else :class:`~scancraft.constructions.Constructed`.

    Raises:
        NotStarFreeError: no Mamba can model the language at every length; carries the witness.
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
    if contract is not None:
        constructions.check_contract(contract)
    compiled: CompiledModel
    if isinstance(wanted, Dfa):
        compiled = _star_free(wanted, budget, d_state, d_conv)
    elif isinstance(wanted, BoundedDyck):
        compiled = constructions.bounded_dyck(wanted, contract=contract or "live-prefixes", d_conv=d_conv)
    else:
        compiled = constructions.counters(wanted, contract=contract or "all-words", budget=budget, d_conv=d_conv)
    if out is not None:
        compiled.save(out)
    return compiled


def _star_free(dfa: Dfa, budget: Budget, d_state: int, d_conv: int) -> Compiled:
    cascade = decompose(dfa, budget)
    rules = tabulate(cascade, budget)
    rules.verify()
    program = assemble(rules)
    weights = lower(program, d_state=d_state, d_conv=d_conv)
    return Compiled(weights, build_manifest(cascade, program, weights), dfa, cascade, rules, program)
