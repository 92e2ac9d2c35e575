"""What can be wrong with what was asked of a look inside."""

from __future__ import annotations

from ..automata.errors import ScancraftError


class HookPointError(ScancraftError):
    """A hook point was named that the model does not have."""


class NotLookedIntoError(ScancraftError):
    """A model of a kind, or in a dtype, that cannot be looked into; or one without labels where they are needed."""


class PatchError(ScancraftError):
    """A patch does not fit the activation that it is for."""


class VariantError(ScancraftError):
    """A model has no such variant."""


class BenchError(ScancraftError):
    """A method returned something else than scores, or a leaderboard cannot be used."""
