"""A checkpoint as it lies in a directory."""

from __future__ import annotations

from pathlib import Path

from safetensors.numpy import load_file

from ...automata.errors import ScancraftError
from ..checkpoints.files import read_json
from ..padding import Source

KINDS = ("mamba", "falcon_mamba", "mamba2")


class ExportError(ScancraftError):
    """A checkpoint cannot be written in the format or the sizes asked for."""


def source_of(directory: Path, kinds: tuple[str, ...] = KINDS) -> Source:
    """The checkpoint in a directory, whose files were checked (``checkpoints.closed``).

    Args:
        directory: with ``config.json`` and ``model.safetensors``.
        kinds: the ``model_type`` must be one of these.

    Raises:
        ExportError: it is not.
    """
    config = read_json(directory / "config.json")
    if config.get("model_type") not in kinds:
        raise ExportError(f"{directory} holds a {config.get('model_type')!r}; this export takes {', '.join(kinds)}")
    return Source(config, load_file(directory / "model.safetensors"))
