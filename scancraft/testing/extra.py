"""Stops the import of :mod:`scancraft.testing` with a clear error where hypothesis is not installed."""

from __future__ import annotations

from ..automata.errors import MissingExtraError

try:
    import hypothesis as hypothesis
except ImportError:
    raise MissingExtraError(
        "scancraft.testing needs the package hypothesis; install it with: pip install 'scancraft[testing]'"
    ) from None
