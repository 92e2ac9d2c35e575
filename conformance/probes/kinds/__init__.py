"""The kinds of block that have probes: each module here that defines ``KIND``. Adding one is adding a file.

A target of the compiler without a file here is tried on compiled languages only.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from .kind import Kind


def _discovered() -> dict[str, Kind]:
    """Every kind of this package, by the name of its module."""
    modules = {info.name: import_module(f".{info.name}", __name__) for info in iter_modules(__path__)}
    return {name: module.KIND for name, module in sorted(modules.items()) if hasattr(module, "KIND")}


KINDS: Mapping[str, Kind] = MappingProxyType(_discovered())
"""By the name of the target."""
