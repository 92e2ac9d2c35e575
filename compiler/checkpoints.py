"""Checkpoints that scancraft wrote, read back: the manifest, the language, the readout, the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..automata.alphabet import format_word
from ..automata.bounded_dyck import BoundedDyck
from ..automata.counters.machine import CounterMachine
from ..automata.dfa import Dfa
from ..automata.languages import Language, language_from_json
from ..models.checkpoints.checkpoint import MANIFEST, load_model, read_manifest
from ..models.errors import CheckpointError
from ..models.readout import CONTRACTS, Readout

if TYPE_CHECKING:
    import torch

    from ..models.run.model_runner import ModelRunner
    from ..models.run.runner import Runner

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint directory.

    Attributes:
        directory: where it is.
        manifest: the content of ``scancraft.json``.
        language: the language that the manifest names.
        readout: how the model is bound to it.
    """

    directory: Path
    manifest: dict[str, Any]
    language: Language
    readout: Readout

    @property
    def dfa(self) -> Dfa:
        """The language's DFA.

        Raises:
            CheckpointError: the language is given otherwise.
        """
        if not isinstance(self.language, Dfa):
            raise CheckpointError(f"{self.directory} is of {_kind(self.language)}, which has no DFA here")
        return self.language

    def model(self, dtype: torch.dtype | None = None) -> Any:
        """The model, as ``transformers`` loads it (float32 unless ``dtype`` says otherwise).

        Raises:
            CheckpointError: files are missing or malformed, or do not fit each other.
            WeightsError: a weight is NaN or infinite.
        """
        import torch

        model = load_model(self.directory, torch.float32 if dtype is None else dtype)
        if (largest := max(self.manifest["tokens"].values())) >= model.config.vocab_size:
            raise CheckpointError(
                f"{self.directory / MANIFEST} names token {largest}, the model has {model.config.vocab_size}; "
                "compile the language again"
            )
        special, tokens = self.manifest.get("special_tokens", {}), self.manifest["tokens"]
        for name, token in special.items():
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
            CheckpointError: as :meth:`model`; or the manifest's counters are malformed, or not exact in this dtype.
        """
        return runner_of(self.model(dtype), self.manifest, dtype)

    def check_tokenizer(self) -> None:
        """Raise :class:`CheckpointError` unless ``tokenizer.json`` gives symbols the tokens of the manifest."""
        from tokenizers import Tokenizer

        path, alphabet = self.directory / "tokenizer.json", self.language.alphabet
        try:
            tokenizer = Tokenizer.from_file(str(path))
            right = tokenizer.get_vocab() == self.manifest["tokens"]
            for word in ((), *((s,) for s in alphabet), alphabet):
                right &= tokenizer.encode(format_word(word, alphabet)).ids == self.readout.encode(word)
        except Exception as error:  # tokenizers raises bare exceptions
            raise CheckpointError(f"{path} cannot be used ({error}); compile the language again") from error
        if not right:
            raise CheckpointError(f"{path} and {MANIFEST} disagree on tokens; compile the language again")


def load(directory: str | PathLike[str]) -> Checkpoint:
    """Open a checkpoint directory written by ``scancraft compile``; weights are read by :meth:`Checkpoint.model`.

    Raises:
        CheckpointError: no manifest, an unknown schema, or a manifest that contradicts itself.
    """
    place = Path(directory)
    if not place.is_dir():
        raise CheckpointError(f"{place} is not a directory; give one written by `scancraft compile`")
    manifest = read_manifest(place)
    if manifest["schema_version"] != SCHEMA_VERSION:
        raise CheckpointError(
            f"{place / MANIFEST} has schema_version {manifest['schema_version']}, "
            f"this scancraft reads {SCHEMA_VERSION}; "
            "compile the language again"
        )
    missing = [key for key in ("contract", "language", "tokens", "labels") if key not in manifest]
    if missing:
        raise CheckpointError(f"{place / MANIFEST} misses the keys {missing}; compile the language again")
    about = manifest["language"]
    if not isinstance(about, dict) or not {"dfa", "bounded_dyck", "counter_machine"} & set(about):
        raise CheckpointError(
            f"{place / MANIFEST} names no language under language (dfa, bounded_dyck, counter_machine); "
            "compile the language again"
        )
    language = language_from_json(about)
    if isinstance(language, CounterMachine):
        _check_counters(place, manifest, language)
    readout = readout_of(manifest)
    readout.check_alphabet(language.alphabet)
    return Checkpoint(place, manifest, language, readout)


def _check_counters(place: Path, manifest: Mapping[str, Any], machine: CounterMachine) -> None:
    """Raise :class:`CheckpointError` unless the manifest lists every counter of the machine once.

    Where a counter is the difference of several states, each entry lists under ``of`` the counters that it is part of.
    """
    listed = manifest.get("counters")
    entries = [e for e in listed if isinstance(e, dict)] if isinstance(listed, list) else []
    names = [str(e.get("name")) for e in entries if "of" not in e]
    names += {str(name) for e in entries if isinstance(e.get("of"), list) for name in e["of"]}
    if sorted(names) != sorted(f"counter {c.name}" for c in machine.counters):
        raise CheckpointError(
            f"{place / MANIFEST} does not list each counter of its language once under counters; "
            "compile the language again"
        )


def _kind(language: Language) -> str:
    return "a bounded Dyck language" if isinstance(language, BoundedDyck) else "a counter language"


def runner_of(source: Any, manifest: Mapping[str, Any], dtype: torch.dtype | None) -> Runner | ModelRunner:
    """A runner that watches the counters that a manifest lists.

    Args:
        source: weights or a model, already in the dtype; the fast runner is for Mamba, signed or not.
        manifest: the content of ``scancraft.json``.
        dtype: float32 if None.

    Raises:
        CheckpointError: the manifest's counters are malformed, or not exact in this dtype.
    """
    import torch

    from ..models.mamba import MODEL_TYPES, MambaWeights, model_type_of
    from ..models.run.model_runner import ModelRunner
    from ..models.run.runner import Runner, Watch

    dtype = torch.float32 if dtype is None else dtype
    name = str(dtype).removeprefix("torch.")
    watches = []
    try:
        for counter in manifest.get("counters", ()):
            block, channel, state = (int(counter[key]) for key in ("block", "channel", "state"))
            limits = counter["limits"]
            if name not in limits:
                raise CheckpointError(
                    f"{counter['name']} is not counted exactly in {name}, only in {', '.join(limits)}; use one of these"
                )
            if (unit := int(counter.get("unit", 1))) < 1:
                raise ValueError(f"a unit of {unit}")
            watches.append(Watch(block, channel, state, int(limits[name]), str(counter["name"]), unit))
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise CheckpointError(f"{MANIFEST} lists malformed counters ({error}); compile the language again") from None
    if not isinstance(source, MambaWeights) and model_type_of(source) not in MODEL_TYPES:
        return ModelRunner(source, watches=watches)
    return Runner(source, watches=watches, dtype=dtype)


def readout_of(manifest: Mapping[str, Any]) -> Readout:
    """The readout that a manifest describes.

    Raises:
        CheckpointError: the manifest lacks a special token, names an unknown contract, or is malformed.
    """
    special = manifest.get("special_tokens", {"bos": "<bos>", "eos": "<eos>", "pad": "<pad>"})
    tokens = manifest["tokens"]
    if not isinstance(tokens, Mapping) or not all(type(number) is int for number in tokens.values()):
        raise CheckpointError("the manifest's tokens are no map from symbols to numbers; compile the language again")
    if not isinstance(special, Mapping) or not all(isinstance(name, str) for name in special.values()):
        raise CheckpointError("the manifest's special_tokens are no map of names; compile the language again")
    tokens = dict(tokens)
    try:
        bos, eos, pad = (tokens.pop(special[name]) for name in ("bos", "eos", "pad"))
    except KeyError as error:
        raise CheckpointError(f"the manifest has no token {error.args[0]!r}; compile the language again") from None
    contract = manifest["contract"]
    if contract not in CONTRACTS:
        raise CheckpointError(f"the manifest's contract {contract!r} is unknown; known are {', '.join(CONTRACTS)}")
    return Readout(tokens=tokens, bos=bos, accept=eos, pad=pad, contract=contract)
