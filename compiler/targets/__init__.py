"""The kinds of models that there are: each module here that defines ``TARGET``. Adding one is adding a file.

>>> sorted(TARGETS)[:2]
['falcon_mamba', 'mamba']
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from .base import BlockMeaning, Options, Target, TargetError, UnknownTargetError

__all__ = ["TARGETS", "BlockMeaning", "Options", "Target", "TargetError", "UnknownTargetError", "target"]


def _discovered() -> dict[str, Target]:
    """Every target of this package, by name, in the order of the names."""
    found: dict[str, Target] = {}
    for module in sorted(info.name for info in iter_modules(__path__)):
        target = getattr(import_module(f".{module}", __name__), "TARGET", None)
        if isinstance(target, Target):
            assert target.name == module, f"the target {target.name} stands in the module {module}"
            found[target.name] = target
    return found


TARGETS: Mapping[str, Target] = MappingProxyType(_discovered())
"""All targets by name. Importing them imports neither torch nor transformers."""


def target(name: str) -> Target:
    """The target of this name.

    Raises:
        UnknownTargetError: there is none.

    >>> target("mamba").model_type
    'mamba'
    """
    if name not in TARGETS:
        raise UnknownTargetError(f"the target {name!r} is unknown; use one of {', '.join(TARGETS)}")
    return TARGETS[name]
