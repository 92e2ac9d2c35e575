"""A language as a language model: what a compiled language and a loaded checkpoint have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..automata.languages import Language
from .manifest import Manifest

if TYPE_CHECKING:
    import torch

    from ..models.readout import Readout
    from ..models.run.model_runner import ModelRunner
    from ..models.run.runner import Runner


class LanguageModel(ABC):
    """A model of state-space layers, the language that it models, and how the two are bound.

    Attributes:
        manifest: what ``scancraft.json`` says.
        language: the language.
    """

    manifest: Manifest
    language: Language

    @property
    @abstractmethod
    def readout(self) -> Readout:
        """How the model is bound to the language."""

    @abstractmethod
    def model(self, dtype: torch.dtype | None = None) -> Any:
        """The model, of the class that ``transformers`` has for it; float32 unless ``dtype`` says otherwise."""

    def _repr_html_(self) -> str:
        return self.manifest._repr_html_()

    @abstractmethod
    def save(self, directory: str | PathLike[str]) -> Path:
        """Write a checkpoint directory and return its path.

        Raises:
            CheckpointError: the directory holds something else, or cannot be written.
        """

    @abstractmethod
    def runner(self, dtype: torch.dtype | None = None) -> Runner | ModelRunner:
        """The model in scancraft's own runner, which refuses to go past what the counters hold exactly."""
