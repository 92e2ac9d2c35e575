"""Checkpoints that scancraft wrote, read back: the manifest, the language, the readout, the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .automata.alphabet import format_word
from .automata.dfa import Dfa
from .automata.formats import from_json
from .models.checkpoint import MANIFEST, load_model, read_manifest
from .models.errors import CheckpointError
from .models.readout import CONTRACTS, Readout

if TYPE_CHECKING:
    import torch

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint directory.

    Attributes:
        directory: where it is.
        manifest: the content of ``scancraft.json``.
        dfa: the language that the manifest names.
        readout: how the model is bound to it.
    """

    directory: Path
    manifest: dict[str, Any]
    dfa: Dfa
    readout: Readout

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

    def check_tokenizer(self) -> None:
        """Raise :class:`CheckpointError` unless ``tokenizer.json`` gives symbols the tokens of the manifest."""
        from tokenizers import Tokenizer

        path = self.directory / "tokenizer.json"
        try:
            tokenizer = Tokenizer.from_file(str(path))
            right = tokenizer.get_vocab() == self.manifest["tokens"]
            for word in ((), *((s,) for s in self.dfa.alphabet), self.dfa.alphabet):
                right &= tokenizer.encode(format_word(word, self.dfa.alphabet)).ids == self.readout.encode(word)
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
    language = manifest["language"]
    if not isinstance(language, dict) or "dfa" not in language:
        raise CheckpointError(f"{place / MANIFEST} has no DFA under language.dfa; compile the language again")
    dfa = from_json(language["dfa"])
    readout = readout_of(manifest)
    readout.check_alphabet(dfa.alphabet)
    return Checkpoint(place, manifest, dfa, readout)


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
