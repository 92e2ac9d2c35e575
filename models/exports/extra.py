"""Packages that are extras."""

from __future__ import annotations

import importlib
from typing import Any

from ...automata.errors import MissingExtraError


def extra(module: str, package: str, name: str) -> Any:
    """A module of a package that is one of scancraft's extras.

    Args:
        module: what is imported.
        package: what it comes with.
        name: the extra of scancraft.

    Raises:
        MissingExtraError: it cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, OSError, RuntimeError) as error:  # a library that does not fit this machine
        raise MissingExtraError(f"{package} cannot be imported ({error}); pip install 'scancraft[{name}]'") from error
