"""Errors of checkpoints, readouts and runs. (The base class is all that models/ takes from automata/.)"""

from __future__ import annotations

from ..automata.errors import ScancraftError


class CheckpointError(ScancraftError):
    """A checkpoint directory is missing, malformed, of another version, or in the way."""


class ReadoutError(ScancraftError):
    """A readout does not fit the model or the language."""


class WeightsError(ScancraftError):
    """Weights hold a NaN or an infinity, or do not fit their configuration."""


class MissingClassError(ScancraftError):
    """The installed package has no class that runs a kind of model."""


class DeadPromptError(ScancraftError):
    """Generation was asked to continue a prefix that nothing can continue."""


class CounterRangeError(ScancraftError):
    """A counter left the range in which the number format holds it exactly."""
