"""Errors of the abstract SSM and of the properties computed from models."""

from __future__ import annotations

from ...automata.errors import ScancraftError


class AbstractSsmError(ScancraftError):
    """An abstract SSM is malformed, or is asked about symbols or words that it does not have."""


class InexactError(ScancraftError):
    """An expression has no rational value at the point where it was evaluated."""


class UnknownGateError(ScancraftError):
    """A model has no recurrent layer whose gate formula is known."""
