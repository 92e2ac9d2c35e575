"""What ``scancraft.refute`` is given: any Mamba, Falcon-Mamba or Mamba-2, in memory or on disk, bound to a language."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from ..automata.alphabet import BOS, EOS, PAD
from ..automata.errors import ScancraftError
from ..automata.languages import Language, as_language, language_from_json
from ..certify.binding import check_finite, check_ids, check_readout, readout_from_json
from ..certify.binding import resolve as bind
from ..compiler.checkpoints import default_readout, load
from ..models.build import model_classes
from ..models.checkpoints.closed import CONFIG, MANIFEST, READOUT, TRAINING, check_directory
from ..models.checkpoints.files import read_json
from ..models.errors import CheckpointError, ReadoutError
from ..models.mamba import model_type_of
from ..models.olmo_hybrid import OLMO_HYBRID
from ..models.readout import Readout, logits_of
from ..models.run.stepper import STEPPED


def resolve(
    target: Any, language: Any, readout: Readout | None, dtype: torch.dtype | None
) -> tuple[Any, Language, Readout]:
    """The model, the language, and how they are bound; checked against each other.

    Raises:
        ReadoutError: no language or no readout, or one that does not fit.
        CheckpointError: a directory cannot be loaded.
        WeightsError: a weight is NaN or infinite.
    """
    if isinstance(target, (str, PathLike)) and not (Path(target) / MANIFEST).is_file():
        model, wanted, bound = _open_foreign(Path(target), language, readout, dtype)
    else:
        model, wanted, bound, _ = bind(target, language, readout, dtype)
    _check(model, wanted, bound)
    check_finite(model, "nothing can be said")
    return model, wanted, bound


def _open_foreign(
    place: Path, language: Any, readout: Readout | None, dtype: torch.dtype | None
) -> tuple[Any, Language, Readout]:
    """A directory that ``transformers`` can load, without our manifest."""
    own_language, own_readout = own_binding(place) if language is None or readout is None else (None, None)
    if language is None and own_language is None:
        raise ReadoutError(
            f"{place} holds no {MANIFEST} and no {TRAINING}, so it names no language; "
            "give one (--named, --regex, --language)"
        )
    wanted = own_language if language is None else as_language(language)
    assert wanted is not None
    return load_any(place, dtype), wanted, readout or own_readout or default_readout(wanted)


def has_own_readout(place: Path) -> bool:
    """Whether a directory is somebody else's and says in ``readout.json`` how it is read."""
    return (place / READOUT).is_file() and not (place / MANIFEST).is_file()


def own_binding(place: Path) -> tuple[Language | None, Readout | None]:
    """The language and the readout that a directory brings; None for what it does not.

    Raises:
        CheckpointError: it is malformed.
    """
    if (place / MANIFEST).is_file():
        checkpoint = load(place)
        return checkpoint.language, checkpoint.readout
    language, readout = _trained(place)
    return language, _told(place) or readout


def _told(place: Path) -> Readout | None:
    """What ``readout.json`` says, if there is one and no manifest; docs/refutation.md describes it."""
    if not has_own_readout(place):
        return None
    try:
        return readout_from_json(read_json(place / READOUT))
    except ReadoutError as error:
        raise CheckpointError(f"{place / READOUT}: {error}") from None


def _trained(place: Path) -> tuple[Language | None, Readout | None]:
    """What ``training.json`` says, if ``scancraft train`` wrote one."""
    path = place / TRAINING
    if not path.is_file():
        return None, None
    try:
        record = read_json(path)
        tokens = dict(record["tokens"])
        bos, eos, pad = (tokens.pop(name) for name in (BOS, EOS, PAD))
        language = language_from_json(record["language"])
        own = default_readout(language, "live-prefixes")
        if own.accept is None:
            return language, replace(own, tokens=tokens, bos=bos, pad=pad)
        return language, replace(own, tokens=tokens, bos=bos, pad=pad, accept=eos, next_symbol=None)
    except (ValueError, KeyError, TypeError, AttributeError, ScancraftError) as error:
        raise CheckpointError(f"{path} is not what `scancraft train --out DIR` writes ({error})") from None


def load_any(place: Path, dtype: torch.dtype | None) -> Any:
    """A model from a directory in the format of ``transformers``, in eval mode; in its own dtype if none is given.

    Raises:
        CheckpointError: there is none, it is no Mamba, or not everything in it is known
            (:mod:`.models.checkpoints.closed`).
    """
    kind = check_directory(place)["model_type"]
    if kind not in STEPPED:
        raise CheckpointError(
            f"{place / CONFIG} has model_type {kind!r}; the step functions that are known here are those of "
            f"{', '.join(STEPPED)}"
        )
    _, model_class = model_classes(kind)
    try:
        model = model_class.from_pretrained(str(place), dtype="auto" if dtype is None else dtype, local_files_only=True)
    except Exception as error:  # what transformers raises on malformed files is not documented
        raise CheckpointError(f"{place} cannot be loaded as a {STEPPED[kind]} ({error})") from None
    return model.eval()


def _check(model: Any, language: Language, readout: Readout) -> None:
    """Raise :class:`ReadoutError` unless the readout fits the model and the language."""
    if model_type_of(model) not in STEPPED:
        names = (name for kind, name in STEPPED.items() if kind != OLMO_HYBRID)  # of which only certificates speak
        raise ReadoutError(
            f"refutations need one of {', '.join(names)}, not {type(model).__name__}; "
            "use scancraft.check for other models"
        )
    check_readout(readout, language)
    if readout.head is not logits_of:
        raise ReadoutError("a refutation is about the model's own logits; give a readout without a head of its own")
    if not readout.columns(language.alphabet):
        raise ReadoutError("the readout names no score to look at; give it accept, or next_symbol")
    check_ids(model, language, readout)
