"""Going on from a cache, under the name that the installed ``transformers`` gives it: "cache" from 5.24 on."""

from __future__ import annotations

from inspect import signature
from typing import Any

from torch import Tensor


def continued(model: Any, ids: Tensor, cache: Any = None, run: Any = None) -> tuple[Any, Any]:
    """Run a model on more tokens.

    Args:
        model: a recurrent model of ``transformers``, or a function that is called as these are.
        ids: token ids, shape (batch, time).
        cache: what an earlier call returned; None at the beginning of a sequence.
        run: what is called in place of the model itself, with the same arguments.

    Returns:
        What the model returns, and its cache.
    """
    name = "cache" if "cache" in signature(getattr(model, "forward", model)).parameters else "cache_params"
    out = (run or model)(ids, **{name: cache}, use_cache=True)
    return out, out.cache if hasattr(out, "cache") else out.cache_params
