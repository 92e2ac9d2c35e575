"""A model bound to a language, for whoever proves something about the two: certificates and refutations."""

from __future__ import annotations

import math
from importlib.metadata import version
from typing import Any

import torch

from ..automata.dfa import Dfa
from ..automata.languages import Language, as_language, classes_of, predicts
from ..compiler.checkpoints import Checkpoint, opened
from ..compiler.language_model import LanguageModel
from ..compiler.manifest import Manifest
from ..models.errors import ReadoutError, WeightsError
from ..models.mamba import model_type_of
from ..models.readout import Readout, logits_of
from ..models.run.hybrid import backbone_of
from ..models.run.stepper import STEPPED
from .checker.blocks_mamba2 import LONGEST_CHUNK


def resolve(
    target: Any, language: Any, readout: Readout | None, dtype: torch.dtype | None
) -> tuple[Any, Language, Readout, Manifest | None]:
    """The model, the language, how they are bound, and the manifest of a checkpoint on disk.

    Raises:
        ReadoutError: a model in memory without a language or a readout.
        CheckpointError: the directory cannot be loaded.
        WeightsError: a weight of it is NaN or infinite.
    """
    source = opened(target)
    if isinstance(source, LanguageModel):
        wanted = source.language if language is None else as_language(language)
        manifest = source.manifest if isinstance(source, Checkpoint) else None
        return source.model(dtype), wanted, readout or source.readout, manifest
    if language is None or readout is None:
        raise ReadoutError("give the language and a Readout with a model; only checkpoints bring their own")
    return target, as_language(language), readout, None


def check_readout(readout: Readout, language: Language) -> None:
    """Raise :class:`ReadoutError` unless the readout names just the symbols, and the classes, of the language."""
    readout.check_alphabet(language.alphabet, classes_of(language), predicts=predicts(language))


def check_provable(model: Any, language: Language, readout: Readout, consequence: str) -> None:
    """Raise unless the readout fits the model and the language as a proof needs it, and the weights are finite.

    Raises:
        ReadoutError: it does not.
        WeightsError: a weight is NaN or infinite; the consequence is told.
    """
    check_readout(readout, language)
    if readout.bos is None:
        raise ReadoutError("a certificate needs a readout with a bos token: every word starts from the same state")
    if readout.head is not logits_of:
        raise ReadoutError("a certificate is about the model's own logits; give a readout without a head of its own")
    if readout.contract == "live-prefixes" and isinstance(language, Dfa) and language.is_empty():
        raise ReadoutError(
            "the language is empty, so under live-prefixes nothing is promised and nothing can be certified"
        )
    if model_type_of(model) in STEPPED:  # of others the stepper says what is wrong with them
        chunk = next((getattr(layer.mixer, "chunk_size", 1) for layer in backbone_of(model).layers), 1)
        if not 1 <= chunk <= LONGEST_CHUNK:
            raise ReadoutError(
                f"chunk_size is {chunk:,}; certificates are about chunks of at most {LONGEST_CHUNK:,} tokens"
            )
        check_ids(model, language, readout)
    check_finite(model, consequence)


def check_finite(model: Any, consequence: str) -> None:
    """Raise :class:`WeightsError`, with the consequence, if a weight is NaN or infinite."""
    for name, tensor in model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"{name} holds a NaN or an infinity; {consequence} about such weights")


def check_ids(model: Any, language: Language, readout: Readout) -> None:
    """Raise :class:`ReadoutError` if the readout names a token or a score that the model does not have."""
    rows, columns = model.get_input_embeddings().num_embeddings, model.lm_head.out_features
    for token in (*readout.tokens.values(), *([] if readout.bos is None else [readout.bos])):
        if token >= rows:
            raise ReadoutError(f"the readout names token {token}, but the model has {rows} tokens; give ids below that")
    for index in readout.columns(language.alphabet):
        if index >= columns:
            raise ReadoutError(f"the readout names score {index}, but the model has {columns}; give indices below that")


def dtype_name(model: Any) -> str:
    """The dtype of the model's head, as JSON files call it."""
    return str(model.lm_head.weight.dtype).removeprefix("torch.")


def implementation_of(model: Any) -> dict[str, str]:
    """What ran the model: its class, and the versions and the device that its bits depend on."""
    import transformers

    return {
        "model": STEPPED[model.config.model_type],
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "scancraft": version("scancraft"),
        "device": str(next(model.parameters()).device),
    }


def readout_json(readout: Readout) -> dict[str, Any]:
    """How a model is read, without the contract."""
    return {
        "tokens": dict(readout.tokens),
        "bos": readout.bos,
        "accept": readout.accept,
        "next_symbol": dict(readout.next_index),
        "threshold": readout.threshold,
        **({"classes": dict(readout.classes)} if readout.classes else {}),
    }


READOUT_KEYS = frozenset({"tokens", "bos", "accept", "next_symbol", "threshold", "classes", "contract"})


def readout_from_json(content: Any) -> Readout:
    """A readout from what :func:`readout_json` gives of one, with its contract; all but ``tokens`` may be left out.

    Without ``bos`` or ``accept`` (or null) there is none; without ``next_symbol`` the scores are those of the tokens.

    Raises:
        ReadoutError: it is no such thing.
    """
    if not isinstance(content, dict) or "tokens" not in content or not set(content) <= READOUT_KEYS:
        raise ReadoutError(f"a readout is an object with tokens, and of {', '.join(sorted(READOUT_KEYS))} no other key")
    maps = {key: content[key] for key in ("tokens", "next_symbol", "classes") if content.get(key) is not None}
    ids = [value for found in maps.values() if isinstance(found, dict) for value in found.values()]
    ids += [content[key] for key in ("bos", "accept") if content.get(key) is not None]
    if not all(isinstance(found, dict) for found in maps.values()) or not all(type(i) is int for i in ids):
        raise ReadoutError("tokens, next_symbol and classes map names to whole numbers, and bos and accept are such")
    threshold, contract = content.get("threshold", 0.0), content.get("contract", "all-words")
    if type(threshold) not in (int, float) or not math.isfinite(threshold):
        raise ReadoutError(f"the threshold {threshold!r} is no number")
    others = {"bos": content.get("bos"), "accept": content.get("accept")}
    return Readout(**{"tokens": {}, **maps, **others}, threshold=float(threshold), contract=contract)
