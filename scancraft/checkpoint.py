"""Checkpoints on disk as the same kind of object as what was compiled; apart, since this imports torch."""

from __future__ import annotations

from os import PathLike

from .compiler import checkpoints
from .model import Model


class Checkpoint(Model, checkpoints.Checkpoint):
    """A checkpoint directory; weights are read when they are needed."""


def load(directory: str | PathLike[str]) -> Checkpoint:
    """Open a checkpoint directory written by ``scancraft compile``.

    Raises:
        CheckpointError: no manifest (:class:`ManifestError`: another version, or one that is malformed), or files,
            configuration keys or tensors that are not those of a checkpoint.
        ScancraftError: the manifest's language is malformed.

    >>> import tempfile, scancraft
    >>> place = tempfile.mkdtemp()
    >>> _ = scancraft.compile("(ab)*", place)
    >>> scancraft.load(place).accepts("abab")
    True
    """
    found = checkpoints.load(directory)
    return Checkpoint(found.directory, found.manifest, found.language)
