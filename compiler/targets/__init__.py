"""The kinds of models that there are: each module here that defines ``TARGET``, and those of other packages.

Adding one is adding a file: here, or anywhere else with :func:`register`, or as an entry point of a package::

    [project.entry-points."scancraft.targets"]
    mine = "my_package.mine:TARGET"

A model class of its own is named by the target's ``architecture``; ``load`` then knows the keys of its configuration
and its tensors. Certificates are about the classes that ``certify/checker`` knows.

>>> sorted(TARGETS)[:2]
['falcon_mamba', 'mamba']
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules
from types import MappingProxyType

from ...models.classes import ARCHITECTURES
from ...models.classes import register as register_architecture
from .base import Lowered, ModelSizeError, Options, Target, TargetError, UnknownTargetError

__all__ = [
    "TARGETS",
    "Lowered",
    "ModelSizeError",
    "Options",
    "Target",
    "TargetError",
    "UnknownTargetError",
    "register",
    "target",
]

GROUP = "scancraft.targets"
"""The entry points of other packages' targets."""

_found: dict[str, Target] = {}

TARGETS: Mapping[str, Target] = MappingProxyType(_found)
"""All targets by name. Importing them imports neither torch nor transformers."""


def register(target: Target) -> None:
    """Add a target, for as long as the process lives.

    Raises:
        TargetError: there is another of this name, or of its model type, or nothing says what that is.
    """
    if TARGETS.get(target.name, target) is not target:
        raise TargetError(f"there is a target {target.name} already; give yours another name")
    if target.architecture is not None:
        try:
            register_architecture(target.model_type, target.architecture)
        except ValueError as error:
            raise TargetError(str(error)) from None
    if target.model_type not in ARCHITECTURES:
        raise TargetError(
            f"the target {target.name} has the model type {target.model_type}, which is unknown; give its architecture"
        )
    _found[target.name] = target


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


def _discover() -> None:
    """Register every target of this package, in the order of their names, and then those of others."""
    for module in sorted(info.name for info in iter_modules(__path__)):
        found = getattr(import_module(f".{module}", __name__), "TARGET", None)
        if isinstance(found, Target):
            assert found.name == module, f"the target {found.name} stands in the module {module}"
            register(found)
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        found = entry.load()
        if not isinstance(found, Target):
            raise TargetError(f"the entry point {entry.name} of {GROUP} is no Target but {type(found).__name__}")
        register(found)


_discover()
