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


def source_of(directory: Path) -> Source:
    """The checkpoint in a directory, whose files were checked (``checkpoints.closed``).

    Raises:
        ExportError: it is of a kind that has no export.
    """
    config = read_json(directory / "config.json")
    if config.get("model_type") not in KINDS:
        raise ExportError(f"{directory} holds a {config.get('model_type')!r}; there are exports of {', '.join(KINDS)}")
    return Source(config, load_file(directory / "model.safetensors"))
