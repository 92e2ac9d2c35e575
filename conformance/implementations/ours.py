"""Scancraft's own ways of running checkpoints: its torch model of signed blocks, and its fast runner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from ...models.checkpoints.checkpoint import load_model
from ...models.run.runner import Runner
from .base import Implementation
from .transformers import SUPPORTED, _Transformers


def _runner(directory: Path) -> Callable[[Tensor], Tensor]:
    """The fast runner's call alone, so that only the mode "full" is tried."""
    return Runner(load_model(directory)).__call__


# Its documentation asks for padding on the left where a cache is kept.
_SIGNED = tuple(mode for mode in SUPPORTED if mode != "padded-continued")
IMPLEMENTATIONS = (
    Implementation("scancraft", _runner),
    Implementation("scancraft-signed", _Transformers, "signed_mamba", _SIGNED),
    Implementation("scancraft-signed-runner", _runner, "signed_mamba"),
)
