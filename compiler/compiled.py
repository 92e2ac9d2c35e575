"""What compiling gives: a language as a language model, with its stages; and the last pass, from circuit to weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import msgspec

from ..automata.alphabet import BOS, EOS, PAD, is_spaced, spellings
from ..automata.budget import DEFAULT_BUDGET, Budget
from ..automata.decide.classification import Classification
from ..automata.dfa import Dfa
from ..automata.languages import Language, as_dfa
from ..automata.letters import Quotient, quotient
from ..automata.moore import Moore
from ..automata.told import Kind
from ..models.mamba import MambaWeights
from ..models.padding import STANDARD, padded
from ..models.padding import Source as Padded
from ..models.weights import ModelWeights
from .alternatives import Decomposed, decomposed
from .cascade.cascade import Cascade
from .cascade.rules import RuleTable
from .circuits.circuit import Circuit
from .language_model import LanguageModel
from .manifest import (
    MOST_SOURCE,
    SCHEMA_VERSION,
    LevelSets,
    Manifest,
    NeededGates,
    SizeOf,
    Sizes,
    Source,
    SpecialTokens,
    StateEntries,
    TiledSet,
)
from .plan.plan import Plan
from .targets import Lowered, Options, Target, TargetError
from .targets import target as target_named
from .targets.float16 import check_dtype
from .targets.gates import GATES, Gates
from .targets.layout import widened
from .targets.lower import LOGIT
from .targets.tokens import class_rows, token_ids

if TYPE_CHECKING:
    import torch

    from ..models.readout import Readout
    from ..models.run.model_runner import ModelRunner
    from ..models.run.runner import Runner


@dataclass(frozen=True, repr=False)
class CompiledModel(LanguageModel):
    """A language as a language model of state-space layers: what every way of compiling gives.

    Attributes:
        weights: the weights, float32 (a ``MambaWeights`` in the target mamba).
        manifest: what ``scancraft.json`` says.
        language: the language.
        circuit: its blocks and channels, before any tensor.
    """

    weights: ModelWeights
    manifest: Manifest
    language: Language
    circuit: Circuit

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"

    @property
    def readout(self) -> Readout:
        """How the model is bound to the language."""
        from .checkpoints import readout_of  # imports torch

        return readout_of(self.manifest)

    def model(self, dtype: torch.dtype | None = None) -> Any:
        """The weights in a model of the target's class, say ``transformers``' ``MambaForCausalLM``.

        It is in float32 unless ``dtype`` says otherwise.
        """
        import torch

        from ..models.build import build_model

        ids, dtype = self.manifest.tokens, torch.float32 if dtype is None else dtype
        return build_model(self.weights, pad=ids[PAD], bos=ids[BOS], eos=ids[EOS], dtype=dtype)

    def runner(self, dtype: torch.dtype | None = None) -> Runner | ModelRunner:
        """The weights in scancraft's own fast runner, which refuses to go past what the counters hold exactly.

        Other kinds than Mamba, signed or not, get a plain one, without streams.
        """
        from .checkpoints import runner_of  # imports torch

        native = dtype is None and isinstance(self.weights, MambaWeights)
        return runner_of(self.weights if native else self.model(dtype), self.manifest, dtype)

    def named(self, source: tuple[Kind, str] | None) -> Self:
        """The same model, whose manifest says how a person named the language, unless that is empty or very long."""
        told = None if source is None or not 0 < len(source[1]) <= MOST_SOURCE else Source(*source)
        return replace(self, manifest=msgspec.structs.replace(self.manifest, source=told))

    def standard(self, *, vocabulary: int = 1, width: int = 8) -> Self:
        """The same model in the sizes that runtimes have built in (``models.padding``): no number of it changes.

        Args:
            vocabulary: the rows of the embedding become a multiple of this; those added are like that of ``<pad>``.
            width: d_model becomes a multiple of this.

        Raises:
            TargetError: runtimes have no such kind of model, or the width is no power of two.
        """
        if vocabulary < 1 or width < 1 or width.bit_count() > 1:
            raise TargetError(
                f"no padding to multiples of {vocabulary} (vocabulary) and {width} (width): widths grow by powers of "
                "four, so give a power of two, such as 64, and 1 or more for the vocabulary"
            )
        weights, ids = self.weights, self.manifest.tokens
        if weights.model_type not in STANDARD:
            raise TargetError(
                f"there is no standard shape for {weights.model_type}; there are of {', '.join(STANDARD)}"
            )
        source = Padded(weights.config(pad=ids[PAD], bos=ids[BOS], eos=ids[EOS]), weights.tensors)
        wide = padded(source, replace(STANDARD[weights.model_type], vocabulary=vocabulary, width=width))
        sizes = {"d_state": "state_size", "d_conv": "conv_kernel", "expand": "expand", "n_heads": "num_heads"}
        own = {name: wide.config[key] for name, key in sizes.items() if hasattr(weights.shape, name)}
        shape = replace(weights.shape, d_model=wide.d_model, vocab_size=wide.config["vocab_size"], **own)
        grown = replace(weights, shape=shape, tensors=wide.tensors)
        used = self.manifest.state_entries.used
        manifest = msgspec.structs.replace(
            self.manifest,
            shape=Sizes(**grown.sizes()),
            residual=widened(self.manifest.residual, wide.d_model),
            state_entries=StateEntries(used, shape.n_layers * shape.d_inner * shape.d_state),
        )
        return replace(self, weights=grown, manifest=manifest)

    def save(self, directory: str | PathLike[str]) -> Path:
        """Write a standard checkpoint directory and return its path; equal input gives equal bytes.

        Raises:
            CheckpointError: the directory holds something else, or cannot be written.
        """
        from ..models.checkpoints.checkpoint import write_checkpoint

        place = Path(directory)
        alphabet, manifest = self.language.alphabet, self.manifest.to_json()
        written: Any = {"spaced": is_spaced(alphabet), "spellings": spellings(alphabet)}
        write_checkpoint(place, self.weights, manifest, bos=BOS, eos=EOS, pad=PAD, **written)
        return place


@dataclass(frozen=True, repr=False)
class Compiled(CompiledModel):
    """A regular language compiled by a cascade (theorem 4, or with swaps) or by a plan; print any of the stages.

    Attributes:
        classification: which gates the language needs, and why.
        plan: the plan, if it was compiled by one.
        decomposed: the cascade and its rules, if they were worked out.
        budget: how far to go to work them out.
        known_letters: the language over classes of letters, if it was worked out.

    Cascade, rules and plan are over the names of :attr:`letters`: letters that act alike are one there.
    """

    language: Dfa | Moore
    classification: Classification
    plan: Plan | None = None
    decomposed: Decomposed | None = None
    budget: Budget = DEFAULT_BUDGET
    known_letters: Quotient[Dfa | Moore] | None = None

    @property
    def dfa(self) -> Dfa:
        """The language.

        Raises:
            NotRegularError: it is a machine with outputs.
        """
        return as_dfa(self.language)

    @cached_property
    def letters(self) -> Quotient[Dfa | Moore]:
        """The language over classes of letters that act alike, which the stages are about."""
        return self.known_letters or quotient(self.language)

    @cached_property
    def _stages(self) -> Decomposed:
        return self.decomposed or decomposed(self.letters.dfa, self.budget)

    @property
    def cascade(self) -> Cascade:
        """The language's cascade, whatever it was compiled by.

        Raises:
            BudgetExceededError: it is too large for the budget.
        """
        return self._stages.cascade

    @property
    def rules(self) -> RuleTable:
        """The cascade's rules, merged."""
        return self._stages.rules

    @property
    def program(self) -> Circuit:
        """The circuit, by the name that ``scancraft explain --stage`` knows for cascades."""
        return self.circuit

    def __str__(self) -> str:
        way = (
            f"cascade of height {self.cascade.height}" if self.circuit.kind == "cascade" else self.circuit.construction
        )
        kind = "DFA" if isinstance(self.language, Dfa) else "Moore machine"
        return f"{self.language.n_states}-state {kind} -> {way} -> {self.weights}"


@dataclass(frozen=True, repr=False)
class Constructed(CompiledModel):
    """A language compiled by one of the paper's own constructions, or a past formula; print the circuit.

    Attributes:
        plan: of a past formula: its plan.
    """

    plan: Plan | None = None

    def __str__(self) -> str:
        return f"{self.circuit.construction}, {self.manifest.memories} memories -> {self.weights}"


def allowed_target(name: str, gates: Gates = "reflections") -> Target:
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


def lowered(circuit: Circuit, target: Target, options: Options, dtype: str = "float32") -> Lowered:
    """A circuit as weights that are exact in ``dtype`` too.

    Raises:
        TargetError: the target cannot have these sizes or this construction.
        PrecisionError: an unknown dtype, or one in which the model is not exact.
    """
    found = target.lowered(circuit, options)
    return found if dtype == "float32" else replace(found, weights=_fitted(circuit, found, target, dtype))


def _fitted(circuit: Circuit, found: Lowered, target: Target, dtype: str) -> ModelWeights:
    from ..models.precision import PrecisionError  # imports torch

    check_dtype(dtype)
    if dtype not in target.dtypes:
        raise PrecisionError(f"a {target.model_type} is not compiled to {dtype}; use another dtype or the target mamba")
    for counter in found.counters:
        if dtype not in counter.limits and dtype != "float16":
            raise PrecisionError(
                f"{counter.name} is not counted exactly in {dtype}, only in {', '.join(counter.limits)}; "
                "use one of these"
            )
    return target.fit(circuit, found.weights, dtype)


def manifest_of(
    circuit: Circuit,
    found: Lowered,
    target: Target,
    language: Mapping[str, Any],
    *,
    cascade: Cascade | None = None,
    reason: str | None = None,
    optimise: Literal["depth", "size"] | None = None,
    alternatives: tuple[SizeOf, ...] = (),
) -> Manifest:
    """Everything but the weights. Deterministic: equal input gives an equal manifest.

    Args:
        circuit: what was lowered.
        found: its weights.
        target: what it was lowered to.
        language: what stands under ``language``.
        cascade: the language's cascade, if it was compiled by one.
        reason: of a regular language: why it needs the target's gates (``automata.decide.classification``).
        optimise: what mattered first in the choice of the circuit.
        alternatives: what there was to choose from.
    """
    weights, shape = found.weights, found.weights.shape
    memories = [memory for block in found.blocks for memory in block.memories]
    names = () if cascade is None else cascade.dfa.names
    constant = float(weights.tensors[shape.embedding].max())
    return Manifest(
        schema_version=SCHEMA_VERSION,
        kind=circuit.kind,
        target=target.name,
        contract=circuit.contract,
        construction=circuit.construction,
        language=language,
        tokens=token_ids(circuit.alphabet),
        special_tokens=SpecialTokens(BOS, EOS, PAD),
        outputs=class_rows(circuit.alphabet, circuit.classes),
        shape=Sizes(**weights.sizes()),
        residual=found.residual,
        blocks=found.blocks,
        verdicts={token: dict(form) for token, form in circuit.verdicts.items()},
        memories=len(memories),
        state_entries=StateEntries(
            used=sum(len(memory.channels) for memory in memories),
            allocated=shape.state_entries,
        ),
        constants={**target.constants, "logit": LOGIT, "constant": constant},
        gates=None if reason is None else NeededGates(target.gates, reason),
        optimise=optimise,
        alternatives=alternatives,
        levels=() if cascade is None else _levels(cascade),
        states=None if cascade is None else {s: names[q] for s, q in circuit.states.items()},
        counters=found.counters,
    )


def _levels(cascade: Cascade) -> tuple[LevelSets, ...]:
    parts, names = cascade.parts, cascade.dfa.names

    def named(number: int) -> tuple[str, ...]:
        return tuple(names[q] for q in parts.members(number))

    return tuple(
        LevelSets(
            height,
            tuple(
                TiledSet(named(p), tuple(named(t) for t in parts.tiles[p]))
                for p, h in enumerate(parts.height)
                if h == height
            ),
        )
        for height in range(cascade.height, 0, -1)
    )
