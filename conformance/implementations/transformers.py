"""``transformers`` on the CPU, in its ways: sequential, the associative scan, mambapy, ``torch.compile``."""

from __future__ import annotations

import sys
import warnings
from contextlib import ExitStack
from copy import deepcopy
from functools import partial
from inspect import unwrap
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from ...automata.errors import MissingExtraError
from ...models.checkpoints.checkpoint import load_model
from ...models.checkpoints.kernels import CHUNKED, RECURRENT
from ...models.run.caching import continued
from ..case import ConformanceError
from .base import Implementation


class _Transformers:
    """A model of ``transformers`` on the CPU, or one of ours that is called alike, as :class:`Model`."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.model = load_model(directory)
        for block in self.model.base_model.layers:
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

    def padded_prefill(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Any]:
        out, cache = continued(self.model, ids, None, partial(self.run, attention_mask=mask))
        return out.logits, cache

    def fork(self, cache: Any) -> Any:
        return deepcopy(cache)

    def hidden(self, ids: Tensor) -> list[Tensor] | None:
        streams: list[Tensor] = [self.model.get_input_embeddings()(ids)]
        handles = [
            block.register_forward_hook(lambda _m, _i, out: streams.append(out[0] if isinstance(out, tuple) else out))
            for block in self.model.base_model.layers
        ]
        try:
            self(ids)
        finally:
            for handle in handles:
                handle.remove()
        return streams


class _Hybrid(_Transformers):
    """A model with layers of Gated DeltaNet, whose functions for them are replaced while it runs.

    By default with the references in the same module, whatever else is installed. (``load_model`` knows only models
    that are compiled to.)
    """

    def __init__(self, directory: Path, chunk: Any = None, step: Any = None, **settings: Any) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)  # in eval mode
        self.module = sys.modules[type(self.model).__module__]
        given = {CHUNKED: chunk, RECURRENT: step}
        self.functions = {name: f or unwrap(getattr(self.module, name)) for name, f in given.items()}
        self.functions[CHUNKED] = partial(self.functions[CHUNKED], **settings)

    def run(self, ids: Tensor, **arguments: Any) -> Any:
        with ExitStack() as after:
            for name, function in self.functions.items():
                after.callback(setattr, self.module, name, getattr(self.module, name))
                setattr(self.module, name, function)
            return super().run(ids, **arguments)


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

        super().__init__(directory, use_associative_scan=True)
        torch._dynamo.reset()
        self.compiled: Any = torch.compile(self.model, backend="eager", dynamic=False, fullgraph=True)

    def run(self, ids: Tensor, **arguments: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of functions that remember their results, which tracing looks into
            return self.compiled(ids, **arguments)

    def hidden(self, ids: Tensor) -> list[Tensor] | None:  # hooks would be traced too
        return None


def _with_mambapy(directory: Path) -> _Transformers:
    from transformers.utils.import_utils import is_mambapy_available

    if not is_mambapy_available():
        raise MissingExtraError("mambapy is not installed; pip install mambapy")
    return _Transformers(directory, use_mambapy=True)


HYBRIDS = ("olmo_hybrid", "qwen3_next", "qwen3_5")
NO_SETTINGS: dict[str, Any] = {}
SUPPORTED = (*("full", "step", "cached", "interleaved", "continued", "padded", "padded-continued", "forked", "prefix"),)
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
IMPLEMENTATIONS = (
    Implementation("transformers", _Transformers, modes=SUPPORTED),
    Implementation("transformers-associative-scan", _AssociativeScan, modes=SUPPORTED, note=_FORCED),
    _TRACED,
    Implementation("transformers-mambapy", _with_mambapy, modes=SUPPORTED),
    Implementation("transformers-mamba2", _Transformers, "mamba2", SUPPORTED),
    *(
        Implementation(f"transformers-mamba2-chunk-{n}", partial(_Transformers, chunk_size=n), "mamba2", SUPPORTED)
        for n in (1, 3, 8, 64, 256)
    ),
    Implementation("transformers-falcon-mamba", _Transformers, "falcon_mamba", SUPPORTED),
    Implementation(
        "transformers-falcon-mamba-associative-scan", _AssociativeScan, "falcon_mamba", SUPPORTED, note=_FORCED
    ),
    Implementation("transformers-falcon-mamba-mambapy", _with_mambapy, "falcon_mamba", SUPPORTED),
    *(
        Implementation(f"transformers-{kind.replace('_', '-')}{name}", partial(_Hybrid, **settings), kind, SUPPORTED)
        for kind in HYBRIDS
        for name, settings in (("", NO_SETTINGS), *((f"-chunk-{n}", {"chunk_size": n}) for n in (1, 3, 16)))
    ),
)
