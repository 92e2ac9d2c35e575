"""What is looked into: a model, with its manifest if it was compiled, and how words become tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from ..compiler.checkpoints import Checkpoint, load, readout_of
from ..compiler.compiled import CompiledModel
from ..compiler.manifest import Manifest
from ..models.classes import ARCHITECTURES, CERTIFIED, model_type_of
from .errors import NotLookedIntoError, PatchError

Target = Any
"""A ``transformers`` model, a checkpoint directory, or what ``scancraft.compile`` or ``scancraft.load`` returned."""

Words = Sequence[Sequence[str]] | Int64[Tensor, "batch time"]
"""Words as strings or sequences of symbols (of labelled models), or token ids of shape (batch, time), int64."""


@dataclass(frozen=True)
class Subject:
    """A model to look into.

    Attributes:
        model: of a class in ``models.classes.CERTIFIED``, float32 or float64, in eval mode.
        manifest: what its parts mean; None of a model that was not compiled.
    """

    model: Any
    manifest: Manifest | None

    @property
    def kind(self) -> str:
        """The ``model_type``."""
        return str(model_type_of(self.model))

    def encoded(self, words: Words) -> tuple[Int64[Tensor, "batch time"], tuple[int, ...]]:
        """Token ids, ``<bos>`` first and ``<pad>`` last, and how many of each row are not padding.

        Raises:
            NotLookedIntoError: words for a model without a manifest.
            PatchError: no words, or ids of another shape or dtype.
            ReadoutError: a symbol without a token.
        """
        if isinstance(words, Tensor):
            if words.ndim != 2 or words.dtype != torch.int64 or not words.numel():
                raise PatchError(f"token ids must be int64 of shape (batch, time), not {words.dtype} {[*words.shape]}")
            return words, (words.shape[1],) * len(words)
        if self.manifest is None:
            raise NotLookedIntoError("the model has no manifest that gives symbols their tokens; give token ids")
        if isinstance(words, str) or not words:
            raise PatchError('words must be a list of words, as in ["ab", "abab"]')
        readout = readout_of(self.manifest)
        rows = [readout.encode(word) for word in words]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [readout.pad] * (longest - len(row)) for row in rows])
        return ids, tuple(map(len, rows))


def subject_of(target: Target) -> Subject:
    """The model that a target names.

    Raises:
        CheckpointError: the directory cannot be loaded.
        NotLookedIntoError: a model of another kind, or in another dtype.
    """
    if isinstance(target, Subject):
        return target
    if isinstance(target, (str, PathLike)):
        target = load(target)
    if isinstance(target, (CompiledModel, Checkpoint)):
        found = Subject(target.model(), target.manifest)
    else:
        found = Subject(target, None)
    if found.kind not in CERTIFIED:
        names = ", ".join(ARCHITECTURES[kind].model for kind in CERTIFIED)
        raise NotLookedIntoError(f"a {type(found.model).__name__} cannot be looked into; give one of {names}")
    dtype = next(found.model.parameters()).dtype
    if dtype not in (torch.float32, torch.float64):
        raise NotLookedIntoError(f"the model is in {dtype}; convert it with model.float() to look inside")
    found.model.eval()
    return found
