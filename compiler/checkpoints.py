"""Checkpoints that scancraft wrote, read back: the manifest, the language, the readout, the model."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..automata.alphabet import BOS, EOS, PAD, is_spaced, spellings
from ..automata.counters.machine import CounterMachine
from ..automata.dfa import Dfa
from ..automata.languages import Language, classes_of, kind_of, language_from_json, predicts
from ..automata.named import name_of
from ..models.checkpoints.checkpoint import copy_checkpoint, load_model, read_manifest
from ..models.checkpoints.closed import MANIFEST, check_directory
from ..models.checkpoints.tokenizer import build_tokenizer, why_another
from ..models.errors import CheckpointError
from ..models.mamba import MODEL_TYPES, MambaWeights, model_type_of
from ..models.readout import Contract, Readout
from ..models.run.model_runner import ModelRunner
from ..models.run.runner import Runner, Watch
from .circuits.counting import machine_limits
from .language_model import LanguageModel
from .manifest import Manifest, ManifestError
from .targets import TARGETS
from .targets.tokens import class_rows, token_ids

if TYPE_CHECKING:
    import torch

    from ..models.run.model_runner import ModelRunner
    from ..models.run.runner import Runner


@dataclass(frozen=True)
class Checkpoint(LanguageModel):
    """A checkpoint directory.

    Attributes:
        directory: where it is.
        manifest: what its ``scancraft.json`` says.
        language: the language that the manifest names.
    """

    directory: Path
    manifest: Manifest
    language: Language

    def __repr__(self) -> str:
        return f"<Checkpoint {self.directory}: {self.manifest!r}>"

    @property
    def readout(self) -> Readout:
        """How the model is bound to the language."""
        return readout_of(self.manifest)

    @property
    def dfa(self) -> Dfa:
        """The language's DFA.

        Raises:
            CheckpointError: the language is given otherwise.
        """
        if not isinstance(self.language, Dfa):
            raise CheckpointError(f"{self.directory} is of {kind_of(self.language).name}, which has no DFA here")
        return self.language

    def model(self, dtype: torch.dtype | None = None) -> Any:
        """The model, as ``transformers`` loads it (float32 unless ``dtype`` says otherwise).

        Raises:
            CheckpointError: files are missing or malformed, or do not fit each other.
            WeightsError: a weight is NaN or infinite.
        """
        import torch

        model = load_model(self.directory, torch.float32 if dtype is None else dtype)
        tokens, special = self.manifest.tokens, self.manifest.special_tokens
        if (largest := max(tokens.values())) >= model.config.vocab_size:
            raise CheckpointError(
                f"{self.directory / MANIFEST} names token {largest}, the model has {model.config.vocab_size}; "
                "compile the language again"
            )
        for name, token in (("bos", special.bos), ("eos", special.eos), ("pad", special.pad)):
            if getattr(model.config, f"{name}_token_id", tokens[token]) != tokens[token]:
                raise CheckpointError(
                    f"{self.directory / 'config.json'} and {MANIFEST} disagree on the id of {token}; "
                    "compile the language again"
                )
        return model

    def runner(self, dtype: torch.dtype | None = None) -> Runner | ModelRunner:
        """The model in scancraft's own fast runner, which refuses to go past what the counters hold exactly.

        Other kinds than Mamba, signed or not, get a plain one, without streams.

        Raises:
            CheckpointError: as :meth:`model`; or a counter is not exact in this dtype.
        """
        return runner_of(self.model(dtype), self.manifest, dtype)

    def save(self, directory: str | PathLike[str]) -> Path:
        """Copy the checkpoint, as it is, and return the path of the copy; a certificate goes with it.

        Raises:
            CheckpointError: the directory holds something else, or cannot be written.
        """
        place = Path(directory)
        if place.resolve() != self.directory.resolve():
            copy_checkpoint(self.directory, place)
        return place

    def check_tokenizer(self) -> None:
        """Raise :class:`CheckpointError` unless ``AutoTokenizer`` gives symbols the manifest's tokens, and no more."""
        alphabet, special = self.language.alphabet, self.manifest.special_tokens
        names = {"bos": special.bos, "eos": special.eos, "pad": special.pad}
        spelt = spellings(alphabet)
        tokens = {spelt.get(token, token): number for token, number in self.manifest.tokens.items()}
        try:
            why = why_another(self.directory, build_tokenizer(tokens, **names, spaced=is_spaced(alphabet)), **names)
        except Exception as error:  # tokenizers raises bare exceptions
            reason = f"the tokenizer in {self.directory} cannot be used ({error})"
            raise CheckpointError(f"{reason}; compile the language again") from error
        if why:
            raise CheckpointError(
                f"{self.directory} and {MANIFEST} disagree on tokens: {why}; compile the language again"
            )


def opened(target: Any) -> Any:
    """The checkpoint, if the target is a directory's name; else the target."""
    return load(target) if isinstance(target, (str, PathLike)) else target


def load(directory: str | PathLike[str]) -> Checkpoint:
    """Open a checkpoint directory written by ``scancraft compile``; weights are read by :meth:`Checkpoint.model`.

    Raises:
        CheckpointError: no manifest (:class:`ManifestError`: another version, or one that is malformed), or files,
            configuration keys or tensors that are not those of a checkpoint (:mod:`.models.checkpoints.closed`).
        ScancraftError: the manifest's language is malformed.
    """
    place = Path(directory)
    if not place.is_dir():
        if (name := name_of(str(place))) is not None:
            raise CheckpointError(f"{place} is a language, not a model; `scancraft compile {name!r} -o DIR` makes one")
        raise CheckpointError(f"{place} is not a directory; give one written by `scancraft compile`")
    manifest = Manifest.from_json(read_manifest(place), str(place / MANIFEST))
    if manifest.target not in TARGETS:
        raise ManifestError(f"{place} is for the target {manifest.target!r}; known here are {', '.join(TARGETS)}")
    check_directory(place)
    language = language_from_json(manifest.language)
    if isinstance(language, CounterMachine):
        _check_counters(place, manifest, language)
    readout_of(manifest).check_alphabet(language.alphabet, classes_of(language))
    if (manifest.contract == "outputs") == predicts(language):
        raise ManifestError(f"{place / MANIFEST}: the contract {manifest.contract} is not that of its language")
    return Checkpoint(place, manifest, language)


def _check_counters(place: Path, manifest: Manifest, machine: CounterMachine) -> None:
    """Raise :class:`ManifestError` unless the manifest lists every counter of the machine once.

    Where a counter is the difference of several states, each entry lists under ``of`` the counters that it is part of.
    """
    names = [counter.name for counter in manifest.counters if not counter.of]
    names += sorted({name for counter in manifest.counters for name in counter.of})
    if sorted(names) != sorted(f"counter {c.name}" for c in machine.counters):
        raise ManifestError(
            f"{place / MANIFEST}: counters does not list each counter of the language once; compile the language again"
        )
    most = {f"counter {c.name}": known for c, known in zip(machine.counters, machine_limits(machine), strict=True)}
    for counter in manifest.counters:
        known = most.get(counter.name) or {}
        for dtype, limit in counter.limits.items():
            if not counter.of and limit > known.get(dtype, 0):
                raise ManifestError(
                    f"{place / MANIFEST}: {counter.name} is exact up to {known.get(dtype, 0):,} in {dtype}, not "
                    f"{limit:,}; compile the language again"
                )


def runner_of(source: Any, manifest: Manifest, dtype: torch.dtype | None) -> Runner | ModelRunner:
    """A runner that watches the counters that a manifest lists.

    Args:
        source: weights or a model, already in the dtype; the fast runner is for Mamba, signed or not.
        manifest: what they mean.
        dtype: float32 if None.

    Raises:
        CheckpointError: a counter is not exact in this dtype.
    """
    import torch

    dtype = torch.float32 if dtype is None else dtype
    name = str(dtype).removeprefix("torch.")
    for counter in manifest.counters:
        if name not in counter.limits:
            raise CheckpointError(
                f"{counter.name} is not counted exactly in {name}, only in {', '.join(counter.limits)}; "
                "use one of these"
            )
    watches = [Watch(c.block, c.channel, c.state, c.limits[name], c.name, c.unit) for c in manifest.counters]
    if not isinstance(source, MambaWeights) and model_type_of(source) not in MODEL_TYPES:
        return ModelRunner(source, watches=watches)
    return Runner(source, watches=watches, dtype=dtype)


def default_readout(language: Language, contract: Contract = "all-words") -> Readout:
    """How a model is read that says nothing of its tokens: as scancraft numbers them.

    ``<bos>`` is 1, ``<eos>`` is 2, the symbols are 3, 4, ... in the order of the alphabet, and then come classes.
    """
    ids, alphabet, foretells = token_ids(language.alphabet), language.alphabet, predicts(language)
    return Readout(
        {symbol: ids[symbol] for symbol in alphabet},
        bos=ids[BOS],
        accept=ids[EOS] if foretells else None,
        next_symbol=None if foretells else {},
        pad=ids[PAD],
        contract=contract if foretells else "all-words",
        classes=class_rows(alphabet, classes_of(language)),
    )


def readout_of(manifest: Manifest) -> Readout:
    """How a model is bound to its language."""
    special, tokens = manifest.special_tokens, dict(manifest.tokens)
    bos, eos, pad = (tokens.pop(name) for name in (special.bos, special.eos, special.pad))
    if manifest.contract == "outputs":
        return Readout(tokens=tokens, bos=bos, accept=None, next_symbol={}, pad=pad, classes=manifest.outputs)
    if manifest.contract == "recognise":
        return Readout(tokens=tokens, bos=bos, accept=eos, next_symbol={}, pad=pad)
    return Readout(tokens=tokens, bos=bos, accept=eos, pad=pad, contract=manifest.contract, classes=manifest.outputs)
