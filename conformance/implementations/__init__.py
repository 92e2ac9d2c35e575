"""Implementations that ``scancraft conformance`` knows by name, and how others are named: ``module:function``.

An implementation is a function from a checkpoint directory to a model or a session; see ``conformance.sessions``. Each
file here is a package's.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from difflib import get_close_matches

from ..case import ConformanceError
from ..operations import OPERATIONS
from ..trials import MODES
from . import fla, llama_cpp, mamba_ssm, mambapy, mlx, onnxruntime, operations, ours, transformers, vllm
from .base import Implementation, Load

KNOWN: dict[str, Implementation] = {
    i.name: i
    for module in (transformers, ours, mamba_ssm, llama_cpp, mlx, onnxruntime, mambapy, fla, operations, vllm)
    for i in module.IMPLEMENTATIONS
}


def resolve(target: str | Load, kind: str | None = None) -> Implementation:
    """The implementation that a target names.

    Args:
        target: a name in :data:`KNOWN`, ``module:function``, or the function itself. A function may have an attribute
            ``note``, text for the report.
        kind: of the checkpoints, or the operation that the function is; default "mamba". With a known name, the
            implementation with the kind behind it.

    Raises:
        ConformanceError: nothing has this name, or it cannot be imported.
    """
    if not isinstance(target, str):
        return _of_function(getattr(target, "__name__", type(target).__name__), target, kind)
    if target in KNOWN:
        found = KNOWN[target]
        if kind not in (None, found.kind):
            found = KNOWN.get(f"{target}-{str(kind).replace('_', '-')}", found)
        if kind not in (None, found.kind):
            raise ConformanceError(f"{target} runs checkpoints of {found.kind}, not of {kind}; leave the kind out")
        return found
    module, colon, function = target.partition(":")
    if not colon:
        near = "".join(f" (did you mean {name}?)" for name in get_close_matches(target.lower(), KNOWN, 1))
        raise ConformanceError(
            f"no implementation is called {target!r}{near}; there are {', '.join(KNOWN)}, or give module:function"
        )
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does: a module in the current folder
    try:
        load = getattr(importlib.import_module(module), function)
    except (Exception, SystemExit) as error:  # whatever the module does when it is imported
        what = f"{type(error).__name__}: {error}"
        raise ConformanceError(f"{target} cannot be imported ({what}); give module:function") from error
    if not callable(load):
        raise ConformanceError(f"{target} is not callable; it must take a checkpoint directory and give a model")
    return _of_function(target, load, kind)


def _of_function(name: str, load: Load, kind: str | None) -> Implementation:
    found = Implementation(name, load, kind or "mamba", note=str(getattr(load, "note", "")))
    if found.kind in OPERATIONS:
        return replace(found, load=lambda _: load, modes=OPERATIONS[found.kind].modes)
    return found


def check_modes(modes: tuple[str, ...]) -> None:
    """Raise :class:`ConformanceError` for a mode that does not exist."""
    if unknown := sorted(set(modes) - set(MODES)):
        raise ConformanceError(f"there is no mode {', '.join(unknown)}; choose from {', '.join(MODES)}")
