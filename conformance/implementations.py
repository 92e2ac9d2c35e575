"""Implementations that ``scancraft conformance`` knows by name, and how others are named: ``module:function``.

An implementation is a function from a checkpoint directory to a model: a callable from token ids of shape (batch,
time), int64, to logits of shape (batch, time, vocabulary). What else the model can do is found by its methods; see
:class:`Model`.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from ..automata.errors import MissingExtraError
from ..models.checkpoints.mamba_ssm import load_mamba_ssm
from ..models.run.caching import continued
from ..models.run.runner import Runner
from .case import ConformanceError
from .trials import MODES


class Model(Protocol):
    """What a conformance test calls. Only ``__call__`` is needed; other methods open further modes.

    ``prefill(ids) -> (logits, cache)``; ``step(ids, cache) -> (logits, cache)``, with ids of shape (batch, 1);
    ``extend(ids, cache) -> (logits, cache)``, the same for several tokens; ``padded(ids, mask) -> logits``;
    ``packed(ids, lengths) -> logits``, with ids of shape (1, sum of lengths); ``packed_extend(ids, lengths, caches) ->
    logits``, the same from one cache of ``prefill`` per document; ``snapshots(ids, lengths) -> [(position,
    cache)]``: for each packed document a position inside it and the cache of what came before, for ``step``;
    ``hidden(ids) -> [stream]``: the residual stream before the first block and after each, each of shape (batch, time,
    d_model), by which a difference is located more closely.
    """

    def __call__(self, ids: Tensor, /) -> Any:
        """Logits of shape (batch, time, vocabulary)."""
        ...


Load = Callable[[Path], Any]


@dataclass(frozen=True)
class Implementation:
    """A way of running checkpoints.

    Attributes:
        name: for people.
        load: from a checkpoint directory to a model.
        kind: of the checkpoints: a target of ``scancraft.compile``.
        modes: those that it documents as supported; None: all that the model's methods allow.
        cases: names of those that are tried unless others are asked for; None: all.
        longest: words are cut to so many tokens; None: they are not.
        note: for the report: what is not as published, what is not tried.
    """

    name: str
    load: Load
    kind: str = "mamba"
    modes: tuple[str, ...] | None = None
    cases: tuple[str, ...] | None = None
    longest: int | None = None
    note: str = ""


class _Transformers:
    """A model of ``transformers`` on the CPU, or one of ours that is called alike, as :class:`Model`."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        from ..models.checkpoints.checkpoint import load_model

        self.model = load_model(directory)
        for block in self.model.backbone.layers:
            for name, value in settings.items():
                if not hasattr(block.mixer, name):
                    raise ConformanceError(f"the blocks of this transformers have no setting {name}")
                setattr(block.mixer, name, value)

    def run(self, ids: Tensor, **arguments: Any) -> Any:
        return self.model(ids, **arguments)

    def __call__(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.run(ids, use_cache=False).logits
        return logits

    def prefill(self, ids: Tensor) -> tuple[Tensor, Any]:
        return self.step(ids, None)

    def step(self, ids: Tensor, cache: Any) -> tuple[Tensor, Any]:
        out, cache = continued(self.model, ids, cache, self.run)
        return out.logits, cache

    extend = step

    def padded(self, ids: Tensor, mask: Tensor) -> Tensor:
        logits: Tensor = self.run(ids, attention_mask=mask, use_cache=False).logits
        return logits

    def hidden(self, ids: Tensor) -> list[Tensor] | None:
        streams: list[Tensor] = [self.model.backbone.embeddings(ids)]
        handles = [
            block.register_forward_hook(lambda _m, _i, out: streams.append(out[0] if isinstance(out, tuple) else out))
            for block in self.model.backbone.layers
        ]
        try:
            self(ids)
        finally:
            for handle in handles:
                handle.remove()
        return streams


ASKS_WHETHER_COMPILING = "is_torchdynamo_compiling"
"""The function by which transformers decides between its loop and its associative scan."""


class _AssociativeScan(_Transformers):
    """The same with the associative scan, which transformers takes inside ``torch.compile`` only.

    Its answer to whether it is being compiled is made to be yes; the scan then runs uncompiled, at any length.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, use_associative_scan=True)
        self.module = sys.modules[type(self.model).__module__]
        if not hasattr(self.module, ASKS_WHETHER_COMPILING):
            raise ConformanceError(f"this transformers does not ask {ASKS_WHETHER_COMPILING}() before its scan")

    def run(self, ids: Tensor, **arguments: Any) -> Any:
        before = getattr(self.module, ASKS_WHETHER_COMPILING)
        setattr(self.module, ASKS_WHETHER_COMPILING, lambda: True)
        try:
            return super().run(ids, **arguments)
        finally:
            setattr(self.module, ASKS_WHETHER_COMPILING, before)


class _Compiled(_Transformers):
    """The same through ``torch.compile``, as one graph without breaks: traced anew for every shape."""

    def __init__(self, directory: Path) -> None:
        import torch

        super().__init__(directory, use_associative_scan=True)
        torch._dynamo.reset()
        self.compiled: Any = torch.compile(self.model, backend="eager", dynamic=False, fullgraph=True)

    def run(self, ids: Tensor, **arguments: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of functions that remember their results, which tracing looks into
            return self.compiled(ids, **arguments)

    def hidden(self, ids: Tensor) -> list[Tensor] | None:  # hooks would be traced too
        return None


def _mambapy(directory: Path) -> _Transformers:
    from transformers.utils.import_utils import is_mambapy_available

    if not is_mambapy_available():
        raise MissingExtraError("mambapy is not installed; pip install mambapy")
    return _Transformers(directory, use_mambapy=True)


def _runner(directory: Path) -> Callable[[Tensor], Tensor]:
    """The fast runner's call alone, so that only the mode "full" is tried."""
    from ..models.checkpoints.checkpoint import load_model

    return Runner(load_model(directory)).__call__


class _MambaSsm:
    """``mamba_ssm``'s ``MambaLMHeadModel``, on a GPU if there is one."""

    def __init__(self, directory: Path, *, fused: bool = True) -> None:
        import torch

        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = load_mamba_ssm(directory, device=self.device, fused=fused)

    def __call__(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.model(ids.to(self.device)).logits
        return logits

    def prefill(self, ids: Tensor) -> tuple[Tensor, Any]:
        from mamba_ssm.utils.generation import InferenceParams

        return self.step(ids, InferenceParams(max_seqlen=1 << 30, max_batch_size=len(ids)))

    def step(self, ids: Tensor, cache: Any) -> tuple[Tensor, Any]:
        logits = self.model(ids.to(self.device), inference_params=cache).logits
        cache.seqlen_offset += ids.shape[1]
        return logits, cache


_SUPPORTED = ("full", "step", "cached", "interleaved", "continued", "padded")
_FORCED = f"the associative scan uncompiled: {ASKS_WHETHER_COMPILING}() is made to be true"
_TRACED = Implementation(
    "transformers-compiled",
    _Compiled,
    modes=("full",),
    cases=("taps-4", "registers", "state-16", "sums", "stack", "language D-2"),
    longest=17,
    note='torch.compile(backend="eager", dynamic=False, fullgraph=True), traced anew for every shape: these '
    "checkpoints only, with words of 17 tokens, alone and in one batch",
)
KNOWN: dict[str, Implementation] = {
    i.name: i
    for i in (
        Implementation("transformers", _Transformers, modes=_SUPPORTED),
        Implementation("transformers-associative-scan", _AssociativeScan, modes=_SUPPORTED, note=_FORCED),
        _TRACED,
        Implementation("transformers-mambapy", _mambapy, modes=_SUPPORTED),
        Implementation("scancraft", _runner),
        Implementation("mamba_ssm", _MambaSsm),
        Implementation("mamba_ssm-unfused", partial(_MambaSsm, fused=False)),
        Implementation("transformers-mamba2", _Transformers, "mamba2", _SUPPORTED),
        *(
            Implementation(f"transformers-mamba2-chunk-{n}", partial(_Transformers, chunk_size=n), "mamba2", _SUPPORTED)
            for n in (1, 3, 8, 64, 256)
        ),
        Implementation("mamba_ssm-mamba2", _MambaSsm, "mamba2"),
        Implementation("mamba_ssm-mamba2-unfused", partial(_MambaSsm, fused=False), "mamba2"),
        Implementation("transformers-falcon-mamba", _Transformers, "falcon_mamba", _SUPPORTED),
        Implementation(
            "transformers-falcon-mamba-associative-scan", _AssociativeScan, "falcon_mamba", _SUPPORTED, note=_FORCED
        ),
        Implementation("transformers-falcon-mamba-mambapy", _mambapy, "falcon_mamba", _SUPPORTED),
        Implementation("scancraft-signed", _Transformers, "signed_mamba", _SUPPORTED),
        Implementation("scancraft-signed-runner", _runner, "signed_mamba"),
    )
}


def resolve(target: str | Load, kind: str | None = None) -> Implementation:
    """The implementation that a target names.

    Args:
        target: a name in :data:`KNOWN`, ``module:function``, or the function itself. A function may have an attribute
            ``note``, text for the report.
        kind: of the checkpoints, if the target is not a known name; default "mamba".

    Raises:
        ConformanceError: nothing has this name, or it cannot be imported.
    """
    if not isinstance(target, str):
        return _of_function(getattr(target, "__name__", type(target).__name__), target, kind)
    if target in KNOWN:
        found = KNOWN[target]
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
    return Implementation(name, load, kind or "mamba", note=str(getattr(load, "note", "")))


def check_modes(modes: tuple[str, ...]) -> None:
    """Raise :class:`ConformanceError` for a mode that does not exist."""
    if unknown := sorted(set(modes) - set(MODES)):
        raise ConformanceError(f"there is no mode {', '.join(unknown)}; choose from {', '.join(MODES)}")
